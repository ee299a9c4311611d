import FunctionModel
import NIOCore
import Synchronization

/// Knows which clients are still there, so that an invocation nobody waits for is ended.
///
/// Hummingbird's own way (`consumeWithCancellationOnInboundClose`) costs the connection: it is closed after each
/// response. This handler sees the same events and leaves the connection alone.
final class ClientWatch: Sendable {
    private struct Client {
        var hasLeft = false
        var waiting: Cancellation?
    }

    private let clients = Mutex<[ObjectIdentifier: Client]>([:])

    /// Runs `work` for the client of `channel`; cancels it when that client leaves. One at a time for each connection.
    func watching<Value>(_ channel: any Channel, _ work: (Cancellation) async -> Value) async -> Value {
        let cancellation = Cancellation()
        let id = ObjectIdentifier(channel)
        let hasLeft = clients.withLock { clients in
            guard clients[id] != nil else { return true }
            clients[id]?.waiting = cancellation
            return clients[id]?.hasLeft ?? true
        }
        if hasLeft { cancellation.cancel() }
        let value = await work(cancellation)
        // Another one may wait for it by now.
        clients.withLock { clients in
            if clients[id]?.waiting === cancellation { clients[id]?.waiting = nil }
        }
        return value
    }

    fileprivate func arrived(_ id: ObjectIdentifier) { clients.withLock { $0[id] = Client() } }

    fileprivate func left(_ id: ObjectIdentifier) {
        let waiting = clients.withLock { clients in
            clients[id]?.hasLeft = true
            return clients[id]?.waiting
        }
        waiting?.cancel()
    }

    fileprivate func forget(_ id: ObjectIdentifier) {
        left(id)
        clients.withLock { $0[id] = nil }
    }

    /// The handler to put into each connection's pipeline.
    func makeHandler() -> any RemovableChannelHandler { Handler(self) }

    private final class Handler: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = NIOAny

        private let watch: ClientWatch
        private var id: ObjectIdentifier?

        init(_ watch: ClientWatch) { self.watch = watch }

        func handlerAdded(context: ChannelHandlerContext) {
            let id = ObjectIdentifier(context.channel)
            self.id = id
            watch.arrived(id)
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            // A client that closes its sending side has gone: no HTTP client half-closes and then waits.
            if case .inputClosed = event as? ChannelEvent, let id { watch.left(id) }
            context.fireUserInboundEventTriggered(event)
        }

        func channelInactive(context: ChannelHandlerContext) {
            if let id { watch.forget(id) }
            context.fireChannelInactive()
        }

        func handlerRemoved(context: ChannelHandlerContext) {
            if let id { watch.forget(id) }
        }
    }
}
