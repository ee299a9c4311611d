import Catalogue
import Events
import Foundation
import FunctionModel
import HTTPTypes
import Hummingbird
import Invoker
import Journal
import NIOCore

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
                // Of another function's there is nothing to be told, not even that it is there.
                guard let record = try await record(id), call.principal.functions.includes(record.function) else {
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
        let id = InvocationID.make()
        let version = try services.catalogue.snapshot.resolve(
            FunctionReference(name, version: number, alias: call.query("alias"))
        ) { Gateway.shareKey($0, request.headers, id) }
        let isJSON = try EventType.isJSON(request.headers[.contentType], for: version)
        let event = try await intake.event(of: request, call.context, for: name.text, isJSON: isJSON)
        try services.catalogue.snapshot.require(version)
        if prefersAsync(request) {
            try await services.events.accept(
                Invocation(
                    id: id, version: version, principal: principal, source: .queue, event: event,
                    traceparent: TraceContext.parent(request.headers)))
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
                    traceparent: TraceContext.parent(request.headers), cancellation: cancellation))
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

    private func prefersAsync(_ request: Request) -> Bool {
        request.headers[values: .prefer].contains { value in
            value.isASCII
                && value.split(separator: ",").contains {
                    $0.trimmingCharacters(in: .whitespaces).lowercased() == "respond-async"
                }
        }
    }
}
