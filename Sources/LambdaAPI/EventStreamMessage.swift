import NIOCore

/// AWS's event streams, as far as they are written here (https://smithy.io/2.0/aws/amazon-eventstream.html): lengths, a checksum of
/// them, headers, what it carries, and a checksum of all.
enum EventStreamMessage {
    static func chunk(_ bytes: ByteBuffer) -> ByteBuffer { message("PayloadChunk", "application/octet-stream", bytes) }

    static func complete(_ json: ByteBuffer) -> ByteBuffer { message("InvokeComplete", "application/json", json) }

    private static func message(_ event: String, _ type: String, _ payload: ByteBuffer) -> ByteBuffer {
        var headers = ByteBuffer()
        for (name, value) in [(":message-type", "event"), (":event-type", event), (":content-type", type)] {
            headers.writeInteger(UInt8(name.utf8.count))
            headers.writeString(name)
            headers.writeInteger(UInt8(7))  // a text
            headers.writeInteger(UInt16(value.utf8.count))
            headers.writeString(value)
        }
        var message = ByteBuffer()
        // 4 for each of the four numbers; what is carried is bounded by what a function may answer.
        message.writeInteger(UInt32(headers.readableBytes + payload.readableBytes + 16))
        message.writeInteger(UInt32(headers.readableBytes))
        message.writeInteger(checksum(message))
        message.writeBuffer(&headers)
        message.writeImmutableBuffer(payload)
        message.writeInteger(checksum(message))
        return message
    }

    /// CRC-32 of IEEE 802.3, as zlib has it.
    private static func checksum(_ bytes: ByteBuffer) -> UInt32 {
        bytes.withUnsafeReadableBytes { bytes in
            ~bytes.reduce(~UInt32(0)) { table[Int(($0 ^ UInt32($1)) & 0xFF)] ^ ($0 >> 8) }
        }
    }

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
    }
}
