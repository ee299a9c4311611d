import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Closes a connection on which no request's head comes to its end. The idle timeout does not: a client that sends a byte
/// of a header now and then is never idle, and each of its connections is one that others cannot have.
final class HeadDeadline: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart

    /// Longer than the idle timeout, which a silent client meets first.
    static let patience = TimeAmount.seconds(90)
    private static let grain = TimeAmount.seconds(30)

    /// Since when the next head is awaited; nil while a request is served.
    private var waitingSince: NIODeadline?
    private var timer: RepeatedTask?

    func handlerAdded(context: ChannelHandlerContext) {
        let loop = context.eventLoop
        waitingSince = loop.now
        let this = NIOLoopBound(self, eventLoop: loop)
        let channel = context.channel
        timer = loop.scheduleRepeatedTask(initialDelay: Self.grain, delay: Self.grain) { _ in
            if let since = this.value.waitingSince, loop.now - since >= Self.patience {
                channel.close(promise: nil)
            }
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head = unwrapInboundIn(data) { waitingSince = nil }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { waitingSince = context.eventLoop.now }
        context.write(data, promise: promise)
    }
}
