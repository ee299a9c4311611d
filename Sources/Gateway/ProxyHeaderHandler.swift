import FunctionModel
import NIOCore
import Synchronization

/// Whose connections these are in truth, by what balancers have said at their beginning.
final class AnnouncedPeers: Sendable {
    private let addresses = Mutex<[ObjectIdentifier: String]>([:])

    /// - Parameter channel: a connection, or a stream of one.
    func address(of channel: any Channel) -> String? {
        addresses.withLock { known in
            known.isEmpty
                ? nil : known[ObjectIdentifier(channel)] ?? channel.parent.flatMap { known[ObjectIdentifier($0)] }
        }
    }

    fileprivate func set(_ address: String, of channel: any Channel) {
        addresses.withLock { $0[ObjectIdentifier(channel)] = address }
    }

    fileprivate func forget(_ channel: any Channel) { addresses.withLock { $0[ObjectIdentifier(channel)] = nil } }
}

/// Takes a balancer's words off the beginning of a connection. First in its pipeline.
final class ProxyHeaderHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let peers: AnnouncedPeers
    private var held = ByteBuffer()
    private var isDone = false
    private var late: Scheduled<Void>?

    private static let patience = TimeAmount.seconds(10)

    init(_ peers: AnnouncedPeers) { self.peers = peers }

    func handlerAdded(context: ChannelHandlerContext) {
        late = context.eventLoop.assumeIsolated().scheduleTask(in: Self.patience) { context.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { late?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return context.fireChannelRead(data) }
        var bytes = unwrapInboundIn(data)
        held.writeBuffer(&bytes)
        switch ProxyHeader(held.readableBytesView) {
        case .unfinished: return
        case .malformed: context.close(promise: nil)
        case .from(let address, let length):
            isDone = true
            late?.cancel()
            if let address { peers.set(address.description, of: context.channel) }
            held.moveReaderIndex(forwardBy: length)
            let rest = held
            held = ByteBuffer()
            if rest.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(rest)) }
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        peers.forget(context.channel)
        late?.cancel()
        context.fireChannelInactive()
    }
}
