import FunctionModel

// Starting and ending workers: who may start, who has to go for it, who is started ahead of need.
extension PoolMachine {
    /// Starts a worker for an invocation, if there is room or can be made. What is to be done comes into `actions`.
    mutating func launch(
        _ key: VersionTable.ID, for ticket: Ticket, on loop: Int, _ now: Instant, _ actions: inout [Action]
    ) -> Bool {
        guard canStart, let version = versions[key]?.version, let expected = versions[key]?.expectedMemory,
            mayHaveMore(version)
        else { return false }
        // Looked at before anybody is asked to go: not in vain.
        var leaving: [WorkerID] = []
        var freed = 0
        func lacksRoom() -> Bool {
            let left = load.live - leaving.count
            return left > 0 && (left >= options.maxWorkers || load.memory - freed + expected > options.memory)
        }
        if lacksRoom() {
            for id in versions.expendable(workers, now) {
                leaving.append(id)
                freed += workers[id]?.memory ?? 0
                if !lacksRoom() { break }
            }
            guard !lacksRoom() else { return false }
            for id in leaving { actions += retire(id) }
        }
        actions.append(start(version, key, for: ticket, on: loop, expected, now))
        return true
    }

    /// Those that have answered and do not wait again count as well: else a function that answers and goes on had every place.
    func mayHaveMore(_ version: FunctionVersion) -> Bool {
        let atWork = admitted.count(of: version.name) - line.count(of: version.name)
        return atWork + versions.returning(of: version.name) < version.manifest.concurrency.max
    }

    /// Whether somebody waits for room, and not for workers of its own function.
    private var isShort: Bool {
        waitingCount > 0 && line.firsts.contains { versions[$0.version].map { mayHaveMore($0.version) } == true }
    }

    private var canStart: Bool { load.starting < options.maxStarting && load.launching < options.maxLaunching }

    mutating func start(
        _ version: FunctionVersion, _ key: VersionTable.ID, for ticket: Ticket?, on loop: Int, _ expected: Int,
        _ now: Instant
    ) -> Action {
        let id = nextWorker
        nextWorker += 1
        workers[id] = Worker(version: key, loop: loop, startsSince: now, ticket: ticket, memory: expected)
        load.live += 1
        load.memory += expected
        load.starting += 1
        load.launching += 1
        versions[key]?.count += 1
        if ticket == nil { versions[key]?.ahead += 1 }
        return .launch(id, version, for: ticket, loop: loop)
    }

    /// Starts workers ahead of need, as far as there is room that nobody else waits for.
    mutating func replenish(_ key: VersionTable.ID, _ now: Instant) -> [Action] {
        var actions: [Action] = []
        while !isDraining, canStart, load.live < options.maxWorkers,
            versions[key]?.lacks(now) ?? 0 > 0, !isShort, let state = versions[key],
            load.memory + state.expectedMemory <= options.memory
        {
            let loop = nextWorker % options.loops
            actions.append(start(state.version, key, for: nil, on: loop, state.expectedMemory, now))
        }
        return actions
    }

    /// Gives its place among those that start to others. Says whether it had one.
    mutating func leaveStart(_ id: WorkerID) -> Bool {
        guard let worker = workers[id], worker.startsSince != nil else { return false }
        _ = leaveLaunch(id)
        workers[id]?.startsSince = nil
        load.starting -= 1
        return true
    }

    /// As `leaveStart`, for its place among those whose process is in the making.
    mutating func leaveLaunch(_ id: WorkerID) -> Bool {
        guard workers[id]?.isLaunching == true else { return false }
        workers[id]?.isLaunching = false
        load.launching -= 1
        return true
    }

    mutating func returned(_ id: WorkerID) {
        guard let worker = workers[id], worker.returningSince != nil else { return }
        workers[id]?.returningSince = nil
        versions[worker.version]?.returning -= 1
    }

    mutating func takeIdle(_ key: VersionTable.ID, on loop: Int) -> WorkerID? {
        guard let id = versions[key]?.takeIdle(on: loop) else { return nil }
        load.idle -= 1
        workers[id]?.idleSince = nil
        versions[key]?.noteAheadIsUsed(workers[id]?.isAhead == true)
        return id
    }

    mutating func leaveIdle(_ id: WorkerID) {
        guard let worker = workers[id] else { return }
        if worker.idleSince != nil {
            versions[worker.version]?.idle.removeAll { $0.id == id }
            workers[id]?.idleSince = nil
            load.idle -= 1
        }
        versions[worker.version]?.noteAheadIsUsed(worker.isAhead)
        workers[id]?.isAhead = false
    }

    mutating func retire(_ id: WorkerID) -> [Action] {
        guard let worker = workers[id], worker.state != .retiring else { return [] }
        leaveIdle(id)
        returned(id)
        retireQuietly(id)
        return [.retire(id)]
    }

    mutating func retireQuietly(_ id: WorkerID) {
        workers[id]?.state = .retiring
        load.live -= 1
        load.memory -= workers[id]?.memory ?? 0
    }
}
