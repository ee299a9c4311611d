import FunctionModel

/// Which workers there are, who waits for one, and who gets it: a value, so that every case can be tried without a process.
///
/// Methods take what happened and return what to do, in order. Workers and waiting invocations are numbers here; whoever
/// acts keeps the things themselves. The clock is the caller's.
struct PoolMachine: Sendable {
    typealias Instant = ContinuousClock.Instant
    typealias WorkerID = Int
    typealias Ticket = Int
    typealias Options = PoolOptions
    typealias Action = PoolAction
    typealias Refusal = PoolRefusal
    typealias Worker = PooledWorker

    let options: Options
    var workers: [WorkerID: Worker] = [:]
    var versions = VersionTable()
    private(set) var admitted = Admissions()
    private(set) var line = WaitingLine()
    var nextWorker = 1
    var load = PoolLoad()
    private var pace = Pace()
    /// Whether nothing is started ahead of need any more.
    var isDraining = false

    init(options: Options) { self.options = options }

    var workerCount: Int { workers.count }
    var idleCount: Int { load.idle }
    var waitingCount: Int { line.count }
    var runningCount: Int { admitted.total - waitingCount }

    // MARK: - Invocations

    /// An invocation arrives. It is given a worker, waits, or is refused.
    /// - Parameter loop: the event loop that asks.
    mutating func request(_ ticket: Ticket, _ version: FunctionVersion, loop: Int = 0, now: Instant) -> [Action] {
        let key = versions.enter(version, now: now)
        versions[key]?.arrived(now)
        guard admitted.count(of: version.name) < version.manifest.concurrency.max else {
            return [.refuse(ticket, versions[key]?.throttled ?? .throttled(retryAfter: 1))]
        }
        var actions: [Action] = []
        if !line.holds(version.name) {
            if let worker = takeIdle(key, on: loop) {
                admitted.enter(version.name)
                return [assign(ticket, worker)] + replenish(key, now)
            }
            versions[key]?.missed()
            if versions[key]?.isReturning(now) != true, launch(key, for: ticket, on: loop, now, &actions) {
                admitted.enter(version.name)
                return actions
            }
        }
        if waitingCount >= options.maxWaiting {
            // Whoever fills the queue makes room in it: the last of the longest one goes.
            guard let (name, last) = line.dropLast(ofMoreThan: line.count(of: version.name) + 1) else {
                return actions + [.refuse(ticket, .queueFull(retryAfter: retryAfter))]
            }
            admitted.leave(name)
            actions.append(.refuse(last.ticket, .queueFull(retryAfter: retryAfter)))
        }
        admitted.enter(version.name)
        line.enter(.init(ticket: ticket, version: key, loop: loop, until: now + options.maxWait), of: version.name)
        return actions
    }

    /// The client has left. Says whether the invocation was waiting: then it is forgotten.
    mutating func abandon(_ ticket: Ticket, _ name: FunctionName) -> Bool {
        guard line.remove(ticket, of: name) else { return false }
        admitted.leave(name)
        return true
    }

    /// The invocation that the worker had is over.
    /// - Parameters:
    ///   - memory: bytes that it used at most.
    ///   - isSound: whether it went well.
    ///   - survives: whether the worker will wait for another one, if its mode has it so.
    /// - Returns: whether it waits already: `becameIdle` has been told before, from another thread, and is to be told again.
    mutating func finished(
        _ id: WorkerID, wall: Duration, memory: Int, isSound: Bool, survives: Bool, now: Instant
    ) -> Bool {
        guard let worker = workers[id], worker.ticket != nil else { return false }
        let key = worker.version
        workers[id]?.ticket = nil
        workers[id]?.served += 1
        workers[id]?.isIdleEarly = false
        if survives, versions[key]?.isReused == true {
            workers[id]?.returningSince = now
            versions[key]?.leftToReturn(now)
        }
        if let name = versions[key]?.name { admitted.leave(name) }
        pace.finished(now)
        _ = versions[key]?.used(memory)
        versions[key]?.finished(wall: wall, isSound: isSound)
        return worker.isIdleEarly
    }

    // MARK: - Workers

    /// The worker's process is there, if not ready: another may be made now.
    mutating func launched(_ id: WorkerID, now: Instant) -> [Action] {
        guard let key = workers[id]?.version, leaveLaunch(id) else { return [] }
        return serve(now) + replenish(key, now)
    }

    /// The worker is there, ready for its invocation: others may start now.
    mutating func started(_ id: WorkerID, after time: Duration, now: Instant) -> [Action] {
        guard let key = workers[id]?.version else { return [] }
        versions[key]?.started(after: time)
        return leaveStart(id) ? serve(now) + replenish(key, now) : []
    }

    /// The worker waits for an invocation.
    /// - Parameters:
    ///   - used: bytes that it uses by now, if that is known.
    ///   - isCurrent: whether its version is still served.
    mutating func becameIdle(_ id: WorkerID, memory used: Int?, isCurrent: Bool, now: Instant) -> [Action] {
        guard let worker = workers[id], worker.state != .retiring, let name = versions[worker.version]?.name else {
            return []
        }
        guard worker.ticket == nil else {
            workers[id]?.isIdleEarly = true
            return []
        }
        let wasStarting = leaveStart(id)
        returned(id)
        if let used, let expected = versions[worker.version]?.used(used) {
            load.memory += expected - worker.memory
            workers[id]?.memory = expected
        }
        if !isCurrent { versions.set(worker.version, kept: 0) }
        guard isCurrent, worker.served < versions[worker.version]?.maxServed ?? 0 else {
            return retire(id) + (wasStarting || waitingCount > 0 ? serve(now) : [])
        }
        workers[id]?.state = .idle
        workers[id]?.idleSince = now
        load.idle += 1
        versions[worker.version]?.idle.append(VersionState.Idle(id: id, loop: worker.loop))
        guard waitingCount > 0 || wasStarting else { return [] }
        // Those of its own version first: it can be nobody else's.
        var actions: [Action] = []
        if let first = line.first(of: name), first.version == worker.version,
            let free = takeIdle(worker.version, on: first.loop)
        {
            line.removeFirst(of: name)
            actions = [assign(first.ticket, free)]
        }
        return actions + serve(now) + replenish(worker.version, now)
    }

    /// The worker was not waiting any more when its invocation came: it had ended in that moment.
    mutating func lost(_ id: WorkerID, _ ticket: Ticket, _ version: FunctionVersion, now: Instant) -> [Action] {
        // Its end may have been told already, and the place given back with it.
        if workers[id]?.ticket == ticket {
            workers[id]?.ticket = nil
            admitted.leave(version.name)
        }
        return request(ticket, version, loop: workers[id]?.loop ?? 0, now: now)
    }

    /// Nothing is left of the worker.
    mutating func ended(_ id: WorkerID, now: Instant) -> [Action] {
        _ = leaveStart(id)
        returned(id)
        guard let worker = workers[id] else { return [] }
        // One that nobody had asked to go, before it was of any use.
        let isCrash = worker.served == 0 && worker.isAhead && worker.state != .retiring
        leaveIdle(id)
        // Its end may be told before its invocation's.
        if worker.ticket != nil, let name = versions[worker.version]?.name { admitted.leave(name) }
        if worker.state != .retiring { retireQuietly(id) }
        workers[id] = nil
        versions[worker.version]?.count -= 1
        var actions: [Action] = []
        if isCrash, let version = versions[worker.version]?.version, let note = versions[worker.version]?.crashed(now) {
            actions = [.note(version, note)]
        }
        actions += serve(now) + replenish(worker.version, now)
        versions.forgetIfUnused(worker.version, now, line)
        return actions
    }

    // MARK: - Versions

    /// The version is served from now on, with so many workers kept started; nil: as its manifest has it.
    mutating func serves(_ version: FunctionVersion, kept: Int? = nil, now: Instant) -> [Action] {
        let key = versions.enter(version, now: now)
        versions.set(key, kept: kept ?? version.manifest.concurrency.warm)
        return replenish(key, now)
    }

    /// Whether none of the version's workers is on its way, or is not to be waited for.
    func hasReady(_ version: FunctionVersion) -> Bool {
        guard let key = versions.id(of: version), versions[key]?.isBackingOff == false else { return true }
        return !workers.values.contains { $0.version == key && $0.state == .starting }
    }

    /// Ends the workers of such versions, idle ones now and others before their next invocation; they stay served, or do not.
    mutating func end(_ isMeant: (FunctionVersion) -> Bool, isServed: Bool, now: Instant) -> [Action] {
        var actions: [Action] = []
        for key in versions.ids {
            guard let state = versions[key], isMeant(state.version) else { continue }
            if !isServed { versions.set(key, kept: 0) }
            for id in workers.keys.sorted() where workers[id]?.version == key {
                workers[id]?.served = state.maxServed
                if workers[id]?.isFree == true { actions += retire(id) }
            }
            versions.forgetIfUnused(key, now, line)
        }
        return actions
    }

    /// Time has passed; some ten times a second is enough.
    mutating func tick(now: Instant) -> [Action] {
        var actions: [Action] = []
        // One that takes its time, or never gets ready, must not keep others from starting.
        for (id, worker) in workers {
            if let since = worker.startsSince, now - since >= Options.longestStart { _ = leaveStart(id) }
        }
        for (name, waiting) in line.removeOverdue(now) {
            admitted.leave(name)
            // Those that were there for it have answered, and do not come back.
            let why = versions[waiting.version].flatMap { mayHaveMore($0.version) ? nil : $0.throttled }
            actions.append(.refuse(waiting.ticket, why ?? .waitedTooLong(retryAfter: retryAfter)))
        }
        for key in versions.ids {
            versions[key]?.tick(now)
            guard let state = versions[key] else { continue }
            for id in state.outlived(workers, now) { actions += retire(id) }
            actions += replenish(key, now)
            versions.forgetIfUnused(key, now, line)
        }
        return actions + serve(now)
    }

    /// Whether time has to be told: while something waits, idles or is to be kept warm.
    var needsTicks: Bool { waitingCount > 0 || !workers.isEmpty || versions.keepsAny }

    // MARK: - Serving those who wait

    /// Gives workers to those who wait, one function after the other, as far as there is room.
    private mutating func serve(_ now: Instant) -> [Action] {
        var actions: [Action] = []
        var inVain = 0
        while inVain < line.turns, let (name, first) = line.nextTurn() {
            if let worker = takeIdle(first.version, on: first.loop) {
                actions.append(assign(first.ticket, worker))
            } else if willReturn(name, first.version, now)
                || !launch(first.version, for: first.ticket, on: first.loop, now, &actions)
            {
                inVain += 1
                continue
            }
            inVain = 0
            line.removeFirst(of: name)
        }
        return actions
    }

    /// Whether workers that have answered will do for all who wait.
    private func willReturn(_ name: FunctionName, _ key: VersionTable.ID, _ now: Instant) -> Bool {
        guard versions[key]?.isReturning(now) == true else { return false }
        return versions[key]?.returning ?? 0 >= line.count(of: name)
    }

    private mutating func assign(_ ticket: Ticket, _ id: WorkerID) -> Action {
        let hasServed = workers[id].map { $0.served > 0 } ?? false
        let mode = workers[id].flatMap { versions[$0.version]?.mode }
        workers[id]?.ticket = ticket
        workers[id]?.state = .busy
        workers[id]?.isAhead = false
        return .assign(ticket, id, mode == .snapshot ? .forked : hasServed ? .reused : .prewarmed)
    }

    /// Whole seconds until the queue has moved by its own length, at the pace of late.
    private var retryAfter: Int { pace.seconds(for: waitingCount) }
}
