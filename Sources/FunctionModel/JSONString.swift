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
}
