import Catalogue
import Foundation
import FunctionModel
import HostSystem

/// A function's URL, which is its path on this host: who may ask there, and from which pages.
struct FunctionURLOperations: OperationGroup {
    let services: Lambda.Services

    private static let noFunction = "Function does not exist"
    private static let noURL = "The resource you requested does not exist."
    /// Of all that one CORS rule lists, in bytes.
    private static let maxCORS = 16 << 10

    func create(_ call: LambdaCall) async throws -> LambdaAnswer {
        let place = try place(call, Self.noFunction), wish = try wish(call)
        let taken = LambdaError(
            .conflict,
            "Failed to create function url config for [functionArn = \(call.arn(place.name, place.suffix))]. Error message:  FunctionUrlConfig exists for this Lambda function"
        )
        let now = timestamp()
        let url = try await services.catalogue.changeSettings(of: place.name, for: place.qualifier) { settings in
            guard settings.urls[place.qualifier] == nil else { throw taken }
            var url = FunctionURL(isOpen: false, createdAt: now)
            wish.change(&url)
            url.awaitsPermission = settings.policies[place.qualifier]?.contains(where: \.opensURL) == true
            settings.urls[place.qualifier] = url
            try FunctionSettings.check(count: settings.urls.count, of: "URLs")
            return url
        }
        var document = document(url, place.name, place.qualifier, call)
        document["LastModifiedTime"] = nil
        return LambdaAnswer(status: 201, .object(document))
    }

    func update(_ call: LambdaCall) async throws -> LambdaAnswer {
        let place = try place(call, Self.noFunction), wish = try wish(call), now = timestamp()
        let url = try await services.catalogue.changeSettings(of: place.name, for: place.qualifier) { settings in
            guard var url = settings.urls[place.qualifier] else { throw LambdaError(.notFound, Self.noURL) }
            wish.change(&url)
            url.modifiedAt = now
            settings.urls[place.qualifier] = url
            return url
        }
        return LambdaAnswer(status: 200, .object(document(url, place.name, place.qualifier, call)))
    }

    func get(_ call: LambdaCall) throws -> LambdaAnswer {
        let place = try place(call, Self.noURL)
        guard let url = settings(of: place.name).urls[place.qualifier] else {
            throw LambdaError(.notFound, Self.noURL)
        }
        return LambdaAnswer(status: 200, .object(document(url, place.name, place.qualifier, call)))
    }

    func delete(_ call: LambdaCall) async throws -> LambdaAnswer {
        let place = try place(call, Self.noURL)
        try await services.catalogue.changeSettings(of: place.name, for: place.qualifier) { settings in
            guard settings.urls.removeValue(forKey: place.qualifier) != nil else {
                throw LambdaError(.notFound, Self.noURL)
            }
        }
        return LambdaAnswer(status: 204)
    }

    func list(_ call: LambdaCall) throws -> LambdaAnswer {
        guard let name = try? newest(call).name else { throw LambdaError(.notFound, Self.noFunction) }
        return try page(settings(of: name).urls, call, as: "FunctionUrlConfigs") {
            .object(document($1, name, $0, call))
        }
    }

    /// Of a function, or of an alias: versions have none.
    private func place(_ call: LambdaCall, _ message: String) throws -> SettingPlace {
        if let qualifier = try call.named.qualifier,
            qualifier == FunctionVersion.latestLabel || FunctionARN.number(qualifier) != nil
        {
            throw LambdaError.invalid(
                qualifier, at: "qualifier",
                #"Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)"#)
        }
        return try place(call, orSay: message)
    }

    private func document(
        _ url: FunctionURL, _ name: FunctionName, _ qualifier: String, _ call: LambdaCall
    ) -> [String: LambdaValue] {
        let suffix = qualifier == FunctionVersion.latestLabel ? nil : qualifier
        var members: [String: LambdaValue] = [
            "FunctionUrl": .text("\(call.request.origin)/fn/\(name)\(suffix.map { ":\($0)" } ?? "")/"),
            "FunctionArn": .text(call.arn(name, suffix)),
            "AuthType": url.isOpen ? "NONE" : "AWS_IAM",
            "InvokeMode": url.streams ? "RESPONSE_STREAM" : "BUFFERED",
            "CreationTime": .text(url.createdAt),
            "LastModifiedTime": .text(url.modifiedAt),
        ]
        if let cors = url.cors { members["Cors"] = Self.shown(cors) }
        return members
    }

    // MARK: - What is asked for

    /// What is named is changed.
    private struct Wish: Sendable {
        var isOpen: Bool?
        var streams: Bool?
        /// Twice nil: it stays as it is.
        var cors: CORSRule??

        func change(_ url: inout FunctionURL) {
            if let isOpen { url.isOpen = isOpen }
            if let streams { url.streams = streams }
            if let cors { url.cors = cors }
        }
    }

    /// - Throws: `LambdaError`, or `Failure` invalid_request.
    private func wish(_ call: LambdaCall) throws -> Wish {
        var wish = Wish()
        wish.isOpen = call.input.text("AuthType").map { $0 == "NONE" }
        wish.streams = call.input.text("InvokeMode").map { $0 == "RESPONSE_STREAM" }
        if let cors = call.input["Cors"] { wish.cors = .some(try Self.rule(cors)) }
        return wish
    }

    /// - Returns: nil for what allows nothing.
    /// - Throws: `LambdaError`, or `Failure` invalid_request.
    private static func rule(_ cors: LambdaValue) throws -> CORSRule? {
        func texts(_ name: String) throws -> [String] {
            guard let value = cors[name] else { return [] }
            let texts = (value.list ?? []).compactMap(\.text)
            guard let list = value.list, list.count == texts.count else {
                throw LambdaError(.invalidParameter, "Cors.\(name): a list of strings")
            }
            return texts
        }
        var rule = CORSRule(origins: try texts("AllowOrigins"))
        rule.methods = try texts("AllowMethods")
        rule.headers = try texts("AllowHeaders")
        rule.exposeHeaders = try texts("ExposeHeaders")
        if let value = cors["AllowCredentials"] {
            guard let flag = value.flag else {
                throw LambdaError(.invalidParameter, "Cors.AllowCredentials: true or false")
            }
            rule.credentials = flag
        }
        guard let age = (cors["MaxAge"] ?? 0).whole else {
            throw LambdaError(.invalidParameter, "Cors.MaxAge: seconds, from 0 to 86400")
        }
        rule.maxAge = age
        let lists = [rule.origins, rule.methods, rule.headers, rule.exposeHeaders].joined()
        guard !lists.isEmpty || rule.credentials || age != 0 else { return nil }
        guard !rule.origins.isEmpty else {
            throw LambdaError(.invalidParameter, "Cors.AllowOrigins: name those that may, or \"*\"")
        }
        guard lists.reduce(0, { $0 + $1.utf8.count }) <= maxCORS else {
            throw LambdaError(.invalidParameter, "Cors: up to \(maxCORS) bytes in all lists together are taken here")
        }
        // By the rules that hold for the host's own routes: and so, what is stored can be read again.
        return try JSONDecoder().decode(CORSRule.self, from: JSONEncoder().encode(rule))
    }

    private static func shown(_ rule: CORSRule) -> LambdaValue {
        var members: [String: LambdaValue] = [:]
        for (name, list) in [
            ("AllowOrigins", rule.origins), ("AllowMethods", rule.methods), ("AllowHeaders", rule.headers),
            ("ExposeHeaders", rule.exposeHeaders),
        ] where !list.isEmpty {
            members[name] = .list(list.map { .text($0) })
        }
        if rule.credentials { members["AllowCredentials"] = true }
        if rule.maxAge > 0 { members["MaxAge"] = .whole(rule.maxAge) }
        return .object(members)
    }
}
