import FunctionModel

/// When a worker's limits are looked at, so that nobody has to look all the time.
struct LimitWatch {
    typealias Instant = ContinuousClock.Instant

    /// Whether it still goes before workers that have run for longer.
    var isPreferred = true
    /// Before then the CPU limit cannot have been reached, even on all processors.
    var nextCPU: Instant?
    /// Since when an idle worker is watched, its CPU time then, and when to look again.
    var idle: (since: Instant, cpu: Duration, next: Instant)?

    mutating func began(_ now: Instant, allowance: Duration, processors: Int) {
        idle = nil
        nextCPU = now + allowance / processors
    }

    mutating func becameIdle(_ now: Instant, cpu: Duration) {
        nextCPU = nil
        idle = (now, cpu, now + Self.firstIdleLook)
    }

    /// Looks at CPU time: true when more than the allowance is used.
    mutating func isExceeded(_ now: Instant, used: Duration?, allowance: Duration, processors: Int) -> Bool {
        guard let used else { return false }
        nextCPU = now + max((allowance - used) / processors, Self.grain)
        return used > allowance
    }

    /// Limits are watched at this grain: an invocation may run so much longer than its limit.
    static let grain = Duration.milliseconds(10)
    static let headStart = Duration.milliseconds(100)
    /// What an interpreter needs to start; who burns more so soon has the longest work of all.
    static let headStartCPU = Duration.milliseconds(30)
    static let firstIdleLook = Duration.seconds(1)
    static let idleLook = Duration.seconds(5)
}

extension WorkerMachine {
    mutating func tick(_ now: Instant, _ cpu: () -> Duration?) -> [Action] {
        demoteIfDue(now, cpu) + enforce(now, cpu)
    }

    /// The next time at which one of the limits can have been reached.
    func dueTick(_ now: Instant) -> Instant? {
        guard exit == nil, !isKilled else { return nil }
        var due: [Instant] = []
        if watch.isPreferred, let startedAt {
            let first = startedAt + LimitWatch.headStartCPU / processors
            due.append(now < first ? first : min(startedAt + LimitWatch.headStart, now + LimitWatch.grain))
        }
        if let current = serving, current.cause == nil {
            due.append(current.began.map { $0 + limits.wall.duration } ?? launched + limits.initialization.duration)
            due.append(watch.nextCPU ?? launched + initializationCPU / processors)
        } else if isReady {
            if let idle = watch.idle { due.append(idle.next) }
        } else {
            due.append(launched + limits.initialization.duration)
            due.append(watch.nextCPU ?? launched + initializationCPU / processors)
        }
        return due.min()
    }

    /// A worker's first moments come before others' long work; most invocations are over by then.
    private mutating func demoteIfDue(_ now: Instant, _ cpu: () -> Duration?) -> [Action] {
        guard watch.isPreferred, let startedAt, exit == nil else { return [] }
        let age = now - startedAt
        // No use asking before the allowance could have been used up, even on all processors.
        let used = age * processors >= LimitWatch.headStartCPU && age < LimitWatch.headStart ? cpu() : nil
        guard age >= LimitWatch.headStart || used ?? .zero > LimitWatch.headStartCPU else { return [] }
        watch.isPreferred = false
        return [.demote]
    }

    private mutating func enforce(_ now: Instant, _ cpu: () -> Duration?) -> [Action] {
        guard exit == nil else { return [] }
        guard let current = serving else { return tickIdle(now, cpu) }
        guard current.cause == nil else { return [] }
        guard let began = current.began else {
            if now - launched > limits.initialization.duration {
                return blame(Ending.timeout("init", limits.initialization))
            }
            guard now >= watch.nextCPU ?? launched + initializationCPU / processors else { return [] }
            let isExceeded = watch.isExceeded(now, used: cpu(), allowance: initializationCPU, processors: processors)
            return isExceeded ? blame(Ending.cpuExceeded(limits)) : []
        }
        if now - began > limits.wall.duration { return blame(Ending.timeout("wall", limits.wall)) }
        guard let next = watch.nextCPU, now >= next else { return [] }
        let used = cpu().map { $0 - current.cpuAtBegin }
        let allowance = limits.effectiveCPU.duration
        let isExceeded = watch.isExceeded(now, used: used, allowance: allowance, processors: processors)
        return isExceeded ? blame(Ending.cpuExceeded(limits)) : []
    }

    /// One processor's worth: what is not ready yet must not use all of them.
    private var initializationCPU: Duration { max(limits.initialization.duration, limits.effectiveCPU.duration) }

    /// Without an invocation a worker has no business of its own: one that computes on, or never gets ready, ends.
    private mutating func tickIdle(_ now: Instant, _ cpu: () -> Duration?) -> [Action] {
        guard isReady else {
            if now - launched > limits.initialization.duration { return kill() }
            guard now >= watch.nextCPU ?? launched + initializationCPU / processors else { return [] }
            let isExceeded = watch.isExceeded(now, used: cpu(), allowance: initializationCPU, processors: processors)
            return isExceeded ? [.note("ended: it computed for too long before it was ready")] + kill() : []
        }
        guard let idle = watch.idle, now >= idle.next else { return [] }
        // A command is started ahead so that it can do what comes before its first read.
        let start = exchange == nil && served == 0 ? initializationCPU : .milliseconds(100)
        // A garbage collector may tidy up, and a library look around now and then: a hundredth of the time.
        let left = start + min((now - idle.since) / 100, .seconds(1)) - ((cpu() ?? .zero) - idle.cpu)
        // One that may soon have used it up is looked at sooner.
        let pause = min(LimitWatch.idleLook, max(LimitWatch.firstIdleLook, left / processors))
        watch.idle?.next = now + pause
        let isBusy = left < .zero
        return isBusy ? [.note("ended: it computed while idle")] + kill() : []
    }
}
