/// What in a text of YAML would take a parser time without bounds; looked at before one is let near it.
///
/// What repeats itself grows without end where it is walked, already where keys are compared (Yams hashes each key whole, with all
/// that its aliases stand for); and texts are compared by what their marks look like, which takes the square of their number.
package struct YAMLDanger: CustomStringConvertible {
    package let description: String
    /// 0: nowhere in particular.
    package let line: Int

    private static let maxEscapes = 20_000, longestRun = 100

    /// Nil where there is none. Aliases are found by their names: in a quoted text both must stand to be taken for one.
    package init?(in text: String) {
        let bytes = Array(text.utf8)
        var anchors: Set<ArraySlice<UInt8>> = [], aliases: [(name: ArraySlice<UInt8>, line: Int)] = []
        var line = 1, escapes = 0, index = 0
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "\n"): line += 1
            case UInt8(ascii: "\\"): escapes += 1
            case UInt8(ascii: "&"), UInt8(ascii: "*"):
                let end = bytes[index...].firstIndex { !Self.isOfAnchor($0) } ?? bytes.count
                guard end > index else { continue }
                let name = bytes[index..<end]
                if byte == UInt8(ascii: "&") { anchors.insert(name) } else { aliases.append((name, line)) }
                index = end
            default: break
            }
        }
        if let alias = aliases.first(where: { anchors.contains($0.name) }) {
            let name = printable(String(decoding: alias.name, as: UTF8.self).prefix(bytes: 80))
            self.line = alias.line
            description = "*\(name) repeats what &\(name) names: anchors and aliases of YAML are not taken"
            return
        }
        self.line = 0
        guard escapes <= Self.maxEscapes else {
            description = "it has more than \(Self.maxEscapes) backslashes"
            return
        }
        var run = 0
        for scalar in text.unicodeScalars {
            let isMark = scalar.value >= 0x300 && scalar.properties.canonicalCombiningClass != .notReordered
            run = isMark ? run + 1 : 0
            if run > Self.longestRun {
                description = "it has a letter with more than \(Self.longestRun) marks"
                return
            }
        }
        return nil
    }

    private static func isOfAnchor(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "-"): true
        default: false
        }
    }
}
