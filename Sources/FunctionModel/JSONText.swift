/// Checks JSON (RFC 8259) and finds its top-level members, without building anything: bytes pass through this host.
package struct JSONText {
    /// Deeper nesting is refused: whoever decodes it recursively would overflow a stack.
    package static let deepest = 512

    private let bytes: UnsafeRawBufferPointer
    private var at = 0

    private init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Why `bytes` is not one JSON value in UTF-8, or nil when it is.
    package static func problem(in bytes: UnsafeRawBufferPointer) -> String? {
        var scanner = JSONText(bytes)
        do throws(Flaw) {
            scanner.skipSpace()
            try scanner.skipValue()
            scanner.skipSpace()
            guard scanner.at == bytes.count else { throw scanner.flaw("something follows the value") }
        } catch {
            return error.text
        }
        return isUTF8(bytes) ? nil : "it is not UTF-8"
    }

    /// The members of a JSON object with the byte range of each value, or nil when it is no object, malformed, or has
    /// a key twice. Keys with escapes are returned as they stand.
    package static func members(of bytes: UnsafeRawBufferPointer) -> [MemberName: Range<Int>]? {
        var scanner = JSONText(bytes)
        guard isUTF8(bytes) else { return nil }
        return try? scanner.readMembers()
    }

    // MARK: - Scanner

    private struct Flaw: Error { let text: String }

    private func flaw(_ what: String) -> Flaw { Flaw(text: "\(what) at byte \(at)") }

    private var byte: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
    }

    private mutating func readMembers() throws(Flaw) -> [MemberName: Range<Int>] {
        var members: [MemberName: Range<Int>] = [:]
        skipSpace()
        guard byte == UInt8(ascii: "{") else { throw flaw("no object") }
        at += 1
        skipSpace()
        if byte == UInt8(ascii: "}") {
            at += 1
        } else {
            while true {
                skipSpace()
                let keyStart = at + 1
                try skipString()
                let key = MemberName(Array(bytes[keyStart..<(at - 1)]))
                skipSpace()
                guard byte == UInt8(ascii: ":") else { throw flaw("':' is missing") }
                at += 1
                skipSpace()
                let start = at
                try skipValue()
                guard members.updateValue(start..<at, forKey: key) == nil else { throw flaw("a key stands twice") }
                skipSpace()
                if byte == UInt8(ascii: ",") {
                    at += 1
                    continue
                }
                guard byte == UInt8(ascii: "}") else { throw flaw("',' or '}' is missing") }
                at += 1
                break
            }
        }
        skipSpace()
        guard at == bytes.count else { throw flaw("something follows the object") }
        return members
    }

    /// Skips one value. Nesting is kept in `closers`, never on the stack.
    private mutating func skipValue() throws(Flaw) {
        var closers: [UInt8] = []
        while true {
            skipSpace()
            guard let byte else { throw flaw(at == 0 ? "it is empty" : "it ends too early") }
            var opened = false
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard closers.count < Self.deepest else { throw flaw("it is nested deeper than \(Self.deepest)") }
                at += 1
                closers.append(byte == UInt8(ascii: "{") ? UInt8(ascii: "}") : UInt8(ascii: "]"))
                opened = true
            case UInt8(ascii: "\""): try skipString()
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try skipNumber()
            case UInt8(ascii: "t"): try skipWord("true")
            case UInt8(ascii: "f"): try skipWord("false")
            case UInt8(ascii: "n"): try skipWord("null")
            default: throw flaw("no value begins")
            }
            if try !finishValue(&closers, opened: opened) { return }
        }
    }

    /// After a value or an opening: closes what closes and steps to the next value. False when the outermost is done.
    private mutating func finishValue(_ closers: inout [UInt8], opened: Bool) throws(Flaw) -> Bool {
        var opened = opened
        while let closer = closers.last {
            skipSpace()
            if byte == closer {
                at += 1
                closers.removeLast()
                opened = false
                continue
            }
            if !opened {
                guard byte == UInt8(ascii: ",") else { throw flaw("',' or a closing bracket is missing") }
                at += 1
                skipSpace()
            }
            if closer == UInt8(ascii: "}") {
                try skipString()
                skipSpace()
                guard byte == UInt8(ascii: ":") else { throw flaw("':' is missing") }
                at += 1
            }
            return true
        }
        return false
    }

    private mutating func skipWord(_ word: StaticString) throws(Flaw) {
        let length = word.utf8CodeUnitCount
        guard at + length <= bytes.count,
            (0..<length).allSatisfy({ bytes[at + $0] == word.utf8Start[$0] })
        else { throw flaw("no value begins") }
        at += length
    }

    private mutating func skipString() throws(Flaw) {
        guard byte == UInt8(ascii: "\"") else { throw flaw("a string is missing") }
        at += 1
        while let byte {
            at += 1
            switch byte {
            case UInt8(ascii: "\""): return
            case UInt8(ascii: "\\"): try skipEscape()
            case 0..<0x20:
                at -= 1
                throw flaw("a raw control character in a string")
            default: break
            }
        }
        throw flaw("a string does not end")
    }

    private mutating func skipEscape() throws(Flaw) {
        guard let byte else { throw flaw("a string does not end") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return
        case UInt8(ascii: "u"):
            for _ in 0..<4 {
                guard let digit = self.byte, isHexDigit(digit) else { throw flaw("a wrong \\u escape") }
                at += 1
            }
        default: throw flaw("a wrong escape")
        }
    }

    private mutating func skipNumber() throws(Flaw) {
        if byte == UInt8(ascii: "-") { at += 1 }
        if byte == UInt8(ascii: "0") { at += 1 } else { try skipDigits() }
        if byte == UInt8(ascii: ".") {
            at += 1
            try skipDigits()
        }
        if byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
            at += 1
            if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { at += 1 }
            try skipDigits()
        }
    }

    private mutating func skipDigits() throws(Flaw) {
        let start = at
        while let byte, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { at += 1 }
        guard at > start else { throw flaw("a digit is missing") }
    }
}

private func isHexDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
        UInt8(ascii: "A")...UInt8(ascii: "F"):
        true
    default: false
    }
}

/// Whether the bytes are UTF-8; ASCII is decided without a copy.
package func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard bytes.contains(where: { $0 >= 0x80 }) else { return true }
    return String(validating: bytes, as: UTF8.self) != nil
}
