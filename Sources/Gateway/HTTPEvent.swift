import Foundation
import FunctionModel
import HTTPTypes
import NIOCore

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

        /// What a JSON Web Token said.
        struct Authorizer {
            let claims: [String: String]
            let scopes: [String]?
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
        var authorizer: Context.Authorizer?
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
    }

    init(_ source: Source) {
        routeKey = source.routed?.key ?? "$default"
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
        // Who stands in front has said what it knows; we are the last one.
        lines["x-forwarded-for"] = [
            ((lines["x-forwarded-for"] ?? []) + [source.connection.peer]).joined(separator: ", ")
        ]
        for (name, own) in [
            ("x-forwarded-proto", source.connection.scheme), ("x-forwarded-port", String(source.connection.port)),
        ] where lines[name] == nil || !source.connection.isProxy { lines[name] = [own] }
        headers = lines.mapValues { $0.joined(separator: ",") }
        self.cookies = cookies.isEmpty ? nil : cookies
        let parameters = Dictionary(grouping: source.parameters, by: \.name).mapValues {
            $0.map(\.value).joined(separator: ",")
        }
        queryStringParameters = parameters.isEmpty ? nil : parameters
        requestContext = Context(
            accountId: "anonymous", apiId: source.function.text, authorizer: source.routed?.authorizer,
            domainName: source.authority,
            domainPrefix: source.function.text,
            http: .init(
                method: source.method, path: source.path, protocol: "HTTP/1.1",
                sourceIp: source.connection.clientAddress,
                userAgent: source.headers[.userAgent] ?? ""),
            requestId: source.invocationID, routeKey: routeKey, stage: "$default", time: Self.time(source.now),
            timeEpoch: Int(source.now.timeIntervalSince1970 * 1000))
    }

    /// The event's JSON, with the request's body in it.
    func encoded(body: ByteBuffer, type: String) -> ByteBuffer {
        var event = withoutBody()
        HTTPEventBody.write(body, type: type, to: &event)
        event.writeString("}")
        return event
    }

    /// The event's JSON up to the letters of a body in base64; behind them comes `end`.
    func beginning() -> ByteBuffer {
        var event = withoutBody()
        event.writeString(#""isBase64Encoded":true,"body":""#)
        return event
    }

    static let end = ByteBuffer(string: "\"}")

    /// By bytes, as a browser wrote them: U+037E is canonically equal to ";".
    private static func cookies(in header: String) -> [String] {
        let blanks = [UInt8(ascii: " "), UInt8(ascii: "\t")]
        return header.utf8.split(separator: UInt8(ascii: ";")).map { part in
            var part = part.drop { blanks.contains($0) }
            while let last = part.last, blanks.contains(last) { part.removeLast() }
            return String(Substring(part))
        }
    }

    /// `12/Mar/2020:19:03:58 +0000`
    private static func time(_ date: Date) -> String { HTTPDate.logged(Int(date.timeIntervalSince1970.rounded(.down))) }
}
