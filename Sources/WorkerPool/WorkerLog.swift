import Dialogues
import HostSystem
import NIOCore

/// A worker's log between its pipe and its invocations: each line is told of the invocation that wrote it, though log and
/// answer come on two pipes.
struct WorkerLog {
    private(set) var lines: LogLines
    /// The pipe's end, to ask how much is on it; nil before and after.
    private var file: Int32?
    /// Bytes on the pipe that an answer must wait for, or that still belong to what came before an invocation.
    private var before = 0
    /// What is to be done once they are read.
    private var held: [WorkerMachine.Action] = []

    /// What was read, and what follows.
    struct Taken {
        var lines: [String]
        /// Whether they are the present invocation's; else nobody's.
        var isOfInvocation: Bool
        var actions: [WorkerMachine.Action] = []
    }

    init(limit: Int) { lines = LogLines(limit: limit) }

    mutating func opened(_ file: Int32) { self.file = file }

    /// An invocation begins with a worker that has lived on.
    /// - Returns: what stood there without a line's end: nobody's.
    mutating func beginsInvocation() -> [String] {
        before = file.map(readableBytes) ?? 0
        return lines.breakLine()
    }

    /// A worker that lives on may have written to its log before its answer: that is read first.
    /// - Parameter awaitsAnswer: whether the answer in `actions` is to wait for its log.
    /// - Returns: what is to be done now, and whether the rest begins to wait.
    mutating func hold(back actions: [WorkerMachine.Action], awaitsAnswer: Bool) -> ([WorkerMachine.Action], Bool) {
        if held.isEmpty {
            guard awaitsAnswer,
                let at = actions.firstIndex(where: { if case .finish = $0 { true } else { false } }),
                let file, case let count = readableBytes(of: file), count > 0
            else { return (actions, false) }
            before = count
            held = Array(actions[at...])
            return (Array(actions[..<at]), true)
        }
        // A kill is not to be waited with.
        var now: [WorkerMachine.Action] = []
        for action in actions {
            if case .kill = action { now.append(action) } else { held.append(action) }
        }
        return (now, false)
    }

    /// What waits goes on when there is nothing on the pipe any more, whoever has read it.
    /// - Returns: what is to be done now, and whether anything still waits.
    mutating func release() -> ([WorkerMachine.Action], isHeld: Bool) {
        guard !held.isEmpty else { return ([], false) }
        guard file.map(readableBytes) ?? 0 == 0 else { return ([], true) }
        before = 0
        return (takeHeld(), false)
    }

    /// Reads as much of `bytes` as is of one invocation, or nobody's.
    mutating func take(_ bytes: inout ByteBuffer) -> Taken {
        let isWaitedFor = !held.isEmpty
        guard before > 0, let part = bytes.readSlice(length: min(before, bytes.readableBytes)) else {
            defer { bytes.moveReaderIndex(to: bytes.writerIndex) }
            return Taken(lines: lines.receive(bytes), isOfInvocation: true)
        }
        before -= part.readableBytes
        var taken = Taken(lines: lines.receive(part), isOfInvocation: isWaitedFor)
        if before == 0 {
            if isWaitedFor { taken.actions = takeHeld() } else { taken.lines += lines.breakLine() }
        }
        return taken
    }

    /// The worker has closed it, or has ended.
    mutating func closed() -> [WorkerMachine.Action] {
        file = nil
        before = 0
        return takeHeld()
    }

    mutating func finishInvocation() -> (lines: [String], dropped: String?) { lines.finish() }

    private mutating func takeHeld() -> [WorkerMachine.Action] {
        defer { held = [] }
        return held
    }
}
