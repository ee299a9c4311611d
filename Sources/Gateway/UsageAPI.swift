import Catalogue
import Foundation
import FunctionModel
import HTTPTypes
import Hummingbird
import Journal
import NIOCore
import Store
import WireText

private struct UsageRow: Encodable {
    var function: String?
    var key: String?
    var day: String?
    let invocations: Int
    let errors: Int
    let wallMs: Double
    let cpuMs: Double
    let gbSeconds: Double
    let bytesIn: Int
    let bytesOut: Int

    init(_ sum: UsageSum) {
        invocations = sum.invocations
        errors = sum.errors
        wallMs = Double(sum.wall) / 1e6
        cpuMs = Double(sum.cpu) / 1e6
        gbSeconds = sum.gbSeconds
        bytesIn = sum.bytesIn
        bytesOut = sum.bytesOut
    }
}

private struct UsagePage: Encodable {
    let from: String
    let to: String
    let usage: [UsageRow]
}

private struct BudgetRequest: Decodable {
    let gbSecondsPerMonth: Double

    private enum Keys: String, CodingKey, CaseIterable { case gbSecondsPerMonth }

    init(from decoder: any Decoder) throws {
        let members = try decoder.members(Keys.self, taken: "a budget has gbSecondsPerMonth")
        guard let number = try? members.decode(Double.self, forKey: .gbSecondsPerMonth), (0...1e15).contains(number)
        else { throw Failure(.invalidRequest, "gbSecondsPerMonth: a number from 0") }
        gbSecondsPerMonth = number
    }
}

private struct BudgetDocument: Encodable {
    let function: String
    let gbSecondsPerMonth: Double
    let spent: Double
}

/// What was used, and what may be.
struct UsageAPI: Sendable {
    let services: Services
    let intake: EventIntake

    private static let budget = RoutePath("/v1/functions/{name}/budget")

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, RoutePath("/v1/usage"), needs: .role(.admin),
                Operation(
                    id: "usage", summary: "What was used, by function, key or day",
                    about:
                        "Days are UTC's, both ends included; default: the present month. gbSeconds are the function's memory limit in GiB times wall time. Exact up to the last second before a host was killed. Accept: text/csv gives CSV.",
                    parameters: [
                        .query("from", ["type": "string", "format": "date"], "The first day, such as 2026-11-01"),
                        .query("to", ["type": "string", "format": "date"], "The last day"),
                        .query("by", .words(Self.groups), "What a row stands for; default: function"),
                        .query("function", .text, "Only of this function"),
                    ],
                    answers: [
                        Operation.Answer(
                            status: 200, about: "The rows",
                            content: [
                                "application/json": .record(
                                    ["from": .text, "to": .text, "usage": .list(of: Self.row)],
                                    required: ["from", "to", "usage"]), "text/csv": .text,
                            ])
                    ], fails: [400]), handle: usage),
            Endpoint(
                .put, Self.budget, needs: .onFunction(.admin),
                Operation(
                    id: "putBudget", summary: "Bound what a function may use in a month of UTC",
                    about: "Once it is spent: 429 throttled, until the month ends. What runs then is finished.",
                    body: [
                        "application/json": .record(
                            ["gbSecondsPerMonth": ["type": "number", "minimum": 0]], required: ["gbSecondsPerMonth"])
                    ], answers: [.json("The budget", .schema("Budget"))], fails: [400, 404])
            ) { call in
                let name = try services.catalogue.snapshot.resolve(call.reference).name
                let body = try await intake.event(of: call.request, call.context, for: nil, isJSON: true).bytes
                let request: BudgetRequest = try JSONRequest.decode(body, #"a budget is {"gbSecondsPerMonth": 100}"#)
                try await services.journal.usage.set(budget: request.gbSecondsPerMonth, of: name)
                return try show(name)
            },
            Endpoint(
                .get, Self.budget, needs: .onFunction(.deploy),
                Operation(
                    id: "getBudget", summary: "Show a function's budget, and what of it is spent",
                    answers: [.json("The budget", .schema("Budget"))], fails: [400, 404])
            ) { call in try show(try services.catalogue.snapshot.resolve(call.reference).name) },
            Endpoint(
                .delete, Self.budget, needs: .onFunction(.admin),
                Operation(
                    id: "deleteBudget", summary: "Let a function use what it likes", answers: [.empty("Deleted")],
                    fails: [400, 404])
            ) { call in
                let name = try services.catalogue.snapshot.resolve(call.reference).name
                guard services.journal.usage.budget(of: name) != nil else { throw none(name) }
                try await services.journal.usage.set(budget: nil, of: name)
                return Response(status: .noContent)
            },
        ]
    }

    private func none(_ name: FunctionName) -> Failure { Failure(.notFound, "\(name) has no budget") }

    private func show(_ name: FunctionName) throws -> Response {
        guard let (budget, spent) = services.journal.usage.budget(of: name) else { throw none(name) }
        return try Response.json(BudgetDocument(function: name.text, gbSecondsPerMonth: budget, spent: spent))
    }

    // MARK: - Usage

    private static let groups = ["function", "key", "day"]

    private func usage(_ call: Call) async throws -> Response {
        let to = try day("to", call) ?? .today
        let from = try day("from", call) ?? to.month
        guard from.number <= to.number else {
            throw Failure(.invalidRequest, "from (\(from.text)) is later than to (\(to.text))")
        }
        let by = call.query("by") ?? "function"
        guard Self.groups.contains(by) else {
            throw Failure(.invalidRequest, "by: \(Self.groups.joined(separator: ", "))")
        }
        let only = try call.query("function").map { text throws(Failure) in try Gateway.name(text) }
        var sums: [String: UsageSum] = [:]
        for (key, sum) in try await services.journal.usage.usage(from: from, to: to)
        where only.map({ $0 == key.function }) ?? true {
            let group =
                switch by {
                case "key": key.key
                case "day": UsageDay(number: key.day).text
                default: key.function.text
                }
            sums[group, default: UsageSum()] += sum
        }
        let rows = sums.sorted { $0.key < $1.key }.map { group, sum in
            var row = UsageRow(sum)
            switch by {
            case "key": row.key = group
            case "day": row.day = group
            default: row.function = group
            }
            return row
        }
        let accepts = call.request.headers[.accept] ?? ""
        guard accepts.isASCII, accepts.contains("text/csv") else {
            return try Response.json(UsagePage(from: from.text, to: to.text, usage: rows))
        }
        let head = "\(by),invocations,errors,wallMs,cpuMs,gbSeconds,bytesIn,bytesOut\r\n"
        // Names and days have no letter that CSV would have quoted.
        let lines = rows.map { row in
            "\(row.function ?? row.key ?? row.day ?? ""),\(row.invocations),\(row.errors),\(row.wallMs),\(row.cpuMs),\(row.gbSeconds),\(row.bytesIn),\(row.bytesOut)\r\n"
        }
        return Response(
            status: .ok, headers: [.contentType: "text/csv; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: head + lines.joined())))
    }

    private func day(_ name: String, _ call: Call) throws(Failure) -> UsageDay? {
        guard let text = call.query(name) else { return nil }
        guard let day = UsageDay(text) else {
            throw Failure(.invalidRequest, "query parameter \(name): a day such as 2026-11-28")
        }
        return day
    }

    // MARK: - Description

    private static let number: JSONValue = ["type": "number"]
    private static let row: JSONValue = .record(
        [
            "function": .text, "key": .text.about("Its id; empty where there was none"), "day": .text,
            "invocations": .whole, "errors": .whole, "wallMs": number, "cpuMs": number, "gbSeconds": number,
            "bytesIn": .whole, "bytesOut": .whole,
        ], required: ["invocations", "errors", "wallMs", "cpuMs", "gbSeconds", "bytesIn", "bytesOut"])

    static let schema: JSONValue = .record(
        ["function": .schema("Name"), "gbSecondsPerMonth": number, "spent": number],
        required: ["function", "gbSecondsPerMonth", "spent"])
}
