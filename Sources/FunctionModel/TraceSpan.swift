/// Who calls, by W3C Trace Context: https://www.w3.org/TR/trace-context/#traceparent-header
package struct TraceParent: Sendable, Hashable {
    /// 32 hex digits.
    package let traceID: String
    /// 16 hex digits, as the other.
    package let spanID: String
    /// Whether it is recorded.
    package let isSampled: Bool

    package init(traceID: String, spanID: String, isSampled: Bool) {
        (self.traceID, self.spanID, self.isSampled) = (traceID, spanID, isSampled)
    }

    /// nil: it is not sound, and is to be ignored.
    package init?(_ text: String) {
        guard text.utf8.count == 55 else { return nil }
        let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard parts.map(\.count) == [2, 32, 16, 2], parts.joined().allSatisfy(Self.isHex),
            // What no version has, and ids that are none.
            !parts[0].elementsEqual("ff".utf8), parts[1...2].allSatisfy({ $0.contains { $0 != UInt8(ascii: "0") } }),
            let flags = UInt8(Substring(parts[3]), radix: 16)
        else { return nil }
        self.init(
            traceID: String(Substring(parts[1])), spanID: String(Substring(parts[2])), isSampled: flags & 1 == 1)
    }

    package var text: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }

    private static func isHex(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}

/// One step of a trace that is recorded: an invocation's, or one within it.
package struct TraceSpan: Sendable, Hashable {
    /// 32 hex digits.
    package let traceID: String
    /// 16 hex digits, as the other.
    package let id: String
    /// Who called; nil: nobody that is known.
    package let parentID: String?

    /// It as whoever is called is told of it.
    package var asParent: TraceParent { TraceParent(traceID: traceID, spanID: id, isSampled: true) }

    /// What whoever is called is told.
    package var traceparent: String { asParent.text }

    /// 64 bits as an id.
    package static func id(_ bits: UInt64) -> String {
        let digits = String(bits, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    /// A step within the caller's trace, or in one of the invocation's own: all attempts are in one.
    /// - Parameters:
    ///   - traceparent: what is not sound is ignored.
    ///   - random: 64 bits.
    /// - Returns: nil where the caller's trace is not recorded.
    package init?(traceparent: String?, invocation: String, random: UInt64) {
        id = Self.id(random | 1)
        guard let caller = traceparent.flatMap({ TraceParent($0) }) else {
            // An invocation's id is a UUID.
            traceID = invocation.filter { $0 != "-" }
            parentID = nil
            guard traceID.utf8.count == 32 else { return nil }
            return
        }
        guard caller.isSampled else { return nil }
        (traceID, parentID) = (caller.traceID, caller.spanID)
    }

    /// A step within the caller's trace, or in a new one.
    /// - Parameter random: 64 bits with each call.
    package init(within caller: TraceParent?, random: () -> UInt64) {
        id = Self.id(random() | 1)
        traceID = caller?.traceID ?? Self.id(random() | 1) + Self.id(random())
        parentID = caller?.spanID
    }
}
