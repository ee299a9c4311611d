package import Logging
import ServiceLifecycle

/// Frees the disk of bundles that no version names any more, once no worker uses them.
package struct BundleCollection: Service {
    private let deployment: Deployment
    private let logger: Logger
    private static let pause = Duration.seconds(2)

    package init(_ deployment: Deployment, logger: Logger) {
        self.deployment = deployment
        self.logger = logger
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while (try? await Task.sleep(for: Self.pause)) != nil {
                guard deployment.wantsCollection else { continue }
                do {
                    try await deployment.collect()
                } catch {
                    logger.error("old bundles cannot be removed", metadata: ["reason": "\(error)"])
                }
            }
        }
    }
}
