import HTTPTypes

/// What the head of a plain `POST /v1/functions/{name}/invocations` says, found in one pass over its fields.
struct PlainInvocation {
    let function: String
    private(set) var authorization: String?
    private(set) var traceparent: String?
    private(set) var contentType: String?
    /// Of the event, in bytes, as far as it is told.
    private(set) var length = 0

    /// nil for every other request, and for what is out of the ordinary.
    init?(_ head: HTTPRequest) {
        guard head.method == .post, let name = head.path.flatMap(Self.name) else { return nil }
        function = name
        for field in head.headerFields {
            switch field.name {
            case .prefer, .expect, .connection, .upgrade, .origin, .idempotencyKey: return nil
            case .authorization:
                guard authorization == nil else { return nil }
                authorization = field.value
            case .traceparent:
                guard traceparent == nil else { return nil }
                traceparent = field.value
            case .contentType:
                guard contentType == nil else { return nil }
                contentType = field.value
            case .contentLength: length = max(length, EventIntake.length(field.value))
            default: break
            }
        }
    }

    private static let around = InvocationAPI.path.around ?? ([], [])

    private static func name(in path: String) -> String? {
        let path = path.utf8, (before, after) = around
        guard path.count > before.count + after.count, path.starts(with: before),
            path.suffix(after.count).elementsEqual(after)
        else { return nil }
        let name = path.dropFirst(before.count).dropLast(after.count)
        // Whatever needs decoding, or is no single segment, is the router's.
        let isPlain = name.allSatisfy {
            $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "%") && $0 != UInt8(ascii: "?")
        }
        return isPlain ? String(name) : nil
    }
}
