import Access
import Catalogue
import Foundation
import FunctionModel
import HTTPTypes
import HostSystem
import Hummingbird
import Invoker
import NIOCore
import WireText

/// `/fn/`: an HTTP request as a function's event, its result as the response.
struct FunctionHTTP: Sendable {
    let services: Services
    let intake: EventIntake
    let watch: ClientWatch
    let front: Gateway.Front

    var endpoints: [Endpoint] {
        func operation(_ id: String) -> Operation {
            Operation(
                id: id, summary: "HTTP event",
                about:
                    "The request as an API Gateway payload format 2.0 event; the result is answered as a Lambda function URL does. No token with auth: none, or where the function has a URL of Lambda's that is open to all; /fn/NAME:ALIAS is there where the alias has one.",
                answers: [
                    .result(
                        200,
                        "Whatever status, headers and body the function says; 200 and the result without statusCode")
                ], fails: Operation.invocationFails)
        }
        return [
            Endpoint(nil, RoutePath("/fn/{name}"), needs: .functionsOwn, operation("event"), handle: answer),
            Endpoint(
                nil, RoutePath("/fn/{name}/{path+}"), needs: .functionsOwn, operation("event_path"), handle: answer),
        ]
    }

    typealias Place = HTTPAdmission.Place
    typealias Visit = HTTPAdmission.Visit
    typealias Admitted = HTTPAdmission.Admitted

    private var admission: HTTPAdmission { HTTPAdmission(services: services) }

    /// What is larger is taken apart elsewhere: see `SlowLane`.
    private static let quick = 64 << 10

    private func answer(_ call: Call) async throws -> Response {
        let request = call.request
        // A router leaves empty segments out, and who stands in front may not: `//fn/x` must not be one's `/fn/x` and the
        // other's `fn`.
        guard request.uri.path.isPath(below: "/fn") else {
            throw Failure(
                .notFound, "there is nothing at \(request.uri.path.prefix(bytes: 200)); functions are at /fn/{name}")
        }
        let part = request.uri.path.pathComponents.dropFirst(2).first ?? ""
        let reference = try HTTPAdmission.reference(part.removingPercentEncoding ?? part)
        let path = String(Substring(request.uri.path.utf8.dropFirst("/fn/".utf8.count + part.utf8.count)))
        let place = Place(reference: reference, path: path.isEmpty ? "/" : path)
        return try await answer(request, call.context, atURL: admission.visit(request, place))
    }

    func answer(_ request: Request, _ context: GatewayContext, at place: Place) async throws -> Response {
        try await answer(request, context, admission.visit(request, place))
    }

    func answer(_ request: Request, _ context: GatewayContext, _ visit: Visit) async throws -> Response {
        let place = visit.place
        let admitted = try await admission.admit(request, visit)
        // Of a signed body the signature is looked at first: whoever has none must not use the rate up.
        if let route = place.route, !admitted.isSigned { try services.access.take(of: route) }
        guard let version = visit.served else { throw HTTPAdmission.nothing(at: place) }
        let arrival = Arrival(
            request: request, headers: headers(of: request, admitted), context: context, visit: visit,
            admitted: admitted)
        var draft = Invocation(
            id: visit.id, version: version, principal: admitted.principal, source: .http,
            event: ArrivedEvent(ByteBuffer(), charge: nil, problem: nil),
            traceparent: TraceContext.parent(request.headers))
        draft.timeout = place.route?.timeout
        if version.manifest.stream { return try await streamed(draft, arrival) }
        var invocation = draft
        (invocation.event, draft.principal) = try await event(of: arrival)
        invocation.principal = draft.principal
        try services.catalogue.snapshot.require(version)
        let handover = Handover(invocation)
        invocation = draft
        return try response(await run(handover, context, place.format), draft)
    }

    /// What the function sees of them.
    private func headers(of request: Request, _ admitted: Admitted) -> HTTPFields {
        var headers = request.headers
        // The host's tokens are not the function's to see, whatever they are for; what was found to be signed by others is none.
        let token = admitted.claims == nil ? headers[.authorization].flatMap { Bearer($0).token } : nil
        let isHosts = token.map { services.access.key(for: $0) != nil } ?? false
        if isHosts || admitted.claim != nil { headers[.authorization] = nil }
        return headers
    }

    /// A request that may come in, on its way to an event.
    private struct Arrival: Sendable {
        let request: Request
        /// Those that the function sees.
        let headers: HTTPFields
        let context: GatewayContext
        let visit: Visit
        var admitted: Admitted
    }

    /// What cannot be carried on as HTTP is the invocation's own failure, in its record and its metrics too.
    private func run(
        _ handover: Handover, _ context: GatewayContext, _ format: PayloadFormat
    ) async -> StreamedAnswer.Ended {
        await watch.watching(context.channel) { cancellation in
            var invocation = handover.take()
            invocation.cancellation = cancellation
            let stream = invocation.stream
            return await services.invoker.invoke(invocation) { completion in
                await stream?.finished()
                if let refusal = stream?.refusal { return .failure(refusal) }
                guard stream?.hasBegun == true, case .success = completion.result else {
                    return await Self.answer(of: completion, as: format)
                }
                return .success(HTTPEventAnswer(beginning: ByteBuffer()))
            }
        }
    }

    private func streamed(_ asked: Invocation, _ arrival: Arrival) async throws -> Response {
        let (id, version, format) = (asked.id, asked.version, arrival.visit.place.format)
        var draft = asked
        let stream = ResponseStream(charge: services.budget.charge(of: version.name.text))
        var invocation = draft
        invocation.stream = stream
        var coming: StreamedEvent?
        do {
            // A signature is of all of a body, and what speaks takes an event as a line.
            if arrival.admitted.isSigned || version.speech != .command {
                (invocation.event, draft.principal) = try await event(of: arrival)
                invocation.principal = draft.principal
            } else {
                let (body, more) = try await intake.streamedEvent(
                    of: arrival.request, arrival.context, for: version.name.text, failed: { stream.refuse($0) })
                coming = more
                invocation.event =
                    if let more { try event(beginning: arrival, body, more) } else {
                        try await event(describing: arrival, body)
                    }
            }
            try services.catalogue.snapshot.require(version)
        } catch {
            await coming?.end(within: .zero)
            throw error
        }
        let (more, context, isHolder) = (coming, arrival.context, draft.principal.isHolder)
        // Taken once: what its event is charged to must not be held for as long as the answer takes.
        let handover = Handover(invocation)
        invocation = draft
        let answer = StreamedAnswer(stream, event: more) { await run(handover, context, format) }
        let manner = StreamedAnswer.Manner(
            format: format, looksForHead: version.speech != .jsonRPC, isHeadOnly: arrival.request.method == .head,
            fields: { InvocationHeaders.beginning(start: $0, id: id, version: version) },
            trailers: { HTTPFields(InvocationHeaders.end(of: $0, isHolder: isHolder)) })
        switch await answer.begin(manner) {
        case .begun(let response): return response
        case .bodiless(let completion, var response):
            for field in InvocationHeaders.end(of: completion, isHolder: isHolder) {
                response.headers[field.name] = field.value
            }
            await more?.end()
            return response
        case .whole(let ended):
            await more?.end()
            return try response(ended, draft)
        }
    }

    private func response(_ ended: StreamedAnswer.Ended, _ invocation: Invocation) throws -> Response {
        let (completion, answer) = ended
        let (id, isHolder) = (invocation.id, invocation.principal.isHolder)
        var response: Response
        switch answer {
        case .success(let answer):
            response = Response(
                status: HTTPResponse.Status(code: answer.status), body: .charged(answer.body, to: completion.charge))
            for (name, value) in answer.headers { response.headers.append(HTTPField(name: name, value: value)) }
        case .failure(let failure):
            response = try Problem(failure, invocationID: id, isHolder: isHolder).response()
        }
        for field in InvocationHeaders.fields(
            of: completion, id: id, version: invocation.version, isHolder: isHolder)
        {
            response.headers[field.name] = field.value
        }
        return response
    }

    /// The event, and whose it is: that a signature holds is known with the body.
    private func event(of arrival: Arrival) async throws -> (ArrivedEvent, Principal) {
        var arrival = arrival
        let (request, place) = (arrival.request, arrival.visit.place)
        let body = try await intake.event(of: request, arrival.context, for: place.reference.name.text, isJSON: false)
        if let rule = arrival.admitted.signature {
            let signature = HTTPField.Name(rule.header).flatMap { request.headers[$0] }
            if body.bytes.readableBytes <= Self.quick {
                try rule.check(signature, body: body.bytes.readableBytesView)
            } else {
                try await SlowLane.answers.run { try rule.check(signature, body: body.bytes.readableBytesView) }
            }
            if let route = place.route { try services.access.take(of: route) }
        }
        if let claim = arrival.admitted.claim {
            arrival.admitted.principal = try await admission.principal(
                signing: request, claim, body.bytes, for: place.reference.name)
        }
        return (try await event(describing: arrival, body), arrival.admitted.principal)
    }

    /// Of one that is larger than what is held: with what is still to come of it.
    private func event(beginning arrival: Arrival, _ body: ArrivedEvent, _ more: StreamedEvent) throws -> ArrivedEvent {
        var bytes = describe(arrival).beginning()
        guard body.charge?.add(bytes.readableBytes + body.bytes.readableBytes) ?? true else { throw Failure.crowded }
        bytes.writeImmutableBuffer(body.bytes)
        var event = ArrivedEvent(bytes, charge: body.charge, problem: nil, isRaw: true)
        event.rest = more.rest
        return event
    }

    private func event(describing arrival: Arrival, _ body: ArrivedEvent) async throws -> ArrivedEvent {
        let event = describe(arrival), type = arrival.headers[.contentType] ?? ""
        let encoded =
            body.bytes.readableBytes <= Self.quick
            ? event.encoded(body: body.bytes, type: type)
            : try await SlowLane.answers.run { event.encoded(body: body.bytes, type: type) }
        // Both are held for a moment; from here on only the event is.
        if let charge = body.charge {
            guard charge.add(max(0, encoded.readableBytes - body.bytes.readableBytes)) else {
                throw Failure.crowded
            }
        }
        return ArrivedEvent(encoded, charge: body.charge, problem: nil)
    }

    private func describe(_ arrival: Arrival) -> RequestEvent {
        let (request, context, place) = (arrival.request, arrival.context, arrival.visit.place)
        return RequestEvent(
            .init(
                method: request.method.rawValue, path: place.path, query: request.uri.query ?? "",
                parameters: Gateway.decodedQuery(of: request), authority: request.head.authority ?? "",
                headers: arrival.headers,
                connection: .init(
                    peer: context.peer, clientAddress: front.proxies.client(context.peer, request.headers),
                    isProxy: front.proxies.mayForward(context.peer), port: context.channel.localAddress?.port ?? 80,
                    scheme: front.scheme), invocationID: arrival.visit.id, function: place.reference.name,
                now: Date(),
                routed: place.route.map { HTTPEvent.Routed(key: "\($0.pattern)", parameters: place.parameters) },
                authorizer: Self.authorizer(arrival.admitted, place.route)), as: place.format)
    }

    private static func authorizer(_ admitted: Admitted, _ route: Route?) -> HTTPEvent.Context.Authorizer? {
        if let claims = admitted.claims {
            let isScoped = if case .jwt(let rule)? = route?.auth { !rule.scopes.isEmpty } else { false }
            return .jwt(claims: claims.all, scopes: isScoped ? claims.scopes : nil)
        }
        guard admitted.claim != nil, case .key(let holder) = admitted.principal else { return nil }
        return .iam(holder)
    }

    private static func answer(
        of completion: Completion, as format: PayloadFormat
    ) async -> Result<HTTPEventAnswer, Failure> {
        let output: Completion.Output
        switch completion.result {
        case .success(let value): output = value
        case .failure(let failure): return .failure(failure)
        }
        @Sendable func read() -> Result<HTTPEventAnswer, Failure> {
            Result { () throws(Failure) in try HTTPEventAnswer(result: output.body, kind: output.kind, as: format) }
        }
        guard output.body.readableBytes > quick else { return read() }
        do {
            return try await SlowLane.answers.run(read)
        } catch {
            return .failure(Failure(.protocolError, "\(error)"))  // not reached: reading gives its failure back
        }
    }
}

extension ResponseBody {
    private static let small = 4 << 10

    /// A body whose bytes are charged until the client has them, or nearly all: written in copied slices, each once the one before
    /// has gone out. A client that reads nothing holds the charge.
    static func charged(_ bytes: ByteBuffer, to charge: MemoryBudget.Charge?) -> ResponseBody {
        guard bytes.readableBytes > small else { return ResponseBody(byteBuffer: bytes) }
        return ResponseBody(contentLength: bytes.readableBytes) { writer in
            for slice in AnswerSlices(bytes) { try await writer.write(slice) }
            try await writer.finish(nil)
            withExtendedLifetime(charge) {}
        }
    }
}
