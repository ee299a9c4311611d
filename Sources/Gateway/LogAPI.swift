import Catalogue
import Foundation
import FunctionModel
import HTTPTypes
import Hummingbird
import Journal
import NIOCore

private struct LogPage: Encodable {
    let lines: [LogLine]
}

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
        let invocation = call.query("invocation")
        let accepts = call.request.headers[.accept] ?? ""
        guard accepts.isASCII, accepts.contains("text/event-stream"), call.request.method != .head else {
            return try Response.json(
                LogPage(lines: services.journal.logs.lines(of: name, limit: limit, invocation: invocation)))
        }
        return try follow(name, backlog: limit, invocation: invocation)
    }

    /// Server-sent events: what there is, then each line as it comes.
    private func follow(_ name: FunctionName, backlog: Int, invocation: String?) throws -> Response {
        let place = try followers.take("followers of logs")
        let stream = services.journal.logs.follow(name)
        let past = services.journal.logs.lines(of: name, limit: backlog, invocation: invocation)
        let body = ResponseBody { writer in
            for line in past { try await writer.write(Self.event(line)) }
            for await line in stream where invocation == nil || line.invocationId == invocation {
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
        buffer.writeBytes(try JSONEncoder().encode(line))
        buffer.writeString("\n\n")
        return buffer
    }
}
