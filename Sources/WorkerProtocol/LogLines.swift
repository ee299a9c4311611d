package import NIOCore

/// Cuts one invocation's stderr into lines, and says what it drops beyond the limit.
package struct LogLines: Sendable {
    private var pending: [UInt8] = []
    private var taken = 0
    private var dropped = 0
    private let limit: Int
    /// A longer line is cut in two: a tenant that writes no newline must not grow a buffer.
    private static let longestLine = 16 << 10

    /// - Parameter limit: bytes kept of one invocation.
    package init(limit: Int) { self.limit = limit }

    /// The lines that end in `bytes`, without their newlines.
    package mutating func receive(_ bytes: ByteBuffer) -> [String] {
        let room = max(0, limit - taken)
        let kept = bytes.readableBytesView.prefix(room)
        taken += kept.count
        dropped += bytes.readableBytes - kept.count
        var lines: [String] = []
        for byte in kept {
            if byte == UInt8(ascii: "\n") {
                lines.append(takePending())
            } else {
                pending.append(byte)
                if pending.count >= Self.longestLine { lines.append(takePending()) }
            }
        }
        return lines
    }

    /// What is left at the invocation's end. The next one starts afresh.
    package mutating func finish() -> [String] {
        var lines = pending.isEmpty ? [] : [takePending()]
        if dropped > 0 { lines.append("[bulkhead: \(dropped) bytes of log dropped; limits.log is \(limit) bytes]") }
        taken = 0
        dropped = 0
        return lines
    }

    private mutating func takePending() -> String {
        defer { pending.removeAll(keepingCapacity: true) }
        return String(decoding: pending, as: UTF8.self)
    }
}
