import ArgumentParser
import Foundation
import FunctionModel
import Host
import NIOHTTP1

/// An alias as the commands read it.
private struct AliasSummary: Decodable {
    enum Version: Decodable {
        case number(Int)
        case latest

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            self = (try? .number(container.decode(Int.self))) ?? .latest
        }

        var text: String { if case .number(let number) = self { String(number) } else { Alias.latest } }
    }

    let alias: String
    let version: Version
    let weights: [String: Double]
    let updatedAt: String

    /// `3, 10 % to 4`
    var aim: String {
        let shares = weights.sorted { $0.key < $1.key }.map { share in
            let percent = share.value * 100
            let number = percent == percent.rounded() ? String(Int(percent)) : String(percent)
            return ", \(number) % to \(share.key)"
        }
        return version.text + shares.joined()
    }
}

struct AliasCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alias", abstract: "Lists, sets and deletes a function's aliases.",
        subcommands: [List.self, Set.self, Delete.self], defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists a function's aliases.")

        @Argument(help: "The function.")
        var name: String
        @OptionGroup var host: HostOptions

        private struct Page: Decodable {
            let aliases: [AliasSummary]
        }

        func run() throws {
            let answer = try host.client().get(.GET, "/v1/functions/\(escaped(name))/aliases")
            if host.json { return printJSON(answer) }
            let aliases = try JSONDecoder().decode(Page.self, from: answer.body).aliases
            printTable([["ALIAS", "VERSION", "UPDATED"]] + aliases.map { [$0.alias, $0.aim, $0.updatedAt] })
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set",
            abstract: "Points an alias to a version: live is where invocations go that name none.")

        @Argument(help: "The function.")
        var name: String
        @Argument(help: "The alias, such as live.")
        var alias: String
        @Argument(help: "A version's number, or latest to follow the newest.")
        var version: String
        @Option(
            name: .customLong("weight"),
            help: "VERSION=PART, such as 4=0.1: that part of 1 goes there instead. May be repeated.")
        var weights: [String] = []
        @Option(help: "A request's header whose value decides between two versions, instead of the invocation's id.")
        var header: String?
        @OptionGroup var host: HostOptions

        func run() throws {
            var body: [String: Any] = ["version": Int(version) as Any? ?? version]
            var parts: [String: Double] = [:]
            for text in weights {
                let halves = text.split(separator: "=", maxSplits: 1).map(String.init)
                guard halves.count == 2, let part = Double(halves[1]), part.isFinite else {
                    throw CommandFailure("--weight \(text): it takes VERSION=PART, such as 4=0.1", .usage)
                }
                parts[halves[0]] = part
            }
            body["weights"] = parts
            if let header { body["header"] = header }
            let answer = try host.client().get(
                .PUT, "/v1/functions/\(escaped(name))/aliases/\(escaped(alias))",
                body: Array(try JSONSerialization.data(withJSONObject: body)), contentType: "application/json")
            if host.json { return printJSON(answer) }
            let entered = try JSONDecoder().decode(AliasSummary.self, from: answer.body)
            print("\(name) \(entered.alias) is version \(entered.aim)")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "delete", abstract: "Deletes an alias.")

        @Argument(help: "The function.")
        var name: String
        @Argument(help: "The alias.")
        var alias: String
        @OptionGroup var host: HostOptions

        func run() throws {
            _ = try host.client().get(.DELETE, "/v1/functions/\(escaped(name))/aliases/\(escaped(alias))")
            complain("deleted \(alias) of \(name)", prefix: "")
        }
    }
}

struct RollbackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Pins a function's live to the version that it served before.")

    @Argument(help: "The function.")
    var name: String
    @Option(help: "To this version instead.")
    var to: Int?
    @OptionGroup var host: HostOptions

    func run() throws {
        let body = try JSONEncoder().encode(to.map { ["to": $0] } ?? [:])
        let answer = try host.client().get(
            .POST, "/v1/functions/\(escaped(name))/rollback", body: Array(body), contentType: "application/json")
        if host.json { return printJSON(answer) }
        print("\(name) live is version \(try JSONDecoder().decode(AliasSummary.self, from: answer.body).aim)")
    }
}
