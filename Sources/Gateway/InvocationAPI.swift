import Catalogue
import Events
import Foundation
import FunctionModel
import HTTPTypes
import Hummingbird
import Invoker
import Journal
import NIOCore
import Store
import WireText

/// Invoking directly, and what became of it.
struct InvocationAPI: Sendable {
    let services: Services
    let intake: EventIntake
    let watch: ClientWatch

    /// The fast transport looks for it, too: see `PlainInvocation`.
    static let path = RoutePath("/v1/functions/{name}/invocations")

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .post, Self.path, needs: .onFunction(.invoke),
                Operation(
                    id: "invoke", summary: "Invoke",
                    about:
                        "The body is the event; empty stands for null. The result's bytes come back. A token of role invoke is enough.",
                    parameters: [
                        .version, .query("alias", .text, "An alias; default: live"),
                        .header("Prefer", "respond-async: 202 once it is durable, the result later"),
                        .header(
                            "Idempotency-Key",
                            "The same key with the same body gets the same answer for 24 hours, and runs nothing; with another body 409"
                        ),
                    ],
                    body: ["application/json": [:], "application/octet-stream": .bytes], isBodyRequired: false,
                    answers: [
                        .result(200, "The result"),
                        Operation.Answer(
                            status: 202, about: "Accepted (respond-async)",
                            content: [
                                "application/json": .record(["id": .text, "status": ["const": "queued"]])
                            ], headers: ["Location": ["schema": .text]]),
                    ], fails: Operation.invocationFails + [409]), handle: invoke),
            Endpoint(
                .get, RoutePath("/v1/invocations/{id}"), needs: .role(.invoke),
                Operation(
                    id: "getInvocation", summary: "Show an invocation",
                    about:
                        "The newest 10,000 synchronous ones are kept in memory. Asynchronous ones carry their result, and outlive the process that ran them: the newest 10,000, with results of 64 MiB together.",
                    answers: [.json("The invocation", .schema("Invocation"))], fails: [404, 503])
            ) { call in
                let id = call.parameter("id")
                // Of another function's there is nothing to be told, not even that it is there.
                guard let record = try await record(id), call.principal.functions.includes(record.function) else {
                    throw Failure(
                        .notFound,
                        "no invocation \"\(id.prefix(bytes: 80))\" is known; the newest 10,000 are kept, and while this host runs"
                    )
                }
                return try await InvocationDocument.response(of: record, budget: services.budget)
            },
            Endpoint(
                .delete, RoutePath("/v1/invocations/{id}"), needs: .role(.invoke),
                Operation(
                    id: "cancelInvocation", summary: "Take an asynchronous invocation out that waits",
                    answers: [.empty("Taken out; its outcome is cancelled")], fails: [404, 409, 503])
            ) { call in
                let id = call.parameter("id")
                guard let record = try await record(id), call.principal.functions.includes(record.function) else {
                    throw Failure(.notFound, "no invocation \"\(printable(id.prefix(bytes: 80)))\" is known")
                }
                try await services.events.cancel(id)
                return Response(status: .noContent)
            },
        ]
    }

    private func invoke(_ call: Call) async throws -> Response {
        let request = call.request, principal = call.principal
        let name = try call.name
        let number = try call.number("version", in: 1...Int.max)
        let id = InvocationID.make()
        let version = try services.catalogue.snapshot.resolve(
            FunctionReference(name, version: number, alias: call.query("alias"))
        ) { Gateway.shareKey($0, request.headers, id) }
        let isJSON = try EventType.isJSON(request.headers[.contentType], for: version)
        let event = try await intake.event(of: request, call.context, for: name.text, isJSON: isJSON)
        try services.catalogue.snapshot.require(version)
        let invocation = Invocation(
            id: id, version: version, principal: principal, source: prefersAsync(request) ? .queue : .direct,
            event: event, traceparent: TraceContext.parent(request.headers))
        guard let key = request.headers[.idempotencyKey] else {
            return invocation.source == .queue
                ? try await accept(invocation) { _ in nil }.response : try await run(invocation, call).response
        }
        // Looked at as it is, a body that is none would be kept as an answer.
        if let problem = event.problem { throw Failure.notJSON(problem) }
        let begun = try await services.events.idempotency.begin(
            key, of: principal.keyID ?? "", for: name, body: event.bytes.readableBytesView)
        switch begun {
        case .again(let kept):
            let charge = services.budget.charge(of: name.text)
            guard charge.add(2 * (kept.size ?? 0)) else { throw Failure.crowded }
            return try IdempotentAnswer(kept, body: try await services.events.idempotency.body(of: kept)).response(
                charge)
        case .first(let ticket): return try await once(invocation, ticket, call).response
        }
    }

    /// Carries it out for all who come with this key.
    private func once(
        _ invocation: Invocation, _ ticket: IdempotencyKeys.Ticket, _ call: Call
    ) async throws -> Answered {
        let keys = services.events.idempotency
        do {
            if invocation.source == .queue {
                let answered = try await accept(invocation) { try $0.kept(as: ticket, of: invocation.id, by: keys) }
                keys.release(ticket)
                return answered
            }
            // Whoever leaves may come again with the key, for the answer.
            let answered = answered(await services.invoker.invoke(invocation), invocation)
            guard answered.isFinal else {
                keys.release(ticket)
                return answered
            }
            do {
                try await keys.finish(ticket, try answered.answer.kept(as: ticket, of: invocation.id, by: keys))
            } catch  where Problem.isNoRoom(error) {
                throw HostFault(
                    "this was carried out, as invocation \(invocation.id), but its answer cannot be stored: the disk of the host's data directory is full. Make room there; the same Idempotency-Key would carry it out again"
                )
            }
            return answered
        } catch {
            keys.release(ticket)
            throw error
        }
    }

    private struct Answered {
        let answer: IdempotentAnswer
        var charge: MemoryBudget.Charge?
        /// Whether the function has seen it: then it is not carried out again.
        var isFinal = true

        var response: Response { answer.response(charge) }
    }

    private func accept(
        _ invocation: Invocation, keeping: (IdempotentAnswer) throws -> KeptAnswer?
    ) async throws -> Answered {
        var headers: HTTPFields = [.contentType: "application/json; charset=utf-8"]
        headers[.location] = "/v1/invocations/\(invocation.id)"
        headers[.bulkheadInvocation] = invocation.id
        headers[.bulkheadVersion] = invocation.version.label
        headers[.preferenceApplied] = "respond-async"
        let body = ByteBuffer(bytes: try JSONEncoder.ours.encode(["id": invocation.id, "status": "queued"]))
        let answer = IdempotentAnswer(status: 202, headers: headers, body: body)
        try await services.events.accept(invocation, answer: try keeping(answer))
        return Answered(answer: answer)
    }

    private func run(_ invocation: Invocation, _ call: Call) async throws -> Answered {
        let completion = await watch.watching(call.context.channel) { [invocation] cancellation in
            var invocation = invocation
            invocation.cancellation = cancellation
            return await services.invoker.invoke(invocation)
        }
        return answered(completion, invocation)
    }

    private func answered(_ completion: Completion, _ invocation: Invocation) -> Answered {
        let answer = InvocationAnswer(completion, id: invocation.id, version: invocation.version)
        let isFinal = !completion.hasNotRun && completion.outcome != .launchFailed
        return Answered(
            answer: IdempotentAnswer(status: answer.status.code, headers: answer.headers, body: answer.body),
            charge: answer.charge, isFinal: isFinal)
    }

    /// What is known of an invocation, whichever way it came.
    private func record(_ id: String) async throws -> InvocationRecord? {
        if let record = services.journal.record(id) { return record }
        return try await services.events.record(id)
    }

    private func prefersAsync(_ request: Request) -> Bool {
        request.headers[values: .prefer].contains { value in
            value.isASCII
                && value.split(separator: ",").contains {
                    $0.trimmingCharacters(in: .whitespaces).lowercased() == "respond-async"
                }
        }
    }
}
