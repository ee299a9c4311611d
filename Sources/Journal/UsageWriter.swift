import Foundation
package import Logging
import ServiceLifecycle

/// Writes down what was used, each second; the last of it when the host ends.
package struct UsageWriter: Service {
    private let ledger: UsageLedger
    private let logger: Logger

    package init(_ ledger: UsageLedger, logger: Logger) { (self.ledger, self.logger) = (ledger, logger) }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1))  // it throws only when the host ends
                await write()
            }
        }
        await write()
    }

    private func write() async {
        do {
            try await ledger.flush()
        } catch {
            logger.error("what was used cannot be written; it is tried again", metadata: ["reason": "\(error)"])
        }
    }
}
