import FunctionModel

/// Which mapping has its turn to fetch messages, as a value: the clock is the caller's.
struct MappingMachine {
    typealias Instant = ContinuousClock.Instant

    private struct Entry {
        var mapping: EventSourceMapping
        /// Batches that its function has.
        var running = 0
        /// Nothing is there before then, unless something is sent.
        var emptyUntil: Instant?
        /// Nothing is tried before then.
        var pausedUntil: Instant?
        /// For so many batches there was room when one was put off; nil: for as many as it may have.
        var room: Int?
        /// In a row: batches that were put off, or could not be fetched.
        var setbacks = 0
        /// In a row.
        var failedStarts = 0
        /// Whether somebody fetches for it at this moment.
        var isFetching = false
        /// Whether something was sent since.
        var wasFilled = false

        var mayFetch: Bool {
            mapping.isEnabled && !isFetching && running < min(mapping.batchesAtOnce, room ?? .max)
        }
        /// Nil: at once.
        var dueAt: Instant? { [emptyUntil, pausedUntil].compactMap { $0 }.max() }
    }

    private var entries: [String: Entry] = [:]

    var mappings: [EventSourceMapping] { entries.values.map(\.mapping) }
    func mapping(_ id: String) -> EventSourceMapping? { entries[id]?.mapping }
    var count: Int { entries.count }

    /// What runs goes on under the new rules.
    mutating func put(_ mapping: EventSourceMapping) {
        entries[mapping.id, default: Entry(mapping: mapping)].mapping = mapping
        entries[mapping.id]?.emptyUntil = nil
        entries[mapping.id]?.pausedUntil = nil
        // Who fetches at this moment goes by what it was.
        entries[mapping.id]?.wasFilled = true
    }

    mutating func remove(_ id: String) { entries[id] = nil }

    /// Those of which somebody should fetch messages now: told once, until `fetched`.
    mutating func due(_ now: Instant) -> [EventSourceMapping] {
        let ids = entries.filter { $0.value.mayFetch && $0.value.dueAt.map { $0 <= now } ?? true }.keys.sorted()
        for id in ids {
            entries[id]?.isFetching = true
            entries[id]?.wasFilled = false
        }
        return ids.compactMap { entries[$0]?.mapping }
    }

    /// When the next one is due; nil: not before something happens.
    func next(_ now: Instant) -> Instant? {
        entries.values.filter(\.mayFetch).map { $0.dueAt ?? now }.min()
    }

    /// Somebody has fetched for it.
    /// - Parameter emptyUntil: nothing was there, and will not be before then; nil: its function has a batch now.
    mutating func fetched(_ id: String, emptyUntil: Instant?, now: Instant) {
        entries[id]?.isFetching = false
        guard let emptyUntil else {
            entries[id]?.running += 1
            return
        }
        entries[id]?.emptyUntil = emptyUntil
        // What was sent meanwhile may have come too late for who looked.
        if entries[id]?.wasFilled == true { lookAgain(id, now) }
    }

    /// The function has done with a batch, well or not.
    mutating func ended(_ id: String) {
        entries[id]?.running -= 1
        entries[id]?.room = nil
        entries[id]?.setbacks = 0
        entries[id]?.failedStarts = 0
        entries[id]?.pausedUntil = nil
    }

    /// It had no room for a batch.
    mutating func putOff(_ id: String, now: Instant) {
        entries[id]?.running -= 1
        let running = entries[id]?.running ?? 0
        entries[id]?.room = running + 1
        pause(id, now: now)
    }

    /// Nothing is fetched for it for a while, which is longer each time.
    mutating func pause(_ id: String, now: Instant) {
        let setbacks = entries[id]?.setbacks ?? 0
        entries[id]?.setbacks = setbacks + 1
        entries[id]?.pausedUntil = now + min(.seconds(1 << min(setbacks, 6)), Self.longestPause)
    }

    private static let longestPause = Duration.seconds(60)

    /// A worker could not be started for a batch: whether it is rather the host's affair than the function's.
    mutating func failedStart(_ id: String) -> Bool {
        entries[id]?.failedStarts += 1
        return entries[id]?.failedStarts ?? 0 <= Self.maxFailedStarts
    }

    private static let maxFailedStarts = 3

    /// There may be something in the queue now.
    mutating func filled(_ queue: String, now: Instant) {
        for id in entries.filter({ $0.value.mapping.queue == queue }).map(\.key) {
            entries[id]?.wasFilled = true
            lookAgain(id, now)
        }
    }

    /// Whoever waits for a full batch counts what is there, which costs more the more that is: not with each message.
    private mutating func lookAgain(_ id: String, _ now: Instant) {
        guard let empty = entries[id]?.emptyUntil else { return }
        let waits = entries[id]?.mapping.window.milliseconds ?? 0 > 0
        entries[id]?.emptyUntil = waits ? min(empty, now + Self.grain) : nil
    }

    private static let grain = Duration.milliseconds(50)
}
