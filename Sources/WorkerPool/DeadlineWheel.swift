/// Deadlines of many workers in one structure: a hashed wheel, where entering one and passing an empty slot cost next to
/// nothing. (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987.)
///
/// It may call early, never late by more than a slot: whoever is called looks at the clock and enters its next deadline.
struct DeadlineWheel: Sendable {
    typealias Instant = ContinuousClock.Instant

    private var slots: [[Int]]
    private let origin: Instant
    private let grain: Duration
    /// The last slot that was passed, counted from the origin.
    private var passed = 0
    private(set) var count = 0
    /// No slot before this one has anything in it.
    private var firstSlot: Int? {
        didSet { next = firstSlot.map { origin + grain * $0 } }
    }

    /// - Parameter slots: how far it reaches, in grains; what is further off is called early.
    init(origin: Instant, grain: Duration, slots: Int = 512) {
        self.origin = origin
        self.grain = grain
        self.slots = Array(repeating: [], count: slots)
    }

    var isEmpty: Bool { count == 0 }

    /// When to advance next; nil: there is nothing in it.
    private(set) var next: Instant?

    mutating func add(_ id: Int, at instant: Instant) {
        let due = Int((instant - origin) / grain) + 1
        let slot = min(max(due, passed + 1), passed + slots.count)
        slots[slot % slots.count].append(id)
        count += 1
        if firstSlot.map({ slot < $0 }) ?? true { firstSlot = slot }
    }

    /// Those whose time has come.
    mutating func advance(to now: Instant) -> [Int] {
        let current = Int((now - origin) / grain)
        var due: [Int] = []
        for slot in passed..<max(passed, min(current, passed + slots.count)) {
            let index = (slot + 1) % slots.count
            guard !slots[index].isEmpty else { continue }
            due += slots[index]
            slots[index].removeAll(keepingCapacity: true)
        }
        passed = max(passed, current)
        count -= due.count
        if let first = firstSlot, first <= passed {
            firstSlot = isEmpty ? nil : (passed + 1...passed + slots.count).first { !slots[$0 % slots.count].isEmpty }
        }
        return due
    }
}
