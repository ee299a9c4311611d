import ArgumentParser
import Foundation
import NIOHTTP1

struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Shows what a function may do, or learns what one needs.",
        subcommands: [Show.self, PolicyLearnCommand.self])

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Says in sentences what a function may do.",
            discussion: "--json adds every system call with what becomes of it and why.")

        @Argument(help: "The function's name.") var name: String

        @Option(help: "A version's number. Default: the newest.")
        var version: Int?

        @OptionGroup var host: HostOptions

        private struct Policy: Decodable {
            let sentences: [String]
        }

        func run() throws {
            let query = version.map { "?version=\($0)" } ?? ""
            let answer = try host.client().get(.GET, "/v1/functions/\(escaped(name))/policy\(query)")
            if host.json { return printJSON(answer) }
            for sentence in try JSONDecoder().decode(Policy.self, from: answer.body).sentences { print(sentence) }
        }
    }
}
