import FunctionModel
import NIOCore
import Synchronization

/// Invocations that were accepted to be run later, a bounded number, as this process runs them; what it has not finished stands
/// in the catalogue for the next one. Functions take turns, and each has slots of its own: a slow one holds up nobody else.
final class InvocationQueue: Sendable {
    struct Item: Sendable {
        let version: FunctionVersion
        let id: String
        /// Nil: it stands in the catalogue only.
        let event: ArrivedEvent?
        let traceparent: String?
        /// How often the host could not start it.
        var failedStarts = 0

        var bytes: Int { event?.bytes.readableBytes ?? 0 }
    }

    /// Of one function at once; of all.
    private static let maxOfOne = 16, maxAtOnce = 256
    /// Of all waiting events together, in bytes.
    private static let maxBytes = 64 << 20

    private struct Line {
        var items: CircularBuffer<Item> = []
        /// Bundles of those that run.
        var running: [String] = []
        /// It met a full house: nothing of it is tried before then.
        var notBefore: ContinuousClock.Instant?
    }

    private struct State {
        var lines: [FunctionName: Line] = [:]
        /// Functions with somebody waiting, whose turn it is first.
        var turns: CircularBuffer<FunctionName> = []
        var waiting = 0, bytes = 0, running = 0
        var isClosed = false
        var waiter: CheckedContinuation<Void, Never>?

        func hasRoom(for size: Int, most: Int) -> Bool {
            !isClosed && waiting < most && bytes + size <= maxBytes
        }

        mutating func claim(_ now: ContinuousClock.Instant) -> Item? {
            // What waits when the host leaves is the next one's.
            guard !isClosed, running < maxAtOnce else { return nil }
            for _ in 0..<turns.count {
                let name = turns.removeFirst()
                guard let first = lines[name]?.items.first, let busy = lines[name]?.running.count else { continue }
                let isFull = busy >= min(maxOfOne, first.version.manifest.concurrency.max)
                guard !isFull, lines[name]?.notBefore.map({ $0 <= now }) ?? true else {
                    turns.append(name)
                    continue
                }
                lines[name]?.items.removeFirst()
                lines[name]?.running.append(first.version.bundle)
                running += 1
                waiting -= 1
                bytes -= first.bytes
                if lines[name]?.items.isEmpty == false { turns.append(name) }
                return first
            }
            return nil
        }

        mutating func enter(_ item: Item, first: Bool) {
            let name = item.version.name
            if lines[name]?.items.isEmpty ?? true { turns.append(name) }
            if first {
                lines[name, default: Line()].items.prepend(item)
            } else {
                lines[name, default: Line()].items.append(item)
            }
            waiting += 1
            bytes += item.bytes
        }

        mutating func leave(_ item: Item) {
            let name = item.version.name
            running -= 1
            if let index = lines[name]?.running.firstIndex(of: item.version.bundle) {
                lines[name]?.running.remove(at: index)
            }
            if let line = lines[name], line.running.isEmpty, line.items.isEmpty { lines[name] = nil }
        }

        /// Whether nothing runs any more and nothing will.
        var isOver: Bool { isClosed && running == 0 }
    }

    private let capacity: Int
    private let state = Mutex(State())

    init(capacity: Int) { self.capacity = capacity }

    /// - Parameter bytes: of the event.
    func hasRoom(for bytes: Int) -> Bool {
        state.withLock { $0.hasRoom(for: bytes, most: capacity) }
    }

    /// False when the queue is full or closed.
    /// - Parameter isOld: whether an earlier process has accepted it: then there is always room.
    func add(_ item: Item, isOld: Bool = false) -> Bool {
        act { state in
            guard isOld || state.hasRoom(for: item.bytes, most: capacity) else { return false }
            state.enter(item, first: false)
            return true
        }
    }

    /// The next one whose turn it is, once it may run; nil when the queue is closed and nothing is left.
    func next() async -> Item? {
        while true {
            let (item, isOver) = state.withLock { state in
                (state.claim(.now), state.isOver)
            }
            if let item { return item }
            if isOver { return nil }
            await withCheckedContinuation { continuation in
                let runsOn = state.withLock { state in
                    // Something may have come in between.
                    if let item = state.claim(.now) {
                        state.enter(item, first: true)
                        state.leave(item)
                        return true
                    }
                    guard !state.isOver else { return true }
                    state.waiter = continuation
                    return false
                }
                if runsOn { continuation.resume() }
            }
        }
    }

    /// It has ended, and its slot is free.
    func finished(_ item: Item) {
        act {
            $0.leave(item)
            return true
        }
    }

    /// It met a full house and has its turn again in a while, before all others of its function: accepted is accepted.
    func postpone(_ item: Item, by delay: Duration) {
        act { state in
            state.enter(item, first: true)
            state.leave(item)
            state.lines[item.version.name]?.notBefore = .now + delay
            return true
        }
        Task {
            try? await Task.sleep(for: delay + .milliseconds(1))
            act { _ in true }
        }
    }

    func close() {
        act {
            $0.isClosed = true
            return true
        }
    }

    /// Bundles of what waits or runs.
    var bundlesInUse: Set<String> {
        state.withLock { Set($0.lines.values.flatMap { $0.items.map(\.version.bundle) + $0.running }) }
    }

    /// Changes the state, and lets whoever waits for the next item look again.
    @discardableResult
    private func act(_ change: (inout State) -> Bool) -> Bool {
        let (result, waiter) = state.withLock { state in
            let result = change(&state)
            defer { state.waiter = nil }
            return (result, state.waiter)
        }
        waiter?.resume()
        return result
    }
}
