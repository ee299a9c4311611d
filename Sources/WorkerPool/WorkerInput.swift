import FunctionModel
import NIOCore

/// A worker's stdin, which may be asked for before it is there.
struct WorkerInput {
    private(set) var channel: (any Channel)?
    private var unsent: [ByteBuffer] = []
    private var closes = false
    /// What the event under way is charged to, until the worker has it.
    var charge: MemoryBudget.Charge?

    /// - Returns: where to write `bytes` now; nil: they are kept until `opened`.
    mutating func send(_ bytes: ByteBuffer) -> (any Channel)? {
        if channel == nil { unsent.append(bytes) }
        return channel
    }

    /// - Returns: what to close now.
    mutating func close() -> (any Channel)? {
        closes = true
        return channel
    }

    /// - Returns: what came before the channel, and whether that was all.
    mutating func opened(_ channel: any Channel) -> (unsent: [ByteBuffer], closes: Bool) {
        defer { unsent = [] }
        self.channel = channel
        return (unsent, closes)
    }

    mutating func takeCharge() -> MemoryBudget.Charge? {
        defer { charge = nil }
        return charge
    }
}
