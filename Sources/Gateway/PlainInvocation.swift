import HTTPTypes

/// What the head of a plain `POST /v1/functions/{name}/invocations` says, or of Lambda's `POST /2015-03-31/functions/{name}/invocations`,
/// found in one pass over its fields.
struct PlainInvocation {
    let function: String
    /// Whether it is Lambda's.
    let isLambda: Bool
    private(set) var authorization: String?
    private(set) var traceparent: String?
    private(set) var contentType: String?
    /// Of the event, in bytes, as far as it is told.
    private(set) var length = 0

    /// nil for every other request, and for what is out of the ordinary.
    init?(_ head: HTTPRequest) {
        guard head.method == .post, let path = head.path else { return nil }
        let own = Self.name(in: path, around: Self.around)
        guard let name = own ?? Self.name(in: path, around: Self.lambda) else { return nil }
        (function, isLambda) = (name, own == nil)
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
            case .invocationType: if field.value != "RequestResponse" { return nil }
            case .logType: return nil  // to look for its lines may take a while
            default: break
            }
        }
        // Of a larger one the signature is looked at elsewhere; and one that begins before its length is known may be large.
        if isLambda, !(1...PlainLambda.longest).contains(length) { return nil }
    }

    private static let around = InvocationAPI.path.around ?? ([], [])

    private static let lambda = (before: Array("/2015-03-31/functions/".utf8), after: Array("/invocations".utf8))

    private static func name(in path: String, around: (before: [UInt8], after: [UInt8])) -> String? {
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

extension HTTPField.Name {
    // Names that there are.
    fileprivate static let invocationType = HTTPField.Name("x-amz-invocation-type") ?? .prefer
    fileprivate static let logType = HTTPField.Name("x-amz-log-type") ?? .prefer
}
