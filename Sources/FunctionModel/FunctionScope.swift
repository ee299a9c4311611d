/// The functions that a key is for: patterns of names, in which `*` stands for any letters.
package struct FunctionScope: Sendable, Hashable, Codable {
    package let patterns: [String]

    package static let all = FunctionScope(patterns: [])
    package static let maxPatterns = 100

    package init(patterns: [String]) { self.patterns = patterns }

    /// Nil for what can be no pattern of names.
    package init?(checking patterns: [String]) {
        guard patterns.count <= Self.maxPatterns, patterns.allSatisfy(Self.isPattern) else { return nil }
        self.init(patterns: patterns)
    }

    private static func isPattern(_ text: String) -> Bool {
        (1...63).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                    UInt8(ascii: "*"):
                    true
                default: false
                }
            }
    }

    package var isAll: Bool { patterns.isEmpty }

    package func includes(_ name: FunctionName) -> Bool {
        isAll || patterns.contains { Self.matches(Array(name.text.utf8), Array($0.utf8)) }
    }

    /// As for a function of that name, in lower case.
    package func includes(secret name: String) -> Bool {
        isAll || patterns.contains { Self.matches(Array(name.lowercased().utf8), Array($0.utf8)) }
    }

    /// In time that grows with both lengths' product, however many stars there are.
    private static func matches(_ name: [UInt8], _ pattern: [UInt8]) -> Bool {
        var at = 0, here = 0, star: Int?, retried = 0
        while at < name.count {
            if here < pattern.count, pattern[here] == UInt8(ascii: "*") {
                (star, retried, here) = (here, at, here + 1)
            } else if here < pattern.count, pattern[here] == name[at] {
                (at, here) = (at + 1, here + 1)
            } else if let star {
                retried += 1
                (at, here) = (retried, star + 1)
            } else {
                return false
            }
        }
        return pattern[here...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
