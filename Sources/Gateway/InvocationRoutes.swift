import Catalogue
import Events
import Foundation
import FunctionModel
import HTTPTypes
import HostSystem
import Hummingbird
import Invoker
import Journal
import NIOCore
import NIOHTTP1

extension HTTPField.Name {
    // These are constants that parse.
    static let bulkheadInvocation = HTTPField.Name("Bulkhead-Invocation-Id")!
    static let bulkheadOutcome = HTTPField.Name("Bulkhead-Outcome")!
    static let bulkheadVersion = HTTPField.Name("Bulkhead-Version")!
    static let bulkheadStart = HTTPField.Name("Bulkhead-Start")!
    static let bulkheadUsage = HTTPField.Name("Bulkhead-Usage")!
    static let serverTiming = HTTPField.Name("Server-Timing")!
    static let prefer = HTTPField.Name("Prefer")!
    static let preferenceApplied = HTTPField.Name("Preference-Applied")!
    static let traceparent = HTTPField.Name("traceparent")!
}

extension Gateway {
    /// The fast transport looks for it, too: see `PlainInvocation`.
    static let invocations = RoutePath("/v1/functions/{name}/invocations")

    var invocationEndpoints: [Endpoint] {
        [
            Endpoint(
                .post, Self.invocations, needs: .role(.invoke),
                Operation(
                    id: "invoke", summary: "Invoke",
                    about:
                        "The body is the event; empty stands for null. The result's bytes come back. A token of scope invoke is enough.",
                    parameters: [
                        .version, .query("alias", .text, "An alias; today only latest"),
                        .header("Prefer", "respond-async: 202 at once, the result later"),
                    ],
                    body: ["application/json": [:], "application/octet-stream": .bytes], isBodyRequired: false,
                    answers: [
                        .result(200, "The result"),
                        Operation.Answer(
                            status: 202, about: "Accepted (respond-async)",
                            content: [
                                "application/json": .record(["id": .text, "status": ["const": "queued"]])
                            ], headers: ["Location": ["schema": .text]]),
                    ], fails: Operation.invocationFails), handle: invoke),
            Endpoint(
                .get, RoutePath("/v1/invocations/{id}"), needs: .role(.invoke),
                Operation(
                    id: "getInvocation", summary: "Show an invocation",
                    about:
                        "The newest 10,000 synchronous ones are kept in memory. Asynchronous ones carry their result, and outlive the process that ran them: the newest 10,000, with results of 64 MiB together.",
                    answers: [.json("The invocation", .schema("Invocation"))], fails: [404, 503])
            ) { call in
                let id = call.parameter("id")
                guard let record = try await record(id) else {
                    throw Failure(
                        .notFound,
                        "no invocation \"\(id.prefix(bytes: 80))\" is known; the newest 10,000 are kept, and while this host runs"
                    )
                }
                return try await InvocationDocument.response(of: record, budget: services.budget)
            },
        ]
    }

    private func invoke(_ call: Call) async throws -> Response {
        let request = call.request, principal = call.principal
        let name = try call.name
        let number = try call.number("version", in: 1...Int.max)
        let version = try services.catalogue.snapshot.resolve(
            FunctionReference(name, version: number, alias: call.query("alias")))
        let isJSON = try EventType.isJSON(request.headers[.contentType], for: version)
        let event = try await event(of: request, call.context, for: name.text, isJSON: isJSON)
        try services.catalogue.snapshot.require(version)
        let id = Self.makeID()
        if prefersAsync(request) {
            try await services.events.accept(
                Invocation(
                    id: id, version: version, principal: principal, source: .queue, event: event,
                    traceparent: traceparent(request)))
            var response = try Response.json(["id": id, "status": "queued"], status: .accepted)
            response.headers[.location] = "/v1/invocations/\(id)"
            response.headers[.bulkheadInvocation] = id
            response.headers[.bulkheadVersion] = String(version.number)
            response.headers[.preferenceApplied] = "respond-async"
            return response
        }
        let completion = await watch.watching(call.context.channel) { cancellation in
            await services.invoker.invoke(
                Invocation(
                    id: id, version: version, principal: principal, source: .direct, event: event,
                    traceparent: traceparent(request), cancellation: cancellation))
        }
        let answer = InvocationAnswer(completion, id: id, version: version)
        return Response(
            status: answer.status, headers: answer.headers, body: .charged(answer.body, to: answer.charge))
    }

    /// What is known of an invocation, whichever way it came.
    private func record(_ id: String) async throws -> InvocationRecord? {
        if let record = services.journal.record(id) { return record }
        return try await services.events.record(id)
    }

    // MARK: - Shared with the HTTP event route

    /// A random UUID (RFC 9562, version 4), in lower case.
    static func makeID() -> String {
        let high = BufferedRandom.next() & ~0xf000 | 0x4000
        let low = BufferedRandom.next() & ~(3 << 62) | 2 << 62
        return String(unsafeUninitializedCapacity: 36) { text in
            var at = 0
            for position in 0..<32 {
                if position == 8 || position == 12 || position == 16 || position == 20 {
                    text[at] = UInt8(ascii: "-")
                    at += 1
                }
                let digit = UInt8((position < 16 ? high : low) >> UInt64((15 - position % 16) * 4) & 15)
                text[at] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
                at += 1
            }
            return at
        }
    }

    /// The event, up to the limit.
    /// - Parameters:
    ///   - function: the name of the function that it is for.
    ///   - isJSON: whether it has to be JSON.
    func event(
        of request: Request, _ context: GatewayContext, for function: String?, isJSON: Bool
    ) async throws -> ArrivedEvent {
        let limit = services.maxEvent
        if Self.length(request.headers) > limit { throw Self.tooLarge(limit) }
        context.askForBody(of: request)
        var reader = readers.begin(for: function, isJSON: isJSON)
        do {
            for try await chunk in request.body { try reader.add(chunk) }
        } catch let error as HTTPParserError {
            // Its head was sound, so the parser says it only here.
            throw Self.notFramed(error)
        }
        return reader.finish()
    }

    /// What a head says of its body's length, in bytes: what is beyond all numbers is larger than any limit.
    static func length(_ headers: HTTPFields) -> Int { headers[.contentLength].map(length) ?? 0 }

    /// What `Content-Length` says; more than anybody may send where it is no number that there is.
    static func length(_ header: String) -> Int { Int(header) ?? .max }

    static func tooLarge(_ limit: Int) -> Failure {
        Failure(.payloadTooLarge, "the event is larger than \(ByteSize(bytes: limit)), this host's limit")
    }

    static func notFramed(_ error: HTTPParserError) -> Failure {
        Failure(.invalidRequest, "the event's bytes are not framed as HTTP has it: \(error)")
    }

    /// W3C trace context, version 00, or nothing.
    func traceparent(_ request: Request) -> String? { request.headers[.traceparent].flatMap(Self.traceparent) }

    static func traceparent(_ text: String) -> String? {
        guard text.utf8.count == 55 else { return nil }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        let isHex = text.utf8.allSatisfy {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
                || $0 == UInt8(ascii: "-")
        }
        return isHex && parts.map(\.utf8.count) == [2, 32, 16, 2] ? text : nil
    }

    private func prefersAsync(_ request: Request) -> Bool {
        request.headers[values: .prefer].contains { value in
            value.isASCII
                && value.split(separator: ",").contains {
                    $0.trimmingCharacters(in: .whitespaces).lowercased() == "respond-async"
                }
        }
    }

    /// The headers that every invocation's response carries.
    /// - Parameter isHolder: whether the caller holds a token: what it cost exactly is not for strangers.
    static func description(
        of completion: Completion, id: String, version: FunctionVersion, isHolder: Bool = true
    ) -> [HTTPField] {
        var fields: [HTTPField] = []
        fields.reserveCapacity(6)
        fields.append(HTTPField(name: .bulkheadInvocation, value: id))
        fields.append(HTTPField(name: .bulkheadOutcome, value: completion.outcome.rawValue))
        fields.append(HTTPField(name: .bulkheadVersion, value: String(version.number)))
        fields.append(HTTPField(name: .bulkheadStart, value: completion.start.rawValue))
        guard isHolder else { return fields }
        let usage = completion.usage, wall = decimal(usage.wall)
        var text = ""
        text.reserveCapacity(80)
        func add(_ name: String, _ value: String) {
            text += name
            text += value
        }
        add("wall-ms=", wall)
        add(", cpu-ms=", decimal(usage.cpu))
        add(", memory-bytes=", String(usage.memoryBytes))
        if let initialization = usage.initialization { add(", init-ms=", decimal(initialization)) }
        fields.append(HTTPField(name: .bulkheadUsage, value: text))
        text.removeAll(keepingCapacity: true)
        add("queue;dur=", decimal(completion.queueTime))
        add(", start;dur=", decimal(completion.startTime))
        add(", run;dur=", wall)
        fields.append(HTTPField(name: .serverTiming, value: text))
        return fields
    }

    /// Milliseconds as an RFC 8941 decimal: three digits behind the point.
    static func decimal(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let microseconds = max(0, seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
        var text = String(microseconds / 1000)
        let fraction = microseconds % 1000
        text += fraction < 10 ? ".00" : fraction < 100 ? ".0" : "."
        text += String(fraction)
        return text
    }
}

/// An invocation as the API shows it.
private struct InvocationDocument: Encodable {
    struct UsageDocument: Encodable {
        enum CodingKeys: String, CodingKey {
            case wall = "wall-ms"
            case cpu = "cpu-ms"
            case memory = "memory-bytes"
            case initialization = "init-ms"
        }

        let wall: Double
        let cpu: Double
        let memory: Int
        let initialization: Double?
    }

    let id: String
    let function: String
    let version: Int
    let status: String
    let outcome: Outcome?
    let start: StartKind?
    let usage: UsageDocument?
    let startedAt: String?
    let problem: Problem?
    let resultEncoding: String?

    private enum CodingKeys: String, CodingKey {
        case id, function, version, status, outcome, start, usage, startedAt, problem, resultEncoding
    }

    init(_ record: InvocationRecord) {
        id = record.id
        function = record.function.text
        version = record.version
        status = record.status.rawValue
        outcome = record.outcome
        start = record.start
        usage = record.usage.map {
            UsageDocument(
                wall: $0.wall.inMilliseconds, cpu: $0.cpu.inMilliseconds, memory: $0.memoryBytes,
                initialization: $0.initialization?.inMilliseconds)
        }
        startedAt = record.startedAt.map { timestamp($0) }
        problem = record.failure.map { Problem($0, invocationID: record.id) }
        switch record.resultKind {
        case _ where record.result == nil: resultEncoding = nil
        case .json: resultEncoding = "json"
        case .text: resultEncoding = "text"
        case .bytes, nil: resultEncoding = "base64"
        }
    }

    /// A large result is put into its document elsewhere than on a thread that others wait for, and charged until the client
    /// has it.
    /// - Throws: `Failure` overloaded.
    static func response(of record: InvocationRecord, budget: MemoryBudget) async throws -> Response {
        let size = record.result?.readableBytes ?? 0
        guard size > 64 << 10 else { return response(with: try Self(record).encoded(with: record.result), nil) }
        let charge = budget.charge(of: record.function.text)
        guard charge.add(record.resultKind == .json ? size : size * 2) else { throw Failure.crowded }
        let body = try await SlowLane.answers.run { try Self(record).encoded(with: record.result) }
        return response(with: body, charge)
    }

    private static func response(with body: ByteBuffer, _ charge: MemoryBudget.Charge?) -> Response {
        Response(status: .ok, headers: [.contentType: "application/json"], body: .charged(body, to: charge))
    }

    /// The document with its result in it: JSON as the function wrote it, text as a string, bytes in base64; each held once.
    private func encoded(with result: ByteBuffer?) throws -> ByteBuffer {
        var body = ByteBuffer(bytes: try JSONEncoder.ours.encode(self))
        guard let result else { return body }
        body.moveWriterIndex(to: body.writerIndex - 1)  // its closing brace
        body.reserveCapacity(body.writerIndex + result.readableBytes / 2 * 3 + 64)
        body.writeString(#","result":"#)
        switch resultEncoding {
        case "json": body.writeImmutableBuffer(result)
        case "text": HTTPEventBody.writeString(result, to: &body)
        default: HTTPEventBody.writeBase64(result, to: &body)
        }
        body.writeString("}")
        return body
    }
}
