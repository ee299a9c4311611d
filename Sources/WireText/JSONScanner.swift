/// Reads JSON (RFC 8259) as it arrives, piece by piece, and keeps nothing of it but where the members of an outermost object
/// stand: what is said of a text of any length costs no more at its end than each piece did. Bytes pass through this host;
/// that they are UTF-8 is `UTF8Scanner`'s to say.
package struct JSONScanner: Sendable {
    /// Deeper nesting is refused: whoever decodes it recursively would overflow a stack.
    package static let deepest = 512

    private enum State: Sendable {
        case value, elementOrEnd, keyOrEnd, key, colon, separator, end
        case string, escape, hex(Int)
        case minus, zero, integer, point, fraction, exponentSign, exponentFirst, exponent
        case word(StaticString, Int)
    }

    private var state = State.value
    /// What closes each value that is open.
    private var closers: [UInt8] = []
    /// Bytes that were read.
    private var at = 0
    private var problemFound: String?

    /// Members of the outermost object are noted up to this number; 0: none.
    private let maxMembers: Int
    private static let longestName = 4096
    private var isInKey = false
    private var key: [UInt8] = []
    private var valueStart = 0
    /// The outermost object's members and where their values stand. Names with escapes are as they stand.
    package private(set) var members: [MemberName: Range<Int>] = [:]
    private var isObject = false

    /// - Parameter maxMembers: how many members of an outermost object to note; one more is a problem. 0: none are noted.
    package init(maxMembers: Int = 0) { self.maxMembers = maxMembers }

    /// Whether nothing that follows can make JSON of it any more.
    package var hasFailed: Bool { problemFound != nil }

    /// Reads on.
    package mutating func read(_ bytes: UnsafeRawBufferPointer) {
        guard problemFound == nil else { return }
        var index = 0
        while index < bytes.count {
            if case .string = state {
                index = skipPlain(bytes, from: index)
                guard index < bytes.count else { break }
            }
            step(bytes[index], at: at + index)
            if problemFound != nil { return }
            index += 1
        }
        at += bytes.count
    }

    /// The text is at its end: why it is not one JSON value, or nil when it is.
    package mutating func finish() -> String? {
        if problemFound == nil {
            switch state {
            case .zero, .integer, .fraction, .exponent: valueEnded(before: at)
            default: break
            }
        }
        if let problemFound { return problemFound }
        if case .end = state { return nil }
        return at == 0 ? "it is empty at byte 0" : "it ends too early at byte \(at)"
    }

    /// Whether the outermost value is, so far, an object.
    package var isOutermostObject: Bool { isObject }

    // MARK: - Byte by byte

    /// Bytes of a string that mean nothing but themselves.
    private mutating func skipPlain(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20 { break }
            index += 1
        }
        if isInKey { keep(bytes[start..<index]) }
        return index
    }

    private mutating func keep(_ bytes: Slice<UnsafeRawBufferPointer>) {
        guard key.count + bytes.count <= Self.longestName else { return fail("a key is too long", at: at) }
        key += bytes
    }

    private mutating func fail(_ what: String, at place: Int) { problemFound = "\(what) at byte \(place)" }

    private mutating func step(_ byte: UInt8, at place: Int) {
        switch state {
        case .string, .escape, .hex: stepString(byte, place)
        case .minus, .zero, .integer, .point, .fraction, .exponentSign, .exponentFirst, .exponent:
            if !stepNumber(byte, place) { step(byte, at: place) }
        case .word(let word, let index):
            guard byte == word.utf8Start[index] else { return fail("no value begins", at: place) }
            if index + 1 == word.utf8CodeUnitCount {
                valueEnded(before: place + 1)
            } else {
                state = .word(word, index + 1)
            }
        default:
            if byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { return }
            stepBetween(byte, place)
        }
    }

    private mutating func stepBetween(_ byte: UInt8, _ place: Int) {
        switch state {
        case .value: begin(byte, place)
        case .elementOrEnd:
            if byte == UInt8(ascii: "]") { close(byte, place) } else { begin(byte, place) }
        case .keyOrEnd where byte == UInt8(ascii: "}"): close(byte, place)
        case .keyOrEnd, .key:
            guard byte == UInt8(ascii: "\"") else { return fail("a string is missing", at: place) }
            isInKey = maxMembers > 0 && closers.count == 1
            if isInKey { key.removeAll(keepingCapacity: true) }
            state = .string
            keyIsOpen = true
        case .colon:
            guard byte == UInt8(ascii: ":") else { return fail("':' is missing", at: place) }
            state = .value
        case .separator:
            if byte == UInt8(ascii: ",") {
                state = closers.last == UInt8(ascii: "}") ? .key : .value
            } else {
                close(byte, place)
            }
        default: fail("something follows the value", at: place)
        }
    }

    /// Whether the string that is being read is a member's name.
    private var keyIsOpen = false

    private mutating func begin(_ byte: UInt8, _ place: Int) {
        if closers.count <= 1 { valueStart = place }
        switch byte {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            guard closers.count < Self.deepest else {
                return fail("it is nested deeper than \(Self.deepest)", at: place)
            }
            if closers.isEmpty { isObject = byte == UInt8(ascii: "{") }
            closers.append(byte == UInt8(ascii: "{") ? UInt8(ascii: "}") : UInt8(ascii: "]"))
            state = byte == UInt8(ascii: "{") ? .keyOrEnd : .elementOrEnd
        case UInt8(ascii: "\""): state = .string
        case UInt8(ascii: "-"): state = .minus
        case UInt8(ascii: "0"): state = .zero
        case UInt8(ascii: "1")...UInt8(ascii: "9"): state = .integer
        case UInt8(ascii: "t"): state = .word("true", 1)
        case UInt8(ascii: "f"): state = .word("false", 1)
        case UInt8(ascii: "n"): state = .word("null", 1)
        default: fail("no value begins", at: place)
        }
    }

    private mutating func close(_ byte: UInt8, _ place: Int) {
        guard byte == closers.last else { return fail("',' or a closing bracket is missing", at: place) }
        closers.removeLast()
        valueEnded(before: place + 1)
    }

    private mutating func valueEnded(before end: Int) {
        if maxMembers > 0, isObject, closers.count == 1 { note(valueStart..<end) }
        state = closers.isEmpty ? .end : .separator
    }

    private mutating func note(_ range: Range<Int>) {
        guard members.count < maxMembers else {
            return fail("it has more than \(maxMembers) members", at: range.lowerBound)
        }
        if members.updateValue(range, forKey: MemberName(key)) != nil {
            fail("a key stands twice", at: range.lowerBound)
        }
    }

    private mutating func stepString(_ byte: UInt8, _ place: Int) {
        if isInKey, byte != UInt8(ascii: "\"") || !isPlainString {
            withUnsafeBytes(of: byte) { keep($0[...]) }
        }
        switch state {
        case .string:
            switch byte {
            case UInt8(ascii: "\""):
                isInKey = false
                if keyIsOpen {
                    keyIsOpen = false
                    state = .colon
                } else {
                    valueEnded(before: place + 1)
                }
            case UInt8(ascii: "\\"): state = .escape
            case 0..<0x20: fail("a raw control character in a string", at: place)
            default: break
            }
        case .escape:
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
                UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
                state = .string
            case UInt8(ascii: "u"): state = .hex(4)
            default: fail("a wrong escape", at: place)
            }
        case .hex(let left):
            guard isHexDigit(byte) else { return fail("a wrong \\u escape", at: place) }
            state = left == 1 ? .string : .hex(left - 1)
        default: break
        }
    }

    private var isPlainString: Bool { if case .string = state { true } else { false } }

    /// False when the number is over, and `byte` is what comes after it.
    private mutating func stepNumber(_ byte: UInt8, _ place: Int) -> Bool {
        let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        switch state {
        case .minus where isDigit: state = byte == UInt8(ascii: "0") ? .zero : .integer
        case .integer where isDigit, .fraction where isDigit, .exponent where isDigit: break
        case .point where isDigit: state = .fraction
        case .exponentSign where byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-"): state = .exponentFirst
        case .exponentSign where isDigit, .exponentFirst where isDigit: state = .exponent
        case .zero where byte == UInt8(ascii: "."), .integer where byte == UInt8(ascii: "."): state = .point
        case .zero where byte | 0x20 == UInt8(ascii: "e"), .integer where byte | 0x20 == UInt8(ascii: "e"),
            .fraction where byte | 0x20 == UInt8(ascii: "e"):
            state = .exponentSign
        case .minus, .point, .exponentSign, .exponentFirst: fail("a digit is missing", at: place)
        default:
            valueEnded(before: place)
            return problemFound != nil
        }
        return true
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
