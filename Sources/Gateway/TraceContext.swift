import FunctionModel
import HTTPTypes
import HostSystem

enum InvocationID {
    /// A random UUID (RFC 9562, version 4), in lower case.
    static func make() -> String {
        let high = BufferedRandom.next() & ~0xf000 | 0x4000
        let low = BufferedRandom.next() & ~(3 << 62) | 2 << 62
        return String(unsafeUninitializedCapacity: 36) { text in
            var at = 0
            for position in 0..<32 {
                if position == 8 || position == 12 || position == 16 || position == 20 {
                    text[at] = UInt8(ascii: "-")
                    at += 1
                }
                let digit = UInt8((position < 16 ? high : low) >> UInt64((15 - position % 16) * 4) & 15)
                text[at] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
                at += 1
            }
            return at
        }
    }
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
