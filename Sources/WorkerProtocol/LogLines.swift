package import NIOCore

/// Cuts one invocation's stderr into lines, and says what it drops beyond the limit.
package struct LogLines: Sendable {
    private var pending: [UInt8] = []
    private var taken = 0
    private var dropped = 0
    private let limit: Int
    /// A longer line is cut in two: a tenant that writes no newline must not grow a buffer.
    private static let longestLine = 16 << 10
    /// What a line counts at least: each costs the host as much as some bytes, and a tenant may write nothing but newlines.
    private static let smallestLine = 8

    /// - Parameter limit: bytes kept of one invocation.
    package init(limit: Int) { self.limit = limit }

    /// The lines that end in `bytes`, without their newlines.
    package mutating func receive(_ bytes: ByteBuffer) -> [String] {
        var lines: [String] = []
        var rest = bytes.readableBytesView[...]
        while !rest.isEmpty, taken < limit {
            let part = rest.prefix(min(limit - taken, Self.longestLine - pending.count))
            if let end = part.firstIndex(of: UInt8(ascii: "\n")) {
                pending += part[..<end]
                taken += end - part.startIndex + 1 + max(0, Self.smallestLine - pending.count - 1)
                rest = rest[(end + 1)...]
                lines.append(takePending())
            } else {
                pending += part
                taken += part.count
                rest = rest[part.endIndex...]
                if pending.count >= Self.longestLine { lines.append(takePending()) }
            }
        }
        dropped += rest.count
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
