import Foundation
import FunctionModel
import Yams

/// What `apply` reads: functions, aliases, routes and schedules that there are to be.
///
/// ```yaml
/// functions:
///   users: ./users.py            # a file, an archive or a folder; or, with settings:
///   orders: { path: ./orders, set: { memory: 64MiB } }
/// aliases:
///   users: { live: latest, stable: { version: 3, weights: { 4: 0.1 } } }
/// routes:
///   list-users: { route: GET /users, function: users, auth: none }
/// schedules:
///   tidy: { cron: "*/5 * * * *", timezone: Europe/Berlin, function: orders, event: { days: 30 } }
/// ```
struct ProjectFile {
    struct Function {
        let name: String
        let path: String
        let settings: [String]
        /// In their place, where its manifest is made of a template.
        var bundle: TemplateBundle?

        /// - Throws: `CommandFailure`.
        func source() throws -> UploadSource {
            if let bundle { return try UploadSource(bundle, name: name) }
            return try UploadSource(path: path, settings: settings, name: name)
        }
    }
    struct AliasEntry {
        let function: String
        let name: String
        let body: [String: Any]
    }
    /// A route or a schedule.
    struct Entry {
        let id: String
        let body: [String: Any]

        var function: String { body["function"] as? String ?? "" }
    }

    private(set) var functions: [Function] = []
    private(set) var aliases: [AliasEntry] = []
    private(set) var routes: [Entry] = []
    private(set) var schedules: [Entry] = []

    private let path: String

    /// What a template says in its own words.
    init(functions: [Function], aliases: [AliasEntry], routes: [Entry], schedules: [Entry]) {
        path = ""
        (self.functions, self.aliases, self.routes, self.schedules) = (functions, aliases, routes, schedules)
    }

    /// - Throws: `CommandFailure`, naming file and line.
    init(path: String) throws {
        self.path = path
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw CommandFailure("\(path) cannot be read", .usage)
        }
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            throw CommandFailure("\(path) is not YAML: \(error)", .usage)
        }
        for (name, node) in try mapping(root, "the file") {
            switch name {
            case "functions": functions = try mapping(node, "functions").map(function)
            case "aliases":
                for (function, node) in try mapping(node, "aliases") {
                    aliases += try mapping(node, "aliases of \(function)").map { try alias($0, of: function, $1) }
                }
            case "routes":
                routes = try mapping(node, "routes").map {
                    Entry(id: $0, body: try withKeys(members($1, "route \($0)"), $1))
                }
            case "schedules":
                schedules = try mapping(node, "schedules").map {
                    Entry(id: $0, body: try members($1, "schedule \($0)"))
                }
            default:
                throw refused(node, "\"\(name)\" is unknown; a project has functions, aliases, routes and schedules")
            }
        }
    }

    // MARK: - Entries

    private func function(_ name: String, _ node: Node) throws -> Function {
        if let path = node.scalar?.string { return Function(name: name, path: beside(path), settings: []) }
        var path: String?, settings: [String] = []
        for (key, value) in try mapping(node, "function \(name)") {
            switch key {
            case "path": path = value.scalar?.string
            case "set": settings = try mapping(value, "set of \(name)").flatMap { try setting($0, $1) }
            default: throw refused(value, "function \(name): \"\(key)\" is unknown; it has path and set")
            }
        }
        guard let path else { throw refused(node, "function \(name): path is missing") }
        return Function(name: name, path: beside(path), settings: settings)
    }

    /// A list is the same key several times.
    private func setting(_ key: String, _ value: Node) throws -> [String] {
        if let list = value.sequence { return try list.flatMap { try setting(key, $0) } }
        if case .mapping = value {
            return try mapping(value, key).map { "\(key)=\($0)=\($1.scalar?.string ?? "")" }
        }
        guard let text = value.scalar?.string else { throw refused(value, "set: \(key): a plain value is wanted") }
        return ["\(key)=\(text)"]
    }

    private func alias(_ name: String, of function: String, _ node: Node) throws -> AliasEntry {
        guard let text = node.scalar?.string else {
            return AliasEntry(function: function, name: name, body: try members(node, "alias \(name) of \(function)"))
        }
        return AliasEntry(function: function, name: name, body: ["version": Int(text) as Any? ?? text])
    }

    /// With the key set of a file in place of its path.
    private func withKeys(_ body: [String: Any], _ node: Node) throws -> [String: Any] {
        guard var auth = body["auth"] as? [String: Any], var jwt = auth["jwt"] as? [String: Any],
            let place = jwt["jwks"] as? String, !place.contains("://")
        else { return body }
        let file = beside(place)
        guard let bytes = FileManager.default.contents(atPath: file) else {
            throw refused(node, "jwks: \(file) cannot be read")
        }
        guard let set = try? JSONSerialization.jsonObject(with: bytes) as? [String: Any] else {
            throw refused(node, "jwks: \(file) is no JWK set {\"keys\": […]}")
        }
        jwt["jwks"] = set
        auth["jwt"] = jwt
        return body.merging(["auth": auth]) { $1 }
    }

    // MARK: - Reading

    /// Paths are meant from where the file is.
    private func beside(_ other: String) -> String {
        other.hasPrefix("/")
            ? other : URL(fileURLWithPath: path).deletingLastPathComponent().appendingPathComponent(other).path
    }

    private func refused(_ node: Node?, _ why: String) -> CommandFailure {
        CommandFailure("\(path)" + (node?.mark.map { " line \($0.line)" } ?? "") + ": \(why)", .usage)
    }

    private func mapping(_ node: Node?, _ what: String) throws -> [(String, Node)] {
        guard let node else { return [] }
        guard case .mapping(let mapping) = node else {
            if node.scalar?.string.isEmpty ?? false { return [] }
            throw refused(node, "\(what): a mapping is wanted")
        }
        return try mapping.map { key, value in
            guard let name = key.scalar?.string else { throw refused(key, "\(what): a key must be plain text") }
            return (name, value)
        }
    }

    /// As JSON would have it.
    private func members(_ node: Node, _ what: String) throws -> [String: Any] {
        guard case .mapping = node, let members = try json(node) as? [String: Any] else {
            throw refused(node, "\(what): a mapping is wanted")
        }
        return members
    }

    private func json(_ node: Node) throws -> Any {
        switch node {
        case .mapping(let mapping):
            var members: [String: Any] = [:]
            for (key, value) in mapping { members[key.scalar?.string ?? ""] = try json(value) }
            return members
        case .sequence(let list): return try list.map(json)
        case .scalar(let scalar):
            // What YAML takes for a time or the like is text here, as it is written.
            if scalar.style == .plain {
                if let number = Int(scalar.string) { return number }
                if let number = Double(scalar.string), number.isFinite { return number }
                if ["true", "false"].contains(scalar.string) { return scalar.string == "true" }
                if ["null", "~", ""].contains(scalar.string) { return NSNull() }
            }
            return scalar.string
        default: throw refused(node, "aliases of YAML are not taken")
        }
    }
}
