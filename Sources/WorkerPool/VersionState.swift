import FunctionModel

/// What the pool knows of one version: who waits for it, how often it is asked for, how its workers fare.
struct VersionState: Sendable {
    typealias Instant = ContinuousClock.Instant

    struct Idle: Sendable {
        let id: PoolMachine.WorkerID
        let loop: Int
    }

    let version: FunctionVersion
    /// Workers that wait, the one that has waited for longest first.
    var idle: [Idle] = []
    /// Workers of which something may be left.
    var count = 0
    /// Workers started for no invocation that have had none yet, idle ones among them.
    var ahead = 0
    /// Workers that have answered and will wait in a moment.
    var returning = 0
    private var returningUntil: Instant?
    /// So many workers are kept started; 0 unless the version is one that is served.
    var kept = 0

    private var demand: Demand
    private var health = Health()
    private var peakMemory: Int?

    init(_ version: FunctionVersion, now: Instant) {
        self.version = version
        demand = Demand(now)
    }

    var name: FunctionName { version.name }
    var mode: Manifest.Mode { version.manifest.mode }
    /// Whether its workers serve again and again.
    var isReused: Bool { mode != .command }
    /// How many invocations one worker may have.
    var maxServed: Int { version.manifest.concurrency.reuse }

    // MARK: - What happened

    mutating func arrived(_ now: Instant) { demand.arrived(now) }

    mutating func missed() { if kept > 0 { demand.misses += 1 } }

    mutating func started(after time: Duration) { demand.started(after: time) }

    mutating func finished(wall time: Duration, isSound: Bool) {
        demand.finished(wall: time)
        if isSound { health.crashes = 0 }
    }

    /// Takes note of what a worker uses, and returns what the next one is expected to.
    mutating func used(_ bytes: Int) -> Int {
        guard bytes > 0 else { return expectedMemory }  // nobody could tell
        peakMemory = max(peakMemory ?? 0, bytes)
        return expectedMemory
    }

    /// Of those that serve again and again the youngest: its memory is warmest, and the oldest get to age out. Of those that
    /// serve once the oldest: it has surely come to its first read. But rather one that is on the loop that asks, if it is
    /// not much further away.
    mutating func takeIdle(on loop: Int) -> PoolMachine.WorkerID? {
        guard !idle.isEmpty else { return nil }
        if version.manifest.mode == .command {
            return idle.remove(at: idle.prefix(Self.nearby).firstIndex { $0.loop == loop } ?? 0).id
        }
        return idle.remove(at: idle.suffix(Self.nearby).lastIndex { $0.loop == loop } ?? idle.count - 1).id
    }

    private static let nearby = 8

    mutating func leftToReturn(_ now: Instant) {
        returning += 1
        returningUntil = now + Self.longestReturn
    }

    /// Whether it is worth waiting for a worker that has answered, instead of starting one.
    func isReturning(_ now: Instant) -> Bool { returning > 0 && returningUntil.map { now < $0 } == true }

    mutating func noteAheadIsUsed(_ was: Bool) { if was { ahead -= 1 } }

    /// A worker ended before it was of any use. Returns what to say of it, the first time and each time the number doubles.
    mutating func crashed(_ now: Instant) -> String? { health.crashed(now) }

    /// Whether its last workers ended before they were of use.
    var isBackingOff: Bool { health.crashes > 0 }

    mutating func tick(_ now: Instant) { demand.tick(now) }

    // MARK: - What follows

    /// How many workers should wait: as many as are kept; more while so many invocations arrive in the time that a
    /// start takes, or some found none.
    var target: Int {
        let concurrency = version.manifest.concurrency
        guard kept > 0 else { return 0 }
        let needed = version.manifest.mode == .command ? demand.rate * demand.startTime * 2 : demand.rate * demand.wall
        let wanted = max(kept, Int(needed.rounded(.up))) + Int(demand.misses.rounded(.up))
        return min(wanted, max(concurrency.max, kept))
    }

    /// How many are to be started now, ahead of need. Of workers that serve again and again, those at work count too.
    func lacks(_ now: Instant) -> Int {
        if let notBefore = health.notBefore, now < notBefore { return 0 }
        return target - (version.manifest.mode == .command ? ahead : count)
    }

    /// Bytes that a worker is expected to use: its limit, until something is known.
    var expectedMemory: Int {
        let limit = version.manifest.limits.memory.bytes
        guard let peakMemory else { return limit }
        return min(limit, max(Self.leastMemory, peakMemory * 2, limit / Self.maxOvercommitted))
    }

    /// Workers that have waited for longer than they need; as many as the target says stay.
    func outlived(_ workers: [PoolMachine.WorkerID: PooledWorker], _ now: Instant) -> [PoolMachine.WorkerID] {
        let lifetime = version.manifest.concurrency.idle.duration
        // The oldest first.
        return idle.prefix(max(0, idle.count - target)).map(\.id).filter { id in
            workers[id]?.idleSince.map { now - $0 >= lifetime } == true
        }
    }

    /// What is said to whom its bound keeps out.
    var throttled: PoolRefusal { .throttled(retryAfter: secondsToFree) }

    /// Whole seconds until one of the invocations under way should be over.
    var secondsToFree: Int {
        max(1, Int((demand.wall / Double(version.manifest.concurrency.max)).rounded(.up)))
    }

    func isUnused(_ now: Instant) -> Bool {
        count == 0 && kept == 0 && now - demand.lastArrival > .seconds(60)
    }

    /// About as long as a quick start takes.
    private static let longestReturn = Duration.milliseconds(20)
    /// Whoever was frugal for long may use its limit at any time: all at once, that is so many times the budget at most. The
    /// cells' own cgroup then bounds what the machine gives.
    private static let maxOvercommitted = 8
    /// A cell's own kernel memory, and some of the worker's.
    private static let leastMemory = 4 << 20
}
