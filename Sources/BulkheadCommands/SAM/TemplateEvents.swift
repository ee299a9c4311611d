import Foundation
import FunctionModel
import WireText

/// What invokes a function.
struct TemplateEvents {
    var routes: [ProjectFile.Entry] = []
    var schedules: [ProjectFile.Entry] = []
    /// Paths that everybody may use.
    var open: [String] = []
}

/// Reads a function's `Events`.
struct TemplateEventReader {
    /// Of the whole template.
    static let maxEvents = 2000

    let function: String
    let alias: String?
    let apis: [String: TemplateAPI]
    let reading: TemplateReading
    private(set) var events = TemplateEvents()

    init(function: String, alias: String?, apis: [String: TemplateAPI], reading: TemplateReading) {
        (self.function, self.alias, self.apis, self.reading) = (function, alias, apis, reading)
    }

    mutating func read(_ value: TemplateValue, _ place: String) {
        for event in reading.members(value, place) {
            let place = "\(place).\(shown(event.name))"
            guard TemplateReading.isID(event.name) else {
                reading.wrong(event.line, place, "an event is named by up to 255 letters and digits")
                continue
            }
            reading.events += 1
            guard reading.events <= Self.maxEvents else {
                return reading.wrong(event.line, place, "the template has more than \(Self.maxEvents) events")
            }
            var type: String?, properties: TemplateValue?
            for member in reading.members(event.value, place) {
                switch member.name {
                case "Type": type = reading.text(member.value, "\(place).Type")
                case "Properties": properties = member.value
                default: reading.unsupported(member.line, "\(place).\(shown(member.name))")
                }
            }
            // What is not known may be what guards it.
            guard let all = reading.known(properties, place) else { continue }
            switch type {
            case "HttpApi": readRoute(event, all, .http, place)
            case "Api": readRoute(event, all, .rest, place)
            case "Schedule": readSchedule(event, all, place)
            case "ScheduleV2": readSchedule(event, all, place)
            case let other?: reading.unsupported(event.line, place, "an event of type \(shown(other)) is not supported")
            case nil: reading.wrong(event.line, place, "Type is missing")
            }
        }
    }

    /// Such as `catalog.List`: a name belongs to one function of the host, an event's to one of its own.
    static func entryID(_ function: String, _ event: String) -> String {
        let id = "\(function).\(event)"
        guard id.utf8.count > 64 else { return id }
        // FNV-1a: the beginning alone may be another's, too.
        let hash = id.utf8.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return "\(id.prefix(bytes: 47))-\(String(hash, radix: 16))"
    }

    // MARK: - Routes

    private struct RouteDraft {
        var path: String?
        var method: String?
        var api: String
        var payload: String?
        var timeout: Int?
        /// `NONE`: nobody.
        var authorizer: String?
        var scopes: [String]?
        var isLeftOut = false
    }

    private mutating func readRoute(
        _ event: TemplateValue.Member, _ properties: [TemplateValue.Member], _ kind: TemplateAPI.Kind, _ place: String
    ) {
        // REST APIs have this format alone.
        var route = RouteDraft(api: kind.implicitID, payload: kind == .rest ? "1.0" : nil)
        for member in properties {
            let place = "\(place).\(shown(member.name))"
            switch (kind, member.name) {
            case (_, "Path"):
                route.path = reading.text(member.value, place)
                if route.path == nil { route.isLeftOut = true }
            case (_, "Method"):
                route.method = reading.text(member.value, place)
                if route.method == nil { route.isLeftOut = true }
            case (.http, "ApiId"), (.rest, "RestApiId"): readAPIName(member, kind, place, &route)
            case (.http, "PayloadFormatVersion"):
                let format = reading.text(member.value, place) ?? ""
                guard ["1.0", "2.0"].contains(format) else {
                    reading.unsupported(member.line, place, "1.0 or 2.0 is wanted: the route is left out")
                    route.isLeftOut = true
                    continue
                }
                route.payload = format == "1.0" ? format : nil
            case (_, "TimeoutInMillis"): route.timeout = reading.whole(member.value, in: 50...900_000, place)
            case (_, "Auth"): readRouteAuth(member, kind, place, &route)
            default: reading.unsupported(member.line, place)
            }
        }
        guard !route.isLeftOut, let patterns = patterns(of: route, kind, event.line, place),
            let auth = rule(of: route, event.line, place)
        else { return }
        var body: [String: Any] = ["function": function, "auth": auth]
        body["alias"] = alias
        body["cors"] = apis[route.api]?.cors
        body["payload"] = route.payload
        body["timeout"] = route.timeout.map { "\($0)ms" }
        for (index, pattern) in patterns.enumerated() {
            let id = Self.entryID(function, event.name + (index == 0 ? "" : "-\(index + 1)"))
            events.routes.append(.init(id: id, body: body.merging(["route": pattern]) { $1 }))
            if auth as? String == "none" { events.open.append(pattern) }
        }
    }

    private func readAPIName(
        _ member: TemplateValue.Member, _ kind: TemplateAPI.Kind, _ place: String, _ route: inout RouteDraft
    ) {
        if case .call("Ref", let argument) = member.value.content, case .text(let id) = argument.content,
            TemplateReading.isID(id), apis[id]?.kind == kind
        {
            route.api = id
        } else {
            reading.unsupported(
                member.line, place, "a !Ref to an API of this template is wanted: the route is left out")
            route.isLeftOut = true
        }
    }

    private func readRouteAuth(
        _ member: TemplateValue.Member, _ kind: TemplateAPI.Kind, _ place: String, _ route: inout RouteDraft
    ) {
        guard let all = reading.known(member.value, place) else {
            route.isLeftOut = true
            return
        }
        for inner in all {
            let place = "\(place).\(shown(inner.name))"
            switch inner.name {
            case "Authorizer":
                route.authorizer = reading.text(inner.value, place)
                if route.authorizer == nil { route.isLeftOut = true }
            case "AuthorizationScopes" where kind == .http:
                route.scopes = reading.texts(inner.value, place)
                if route.scopes == nil { route.isLeftOut = true }
            case "ApiKeyRequired" where reading.flag(inner.value, place) == false: break
            default:
                // Left out alone, it would leave the route open.
                reading.unsupported(inner.line, place, "it is not supported: the route is left out")
                route.isLeftOut = true
            }
        }
    }

    /// What it answers; nil where that cannot be a route here, which is said.
    private func patterns(
        of route: RouteDraft, _ kind: TemplateAPI.Kind, _ line: Int, _ place: String
    ) -> [String]? {
        let patterns: [String]
        switch (route.path, route.method) {
        case (nil, nil) where kind == .http: patterns = ["ANY /{proxy+}", "ANY /"]  // $default
        case (let path?, let method?):
            let method = method.utf8.count <= 40 ? method.uppercased() : method
            patterns = ["\(method == "X-AMAZON-APIGATEWAY-ANY-METHOD" ? "ANY" : method) \(path)"]
        default:
            reading.wrong(line, place, "Path and Method are wanted")
            return nil
        }
        for pattern in patterns {
            do {
                _ = try RoutePattern(pattern)
            } catch {
                reading.unsupported(line, place, printable(error.detail.prefix(bytes: 400)))
                return nil
            }
        }
        return patterns
    }

    /// Who may use it; nil where that cannot be said here, which is told: the route is not made then.
    private func rule(of route: RouteDraft, _ line: Int, _ place: String) -> Any? {
        guard let api = apis[route.api], !api.isLeftOut else {
            reading.unsupported(line, place, "it is left out with its API, \(route.api)")
            return nil
        }
        guard let name = route.authorizer ?? api.standardAuthorizer, name != "NONE" else { return "none" }
        guard TemplateReading.isID(name), var authorizer = api.authorizers[name] else {
            reading.unsupported(line, place, "its authorizer, \(shown(name)), is not supported: the route is left out")
            return nil
        }
        authorizer.scopes = route.scopes ?? authorizer.scopes
        // There a token needs one of them, here all.
        guard authorizer.scopes.count <= 1 else {
            reading.unsupported(line, place, "a choice of several scopes is not supported: the route is left out")
            return nil
        }
        return authorizer.body
    }

    // MARK: - Schedules

    private mutating func readSchedule(
        _ event: TemplateValue.Member, _ properties: [TemplateValue.Member], _ place: String
    ) {
        // Each time is due there, whatever became of the one before.
        var body: [String: Any] = ["function": function, "overlap": "allow"]
        body["alias"] = alias
        // What is not understood would be due at other times, or be another event.
        var schedule: AWSSchedule?, zone: String?, hasTime = false, isLeftOut = false
        for member in properties {
            let place = "\(place).\(shown(member.name))"
            switch member.name {
            case "Schedule", "ScheduleExpression":
                hasTime = true
                schedule = readTime(member, place)
                if schedule == nil { isLeftOut = true }
            case "ScheduleExpressionTimezone":
                zone = reading.text(member.value, place)
                if zone.flatMap({ WallClock($0) }) != nil { continue }
                reading.unsupported(
                    member.line, place, "\"\(shown(zone ?? ""))\" is no zone; it must be \(WallClock.rule)")
                isLeftOut = true
            case "Enabled", "State":
                body["enabled"] = isEnabled(member, place)
                if body["enabled"] == nil { isLeftOut = true }
            case "Input":
                body["event"] = reading.text(member.value, place).flatMap {
                    try? JSONSerialization.jsonObject(with: Data($0.utf8), options: .fragmentsAllowed)
                }
                if body["event"] != nil { continue }
                reading.unsupported(member.line, place, "JSON is wanted")
                isLeftOut = true
            case "FlexibleTimeWindow":
                for inner in reading.members(member.value, place)
                where reading.text(inner.value, place)?.isSame(as: "OFF") != true {
                    reading.unsupported(inner.line, "\(place).\(shown(inner.name))")
                }
            // For people.
            case "Name", "Description": break
            case "StartDate", "EndDate":
                reading.unsupported(member.line, place)
                isLeftOut = true
            default: reading.unsupported(member.line, place)
            }
        }
        guard hasTime else { return reading.wrong(event.line, place, "a schedule's expression is missing") }
        guard let schedule, !isLeftOut else {
            return reading.unsupported(event.line, place, "the schedule is left out")
        }
        switch schedule {
        case .every(let period): body["every"] = period
        case .cron(let fields):
            body["cron"] = fields
            body["timezone"] = zone
        }
        if body["event"] == nil { reading.note(event.line, place, "without Input its event is null") }
        events.schedules.append(.init(id: Self.entryID(function, event.name), body: body))
    }

    private func isEnabled(_ member: TemplateValue.Member, _ place: String) -> Bool? {
        if member.name == "Enabled" { return reading.flag(member.value, place) }
        switch reading.text(member.value, place) {
        case "ENABLED": return true
        case "DISABLED": return false
        case let other?: reading.unsupported(member.line, place, "\(shown(other)) is not supported")
        case nil: break
        }
        return nil
    }

    private func readTime(_ member: TemplateValue.Member, _ place: String) -> AWSSchedule? {
        guard let text = reading.text(member.value, place) else { return nil }
        do {
            return try AWSSchedule(text)
        } catch {
            reading.unsupported(member.line, place, "\"\(shown(text))\": \(error.why)")
            return nil
        }
    }
}
