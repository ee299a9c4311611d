import Catalogue
import Foundation
import FunctionModel
import HTTPTypes
import HostSystem
import Hummingbird
import Journal
import NIOCore
import WireText

/// What functions wrote.
struct LogAPI: Sendable {
    let services: Services
    /// Each may be behind by a thousand lines.
    let followers = Places(16)

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, RoutePath("/v1/functions/{name}/logs"), needs: .onFunction(.deploy),
                Operation(
                    id: "logs", summary: "Newest log lines", about: "Accept: text/event-stream follows.",
                    parameters: [
                        .page(upTo: 10_000, first: 0), .query("invocation", .text, "Only of this invocation"),
                        .query("since", .text, "Only later ones: a time (RFC 3339), or how long ago, such as 10m"),
                        .query(
                            "level", .words(LogLevel.allCases.map(\.word)),
                            "Only lines that say of themselves that they are that bad, or worse"),
                    ],
                    answers: [
                        Operation.Answer(
                            status: 200, about: "Lines, oldest first",
                            content: [
                                "application/json": .record(
                                    ["lines": .list(of: .schema("LogLine"))], required: ["lines"]),
                                "text/event-stream": .text,
                            ])
                    ], fails: [400, 404, 503]), handle: lines)
        ]
    }

    private func lines(_ call: Call) throws -> Response {
        let name = try services.catalogue.snapshot.resolve(call.reference).name
        let limit = try call.number("limit", in: 0...10_000) ?? 100
        var filter = LogFilter()
        filter.invocation = call.query("invocation")
        filter.since = try since(call)
        filter.level = try level(call)
        let accepts = call.request.headers[.accept] ?? ""
        guard accepts.isASCII, accepts.contains("text/event-stream"), call.request.method != .head else {
            var body = ByteBuffer(string: "{\"lines\":[")
            for (index, line) in services.journal.logs.lines(of: name, limit: limit, filter).enumerated() {
                if index > 0 { body.writeString(",") }
                try Self.write(line, to: &body)
            }
            body.writeString("]}")
            return Response(
                status: .ok, headers: [.contentType: "application/json; charset=utf-8"],
                body: ResponseBody(byteBuffer: body))
        }
        return try follow(name, backlog: limit, filter)
    }

    private func since(_ call: Call) throws(Failure) -> String? {
        guard let text = call.query("since") else { return nil }
        if let ago = TimeLimit(text) { return timestamp(Date(timeIntervalSinceNow: -ago.duration.inSeconds)) }
        guard text.utf8.count <= 40, let time = KeyTime.milliseconds(text) else {
            throw Failure(
                .invalidRequest,
                "query parameter since: a time such as 2026-11-28T10:00:00Z, or how long ago, such as 10m")
        }
        return timestamp(milliseconds: time)
    }

    private func level(_ call: Call) throws(Failure) -> LogLevel? {
        guard let text = call.query("level") else { return nil }
        guard let level = LogLevel(text) else {
            throw Failure(
                .invalidRequest, "query parameter level: \(LogLevel.allCases.map(\.word).joined(separator: ", "))")
        }
        return level
    }

    /// Server-sent events: what there is, then each line as it comes.
    private func follow(_ name: FunctionName, backlog: Int, _ filter: LogFilter) throws -> Response {
        let place = try followers.take("followers of logs")
        let stream = services.journal.logs.follow(name)
        let past = services.journal.logs.lines(of: name, limit: backlog, filter)
        let body = ResponseBody { writer in
            for line in past { try await writer.write(Self.event(line)) }
            for await line in stream where filter.includes(line) {
                try await writer.write(Self.event(line))
            }
            try await writer.finish(nil)
            withExtendedLifetime(place) {}
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"], body: body)
    }

    private static func event(_ line: LogLine) throws -> ByteBuffer {
        var buffer = ByteBuffer(string: "data: ")
        try write(line, to: &buffer)
        buffer.writeString("\n\n")
        return buffer
    }

    /// With what it says of itself: its level, and its members where it is a JSON object.
    private static func write(_ line: LogLine, to buffer: inout ByteBuffer) throws {
        buffer.writeBytes(try JSONEncoder.ours.encode(LogDocument(line)))
        buffer.moveWriterIndex(to: buffer.writerIndex - 1)  // its closing brace
        let said = line.said
        if let level = said.level { buffer.writeString(",\"level\":\"\(level.word)\"") }
        if said.isObject { buffer.writeString(",\"fields\":\(line.text)") }
        buffer.writeString("}")
    }
}

/// A line as the API shows it.
private struct LogDocument: Encodable {
    let time: String
    let invocationId: String?
    let version: ShownVersion
    let source: LogSource
    let text: String

    init(_ line: LogLine) {
        (time, invocationId, source, text) = (line.time, line.invocationId, line.source, line.text)
        version = ShownVersion(line.version)
    }
}
