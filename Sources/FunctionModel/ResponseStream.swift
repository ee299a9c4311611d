package import NIOCore
import Synchronization

/// A piece of an answer that comes while it is made.
package enum ResponsePart: Sendable, Equatable {
    /// Its status and headers, as JSON; comes first, if at all.
    case head(ByteBuffer)
    case body(ByteBuffer)

    package var size: Int {
        switch self {
        case .head(let bytes), .body(let bytes): bytes.readableBytes
        }
    }
}

/// An answer on its way from a worker to a client, with room for a few pieces between them: who reads slowly holds up who writes.
package final class ResponseStream: Sendable {
    private struct State {
        var start = StartKind.cold
        var hasBegun = false
        var isFinished = false
        var hasReader = true
        var parts: [ResponsePart] = []
        var reading: CheckedContinuation<ResponsePart?, Never>?
        var isFull = false
        var more: (@Sendable () -> Void)?
        var onEnd: (@Sendable () -> Void)?
        /// Bytes that are here, or with a client that has not taken them.
        var held = 0
        var verdict = Verdict()
        /// Whether a part had no room.
        var isBroken = false
    }

    /// Whether the reader can carry on what has come, and who waits to know it: see `finished`.
    private struct Verdict {
        var isThere = false
        var refusal: Failure?
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    private let charge: MemoryBudget.Charge
    /// Pieces between writer and reader; each is what one look at a pipe has brought, a mebibyte at most.
    private static let room = 2

    /// - Parameter charge: for what is on its way; empty.
    package init(charge: MemoryBudget.Charge) { self.charge = charge }

    // MARK: - The writer's side

    package enum Room: Sendable {
        case more
        /// Nothing more until `more` is called.
        case wait
        /// The host cannot hold it.
        case none
    }

    /// A worker has the invocation.
    /// - Parameters:
    ///   - more: called whenever there is room again, from any thread.
    ///   - onEnd: called once nobody reads any more; at once when that is so already.
    package func begin(
        _ start: StartKind, more: @escaping @Sendable () -> Void, onEnd: @escaping @Sendable () -> Void
    ) {
        let hasReader = state.withLock { state in
            state.start = start
            guard state.hasReader else { return false }
            (state.more, state.onEnd) = (more, onEnd)
            return true
        }
        if !hasReader { onEnd() }
    }

    package func write(_ part: ResponsePart) -> Room {
        guard charge.add(part.size) else {
            state.withLock { $0.isBroken = true }
            return .none
        }
        let (reader, room) = state.withLock { state -> (CheckedContinuation<ResponsePart?, Never>?, Room) in
            state.hasBegun = true
            guard state.hasReader, !state.isFinished else { return (nil, .more) }
            state.held += part.size
            if let reader = state.reading {
                state.reading = nil
                return (reader, .more)
            }
            state.parts.append(part)
            state.isFull = state.parts.count >= Self.room
            return (nil, state.isFull ? .wait : .more)
        }
        reader?.resume(returning: part)
        return room
    }

    /// Whether its reader is behind.
    package var isFull: Bool { state.withLock { $0.isFull && $0.hasReader } }

    /// Whether a part of it was lost, so that it cannot be whole any more.
    package var isBroken: Bool { state.withLock { $0.isBroken } }

    /// Nothing more comes.
    package func finish() {
        let reader = state.withLock { state in
            state.isFinished = true
            (state.more, state.onEnd) = (nil, nil)
            defer { state.reading = nil }
            return state.reading
        }
        reader?.resume(returning: nil)
    }

    // MARK: - The reader's side

    /// How the worker was come by; known with the first part.
    package var start: StartKind { state.withLock { $0.start } }

    /// Whether something came, so that the rest of the answer cannot be another one any more.
    package var hasBegun: Bool { state.withLock { $0.hasBegun } }

    /// Why its reader cannot carry it on: that is how the invocation has ended.
    package var refusal: Failure? { state.withLock { $0.verdict.refusal } }

    /// Nobody reads any more, for that reason.
    package func refuse(_ failure: Failure) {
        state.withLock { $0.verdict.refusal = failure }
        end()
    }

    /// What has come is carried on.
    package func accept() {
        for one in decided() { one.resume() }
    }

    private func decided() -> [CheckedContinuation<Void, Never>] {
        state.withLock { state in
            state.verdict.isThere = true
            defer { state.verdict.waiting = [] }
            return state.verdict.waiting
        }
    }

    /// Nothing more comes. Waits until the reader has accepted or refused what has come, or gone: an invocation that has ended
    /// already may fail by it.
    package func finished() async {
        finish()
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if !state.verdict.isThere { state.verdict.waiting.append(continuation) }
                return state.verdict.isThere
            }
            if isThere { continuation.resume() }
        }
    }

    /// The next part, for one reader at a time; nil at the end.
    package func next() async -> ResponsePart? {
        await withCheckedContinuation { continuation in
            let (found, more) = state.withLock { state -> (ResponsePart??, (@Sendable () -> Void)?) in
                guard !state.parts.isEmpty else {
                    if state.isFinished || !state.hasReader { return (.some(nil), nil) }
                    state.reading = continuation
                    return (nil, nil)
                }
                let part = state.parts.removeFirst()
                guard state.isFull, state.parts.isEmpty else { return (part, nil) }
                state.isFull = false
                return (part, state.more)
            }
            more?()
            if let found { continuation.resume(returning: found) }
        }
    }

    /// The client has taken so many bytes.
    package func took(_ count: Int) {
        let held = state.withLock { state in
            state.held -= count
            return state.held
        }
        charge.reduce(to: max(0, held))
    }

    /// Nobody reads any more.
    package func end() {
        let (more, onEnd, reader) = state.withLock { state in
            state.hasReader = false
            state.parts = []
            defer { (state.more, state.onEnd, state.reading) = (nil, nil, nil) }
            return (state.more, state.onEnd, state.reading)
        }
        charge.reduce(to: 0)
        onEnd?()
        more?()
        reader?.resume(returning: nil)
        accept()
    }
}
