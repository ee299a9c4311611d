import Foundation
import FunctionModel
import HTTPTypes
import NIOCore
import WireText

/// The header fields that a function's answer may set, counted and measured before any library sees them.
struct AnswerFields {
    var list: [(HTTPField.Name, String)] = []
    private var bytes = 0

    private static let reserved: Set<String> = [
        // The server's own: a function that sets them would break the framing or pose as the host.
        "connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "trailer", "te", "date", "server",
        "proxy-connection", "proxy-authenticate", "proxy-status", "server-timing", "via",
        // These speak for the whole origin, and so for the other functions that share it.
        "accept-ch", "alt-svc", "clear-site-data", "critical-ch", "expect-ct", "nel", "origin-agent-cluster",
        "report-to",
        "reporting-endpoints", "service-worker-allowed", "strict-transport-security", "public-key-pins",
        // These steer a cache or a content network in front for others.
        "edge-control", "cdn-cache-control", "cloudflare-cdn-cache-control",
    ]
    /// These steer a proxy or server in front: it would answer with files of its own, or ask another server.
    private static let reservedPrefixes = [
        "bulkhead-", "x-accel-", "x-sendfile", "x-send-file", "x-reproxy-", "x-litespeed-", "x-lsadc-", "x-lscache",
        "x-lighttpd-",
        "x-envoy-", "x-internal-redirect", "x-proxy-", "x-rewrite-", "x-original-url", "surrogate-", "x-esi",
        "x-varnish",
        "x-ngx-", "x-nginx-", "x-apache-", "x-traefik-", "x-haproxy-", "x-cache-purge", "x-akamai-",
    ]

    private static func isReserved(_ name: HTTPField.Name) -> Bool {
        let name = name.canonicalName
        return reserved.contains(name) || reservedPrefixes.contains { name.hasPrefix($0) }
    }

    /// All that an answer says.
    /// - Throws: `Failure` protocol_error.
    mutating func add(of answer: JSONMembers, as format: PayloadFormat) throws(Failure) {
        switch format {
        case .v1:
            // As API Gateway merges them: all values of both, a value that stands in both once.
            try add(lists: answer.bytes("multiValueHeaders"))
            try add(members: answer.bytes("headers"), but: list)
        case .v2:
            try add(members: answer.bytes("headers"))
            try add(cookies: answer.bytes("cookies"))
        }
    }

    /// - Parameters:
    ///   - members: the answer's `headers`: an object of strings, numbers and booleans.
    ///   - known: what is not added again.
    /// - Throws: `Failure` protocol_error.
    private mutating func add(members: ByteBuffer?, but known: [(HTTPField.Name, String)] = []) throws(Failure) {
        guard let headers = try Self.object(members, called: "headers") else { return }
        // As API Gateway does: a header that is null is none.
        for name in headers.names where !headers.says(name, "null") {
            let text = headers.scalar(name, longest: HTTPEventAnswer.maxFieldBytes)
            if let text, !known.isEmpty, let field = HTTPField.Name(name.text),
                known.contains(where: { $0.0 == field && $0.1.isSame(as: text) })
            {
                continue
            }
            try add(name.text, text)
        }
    }

    /// - Parameter lists: the answer's `multiValueHeaders`: an object of arrays of strings, numbers and booleans.
    /// - Throws: `Failure` protocol_error.
    private mutating func add(lists: ByteBuffer?) throws(Failure) {
        guard let headers = try Self.object(lists, called: "multiValueHeaders") else { return }
        for name in headers.names where !headers.says(name, "null") {
            guard let raw = headers.bytes(name), raw.readableBytes <= 2 * HTTPEventAnswer.maxFieldBytes,
                let values = try? JSONDecoder().decode(HeaderValues.self, from: Data(raw.readableBytesView))
            else {
                throw Failure(
                    .protocolError,
                    "the result's multiValueHeaders must be arrays of strings, and \"\(printable(name.text.prefix(bytes: 80)))\" is none, or longer than \(HTTPEventAnswer.maxFieldBytes >> 10) KiB"
                )
            }
            for text in values.texts { try add(name.text, text) }
        }
    }

    /// - Returns: nil where there is none, or null.
    private static func object(_ bytes: ByteBuffer?, called name: String) throws(Failure) -> JSONMembers? {
        guard let bytes, !JSONMembers.says(bytes, "null") else { return nil }
        guard let members = JSONMembers(bytes, most: HTTPEventAnswer.maxFields) else {
            throw Failure(
                .protocolError,
                "the result's \(name) must be an object with at most \(HTTPEventAnswer.maxFields) members")
        }
        return members
    }

    /// - Parameter cookies: the answer's `cookies`: an array of strings.
    /// - Throws: `Failure` protocol_error.
    private mutating func add(cookies: ByteBuffer?) throws(Failure) {
        guard let cookies, !JSONMembers.says(cookies, "null") else { return }
        guard let list = JSONMembers.strings(cookies, longest: HTTPEventAnswer.maxFieldBytes) else {
            throw Failure(
                .protocolError,
                "the result's cookies must be an array of strings, \(HTTPEventAnswer.maxFieldBytes >> 10) KiB at most")
        }
        for cookie in list { try add("set-cookie", cookie) }
    }

    private mutating func add(_ name: String, _ text: String?) throws(Failure) {
        guard name.utf8.count <= 256, let field = HTTPField.Name(name), let text, HTTPField.isValidValue(text) else {
            throw Failure(
                .protocolError, "the result's header \"\(printable(name.prefix(bytes: 80)))\" is not valid in HTTP")
        }
        bytes += name.utf8.count + text.utf8.count
        guard list.count < HTTPEventAnswer.maxFields, bytes <= HTTPEventAnswer.maxFieldBytes else {
            throw Failure(
                .protocolError,
                "the result has more than \(HTTPEventAnswer.maxFields) headers and cookies, or \(HTTPEventAnswer.maxFieldBytes >> 10) KiB of them"
            )
        }
        if !Self.isReserved(field) { list.append((field, text)) }
    }
}

/// A header's values in a list: strings, numbers and booleans, as text.
private struct HeaderValues: Decodable {
    private(set) var texts: [String] = []

    init(from decoder: any Decoder) throws {
        var values = try decoder.unkeyedContainer()
        // One more than there may be is enough to see that there are too many.
        while !values.isAtEnd, texts.count <= HTTPEventAnswer.maxFields {
            if let text = try? values.decode(String.self) {
                texts.append(text)
            } else if let flag = try? values.decode(Bool.self) {
                texts.append("\(flag)")
            } else if let number = try? values.decode(Int.self) {
                texts.append("\(number)")
            } else {
                texts.append("\(try values.decode(Double.self))")
            }
        }
    }
}
