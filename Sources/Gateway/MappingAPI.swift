import FunctionModel
import HostSystem
import Hummingbird
import NIOCore
import Queues
import WireText

/// Which functions get what waits in queues: Lambda's event source mappings, by their natural names.
struct MappingAPI: Sendable {
    let services: Services
    let intake: EventIntake

    private static let all = RoutePath("/v1/queues/{name}/mappings")
    private static let one = RoutePath("/v1/queues/{name}/mappings/{function}")

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, Self.all, needs: .role(.admin),
                Operation(
                    id: "listMappings", summary: "List the functions that get what waits in a queue",
                    answers: [
                        .json(
                            "Mappings", .record(["mappings": .list(of: .schema("Mapping"))], required: ["mappings"]))
                    ], fails: [404])
            ) { call in
                let queue = try services.queues.queue(call.parameter("name"))
                let mappings = services.queues.mappings.filter { $0.queue == queue.name }
                return try Response.json(["mappings": mappings.map { MappingDocument($0, services.queues) }])
            },
            Endpoint(
                .get, Self.one, needs: .role(.admin),
                Operation(
                    id: "getMapping", summary: "Show how a function gets what waits in a queue",
                    answers: [.tagged("The mapping", .schema("Mapping"))], fails: [400, 404])
            ) { call in try response(try mapping(call)) },
            Endpoint(
                .put, Self.one, needs: .role(.admin),
                Operation(
                    id: "putMapping", summary: "Hand what waits in a queue to a function",
                    about:
                        "The function gets {\"Records\": […]} as Lambda's do of SQS: up to batchSize messages, each with messageId, body, attributes, eventSourceARN. Where it ends well they are done. With reportsFailures its answer may name those that are not: {\"batchItemFailures\": [{\"itemIdentifier\": messageId}]}. A function that has no room (concurrency.max) gets them later, and that counts as no attempt.",
                    parameters: [.ifMatch], body: ["application/json": .record(Self.members)],
                    answers: [
                        .tagged("Changed, or the same as before", .schema("Mapping")),
                        .tagged("New", .schema("Mapping"), status: 201),
                    ], fails: [400, 404, 409, 412, 413]), handle: put),
            Endpoint(
                .delete, Self.one, needs: .role(.admin),
                Operation(
                    id: "deleteMapping", summary: "Hand it to that function no more",
                    about: "What the function has already goes on.", parameters: [.ifMatch],
                    answers: [.empty("Deleted")], fails: [400, 404, 412])
            ) { call in
                let mapping = try mapping(call)
                try call.precondition?.check(mapping.tag)
                _ = try await services.queues.removeMapping(mapping.id)
                return Response(status: .noContent)
            },
        ]
    }

    private func mapping(_ call: Call) throws -> EventSourceMapping {
        let queue = try services.queues.queue(call.parameter("name"))
        let name = try Gateway.name(call.parameter("function"))
        guard let mapping = services.queues.mapping(from: queue.name, to: name) else {
            throw Failure(.notFound, "\(name) does not get what waits in \"\(queue.name)\"")
        }
        return mapping
    }

    private func put(_ call: Call) async throws -> Response {
        let queue = try services.queues.queue(call.parameter("name"))
        let name = try Gateway.name(call.parameter("function"))
        let body = try await intake.event(of: call.request, call.context, for: nil, isJSON: true).bytes
        let wanted: EventSourceMapping = try JSONRequest.decode(
            body.readableBytes == 0 ? ByteBuffer(string: "{}") : body,
            #"a mapping is made from {"batchSize": 10, "reportsFailures": true}, or {}"#)
        let old = services.queues.mapping(from: queue.name, to: name)
        try call.precondition?.check(old?.tag)
        let entered = try await services.queues.put(
            wanted.between(queue.name, name, id: old?.id ?? RandomUUID().text), now: timestamp())
        return try response(entered, status: old == nil ? .created : .ok)
    }

    private func response(_ mapping: EventSourceMapping, status: HTTPResponse.Status = .ok) throws -> Response {
        try Response.json(MappingDocument(mapping, services.queues), status: status).tagged(mapping.tag)
    }

    // MARK: - Description

    private static let members: [String: JSONValue] = [
        "alias": .text.about("Or a version's number; default: live"),
        "batchSize": .integer(EventSourceMapping.batchSizes).about("Messages at once, at most; default: 10"),
        "window": .text.about("How long to wait for so many, up to 5m; default: 0s. More than 10 come only with one"),
        "enabled": .flag, "reportsFailures": .flag.about("Whether its answer may name what it could not do"),
        "maxConcurrency": .integer(EventSourceMapping.concurrencies).about("Batches at once; default: 5"),
    ]

    static let schema: JSONValue = .record(
        members.merging([
            "id": .text.about("What Lambda's API calls its UUID"), "queue": .text, "function": .text,
            "updatedAt": .text, "lastResult": .text.about("How the last batch went; absent before the first"),
        ]) { $1 },
        required: [
            "id", "queue", "function", "alias", "batchSize", "window", "enabled", "reportsFailures", "updatedAt",
        ])
}

private struct MappingDocument: Encodable {
    let mapping: EventSourceMapping
    let lastResult: String?

    init(_ mapping: EventSourceMapping, _ queues: Queues) {
        self.mapping = mapping
        lastResult = queues.lastResult(of: mapping.id)
    }

    private enum Keys: String, CodingKey { case lastResult }

    func encode(to encoder: any Encoder) throws {
        try mapping.encode(to: encoder)
        var members = encoder.container(keyedBy: Keys.self)
        try members.encodeIfPresent(lastResult, forKey: .lastResult)
    }
}
