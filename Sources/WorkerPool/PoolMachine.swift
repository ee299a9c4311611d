import FunctionModel

/// Which workers there are and who may have one: a value, so that every case can be tried without a process.
/// Pre-started workers belong here too, once there are any; today a worker is made when an invocation needs it.
struct PoolMachine<Worker: Hashable & Sendable>: Sendable {
    typealias Instant = ContinuousClock.Instant

    enum Grant: Equatable {
        /// Use this idle reactor.
        case reuse(Worker)
        /// Start a worker. First end these idle ones, to make room.
        case launch(evict: [Worker])
        /// The function's own `concurrency.max`.
        case throttled
        /// The host's bound.
        case full
    }

    private struct Idle {
        let worker: Worker
        let version: VersionKey
        let since: Instant
        let lifetime: Duration
    }

    struct VersionKey: Hashable {
        let name: FunctionName
        let number: Int
    }

    private let bound: Int
    private var running: [FunctionName: Int] = [:]
    private var idle: [Idle] = []
    /// Every worker of which something may be left.
    private var workers: [Worker: VersionKey] = [:]
    /// Launches granted whose worker is not entered yet.
    private var promised = 0

    /// - Parameter bound: workers at once, of all functions.
    init(bound: Int) { self.bound = bound }

    var workerCount: Int { workers.count }
    var idleCount: Int { idle.count }
    var runningCount: Int { running.values.reduce(0, +) }
    func running(_ name: FunctionName) -> Int { running[name] ?? 0 }

    /// Asks for a worker. Every grant but `throttled` and `full` is paid back by `finished`.
    mutating func acquire(_ version: FunctionVersion) -> Grant {
        let key = VersionKey(name: version.name, number: version.number)
        guard running(version.name) < version.manifest.concurrency.max else { return .throttled }
        // The youngest one: its memory is warmest, and the oldest get to age out.
        if version.manifest.mode == .reactor, let index = idle.lastIndex(where: { $0.version == key }) {
            running[version.name, default: 0] += 1
            return .reuse(idle.remove(at: index).worker)
        }
        guard workers.count + promised < bound || !idle.isEmpty else { return .full }
        running[version.name, default: 0] += 1
        promised += 1
        let evict = workers.count + promised > bound ? [idle.removeFirst().worker] : []
        return .launch(evict: evict)
    }

    mutating func entered(_ worker: Worker, of version: FunctionVersion) {
        promised -= 1
        workers[worker] = VersionKey(name: version.name, number: version.number)
    }

    /// The invocation is over.
    mutating func finished(_ name: FunctionName) {
        let left = running(name) - 1
        running[name] = left > 0 ? left : nil
    }

    /// A reactor waits. False: it is not to be kept.
    mutating func becameIdle(_ worker: Worker, of version: FunctionVersion, served: Int, isCurrent: Bool, now: Instant)
        -> Bool
    {
        guard workers[worker] != nil, isCurrent, served < version.manifest.concurrency.reuse else { return false }
        let key = VersionKey(name: version.name, number: version.number)
        idle.append(
            Idle(worker: worker, version: key, since: now, lifetime: version.manifest.concurrency.idle.duration))
        return true
    }

    /// Nothing is left of the worker.
    mutating func ended(_ worker: Worker) {
        workers[worker] = nil
        idle.removeAll { $0.worker == worker }
    }

    /// The idle workers whose time is over, taken out.
    mutating func expired(now: Instant) -> [Worker] { takeIdle { now - $0.since >= $0.lifetime } }

    /// The idle workers of versions that are not served any more, taken out.
    mutating func outdated(_ isCurrent: (FunctionName, Int) -> Bool) -> [Worker] {
        takeIdle { !isCurrent($0.version.name, $0.version.number) }
    }

    private mutating func takeIdle(_ isOver: (Idle) -> Bool) -> [Worker] {
        let over = idle.filter(isOver).map(\.worker)
        if !over.isEmpty { idle.removeAll { over.contains($0.worker) } }
        return over
    }
}
