/// A random UUID (RFC 9562, version 4), in two words.
package struct RandomUUID: Sendable, Hashable {
    package let high, low: UInt64

    /// - Parameters: 128 random bits, of which six make way for version and variant.
    package init(_ high: UInt64, _ low: UInt64) {
        self.high = high & ~0xf000 | 0x4000
        self.low = low & ~(3 << 62) | 2 << 62
    }

    package init() {
        var generator = SystemRandomNumberGenerator()
        self.init(generator.next(), generator.next())
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

    /// In lower case. Each invocation has one made.
    package var text: String {
        String(unsafeUninitializedCapacity: 36) { text in
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
