import FunctionModel
import NIOCore

/// A worker's stdin, which may be asked for before it is there.
struct WorkerInput {
    private(set) var channel: (any Channel)?
    private var unsent: [ByteBuffer] = []
    private var closes = false
    /// What follows the event's bytes before the end.
    var rest: EventStream?
    private var later: LaterInput?
    /// What the event under way is charged to, until the worker has it.
    var charge: MemoryBudget.Charge?

    /// - Returns: where to write `bytes` now; nil: they are kept until `opened`.
    mutating func send(_ bytes: ByteBuffer) -> (any Channel)? {
        if channel == nil { unsent.append(bytes) }
        return channel
    }

    /// - Returns: what to close now.
    mutating func close() -> Closing? {
        closes = true
        return closing
    }

    /// - Returns: what came before the channel, and whether that was all.
    mutating func opened(_ channel: any Channel, _ later: LaterInput?) -> (unsent: [ByteBuffer], closing: Closing?) {
        defer { unsent = [] }
        self.channel = channel
        self.later = later
        return (unsent, closes ? closing : nil)
    }

    private var closing: Closing? {
        mutating get {
            guard let channel else { return nil }
            defer { (rest, later) = (nil, nil) }
            return Closing(channel: channel, rest: rest, later: later)
        }
    }

    /// The end of what the channel brings; perhaps not of all.
    struct Closing {
        let channel: any Channel
        let rest: EventStream?
        let later: LaterInput?

        func begin() {
            guard let rest, let later else { return channel.close(mode: .output, promise: nil) }
            // What it has still to write comes first.
            let written = channel.close(mode: .output)
            Task { [loop = channel.eventLoop] in
                try? await written.get()
                await later.pour(rest, on: loop)
            }
        }
    }

    mutating func takeCharge() -> MemoryBudget.Charge? {
        defer { charge = nil }
        return charge
    }
}
