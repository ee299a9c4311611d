/// The identity of what one upload made: given at its commit, never given again. Numbers, `latest` and, to come, aliases are
/// pointers to revisions; whoever asks whether two versions are one compares these and nothing else.
///
/// A random UUID (RFC 9562, version 4), in two words: it is compared and hashed for each invocation.
package struct RevisionID: Sendable, Hashable {
    private let high, low: UInt64

    /// A new one.
    package init() {
        var generator = SystemRandomNumberGenerator()
        high = generator.next() & ~0xf000 | 0x4000
        low = generator.next() & ~(3 << 62) | 2 << 62
    }

    /// Nil for what is no UUID in lower case.
    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        let isPlain = text.utf8.allSatisfy { "0123456789abcdef-".utf8.contains($0) }
        let digits = parts.joined()
        guard isPlain, parts.map(\.utf8.count) == [8, 4, 4, 4, 12],
            let high = UInt64(digits.prefix(16), radix: 16), let low = UInt64(digits.suffix(16), radix: 16)
        else { return nil }
        self.high = high
        self.low = low
    }

    // All of it is random: one word tells as much as two.
    package func hash(into hasher: inout Hasher) { hasher.combine(low) }
}

extension RevisionID: CustomStringConvertible {
    package var description: String {
        func padded(_ word: UInt64) -> String {
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }
        let digits = Array((padded(high) + padded(low)).utf8)
        let ends = [8, 12, 16, 20, 32]
        return zip([0] + ends, ends).map { String(decoding: digits[$0..<$1], as: UTF8.self) }.joined(separator: "-")
    }
}
