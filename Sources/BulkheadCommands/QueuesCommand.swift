import ArgumentParser
import Foundation
import FunctionModel
import Host
import NIOHTTP1

/// A queue as the commands read it.
private struct QueueSummary: Decodable {
    struct Messages: Decodable { let waiting, inFlight, delayed: Int }

    let name: String
    let visibility: String
    let maxReceives: Int?
    let deadLetters: String?
    let messages: Messages?
}

private struct MappingSummary: Decodable {
    let function: String
    let alias: String
    let batchSize: Int
    let enabled: Bool
    let lastResult: String?
}

struct QueuesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queues", abstract: "Queues by name, and the functions that get what waits in them.",
        subcommands: [
            List.self, Show.self, Set.self, Send.self, Map.self, Unmap.self, Redrive.self, Purge.self, Delete.self,
        ], defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists the queues.")

        @OptionGroup var host: HostOptions

        func run() throws {
            let all = try host.client().pages("/v1/queues", of: "queues")
            if host.json { return try printDocument(["queues": all]) }
            let queues = try JSONDecoder().decode(
                [QueueSummary].self, from: JSONSerialization.data(withJSONObject: all))
            let rows = queues.map {
                [$0.name, $0.visibility, $0.maxReceives.map(String.init) ?? "-", $0.deadLetters ?? "-"]
            }
            printTable([["QUEUE", "VISIBILITY", "MAX-RECEIVES", "DEAD-LETTERS"]] + rows)
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Says how much waits in a queue, and who gets it.")

        @Argument(help: "The queue.")
        var name: String
        @OptionGroup var host: HostOptions

        private struct Mappings: Decodable { let mappings: [MappingSummary] }

        func run() throws {
            let client = try host.client()
            let answer = try client.get(.GET, "/v1/queues/\(escaped(name))")
            if host.json { return printJSON(answer) }
            let queue = try JSONDecoder().decode(QueueSummary.self, from: answer.body)
            if let messages = queue.messages {
                print(
                    "\(queue.name): \(messages.waiting) waiting, \(messages.inFlight) in flight, \(messages.delayed) delayed"
                )
            }
            let found = try JSONDecoder().decode(
                Mappings.self, from: client.get(.GET, "/v1/queues/\(escaped(name))/mappings").body)
            let rows = found.mappings.map {
                [
                    $0.alias == Alias.live ? $0.function : "\($0.function):\($0.alias)", "\($0.batchSize)",
                    $0.enabled ? $0.lastResult ?? "-" : "disabled",
                ]
            }
            printTable([["FUNCTION", "BATCH", "LAST"]] + rows)
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "set", abstract: "Makes a queue, or changes one.")

        @Argument(help: "The queue's name.")
        var name: String
        @Option(help: "For so long a message that was handed out is nobody else's, such as 30s.")
        var visibility: String?
        @Option(help: "What is older is deleted, such as 96h.")
        var retention: String?
        @Option(help: "How often a message is handed out at most.")
        var maxReceives: Int?
        @Option(help: "The queue that then gets it.")
        var deadLetters: String?
        @OptionGroup var host: HostOptions

        func run() throws {
            let client = try host.client()
            // What is not said stays as it is.
            var body = try known(in: client.pages("/v1/queues", of: "queues"), "name", name)
            body["visibility"] = visibility ?? body["visibility"]
            body["retention"] = retention ?? body["retention"]
            body["maxReceives"] = maxReceives ?? body["maxReceives"]
            body["deadLetters"] = deadLetters ?? body["deadLetters"]
            let answer = try client.get(
                .PUT, "/v1/queues/\(escaped(name))", body: Array(try JSONSerialization.data(withJSONObject: body)),
                contentType: "application/json")
            if host.json { return printJSON(answer) }
            print("\(name): ready; `bulkhead queues map \(name) FUNCTION` says who gets what waits in it")
        }
    }

    struct Send: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "send", abstract: "Puts a message into a queue, read from stdin or given with --data.")

        @Argument(help: "The queue.")
        var name: String
        @Option(help: "The message.")
        var data: String?
        @Option(help: "Not handed out before, such as 10s.")
        var delay: String?
        @OptionGroup var host: HostOptions

        private struct Answer: Decodable { let messageId: String }

        func run() throws {
            let bytes = data.map { Array($0.utf8) } ?? Array(FileHandle.standardInput.readDataToEndOfFile())
            let query = delay.map { "?delay=\(escaped($0))" } ?? ""
            let answer = try host.client().get(
                .POST, "/v1/queues/\(escaped(name))/messages\(query)", body: bytes, contentType: "text/plain")
            if host.json { return printJSON(answer) }
            print("message \(try JSONDecoder().decode(Answer.self, from: answer.body).messageId)")
        }
    }

    struct Map: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "map", abstract: "Hands what waits in a queue to a function.")

        @Argument(help: "The queue.")
        var name: String
        @Argument(help: "The function.")
        var function: String
        @Option(help: "An alias or a version's number. Default: live.")
        var alias: String?
        @Option(help: "Messages at once, at most. Default: 10.")
        var batchSize: Int?
        @Option(help: "How long to wait for so many, such as 1s.")
        var window: String?
        @Option(help: "Batches at once. Default: 5.")
        var maxConcurrency: Int?
        @Flag(inversion: .prefixedNo, help: "Its answer may name what it could not do (batchItemFailures).")
        var reportsFailures: Bool?
        @Flag(inversion: .prefixedNo, help: "Whether anything is handed out.")
        var enabled: Bool?
        @OptionGroup var host: HostOptions

        func run() throws {
            let client = try host.client(), path = "/v1/queues/\(escaped(name))/mappings"
            // What is not said stays as it is.
            var body = try known(in: client.pages(path, of: "mappings"), "function", function)
            body["lastResult"] = nil
            body["enabled"] = enabled ?? body["enabled"]
            body["reportsFailures"] = reportsFailures ?? body["reportsFailures"]
            body["alias"] = alias ?? body["alias"]
            body["batchSize"] = batchSize ?? body["batchSize"]
            body["window"] = window ?? body["window"]
            body["maxConcurrency"] = maxConcurrency ?? body["maxConcurrency"]
            let answer = try client.get(
                .PUT, "\(path)/\(escaped(function))",
                body: Array(try JSONSerialization.data(withJSONObject: body)), contentType: "application/json")
            if host.json { return printJSON(answer) }
            let entered = try JSONDecoder().decode(MappingSummary.self, from: answer.body)
            print("\(name): \(entered.function) gets up to \(entered.batchSize) messages at once")
        }
    }

    struct Unmap: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "unmap", abstract: "Hands it to that function no more.")

        @Argument(help: "The queue.")
        var name: String
        @Argument(help: "The function.")
        var function: String
        @OptionGroup var host: HostOptions

        func run() throws {
            _ = try host.client().get(.DELETE, "/v1/queues/\(escaped(name))/mappings/\(escaped(function))")
        }
    }

    struct Redrive: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "redrive", abstract: "Moves what waits in a queue to another one, as if it had just come.")

        @Argument(help: "The queue, such as one for dead letters.")
        var name: String
        @Argument(help: "The other queue.")
        var other: String
        @OptionGroup var host: HostOptions

        private struct Answer: Decodable { let redriven: Int }

        func run() throws {
            let answer = try host.client().get(.POST, "/v1/queues/\(escaped(name))/redrive?to=\(escaped(other))")
            if host.json { return printJSON(answer) }
            print("\(try JSONDecoder().decode(Answer.self, from: answer.body).redriven) messages")
        }
    }

    struct Purge: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "purge", abstract: "Deletes all that waits in a queue.")

        @Argument(help: "The queue.")
        var name: String
        @OptionGroup var host: HostOptions

        private struct Answer: Decodable { let deleted: Int }

        func run() throws {
            let answer = try host.client().get(.DELETE, "/v1/queues/\(escaped(name))/messages")
            if host.json { return printJSON(answer) }
            print("\(try JSONDecoder().decode(Answer.self, from: answer.body).deleted) messages")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "delete", abstract: "Deletes a queue, and all that waits in it.")

        @Argument(help: "The queue.")
        var name: String
        @OptionGroup var host: HostOptions

        func run() throws { _ = try host.client().get(.DELETE, "/v1/queues/\(escaped(name))") }
    }
}

/// What there is by that name; empty: nothing.
private func known(in all: [Any], _ key: String, _ name: String) throws -> [String: Any] {
    all.lazy.compactMap { $0 as? [String: Any] }.first { $0[key] as? String == name } ?? [:]
}
