import Synchronization

/// Wakes the one who waits for something to do; a ring that nobody heard is heard by who comes next.
final class Bell: Sendable {
    private struct State {
        var hasRung = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func ring() {
        state.withLock { state in
            defer { state.waiter = nil }
            if state.waiter == nil { state.hasRung = true }
            return state.waiter
        }?.resume()
    }

    /// Returns when it rings, or has rung since the last time.
    /// - Parameter instant: not later than then; nil: whenever that is.
    func wait(until instant: ContinuousClock.Instant?) async {
        let alarm = instant.map { instant in
            Task {
                try? await Task.sleep(until: instant, clock: .continuous)
                if !Task.isCancelled { ring() }
            }
        }
        await withCheckedContinuation { continuation in
            let isRinging = state.withLock { state in
                defer { state.hasRung = false }
                if !state.hasRung { state.waiter = continuation }
                return state.hasRung
            }
            if isRinging { continuation.resume() }
        }
        alarm?.cancel()
        await alarm?.value
    }
}
