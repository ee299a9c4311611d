import Foundation
import FunctionModel
import HTTPTypes

/// An HTTP request as API Gateway's payload format 2.0, and a handler's result as a Lambda function URL answers it.
/// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
struct HTTPEvent {
    struct Context {
        struct HTTP {
            let method: String
            let path: String
            let `protocol`: String
            let sourceIp: String
            let userAgent: String
        }

        /// Who a request was found to come from.
        enum Authorizer {
            /// What a JSON Web Token said.
            case jwt(claims: [String: String], scopes: [String]?)
            /// Whose key has signed it.
            case iam(Principal.Holder)
        }

        let accountId: String
        let apiId: String
        let authorizer: Authorizer?
        let domainName: String
        let domainPrefix: String
        let http: HTTP
        let requestId: String
        let routeKey: String
        let stage: String
        let time: String
        let timeEpoch: Int
    }

    let routeKey: String
    let rawPath: String
    let rawQueryString: String
    let cookies: [String]?
    let headers: [String: String]
    let queryStringParameters: [String: String]?
    let pathParameters: [String: String]?
    let requestContext: Context

    /// What only a route has.
    struct Routed {
        var key: String
        var parameters: [String: String]

        /// The path that it is called by, with its parameters' names.
        var resource: String { String(Substring(key.utf8.drop { $0 != UInt8(ascii: " ") }.dropFirst())) }
    }

    /// By which a client has come.
    struct Connection {
        /// Whose connection it is: what `X-Forwarded-For` gets.
        var peer: String
        var clientAddress: String
        /// Whether it is believed what it says of how clients have come to it.
        var isProxy: Bool
        /// That it has come to.
        var port: Int
        var scheme: String
    }

    struct Source {
        var method: String
        /// Behind `/fn/{name}`, undecoded; `/` at least.
        var path: String
        var query: String
        var parameters: [(name: String, value: String)]
        var authority: String
        var headers: HTTPFields
        var connection: Connection
        var invocationID: String
        var function: FunctionName
        var now: Date
        var routed: Routed?
        var authorizer: Context.Authorizer?
    }

    /// What is the same in all of them.
    static let defaultKey = "$default", stage = "$default", protocolName = "HTTP/1.1"

    init(_ source: Source) {
        routeKey = source.routed?.key ?? Self.defaultKey
        rawPath = source.path
        let parts = source.routed?.parameters ?? [:]
        pathParameters = parts.isEmpty ? nil : parts
        rawQueryString = source.query
        var lines: [String: [String]] = ["host": [source.authority]]
        var cookies: [String] = []
        for field in source.headers {
            if field.name == .cookie {
                cookies += Self.cookies(in: field.value)
            } else {
                lines[field.name.canonicalName, default: []].append(field.value)
            }
        }
        // As function URLs have it, which hand cookies over twice.
        if !cookies.isEmpty { lines["cookie"] = [cookies.joined(separator: "; ")] }
        for (name, value) in source.forwarded { lines[name.canonicalName] = [value] }
        headers = lines.mapValues { $0.joined(separator: ",") }
        self.cookies = cookies.isEmpty ? nil : cookies
        let parameters = Dictionary(grouping: source.parameters, by: \.name).mapValues {
            $0.map(\.value).joined(separator: ",")
        }
        queryStringParameters = parameters.isEmpty ? nil : parameters
        requestContext = Context(
            accountId: source.hasSigner ? LambdaLabel.account : "anonymous", apiId: source.function.text,
            authorizer: source.authorizer,
            domainName: source.authority,
            domainPrefix: source.function.text,
            http: .init(
                method: source.method, path: source.path, protocol: Self.protocolName,
                sourceIp: source.connection.clientAddress,
                userAgent: source.headers[.userAgent] ?? ""),
            requestId: source.invocationID, routeKey: routeKey, stage: Self.stage, time: source.time,
            timeEpoch: source.timeEpoch)
    }

    /// By bytes, as a browser wrote them: U+037E is canonically equal to ";".
    private static func cookies(in header: String) -> [String] {
        let blanks = [UInt8(ascii: " "), UInt8(ascii: "\t")]
        return header.utf8.split(separator: UInt8(ascii: ";")).map { part in
            var part = part.drop { blanks.contains($0) }
            while let last = part.last, blanks.contains(last) { part.removeLast() }
            return String(Substring(part))
        }
    }
}

/// What every format tells.
extension HTTPEvent.Source {
    /// `12/Mar/2020:19:03:58 +0000`
    var time: String { HTTPDate.logged(Int(now.timeIntervalSince1970.rounded(.down))) }
    var timeEpoch: Int { Int(now.timeIntervalSince1970 * 1000) }

    /// Whether somebody's key has signed it.
    var hasSigner: Bool { if case .iam? = authorizer { true } else { false } }

    /// Who stands in front has said what it knows; we are the last one.
    var forwarded: [(name: HTTPField.Name, value: String)] {
        let peers = headers[values: .xForwardedFor] + [connection.peer]
        func said(_ name: HTTPField.Name, own: String) -> (name: HTTPField.Name, value: String) {
            (name, connection.isProxy ? headers[name] ?? own : own)
        }
        return [
            (.xForwardedFor, peers.joined(separator: ", ")), said(.xForwardedProto, own: connection.scheme),
            said(.xForwardedPort, own: String(connection.port)),
        ]
    }
}

extension HTTPField.Name {
    // These are constants that parse.
    fileprivate static let xForwardedProto = HTTPField.Name("X-Forwarded-Proto")!
    fileprivate static let xForwardedPort = HTTPField.Name("X-Forwarded-Port")!
}
