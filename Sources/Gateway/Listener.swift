import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdCore
package import Logging
package import NIOCore
import NIOExtras
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOPosix
import ServiceLifecycle

/// Serves on a socket that listens already: the guardian's, which outlives this process, so that no connection is refused
/// while one takes over from another. The framework's own server only knows addresses.
package struct Listener: Service {
    private let gateway: Gateway
    private let socket: Int32
    private let group: any EventLoopGroup
    private let logger: Logger
    private let serving: @Sendable (Int) async -> Void

    /// - Parameters:
    ///   - socket: a listening TCP socket; owned from now on.
    ///   - serving: told the port once connections are taken.
    package init(
        _ gateway: Gateway, socket: Int32, group: any EventLoopGroup, logger: Logger,
        serving: @escaping @Sendable (Int) async -> Void
    ) {
        self.gateway = gateway
        self.socket = socket
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
        let connections = connections()
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
            .bind(socket) { channel in
                connections.setup(channel: channel, logger: logger).flatMapThrowing { connection in
                    let pipeline = channel.pipeline.syncOperations
                    let codec = try pipeline.handler(type: HTTP1ToHTTPServerCodec.self)
                    try pipeline.addHandler(OlderHTTP(), position: .before(codec))
                    return connection
                }
            }
        await withGracefulShutdownHandler {
            await serving(server.channel.localAddress?.port ?? 0)
            await withDiscardingTaskGroup { tasks in
                do {
                    try await server.executeThenClose { inbound in
                        for try await connection in inbound {
                            tasks.addTask { await connections.handle(value: connection, logger: logger) }
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

    private struct UnreadableRequest: Error {}

    private func connections() -> HTTP1Channel {
        let gateway = gateway, logger = logger
        let responder = gateway.router().buildResponder()
        // No idle timeout of the framework's: it knows nothing of what `InvocationHandler` serves. `HeadDeadline` has it.
        let configuration = HTTP1Channel.Configuration(
            additionalChannelHandlers: [gateway.watch.makeHandler(), HeadDeadline(), InvocationHandler(gateway)])
        return HTTP1Channel(
            responder: { request, writer, channel in
                let context = GatewayContext(source: .init(channel: channel, logger: logger))
                var response: Response
                do {
                    response = try await responder.respond(to: request, context: context)
                } catch let error as HTTPParserError {
                    throw error
                } catch {
                    response = Response(status: .internalServerError)
                }
                response.headers[.date] = HTTPDate.now
                response.headers[.server] = "bulkhead"
                do {
                    try await writer.write(response: response.head, body: response.body)
                } catch is HTTPParserError {
                    // The answer has begun: there is no place for another one.
                    throw UnreadableRequest()
                }
            }, configuration: configuration)
    }
}
