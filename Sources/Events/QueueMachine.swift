import FunctionModel
import HeapModule
import NIOCore

/// Who is next of those that wait: a value with the clock handed in. Functions take turns, and each has slots of its own: a slow one
/// holds up nobody else, nor does one that is at its `max`, nor a webhook that does not answer.
struct QueueMachine {
    struct Item: Sendable {
        let version: FunctionVersion
        let id: String
        /// Nil: it stands in the store only.
        var event: ArrivedEvent?
        /// The caller's; of one that has ended its own, by which its destinations are called.
        var traceparent: String?
        /// Who is to be told; nil: the function is to run.
        var webhook: OutgoingURL?
        var isRaw = false
        /// Id of the access key that asked for it.
        var key: String?
        /// Of the event.
        var size = 0
        var depth = 0
        /// In milliseconds since 1970.
        var acceptedAt = 0
        /// That have failed.
        var attempts = 0
        /// How often in a row it met a full house, and how often the host could not start it.
        var setbacks = (fullHouses: 0, failedStarts: 0)

        var heldBytes: Int { event?.bytes.readableBytes ?? 0 }
        fileprivate var line: LineID { LineID(function: version.name, isWebhook: webhook != nil) }
    }

    fileprivate struct LineID: Hashable {
        let function: FunctionName
        let isWebhook: Bool
    }

    private struct Line {
        var items: CircularBuffer<Item> = []
        /// Bundles of those that run.
        var running: [String] = []
        /// It met a full house: nothing of it is tried before then.
        var notBefore: ContinuousClock.Instant?
    }

    private struct Later: Comparable {
        let due: ContinuousClock.Instant
        let order: Int
        let item: Item

        static func < (left: Later, right: Later) -> Bool { (left.due, left.order) < (right.due, right.order) }
        static func == (left: Later, right: Later) -> Bool { left.order == right.order }
    }

    struct Bounds {
        /// That may wait.
        var count: Int
        /// Of one function at once; of all; of webhooks of one function.
        var maxOfOne = 16, maxAtOnce = 256, maxTold = 4
        /// With those that have run, and of which the end is being written down.
        var maxInHand = 512
        /// Of waiting events together: in the store, and of them in memory.
        var bytes = 1 << 30, heldBytes = 48 << 20
    }

    private enum Phase { case waiting(bytes: Int), running }

    /// What one function has waiting.
    private struct Share { var count = 0, bytes = 0 }

    private let bounds: Bounds
    private var lines: [LineID: Line] = [:]
    /// Lines with somebody waiting, whose turn it is first.
    private var turns: CircularBuffer<LineID> = []
    private var later = Heap<Later>()
    private var phases: [String: Phase] = [:]
    private var shares: [FunctionName: Share] = [:]
    private var counts = (waiting: 0, bytes: 0, held: 0, running: 0, inHand: 0, order: 0, stale: 0)
    private(set) var isClosed = false

    init(_ bounds: Bounds) { self.bounds = bounds }

    /// Bytes of events in memory.
    var held: Int { counts.held }
    var waiting: Int { counts.waiting }
    /// Whether nothing runs any more and nothing will.
    var isOver: Bool { isClosed && counts.inHand == 0 }

    /// Whether there is room, and the function leaves as much to others as it has itself: where there is little room to begin with,
    /// that counts for bytes alone.
    func hasRoom(for size: Int, of name: FunctionName) -> Bool {
        guard !isClosed, counts.waiting < bounds.count, counts.bytes + size <= bounds.bytes else { return false }
        let own = shares[name] ?? Share()
        return (own.count == 0 || own.bytes + size <= bounds.bytes - counts.bytes)
            && (bounds.count < 1000 || own.count < bounds.count - counts.waiting)
    }

    /// - Parameter due: nil: at once.
    mutating func add(_ item: Item, due: ContinuousClock.Instant? = nil) {
        var item = item
        if counts.held + item.heldBytes > bounds.heldBytes { item.event = nil }
        waits(item)
        if let due {
            counts.order += 1
            later.insert(Later(due: due, order: counts.order, item: item))
        } else {
            enter(item, first: false)
        }
    }

    private mutating func enter(_ item: Item, first: Bool) {
        let id = item.line
        if lines[id]?.items.isEmpty ?? true { turns.append(id) }
        if first {
            lines[id, default: Line()].items.prepend(item)
        } else {
            lines[id, default: Line()].items.append(item)
        }
    }

    /// The next one whose turn it is, if one may run.
    mutating func claim(_ now: ContinuousClock.Instant) -> Item? {
        // What waits when the host leaves is the next one's.
        guard !isClosed else { return nil }
        while let first = later.min, first.due <= now {
            later.removeMin()
            if isWaiting(first.item.id) { enter(first.item, first: true) } else { counts.held -= first.item.heldBytes }
        }
        guard counts.running < bounds.maxAtOnce, counts.inHand < bounds.maxInHand else { return nil }
        for _ in 0..<turns.count {
            let id = turns.removeFirst()
            dropStale(of: id)
            // Never the line as a whole: its items would be copied when one is taken out.
            guard let first = lines[id]?.items.first, let busy = lines[id]?.running.count else { continue }
            let most = id.isWebhook ? bounds.maxTold : min(bounds.maxOfOne, first.version.manifest.concurrency.max)
            guard busy < most, lines[id]?.notBefore.map({ $0 <= now }) ?? true else {
                turns.append(id)
                continue
            }
            lines[id]?.items.removeFirst()
            lines[id]?.running.append(first.version.bundle)
            if lines[id]?.items.isEmpty == false { turns.append(id) }
            counts.running += 1
            counts.inHand += 1
            counts.held -= first.heldBytes
            waitsNoMore(first.id, first.version.name)
            phases[first.id] = .running
            return first
        }
        return nil
    }

    func isWaiting(_ id: String) -> Bool { if case .waiting = phases[id] { true } else { false } }

    /// Those that were taken out stand at the head of a line until they are passed.
    private mutating func dropStale(of id: LineID) {
        while let first = lines[id]?.items.first, !isWaiting(first.id) {
            lines[id]?.items.removeFirst()
            counts.held -= first.heldBytes
            counts.stale -= 1
        }
        if let line = lines[id], line.running.isEmpty, line.items.isEmpty { lines[id] = nil }
    }

    /// When somebody may be next without anything else happening; nil: nobody.
    func nextDue(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        guard !isClosed else { return nil }
        let blocked = turns.compactMap { lines[$0]?.notBefore }.filter { $0 > now }.min()
        return [later.min?.due, blocked].compactMap { $0 }.min()
    }

    private mutating func waits(_ item: Item) {
        phases[item.id] = .waiting(bytes: item.size)
        counts.waiting += 1
        counts.bytes += item.size
        counts.held += item.heldBytes
        shares[item.version.name, default: Share()].count += 1
        shares[item.version.name, default: Share()].bytes += item.size
    }

    private mutating func waitsNoMore(_ id: String, _ name: FunctionName) {
        guard case .waiting(let bytes) = phases.removeValue(forKey: id) else { return }
        counts.waiting -= 1
        counts.bytes -= bytes
        shares[name]?.count -= 1
        shares[name]?.bytes -= bytes
        if shares[name]?.count == 0 { shares[name] = nil }
    }

    /// It has run, and its slot is free; how it ended is still to be written down.
    mutating func ran(_ item: Item) { leave(item) }

    /// It is done with.
    mutating func finished(_ item: Item) {
        counts.inHand -= 1
        // One that was brought back meanwhile waits.
        if case .running = phases[item.id] { phases[item.id] = nil }
    }

    private mutating func leave(_ item: Item) {
        let id = item.line
        counts.running -= 1
        if let index = lines[id]?.running.firstIndex(of: item.version.bundle) { lines[id]?.running.remove(at: index) }
        if let line = lines[id], line.running.isEmpty, line.items.isEmpty { lines[id] = nil }
    }

    /// It met a full house and has its turn again then, before all others of its function.
    mutating func postpone(_ item: Item, until: ContinuousClock.Instant) {
        reenter(item)
        enter(item, first: true)
        lines[item.line]?.notBefore = until
    }

    /// It is tried again then; others go on.
    mutating func retry(_ item: Item, at due: ContinuousClock.Instant) {
        reenter(item)
        counts.order += 1
        later.insert(Later(due: due, order: counts.order, item: item))
    }

    private mutating func reenter(_ item: Item) {
        counts.inHand -= 1
        waits(item)
    }

    /// Takes one out that waits.
    /// - Returns: nil when it is not known; false when it runs.
    mutating func remove(_ id: String, of name: FunctionName) -> Bool? {
        switch phases[id] {
        case nil: return nil
        case .running: return false
        case .waiting:
            waitsNoMore(id, name)
            counts.stale += 1
            if counts.stale > 1000 + waiting { compact() }
            return true
        }
    }

    /// Takes out all that waits for a function.
    /// - Returns: their ids.
    mutating func remove(of name: FunctionName) -> [String] {
        var ids: [String] = []
        for isWebhook in [false, true] {
            ids += lines[LineID(function: name, isWebhook: isWebhook)]?.items.map(\.id) ?? []
        }
        ids += later.unordered.filter { $0.item.version.name == name }.map(\.item.id)
        return ids.filter { remove($0, of: name) == true }
    }

    /// All that was taken out is let go of.
    private mutating func compact() {
        counts.stale = 0
        var held = 0
        for (id, line) in lines {
            let items = line.items.filter { isWaiting($0.id) }
            lines[id]?.items = CircularBuffer(items)
            held += items.reduce(0) { $0 + $1.heldBytes }
        }
        turns = CircularBuffer(turns.filter { lines[$0]?.items.isEmpty == false })
        let kept = later.unordered.filter { isWaiting($0.item.id) }
        later = Heap(kept)
        counts.held = kept.reduce(held) { $0 + $1.item.heldBytes }
    }

    mutating func close() { isClosed = true }

    /// Bundles of what waits or runs.
    var bundlesInUse: Set<String> {
        Set(lines.values.flatMap { $0.items.map(\.version.bundle) + $0.running })
            .union(later.unordered.map(\.item.version.bundle))
    }
}
