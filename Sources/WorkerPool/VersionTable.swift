import FunctionModel

/// What the pool knows of versions, each under a number: many things refer to one, and it is looked up many times in each
/// invocation.
struct VersionTable: Sendable {
    typealias ID = Int
    typealias Instant = ContinuousClock.Instant

    private var numbers: [RevisionID: ID] = [:]
    private var states: [VersionState?] = []
    private var free: [ID] = []
    /// Those of which workers are kept started: few, where there may be many versions.
    private var kept: Set<ID> = []
    private var byName: [FunctionName: Set<ID>] = [:]

    /// Nil for a number that stands for none (any more).
    subscript(id: ID) -> VersionState? {
        // In place: a copy would cost more than what is looked at.
        _read { yield states[id] }
        _modify { yield &states[id] }
    }

    /// The version's number; it gets one if it has none.
    mutating func enter(_ version: FunctionVersion, now: Instant) -> ID {
        if let known = numbers[version.revision] { return known }
        let id = free.popLast() ?? states.count
        if id == states.count { states.append(nil) }
        states[id] = VersionState(version, now: now)
        numbers[version.revision] = id
        byName[version.name, default: []].insert(id)
        return id
    }

    /// Its number will stand for another one.
    mutating func forget(_ id: ID) {
        guard let state = states[id] else { return }
        numbers[state.version.revision] = nil
        byName[state.name]?.remove(id)
        if byName[state.name]?.isEmpty == true { byName[state.name] = nil }
        kept.remove(id)
        states[id] = nil
        free.append(id)
    }

    func id(of version: FunctionVersion) -> ID? { numbers[version.revision] }

    mutating func forgetIfUnused(_ id: ID, _ now: Instant, _ line: WaitingLine) {
        guard let state = states[id], state.isUnused(now), !line.holds(state.name) else { return }
        forget(id)
    }

    /// The function's workers that have answered and do not wait yet.
    func returning(of name: FunctionName) -> Int {
        byName[name]?.reduce(0) { $0 + (states[$1]?.returning ?? 0) } ?? 0
    }

    /// Of this function only these versions are kept warm.
    mutating func coolDown(_ name: FunctionName, except kept: Set<RevisionID>) {
        for id in byName[name] ?? [] {
            if states[id].map({ !kept.contains($0.version.revision) }) == true { set(id, kept: 0) }
        }
    }

    /// - Parameter count: of workers.
    mutating func set(_ id: ID, kept count: Int) {
        states[id]?.kept = count
        if count > 0 { kept.insert(id) } else { kept.remove(id) }
    }

    var keepsAny: Bool { !kept.isEmpty }

    /// Workers without an invocation, the first to go first: those that have answered long ago and do not come back, then those that
    /// have waited for longest, then those that are to be kept warm, then those that are still starting ahead of need.
    func expendable(_ workers: [PoolMachine.WorkerID: PooledWorker], _ now: Instant) -> [PoolMachine.WorkerID] {
        func waiting(_ states: [VersionState]) -> [PoolMachine.WorkerID] {
            states.flatMap(\.idle).compactMap { idle in workers[idle.id]?.idleSince.map { (idle.id, $0) } }
                .sorted { $0.1 < $1.1 }.map(\.0)
        }
        let warm = all.filter { $0.idle.count <= $0.target }
        let other = all.filter { $0.idle.count > $0.target }
        let late = workers.filter { $0.value.isLate(now) }.keys.sorted()
        let starting = workers.filter { $0.value.state == .starting && $0.value.isAhead }.keys.sorted()
        return late + waiting(other) + waiting(warm) + starting
    }

    var ids: [ID] { Array(numbers.values) }
    var all: [VersionState] { states.compactMap { $0 } }
}
