import Foundation
import FunctionModel
import HostSystem
import Hummingbird
import Invoker
import NIOCore
import Queues
import Store
import WireText

/// Queues by name: what is sent waits, and is handed to functions by mappings; see `MappingAPI`.
struct QueueAPI: Sendable {
    let services: Services
    let intake: EventIntake

    static let one = RoutePath("/v1/queues/{name}")
    private static let messages = RoutePath("/v1/queues/{name}/messages")

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, RoutePath("/v1/queues"), needs: .role(.admin),
                Operation(
                    id: "listQueues", summary: "List queues, by their names",
                    parameters: [.page(upTo: 1000), .cursor],
                    answers: [
                        .json(
                            "A page",
                            .record(
                                [
                                    "queues": .list(of: .schema("Queue")),
                                    "next": .text.about("Pass as cursor for the next page; absent on the last"),
                                ], required: ["queues"]))
                    ], fails: [400])
            ) { call in
                let limit = try call.number("limit", in: 1...1000) ?? 100, after = call.query("cursor") ?? ""
                let page = services.queues.all.filter { $0.name > after }.prefix(limit + 1)
                return try Response.json(
                    QueuePage(
                        queues: Array(page.prefix(limit)), next: page.count > limit ? page.dropLast().last?.name : nil))
            },
            Endpoint(
                .get, Self.one, needs: .role(.admin),
                Operation(
                    id: "getQueue", summary: "Show a queue, and how much waits in it",
                    answers: [.tagged("The queue", .schema("Queue"))], fails: [404])
            ) { call in
                let queue = try services.queues.queue(call.parameter("name"))
                return try Response.json(
                    QueueDocument(queue: queue, messages: try await services.queues.state(of: queue))
                ).tagged(queue.tag)
            },
            Endpoint(
                .put, Self.one, needs: .role(.admin),
                Operation(
                    id: "putQueue", summary: "Make a queue, or change one",
                    about:
                        "Messages are handed out at least once. One that its function could not do comes again after visibility, up to maxReceives times, then goes to the queue deadLetters; without maxReceives until it is older than retention. Without deadLetters it is deleted.",
                    parameters: [.ifMatch], body: ["application/json": .record(Self.members)],
                    answers: [
                        .tagged("Changed, or the same as before", .schema("Queue")),
                        .tagged("New", .schema("Queue"), status: 201),
                    ], fails: [400, 404, 409, 412, 413]), handle: put),
            Endpoint(
                .delete, Self.one, needs: .role(.admin),
                Operation(
                    id: "deleteQueue", summary: "Delete a queue, and all that waits in it", parameters: [.ifMatch],
                    answers: [.empty("Deleted")], fails: [404, 409, 412])
            ) { call in
                let name = call.parameter("name")
                _ = try services.queues.queue(name)
                _ = try await services.queues.remove(name, call.precondition)
                return Response(status: .noContent)
            },
            Endpoint(
                .post, Self.messages, needs: .role(.invoke),
                Operation(
                    id: "sendMessage", summary: "Put a message into a queue",
                    about:
                        "The body is the message: text, 256 KiB at most. 202 once it is safe. A key that is not for all functions may send where each function that gets what waits there is one of its own, and there is one.",
                    parameters: [.query("delay", .text, "Not handed out before, such as 10s; at most 15m")],
                    body: ["text/plain": .text, "application/json": .object([:])],
                    answers: [
                        .json("Accepted", .record(["messageId": .text], required: ["messageId"]), status: 202)
                    ], fails: [400, 404, 413, 503]), handle: send),
            Endpoint(
                .get, Self.messages, needs: .role(.admin),
                Operation(
                    id: "listMessages", summary: "Look at what waits in a queue, the oldest first",
                    about: "Nothing is handed out by that.",
                    parameters: [.page(upTo: Self.longestPage, standard: 10), .cursor],
                    answers: [
                        .json(
                            "A page",
                            .record(
                                [
                                    "messages": .list(of: Self.message),
                                    "next": .text.about("Pass as cursor for the next page; absent on the last"),
                                ], required: ["messages"]))
                    ], fails: [400, 404, 503]), handle: list),
            Endpoint(
                .delete, Self.messages, needs: .role(.admin),
                Operation(
                    id: "purgeQueue", summary: "Delete all that waits in a queue",
                    answers: [Self.count("deleted")], fails: [404])
            ) { call in
                let queue = try services.queues.queue(call.parameter("name"))
                return try Response.json(["deleted": try await services.queues.purge(queue)])
            },
            Endpoint(
                .post, RoutePath("/v1/queues/{name}/redrive"), needs: .role(.admin),
                Operation(
                    id: "redriveQueue", summary: "Move what waits in a queue to another one, as if it had just come",
                    parameters: [.query("to", .text, "The other queue")],
                    answers: [Self.count("redriven")], fails: [400, 404])
            ) { call in
                let queue = try services.queues.queue(call.parameter("name"))
                guard let other = call.query("to") else {
                    throw Failure(.invalidRequest, "query parameter to: the queue that is to have them, as in ?to=jobs")
                }
                return try Response.json(["redriven": try await services.queues.redrive(queue, to: other)])
            },
        ]
    }

    private static func count(_ member: String) -> Operation.Answer {
        .json("How many", .record([member: .whole], required: [member]))
    }

    private func put(_ call: Call) async throws -> Response {
        let name = call.parameter("name")
        guard MessageQueue.isName(name) else {
            throw Failure(
                .invalidRequest, "\"\(printable(name.prefix(bytes: 80)))\" is no queue's name: \(MessageQueue.nameRule)"
            )
        }
        let body = try await intake.event(of: call.request, call.context, for: nil, isJSON: true).bytes
        var queue: MessageQueue = try JSONRequest.decode(
            body.readableBytes == 0 ? ByteBuffer(string: "{}") : body,
            #"a queue is made from {"visibility": "30s", "maxReceives": 3}, or {}"#)
        guard queue.name.isEmpty || queue.name == name else {
            throw Failure(.invalidRequest, "name: the path says \"\(name)\", the body another one")
        }
        queue.name = name
        let (entered, isNew) = try await services.queues.put(queue, now: timestamp(), call.precondition)
        return try Response.json(
            QueueDocument(queue: entered, messages: try await services.queues.state(of: entered)),
            status: isNew ? .created : .ok
        ).tagged(entered.tag)
    }

    private func send(_ call: Call) async throws -> Response {
        let queue = try own(call)
        var delay = TimeLimit.seconds(0)
        if let text = call.query("delay") {
            guard let time = TimeLimit(text), time <= MessageQueue.longestDelay else {
                throw Failure(
                    .invalidRequest, "query parameter delay: \(TimeLimit.rule), at most \(MessageQueue.longestDelay)")
            }
            delay = time
        }
        // Charged to who gets it, as an invocation's event is, and no more of it taken in than may be sent.
        let owner = services.queues.functions(reachedFrom: queue).map(\.text).min() ?? queue.name
        let own = EventIntake(budget: services.budget, maxEvent: MessageQueue.longestMessage)
        let event = try await own.event(of: call.request, call.context, for: owner, isJSON: false)
        // What it is charged to is held until it is in the store.
        defer { withExtendedLifetime(event) {} }
        guard event.size > 0 else { throw Failure(.invalidRequest, "the message is empty") }
        var text = UTF8Scanner()
        event.bytes.withUnsafeReadableBytes { text.read($0) }
        guard text.isValid else {
            throw Failure(.invalidRequest, "a message is text in UTF-8; bytes go as base64")
        }
        let id = try await services.queues.send(String(buffer: event.bytes), to: queue.name, after: delay)
        return try Response.json(["messageId": id], status: .accepted)
    }

    /// The queue in the path, if the sender may send there.
    /// - Throws: `Failure` not_found; forbidden, which tells a key for some functions nothing of others, nor of queues.
    private func own(_ call: Call) throws -> MessageQueue {
        let name = call.parameter("name"), mine = call.principal.functions
        guard !mine.isAll else { return try services.queues.queue(name) }
        guard let queue = try? services.queues.queue(name) else { throw Self.notOwn }
        let functions = services.queues.functions(reachedFrom: queue)
        guard !functions.isEmpty, functions.allSatisfy({ mine.includes($0) }) else { throw Self.notOwn }
        return queue
    }

    private static let notOwn = Failure(
        .forbidden,
        "this key is for some functions: it sends to queues that these get, they alone, also what ends among the dead letters"
    )

    private static let longestPage = 20

    private func list(_ call: Call) async throws -> Response {
        let queue = try services.queues.queue(call.parameter("name"))
        let limit = try call.number("limit", in: 1...Self.longestPage) ?? 10
        let after = try call.number("cursor", in: 0...Int.max).map(Int64.init) ?? 0
        // As many of the largest as may be asked for, and what each byte may become in JSON.
        let charge = services.budget.charge()
        guard charge.add(8 * limit * MessageQueue.longestMessage) else { throw Failure.crowded }
        let found = try await services.queues.messages(in: queue, after: after, limit: limit + 1)
        let shown = found.prefix(limit)
        let page = MessagePage(
            messages: shown.map(MessageDocument.init),
            next: found.count > limit ? shown.last.map { String($0.position) } : nil)
        return Response(
            status: .ok, headers: [.contentType: "application/json"],
            body: .charged(ByteBuffer(bytes: try JSONEncoder.ours.encode(page)), to: charge))
    }

    // MARK: - Description

    static let members: [String: JSONValue] = [
        "visibility": .text.about(
            "For so long a message that was handed out is nobody else's, 1s to 12h; default: 30s"),
        "retention": .text.about("What is older is deleted, 1m to 336h; default: 96h"),
        "maxReceives": .integer(MessageQueue.receives).about("How often a message is handed out at most"),
        "deadLetters": .text.about("The queue that then gets it"),
    ]

    static let schema: JSONValue = .record(
        members.merging([
            "name": .text, "updatedAt": .text,
            "messages": .record([
                "waiting": .whole, "inFlight": .whole.about("Handed out, and not done"),
                "delayed": .whole.about("Their time has not come"), "bytes": .whole,
            ]),
        ]) { $1 }, required: ["name", "visibility", "retention", "updatedAt"])

    private static let message: JSONValue = .record(
        [
            "messageId": .text, "body": .text, "sentAt": .date, "visibleAt": .date, "receives": .whole,
        ], required: ["messageId", "body", "sentAt", "visibleAt", "receives"])
}

private struct QueuePage: Encodable {
    let queues: [MessageQueue]
    let next: String?
}

private struct QueueDocument: Encodable {
    let queue: MessageQueue
    let messages: MessageState

    private enum Keys: String, CodingKey { case messages, waiting, inFlight, delayed, bytes }

    func encode(to encoder: any Encoder) throws {
        try queue.encode(to: encoder)
        var members = encoder.container(keyedBy: Keys.self)
        var state = members.nestedContainer(keyedBy: Keys.self, forKey: .messages)
        try state.encode(messages.waiting, forKey: .waiting)
        try state.encode(messages.inFlight, forKey: .inFlight)
        try state.encode(messages.delayed, forKey: .delayed)
        try state.encode(messages.bytes, forKey: .bytes)
    }
}

private struct MessageDocument: Encodable {
    let messageId: String
    let body: String
    let sentAt: String
    let visibleAt: String
    let receives: Int

    init(_ message: QueueMessage) {
        messageId = message.id
        body = message.body
        sentAt = timestamp(milliseconds: message.sentAt)
        visibleAt = timestamp(milliseconds: message.visibleAt)
        receives = message.receives
    }
}

private struct MessagePage: Encodable {
    let messages: [MessageDocument]
    let next: String?
}
