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

extension Gateway {
    func addLogRoutes(to router: Router<GatewayContext>) {
        router.get("/v1/functions/:name/logs") { request, context in
            try authorize(request, .admin)
            let name = try services.catalogue.snapshot.resolve(FunctionReference(name(context))).name
            let limit = try number("limit", request, in: 0...10_000) ?? 100
            let invocation = request.uri.queryParameters.get("invocation")
            let accepts = request.headers[.accept] ?? ""
            guard accepts.isASCII, accepts.contains("text/event-stream"), request.method != .head else {
                return try Response.json(
                    LogPage(lines: services.journal.logs.lines(of: name, limit: limit, invocation: invocation)))
            }
            return try follow(name, backlog: limit, invocation: invocation)
        }
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
