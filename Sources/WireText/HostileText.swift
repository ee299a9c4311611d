// A String of a stranger's is no text yet. Swift compares and hashes strings by canonical equivalence, and sorts each run of
// combining marks for it: the time grows with the square of the run, 1.6 s for 120 KB. A Character may be as long as the
// string. So bytes are compared, cut and looked up until it is known that they are few, or ASCII.
extension String {
    /// At most so many bytes of it, for messages and records.
    package func prefix(bytes count: Int) -> String {
        utf8.count <= count ? self : String(decoding: utf8.prefix(count), as: UTF8.self)
    }

    /// Whether it is the same bytes.
    package func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }

    package var isASCII: Bool { utf8.allSatisfy { $0 < 0x80 } }

    /// Whether it is of ASCII's letters, its digits and `others` alone.
    package func isMade(of others: StaticString) -> Bool { self[...].isMade(of: others) }
}

extension Substring {
    /// As `String`'s.
    package func isMade(of others: StaticString) -> Bool {
        utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: others.withUTF8Buffer { $0.contains(byte) }
            }
        }
    }
}

/// The text with control characters shown as U+FFFD, so that a tenant's bytes cannot steer a terminal.
package func printable(_ text: String) -> String {
    String(
        String.UnicodeScalarView(
            text.unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }))
}

/// The name of a JSON member as it stands in the text, by its bytes.
package struct MemberName: Hashable, Comparable, Sendable, ExpressibleByStringLiteral {
    private let utf8: [UInt8]

    package init(_ utf8: [UInt8]) { self.utf8 = utf8 }
    package init(_ text: String) { utf8 = Array(text.utf8) }
    package init(stringLiteral text: String) { self.init(text) }

    package var text: String { String(decoding: utf8, as: UTF8.self) }

    package static func < (left: MemberName, right: MemberName) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }
}
