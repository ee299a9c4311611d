import ArgumentParser
import Foundation
import FunctionModel
import Host
import NIOHTTP1

/// A route as the commands read it.
private struct RouteSummary: Decodable {
    struct Auth: Decodable {
        let word: String

        private enum Keys: String, CodingKey { case jwt, hmac }

        init(from decoder: any Decoder) throws {
            if let word = try? decoder.singleValueContainer().decode(String.self) {
                self.word = word
            } else {
                word = try decoder.container(keyedBy: Keys.self).allKeys.first?.rawValue ?? "?"
            }
        }
    }

    let id: String
    let route: String
    let host: String?
    let function: String
    let alias: String
    let auth: Auth
    let rate: String?
}

struct RoutesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "routes", abstract: "Lists, sets and deletes routes: paths that functions answer.",
        subcommands: [List.self, Show.self, Set.self, Delete.self], defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists the routes.")

        @OptionGroup var host: HostOptions

        func run() throws {
            let all = try host.client().pages("/v1/routes", of: "routes")
            if host.json { return try printDocument(["routes": all]) }
            let routes = try JSONDecoder().decode(
                [RouteSummary].self, from: JSONSerialization.data(withJSONObject: all))
            let rows = routes.map { route in
                [
                    route.id, route.route, route.host ?? "*",
                    route.alias == Alias.live ? route.function : "\(route.function):\(route.alias)",
                    route.auth.word, route.rate ?? "-",
                ]
            }
            printTable([["ID", "ROUTE", "HOST", "FUNCTION", "AUTH", "RATE"]] + rows)
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Shows a route, but for its secrets.")

        @Argument(help: "The route's id.")
        var id: String
        @OptionGroup var host: HostOptions

        func run() throws { printJSON(try host.client().get(.GET, "/v1/routes/\(escaped(id))")) }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Has a function answer a path.",
            discussion:
                "For JSON Web Tokens, signed webhooks and all of CORS, write the route into a file: `bulkhead apply`.")

        @Argument(help: "The route's id.")
        var id: String
        @Argument(help: "Such as \"GET /users/{id}\" or \"ANY /files/{path+}\".")
        var route: String
        @Argument(help: "The function that answers.")
        var function: String
        @Option(help: "An alias of the function. Default: live.")
        var alias: String?
        @Option(help: "token or none.")
        var auth = "token"
        @Option(name: .customLong("host-name"), help: "Only requests for this name.")
        var hostName: String?
        @Option(name: .customLong("cors"), help: "An origin whose pages may use it. May be repeated.")
        var origins: [String] = []
        @Option(help: "How often it may be used, such as 100/s.")
        var rate: String?
        @Option(help: "An invocation's time by this route, such as 10s.")
        var timeout: String?
        @OptionGroup var host: HostOptions

        func run() throws {
            var body: [String: Any] = ["route": route, "function": function, "auth": auth]
            body["alias"] = alias
            body["host"] = hostName
            body["rate"] = rate
            body["timeout"] = timeout
            if !origins.isEmpty { body["cors"] = ["origins": origins] }
            let answer = try host.client().get(
                .PUT, "/v1/routes/\(escaped(id))", body: Array(try JSONSerialization.data(withJSONObject: body)),
                contentType: "application/json")
            if host.json { return printJSON(answer) }
            let entered = try JSONDecoder().decode(RouteSummary.self, from: answer.body)
            print("\(entered.id): \(entered.route) is answered by \(entered.function)")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "delete", abstract: "Deletes a route.")

        @Argument(help: "The route's id.")
        var id: String
        @OptionGroup var host: HostOptions

        func run() throws {
            _ = try host.client().get(.DELETE, "/v1/routes/\(escaped(id))")
            complain("deleted \(id)", prefix: "")
        }
    }
}
