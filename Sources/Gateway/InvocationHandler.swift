import Access
import Catalogue
import FunctionModel
import HTTPTypes
import Invoker
import Journal
import LambdaAPI
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import WireText

/// Serves `POST /v1/functions/{name}/invocations` right on the connection's event loop, in front of the HTTP framework,
/// which serves all the rest: with an idle reactor, routing, tasks and their hops between threads cost more than the
/// invocation. (Tests/Benchmarks measures both.)
///
/// What is out of the ordinary (a query, `Prefer`, `Expect`, `Connection`) goes the framework's way, too.
final class InvocationHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private enum State {
        /// Requests go through to the framework.
        case passing
        /// An invocation's event is arriving.
        case reading
        case running
        /// The client has not taken its answer yet: until then nothing further is begun.
        case draining
        /// The last answer is on its way; nothing more is taken.
        case closing
    }

    /// The invocation that is being read or runs.
    private struct Current {
        var id = ""
        var version: FunctionVersion?
        var principal = Principal.anonymous
        var failure: Failure?
        var traceparent: String?
        /// Bytes of a refused one.
        var passedOver = 0
        var reading: EventReader?
        var cancellation: Cancellation?
        /// Where it is one of Lambda's.
        var lambda: PlainLambda?
    }

    /// What waits for an answer to be out.
    private struct Later {
        /// What came behind an invocation before it was answered.
        var held: CircularBuffer<HTTPRequestPart> = []
        var wantsRead = false
        var wantsQuiescing = false
        /// What was wrong with bytes behind an invocation that is not answered yet.
        var error: (any Error)?
    }

    private let gateway: Gateway
    private var state = State.passing
    /// Requests that the framework has not answered.
    private var passed = 0
    private var later = Later()
    private var isGoingOn = false
    private var isStream = false
    /// The last name that was accepted on this connection: most ask for one only.
    private var acceptedName: String?
    /// The last `Authorization` header: likewise.
    private var lastBearer: Bearer?
    private var context: ChannelHandlerContext?
    private var current = Current()
    private static let longestPassedOver = 64 << 10

    init(_ gateway: Gateway) { self.gateway = gateway }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        // Of HTTP/2: its connection stands between it and the listener.
        isStream = context.channel.parent?.parent != nil
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        current.cancellation?.cancel()
        self.context = nil
    }

    // MARK: - Arriving

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { take(unwrapInboundIn(data), context) }

    private func take(_ part: HTTPRequestPart, _ context: ChannelHandlerContext) {
        switch (state, part) {
        case (.passing, .head(var head)):
            let isOneHost = Self.settleHost(&head)
            let part = HTTPRequestPart.head(head)
            if !isOneHost {
                refuse(Failure(.invalidRequest, "the request names two hosts"), status: nil, context)
            } else if let flaw = Self.flaw(in: head) {
                refuse(Failure(.invalidRequest, flaw), status: nil, context)
            } else if !accepts(head.authority) {
                refuse(Failure(.invalidRequest, HostNames.refusal(of: head.authority)), status: 421, context)
            } else if passed == 0, let plain = PlainInvocation(head) {
                state = .reading
                begin(plain, head)
            } else {
                passed += 1
                context.fireChannelRead(wrapInboundOut(part))
            }
        case (.passing, _): context.fireChannelRead(wrapInboundOut(part))
        case (.reading, .body(let bytes)): add(bytes, context)
        case (.reading, .end): run(context)
        case (.reading, .head), (.closing, _): break  // no parser gives a head within a request
        case (.running, _), (.draining, _): later.held.append(part)
        }
    }

    /// HTTP/2 may name the host in two places, as may a client that repeats its header: all that follows looks at one.
    /// - Returns: false where they differ (RFC 9112, 3.2; RFC 9113, 8.3.1).
    private static func settleHost(_ head: inout HTTPRequest) -> Bool {
        let fields = head.headerFields[values: .host]
        guard let first = fields.first else { return true }
        head.headerFields[.host] = nil
        let authority = head.authority ?? first
        head.authority = authority
        return fields.allSatisfy { $0.isSame(as: authority) }
    }

    /// RFC 9110, 4.1, asks for 8,000 at least.
    private static let longestTarget = 16 << 10
    private static let longestBeyondASCII = 4 << 10

    /// What the framework compares as strings, and a client without a token can send, must be short: see `HostileText`.
    private static func flaw(in head: HTTPRequest) -> String? {
        if head.path?.utf8.count ?? 0 > longestTarget {
            return "the path and query are longer than \(longestTarget) bytes; send what is long as the body"
        }
        let long = head.headerFields.first { $0.value.utf8.count > longestBeyondASCII && !$0.value.isASCII }
        return long.map { "the header \($0.name) has more than \(longestBeyondASCII) bytes that are not all ASCII" }
    }

    private func accepts(_ authority: String?) -> Bool {
        if let authority, let acceptedName, acceptedName.isSame(as: authority) { return true }
        guard gateway.accepts(authority) else { return false }
        acceptedName = authority
        return true
    }

    private func refuse(_ failure: Failure, status: Int?, _ context: ChannelHandlerContext) {
        // Behind requests that are not answered yet there is no place for an answer.
        guard passed == 0 else { return context.close(promise: nil) }
        answer(InvocationAnswer(failure, status: status), closes: true, context)
    }

    private func begin(_ invocation: PlainInvocation, _ head: HTTPRequest) {
        let id = InvocationID.make()
        current = Current(id: id)
        if invocation.isLambda {
            current.lambda = PlainLambda(head, id: id, gateway)
            current.reading = gateway.intake.begin(for: invocation.function)
            return
        }
        current.traceparent = invocation.traceparent.flatMap(TraceContext.parent)
        let bearer = invocation.authorization.map { header in
            lastBearer.flatMap { $0.header.isSame(as: header) ? $0 : nil } ?? Bearer(header)
        }
        lastBearer = bearer
        var isJSON = true
        do throws(Failure) {
            // Whether the token still stands for a key is looked up each time.
            current.principal = try gateway.services.access.principal(
                bearer, needing: .invoke, on: FunctionName(invocation.function))
            let version = try gateway.services.catalogue.snapshot.resolve(
                FunctionReference(Gateway.name(invocation.function))
            ) { Gateway.shareKey($0, head.headerFields, id) }
            isJSON = try EventType.isJSON(invocation.contentType, for: version)
            current.version = version
            let limit = gateway.services.maxEvent
            if invocation.length > limit { throw EventIntake.tooLarge(limit) }
        } catch {
            current.failure = error
        }
        current.reading = gateway.intake.begin(for: invocation.function, isJSON: isJSON)
    }

    private func add(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        if let failure = current.failure {
            // Refused already: the rest is read past, if it is short, and answered then.
            current.passedOver += bytes.readableBytes
            if current.passedOver > Self.longestPassedOver {
                current.reading = nil
                refuse(failure, closes: true, context)
            }
            return
        }
        do throws(Failure) {
            try current.reading?.add(bytes)
        } catch {
            // The rest of it is not waited for.
            current.reading = nil
            refuse(error, closes: true, context)
        }
    }

    // MARK: - Running

    private func run(_ context: ChannelHandlerContext) {
        let event = current.reading?.finish()
        current.reading = nil
        if let event, let begun = current.lambda?.begin(event, gateway) { return run(begun, context) }
        guard current.failure == nil, let version = current.version, let event else {
            return refuse(current.failure ?? Failure(.notFound, "no version"), closes: false, context)
        }
        do throws(Failure) {
            try gateway.services.catalogue.snapshot.require(version)
        } catch {
            return refuse(error, closes: false, context)
        }
        let id = current.id
        let invocation = Invocation(
            id: id, version: version, principal: current.principal, source: .direct, event: event,
            traceparent: current.traceparent)
        submit(invocation, context) { InvocationAnswer($0, id: id, version: version) }
    }

    private func run(_ begun: PlainInvoke.Begun, _ context: ChannelHandlerContext) {
        current.lambda = nil
        switch begun {
        case .answered(let refusal): answer(InvocationAnswer(refusal), closes: false, context)
        case .runs(let plain):
            submit(plain.invocation, context) { [plain = plain.withoutEvent] in InvocationAnswer(plain.answer(to: $0)) }
        }
    }

    private func submit(
        _ invocation: Invocation, _ context: ChannelHandlerContext,
        answer make: @escaping @Sendable (Completion) -> InvocationAnswer
    ) {
        state = .running
        let cancellation = Cancellation(), loop = context.eventLoop
        current.cancellation = cancellation
        let this = NIOLoopBound(self, eventLoop: loop)
        var invocation = invocation
        (invocation.cancellation, invocation.replyOn) = (cancellation, loop)
        gateway.services.invoker.submit(invocation) { completion in
            guard !loop.inEventLoop else { return this.value.ended(make(completion)) }
            loop.execute { this.value.ended(make(completion)) }
        }
    }

    private func ended(_ ending: InvocationAnswer) {
        current.cancellation = nil
        if let context, case .running = state { answer(ending, closes: false, context) }
    }

    private func refuse(_ failure: Failure, closes: Bool, _ context: ChannelHandlerContext) {
        gateway.services.journal.refused(failure.outcome)
        let aws = current.lambda.map { gateway.lambda.answer(to: failure, $0.request) }
        answer(aws.map { InvocationAnswer($0) } ?? InvocationAnswer(failure), closes: closes, context)
    }

    private func answer(_ answer: InvocationAnswer, closes: Bool, _ context: ChannelHandlerContext) {
        var headers = answer.headers
        headers.append(HTTPField(name: .contentLength, value: String(answer.body.readableBytes)))
        headers.append(HTTPField(name: .date, value: HTTPDate.now))
        headers.append(HTTPField(name: .server, value: "bulkhead"))
        if closes, !isStream { headers.append(HTTPField(name: .connection, value: "close")) }
        context.write(wrapOutboundOut(.head(HTTPResponse(status: answer.status, headerFields: headers))), promise: nil)
        if answer.body.readableBytes > 0 { context.write(wrapOutboundOut(.body(answer.body)), promise: nil) }
        if closes, isStream {
            state = .closing
            let channel = context.channel
            context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
            return
        }
        if closes {
            state = .closing
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            // What the client still sends is read for a while: closed at once, its answer would be lost with the connection.
            context.close(mode: .output, promise: nil)
            context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(2)) { context.close(promise: nil) }
            return
        }
        if later.wantsQuiescing {
            later.wantsQuiescing = false
            state = .closing
            context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in
                context.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
            }
            return
        }
        // Small ones always find room: nobody need know when they have gone out.
        if let charge = answer.charge, answer.body.readableBytes > 4 << 10 {
            context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in withExtendedLifetime(charge) {} }
        } else {
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
        // Whoever asks on and on and reads nothing must not be answered on and on.
        guard context.channel.isWritable else {
            state = .draining
            return
        }
        goOn(context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if case .draining = state, context.channel.isWritable { goOn(context) }
        context.fireChannelWritabilityChanged()
    }

    /// The next request's turn. Not called by itself: requests that are answered at once must not pile up on the stack.
    private func goOn(_ context: ChannelHandlerContext) {
        state = .passing
        guard !isGoingOn else { return }
        isGoingOn = true
        let hadHeld = !later.held.isEmpty
        while !later.held.isEmpty, !isRunning, !isClosing { take(later.held.removeFirst(), context) }
        isGoingOn = false
        if hadHeld { context.fireChannelReadComplete() }  // what came through waits for it
        guard later.held.isEmpty, !isClosing else { return }
        // Also while the next one runs: that its client leaves is read, too.
        if later.wantsRead {
            later.wantsRead = false
            context.read()
        }
        guard !isRunning else { return }
        if later.wantsQuiescing, isPassing {
            later.wantsQuiescing = false
            context.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
        if let error = later.error {
            later.error = nil
            errorCaught(context: context, error: error)
        }
    }

    // MARK: - What else happens to a connection

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { passed -= 1 }
        context.write(data, promise: promise)
    }

    /// A client that sends more requests than are answered waits: nothing grows meanwhile.
    func read(context: ChannelHandlerContext) {
        if case .draining = state {
            later.wantsRead = true
        } else if later.held.isEmpty {
            context.read()
        } else {
            later.wantsRead = true
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent, !isPassing {
            later.wantsQuiescing = true  // this one is finished first
            return
        }
        // A client that closes its sending side has gone: no HTTP client half-closes and then waits.
        if case .inputClosed = event as? ChannelEvent {
            current.cancellation?.cancel()
            if case .closing = state { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        state = .closing
        later.held.removeAll()
        current.reading = nil
        current.cancellation?.cancel()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if isRunning {
            later.error = error  // its turn comes after the answer
            return
        }
        guard case .reading = state, let parser = error as? HTTPParserError else {
            return context.fireErrorCaught(error)
        }
        current.reading = nil
        answer(InvocationAnswer(EventIntake.notFramed(parser)), closes: true, context)
    }

    private var isPassing: Bool { if case .passing = state { true } else { false } }
    /// Whether what comes has to wait.
    private var isRunning: Bool {
        switch state {
        case .running, .draining: true
        case .passing, .reading, .closing: false
        }
    }
    private var isClosing: Bool { if case .closing = state { true } else { false } }
}
