import FunctionModel

/// How an endpoint is described, in OpenAPI's words.
struct Operation: Sendable {
    struct Parameter: Sendable {
        var name: String
        var place = "query"
        var schema: JSONValue
        var about: String

        static func query(_ name: String, _ schema: JSONValue, _ about: String) -> Parameter {
            Parameter(name: name, schema: schema, about: about)
        }
        static func header(_ name: String, _ about: String) -> Parameter {
            Parameter(name: name, place: "header", schema: .text, about: about)
        }
        static func page(upTo most: Int, first: Int = 1, standard: Int = 100) -> Parameter {
            .query("limit", .integer(first...most).with(["default": .number(standard)]), "How many at most")
        }
        static let ifMatch = header("If-Match", "An ETag: 412 when what is there is another")
        static let dryRun = query(
            "dryRun", .flag, "Only says what it would do: 200 and {\"change\": \"none\", \"new\" or \"changed\"}")
        static let cursor = Parameter(name: "cursor", schema: .text, about: "next of the page before")
        static let version = Parameter(
            name: "version", schema: ["type": "integer", "minimum": 1],
            about: "A version's number; default: the one that live names"
        )
    }

    /// What comes back when all is well.
    struct Answer: Sendable {
        var status: Int
        var about: String
        /// By content type.
        var content: [String: JSONValue] = [:]
        /// Names of `components/headers`, or with a schema of their own.
        var headers: [String: JSONValue] = [:]

        static func json(_ about: String, _ schema: JSONValue, status: Int = 200) -> Answer {
            Answer(status: status, about: about, content: ["application/json": schema])
        }
        /// With an ETag.
        static func tagged(_ about: String, _ schema: JSONValue, status: Int = 200) -> Answer {
            Answer(
                status: status, about: about, content: ["application/json": schema],
                headers: ["ETag": ["schema": .text]])
        }
        static func empty(_ about: String) -> Answer { Answer(status: 204, about: about) }
        /// A function's.
        static func result(_ status: Int, _ about: String) -> Answer {
            Answer(
                status: status, about: about,
                content: [
                    "application/json": [:], "text/plain": .text, "application/octet-stream": .bytes,
                ], headers: OpenAPI.invocationHeaders)
        }
    }

    var id: String
    var summary: String
    var about: String?
    var parameters: [Parameter] = []
    /// By content type; empty: none is read.
    var body: [String: JSONValue] = [:]
    var isBodyRequired = true
    var answers: [Answer]
    /// Statuses of problems, beside those that what it needs brings along.
    var fails: [Int] = []

    /// All that an invocation may end in.
    static let invocationFails = [400, 404, 413, 429, 500, 502, 503, 504]
}

extension JSONValue {
    static let text: JSONValue = ["type": "string"]
    static let bytes: JSONValue = ["type": "string", "format": "binary"]
    static let date: JSONValue = ["type": "string", "format": "date-time"]
    static let flag: JSONValue = ["type": "boolean"]
    static let whole: JSONValue = ["type": "integer"]
    /// See `ShownVersion`.
    static let shownVersion: JSONValue = [
        "type": ["integer", "null"], "description": "null: the newest revision, which is not published yet",
    ]

    static func integer(_ range: ClosedRange<Int>) -> JSONValue {
        ["type": "integer", "minimum": .number(range.lowerBound), "maximum": .number(range.upperBound)]
    }
    static func words(_ words: [String]) -> JSONValue { ["enum": .array(words.map(JSONValue.string))] }
    static func list(of schema: JSONValue, _ about: String? = nil) -> JSONValue {
        JSONValue.object(["type": "array", "items": schema]).about(about)
    }
    /// What is made, or what a dry run says.
    static func orChange(_ name: String) -> JSONValue {
        ["anyOf": [schema(name), record(["change": words(Change.allCases.map(\.rawValue))], required: ["change"])]]
    }
    static func schema(_ name: String) -> JSONValue { ["$ref": "#/components/schemas/\(name)"] }
    /// - Parameter required: names of members that are always there.
    static func record(_ members: [String: JSONValue], required: [String] = [], _ about: String? = nil) -> JSONValue {
        let record: JSONValue = ["type": "object", "properties": .object(members)]
        let whole = required.isEmpty ? record : record.with(["required": .array(required.map(JSONValue.string))])
        return whole.about(about)
    }

    func about(_ text: String?) -> JSONValue { text.map { with(["description": .string($0)]) } ?? self }
}
