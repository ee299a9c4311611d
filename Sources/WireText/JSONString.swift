package import NIOCore

/// A JSON string's text, as bytes. Foundation's decoder would hold it four times.
package enum JSONString {
    /// - Parameter bytes: known to be sound JSON.
    /// - Returns: nil when it is no string.
    package static func text(of bytes: ByteBuffer) -> ByteBuffer? {
        let view = bytes.readableBytesView
        guard view.count >= 2, view.first == UInt8(ascii: "\""), view.last == UInt8(ascii: "\"") else { return nil }
        return bytes.withUnsafeReadableBytes { raw in
            let inner = UnsafeRawBufferPointer(rebasing: raw[1..<(raw.count - 1)])
            guard inner.contains(UInt8(ascii: "\\")) else {
                return bytes.getSlice(at: bytes.readerIndex + 1, length: inner.count)
            }
            var text = ByteBuffer()
            text.reserveCapacity(inner.count)
            JSONEscapes.undo(in: inner) { text.writeBytes($0) }
            return text
        }
    }

    /// Writes a string of the text (RFC 8259, 7). Runs that need no escape are copied whole.
    package static func write(_ text: ByteBuffer, to json: inout ByteBuffer) {
        text.withUnsafeReadableBytes { write($0, to: &json) }
    }

    /// Writes a string of the text (RFC 8259, 7).
    package static func write(_ text: String, to json: inout ByteBuffer) {
        var text = text
        text.withUTF8 { write(UnsafeRawBufferPointer($0), to: &json) }
    }

    private static func write(_ bytes: UnsafeRawBufferPointer, to json: inout ByteBuffer) {
        json.writeInteger(quote)
        var start = 0
        for index in 0..<bytes.count {
            let byte = bytes[index]
            guard byte < 0x20 || byte == quote || byte == backslash else { continue }
            json.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start..<index]))
            start = index + 1
            switch byte {
            case quote: json.writeStaticString("\\\"")
            case backslash: json.writeStaticString("\\\\")
            case 0x0A: json.writeStaticString("\\n")
            case 0x0D: json.writeStaticString("\\r")
            case 0x09: json.writeStaticString("\\t")
            default:
                json.writeStaticString("\\u00")
                json.writeInteger(digit(byte >> 4))
                json.writeInteger(digit(byte & 15))
            }
        }
        json.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start...]))
        json.writeInteger(quote)
    }

    private static let quote = UInt8(ascii: "\""), backslash = UInt8(ascii: "\\")

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }
}
