import FunctionModel
import NIOCore
import Synchronization

/// In front of a runtime's HTTP parser: counts what the parser has taken and nothing has come of, which nobody else sees. White space
/// before a request, and a chunk's extension, have no end of their own.
final class RuntimeWire: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private let charge: MemoryBudget.Charge
    private let pace: RuntimePace
    /// Whether what is read was asked for: at its end a connection is read to it, whoever wants that.
    private var isAsked = false
    /// Bytes of which nothing has come yet.
    private(set) var pending = 0
    /// Bytes of those that have a charge beside `weight`.
    private var charged = 0
    /// Bytes that were read past at the connection's end; nil: it has not come.
    private var dropped: Int?

    /// Of one read, in bytes.
    static let longestRead = 16 << 10
    /// Of a head. An error's may have its whole trace in it.
    static let longestHead = 128 << 10
    /// What a connection holds in bytes without any being sent: what is beyond is charged when it comes.
    static let weight = 2 * longestRead
    /// A byte of an answer may have so many around it: a chunk of one byte has five.
    private static let overhead = 64
    private static let longestDropped = 256 << 10

    /// - Parameter charge: of the worker's connections; it has this one's `weight` already.
    init(_ charge: MemoryBudget.Charge, _ pace: RuntimePace) { (self.charge, self.pace) = (charge, pace) }

    func read(context: ChannelHandlerContext) {
        isAsked = true
        context.read()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isAsked = false
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        giveBack()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let count = unwrapInboundIn(data).readableBytes
        guard dropped == nil else {
            dropped? += count
            return
        }
        // Else whoever is read slowly would end its connections, and begin others.
        guard isAsked || pace.left == nil else {
            drop()
            return context.close(promise: nil)
        }
        pending += count
        guard pending <= Self.longestHead + Self.longestRead, hold(count) else { return context.close(promise: nil) }
        context.fireChannelRead(data)
    }

    private func hold(_ count: Int) -> Bool {
        guard pending > Self.weight else { return true }
        guard charge.add(count) else { return false }
        charged += count
        return true
    }

    /// The parser has made something of it all.
    func parsed() {
        pending = 0
        giveBack()
    }

    /// The parser has made so many bytes of a body out of it.
    func parsed(_ count: Int) {
        pending = max(0, pending - count * Self.overhead)
        if pending == 0 { giveBack() }
    }

    private func giveBack() {
        guard charged > 0 else { return }
        charge.give(charged)
        charged = 0
    }

    /// Nothing is parsed any more.
    func drop() { dropped = dropped ?? 0 }

    /// Whether there is still something to be read past.
    var drops: Bool { dropped ?? 0 <= Self.longestDropped }
}

/// How fast a worker may be read: parts that are made of a few bytes each cost the host's processor, and not the worker's.
final class RuntimePace: Sendable {
    private let rest = Mutex(NIODeadline.uptimeNanoseconds(0))
    /// Of one read; more than an honest client's has.
    private static let free = 16
    /// So many that are no part cost as much as one.
    private static let bytes = 128
    /// For each part beyond: some fifty times what one costs.
    private static let pause = TimeAmount.microseconds(20)
    private static let longestPause = TimeAmount.milliseconds(200)

    /// A read has brought so many parts, and so many bytes are there that are none.
    func took(_ parts: Int, pending: Int) {
        let parts = parts + pending / Self.bytes
        guard parts > Self.free else { return }
        let now = NIODeadline.now()
        rest.withLock { rest in
            rest = min(max(rest, now) + Self.pause * (parts - Self.free), now + Self.longestPause)
        }
    }

    /// How long nothing is to be read; nil: it may be.
    var left: TimeAmount? {
        let now = NIODeadline.now()
        return rest.withLock { $0 > now ? $0 - now : nil }
    }
}
