import Dialogues
import FunctionModel
import Glibc
import HostSystem
import NIOCore
import NIOPosix
import Sandbox
import Synchronization

/// The host's end of the port that a cell's runtime asks at: Lambda's Runtime API by HTTP, with nothing but what its client did to
/// whom it belongs. The socket is in the cell's network, and nobody else can come to it.
final class RuntimeListener: Sendable {
    private struct State {
        var listener: (any Channel)?
        var connections: [Int: any Channel] = [:]
        var next = 0
        var loop: (any EventLoop)?
        var isClosed = false
    }

    private let state = Mutex(State())
    private let pace = RuntimePace()
    /// Of what connections hold before it is known for what: one for all, of which the first bytes alone are free.
    private let charge: MemoryBudget.Charge
    private let isHeldUp: @Sendable () -> Bool
    private let received: @Sendable (RuntimeCall) -> Void

    /// A client needs one, and some have one for answers beside it.
    private static let maxConnections = 8
    /// Of what the kernel keeps of a connection, in bytes: all of it is read when it ends, whoever has room for it.
    private static let kernelBuffer = 64 << 10

    /// - Parameters:
    ///   - charge: an empty one.
    ///   - isHeldUp: whether nothing is to be read.
    ///   - received: called on the loop.
    init(
        charge: MemoryBudget.Charge, isHeldUp: @escaping @Sendable () -> Bool,
        received: @escaping @Sendable (RuntimeCall) -> Void
    ) {
        (self.charge, self.isHeldUp, self.received) = (charge, isHeldUp, received)
    }

    /// Begins to listen.
    /// - Parameter failed: called with why it cannot.
    func open(_ socket: CellSocket, on loop: any EventLoop, failed: @escaping @Sendable (any Error) -> Void) {
        let number = fcntl(socket.descriptor.number, F_DUPFD_CLOEXEC, 3)
        guard number >= 0 else { return failed(SystemError("fcntl")) }
        state.withLock { $0.loop = loop }
        let bootstrap = ServerBootstrap(group: loop)
            // Those that it accepts have it from there.
            .serverChannelOption(.socketOption(.so_rcvbuf), value: SocketOptionValue(Self.kernelBuffer))
            .serverChannelOption(.socketOption(.so_sndbuf), value: SocketOptionValue(Self.kernelBuffer))
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            // A turn of the loop is others', too: one read of each connection, and so at most one request.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: RuntimeWire.longestRead)
            )
            .childChannelInitializer { [self] channel in
                guard let id = enter(channel) else { return channel.close() }
                let opened = channel.eventLoop.makeCompletedFuture {
                    let place = RuntimeConnection.Place(
                        id: id, wire: RuntimeWire(charge, pace), pace: pace, received: received,
                        left: { [self] in leave(id) })
                    try RuntimeConnection(place).enter(channel.pipeline.syncOperations)
                }
                return isHeldUp() ? opened.flatMap { channel.setOption(.autoRead, value: false) } : opened
            }
        bootstrap.withBoundSocket(number).whenComplete { [self] result in
            switch result {
            case .success(let channel):
                let isLate = state.withLock { state in
                    if !state.isClosed { state.listener = channel }
                    return state.isClosed
                }
                if isLate { channel.close(promise: nil) }
            // The channel has closed it, or has never had it: closed here, it might be somebody else's by now.
            case .failure(let error): failed(error)
            }
        }
    }

    /// - Parameter charge: what the reply is charged to, until it is on its way.
    func reply(_ reply: RuntimeReply, to connection: Int, _ charge: MemoryBudget.Charge?) {
        let channel = state.withLock { $0.connections[connection] }
        guard let channel else { return lost(reply, connection) }
        // In a turn of its own: see `RuntimeConnection.write`.
        channel.eventLoop.execute { [self] in
            channel.writeAndFlush(reply).whenComplete { [self] result in
                if case .failure = result { lost(reply, connection) }
                withExtendedLifetime(charge) {}
            }
        }
    }

    /// An event that nobody has.
    private func lost(_ reply: RuntimeReply, _ connection: Int) {
        if reply.status == 200 { received(RuntimeCall(.unsent, on: connection)) }
    }

    /// Reads nothing more, or goes on: as `isHeldUp` has it by then.
    func holdUp() {
        state.withLock { $0.loop }?.execute { [self] in
            let channels = state.withLock { Array($0.connections.values) }
            let reads = !isHeldUp()
            for channel in channels { _ = channel.setOption(.autoRead, value: reads) }
        }
    }

    /// The worker is gone.
    func end() {
        let channels = state.withLock { state in
            defer { (state.listener, state.connections) = (nil, [:]) }
            state.isClosed = true
            return (state.listener.map { [$0] } ?? []) + state.connections.values
        }
        for channel in channels { channel.close(promise: nil) }
    }

    /// - Returns: its number; nil: there is no room for it.
    private func enter(_ channel: any Channel) -> Int? {
        guard charge.add(RuntimeWire.weight) else { return nil }
        let id = state.withLock { state -> Int? in
            guard !state.isClosed, state.connections.count < Self.maxConnections else { return nil }
            state.next += 1
            state.connections[state.next] = channel
            return state.next
        }
        if id == nil { charge.give(RuntimeWire.weight) }
        return id
    }

    private func leave(_ id: Int) {
        state.withLock { $0.connections[id] = nil }
        charge.give(RuntimeWire.weight)
    }
}
