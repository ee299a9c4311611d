import Glibc
import HummingbirdCore
package import Logging
package import NIOCore
import NIOExtras
import NIOPosix
import ServiceLifecycle

/// Serves on a socket that listens already: the guardian's, which outlives this process, so that no connection is refused
/// while one takes over from another. The framework's own server only knows addresses.
package struct Listener: Service {
    private let gateway: Gateway
    private let socket: Int32
    private let identity: TLSIdentity?
    private let group: any EventLoopGroup
    private let logger: Logger
    private let serving: @Sendable (Int) async -> Void

    /// - Parameters:
    ///   - socket: a listening TCP or Unix socket; owned from now on.
    ///   - identity: for TLS; nil: none.
    ///   - serving: told the port once connections are taken.
    package init(
        _ gateway: Gateway, socket: Int32, identity: TLSIdentity?, group: any EventLoopGroup, logger: Logger,
        serving: @escaping @Sendable (Int) async -> Void
    ) {
        self.gateway = gateway
        self.socket = socket
        self.identity = identity
        self.group = group
        self.logger = logger
        self.serving = serving
    }

    /// Further clients wait in the kernel's queue: connections must not take the descriptors that workers need.
    private static var maxConnections: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 256 }
        return Int(min(limit.rlim_cur / 4, 4096))
    }

    package func run() async throws {
        let connections = Connections(gateway, identity: identity, logger: logger)
        let quiescing = ServerQuiescingHelper(group: group)
        let server = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(AvailableConnectionsChannelHandler(maxConnections: Self.maxConnections))
                    try pipeline.addHandler(quiescing.makeServerChannelHandler(channel: channel))
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .bind(socket) { channel in connections.setup(channel) }
        await withGracefulShutdownHandler {
            await serving(server.channel.localAddress?.port ?? 0)
            await withDiscardingTaskGroup { tasks in
                do {
                    try await server.executeThenClose { inbound in
                        for try await connection in inbound {
                            tasks.addTask { await connections.handle(connection) }
                        }
                    }
                } catch {
                    logger.error("no further connections can be taken", metadata: ["reason": "\(error)"])
                }
            }
        } onGracefulShutdown: {
            quiescing.initiateShutdown(promise: nil)
        }
    }
}
