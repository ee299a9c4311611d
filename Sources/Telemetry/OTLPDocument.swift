import FunctionModel
import Tracing
import WireText

/// OTLP's traces, in JSON: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
struct OTLP: Encodable {
    struct ResourceSpans: Encodable {
        let resource: Resource
        let scopeSpans: [ScopeSpans]
    }
    struct Resource: Encodable { let attributes: [Attribute] }
    struct ScopeSpans: Encodable {
        let scope: Scope
        let spans: [Span]
    }
    struct Scope: Encodable { let name: String }
    struct Span: Encodable {
        let traceId: String
        let spanId: String
        let parentSpanId: String?
        let name: String
        let kind: Int
        let startTimeUnixNano: String
        let endTimeUnixNano: String
        let attributes: [Attribute]
        /// nil: there are none.
        let events: [Event]?
        let links: [Link]?
        let status: Status
    }
    struct Event: Encodable {
        let timeUnixNano: String
        let name: String
        let attributes: [Attribute]
    }
    struct Link: Encodable {
        let traceId: String
        let spanId: String
        let attributes: [Attribute]
    }
    struct Status: Encodable {
        let code: Int
        let message: String?
    }
    struct Attribute: Encodable {
        let key: String
        let value: Value
    }
    enum Value: Encodable {
        case text(String)
        case flag(Bool)
        case number(Int64)
        case real(Double)
        case list([Value])
    }

    let resourceSpans: [ResourceSpans]

    /// Of a text within.
    private static let maxBytes = 4096

    fileprivate static func bounded(_ text: String) -> String { text.prefix(bytes: maxBytes) }
}

// MARK: - From spans

extension OTLP {
    init(_ spans: [EndedSpan]) {
        let scope = ScopeSpans(scope: Scope(name: "bulkhead"), spans: spans.map { Span($0) })
        resourceSpans = [
            ResourceSpans(
                resource: Resource(attributes: [Attribute(key: "service.name", value: .text("bulkhead"))]),
                scopeSpans: [scope])
        ]
    }
}

extension OTLP.Span {
    fileprivate init(_ span: EndedSpan) {
        (traceId, spanId, parentSpanId) = (span.place.traceID, span.place.id, span.place.parentID)
        name = OTLP.bounded(span.name)
        kind =
            switch span.kind {
            case .internal: 1
            case .server: 2
            case .client: 3
            case .producer: 4
            case .consumer: 5
            }
        (startTimeUnixNano, endTimeUnixNano) = (String(span.begin), String(span.end))
        attributes = OTLP.Attribute.all(span.attributes)
        events =
            span.events.isEmpty
            ? nil
            : span.events.map {
                OTLP.Event(
                    timeUnixNano: String($0.nanosecondsSinceEpoch), name: OTLP.bounded($0.name),
                    attributes: OTLP.Attribute.all($0.attributes))
            }
        links =
            span.links.isEmpty
            ? nil
            : span.links.map {
                OTLP.Link(
                    traceId: $0.target.traceID, spanId: $0.target.spanID,
                    attributes: OTLP.Attribute.all($0.attributes))
            }
        status = OTLP.Status(span.status)
    }
}

extension OTLP.Status {
    fileprivate init(_ status: SpanStatus?) {
        code =
            switch status?.code {
            case nil: 0
            case .ok?: 1
            case .error?: 2
            }
        message = status?.message.map { OTLP.bounded($0) }
    }
}

extension OTLP.Attribute {
    fileprivate static func all(_ attributes: SpanAttributes) -> [OTLP.Attribute] {
        var all: [OTLP.Attribute] = []
        attributes.forEach { name, value in
            if let value = OTLP.Value(value) { all.append(OTLP.Attribute(key: OTLP.bounded(name), value: value)) }
        }
        return all.sorted { $0.key < $1.key }
    }
}

extension OTLP.Value {
    /// Of a list.
    private static let maxElements = 128

    fileprivate init?(_ attribute: SpanAttribute) {
        func list<Element>(_ elements: [Element], _ value: (Element) -> OTLP.Value) -> OTLP.Value {
            .list(elements.prefix(Self.maxElements).map(value))
        }
        switch attribute {
        case .string(let text): self = .text(OTLP.bounded(text))
        case .stringConvertible(let value): self = .text(OTLP.bounded(value.description))
        case .bool(let flag): self = .flag(flag)
        case .int32(let number): self = .number(Int64(number))
        case .int64(let number): self = .number(number)
        case .double(let number): self = .real(number)
        case .stringArray(let texts): self = list(texts) { .text(OTLP.bounded($0)) }
        case .stringConvertibleArray(let values): self = list(values) { .text(OTLP.bounded($0.description)) }
        case .boolArray(let flags): self = list(flags) { .flag($0) }
        case .int32Array(let numbers): self = list(numbers) { .number(Int64($0)) }
        case .int64Array(let numbers): self = list(numbers) { .number($0) }
        case .doubleArray(let numbers): self = list(numbers) { .real($0) }
        default: return nil
        }
    }

    private enum Keys: CodingKey { case stringValue, boolValue, intValue, doubleValue, arrayValue }
    private enum ListKeys: CodingKey { case values }

    func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Keys.self)
        switch self {
        case .text(let text): try members.encode(text, forKey: .stringValue)
        case .flag(let flag): try members.encode(flag, forKey: .boolValue)
        // 64 bits are a string there.
        case .number(let number): try members.encode(String(number), forKey: .intValue)
        case .real(let number) where number.isFinite: try members.encode(number, forKey: .doubleValue)
        // JSON has no number for them.
        case .real(let number):
            try members.encode(number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity", forKey: .doubleValue)
        case .list(let values):
            var list = members.nestedContainer(keyedBy: ListKeys.self, forKey: .arrayValue)
            try list.encode(values, forKey: .values)
        }
    }
}
