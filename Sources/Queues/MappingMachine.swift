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
        /// Whether its function had no room of late: then one batch at a time tries.
        var isProbing = false
        /// Whether somebody fetches for it at this moment.
        var isFetching = false
        /// Whether something was sent since.
        var wasFilled = false

        var mayFetch: Bool {
            mapping.isEnabled && !isFetching && running < (isProbing ? 1 : mapping.maxConcurrency)
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
    mutating func fetched(_ id: String, emptyUntil: Instant?) {
        entries[id]?.isFetching = false
        if let emptyUntil {
            // What was sent meanwhile may have come too late for who looked.
            let wasFilled = entries[id]?.wasFilled == true
            entries[id]?.emptyUntil = wasFilled ? nil : emptyUntil
        } else {
            entries[id]?.running += 1
        }
    }

    /// The function has done with a batch, well or not.
    mutating func ended(_ id: String) {
        entries[id]?.running -= 1
        entries[id]?.isProbing = false
    }

    /// It had no room for a batch.
    mutating func putOff(_ id: String, until instant: Instant) {
        entries[id]?.running -= 1
        entries[id]?.isProbing = true
        pause(id, until: instant)
    }

    mutating func pause(_ id: String, until instant: Instant) { entries[id]?.pausedUntil = instant }

    /// There may be something in the queue now.
    mutating func filled(_ queue: String) {
        for id in entries.filter({ $0.value.mapping.queue == queue }).map(\.key) {
            entries[id]?.emptyUntil = nil
            entries[id]?.wasFilled = true
        }
    }
}
