import Foundation
import FunctionModel
import HostSystem
package import Logging
import ServiceLifecycle

/// Writes logs to the disk a few times a second; the last of them when the host ends.
package struct LogWriter: Service {
    private let store: LogStore
    private let archive: LogArchive
    private let logger: Logger

    package init(_ store: LogStore, _ archive: LogArchive, logger: Logger) {
        (self.store, self.archive, self.logger) = (store, archive, logger)
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var rounds = 0, isTold = false
            while !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(250))  // it throws only when the host ends
                rounds += 1
                let isWhole = await write(makesRoom: rounds % 40 == 0)
                if !isWhole, !isTold { logger.warning("logs cannot be written to the disk; they are kept in memory") }
                isTold = !isWhole
            }
        }
        _ = await write(makesRoom: true)
    }

    private func write(makesRoom: Bool) async -> Bool {
        let (lines, gone) = store.takePending()
        guard !lines.isEmpty || !gone.isEmpty || makesRoom else { return true }
        let isWhole = try? await offload { [archive] in
            for name in gone { archive.remove(name) }
            let isWhole = archive.write(lines)
            if makesRoom { archive.makeRoom() }
            return isWhole
        }
        return isWhole ?? false
    }
}
