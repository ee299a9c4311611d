import NIOCore

/// Ends an HTTP/2 connection on which there is no stream for long, or none any more at the host's end. The framework only asks the
/// client to go, and waits for its consent for ever.
final class StreamDeadline: ChannelInboundHandler {
    typealias InboundIn = NIOAny

    private static let patience = HeadDeadline.patience
    private static let grain = TimeAmount.seconds(30), farewell = TimeAmount.seconds(10)

    private var open = 0
    private var idleSince = NIODeadline.now()
    private var isEnding = false
    private var timer: RepeatedTask?
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let loop = context.eventLoop
        idleSince = loop.now
        let this = NIOLoopBound(self, eventLoop: loop)
        timer = loop.scheduleRepeatedTask(initialDelay: Self.grain, delay: Self.grain) { _ in
            guard this.value.open == 0, loop.now - this.value.idleSince >= Self.patience else { return }
            this.value.context?.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            isEnding = true
            endIfIdle()
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func endIfIdle() {
        guard isEnding, open == 0, let loop = context?.eventLoop else { return }
        let this = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: Self.farewell) {
            if this.value.open == 0 { this.value.context?.close(promise: nil) }
        }
    }

    private func opened() { open += 1 }

    private func closed() {
        open -= 1
        idleSince = .now()
        endIfIdle()
    }

    /// To be put into each stream, which lives on its connection's loop.
    final class Stream: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = NIOAny

        private var deadline: StreamDeadline?

        func handlerAdded(context: ChannelHandlerContext) {
            deadline = try? context.channel.parent?.pipeline.syncOperations.handler(type: StreamDeadline.self)
            deadline?.opened()
        }

        func handlerRemoved(context: ChannelHandlerContext) {
            deadline?.closed()
            deadline = nil
        }
    }
}
