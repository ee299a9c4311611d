/// Tells of bytes that arrive piece by piece whether they are UTF-8 (RFC 3629: nothing overlong, no surrogates, nothing
/// beyond U+10FFFF).
package struct UTF8Scanner: Sendable {
    /// Bytes that the character under way still needs, and between which bounds its next one must be.
    private var missing = 0
    private var low: UInt8 = 0x80, high: UInt8 = 0xBF
    package private(set) var hasFailed = false

    package init() {}

    /// Whether all that was read is UTF-8, the last character complete.
    package var isValid: Bool { !hasFailed && missing == 0 }

    package mutating func read(_ bytes: UnsafeRawBufferPointer) {
        var index = 0
        while index < bytes.count, !hasFailed {
            if missing == 0 {
                while index + 8 <= bytes.count,
                    bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
                { index += 8 }
                guard index < bytes.count else { return }
            }
            step(bytes[index])
            index += 1
        }
    }

    private mutating func step(_ byte: UInt8) {
        if missing > 0 {
            hasFailed = byte < low || byte > high
            (low, high) = (0x80, 0xBF)
            missing -= 1
            return
        }
        switch byte {
        case 0..<0x80: break
        case 0xC2...0xDF: missing = 1
        case 0xE0: (missing, low) = (2, 0xA0)
        case 0xED: (missing, high) = (2, 0x9F)
        case 0xE1...0xEF: missing = 2
        case 0xF0: (missing, low) = (3, 0x90)
        case 0xF4: (missing, high) = (3, 0x8F)
        case 0xF1...0xF3: missing = 3
        default: hasFailed = true
        }
    }
}

/// Whether the bytes are UTF-8.
package func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var scanner = UTF8Scanner()
    scanner.read(bytes)
    return scanner.isValid
}
