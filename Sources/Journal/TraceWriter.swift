import Foundation
package import Logging
import ServiceLifecycle

/// Sends spans each second; the last of them when the host ends.
package struct TraceWriter: Service {
    private let traces: Traces
    private let logger: Logger

    package init(_ traces: Traces, logger: Logger) { (self.traces, self.logger) = (traces, logger) }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var failures = 0
            while !Task.isCancelled {
                // Ever longer where nobody takes them: up to a minute.
                try? await Task.sleep(for: .seconds(min(1 << min(failures, 6), 60)))
                do {
                    try await traces.flush()
                    if failures > 0 { logger.notice("traces are taken again") }
                    failures = 0
                } catch {
                    if failures == 0 {
                        logger.warning("traces cannot be sent, and are dropped", metadata: ["reason": "\(error)"])
                    }
                    failures += 1
                }
            }
        }
        try? await traces.flush()  // nobody waits for what cannot be sent now
    }
}
