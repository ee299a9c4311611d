import ArgumentParser
import Foundation
import FunctionModel
import Host
import NIOHTTP1

/// A schedule as the commands read it.
private struct ScheduleSummary: Decodable {
    let id: String
    let cron: String?
    let every: String?
    let timezone: String?
    let function: String
    let alias: String
    let enabled: Bool
    let nextAt: String?
}

struct SchedulesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedules", abstract: "Lists, sets, runs and deletes schedules: functions run by the clock.",
        subcommands: [List.self, Set.self, Run.self, Runs.self, Delete.self], defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists the schedules.")

        @OptionGroup var host: HostOptions

        func run() throws {
            let all = try host.client().pages("/v1/schedules", of: "schedules")
            if host.json { return try printDocument(["schedules": all]) }
            let schedules = try JSONDecoder().decode(
                [ScheduleSummary].self, from: JSONSerialization.data(withJSONObject: all))
            let rows = schedules.map { one in
                [
                    one.id, one.cron ?? "every \(one.every ?? "?")", one.timezone ?? "-",
                    one.alias == Alias.live ? one.function : "\(one.function):\(one.alias)",
                    one.enabled ? one.nextAt ?? "never" : "disabled",
                ]
            }
            printTable([["ID", "WHEN", "ZONE", "FUNCTION", "NEXT"]] + rows)
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Has a function run by the clock.")

        @Argument(help: "The schedule's id.")
        var id: String
        @Argument(help: "Five fields such as \"*/5 9-17 * * MON-FRI\", @daily and its like, or \"every 30s\".")
        var when: String
        @Argument(help: "The function that runs.")
        var function: String
        @Option(help: "The event, as JSON. Default: null.")
        var data: String?
        @Option(help: "An IANA zone such as Europe/Berlin. Default: UTC.")
        var timezone: String?
        @Option(help: "An alias of the function. Default: live.")
        var alias: String?
        @Option(help: "What if the one before has not ended: skip or allow.")
        var overlap: String?
        @Option(help: "What becomes of times that passed while the host was not there: skip or once.")
        var missed: String?
        @Flag(help: "Enter it, but do not run it.")
        var disabled = false
        @OptionGroup var host: HostOptions

        func run() throws {
            var body: [String: Any] = ["function": function, "enabled": !disabled]
            if when.hasPrefix("every ") { body["every"] = String(when.dropFirst(6)) } else { body["cron"] = when }
            body["timezone"] = timezone
            body["alias"] = alias
            body["overlap"] = overlap
            body["missed"] = missed
            var bytes = Array(try JSONSerialization.data(withJSONObject: body))
            if let data {
                // As it is written: a number may have more digits than anybody here can keep.
                bytes.removeLast()
                bytes += Array(",\"event\":\(data)}".utf8)
            }
            let answer = try host.client().get(
                .PUT, "/v1/schedules/\(escaped(id))", body: bytes, contentType: "application/json")
            if host.json { return printJSON(answer) }
            let entered = try JSONDecoder().decode(ScheduleSummary.self, from: answer.body)
            print("\(entered.id): \(entered.function) runs next at \(entered.nextAt ?? "no time")")
        }
    }

    struct Run: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "run", abstract: "Runs a schedule now.")

        @Argument(help: "The schedule's id.")
        var id: String
        @OptionGroup var host: HostOptions

        private struct Answer: Decodable { let invocationId: String }

        func run() throws {
            let answer = try host.client().get(.POST, "/v1/schedules/\(escaped(id))/run")
            if host.json { return printJSON(answer) }
            print("invocation \(try JSONDecoder().decode(Answer.self, from: answer.body).invocationId)")
        }
    }

    struct Runs: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "runs", abstract: "Says when a schedule was due, and what came of it.")

        @Argument(help: "The schedule's id.")
        var id: String
        @Option(help: "How many.")
        var limit = 20
        @OptionGroup var host: HostOptions

        private struct Page: Decodable {
            struct Run: Decodable {
                let due: String
                let status: String
                let invocationId: String?
                let outcome: String?
                let reason: String?
            }
            let runs: [Run]
        }

        func run() throws {
            let answer = try host.client().get(.GET, "/v1/schedules/\(escaped(id))/runs?limit=\(limit)")
            if host.json { return printJSON(answer) }
            let rows = try JSONDecoder().decode(Page.self, from: answer.body).runs.map {
                [$0.due, $0.status, $0.outcome ?? "-", $0.invocationId ?? $0.reason ?? "-"]
            }
            printTable([["DUE", "STATUS", "OUTCOME", "INVOCATION"]] + rows)
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "delete", abstract: "Deletes a schedule.")

        @Argument(help: "The schedule's id.")
        var id: String
        @OptionGroup var host: HostOptions

        func run() throws {
            _ = try host.client().get(.DELETE, "/v1/schedules/\(escaped(id))")
            complain("deleted \(id)", prefix: "")
        }
    }
}
