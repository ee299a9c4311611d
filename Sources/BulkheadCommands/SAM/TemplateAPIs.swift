import Foundation
import FunctionModel
import WireText

/// An API of a template: what it says of its routes.
struct TemplateAPI {
    enum Kind {
        /// `AWS::Serverless::HttpApi`.
        case http
        /// `AWS::Serverless::Api`.
        case rest

        init?(type: String) {
            switch type {
            case "AWS::Serverless::HttpApi": self = .http
            case "AWS::Serverless::Api": self = .rest
            default: return nil
            }
        }

        /// Its section of `Globals`.
        var globals: String { self == .http ? "HttpApi" : "Api" }
        /// The one that SAM makes for events that name none.
        var implicitID: String { self == .http ? "ServerlessHttpApi" : "ServerlessRestApi" }

        var properties: Set<String> {
            let both: Set<String> = ["Name", "Description", "StageName", "Tags", "Auth"]
            switch self {
            case .http: return both.union(["CorsConfiguration", "FailOnWarnings"])
            case .rest: return both.union(["Cors", "OpenApiVersion", "TracingEnabled"])
            }
        }

        /// What can be left out and nobody may more than before. All else may be what keeps others away, such as an endpoint of one
        /// network alone, or a definition with rules of its own.
        static let harmless: Set<String> = [
            "AccessLogSetting", "AccessLogSettings", "AlwaysDeploy", "BinaryMediaTypes", "CacheClusterEnabled",
            "CacheClusterSize", "CanarySetting", "DefaultRouteSettings", "GatewayResponses", "MethodSettings",
            "MinimumCompressionSize", "Models", "PropagateTags", "RouteSettings", "StageVariables",
        ]
    }

    /// Whose JSON Web Tokens are taken.
    struct Authorizer {
        let issuer: String
        let audience: [String]
        var scopes: [String] = []

        /// A route's `auth`.
        var body: [String: Any] {
            let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
            return [
                "jwt": [
                    "issuer": issuer, "audience": audience, "jwks": "\(base)/.well-known/jwks.json", "scopes": scopes,
                ]
            ]
        }
    }

    let kind: Kind
    /// As a route's.
    var cors: [String: Any]?
    /// Those that can be carried out.
    var authorizers: [String: Authorizer] = [:]
    var standardAuthorizer: String?
    /// Something that guards it is not supported: none of its routes is made, for they would be open.
    var isLeftOut = false
}

/// Reads the APIs of a template.
struct TemplateAPIReader {
    let reading: TemplateReading

    /// By logical ids.
    func read(_ outline: TemplateOutline) -> [String: TemplateAPI] {
        var apis: [String: TemplateAPI] = [:]
        for kind in [TemplateAPI.Kind.http, .rest] {
            apis[kind.implicitID] = readAPI(kind, outline.globals[kind.globals], kind.implicitID)
        }
        for resource in outline.resources {
            guard let kind = TemplateAPI.Kind(type: resource.type) else { continue }
            let own = resource.properties ?? TemplateValue(.null, line: resource.line)
            var api = readAPI(kind, own.merged(with: outline.globals[kind.globals]), resource.id)
            if resource.isLeftOut { api.isLeftOut = true }
            apis[resource.id] = api
        }
        return apis
    }

    private func readAPI(_ kind: TemplateAPI.Kind, _ properties: TemplateValue?, _ id: String) -> TemplateAPI {
        var api = TemplateAPI(kind: kind)
        guard let all = reading.known(properties, id) else {
            api.isLeftOut = true
            return api
        }
        for member in all {
            let place = "\(id).\(shown(member.name))"
            guard kind.properties.contains(member.name) else {
                leaveOut(member, place, &api)
                continue
            }
            switch member.name {
            case "CorsConfiguration": api.cors = checked(readHTTPCORS(member.value, place), member.line, place)
            case "Cors": api.cors = checked(readRESTCORS(member.value, place), member.line, place)
            case "Auth": readAuth(member.value, place, &api)
            case "Tags": reading.note(member.line, place, "tags are not carried over")
            case "TracingEnabled":
                if reading.flag(member.value, place) == true { reading.unsupported(member.line, place) }
            // Nothing here goes by what they say: a route's path is the template's, without a stage.
            default: break
            }
        }
        return api
    }

    private func leaveOut(_ member: TemplateValue.Member, _ place: String, _ api: inout TemplateAPI) {
        if TemplateAPI.Kind.harmless.contains(member.name) { return reading.unsupported(member.line, place) }
        reading.unsupported(member.line, place, "it is not supported: no route of this API is made")
        api.isLeftOut = true
    }

    // MARK: - Who may

    private func readAuth(_ value: TemplateValue, _ place: String, _ api: inout TemplateAPI) {
        guard let all = reading.known(value, place) else {
            api.isLeftOut = true
            return
        }
        for member in all {
            let place = "\(place).\(shown(member.name))"
            switch (api.kind, member.name) {
            case (.http, "DefaultAuthorizer"):
                api.standardAuthorizer = reading.text(member.value, place)
                if api.standardAuthorizer == nil { api.isLeftOut = true }
            case (.http, "Authorizers"):
                for authorizer in reading.members(member.value, place) {
                    let place = "\(place).\(shown(authorizer.name))"
                    guard TemplateReading.isID(authorizer.name) else {
                        reading.wrong(authorizer.line, place, "an authorizer is named by up to 255 letters and digits")
                        continue
                    }
                    api.authorizers[authorizer.name] = readAuthorizer(authorizer, place)
                }
            default: leaveOut(member, place, &api)
            }
        }
    }

    /// Nil where it asks for something else than tokens of an issuer.
    private func readAuthorizer(_ member: TemplateValue.Member, _ place: String) -> TemplateAPI.Authorizer? {
        var issuer: String?, audience: [String]?, scopes: [String] = [], isSupported = true
        for inner in reading.members(member.value, place) {
            let place = "\(place).\(shown(inner.name))"
            switch inner.name {
            case "JwtConfiguration":
                for rule in reading.members(inner.value, place) {
                    let place = "\(place).\(shown(rule.name))"
                    switch rule.name {
                    case "issuer", "Issuer": issuer = reading.text(rule.value, place)
                    case "audience", "Audience": audience = reading.texts(rule.value, place)
                    default:
                        reading.unsupported(rule.line, place)
                        isSupported = false
                    }
                }
            case "IdentitySource":
                guard reading.text(inner.value, place)?.isSame(as: "$request.header.Authorization") != true else {
                    continue
                }
                reading.unsupported(inner.line, place, "tokens are taken from the header Authorization alone")
                isSupported = false
            case "AuthorizationScopes":
                guard let named = reading.texts(inner.value, place) else {
                    isSupported = false
                    continue
                }
                scopes = named
            default:
                reading.unsupported(inner.line, place)
                isSupported = false
            }
        }
        guard isSupported else { return nil }
        guard let issuer, let audience, !audience.isEmpty else {
            reading.unsupported(member.line, place, "JwtConfiguration with issuer and audience is wanted")
            return nil
        }
        guard OutgoingURL(issuer)?.isEncrypted == true else {
            reading.unsupported(member.line, place, "the issuer \"\(shown(issuer))\" is no https URL")
            return nil
        }
        return TemplateAPI.Authorizer(issuer: issuer, audience: audience, scopes: scopes)
    }

    // MARK: - CORS

    private func readHTTPCORS(_ value: TemplateValue, _ place: String) -> [String: Any]? {
        guard let value = reading.evaluated(value, place) else { return nil }
        var cors: [String: Any] = ["headers": [String]()]
        if case .text = value.content {
            // As SAM has it: pages from everywhere, with nothing beyond simple requests.
            guard reading.flag(value, place) == true else { return nil }
            cors["origins"] = ["*"]
            return cors
        }
        for member in reading.members(value, place) {
            let place = "\(place).\(shown(member.name))"
            switch member.name {
            case "AllowOrigins": cors["origins"] = reading.texts(member.value, place)
            case "AllowMethods": cors["methods"] = reading.texts(member.value, place)?.map { $0.uppercased() }
            case "AllowHeaders": cors["headers"] = reading.texts(member.value, place) ?? []
            case "ExposeHeaders": cors["exposeHeaders"] = reading.texts(member.value, place)
            case "AllowCredentials": cors["credentials"] = reading.flag(member.value, place)
            case "MaxAge": cors["maxAge"] = reading.whole(member.value, in: 0...86_400, place)
            default: reading.unsupported(member.line, place)
            }
        }
        return cors
    }

    /// The values of headers, as REST APIs have them: in quotes, with commas.
    private func readRESTCORS(_ value: TemplateValue, _ place: String) -> [String: Any]? {
        guard let value = reading.evaluated(value, place) else { return nil }
        var cors: [String: Any] = ["headers": [String]()]
        if case .text(let origin) = value.content {
            cors["origins"] = [Self.unquoted(origin)]
            return cors
        }
        for member in reading.members(value, place) {
            let place = "\(place).\(shown(member.name))"
            if member.name == "AllowCredentials" {
                cors["credentials"] = reading.flag(member.value, place)
                continue
            }
            guard let text = reading.text(member.value, place).map(Self.unquoted) else { continue }
            let list = text.split(separator: ",").map { String($0).trimmingCharacters(in: .whitespaces) }
            switch member.name {
            case "AllowOrigin": cors["origins"] = list
            case "AllowMethods": cors["methods"] = list
            case "AllowHeaders": cors["headers"] = list
            case "MaxAge": cors["maxAge"] = Int(text) ?? -1
            default: reading.unsupported(member.line, place)
            }
        }
        return cors
    }

    private static func unquoted(_ text: String) -> String {
        text.utf8.count >= 2 && text.hasPrefix("'") && text.hasSuffix("'") ? String(text.dropFirst().dropLast()) : text
    }

    /// Nil where the host would refuse it, which is said: then no page from elsewhere may.
    private func checked(_ cors: [String: Any]?, _ line: Int, _ place: String) -> [String: Any]? {
        guard let cors else { return nil }
        do {
            _ = try JSONDecoder().decode(CORSRule.self, from: try JSONSerialization.data(withJSONObject: cors))
            return cors
        } catch let failure as Failure {
            reading.unsupported(line, place, printable(failure.detail.prefix(bytes: 400)))
        } catch {
            reading.unsupported(line, place, "it cannot be read")
        }
        return nil
    }
}
