package import Logging
import ServiceLifecycle

/// Writes down how often keys with quotas were used, every second and at the end: what a power cut can take is a second of counting.
package struct KeyUseWriter: Service {
    private let access: Access
    private let logger: Logger

    package init(_ access: Access, logger: Logger) {
        self.access = access
        self.logger = logger
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while (try? await Task.sleep(for: .seconds(1))) != nil { await write() }
        }
        await write()
    }

    private func write() async {
        do {
            try await access.writeUses()
        } catch {
            logger.error("the use of keys cannot be written down", metadata: ["reason": "\(error)"])
        }
    }
}
