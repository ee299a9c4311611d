import Foundation
import FunctionModel
import NIOCore

/// A request's body as an event carries it: text as a JSON string, everything else in base64.
enum HTTPEventBody {
    /// Writes `"body":…,"isBase64Encoded":…`; nothing for an empty one but that it is not.
    static func write(_ body: ByteBuffer, type: String, to event: inout ByteBuffer) {
        guard body.readableBytes > 0 else {
            event.writeString(#""isBase64Encoded":false"#)
            return
        }
        event.writeString(#""body":"#)
        if isText(body, type: type) {
            event.reserveCapacity(event.writerIndex + body.readableBytes + body.readableBytes / 16 + 64)
            writeString(body, to: &event)
            event.writeString(#","isBase64Encoded":false"#)
        } else {
            event.reserveCapacity(event.writerIndex + (body.readableBytes + 2) / 3 * 4 + 64)
            event.writeString("\"")
            var rest = body
            // In pieces, so that it stands in memory once: 3 bytes make 4 letters, without anything between pieces.
            while let piece = rest.readSlice(length: min(rest.readableBytes, 48 << 10)), piece.readableBytes > 0 {
                event.writeString(Data(piece.readableBytesView).base64EncodedString())
            }
            event.writeString(#"","isBase64Encoded":true"#)
        }
    }

    /// Control characters are no text, whatever the type says: each would become six bytes.
    private static func isText(_ body: ByteBuffer, type: String) -> Bool {
        let lowercase = type.isASCII ? type.lowercased() : ""
        let isTextual = ["text/", "json", "xml", "javascript", "x-www-form-urlencoded"].contains {
            lowercase.contains($0)
        }
        guard isTextual || type.isEmpty else { return false }
        return body.withUnsafeReadableBytes { bytes in
            guard isUTF8(bytes) else { return false }
            var controls = 0
            for byte in bytes where byte < 0x20 && byte != 0x0A && byte != 0x0D && byte != 0x09 { controls += 1 }
            return controls <= bytes.count / 64 + 16
        }
    }

    /// As RFC 8259 has it. Runs that need no escape are copied whole.
    private static func writeString(_ text: ByteBuffer, to event: inout ByteBuffer) {
        let digits = Array("0123456789abcdef".utf8)
        event.writeString("\"")
        text.withUnsafeReadableBytes { bytes in
            var start = 0
            func flush(_ end: Int, _ event: inout ByteBuffer) {
                if end > start { event.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) }
            }
            for index in 0..<bytes.count {
                let byte = bytes[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                flush(index, &event)
                start = index + 1
                switch byte {
                case UInt8(ascii: "\""): event.writeStaticString("\\\"")
                case UInt8(ascii: "\\"): event.writeStaticString("\\\\")
                case 0x0A: event.writeStaticString("\\n")
                case 0x0D: event.writeStaticString("\\r")
                case 0x09: event.writeStaticString("\\t")
                default:
                    event.writeStaticString("\\u00")
                    event.writeBytes([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
                }
            }
            flush(bytes.count, &event)
        }
        event.writeString("\"")
    }
}

/// A JSON string's text, as bytes. Foundation's decoder would hold it four times.
enum JSONString {
    /// - Parameter bytes: known to be sound JSON.
    /// - Returns: nil when it is no string.
    static func text(of bytes: ByteBuffer) -> ByteBuffer? {
        let view = bytes.readableBytesView
        guard view.count >= 2, view.first == UInt8(ascii: "\""), view.last == UInt8(ascii: "\"") else { return nil }
        return bytes.withUnsafeReadableBytes { raw in
            let inner = UnsafeRawBufferPointer(rebasing: raw[1..<(raw.count - 1)])
            guard inner.contains(UInt8(ascii: "\\")) else {
                return bytes.getSlice(at: bytes.readerIndex + 1, length: inner.count)
            }
            var text = ByteBuffer()
            text.reserveCapacity(inner.count)
            var index = 0, start = 0
            while index < inner.count {
                guard inner[index] == UInt8(ascii: "\\") else {
                    index += 1
                    continue
                }
                text.writeBytes(UnsafeRawBufferPointer(rebasing: inner[start..<index]))
                index = unescape(inner, at: index + 1, to: &text)
                start = index
            }
            text.writeBytes(UnsafeRawBufferPointer(rebasing: inner[start...]))
            return text
        }
    }

    /// Writes what an escape stands for. Returns where it ends.
    private static func unescape(_ bytes: UnsafeRawBufferPointer, at index: Int, to text: inout ByteBuffer) -> Int {
        guard index < bytes.count else { return bytes.count }
        switch bytes[index] {
        case UInt8(ascii: "n"): text.writeInteger(UInt8(0x0A))
        case UInt8(ascii: "r"): text.writeInteger(UInt8(0x0D))
        case UInt8(ascii: "t"): text.writeInteger(UInt8(0x09))
        case UInt8(ascii: "b"): text.writeInteger(UInt8(0x08))
        case UInt8(ascii: "f"): text.writeInteger(UInt8(0x0C))
        case UInt8(ascii: "u"):
            guard let high = unit(bytes, at: index + 1) else { return bytes.count }
            var scalar = UInt32(high), end = index + 5
            if (0xD800..<0xDC00).contains(high), end + 1 < bytes.count, bytes[end] == UInt8(ascii: "\\"),
                bytes[end + 1] == UInt8(ascii: "u"), let low = unit(bytes, at: end + 2), (0xDC00..<0xE000).contains(low)
            {
                scalar = 0x10000 + (UInt32(high) - 0xD800) << 10 + (UInt32(low) - 0xDC00)
                end += 6
            }
            // Half a pair is no character (RFC 8259, 8.2): the replacement stands for it, as Foundation has it not.
            text.writeString(String(Unicode.Scalar(scalar) ?? "\u{FFFD}"))
            return end
        default: text.writeInteger(bytes[index])
        }
        return index + 1
    }

    private static func unit(_ bytes: UnsafeRawBufferPointer, at index: Int) -> UInt16? {
        guard index + 4 <= bytes.count else { return nil }
        return UInt16(String(decoding: bytes[index..<(index + 4)], as: UTF8.self), radix: 16)
    }
}
