import FunctionModel
import Glibc
import HostSystem
import NIOCore
import NIOPosix
import Synchronization

/// A worker's three standard streams, the host's ends on an event loop, the worker's ends to be given away.
struct WorkerStreams: ~Copyable {
    let childInput: OwnedDescriptor
    let childOutput: OwnedDescriptor
    let childLog: OwnedDescriptor
    private let input: OwnedDescriptor
    /// Another one of stdin's, for an event that goes on coming: what goes wrong with it must not end what is read of stdout, which
    /// shares a channel with the first.
    private let later: LaterInput?
    private let output: OwnedDescriptor
    private let log: OwnedDescriptor

    /// The number of the log's end, to ask how much is on it.
    var logFile: Int32 { log.number }

    /// - Throws: `SystemError` when this process is out of descriptors; nothing is left open then.
    /// - Parameter isStreamed: whether events may go on coming.
    init(isStreamed: Bool = false) throws(SystemError) {
        var pipes: [(read: Int32, write: Int32)] = []
        var copy: Int32 = -1
        do throws(SystemError) {
            for _ in 0..<3 { pipes.append(try OwnedDescriptor.pipe()) }
            if isStreamed {
                copy = fcntl(pipes[0].write, F_DUPFD_CLOEXEC, 3)
                guard copy >= 0 else { throw SystemError("fcntl") }
            }
        } catch {
            for pipe in pipes {
                OwnedDescriptor(owning: pipe.read).closeNow()
                OwnedDescriptor(owning: pipe.write).closeNow()
            }
            throw error
        }
        childInput = OwnedDescriptor(owning: pipes[0].read)
        input = OwnedDescriptor(owning: pipes[0].write)
        output = OwnedDescriptor(owning: pipes[1].read)
        childOutput = OwnedDescriptor(owning: pipes[1].write)
        log = OwnedDescriptor(owning: pipes[2].read)
        childLog = OwnedDescriptor(owning: pipes[2].write)
        later = copy >= 0 ? LaterInput(OwnedDescriptor(owning: copy)) : nil
    }

    /// Hands the host's ends to `loop`, in one step: to wake a loop costs more than what it does then. The worker's ends are
    /// closed here: the launcher has its own copies by now.
    /// - Parameters:
    ///   - opened: called on the loop with the channel of stdin and stdout.
    ///   - logOpened: likewise with the one of stderr.
    consuming func open(
        on loop: any EventLoop, received: @escaping @Sendable (ByteBuffer) -> Void,
        closed: @escaping @Sendable () -> Void, logged: @escaping @Sendable (ByteBuffer) -> Void,
        logClosed: @escaping @Sendable () -> Void, opened: @escaping @Sendable (any Channel, LaterInput?) -> Void,
        logOpened: @escaping @Sendable (any Channel) -> Void
    ) {
        let more = later
        let (output, input, log) = (output.release(), input.release(), log.release())
        loop.execute {
            Self.channel(on: loop, input: output, output: input, received, closed).whenSuccess { opened($0, more) }
            Self.channel(on: loop, input: log, output: nil, logged, logClosed).whenSuccess(logOpened)
        }
    }

    private static func channel(
        on loop: any EventLoop, input: Int32, output: Int32?, _ received: @escaping @Sendable (ByteBuffer) -> Void,
        _ closed: @escaping @Sendable () -> Void
    ) -> EventLoopFuture<any Channel> {
        let bootstrap = NIOPipeBootstrap(group: loop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            // The log in smaller bites: each of its lines costs more than its bytes.
            .channelOption(.maxMessagesPerRead, value: UInt(output == nil ? 1 : 16))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(StreamHandler(received: received, closed: closed))
                }
            }
        let opened: EventLoopFuture<any Channel>
        if let output {
            opened = bootstrap.takingOwnershipOfDescriptors(input: input, output: output)
        } else {
            opened = bootstrap.takingOwnershipOfDescriptor(input: input)
        }
        opened.whenFailure { _ in
            OwnedDescriptor(owning: input).closeNow()
            if let output { OwnedDescriptor(owning: output).closeNow() }
            closed()
        }
        return opened
    }
}

/// A second way to a worker's stdin: closed when the last who has it lets go.
final class LaterInput: Sendable {
    private let descriptor: Mutex<OwnedDescriptor?>

    init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = Mutex(descriptor) }

    /// Writes what comes, a piece at a time: the next one is asked for when the pipe has taken this one.
    func pour(_ rest: EventStream, on loop: any EventLoop) async {
        defer { rest.end() }
        guard let number = descriptor.withLock({ $0.take()?.release() }) else { return }
        let opening = NIOPipeBootstrap(group: loop).takingOwnershipOfDescriptor(output: number)
        opening.whenFailure { _ in OwnedDescriptor(owning: number).closeNow() }
        guard let channel = try? await opening.get() else { return }
        // It ends with the event, or when the worker takes nothing any more, or its invocation is over and nothing comes.
        while let bytes = await rest.next() {
            guard (try? await channel.writeAndFlush(bytes).get()) != nil else { break }
        }
        channel.close(promise: nil)
    }
}

extension OwnedDescriptor {
    fileprivate consuming func closeNow() {}
}

/// Gathers what one turn of the loop reads, so that whoever decides sees all of it at once: a second answer that
/// follows the first is seen with it.
private final class StreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let received: @Sendable (ByteBuffer) -> Void
    private let closed: @Sendable () -> Void
    private var gathered: ByteBuffer?
    private var isClosed = false

    init(received: @escaping @Sendable (ByteBuffer) -> Void, closed: @escaping @Sendable () -> Void) {
        self.received = received
        self.closed = closed
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        if gathered == nil { gathered = bytes } else { gathered?.writeImmutableBuffer(bytes) }
    }

    func channelReadComplete(context: ChannelHandlerContext) { flush() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed = event as? ChannelEvent { end() }
    }

    func channelInactive(context: ChannelHandlerContext) { end() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A worker that closes its stdin before it has read all breaks our write (EPIPE): its affair. Reading goes on.
    }

    private func flush() {
        guard let bytes = gathered else { return }
        gathered = nil
        received(bytes)
    }

    private func end() {
        flush()
        guard !isClosed else { return }
        isClosed = true
        closed()
    }
}
