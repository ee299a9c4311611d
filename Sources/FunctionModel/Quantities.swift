/// An amount of memory or data, written as `64MiB`, `1500` (bytes) or `0`.
package struct ByteSize: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// In bytes; never negative.
    package let bytes: Int

    package init(bytes: Int) { self.bytes = bytes }

    package static func mebibytes(_ count: Int) -> ByteSize { ByteSize(bytes: count << 20) }

    /// What is accepted, as a phrase for error messages.
    package static let rule = "a number of bytes, or a number with B, KB, KiB, MB, MiB, GB or GiB"

    private static let units: [(suffix: String, factor: Int)] = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000),
        ("B", 1),
    ]

    /// Nil when `text` is no size: a wrong unit, a sign, a fraction, or more than fits.
    package init?(_ text: String) {
        let unit = Self.units.first { text.hasSuffix($0.suffix) }
        let digits = text.dropLast(unit?.suffix.count ?? 0)
        guard let count = parseDigits(digits) else { return nil }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: unit?.factor ?? 1)
        guard !overflow else { return nil }
        self.bytes = bytes
    }

    package var description: String {
        if bytes == 0 { return "0" }
        for (suffix, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where bytes % factor == 0 {
            return "\(bytes / factor)\(suffix)"
        }
        return "\(bytes)"
    }

    package static func < (left: ByteSize, right: ByteSize) -> Bool { left.bytes < right.bytes }
}

/// A span of time as a manifest writes it: `3s`, `500ms`, `15m`.
package struct TimeLimit: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let milliseconds: Int

    package init(milliseconds: Int) { self.milliseconds = milliseconds }

    package static func seconds(_ count: Int) -> TimeLimit { TimeLimit(milliseconds: count * 1000) }

    /// What is accepted, as a phrase for error messages.
    package static let rule = "a whole number with ms, s, m or h"

    package var duration: Duration { .milliseconds(milliseconds) }

    /// Nil when `text` is no time: no unit, a wrong one, a sign, a fraction, or more than fits.
    package init?(_ text: String) {
        for (suffix, factor) in [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)] where text.hasSuffix(suffix) {
            guard let count = parseDigits(text.dropLast(suffix.count)) else { return nil }
            let (milliseconds, overflow) = count.multipliedReportingOverflow(by: factor)
            guard !overflow else { return nil }
            self.milliseconds = milliseconds
            return
        }
        return nil
    }

    package var description: String {
        if milliseconds > 60_000, milliseconds % 60_000 == 0 { return "\(milliseconds / 60_000)m" }
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
    }

    package static func < (left: TimeLimit, right: TimeLimit) -> Bool { left.milliseconds < right.milliseconds }
}

extension Duration {
    /// As a fraction of seconds.
    package var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
    /// As a fraction of milliseconds.
    package var inMilliseconds: Double { inSeconds * 1000 }
}

/// Decimal digits only: `Int("+3")` and `Int("-3")` would let signs through.
func parseDigits(_ text: some StringProtocol) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
        return nil
    }
    return Int(text)
}
