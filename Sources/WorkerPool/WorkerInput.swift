import FunctionModel
import NIOCore

/// A worker's stdin, which may be asked for before it is there.
struct WorkerInput {
    private(set) var channel: (any Channel)?
    private var unsent: [ByteBuffer] = []
    private var closes = false
    /// What follows the event's bytes before the end.
    var rest: EventStream?
    /// What the event under way is charged to, until the worker has it.
    var charge: MemoryBudget.Charge?

    /// - Returns: where to write `bytes` now; nil: they are kept until `opened`.
    mutating func send(_ bytes: ByteBuffer) -> (any Channel)? {
        if channel == nil { unsent.append(bytes) }
        return channel
    }

    /// - Returns: what to close now, once the rest has gone there.
    mutating func close() -> Closing? {
        closes = true
        return channel.map { Closing(channel: $0, rest: takeRest()) }
    }

    /// - Returns: what came before the channel, and whether that was all.
    mutating func opened(_ channel: any Channel) -> (unsent: [ByteBuffer], closing: Closing?) {
        defer { unsent = [] }
        self.channel = channel
        return (unsent, closes ? Closing(channel: channel, rest: takeRest()) : nil)
    }

    struct Closing {
        let channel: any Channel
        let rest: EventStream?

        /// A piece at a time: the next one is asked for when the pipe has taken this one.
        func begin() {
            guard let rest else { return channel.close(mode: .output, promise: nil) }
            // It ends with the event, or when the worker, or its invocation, does: then the pipe takes nothing, or there is
            // nothing to come.
            Task { [channel] in
                while let bytes = await rest.next() {
                    guard (try? await channel.writeAndFlush(bytes).get()) != nil else { break }
                }
                rest.end()
                channel.close(mode: .output, promise: nil)
            }
        }
    }

    private mutating func takeRest() -> EventStream? {
        defer { rest = nil }
        return rest
    }

    mutating func takeCharge() -> MemoryBudget.Charge? {
        defer { charge = nil }
        return charge
    }
}
