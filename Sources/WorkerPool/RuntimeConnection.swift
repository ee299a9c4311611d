import Dialogues
import Foundation
import FunctionModel
import NIOCore
import NIOHTTP1
import WireText

/// One connection of a cell's runtime: HTTP in, calls out. Every byte of it is a function's, and so is how many come, when, and in
/// which pieces: one request at a time is served, a question may wait behind it, and more than that ends the connection.
final class RuntimeConnection: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = RuntimeReply
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        /// A request may come.
        case idle
        /// Its head was told, and its body comes.
        case uploading
        /// What it asks is told once all of it has come; a body is of no use to it.
        case asking(RuntimeCall.Act)
        /// All of it has come, and the dialogue has still to answer.
        case waiting
        /// The answer is on its way.
        case answering
        /// Nothing more is taken.
        case closing
    }

    /// What it belongs to.
    struct Place {
        let id: Int
        let wire: RuntimeWire
        let pace: RuntimePace
        let received: @Sendable (RuntimeCall) -> Void
        let left: @Sendable () -> Void
    }

    /// What its client may be answered.
    private struct Manner {
        var keepsAlive = true
        /// HEAD is answered without a body (RFC 9110, 9.3.2).
        var isBodiless = false
    }

    private let place: Place
    private var state = State.idle
    private var manner = Manner()
    /// Of this read.
    private var parts = 0
    /// What this read has brought of a body, told as a whole: whoever sends it byte by byte makes no more work.
    private var gathered = ByteBuffer()
    /// Of a request that was answered before all of it came.
    private var refusal: RuntimeReply?
    /// Bytes that nobody takes, of this request; and how many are read past.
    private var passedOver = 0
    private static let longestPassedOver = 64 << 10
    /// A question that came before the answer to the last was out.
    private var behind: CircularBuffer<HTTPServerRequestPart> = []
    /// Its head and its end.
    private static let maxBehind = 2
    /// Whether it is to be read on once it has read.
    private var isHeldUp = false
    /// Ends it, or goes on reading.
    private var later: Scheduled<Void>?

    private static let limits = {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldCount = 64
        (limits.maxHeaderFieldSize, limits.maxHeaderListSize) = (RuntimeWire.longestHead, RuntimeWire.longestHead)
        return limits
    }()

    private static let prefix = "/2018-06-01/runtime/"
    /// Of what a client says of itself, in bytes.
    private static let longestType = 256

    init(_ place: Place) { self.place = place }

    /// The handlers of a connection, in order, this one last.
    func enter(_ pipeline: ChannelPipeline.SynchronousOperations) throws {
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: Self.limits)
        try pipeline.addHandlers([
            HTTPResponseEncoder(), place.wire,
            ByteToMessageHandler(decoder, maximumBufferSize: RuntimeWire.longestHead + RuntimeWire.longestRead),
            NIOHTTPResponseHeadersValidator(), self,
        ])
    }

    // MARK: - Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        parts += 1
        if case .body(let bytes) = part { place.wire.parsed(bytes.readableBytes) } else { place.wire.parsed() }
        take(part, context)
    }

    private func take(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
        switch (state, part) {
        case (.closing, _): break
        case (.idle, .head(let head)): begin(head, context)
        case (.uploading, .body(let bytes)) where refusal == nil: gathered.writeImmutableBuffer(bytes)
        case (.uploading, .body(let bytes)), (.asking, .body(let bytes)):
            passedOver += bytes.readableBytes
            guard passedOver > Self.longestPassedOver else { return }
            if let refusal { send(refusal, context, nil, closes: true) } else { close(context) }
        case (.uploading, .end(let trailers)):
            tellGathered()
            if let refusal { return send(refusal, context, nil) }
            state = .waiting
            tell(.end(failure: trailers.flatMap(Self.failure)))
        case (.asking(let act), .end):
            state = .waiting
            tell(act)
        case (.waiting, let part), (.answering, let part):
            // An answer and the next question may be sent as one. More could be sent without end, and no runtime does.
            guard behind.count < Self.maxBehind else { return close(context) }
            behind.append(part)
        case (.idle, _), (.uploading, .head), (.asking, .head): close(context)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        place.pace.took(parts, pending: place.wire.pending)
        parts = 0
        tellGathered()
    }

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        // Behind one that asks for another protocol nothing is HTTP any more (RFC 9110, 7.8 and 9.3.6): there is none here.
        manner.keepsAlive = head.isKeepAlive && !head.headers.contains(name: "Upgrade") && head.method != .CONNECT
        manner.isBodiless = head.method == .HEAD
        passedOver = 0
        if Self.isWord(head.headers.first(name: "Expect"), "100-continue") {
            context.writeAndFlush(
                wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
        }
        let act = Self.act(of: head)
        switch act {
        case .answer, .error:
            state = .uploading
            tell(act)
        default: state = .asking(act)
        }
    }

    private func tellGathered() {
        guard gathered.readableBytes > 0 else { return }
        let bytes = gathered
        gathered = ByteBuffer()
        tell(.body(bytes))
    }

    private func tell(_ act: RuntimeCall.Act) { place.received(RuntimeCall(act, on: place.id)) }

    // MARK: - Answers

    /// Comes in a turn of its own: answers that are given while requests are read would pile up on the stack.
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let reply = unwrapOutboundIn(data)
        switch state {
        case .waiting: send(reply, context, promise)
        case .uploading where refusal == nil:
            // Clients read once they have written.
            refusal = reply
            promise?.succeed()
        default: promise?.fail(ChannelError.ioOnClosedChannel)
        }
    }

    private func send(
        _ reply: RuntimeReply, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?,
        closes: Bool = false
    ) {
        state = .answering
        refusal = nil
        let closes = closes || !manner.keepsAlive
        var headers = HTTPHeaders(reply.headers.map { ($0.name, $0.value) })
        if !headers.contains(name: "Content-Type") { headers.add(name: "Content-Type", value: "application/json") }
        headers.add(name: "Content-Length", value: "\(reply.body.readableBytes)")
        if closes { headers.add(name: "Connection", value: "close") }
        let status = HTTPResponseStatus(statusCode: reply.status)
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !manner.isBodiless { context.write(wrapOutboundOut(.body(.byteBuffer(reply.body))), promise: nil) }
        let written = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        written.cascade(to: promise)
        written.assumeIsolated().whenSuccess { [self] in
            if closes { finish(context) } else { goOn(context) }
        }
    }

    /// The next request's turn. Not before this one's answer has left: who reads nothing is not read either.
    private func goOn(_ context: ChannelHandlerContext) {
        guard case .answering = state else { return }
        state = .idle
        // In a turn of its own it is answered, so that nothing piles up here.
        while let part = behind.popFirst() { take(part, context) }
        guard isHeldUp else { return }
        isHeldUp = false
        read(context: context)
    }

    /// What its client still sends meets no closed socket for a while: the answer would be lost with it.
    private func finish(_ context: ChannelHandlerContext) {
        guard case .answering = state else { return }
        state = .closing
        place.wire.drop()
        context.close(mode: .output, promise: nil)
        context.read()
        later?.cancel()
        later = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(1)) { context.close(promise: nil) }
    }

    // MARK: - The connection

    func read(context: ChannelHandlerContext) {
        if !behind.isEmpty { return isHeldUp = true }
        switch state {
        case .idle, .uploading, .asking:
            guard let pause = place.pace.left else { return context.read() }
            guard later == nil else { return }
            later = context.eventLoop.assumeIsolated().scheduleTask(in: pause) { [self] in
                later = nil
                read(context: context)
            }
        case .closing: if place.wire.drops { context.read() }
        // That it hangs up is told without a read.
        case .waiting, .answering: isHeldUp = true
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        later?.cancel()
        tellGathered()
        state = .closing
        place.left()
        tell(.hungUp)
    }

    /// What is no HTTP, or too much of it, ends its connection, and no more.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { close(context) }

    private func close(_ context: ChannelHandlerContext) {
        state = .closing
        place.wire.drop()
        gathered = ByteBuffer()
        behind = []
        context.close(promise: nil)
    }

    // MARK: - What is asked

    /// By bytes alone: as text, a target or a header of 16 KiB can take seconds to compare (`HostileText`).
    private static func act(of head: HTTPRequestHead) -> RuntimeCall.Act {
        let path = head.uri.utf8.prefix { $0 != UInt8(ascii: "?") }
        guard path.count <= longestPath, path.starts(with: prefix.utf8) else { return .unknown }
        let parts = path.dropFirst(prefix.utf8.count).split(
            separator: UInt8(ascii: "/"), maxSplits: 3, omittingEmptySubsequences: false)
        func isAt(_ first: String, _ last: String) -> Bool {
            parts[0].elementsEqual(first.utf8) && parts[parts.count - 1].elementsEqual(last.utf8)
        }
        let type = head.headers.first(name: "Lambda-Runtime-Function-Error-Type")?.prefix(bytes: longestType)
        switch (head.method, parts.count) {
        case (.GET, 2) where isAt("invocation", "next"): return .next
        case (.POST, 3) where isAt("invocation", "response"):
            let mode = head.headers.first(name: "Lambda-Runtime-Function-Response-Mode")
            return .answer(id: String(decoding: parts[1], as: UTF8.self), isStreamed: isWord(mode, "streaming"))
        case (.POST, 3) where isAt("invocation", "error"):
            return .error(id: String(decoding: parts[1], as: UTF8.self), type: type)
        case (.POST, 2) where isAt("init", "error"): return .error(id: nil, type: type)
        default: return .unknown
        }
    }

    /// An invocation's id is some 30 bytes long.
    private static let longestPath = 256

    /// In whatever case; as text only once it is short.
    private static func isWord(_ text: String?, _ word: String) -> Bool {
        guard let text, text.utf8.count == word.utf8.count else { return false }
        return text.lowercased() == word
    }

    /// What went wrong behind a part of an answer.
    private static func failure(_ trailers: HTTPHeaders) -> (type: String, body: String)? {
        guard let type = trailers.first(name: "Lambda-Runtime-Function-Error-Type") else { return nil }
        let text = trailers.first(name: "Lambda-Runtime-Function-Error-Body") ?? ""
        let body = Data(base64Encoded: text) ?? Data()
        return (type.prefix(bytes: longestType), String(decoding: body, as: UTF8.self))
    }
}
