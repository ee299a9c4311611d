import ArgumentParser
import Foundation
import FunctionModel
import NIOHTTP1
import WireText

struct LogsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Prints a function's newest log lines, or follows them.")

    @Argument(help: "The function's name.") var name: String

    @Option(help: "How many lines.")
    var limit = 100

    @Flag(name: .shortAndLong, help: "Go on printing lines as they come.")
    var follow = false

    @Option(help: "Only later lines: a time (RFC 3339), or how long ago, such as 10m.")
    var since: String?

    @Option(help: "Only lines that say that they are that bad, or worse: debug, info, warning, error, critical.")
    var level: String?

    @Option(help: "Only of this invocation.")
    var invocation: String?

    @OptionGroup var host: HostOptions

    private struct Line: Decodable {
        let time: String
        let version: Int?
        let text: String
    }
    private struct Page: Decodable {
        let lines: [Line]
    }

    func run() throws {
        let query = ["limit": "\(limit)", "since": since, "level": level, "invocation": invocation]
            .compactMapValues { $0 }.sorted { $0.key < $1.key }.map { "\($0.key)=\(escaped($0.value))" }
        let path = "/v1/functions/\(escaped(name))/logs?\(query.joined(separator: "&"))"
        if follow { return try followLines(path) }
        let answer = try host.client().get(.GET, path)
        if host.json { return printJSON(answer) }
        for line in try JSONDecoder().decode(Page.self, from: answer.body).lines { show(line) }
    }

    /// A tenant's bytes must not steer the terminal of whoever reads its log.
    private func show(_ line: Line) {
        FileHandle.standardOutput.write(
            Data("\(line.time) v\(line.version.map(String.init) ?? "$LATEST") \(printable(line.text))\n".utf8))
    }

    private func followLines(_ path: String) throws {
        let isJSON = host.json
        try host.client().events(path) { data in
            if isJSON { return FileHandle.standardOutput.write(data + Data("\n".utf8)) }
            if let line = try? JSONDecoder().decode(Line.self, from: data) { show(line) }
        }
    }
}
