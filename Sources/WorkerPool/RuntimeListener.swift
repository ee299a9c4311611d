import Dialogues
import Foundation
import FunctionModel
import Glibc
import HostSystem
import NIOCore
import NIOHTTP1
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
        var isClosed = false
    }

    private let state = Mutex(State())
    private let received: @Sendable (RuntimeCall) -> Void

    /// A client needs one, and some have one for answers beside it.
    private static let maxConnections = 16

    /// - Parameter received: called on `loop`.
    init(received: @escaping @Sendable (RuntimeCall) -> Void) { self.received = received }

    /// Begins to listen.
    /// - Parameter failed: called with why it cannot.
    func open(_ socket: CellSocket, on loop: any EventLoop, failed: @escaping @Sendable (any Error) -> Void) {
        let number = fcntl(socket.descriptor.number, F_DUPFD_CLOEXEC, 3)
        guard number >= 0 else { return failed(SystemError("fcntl")) }
        let bootstrap = ServerBootstrap(group: loop)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { [self] channel in
                guard let id = enter(channel) else { return channel.close() }
                return channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline(withErrorHandling: false)
                    try pipeline.addHandler(RuntimeConnection(id: id, received: received) { [self] in leave(id) })
                }
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
        guard let channel = state.withLock({ $0.connections[connection] }) else { return }
        guard let charge else { return channel.writeAndFlush(reply, promise: nil) }
        channel.writeAndFlush(reply).whenComplete { _ in withExtendedLifetime(charge) {} }
    }

    /// Reads nothing more, or goes on.
    func holdUp(_ isHeldUp: Bool) {
        let channels = state.withLock { Array($0.connections.values) }
        for channel in channels { _ = channel.setOption(.autoRead, value: !isHeldUp) }
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

    private func enter(_ channel: any Channel) -> Int? {
        state.withLock { state in
            guard !state.isClosed, state.connections.count < Self.maxConnections else { return nil }
            state.next += 1
            state.connections[state.next] = channel
            return state.next
        }
    }

    private func leave(_ id: Int) { state.withLock { $0.connections[id] = nil } }
}

/// One connection: HTTP in, calls out.
private final class RuntimeConnection: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = RuntimeReply
    typealias OutboundOut = HTTPServerResponsePart

    private enum Asked {
        case next, unknown
        /// What it sends is on its way to the dialogue.
        case upload
    }

    private let id: Int
    private let received: @Sendable (RuntimeCall) -> Void
    private let left: @Sendable () -> Void
    private var asked = Asked.unknown
    private var keepsAlive = true
    /// Whether it is to be read on once it has read.
    private var isHeldUp = false

    private static let prefix = "/2018-06-01/runtime/"
    /// Of what a client says of itself, in bytes.
    private static let longestType = 256, longestTrailer = 64 << 10

    init(id: Int, received: @escaping @Sendable (RuntimeCall) -> Void, left: @escaping @Sendable () -> Void) {
        (self.id, self.received, self.left) = (id, received, left)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            keepsAlive = head.isKeepAlive
            if head.headers[canonicalForm: "Expect"].contains(where: { $0.lowercased() == "100-continue" }) {
                let goOn = HTTPResponseHead(version: .http1_1, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(goOn)), promise: nil)
            }
            let act = Self.act(of: head)
            switch act {
            case .next: asked = .next
            case .answer, .error:
                asked = .upload
                tell(act)
            default: asked = .unknown
            }
        case .body(let bytes): if asked == .upload { tell(.body(bytes)) }
        case .end(let trailers):
            switch asked {
            case .next: tell(.next)
            case .unknown: tell(.unknown)
            case .upload: tell(.end(failure: trailers.flatMap(Self.failure)))
            }
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let reply = unwrapOutboundIn(data)
        var headers = HTTPHeaders(reply.headers.map { ($0.name, $0.value) })
        if !headers.contains(name: "Content-Type") { headers.add(name: "Content-Type", value: "application/json") }
        headers.add(name: "Content-Length", value: "\(reply.body.readableBytes)")
        if !keepsAlive { headers.add(name: "Connection", value: "close") }
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: reply.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(reply.body))), promise: nil)
        context.write(wrapOutboundOut(.end(nil)), promise: promise)
        guard !keepsAlive else { return }
        context.flush()
        context.close(promise: nil)
    }

    /// Who does not read what it is answered is not read any further either.
    func read(context: ChannelHandlerContext) {
        if context.channel.isWritable { context.read() } else { isHeldUp = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if isHeldUp, context.channel.isWritable {
            isHeldUp = false
            context.read()
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        left()
        tell(.hungUp)
    }

    /// What is no HTTP ends its connection, and no more.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func tell(_ act: RuntimeCall.Act) { received(RuntimeCall(act, on: id)) }

    private static func act(of head: HTTPRequestHead) -> RuntimeCall.Act {
        let path = head.uri.utf8.prefix { $0 != UInt8(ascii: "?") }
        guard path.starts(with: prefix.utf8) else { return .unknown }
        let parts = String(Substring(path.dropFirst(prefix.utf8.count))).split(
            separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        let type = head.headers.first(name: "Lambda-Runtime-Function-Error-Type")?.prefix(bytes: longestType)
        switch (head.method, parts.count, parts.first, parts.last) {
        case (.GET, 2, "invocation", "next"): return .next
        case (.POST, 3, "invocation", "response"):
            let mode = head.headers.first(name: "Lambda-Runtime-Function-Response-Mode") ?? ""
            return .answer(id: String(parts[1]), isStreamed: mode.utf8.count == 9 && mode.lowercased() == "streaming")
        case (.POST, 3, "invocation", "error"): return .error(id: String(parts[1]), type: type)
        case (.POST, 2, "init", "error"): return .error(id: nil, type: type)
        default: return .unknown
        }
    }

    /// What went wrong behind a part of an answer.
    private static func failure(_ trailers: HTTPHeaders) -> (type: String, body: String)? {
        guard let type = trailers.first(name: "Lambda-Runtime-Function-Error-Type") else { return nil }
        let text = trailers.first(name: "Lambda-Runtime-Function-Error-Body") ?? ""
        guard text.utf8.count <= longestTrailer, let body = Data(base64Encoded: text) else {
            return (type.prefix(bytes: longestType), "")
        }
        return (type.prefix(bytes: longestType), String(decoding: body, as: UTF8.self))
    }
}
