/// Walks the beginning of a JSON text that is known to be sound as a whole; where it is cut off, the walk ends.
package struct PartialJSON {
    private let bytes: UnsafeRawBufferPointer
    private var at = 0

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private mutating func next() -> UInt8? {
        while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
        return at < bytes.count ? bytes[at] : nil
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next() == byte else { return false }
        at += 1
        return true
    }

    /// The range of a string, quotes and all; nil when it is none or cut off.
    private mutating func stringRange() -> Range<Int>? {
        guard next() == UInt8(ascii: "\"") else { return nil }
        let start = at
        at += 1
        while at < bytes.count {
            switch bytes[at] {
            case UInt8(ascii: "\\"): at += 2
            case UInt8(ascii: "\""):
                at += 1
                return start..<at
            default: at += 1
            }
        }
        at = bytes.count
        return nil
    }

    /// A string's text, cut to `longest` bytes; nil for any other value, which is skipped.
    package mutating func string(longest: Int) -> String? {
        guard next() == UInt8(ascii: "\"") else {
            skip()
            return nil
        }
        guard let range = stringRange() else { return nil }
        var text: [UInt8] = []
        let inside = UnsafeRawBufferPointer(rebasing: bytes[(range.lowerBound + 1)..<(range.upperBound - 1)])
        // Six bytes for one at most.
        let looked = UnsafeRawBufferPointer(rebasing: inside.prefix(longest * 6 + 12))
        JSONEscapes.undo(in: looked, isEnough: { text.count > longest }) { text += $0 }
        return String(decoding: text.prefix(longest), as: UTF8.self)
    }

    /// An array's strings; what is no string is left out.
    package mutating func strings(most: Int, longest: Int) -> [String] {
        var list: [String] = []
        guard take(UInt8(ascii: "[")) else {
            skip()
            return list
        }
        while list.count < most, let byte = next(), byte != UInt8(ascii: "]") {
            if let text = string(longest: longest) { list.append(text) }
            if !take(UInt8(ascii: ",")) { break }
        }
        while at < bytes.count, !take(UInt8(ascii: "]")) {
            let before = at
            skip()
            _ = take(UInt8(ascii: ","))
            if at == before { break }
        }
        return list
    }

    /// Calls `body` at the value of each member; it must read the value, or skip it.
    package mutating func members(_ body: (String, inout PartialJSON) -> Void) {
        guard take(UInt8(ascii: "{")) else { return skip() }
        while next() == UInt8(ascii: "\"") {
            guard let name = string(longest: 64), take(UInt8(ascii: ":")) else { return }
            body(name, &self)
            if !take(UInt8(ascii: ",")) { break }
        }
        _ = take(UInt8(ascii: "}"))
    }

    /// Passes over one value.
    package mutating func skip() {
        var depth = 0
        while let byte = next() {
            switch byte {
            case UInt8(ascii: "\""): if stringRange() == nil { return }
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                at += 1
                continue
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else { return }
                depth -= 1
                at += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"):
                guard depth > 0 else { return }
                at += 1
                continue
            default: at += 1
            }
            if depth == 0, at < bytes.count,
                [UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]")].contains(bytes[at])
            {
                return
            }
        }
    }
}
