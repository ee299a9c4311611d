/// One step of a trace (W3C Trace Context, version 00): an invocation's.
package struct TraceSpan: Sendable, Hashable {
    /// 32 hex digits.
    package let traceID: String
    /// 16 hex digits, as the other.
    package let id: String
    /// Who called; nil: nobody that is known.
    package let parentID: String?

    /// What whoever is called is told.
    package var traceparent: String { "00-\(traceID)-\(id)-01" }

    /// 64 bits as an id.
    package static func id(_ bits: UInt64) -> String {
        let digits = String(bits, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    /// A step within the caller's trace, or in one of the invocation's own: all attempts are in one.
    /// - Parameters:
    ///   - traceparent: as it was checked where it came in.
    ///   - random: 64 bits.
    /// - Returns: nil where the caller's trace is not recorded.
    package init?(traceparent: String?, invocation: String, random: UInt64) {
        id = Self.id(random | 1)
        guard let traceparent else {
            // An invocation's id is a UUID.
            traceID = invocation.filter { $0 != "-" }
            parentID = nil
            guard traceID.utf8.count == 32 else { return nil }
            return
        }
        let parts = traceparent.split(separator: "-").map(String.init)
        guard parts.count == 4, let flags = UInt8(parts[3], radix: 16), flags & 1 == 1 else { return nil }
        (traceID, parentID) = (parts[1], parts[2])
    }
}
