import ArgumentParser
import Dialogues
import Foundation
import FunctionModel
import Host
import NIOHTTP1

/// A function as the commands read it.
private struct FunctionSummary: Decodable {
    struct Settings: Decodable {
        let runtime: String
        let mode: String
    }

    let name: String
    private let version: Int?
    let size: Int
    let createdAt: String
    let manifest: Settings

    /// A revision that is not published has no number.
    var label: String { version.map(String.init) ?? "$LATEST" }
}

struct DeployCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "deploy", abstract: "Uploads a function.")

    @Argument(help: "An executable, a Python file, a zip or tar.gz, or a folder with function.yaml.")
    var path: String

    @Option(help: "The function's name. Default: the manifest's, or the file's.")
    var name: String?

    @Option(name: .customLong("set"), help: "KEY=VALUE of the manifest, such as memory=64MiB. May be repeated.")
    var settings: [String] = []

    @OptionGroup var host: HostOptions

    func run() throws {
        let source = try UploadSource(path: path, settings: settings, name: name)
        let query = source.query.map { "\(escaped($0.name))=\(escaped($0.value))" }.joined(separator: "&")
        let answer = try host.client().get(
            .PUT, "/v1/functions/\(source.name)" + (query.isEmpty ? "" : "?" + query), body: source.bytes,
            contentType: source.contentType)
        if host.json { return printJSON(answer) }
        let function = try JSONDecoder().decode(FunctionSummary.self, from: answer.body)
        print("\(function.name) version \(function.label)" + (answer.status == 200 ? " (unchanged)" : ""))
    }
}

struct InvokeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invoke", abstract: "Invokes a function and prints its result.")

    @Argument(help: "The function's name.") var name: String

    @Option(help: "The event, as JSON; @FILE reads a file, @- stdin. Default: null.")
    var data: String?

    @Option(help: "A version's number. Default: what live names.")
    var version: Int?

    @Option(help: "An alias of the function.")
    var alias: String?

    @OptionGroup var host: HostOptions

    func run() throws {
        let query = version.map { "?version=\($0)" } ?? alias.map { "?alias=\(escaped($0))" } ?? ""
        let answer = try host.client().send(
            .POST, "/v1/functions/\(escaped(name))/invocations\(query)", body: event(), contentType: "application/json")
        if answer.headers.first(name: "Bulkhead-Outcome") == "ok" {
            FileHandle.standardOutput.write(answer.body)
            return
        }
        if host.json { printJSON(answer) }
        let outcome = answer.headers.first(name: "Bulkhead-Outcome").map { "\($0): " } ?? ""
        let ending: Ending =
            answer.status == 500 || answer.status == 503 ? .host : answer.status >= 500 ? .guest : .usage
        throw CommandFailure(outcome + (answer.detail ?? "the host answered \(answer.status)"), ending)
    }

    private func event() throws -> [UInt8] {
        guard let data else { return [] }
        guard data.hasPrefix("@") else { return Array(data.utf8) }
        let file = String(data.dropFirst())
        let bytes =
            file == "-" ? FileHandle.standardInput.readDataToEndOfFile() : FileManager.default.contents(atPath: file)
        guard let bytes else { throw CommandFailure("--data \(data): the file cannot be read", .usage) }
        return Array(bytes)
    }
}

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists the functions.")

    @OptionGroup var host: HostOptions

    func run() throws {
        let all = try host.client().pages("/v1/functions", of: "functions")
        if host.json { return try printDocument(["functions": all]) }
        let functions = try JSONDecoder().decode(
            [FunctionSummary].self, from: JSONSerialization.data(withJSONObject: all))
        let rows = functions.map {
            [$0.name, $0.label, $0.manifest.runtime, $0.manifest.mode, String($0.size), $0.createdAt]
        }
        printTable([["NAME", "VERSION", "RUNTIME", "MODE", "BYTES", "CREATED"]] + rows)
    }
}

struct ShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows a function, manifest and all.")

    @Argument(help: "The function's name.") var name: String
    @OptionGroup var host: HostOptions

    func run() throws {
        let answer = try host.client().get(.GET, "/v1/functions/\(escaped(name))")
        if host.json { return printJSON(answer) }
        let object = try JSONSerialization.jsonObject(with: answer.body)
        let pretty = try JSONSerialization.data(
            withJSONObject: object, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
        FileHandle.standardOutput.write(pretty + Data("\n".utf8))
    }
}

struct DeleteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Deletes a function with all its versions.")

    @Argument(help: "The function's name.") var name: String
    @OptionGroup var host: HostOptions

    func run() throws {
        _ = try host.client().get(.DELETE, "/v1/functions/\(escaped(name))")
        complain("deleted \(name)", prefix: "")
    }
}

struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Lists, makes and revokes tokens.",
        subcommands: [List.self, Create.self, Revoke.self],
        defaultSubcommand: List.self)

    fileprivate struct Key: Decodable {
        let id: String
        let name: String
        let role: String
        let functions: [String]?
        let expiresAt: String?
        let createdAt: String
        let token: String?
        let accessKeyId: String?
        let secretAccessKey: String?
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Lists the tokens; never their text.")

        @OptionGroup var host: HostOptions

        func run() throws {
            let all = try host.client().pages("/v1/keys", of: "keys")
            if host.json { return try printDocument(["keys": all]) }
            let keys = try JSONDecoder().decode([Key].self, from: JSONSerialization.data(withJSONObject: all))
            let rows = keys.map {
                [
                    $0.id, $0.name, $0.role, $0.functions?.joined(separator: ",") ?? "*", $0.createdAt,
                    $0.expiresAt ?? "never",
                ]
            }
            printTable([["ID", "NAME", "ROLE", "FUNCTIONS", "CREATED", "EXPIRES"]] + rows)
        }
    }

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create", abstract: "Makes a token, or with --aws an access key, and prints it, once.")

        @Argument(help: "A name to know it by.")
        var name: String

        @Flag(help: "For clients of AWS Lambda's API: an access key id and its secret, in place of a token.")
        var aws = false

        @Option(
            name: [.customLong("role"), .customLong("scope")],
            help: "invoke, deploy or admin. Default: invoke; with --aws deploy.")
        var role: String?

        @Option(
            name: .customLong("function"),
            help: "A name it is for, in which * stands for any letters. May be repeated. Default: all.")
        var functions: [String] = []

        @Option(name: .customLong("expires"), help: "When it ends, such as 2030-01-01T00:00:00Z. Default: never.")
        var expiresAt: String?

        @Option(help: "How often it may be used, such as 10/s.")
        var rate: String?

        @Option(help: "How often in each minute, hour or day of UTC, such as 10000/d. Counted also over a restart.")
        var quota: String?

        @OptionGroup var host: HostOptions

        func run() throws {
            var members: [String: Any] = ["name": name, "role": role ?? (aws ? "deploy" : "invoke")]
            if aws { members["aws"] = true }
            if !functions.isEmpty { members["functions"] = functions }
            if let expiresAt { members["expiresAt"] = expiresAt }
            if let rate { members["rate"] = rate }
            if let quota { members["quota"] = quota }
            let body = try JSONSerialization.data(withJSONObject: members)
            let answer = try host.client().get(.POST, "/v1/keys", body: Array(body), contentType: "application/json")
            if host.json, !aws { return printJSON(answer) }
            let key = try JSONDecoder().decode(Key.self, from: answer.body)
            guard let id = key.accessKeyId, let secret = key.secretAccessKey else { return print(key.token ?? "") }
            if host.json { return try printDocument(["accessKeyId": id, "secretAccessKey": secret]) }
            print("AWS_ACCESS_KEY_ID=\(id)\nAWS_SECRET_ACCESS_KEY=\(secret)")
        }
    }

    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "revoke", abstract: "Revokes a token by its id.")

        @Argument(help: "The key's id, as `list` shows it.") var id: String
        @OptionGroup var host: HostOptions

        func run() throws {
            _ = try host.client().get(.DELETE, "/v1/keys/\(escaped(id))")
            complain("revoked \(id)", prefix: "")
        }
    }
}

/// Prints rows in columns as wide as their widest cell.
func printTable(_ rows: [[String]]) {
    let widths = (0..<(rows.first?.count ?? 0)).map { column in rows.map { $0[column].count }.max() ?? 0 }
    for row in rows {
        let cells = zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
        print(cells.joined(separator: "  ").trimmingCharacters(in: .whitespaces))
    }
}
