/// The escapes of JSON strings (RFC 8259, 7).
package enum JSONEscapes {
    /// Calls `write` with the text that a string's inside stands for, run by run, as UTF-8.
    /// - Parameters:
    ///   - inside: what stands between the quotes; known to be sound.
    ///   - isEnough: asked between runs whether to stop.
    package static func undo(
        in inside: UnsafeRawBufferPointer, isEnough: () -> Bool = { false }, write: (UnsafeRawBufferPointer) -> Void
    ) {
        var index = 0, start = 0
        while index < inside.count, !isEnough() {
            guard inside[index] == UInt8(ascii: "\\") else {
                index += 1
                continue
            }
            write(UnsafeRawBufferPointer(rebasing: inside[start..<index]))
            index = undoOne(inside, at: index + 1, write)
            start = index
        }
        if start < index { write(UnsafeRawBufferPointer(rebasing: inside[start..<min(index, inside.count)])) }
    }

    /// Returns where the escape ends.
    private static func undoOne(
        _ bytes: UnsafeRawBufferPointer, at index: Int, _ write: (UnsafeRawBufferPointer) -> Void
    ) -> Int {
        guard index < bytes.count else { return bytes.count }
        func put(_ byte: UInt8) { withUnsafeBytes(of: byte) { write($0) } }
        switch bytes[index] {
        case UInt8(ascii: "n"): put(0x0A)
        case UInt8(ascii: "r"): put(0x0D)
        case UInt8(ascii: "t"): put(0x09)
        case UInt8(ascii: "b"): put(0x08)
        case UInt8(ascii: "f"): put(0x0C)
        case UInt8(ascii: "u"):
            guard let high = unit(bytes, at: index + 1) else { return bytes.count }
            var scalar = UInt32(high), end = index + 5
            if (0xD800..<0xDC00).contains(high), end + 1 < bytes.count, bytes[end] == UInt8(ascii: "\\"),
                bytes[end + 1] == UInt8(ascii: "u"), let low = unit(bytes, at: end + 2), (0xDC00..<0xE000).contains(low)
            {
                scalar = 0x10000 + (UInt32(high) - 0xD800) << 10 + (UInt32(low) - 0xDC00)
                end += 6
            }
            // Half a pair is no character (RFC 8259, 8.2): the replacement stands for it.
            for byte in String(Unicode.Scalar(scalar) ?? "\u{FFFD}").utf8 { put(byte) }
            return end
        default: put(bytes[index])
        }
        return index + 1
    }

    private static func unit(_ bytes: UnsafeRawBufferPointer, at index: Int) -> UInt16? {
        guard index + 4 <= bytes.count else { return nil }
        return UInt16(String(decoding: bytes[index..<(index + 4)], as: UTF8.self), radix: 16)
    }
}
