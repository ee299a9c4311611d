import Foundation
import FunctionModel
import NIOCore
import WireText

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
            JSONString.write(body, to: &event)
            event.writeString(#","isBase64Encoded":false"#)
        } else {
            event.reserveCapacity(event.writerIndex + (body.readableBytes + 2) / 3 * 4 + 64)
            writeBase64(body, to: &event)
            event.writeString(#","isBase64Encoded":true"#)
        }
    }

    /// A JSON string of the bytes in base64.
    static func writeBase64(_ bytes: ByteBuffer, to event: inout ByteBuffer) {
        event.writeString("\"")
        var rest = bytes
        // In pieces, so that it stands in memory once: 3 bytes make 4 letters, without anything between pieces.
        while let piece = rest.readSlice(length: min(rest.readableBytes, 48 << 10)), piece.readableBytes > 0 {
            event.writeString(Data(piece.readableBytesView).base64EncodedString())
        }
        event.writeString("\"")
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
}
