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
    private static let smallestLine = 32
    /// The end of what the invocation wrote, kept for who asks why it failed.
    private var end: [UInt8] = []
    private static let longestEnd = 4 << 10

    /// - Parameter limit: bytes kept of one invocation.
    package init(limit: Int) { self.limit = limit }

    /// The lines that end in `bytes`, without their newlines.
    package mutating func receive(_ bytes: ByteBuffer) -> [String] {
        var lines: [String] = []
        var rest = bytes.readableBytesView[...]
        end += rest.suffix(Self.longestEnd)
        if end.count > 2 * Self.longestEnd { end.removeFirst(end.count - Self.longestEnd) }
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

    /// What is left at the invocation's end, and what the host has to say of it. The next one starts afresh.
    package mutating func finish() -> (lines: [String], dropped: String?) {
        let lines = breakLine()
        let note = dropped > 0 ? "\(dropped) bytes of log dropped; limits.log is \(limit) bytes" : nil
        taken = 0
        dropped = 0
        end.removeAll(keepingCapacity: true)
        return (lines, note)
    }

    /// The last 4 KiB of what the invocation under way has written.
    package var tail: String { String(decoding: end.suffix(Self.longestEnd), as: UTF8.self) }

    /// What stands there without a line's end becomes a line of its own: what follows is somebody else's.
    package mutating func breakLine() -> [String] { pending.isEmpty ? [] : [takePending()] }

    private mutating func takePending() -> String {
        defer { pending.removeAll(keepingCapacity: true) }
        return String(decoding: pending, as: UTF8.self)
    }
}
