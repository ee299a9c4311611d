import Catalogue
import Events
import Foundation
import FunctionModel
import HostSystem
import Hummingbird
import Invoker
import Journal
import NIOCore
import Store
import WireText

private struct DeadLetterDocument: Encodable {
    let id: String
    let version: ShownVersion
    let outcome: Outcome?
    let problem: Problem?
    let attempts: Int
    let webhook: String?
    let acceptedAt: String
    let diedAt: String
    let eventBytes: Int

    init(_ letter: DeadLetter) {
        let record = InvocationRecord(letter)
        id = letter.id
        version = ShownVersion(letter.version)
        outcome = record?.outcome
        problem = record?.failure.map { Problem($0, invocationID: letter.id) }
        attempts = letter.attempts
        webhook = letter.webhook
        acceptedAt = timestamp(milliseconds: letter.acceptedAt)
        diedAt = timestamp(milliseconds: letter.diedAt)
        eventBytes = letter.size
    }
}

private struct DeadLetterPage: Encodable {
    let deadLetters: [DeadLetterDocument]
    var next: String?
}

/// Asynchronous invocations that are not tried any more.
struct DeadLetterAPI: Sendable {
    let services: Services

    private static let all = RoutePath("/v1/functions/{name}/dead-letters")
    private static let one = RoutePath("/v1/functions/{name}/dead-letters/{id}")

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, Self.all, needs: .onFunction(.deploy),
                Operation(
                    id: "listDeadLetters",
                    summary: "List asynchronous invocations that are not tried any more; the newest first",
                    about: "The newest 100,000 are kept, with 1 GiB of events together.",
                    parameters: [.page(upTo: 1000), .cursor],
                    answers: [
                        .json(
                            "A page",
                            .record(
                                [
                                    "deadLetters": .list(of: .schema("DeadLetter")),
                                    "next": .text.about("Pass as cursor for the next page; absent on the last"),
                                ], required: ["deadLetters"]))
                    ], fails: [400, 404]), handle: list),
            Endpoint(
                .get, Self.one, needs: .onFunction(.deploy),
                Operation(
                    id: "getDeadLetterEvent", summary: "The event of a dead letter, as it came",
                    answers: [
                        Operation.Answer(
                            status: 200, about: "The event", content: ["application/octet-stream": .bytes])
                    ], fails: [400, 404, 503])
            ) { call in
                let name = try services.catalogue.snapshot.resolve(call.reference).name
                let id = call.parameter("id")
                guard let event = try await services.events.event(ofDead: id, of: name) else {
                    throw Failure(.notFound, "\(name) has no dead letter \"\(printable(id.prefix(bytes: 80)))\"")
                }
                let charge = services.budget.charge(of: name.text)
                guard charge.add(event.count) else { throw Failure.crowded }
                return Response(
                    status: .ok, headers: [.contentType: "application/octet-stream"],
                    body: .charged(ByteBuffer(bytes: event), to: charge))
            },
            Endpoint(
                .post, RoutePath("/v1/functions/{name}/dead-letters/redrive"), needs: .onFunction(.deploy),
                Operation(
                    id: "redriveAll", summary: "Try all dead letters of a function again",
                    answers: [Self.count("redriven", status: 202)], fails: [400, 404, 503])
            ) { call in try await redrive(nil, call) },
            Endpoint(
                .post, RoutePath("/v1/functions/{name}/dead-letters/{id}/redrive"), needs: .onFunction(.deploy),
                Operation(
                    id: "redrive", summary: "Try a dead letter again, as if it had just come",
                    about: "It runs by its own version; where that has gone, by the one that live names.",
                    answers: [Self.count("redriven", status: 202)], fails: [400, 404, 503])
            ) { call in try await redrive(call.parameter("id"), call) },
            Endpoint(
                .delete, Self.all, needs: .onFunction(.deploy),
                Operation(
                    id: "purgeDeadLetters", summary: "Forget all dead letters of a function",
                    answers: [Self.count("deleted", status: 200)], fails: [400, 404])
            ) { call in
                let name = try services.catalogue.snapshot.resolve(call.reference).name
                return try Response.json(["deleted": try await services.events.removeDeadLetters(nil, of: name)])
            },
            Endpoint(
                .delete, Self.one, needs: .onFunction(.deploy),
                Operation(
                    id: "deleteDeadLetter", summary: "Forget a dead letter", answers: [.empty("Deleted")],
                    fails: [400, 404])
            ) { call in
                let name = try services.catalogue.snapshot.resolve(call.reference).name
                _ = try await services.events.removeDeadLetters(call.parameter("id"), of: name)
                return Response(status: .noContent)
            },
        ]
    }

    private static func count(_ member: String, status: Int) -> Operation.Answer {
        .json("How many", .record([member: .whole], required: [member]), status: status)
    }

    private func list(_ call: Call) async throws -> Response {
        let name = try services.catalogue.snapshot.resolve(call.reference).name
        let limit = try call.number("limit", in: 1...1000) ?? 100
        let before = try call.number("cursor", in: 1...Int.max).map(Int64.init)
        let letters = try await services.events.deadLetters(of: name, before: before, limit: limit + 1)
        let shown = letters.prefix(limit)
        return try Response.json(
            DeadLetterPage(
                deadLetters: shown.map(DeadLetterDocument.init),
                next: letters.count > limit ? shown.last.map { String($0.position) } : nil))
    }

    private func redrive(_ id: String?, _ call: Call) async throws -> Response {
        let version = try services.catalogue.snapshot.resolve(call.reference)
        let count = try await services.events.redrive(id, of: version.name, version: version)
        return try Response.json(["redriven": count], status: .accepted)
    }

    static let schema: JSONValue = .record(
        [
            "id": .text.about("The invocation's"), "version": .shownVersion, "outcome": .schema("Outcome"),
            "problem": .schema("Problem"), "attempts": .whole,
            "webhook": .text.about("The URL that was not told of an invocation; absent for an invocation itself"),
            "acceptedAt": .date, "diedAt": .date, "eventBytes": .whole,
        ], required: ["id", "version", "attempts", "acceptedAt", "diedAt", "eventBytes"])
}
