import FunctionModel
import Journal

/// What several endpoints' descriptions name.
extension OpenAPI {
    static let schemas: [String: JSONValue] = [
        "Name": ["type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"],
        "Outcome": .words(Outcome.allCases.map(\.rawValue)),
        "Manifest": manifest,
        "Function": .record(
            [
                "name": .schema("Name"), "version": .shownVersion, "sha256": .text.about("Of the uploaded bytes"),
                "size": .whole,
                "createdAt": .date, "manifest": .schema("Manifest"),
                "refused": .list(
                    of: refusal,
                    "Only where one function is asked for: system calls that its workers made and were refused, the most frequent first"
                ),
                "urls": [
                    "type": "object", "additionalProperties": .words(["none", "token"]),
                    "description":
                        "Only where one function is asked for, and there are any: who may come by its URLs, which Lambda's API makes; they win over the manifest's auth. By alias, $LATEST for /fn/NAME itself",
                ],
            ], required: ["name", "version", "sha256", "size", "createdAt", "manifest"]),
        "Invocation": .record(
            [
                "id": .text, "function": .schema("Name"), "version": .shownVersion,
                "status": .words(["queued", "running", "done"]), "outcome": .schema("Outcome"), "start": start,
                "usage": .record([
                    "wall-ms": ["type": "number"], "cpu-ms": ["type": "number"], "memory-bytes": .whole,
                    "init-ms": ["type": "number"],
                ]), "startedAt": .date,
                "attempts": .whole.about("Of an asynchronous one: how often it was tried, the present time too"),
                "nextAttemptAt": .date.about("When a failed one is tried again"), "problem": .schema("Problem"),
                "result": [:],
                "resultEncoding": .words(["json", "text", "base64"]).about("how `result` stands there; with it only"),
            ], required: ["id", "function", "version", "status"]),
        "LogLine": .record(
            [
                "time": .date, "invocationId": .text, "version": .shownVersion, "text": .text,
                "source": .words(["function", "host"]).about("who wrote the line"),
                "level": .words(LogLevel.allCases.map(\.word)).about("if it says so of itself"),
                "fields": .object(["type": "object"]).about("the line's members, if it is a JSON object"),
            ], required: ["time", "version", "text", "source"]),
        "Key": .record([
            "id": .text, "name": .text, "role": .words(Principal.Role.allCases.map(\.rawValue)), "createdAt": .date,
            "functions": .list(of: .text, "names, in which * stands for any letters; absent: all"),
            "rate": .text, "quota": .text, "expiresAt": .date,
            "token": .text.about("only in the answer to its making"),
        ]),
        "Alias": .record(
            [
                "alias": .text,
                "version": .object(["oneOf": [["type": "integer", "minimum": 1], ["const": "latest"]]]),
                "weights": .object(["type": "object", "additionalProperties": ["type": "number"]]),
                "header": .text, "updatedAt": .text,
            ], required: ["alias", "version", "weights", "updatedAt"]),
        "Route": .record(
            RouteAPI.members.merging(["id": .text, "updatedAt": .text]) { $1 },
            required: [
                "id", "route", "host", "function", "alias", "auth", "cors", "rate", "timeout", "payload", "updatedAt",
            ]),
        "Schedule": ScheduleAPI.schema, "DeadLetter": DeadLetterAPI.schema,
        "Queue": QueueAPI.schema, "Mapping": MappingAPI.schema,
        "Secret": SecretAPI.schema, "Budget": UsageAPI.schema, "Policy": policy, "Problem": problem,
    ]

    /// From the manifest's own table.
    private static let manifest: JSONValue = .record(
        Dictionary(
            ManifestField.groups.flatMap { name, fields -> [(String, JSONValue)] in
                let members = fields.map { ($0.key, schema(of: $0).about($0.about)) }
                return name.isEmpty ? members : [(name, .record(Dictionary(members) { $1 }))]
            }
        ) { $1 })

    private static func schema(of field: ManifestField) -> JSONValue {
        switch field.kind {
        case .text where field.path == "name": .schema("Name")
        case .text, .quantity: .text
        case .words(let words): .words(words)
        case .number(let range): .integer(range)
        case .flag: .flag
        case .list: .list(of: .text)
        case .table: ["type": "object", "additionalProperties": .text]
        }
    }

    /// What an upload of one executable may say in its query.
    static var manifestParameters: [Operation.Parameter] {
        ManifestField.all.compactMap { field in
            guard let name = field.queryName, name != "name" else { return nil }
            let schema: JSONValue =
                switch field.kind {
                case .list, .table: .list(of: .text)
                default: schema(of: field)
                }
            return .query(name, schema, field.about)
        }
    }

    private static let start: JSONValue = .words(["cold", "prewarmed", "reused", "forked"])

    private static let refusal: JSONValue = .record(
        [
            "syscall": .text, "errno": .text,
            "count": .whole.about("Since the host started; of a worker that was killed, at least half"),
            "grant": .text.about("What in the manifest would have let it through"),
        ], required: ["syscall", "errno", "count"])

    private static let policy: JSONValue = .record(
        [
            "function": .schema("Name"), "version": .shownVersion,
            "sentences": .list(of: .text, "The last one is \"Nothing else.\""),
            "systemCalls": .list(
                of: .record(
                    [
                        "name": .text, "action": .words(["allow", "refuse", "quiet", "pretend", "deny"]),
                        "errno": .text,
                        "conditions": .list(
                            of: .record(["argument": .whole, "mask": .whole, "value": .whole]), "All must hold"),
                        "reason": .text,
                    ], required: ["name", "action", "conditions", "reason"])),
            "otherSystemCalls": .text.about("What any other call returns"),
        ], required: ["function", "version", "sentences", "systemCalls", "otherSystemCalls"])

    private static let problem: JSONValue = .record(
        [
            "type": .text, "title": .text, "status": .whole, "detail": .text, "outcome": .schema("Outcome"),
            "blame": .words(["guest", "caller", "host"]), "retryable": .flag, "invocationId": .text,
            "error": .record(["type": .text, "message": .text, "stackTrace": .list(of: .text)]), "exitCode": .whole,
            "signal": .text, "syscall": .text,
            "arguments": .list(of: .text, "The denied call's arguments, in words where there are any"), "grant": .text,
            "limit": .text, "stage": .text, "errno": .text,
            "stdout": .text.about("the end of what it wrote, 4 KiB at most; of exit and signal"),
            "log": .text.about("the end of its log, 4 KiB at most; of exit and signal"),
        ], required: ["title", "status"],
        "RFC 9457. To a caller without a token a guest's failure has no more than title, status and invocationId.")

    static let headers: [String: JSONValue] = [
        "Bulkhead-Invocation-Id": ["schema": .text], "Bulkhead-Outcome": ["schema": .schema("Outcome")],
        "Bulkhead-Version": ["schema": .whole], "Bulkhead-Start": ["schema": start],
        "Bulkhead-Usage": [
            "schema": .text, "description": "RFC 8941 dictionary: wall-ms, cpu-ms, memory-bytes, init-ms",
        ], "Server-Timing": ["schema": .text, "description": "queue, start and run, in ms"],
    ]

    /// Those that every invocation's response carries.
    static let invocationHeaders = Dictionary(
        uniqueKeysWithValues: headers.keys.map { ($0, JSONValue.object(["$ref": "#/components/headers/\($0)"])) })

    static let problems: [String: JSONValue] = Dictionary(
        uniqueKeysWithValues: [
            (400, "invalid_request: what is wrong and what is accepted"), (401, "unauthorized"),
            (403, "forbidden: the token is for less"), (404, "not_found"),
            (409, "conflict: it cannot be done as things stand; detail says why"),
            (412, "conflict: If-Match means another state than what is there"),
            (413, "payload_too_large"),
            (429, "throttled; Retry-After says when"), (500, "launch_failed: stage and errno"),
            (
                502,
                "The function failed: error, exit, signal, denied, memory_exceeded, output_exceeded or protocol_error"
            ),
            (503, "overloaded; Retry-After says when"), (504, "timeout or cpu_exceeded"),
        ].map { (status: Int, about: String) in
            let value: JSONValue = [
                "description": .string(about),
                "content": ["application/problem+json": ["schema": .schema("Problem")]],
            ]
            let retries = status == 429 || status == 503
            let headers: JSONValue = ["Retry-After": ["schema": .whole, "description": "Seconds"]]
            return (String(status), retries ? value.with(["headers": headers]) : value)
        })
}
