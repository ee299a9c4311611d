/// A function's name: `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`, which is also a valid hostname label (RFC 1123, 2.1).
package struct FunctionName: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let text: String

    /// What a name must look like, as a phrase for error messages.
    package static let rule =
        "1 to 63 characters out of a-z, 0-9 and '-', with a letter or digit at both ends"

    /// Nil when `text` is not a valid name.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard (1...63).contains(bytes.count), bytes.first != dash, bytes.last != dash,
            bytes.allSatisfy({ isLowerOrDigit($0) || $0 == dash })
        else { return nil }
        self.text = text
    }

    package var description: String { text }

    package static func < (left: FunctionName, right: FunctionName) -> Bool { left.text < right.text }
}

private let dash = UInt8(ascii: "-")

private func isLowerOrDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}
