import FunctionModel
import HTTPTypes
import HostSystem

enum InvocationID {
    static func make() -> String { RandomUUID(BufferedRandom.next(), BufferedRandom.next()).text }
}

enum TraceContext {
    /// The caller's W3C trace context, version 00, or nothing.
    static func parent(_ headers: HTTPFields) -> String? { headers[.traceparent].flatMap(parent) }

    static func parent(_ text: String) -> String? {
        guard text.utf8.count == 55 else { return nil }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        let isHex = text.utf8.allSatisfy {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
                || $0 == UInt8(ascii: "-")
        }
        return isHex && parts.map(\.utf8.count) == [2, 32, 16, 2] ? text : nil
    }
}
