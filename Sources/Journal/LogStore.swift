package import FunctionModel
import Synchronization

/// One line of a function's log.
package struct LogLine: Sendable, Hashable, Codable {
    package let time: String
    package let invocationId: String?
    package let version: Int
    /// Whether the function wrote it, or the host says it of the function.
    package let source: LogSource
    package let text: String
}

/// The newest log lines of each function, in memory, and those who follow them.
package final class LogStore: Sendable {
    /// Lines, the oldest of which can make room.
    private struct Lines {
        private(set) var lines: [LogLine] = []
        private(set) var bytes = 0

        /// - Returns: by how much they have grown, in bytes.
        mutating func add(_ new: [LogLine]) -> Int {
            let before = bytes
            lines += new
            for line in new { bytes += Self.size(of: line) }
            return bytes - before
        }

        /// Drops the oldest until no more than `most` bytes are left, and returns how many went. In bulk, so that a flood of
        /// lines does not shift the array at each.
        mutating func drop(to most: Int) -> Int {
            let before = bytes
            var dropped = 0
            while bytes > most, dropped < lines.count {
                bytes -= Self.size(of: lines[dropped])
                dropped += 1
            }
            lines.removeFirst(dropped)
            return before - bytes
        }

        private static func size(of line: LogLine) -> Int { line.text.utf8.count + 64 }
    }

    private struct Function {
        var kept = Lines()
        var followers: [Int: AsyncStream<LogLine>.Continuation] = [:]
    }

    private struct State {
        var functions: [FunctionName: Function] = [:]
        var nextFollower = 0
        /// Of all functions together.
        var bytes = 0
        var isClosed = false
        /// What is to be written to the disk; nil: nothing is.
        var pending: [FunctionName: Lines]?
        var pendingBytes = 0
        /// Functions whose files are to go.
        var gone: Set<FunctionName> = []
    }

    /// Of one function that are to be written, in bytes: of more, no more would be kept; and of all.
    private static let (maxPending, maxAllPending) = (1 << 20, 16 << 20)

    /// Kept for each function.
    private let bound: Int
    /// Kept of all logs together, in bytes.
    private static let maxBytes = 32 << 20
    private let state = Mutex(State())

    /// - Parameter bound: bytes kept of each function's log.
    package init(bound: Int = 1 << 20) { self.bound = bound }

    package func append(_ lines: [LogLine], of name: FunctionName) {
        let followers = state.withLock { state in
            var function = state.functions.removeValue(forKey: name) ?? Function()
            state.bytes += function.kept.add(lines)
            if function.kept.bytes > bound { state.bytes -= function.kept.drop(to: bound * 3 / 4) }
            state.functions[name] = function
            if var waiting = state.pending?.removeValue(forKey: name) ?? (state.pending == nil ? nil : Lines()) {
                state.pendingBytes += waiting.add(lines)
                state.pendingBytes -= waiting.drop(to: Self.maxPending)
                // A disk that stands still must not cost the host its memory.
                if state.pendingBytes > Self.maxAllPending {
                    state.pendingBytes -= waiting.bytes
                    waiting = Lines()
                }
                state.pending?[name] = waiting
            }
            // Many functions with full logs: the longest one gives way.
            while state.bytes > Self.maxBytes,
                let longest = state.functions.max(by: { $0.value.kept.bytes < $1.value.kept.bytes })
            {
                var function = longest.value
                let freed = function.kept.drop(to: function.kept.bytes / 2)
                state.functions[longest.key] = function
                state.bytes -= freed
                if freed == 0 { break }
            }
            return Array(function.followers.values)
        }
        for follower in followers { for line in lines { follower.yield(line) } }
    }

    /// The newest lines, oldest first.
    package func lines(of name: FunctionName, limit: Int, _ filter: LogFilter = LogFilter()) -> [LogLine] {
        let all = state.withLock { $0.functions[name]?.kept.lines ?? [] }
        return Array(all.filter(filter.includes).suffix(limit))
    }

    // MARK: - The disk

    /// What an earlier process wrote is there again, and what is written from now on is kept for the next.
    package func restore(_ lines: [(FunctionName, [LogLine])]) {
        for (name, lines) in lines { append(lines, of: name) }
        state.withLock { $0.pending = [:] }
    }

    /// What is to be written, and of whom nothing is to be left.
    func takePending() -> ([FunctionName: [LogLine]], gone: Set<FunctionName>) {
        state.withLock { state in
            defer {
                if state.pending != nil { state.pending = [:] }
                state.pendingBytes = 0
                state.gone = []
            }
            return ((state.pending ?? [:]).mapValues(\.lines), state.gone)
        }
    }

    // MARK: - Following

    /// Lines as they come. A follower that reads too slowly loses the oldest of them.
    package func follow(_ name: FunctionName) -> AsyncStream<LogLine> {
        let (stream, continuation) = AsyncStream.makeStream(of: LogLine.self, bufferingPolicy: .bufferingNewest(1000))
        let id = state.withLock { state -> Int? in
            guard !state.isClosed else { return nil }
            let id = state.nextFollower
            state.nextFollower += 1
            state.functions[name, default: Function()].followers[id] = continuation
            return id
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { $0.functions[name]?.followers[id] = nil }
        }
        return stream
    }

    package func remove(_ name: FunctionName) {
        let followers = state.withLock { state -> [Int: AsyncStream<LogLine>.Continuation] in
            guard let function = state.functions.removeValue(forKey: name) else { return [:] }
            state.bytes -= function.kept.bytes
            if state.pending != nil {
                state.pendingBytes -= state.pending?.removeValue(forKey: name)?.bytes ?? 0
                state.gone.insert(name)
            }
            return function.followers
        }
        for follower in followers.values { follower.finish() }
    }

    /// Ends every follower: the host is leaving.
    package func close() {
        let followers = state.withLock { state in
            state.isClosed = true
            return state.functions.values.flatMap { $0.followers.values }
        }
        for follower in followers { follower.finish() }
    }
}
