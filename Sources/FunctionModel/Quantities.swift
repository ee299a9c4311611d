/// An amount of memory or data, written as `64MiB`, `64Mi`, `1.5GiB`, `1500` (bytes) or `0`.
package struct ByteSize: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// In bytes; never negative.
    package let bytes: Int

    package init(bytes: Int) { self.bytes = bytes }

    package static func mebibytes(_ count: Int) -> ByteSize { ByteSize(bytes: count << 20) }

    /// What is accepted, as a phrase for error messages.
    package static let rule = "a number of bytes, or a number with B, KB, KiB (or Ki), MB, MiB (Mi), GB or GiB (Gi)"

    private static let units: [(suffix: String, factor: Int)] = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30),
        ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("B", 1),
    ]

    /// Nil when `text` is no size: a wrong unit, a sign, a part of a byte, or more than fits.
    package init?(_ text: String) {
        let unit = Self.units.first { text.hasSuffix($0.suffix) }
        let digits = text.dropLast(unit?.suffix.count ?? 0)
        guard let bytes = parseDecimal(digits, times: unit?.factor ?? 1) else { return nil }
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

/// A span of time as a manifest writes it: `3s`, `500ms`, `1.5s`, `15m`, `5` (seconds).
package struct TimeLimit: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let milliseconds: Int

    package init(milliseconds: Int) { self.milliseconds = milliseconds }

    package static func seconds(_ count: Int) -> TimeLimit { TimeLimit(milliseconds: count * 1000) }

    /// What is accepted, as a phrase for error messages.
    package static let rule = "a number of seconds, or a number with ms, s, m or h"

    package var duration: Duration { .milliseconds(milliseconds) }

    private static let units: [(suffix: String, factor: Int)] = [
        ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("", 1000),
    ]

    /// Nil when `text` is no time: a wrong unit, a sign, a part of a millisecond, or more than fits.
    package init?(_ text: String) {
        guard let unit = Self.units.first(where: { text.hasSuffix($0.suffix) }),
            let milliseconds = parseDecimal(text.dropLast(unit.suffix.count), times: unit.factor)
        else { return nil }
        self.milliseconds = milliseconds
    }

    package var description: String {
        if milliseconds >= 3_600_000, milliseconds % 3_600_000 == 0 { return "\(milliseconds / 3_600_000)h" }
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

/// A number such as `3` or `1.5`, times `factor`; nil unless that is whole and fits.
private func parseDecimal(_ text: Substring, times factor: Int) -> Int? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), let whole = parseDigits(parts[0]) else { return nil }
    let (product, overflow) = whole.multipliedReportingOverflow(by: factor)
    guard !overflow else { return nil }
    guard parts.count == 2 else { return product }
    guard parts[1].utf8.count <= 9, let digits = parseDigits(parts[1]) else { return nil }
    // At most 9 digits by a factor of at most 3,600,000 or 2^30: far below 2^63.
    let scale = (0..<parts[1].utf8.count).reduce(1) { result, _ in result * 10 }
    guard digits * factor % scale == 0 else { return nil }
    let (sum, tooLarge) = product.addingReportingOverflow(digits * factor / scale)
    return tooLarge ? nil : sum
}

/// Decimal digits only: `Int("+3")` and `Int("-3")` would let signs through.
func parseDigits(_ text: some StringProtocol) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
        return nil
    }
    return Int(text)
}
