import Foundation
import FunctionModel
import HTTPTypes
import NIOCore
import WireText

/// A handler's result as an HTTP response.
struct HTTPEventAnswer {
    let status: Int
    let headers: [(HTTPField.Name, String)]
    let body: ByteBuffer

    /// What an answer may have: HTTP's own libraries end the process at 65,535 fields, and proxies in front refuse far less.
    static let maxFields = 500, maxFieldBytes = 128 << 10

    /// Looks only at what it needs: the rest of a result passes through as bytes. Decoding all of it into values would let
    /// a small, deeply nested result take seconds of the host's time.
    /// - Throws: `Failure` protocol_error when the result says `statusCode` but is no sound response; in format 1.0 also when it
    ///   does not say it.
    init(result: ByteBuffer, kind: ResultKind, as format: PayloadFormat = .v2) throws(Failure) {
        let members = kind == .json ? JSONMembers(result, most: 100_000) : nil
        if format == .v1, members?.has("statusCode") != true {
            throw Failure(
                .protocolError,
                "the result is no object with statusCode, headers, multiValueHeaders, body and isBase64Encoded, as payload format 1.0 wants"
            )
        }
        guard kind == .json else {
            self.init(status: 200, headers: [(.contentType, kind.rawValue)], body: result)
            return
        }
        guard let members, members.has("statusCode") else {
            // As AWS does, and unlike its documentation: a string is answered without its quotes.
            let body = JSONMembers.isString(result) ? JSONMembers.text(result) ?? result : result
            self.init(status: 200, headers: [(.contentType, ResultKind.json.rawValue)], body: body)
            return
        }
        let status = try Self.status(members.scalar("statusCode", longest: 40) ?? "")
        var fields = AnswerFields()
        try fields.add(of: members, as: format)
        if !fields.list.contains(where: { $0.0 == .contentType }) {
            fields.list.append((.contentType, ResultKind.json.rawValue))
        }
        self.init(status: status, headers: fields.list, body: try Self.body(of: members))
    }

    /// Of an answer whose body comes by itself.
    /// - Throws: `Failure` protocol_error.
    init(head: ByteBuffer, as format: PayloadFormat = .v2) throws(Failure) {
        guard head.readableBytes <= 2 * Self.maxFieldBytes, let members = JSONMembers(head) else {
            throw Failure(
                .protocolError, "what the answer begins with is no object with statusCode, headers and cookies")
        }
        var fields = AnswerFields()
        try fields.add(of: members, as: format)
        if !fields.list.contains(where: { $0.0 == .contentType }) {
            fields.list.append((.contentType, ResultKind.bytes.rawValue))
        }
        let status = members.has("statusCode") ? try Self.status(members.scalar("statusCode", longest: 40) ?? "") : 200
        self.init(status: status, headers: fields.list, body: ByteBuffer())
    }

    /// Of one that says nothing of itself.
    /// - Parameter beginning: what has come of it.
    init(beginning: ByteBuffer) {
        var text = UTF8Scanner()
        beginning.withUnsafeReadableBytes { text.read($0) }
        let kind = !text.hasFailed ? ResultKind.text : .bytes
        self.init(status: 200, headers: [(.contentType, kind.rawValue)], body: ByteBuffer())
    }

    /// `201`, `"201"` and `201.0` are the same to a client of JSON.
    private static func status(_ text: String) throws(Failure) -> Int {
        guard let number = Double(text), let status = Int(exactly: number), (200...599).contains(status) else {
            throw Failure(.protocolError, "the result's statusCode must be a whole number from 200 to 599")
        }
        return status
    }

    private init(status: Int, headers: [(HTTPField.Name, String)], body: ByteBuffer) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    private static func body(of members: JSONMembers) throws(Failure) -> ByteBuffer {
        guard let raw = members.bytes("body"), !members.says("body", "null") else { return ByteBuffer() }
        guard JSONMembers.isString(raw), let text = JSONMembers.text(raw) else { return raw }
        guard members.says("isBase64Encoded", "true") else { return text }
        // Encoders break lines; anything else that is no base64 is an error.
        let letters = text.readableBytesView.filter { ![0x0A, 0x0D, 0x20, 0x09].contains($0) }
        let padding = letters.reversed().prefix { $0 == UInt8(ascii: "=") }.count
        // Foundation takes padding for a character where there is none.
        guard padding <= 2, !letters.dropLast(padding).contains(UInt8(ascii: "=")), letters.count % 4 == 0,
            let bytes = Data(base64Encoded: Data(letters))
        else {
            throw Failure(.protocolError, "the result's body is not base64, though isBase64Encoded says so")
        }
        return ByteBuffer(bytes: bytes)
    }
}
