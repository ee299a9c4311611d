import Access
import FunctionModel
import Hummingbird
import Logging
import NIOCore
import Store
import WireText

private struct AuditDocument: Encodable {
    let time: String
    let key: String
    let name: String
    let action: String
    let target: String
    let from: String

    init(_ entry: AuditEntry) {
        time = entry.time
        key = entry.key
        name = entry.name
        action = entry.action
        target = entry.target
        from = entry.from
    }
}

private struct AuditPage: Encodable {
    let audit: [AuditDocument]
    var next: String?
}

/// Who changed what, when, from where.
struct AuditAPI: Sendable {
    let services: Services

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, RoutePath("/v1/audit"), needs: .role(.admin),
                Operation(
                    id: "listAudit", summary: "Say who changed what, when, from where; the newest first",
                    about: "The newest 100,000 are kept. Invoking changes nothing, and does not stand here.",
                    parameters: [.page(upTo: 1000), .cursor],
                    answers: [
                        .json(
                            "A page",
                            .record(
                                [
                                    "audit": .list(
                                        of: .record(
                                            [
                                                "time": .date, "key": .text, "name": .text, "action": .text,
                                                "target": .text, "from": .text,
                                            ], required: ["time", "key", "name", "action", "target", "from"])),
                                    "next": .text.about("Pass as cursor for the next page; absent on the last"),
                                ], required: ["audit"]))
                    ], fails: [400])
            ) { call in
                let limit = try call.number("limit", in: 1...1000) ?? 100
                let before = try call.number("cursor", in: 1...Int.max).map(Int64.init)
                let entries = try await services.access.audit(before: before, limit: limit)
                let isFull = entries.count == limit
                return try Response.json(
                    AuditPage(
                        audit: entries.map(AuditDocument.init),
                        next: isFull ? entries.last.map { String($0.position) } : nil))
            }
        ]
    }
}

extension Gateway {
    /// Notes what an endpoint has changed. That it was done stands already: a note that cannot be written is told in the log.
    func note(_ endpoint: Endpoint, _ call: Call, _ response: Response) async {
        guard endpoint.changes, response.status.code < 300, (try? call.isDryRun) != true else { return }
        do {
            try await services.access.note(
                endpoint.operation.id, to: String(call.request.uri.path.prefix(bytes: 1000)), by: call.principal,
                from: front.proxies.client(call.context.peer, call.request.headers))
        } catch {
            call.context.logger.error(
                "a change could not be noted in the audit log",
                metadata: ["action": "\(endpoint.operation.id)", "reason": "\(error)"])
        }
    }
}
