import Access
import Catalogue
import Foundation
import FunctionModel
import HTTPTypes
import HostSystem
import Hummingbird
import Invoker
import NIOCore

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
                    "The request as an API Gateway payload format 2.0 event; the result is answered as a Lambda function URL does. No token with auth: none.",
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
        let name = try Gateway.name(part.removingPercentEncoding ?? part)
        let prefix = "/fn/\(name)"
        let path = request.uri.path.hasPrefix(prefix) ? String(request.uri.path.dropFirst(prefix.count)) : ""
        return try await answer(
            request, call.context, at: Place(reference: FunctionReference(name), path: path.isEmpty ? "/" : path))
    }

    /// Where a request has come to.
    struct Place {
        let reference: FunctionReference
        /// As the event tells it.
        let path: String
        var route: Route?
        var parameters: [String: String] = [:]
    }

    /// One that may come in.
    private struct Admitted {
        var principal = Principal.anonymous
        var claims: Claims?
        /// What the body must still be found to be.
        var signature: HMACRule?
    }

    func answer(_ request: Request, _ context: GatewayContext, at place: Place) async throws -> Response {
        let name = place.reference.name
        // Read once: what says who may call it, and what is called, is one and the same version.
        let id = InvocationID.make()
        let served = try? services.catalogue.snapshot.resolve(place.reference) {
            Gateway.shareKey($0, request.headers, id)
        }
        let admitted = try await admit(request, place, served)
        // Of a signed body the signature is looked at first: whoever has none must not use the rate up.
        if let route = place.route, admitted.signature == nil { try services.access.take(of: route) }
        var headers = request.headers
        // The host's tokens are not the function's to see, whatever they are for; what was found to be signed by others is none.
        if admitted.claims == nil, let token = headers[.authorization].flatMap({ Bearer($0).token }),
            services.access.key(for: token) != nil
        {
            headers[.authorization] = nil
        }
        guard let version = served else {
            throw place.route == nil
                ? Snapshot.unknown(name)
                : Failure(.notFound, "this route leads to a function or an alias that is not there any more")
        }
        let arrival = Arrival(
            request: request, headers: headers, context: context, id: id, place: place, admitted: admitted)
        var invocation = Invocation(
            id: id, version: version, principal: admitted.principal, source: .http,
            event: ArrivedEvent(ByteBuffer(), charge: nil, problem: nil),
            traceparent: TraceContext.parent(request.headers))
        invocation.timeout = place.route?.timeout
        if version.manifest.stream { return try await streamed(invocation, arrival) }
        let draft = invocation
        invocation.event = try await event(of: arrival)
        try services.catalogue.snapshot.require(version)
        let handover = Handover(invocation)
        invocation = draft
        return try response(await run(handover, context), draft)
    }

    /// A request that may come in, on its way to an event.
    private struct Arrival: Sendable {
        let request: Request
        /// Those that the function sees.
        let headers: HTTPFields
        let context: GatewayContext
        let id: String
        let place: Place
        let admitted: Admitted
    }

    /// What cannot be carried on as HTTP is the invocation's own failure, in its record and its metrics too.
    private func run(_ handover: Handover, _ context: GatewayContext) async -> StreamedAnswer.Ended {
        await watch.watching(context.channel) { cancellation in
            var invocation = handover.take()
            invocation.cancellation = cancellation
            let stream = invocation.stream
            return await services.invoker.invoke(invocation) { completion in
                await stream?.finished()
                if let refusal = stream?.refusal { return .failure(refusal) }
                guard stream?.hasBegun == true, case .success = completion.result else {
                    return await Self.answer(of: completion)
                }
                return .success(HTTPEventAnswer(beginning: ByteBuffer()))
            }
        }
    }

    private func streamed(_ draft: Invocation, _ arrival: Arrival) async throws -> Response {
        let (id, version, isHolder) = (draft.id, draft.version, draft.principal.isHolder)
        let stream = ResponseStream(charge: services.budget.charge(of: version.name.text))
        var invocation = draft
        invocation.stream = stream
        var coming: StreamedEvent?
        do {
            // A signature is of all of a body, and what speaks takes an event as a line.
            if arrival.admitted.signature != nil || version.speaksJSONRPC {
                invocation.event = try await event(of: arrival)
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
        let more = coming
        // Taken once: what its event is charged to must not be held for as long as the answer takes.
        let handover = Handover(invocation)
        invocation = draft
        let answer = StreamedAnswer(stream, event: more) { await run(handover, arrival.context) }
        let manner = StreamedAnswer.Manner(
            looksForHead: !version.speaksJSONRPC, isHeadOnly: arrival.request.method == .head,
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

    /// - Throws: `Failure` unauthorized, forbidden or throttled.
    private func admit(_ request: Request, _ place: Place, _ served: FunctionVersion?) async throws -> Admitted {
        let name = place.reference.name
        // Open to all: an Authorization that is not this host's is the function's affair.
        func anybody() -> Admitted {
            Admitted(principal: (try? Gateway.authorize(request, .invoke, on: name, services)) ?? .anonymous)
        }
        // Without a token a caller does not even learn which functions there are.
        func holder() throws -> Admitted {
            Admitted(principal: try Gateway.authorize(request, .invoke, on: name, services))
        }
        guard let route = place.route else {
            return served?.manifest.auth == Manifest.Auth.none ? anybody() : try holder()
        }
        switch route.auth {
        case .none: return anybody()
        case .token: return try holder()
        case .jwt(let rule):
            let bearer = request.headers[.authorization].map { Bearer($0, longest: 9 << 10) }
            return Admitted(claims: try await services.access.claims(of: bearer, by: rule, for: route))
        case .hmac(let rule):
            try rule.require(HTTPField.Name(rule.header).flatMap { request.headers[$0] })
            return Admitted(signature: rule)
        }
    }

    private func event(of arrival: Arrival) async throws -> ArrivedEvent {
        let (request, place) = (arrival.request, arrival.place)
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
        return try await event(describing: arrival, body)
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

    private func describe(_ arrival: Arrival) -> HTTPEvent {
        let (request, context, place) = (arrival.request, arrival.context, arrival.place)
        return HTTPEvent(
            .init(
                method: request.method.rawValue, path: place.path, query: request.uri.query ?? "",
                parameters: Gateway.decodedQuery(of: request), authority: request.head.authority ?? "",
                headers: arrival.headers,
                connection: .init(
                    peer: context.peer, clientAddress: front.proxies.client(context.peer, request.headers),
                    isProxy: front.proxies.mayForward(context.peer), port: context.channel.localAddress?.port ?? 80,
                    scheme: front.scheme), invocationID: arrival.id, function: place.reference.name,
                now: Date(), routed: Self.routed(place, arrival.admitted.claims)))
    }

    private static func routed(_ place: Place, _ claims: Claims?) -> HTTPEvent.Routed? {
        guard let route = place.route else { return nil }
        let authorizer = claims.map { claims in
            let isScoped = if case .jwt(let rule) = route.auth { !rule.scopes.isEmpty } else { false }
            return HTTPEvent.Context.Authorizer(claims: claims.all, scopes: isScoped ? claims.scopes : nil)
        }
        return HTTPEvent.Routed(
            key: "\(route.pattern)", parameters: place.parameters, authorizer: authorizer)
    }

    private static func answer(of completion: Completion) async -> Result<HTTPEventAnswer, Failure> {
        let output: Completion.Output
        switch completion.result {
        case .success(let value): output = value
        case .failure(let failure): return .failure(failure)
        }
        @Sendable func read() -> Result<HTTPEventAnswer, Failure> {
            Result { () throws(Failure) in try HTTPEventAnswer(result: output.body, kind: output.kind) }
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
