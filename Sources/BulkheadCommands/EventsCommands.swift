import ArgumentParser
import Foundation
import FunctionModel
import Host
import NIOHTTP1
import WireText

struct DeadLettersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead-letters",
        abstract: "Lists, redrives and deletes asynchronous invocations that have failed for good.",
        subcommands: [List.self, Redrive.self, Delete.self], defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Lists a function's dead letters.")

        @Argument(help: "The function's name.") var name: String
        @OptionGroup var host: HostOptions

        private struct Letter: Decodable {
            struct Problem: Decodable { let detail: String }
            let id: String
            let diedAt: String
            let attempts: Int
            let outcome: String?
            let problem: Problem?
        }

        func run() throws {
            let all = try host.client().pages("/v1/functions/\(escaped(name))/dead-letters", of: "deadLetters")
            if host.json { return try printDocument(["deadLetters": all]) }
            let letters = try JSONDecoder().decode([Letter].self, from: JSONSerialization.data(withJSONObject: all))
            let rows = letters.map {
                [
                    $0.id, $0.diedAt, "\($0.attempts)", $0.outcome ?? "-",
                    printable($0.problem?.detail.prefix(bytes: 80) ?? "-"),
                ]
            }
            printTable([["ID", "DIED", "ATTEMPTS", "OUTCOME", "WHY"]] + rows)
        }
    }

    struct Redrive: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "redrive", abstract: "Tries dead letters again, as if they had just come.")

        @Argument(help: "The function's name.") var name: String
        @Argument(help: "A dead letter's id. Default: all of the function.")
        var id: String?
        @OptionGroup var host: HostOptions

        private struct Answer: Decodable { let redriven: Int }

        func run() throws {
            let one = id.map { "/\(escaped($0))" } ?? ""
            let answer = try host.client().get(.POST, "/v1/functions/\(escaped(name))/dead-letters\(one)/redrive")
            if host.json { return printJSON(answer) }
            print("redriven: \(try JSONDecoder().decode(Answer.self, from: answer.body).redriven)")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "delete", abstract: "Forgets dead letters.")

        @Argument(help: "The function's name.") var name: String
        @Argument(help: "A dead letter's id.")
        var id: String?
        @Flag(help: "All of the function.")
        var all = false
        @OptionGroup var host: HostOptions

        func validate() throws {
            if (id == nil) != all { throw ValidationError("name a dead letter's id, or --all") }
        }

        func run() throws {
            let one = id.map { "/\(escaped($0))" } ?? ""
            _ = try host.client().get(.DELETE, "/v1/functions/\(escaped(name))/dead-letters\(one)")
            complain("deleted \(id ?? "all dead letters of \(name)")", prefix: "")
        }
    }
}

struct UsageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage", abstract: "Says what was used, by function, key or day.")

    @Option(help: "function, key or day.")
    var by = "function"
    @Option(help: "The first day of UTC, such as 2026-11-01. Default: the month's first.")
    var from: String?
    @Option(help: "The last day. Default: today.")
    var to: String?
    @Flag(help: "Print CSV.")
    var csv = false
    @OptionGroup var host: HostOptions

    private struct Page: Decodable {
        struct Row: Decodable {
            let function: String?
            let key: String?
            let day: String?
            let invocations: Int
            let errors: Int
            let wallMs: Double
            let cpuMs: Double
            let gbSeconds: Double
        }
        let usage: [Row]
    }

    func run() throws {
        let query = ["by": by, "from": from, "to": to].compactMapValues { $0 }.sorted { $0.key < $1.key }
            .map { "\($0.key)=\(escaped($0.value))" }.joined(separator: "&")
        let client = try host.client()
        let answer = try client.accepted(client.send(.GET, "/v1/usage?\(query)", accept: csv ? "text/csv" : nil))
        if csv { return FileHandle.standardOutput.write(answer.body) }
        if host.json { return printJSON(answer) }
        let rows = try JSONDecoder().decode(Page.self, from: answer.body).usage.map { row in
            [
                row.function ?? row.day ?? (row.key.map { $0.isEmpty ? "-" : $0 } ?? "-"), "\(row.invocations)",
                "\(row.errors)", "\(Int(row.wallMs.rounded()))", "\(Int(row.cpuMs.rounded()))",
                "\((row.gbSeconds * 1000).rounded() / 1000)",
            ]
        }
        printTable([[by.uppercased(), "INVOCATIONS", "ERRORS", "WALL-MS", "CPU-MS", "GB-SECONDS"]] + rows)
    }
}
