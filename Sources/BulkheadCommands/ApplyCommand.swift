import ArgumentParser
import Foundation
import FunctionModel
import NIOHTTP1

struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Makes the host have what a project file says: functions, aliases, routes, schedules.",
        discussion: """
            Without --yes it only shows what would change. What the file does not name stays as it is: nothing is deleted. \
            Applied twice, the second time changes nothing.

            A template of AWS SAM (Transform: AWS::Serverless-2016-10-31) is taken as well, YAML or JSON: functions in Python \
            and of provided runtimes, with events of the types HttpApi, Api, Schedule and ScheduleV2. All that it asks for and \
            is not supported is listed, with its lines, before anything is done, and nothing is done. AWS::Region is \
            AWS_REGION or us-east-1, AWS::StackName the folder's name.
            """)

    @Argument(help: "The project file, YAML, or a template of AWS SAM.")
    var file: String

    @Option(name: .customLong("parameter"), help: "NAME=VALUE of a template's parameter. May be repeated.")
    var parameters: [String] = []

    @Flag(help: "Leave out what a template asks for and is not supported, and say so.")
    var skipUnsupported = false

    @Flag(help: "Apply it.")
    var yes = false

    @OptionGroup var host: HostOptions

    func run() throws {
        let project = try project()
        let plan = try ApplyPlan(project, client: try host.client())
        if !host.json {
            for step in plan.steps { print("\(step.change.sign) \(step.kind.rawValue) \(step.name)") }
        }
        let pending = plan.steps.filter { $0.change != .none }
        if yes { for step in pending { try plan.apply(step) } }
        if host.json {
            let rows = plan.steps.map {
                ["kind": $0.kind.rawValue, "name": $0.name, "change": $0.change.rawValue]
            }
            return try printDocument(["changes": rows, "applied": yes])
        }
        let new = pending.count { $0.change == .new }
        let counts = "\(new) new, \(pending.count - new) changed, \(plan.steps.count - pending.count) as they are"
        print(yes ? "applied: \(counts)" : pending.isEmpty ? counts : "\(counts); --yes applies it")
    }

    private func project() throws -> ProjectFile {
        if let template = try TemplateFile(path: file, parameters: parameters) {
            return try template.project(skippingUnsupported: skipUnsupported)
        }
        guard parameters.isEmpty, !skipUnsupported else {
            throw CommandFailure(
                "\(file) is no template of AWS SAM: --parameter and --skip-unsupported have no meaning for it", .usage)
        }
        return try ProjectFile(path: file)
    }
}

/// What there is to do, in the order in which it can be done.
struct ApplyPlan {
    struct Step {
        enum Kind: String { case function, alias, route, schedule }

        let kind: Kind
        let name: String
        let change: Change
        fileprivate let request: Request
    }

    fileprivate struct Request {
        let path: String
        let body: [UInt8]
        let contentType: String

        init(path: String, body: [UInt8], contentType: String) {
            self.path = path
            self.body = body
            self.contentType = contentType
        }

        init(_ path: String, json members: [String: Any]) throws {
            self.init(
                path: path, body: Array(try JSONSerialization.data(withJSONObject: members, options: .sortedKeys)),
                contentType: "application/json")
        }
    }

    let steps: [Step]
    private let client: HostClient

    /// - Throws: `CommandFailure` for what the host would refuse.
    init(_ project: ProjectFile, client: HostClient) throws {
        self.client = client
        var steps: [Step] = []
        var changing: Set<String> = []
        for function in project.functions {
            let step = try Self.step(function, client)
            if step.change != .none { changing.insert(function.name) }
            steps.append(step)
        }
        for alias in project.aliases {
            let step = try Self.step(alias, client)
            if step.change == .new { changing.insert(alias.function) }
            steps.append(step)
        }
        for route in project.routes { steps.append(try Self.step(route, .route, client, changing)) }
        for schedule in project.schedules { steps.append(try Self.step(schedule, .schedule, client, changing)) }
        self.steps = steps
    }

    func apply(_ step: Step) throws {
        _ = try client.named("\(step.kind.rawValue) \(step.name)") {
            try $0.get(
                .PUT, step.request.path, body: step.request.body, contentType: step.request.contentType)
        }
    }

    // MARK: - What changes

    private static func step(_ function: ProjectFile.Function, _ client: HostClient) throws -> Step {
        let source = try client.named("function \(function.name)") { _ in try function.source() }
        let query = source.query.map { "\(escaped($0.name))=\(escaped($0.value))" }
        func path(_ query: [String]) -> String {
            "/v1/functions/\(source.name)" + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
        }
        let request = Request(path: path(query), body: source.bytes, contentType: source.contentType)
        let change = try client.named("function \(function.name)") {
            try $0.change(path(query + ["dryRun=true"]), request.body, request.contentType)
        }
        return Step(kind: .function, name: function.name, change: change, request: request)
    }

    private static func step(_ alias: ProjectFile.AliasEntry, _ client: HostClient) throws -> Step {
        let path = "/v1/functions/\(escaped(alias.function))/aliases/\(escaped(alias.name))"
        let request = try Request(path, json: alias.body)
        let answer = try client.send(.GET, path)
        var change = Change.new
        if answer.status == 200, let there = try JSONSerialization.jsonObject(with: answer.body) as? [String: Any] {
            change = isSame(alias.body, there) ? .none : .changed
        } else if answer.status != 404 {
            throw CommandFailure(
                "alias \(alias.name) of \(alias.function): \(answer.detail ?? "\(answer.status)")", .usage)
        }
        return Step(kind: .alias, name: "\(alias.name) of \(alias.function)", change: change, request: request)
    }

    private static func isSame(_ wanted: [String: Any], _ there: [String: Any]) -> Bool {
        func text(_ value: Any?) -> String { value.map { "\($0)" } ?? "" }
        func weights(_ value: Any?) -> [String: Double] {
            (value as? [String: Any] ?? [:]).compactMapValues {
                $0 as? Double ?? ($0 as? Int).map(Double.init) ?? ($0 as? NSNumber)?.doubleValue
            }
        }
        return text(wanted["version"]) == text(there["version"])
            && weights(wanted["weights"]) == weights(there["weights"])
            && text(wanted["header"]).lowercased() == text(there["header"])
    }

    private static func step(
        _ entry: ProjectFile.Entry, _ kind: Step.Kind, _ client: HostClient, _ changing: Set<String>
    ) throws -> Step {
        let path = "/v1/\(kind.rawValue)s/\(escaped(entry.id))"
        let request = try Request(path, json: entry.body)
        let change = try client.named("\(kind.rawValue) \(entry.id)") { client in
            // Its function, or that one's alias, may be about to be made.
            try client.change(path + "?dryRun=true", request.body, request.contentType, for: 404) {
                changing.contains(entry.function)
            }
        }
        return Step(kind: kind, name: entry.id, change: change, request: request)
    }
}

extension Change {
    fileprivate var sign: String {
        switch self {
        case .none: "="
        case .new: "+"
        case .changed: "~"
        }
    }
}

extension HostClient {
    private struct ChangeAnswer: Decodable { let change: Change }

    /// What a dry run says.
    /// - Parameter status: an answer that may stand for something new, if `isExpected`.
    fileprivate func change(
        _ path: String, _ body: [UInt8], _ contentType: String, for status: Int = 0,
        if isExpected: () -> Bool = { false }
    ) throws -> Change {
        let answer = try send(.PUT, path, body: body, contentType: contentType)
        if answer.status == status, isExpected() { return .new }
        return try JSONDecoder().decode(ChangeAnswer.self, from: accepted(answer).body).change
    }

    /// Says of whatever fails what it was about.
    fileprivate func named<Value>(_ what: String, _ work: (HostClient) throws -> Value) throws -> Value {
        do {
            return try work(self)
        } catch let failure as CommandFailure {
            throw CommandFailure("\(what): \(failure.message)", failure.ending)
        }
    }
}
