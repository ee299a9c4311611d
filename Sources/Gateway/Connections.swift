import HTTPTypes
import Hummingbird
import HummingbirdCore
import HummingbirdHTTP2
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOSSL
import NIOTLS

/// What a connection becomes: HTTP/1.1; or TLS, and in it HTTP/2 or HTTP/1.1, whichever the client asks for (ALPN).
struct Connections: Sendable {
    typealias Negotiated = NIONegotiatedHTTPVersion<HTTP1Channel.Value, HTTP2Channel.Value>

    enum Value: Sendable {
        case plain(HTTP1Channel.Value)
        case negotiating(EventLoopFuture<Negotiated>, any Channel)
    }

    private let http1: HTTP1Channel
    private let http2: HTTP2Channel
    private let identity: TLSIdentity?
    private let logger: Logger
    private let proxies: Proxies
    private let peers = AnnouncedPeers()

    /// Whoever connects and says nothing must not keep the connection.
    private static let handshake = TimeAmount.seconds(10)

    init(_ gateway: Gateway, identity: TLSIdentity?, logger: Logger) {
        self.identity = identity
        self.logger = logger
        proxies = gateway.front.proxies
        let responder = Self.responder(gateway, peers, logger)
        // No idle timeout of the framework's: it knows nothing of what `InvocationHandler` serves. `HeadDeadline` has it.
        let configuration = HTTP1Channel.Configuration(
            additionalChannelHandlers: [gateway.watch.makeHandler(), HeadDeadline(), InvocationHandler(gateway)])
        http1 = HTTP1Channel(responder: responder, configuration: configuration)
        let stream = HTTP1Channel.Configuration(
            additionalChannelHandlers: [
                StreamDeadline.Stream(), gateway.watch.makeHandler(), HeadDeadline(), InvocationHandler(gateway),
            ])
        http2 = HTTP2Channel(
            responder: responder, configuration: HTTP2ChannelConfiguration(streamConfiguration: stream))
    }

    func setup(_ channel: any Channel) -> EventLoopFuture<Value> {
        if proxies.announces(channel) {
            do {
                try channel.pipeline.syncOperations.addHandler(ProxyHeaderHandler(peers))
            } catch {
                return channel.eventLoop.makeFailedFuture(error)
            }
        }
        guard let identity else { return plain(channel).map { .plain($0) } }
        return channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(NIOSSLServerHandler(context: identity.context))
            let late = channel.eventLoop.scheduleTask(in: Self.handshake) { channel.close(promise: nil) }
            let negotiation = NIOTypedApplicationProtocolNegotiationHandler<Negotiated> { result in
                late.cancel()
                return if case .negotiated("h2") = result {
                    http2.setup(channel: channel, logger: logger).flatMapThrowing { connection in
                        try channel.pipeline.syncOperations.addHandler(StreamDeadline())
                        return .http2(connection)
                    }
                } else {
                    plain(channel).map { .http1_1($0) }
                }
            }
            try pipeline.addHandler(negotiation)
            return .negotiating(negotiation.protocolNegotiationResult, channel)
        }
    }

    private func plain(_ channel: any Channel) -> EventLoopFuture<HTTP1Channel.Value> {
        http1.setup(channel: channel, logger: logger).flatMapThrowing { connection in
            let pipeline = channel.pipeline.syncOperations
            let codec = try pipeline.handler(type: HTTP1ToHTTPServerCodec.self)
            try pipeline.addHandler(OlderHTTP(), position: .before(codec))
            return connection
        }
    }

    /// Returns when the connection has ended.
    func handle(_ value: Value) async {
        switch value {
        case .plain(let connection): await http1.handle(value: connection, logger: logger)
        case .negotiating(let result, let channel):
            do {
                switch try await result.get() {
                case .http1_1(let connection): await http1.handle(value: connection, logger: logger)
                case .http2(let connection): await http2.handle(value: connection, logger: logger)
                }
            } catch {
                logger.debug("no connection came about", metadata: ["reason": "\(error)"])
                channel.close(promise: nil)
            }
        }
    }

    private struct UnreadableRequest: Error {}

    private static func responder(
        _ gateway: Gateway, _ peers: AnnouncedPeers, _ logger: Logger
    ) -> HTTPChannelHandler.Responder {
        let responder = gateway.router().buildResponder()
        return { request, writer, channel in
            var context = GatewayContext(source: .init(channel: channel, logger: logger))
            context.announced = peers.address(of: channel)
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
        }
    }
}
