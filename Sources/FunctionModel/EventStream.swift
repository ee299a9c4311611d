package import NIOCore
import Synchronization

/// The rest of an event that is still coming while its function runs already: a piece at a time, so that who sends it goes as fast
/// as the function reads.
package final class EventStream: Sendable {
    private struct State {
        var piece: ByteBuffer?
        var isFinished = false
        var hasReader = true
        var writing: CheckedContinuation<Bool, Never>?
        var reading: CheckedContinuation<ByteBuffer?, Never>?
    }

    private let state = Mutex(State())

    package init() {}

    // MARK: - The writer's side

    /// Waits until the piece before this one was taken.
    /// - Returns: false when nobody reads any more.
    package func write(_ bytes: ByteBuffer) async -> Bool {
        await withCheckedContinuation { continuation in
            let (reader, goesOn) = state.withLock { state -> (CheckedContinuation<ByteBuffer?, Never>?, Bool?) in
                guard state.hasReader else { return (nil, false) }
                if let reader = state.reading {
                    state.reading = nil
                    return (reader, true)
                }
                state.piece = bytes
                state.writing = continuation
                return (nil, nil)
            }
            reader?.resume(returning: bytes)
            if let goesOn { continuation.resume(returning: goesOn) }
        }
    }

    /// That was all.
    package func finish() {
        let reader = state.withLock { state in
            state.isFinished = true
            defer { state.reading = nil }
            return state.reading
        }
        reader?.resume(returning: nil)
    }

    // MARK: - The reader's side

    /// The next piece, for one reader at a time; nil at the end.
    package func next() async -> ByteBuffer? {
        await withCheckedContinuation { continuation in
            let (found, writer) = state.withLock { state -> (ByteBuffer??, CheckedContinuation<Bool, Never>?) in
                if let piece = state.piece {
                    defer { (state.piece, state.writing) = (nil, nil) }
                    return (piece, state.writing)
                }
                if state.isFinished || !state.hasReader { return (.some(nil), nil) }
                state.reading = continuation
                return (nil, nil)
            }
            writer?.resume(returning: true)
            if let found { continuation.resume(returning: found) }
        }
    }

    /// Nobody reads any more.
    package func end() {
        let (writer, reader) = state.withLock { state in
            state.hasReader = false
            state.piece = nil
            defer { (state.writing, state.reading) = (nil, nil) }
            return (state.writing, state.reading)
        }
        writer?.resume(returning: false)
        reader?.resume(returning: nil)
    }
}
