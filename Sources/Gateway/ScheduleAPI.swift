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

private struct RunDocument: Encodable {
    let due: String
    let at: String
    let status: String
    let invocationId: String?
    /// Of the invocation, once it has ended.
    let outcome: Outcome?
    let reason: String?

    init(_ run: ScheduleRun, _ outcome: Outcome?) {
        due = timestamp(milliseconds: run.due)
        at = timestamp(milliseconds: run.at)
        status = run.kind.rawValue
        invocationId = run.invocation
        self.outcome = outcome
        reason = run.reason
    }
}

private struct RunPage: Encodable {
    let runs: [RunDocument]
}

/// Functions that are invoked by the clock.
struct ScheduleAPI: Sendable {
    let services: Services
    let intake: EventIntake

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, RoutePath("/v1/schedules"), needs: .role(.admin),
                Operation(
                    id: "listSchedules", summary: "List schedules, by their ids",
                    parameters: [.page(upTo: 1000), .cursor],
                    answers: [
                        .json(
                            "A page",
                            .record(
                                [
                                    "schedules": .list(of: .schema("Schedule")),
                                    "next": .text.about("Pass as cursor for the next page; absent on the last"),
                                ], required: ["schedules"]))
                    ], fails: [400]), handle: list),
            Endpoint(
                .get, RoutePath("/v1/schedules/{id}"), needs: .role(.admin),
                Operation(
                    id: "getSchedule", summary: "Show a schedule",
                    answers: [.tagged("The schedule", .schema("Schedule"))], fails: [404])
            ) { call in try response(try schedule(call)) },
            Endpoint(
                .put, RoutePath("/v1/schedules/{id}"), needs: .role(.admin),
                Operation(
                    id: "putSchedule", summary: "Have a function run by the clock",
                    about:
                        "cron has five fields, or is @hourly and its like; times are the zone's wall clock: those of an hour that is left out are due once after it, those of one that comes twice once. every counts from when the schedule was made. Each due time runs once, also when the host is killed meanwhile. It is an asynchronous invocation: retries, dead letters and destinations are the function's.",
                    parameters: [.ifMatch, .dryRun], body: ["application/json": Self.body],
                    answers: [
                        .tagged("Changed, or the same as before. Or what a dry run would do", .orChange("Schedule")),
                        .tagged("New", .schema("Schedule"), status: 201),
                    ], fails: [400, 404, 409, 412, 413, 503]), handle: put),
            Endpoint(
                .delete, RoutePath("/v1/schedules/{id}"), needs: .role(.admin),
                Operation(
                    id: "deleteSchedule", summary: "Delete a schedule, and its history", parameters: [.ifMatch],
                    answers: [.empty("Deleted")], fails: [404, 412])
            ) { call in
                let id = call.parameter("id")
                guard try await services.schedules.remove(id, call.precondition) else { throw unknown(id) }
                return Response(status: .noContent)
            },
            Endpoint(
                .post, RoutePath("/v1/schedules/{id}/run"), needs: .role(.admin),
                Operation(
                    id: "runSchedule", summary: "Run it now, whatever the clock says",
                    answers: [.json("Accepted", Self.run, status: 202)], fails: [404, 409, 503])
            ) { call in
                let run = try await services.schedules.runNow(schedule(call))
                if let reason = run.reason { throw Failure(.conflict, "it cannot run: \(reason)") }
                var response = try Response.json(RunDocument(run, nil), status: .accepted)
                if let id = run.invocation { response.headers[.location] = "/v1/invocations/\(id)" }
                return response
            },
            Endpoint(
                .get, RoutePath("/v1/schedules/{id}/runs"), needs: .role(.admin),
                Operation(
                    id: "listScheduleRuns", summary: "When it was due, and what came of it; the newest first",
                    about: "The newest 1,000 of each schedule are kept.", parameters: [.page(upTo: 1000)],
                    answers: [.json("Runs", .record(["runs": .list(of: Self.run)], required: ["runs"]))],
                    fails: [400, 404]), handle: runs),
        ]
    }

    private func schedule(_ call: Call) throws -> Schedule {
        let id = call.parameter("id")
        guard let schedule = services.schedules.schedule(id) else { throw unknown(id) }
        return schedule
    }

    private func unknown(_ id: String) -> Failure {
        Failure(
            .notFound,
            "there is no schedule \"\(printable(id.prefix(bytes: 80)))\"; GET /v1/schedules lists what there is")
    }

    private func list(_ call: Call) async throws -> Response {
        let limit = try call.number("limit", in: 1...1000) ?? 100
        let after = call.query("cursor") ?? ""
        let page = services.schedules.all.filter { $0.id > after }.prefix(limit + 1)
        var body = ByteBuffer(string: "{\"schedules\":[")
        for (index, schedule) in page.prefix(limit).enumerated() {
            if index > 0 { body.writeString(",") }
            body.writeImmutableBuffer(try document(schedule))
        }
        body.writeString("]")
        if page.count > limit, let last = page.prefix(limit).last { body.writeString(",\"next\":\"\(last.id)\"") }
        body.writeString("}")
        return Self.answer(body)
    }

    private func put(_ call: Call) async throws -> Response {
        let id = call.parameter("id")
        guard Route.isID(id) else {
            throw Failure(
                .invalidRequest, "\"\(printable(id.prefix(bytes: 80)))\" is no schedule's id: \(Route.idRule)")
        }
        let body = try await intake.event(of: call.request, call.context, for: nil, isJSON: true)
        if let problem = body.problem { throw Failure.notJSON(problem) }
        var schedule = try Schedule(document: body.bytes)
        guard schedule.id.isEmpty || schedule.id == id else {
            throw Failure(.invalidRequest, "id: the path says \"\(id)\", the body another one")
        }
        schedule.id = id
        schedule.since = 0
        if try call.isDryRun { return try Response.json(["change": services.schedules.change(of: schedule)]) }
        let (entered, isNew) = try await services.schedules.put(schedule, now: timestamp(), call.precondition)
        return try response(entered, isNew: isNew)
    }

    private func runs(_ call: Call) async throws -> Response {
        let schedule = try schedule(call)
        let limit = try call.number("limit", in: 1...1000) ?? 100
        var documents: [RunDocument] = []
        for run in try await services.schedules.runs(of: schedule.id, limit: limit) {
            var outcome: Outcome?
            if let id = run.invocation { outcome = try await services.events.record(id)?.outcome }
            documents.append(RunDocument(run, outcome))
        }
        return try Response.json(RunPage(runs: documents))
    }

    private func document(_ schedule: Schedule) throws -> ByteBuffer {
        let next = services.schedules.next(of: schedule.id)
        return try schedule.document(
            next: .some(next.map { timestamp(milliseconds: $0) }))
    }

    private func response(_ schedule: Schedule, isNew: Bool = false) throws -> Response {
        Self.answer(try document(schedule), isNew ? .created : .ok).tagged(schedule.tag)
    }

    private static func answer(_ body: ByteBuffer, _ status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json; charset=utf-8"],
            body: ResponseBody(byteBuffer: body))
    }

    // MARK: - Description

    static let members: [String: JSONValue] = [
        "cron": .text.about("Five fields, such as */5 9-17 * * MON-FRI, or @daily; or else every"),
        "every": .text.about("Such as 30s"), "timezone": .text.about("Of cron; default: UTC"),
        "function": .text, "alias": .text.about("Default: live"),
        "event": .object([:]).about("What the function gets; default: null"),
        "overlap": .words(Schedule.Overlap.allCases.map(\.rawValue)).about("What if the one before has not ended"),
        "missed": .words(Schedule.Missed.allCases.map(\.rawValue)).about(
            "What becomes of times that passed while the host was not there"), "enabled": .flag,
    ]
    private static let body: JSONValue = .record(members, required: ["function"])

    private static let run: JSONValue = .record(
        [
            "due": .date, "at": .date, "status": .words(ScheduleRun.Kind.allCases.map(\.rawValue)),
            "invocationId": .text, "outcome": .schema("Outcome"), "reason": .text,
        ], required: ["due", "at", "status"])

    static let schema: JSONValue = .record(
        members.merging([
            "id": .text, "updatedAt": .text, "since": .whole.about("From when every counts, in ms since 1970"),
            "nextAt": .object(["type": ["string", "null"], "format": "date-time"]),
        ]) { $1 }, required: ["id", "function", "alias", "event", "overlap", "missed", "enabled"])
}
