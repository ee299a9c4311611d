import ArgumentParser
import Foundation
import Host
import NIOHTTP1

struct SecretsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "secrets", abstract: "Lists, sets and deletes secrets; seals them with a new key.",
        subcommands: [List.self, Set.self, Delete.self, Rotate.self], defaultSubcommand: List.self)

    private struct Secret: Decodable {
        let name: String
        let createdAt: String
        let updatedAt: String
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Lists the secrets; never what they are.")

        @OptionGroup var host: HostOptions

        func run() throws {
            let all = try host.client().pages("/v1/secrets", of: "secrets")
            if host.json { return try printDocument(["secrets": all]) }
            let secrets = try JSONDecoder().decode([Secret].self, from: JSONSerialization.data(withJSONObject: all))
            printTable([["NAME", "CREATED", "CHANGED"]] + secrets.map { [$0.name, $0.createdAt, $0.updatedAt] })
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Stores a secret, read from stdin.",
            discussion:
                "A line break at its end is not part of it: `printf %s hunter2 | bulkhead secrets set db-password`.")

        @Argument(help: "The secret's name.")
        var name: String
        @OptionGroup var host: HostOptions

        func run() throws {
            var bytes = Array(FileHandle.standardInput.readDataToEndOfFile())
            if bytes.last == 0x0A { bytes.removeLast() }
            let answer = try host.client().get(
                .PUT, "/v1/secrets/\(escaped(name))", body: bytes, contentType: "application/octet-stream")
            if host.json { return printJSON(answer) }
            complain("\(name) is stored", prefix: "")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "delete", abstract: "Deletes a secret.")

        @Argument(help: "The secret's name.")
        var name: String
        @OptionGroup var host: HostOptions

        func run() throws {
            _ = try host.client().get(.DELETE, "/v1/secrets/\(escaped(name))")
            complain("deleted \(name)", prefix: "")
        }
    }

    struct Rotate: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rotate", abstract: "Seals all secrets with a new key; they stay what they are.")

        @OptionGroup var host: HostOptions

        private struct Answer: Decodable { let rotated: Int }

        func run() throws {
            let answer = try host.client().get(.POST, "/v1/secret-key/rotate")
            if host.json { return printJSON(answer) }
            print("sealed anew: \(try JSONDecoder().decode(Answer.self, from: answer.body).rotated)")
        }
    }
}
