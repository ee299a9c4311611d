import Glibc
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
    /// Whether an answer has begun that ends with the connection.
    private var isUnfinished = false

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
        guard isOlder else { return context.write(data, promise: promise) }
        switch unwrapOutboundIn(data) {
        case .head(var head) where !head.headers.contains(name: "Content-Length") && head.status.code >= 200:
            isUnfinished = true
            head.version = .http1_0
            head.headers.remove(name: "Trailer")
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .end:
            let sent = promise ?? context.eventLoop.makePromise()
            let this = NIOLoopBound(self, eventLoop: context.eventLoop)
            sent.futureResult.whenSuccess { this.value.isUnfinished = false }
            context.write(data, promise: sent)
        case .head, .body: context.write(data, promise: promise)
        }
    }

    /// One that is cut off is reset: an end, also of this side alone, would say that this was all.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard isUnfinished else { return context.close(mode: mode, promise: promise) }
        _ = (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        context.close(promise: promise)
    }
}
