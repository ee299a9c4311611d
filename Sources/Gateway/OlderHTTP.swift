import NIOCore
import NIOHTTP1

/// HTTP/1.0, which the framework takes for 1.1: its connections end with the answer, which is how such a client knows that it
/// has all of it (RFC 9112, 9.3). Its `keep-alive` was never standardized, and is not honoured.
final class OlderHTTP: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private var isOlder = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = unwrapInboundIn(data), (head.version.major, head.version.minor) < (1, 1) else {
            return context.fireChannelRead(data)
        }
        isOlder = true
        head.headers.replaceOrAdd(name: "Connection", value: "close")
        head.headers.remove(name: "Expect")  // RFC 9110, 10.1.1: of 1.0 it means nothing
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    /// Of chunks it knows nothing: what has no length ends with the connection.
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isOlder, case .head(var head) = unwrapOutboundIn(data), !head.headers.contains(name: "Content-Length")
        else {
            return context.write(data, promise: promise)
        }
        head.version = .http1_0
        head.headers.remove(name: "Trailer")
        context.write(wrapOutboundOut(.head(head)), promise: promise)
    }
}
