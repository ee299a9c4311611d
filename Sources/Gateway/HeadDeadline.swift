import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Closes a connection on which no request's head comes to its end, or nothing more of its body, or no answer is read. A
/// framework's idle timeout would not: a client that sends a byte of a header now and then is never idle, nor is one that an
/// answer waits for; and each of their connections is one that others cannot have.
final class HeadDeadline: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart

    static let patience = TimeAmount.seconds(90)
    private static let grain = TimeAmount.seconds(30)

    /// Since when the next head is awaited; nil while requests are served.
    private var waitingSince: NIODeadline?
    /// Heads that came and whose answers are not complete: more than one where a client does not wait for them.
    private var served = 0
    /// Whether a request's body is not complete.
    private var isInBody = false
    /// Since when somebody here waits for more of it: where nobody does, the client is not what is slow.
    private var readingSince: NIODeadline?
    /// Since when the client takes nothing of what is to be sent.
    private var stuckSince: NIODeadline?
    private var timer: RepeatedTask?

    func handlerAdded(context: ChannelHandlerContext) {
        let loop = context.eventLoop
        waitingSince = loop.now
        let this = NIOLoopBound(self, eventLoop: loop)
        let channel = context.channel
        timer = loop.scheduleRepeatedTask(initialDelay: Self.grain, delay: Self.grain) { _ in
            let waiting = [this.value.waitingSince, this.value.readingSince, this.value.stuckSince].compactMap { $0 }
            if waiting.contains(where: { loop.now - $0 >= Self.patience }) { channel.close(promise: nil) }
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            served += 1
            waitingSince = nil
            (isInBody, readingSince) = (true, nil)
        case .body: readingSince = nil
        case .end: (isInBody, readingSince) = (false, nil)
        }
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        if isInBody, readingSince == nil { readingSince = context.eventLoop.now }
        context.read()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) {
            served -= 1
            if served <= 0 { waitingSince = context.eventLoop.now }
        }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stuckSince = context.channel.isWritable ? nil : context.eventLoop.now
        context.fireChannelWritabilityChanged()
    }
}
