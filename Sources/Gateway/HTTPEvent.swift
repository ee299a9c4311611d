import Foundation
import FunctionModel
import HTTPTypes
import NIOCore
import WorkerProtocol

/// An HTTP request as API Gateway's payload format 2.0, and a handler's result as a Lambda function URL answers it.
/// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
struct HTTPEvent: Encodable {
    struct Context: Encodable {
        struct HTTP: Encodable {
            let method: String
            let path: String
            let `protocol`: String
            let sourceIp: String
            let userAgent: String
        }

        let accountId: String
        let apiId: String
        let domainName: String
        let domainPrefix: String
        let http: HTTP
        let requestId: String
        let routeKey: String
        let stage: String
        let time: String
        let timeEpoch: Int
    }

    let version = "2.0"
    let routeKey = "$default"
    let rawPath: String
    let rawQueryString: String
    let cookies: [String]?
    let headers: [String: String]
    let queryStringParameters: [String: String]?
    let requestContext: Context
    let body: String?
    let isBase64Encoded: Bool

    private enum CodingKeys: String, CodingKey {
        case version, routeKey, rawPath, rawQueryString, cookies, headers, queryStringParameters, requestContext, body
        case isBase64Encoded
    }

    struct Source {
        var method: String
        /// Behind `/fn/{name}`, undecoded; `/` at least.
        var path: String
        var query: String
        var parameters: [(name: String, value: String)]
        var authority: String
        var headers: HTTPFields
        var body: ByteBuffer
        var clientAddress: String
        var invocationID: String
        var function: FunctionName
        var now: Date
    }

    init(_ source: Source) {
        rawPath = source.path
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
        headers = lines.mapValues { $0.joined(separator: ",") }
        self.cookies = cookies.isEmpty ? nil : cookies
        let parameters = Dictionary(grouping: source.parameters, by: \.name).mapValues {
            $0.map(\.value).joined(separator: ",")
        }
        queryStringParameters = parameters.isEmpty ? nil : parameters
        requestContext = Context(
            accountId: "anonymous", apiId: source.function.text, domainName: source.authority,
            domainPrefix: source.function.text,
            http: .init(
                method: source.method, path: source.path, protocol: "HTTP/1.1", sourceIp: source.clientAddress,
                userAgent: source.headers[.userAgent] ?? ""),
            requestId: source.invocationID, routeKey: "$default", stage: "$default", time: Self.time(source.now),
            timeEpoch: Int(source.now.timeIntervalSince1970 * 1000))
        (body, isBase64Encoded) = Self.body(source.body, type: source.headers[.contentType] ?? "")
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

    /// Text as text; everything else in base64, and absent when empty.
    private static func body(_ bytes: ByteBuffer, type: String) -> (String?, Bool) {
        guard bytes.readableBytes > 0 else { return (nil, false) }
        let lowercase = type.isASCII ? type.lowercased() : ""
        let isTextual = ["text/", "json", "xml", "javascript", "x-www-form-urlencoded"].contains {
            lowercase.contains($0)
        }
        if isTextual || type.isEmpty, let text = String(validating: bytes.readableBytesView, as: UTF8.self) {
            return (text, false)
        }
        return (Data(bytes.readableBytesView).base64EncodedString(), true)
    }

    /// `12/Mar/2020:19:03:58 +0000`
    private static func time(_ date: Date) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(secondsFromGMT: 0)
        formatter.dateFormat = "dd/MMM/yyyy:HH:mm:ss Z"
        return formatter.string(from: date)
    }
}

/// A handler's result as an HTTP response.
struct HTTPEventAnswer {
    let status: Int
    let headers: [(HTTPField.Name, String)]
    let body: ByteBuffer

    /// Fields that are the server's own: a function that sets them would break the framing or pose as the host.
    private static func isReserved(_ name: HTTPField.Name) -> Bool {
        let reserved: Set<String> = [
            "connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "trailer", "te", "date",
            "server",
            "proxy-connection", "proxy-authenticate", "server-timing",
            // These speak for the whole origin, and so for the other functions that share it.
            "accept-ch", "alt-svc", "clear-site-data", "critical-ch", "expect-ct", "nel", "origin-agent-cluster",
            "report-to", "reporting-endpoints", "service-worker-allowed",
            "strict-transport-security",
            // These steer a proxy in front: it would answer with files of its own.
            "x-lighttpd-send-file", "x-sendfile",
        ]
        return reserved.contains(name.canonicalName) || name.canonicalName.hasPrefix("bulkhead-")
            || name.canonicalName.hasPrefix("x-accel-")
    }

    /// Looks only at what it needs: the rest of a result passes through as bytes. Decoding all of it into values would let
    /// a small, deeply nested result take seconds of the host's time.
    /// - Throws: `Failure` protocol_error when the result says `statusCode` but is no sound response.
    init(result: ByteBuffer, kind: ResultKind) throws(Failure) {
        guard kind == .json else {
            self.init(status: 200, headers: [(.contentType, kind.rawValue)], body: result)
            return
        }
        let members = JSONMembers(result)
        guard let members, let code = members.scalar("statusCode") ?? (members.has("statusCode") ? "" : nil) else {
            // As AWS does, and unlike its documentation: a string is answered without its quotes.
            let body = JSONMembers.string(result).map { ByteBuffer(string: $0) } ?? result
            self.init(status: 200, headers: [(.contentType, ResultKind.json.rawValue)], body: body)
            return
        }
        guard let status = Int(code), (200...599).contains(status) else {
            throw Failure(.protocolError, "the result's statusCode must be a whole number from 200 to 599")
        }
        var fields: [(HTTPField.Name, String)] = []
        func add(_ name: String, _ text: String?) throws(Failure) {
            guard let field = HTTPField.Name(name), let text, HTTPField.isValidValue(text) else {
                throw Failure(
                    .protocolError, "the result's header \"\(printable(name.prefix(bytes: 80)))\" is not valid in HTTP"
                )
            }
            if !Self.isReserved(field) { fields.append((field, text)) }
        }
        if let headers = members.object("headers") {
            for name in headers.names { try add(name.text, headers.scalar(name)) }
        }
        for cookie in members.strings("cookies") { try add("set-cookie", cookie) }
        if !fields.contains(where: { $0.0 == .contentType }) {
            fields.append((.contentType, ResultKind.json.rawValue))
        }
        self.init(status: status, headers: fields, body: try Self.body(of: members))
    }

    private init(status: Int, headers: [(HTTPField.Name, String)], body: ByteBuffer) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    private static func body(of members: JSONMembers) throws(Failure) -> ByteBuffer {
        guard let raw = members.bytes("body"), !members.says("body", "null") else { return ByteBuffer() }
        guard let text = JSONMembers.string(raw) else { return raw }
        guard members.says("isBase64Encoded", "true") else { return ByteBuffer(string: text) }
        guard let bytes = Data(base64Encoded: text) else {
            throw Failure(.protocolError, "the result's body is not base64, though isBase64Encoded says so")
        }
        return ByteBuffer(bytes: bytes)
    }
}
