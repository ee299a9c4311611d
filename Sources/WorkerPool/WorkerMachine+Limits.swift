import Dialogues
import FunctionModel
import Sandbox

/// When a worker's limits are looked at, so that nobody has to look all the time.
struct LimitWatch {
    typealias Instant = ContinuousClock.Instant

    /// Whether it still goes before workers that have run for longer.
    var isPreferred = true
    /// Before then the CPU limit cannot have been reached, even on all processors.
    var nextCPU: Instant?
    /// Since when an idle worker is watched, its CPU time then, and when to look again.
    var idle: (since: Instant, cpu: Duration, next: Instant)?
    /// One that has answered asks for its next event until then; what it does so long is still of the invocation's CPU time, which
    /// began at so much.
    private(set) var asking: (until: Instant, cpuAtBegin: Duration)?
    /// CPU time when it had asked.
    var cpuAtReturn: Duration?

    mutating func began(_ now: Instant, allowance: Duration, processors: Int) {
        idle = nil
        cpuAtReturn = nil
        nextCPU = now + allowance / processors
    }

    mutating func asks(until end: Instant, cpuAtBegin: Duration) { asking = (end, cpuAtBegin) }

    mutating func becameIdle(_ now: Instant, cpu: Duration) {
        nextCPU = nil
        asking = nil
        idle = (now, cpu, now + Self.firstIdleLook)
    }

    /// Looks at CPU time: true when more than the allowance is used.
    mutating func isExceeded(_ now: Instant, used: Duration?, allowance: Duration, processors: Int) -> Bool {
        guard let used else { return false }
        nextCPU = now + max((allowance - used) / processors, Self.grain)
        return used > allowance
    }

    /// A worker's first moments come before others' long work; most invocations are over by then.
    /// - Returns: true once, when they are over.
    mutating func isDemoted(
        since started: Instant?, _ moment: WorkerMachineMoment, _ processors: Int
    ) -> Bool {
        guard isPreferred, let started else { return false }
        let age = moment.now - started
        // No use asking before the allowance could have been used up, even on all processors.
        let isAsked = age * processors >= Self.headStartCPU && age < Self.headStart
        let used = isAsked ? moment.meters?.cpu : nil
        guard age >= Self.headStart || used ?? .zero > Self.headStartCPU else { return false }
        isPreferred = false
        return true
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
    mutating func tick(_ moment: Moment) -> [Action] {
        guard isAlive else { return [] }
        return (watch.isDemoted(since: times.started, moment, processors) ? [.demote] : []) + enforce(moment)
    }

    /// The next time at which one of the limits can have been reached.
    func dueTick(_ now: Instant) -> Instant? {
        guard isAlive else { return nil }
        var due: Instant?  // no array: it is asked for after each input
        func add(_ instant: Instant) { due = due.map { min($0, instant) } ?? instant }
        if watch.isPreferred, let started = times.started {
            let first = started + LimitWatch.headStartCPU / processors
            add(now < first ? first : min(started + LimitWatch.headStart, now + LimitWatch.grain))
        }
        if serving != nil, serving?.cause == nil {
            add(serving?.end(limits) ?? initializationEnd)
            add(watch.nextCPU ?? firstCPULook)
        } else if !isStarting {
            if let asking = watch.asking {
                add(asking.until)
                if let next = watch.nextCPU { add(next) }
            } else if let next = watch.idle?.next {
                add(next)
            }
        } else {
            add(initializationEnd)
            add(watch.nextCPU ?? firstCPULook)
        }
        return due
    }

    private mutating func enforce(_ moment: Moment) -> [Action] {
        guard let current = serving else { return isStarting ? tickStarting(moment) : tickIdle(moment) }
        guard current.cause == nil else { return [] }
        guard let began = current.began else {
            if moment.now > initializationEnd { return blame(Ending.timeout("init", limits.initialization)) }
            return exceedsInitializationCPU(moment) ? blame(Ending.cpuExceeded(limits)) : []
        }
        if moment.now - began > wall.duration {
            return blame(wall < limits.wall ? Ending.timeout(of: wall) : Ending.timeout("wall", limits.wall))
        }
        return exceedsCPU(moment, since: current.cpuAtBegin) ? blame(Ending.cpuExceeded(limits)) : []
    }

    private mutating func exceedsCPU(_ moment: Moment, since begin: Duration) -> Bool {
        guard let next = watch.nextCPU, moment.now >= next else { return false }
        let used = moment.meters?.cpu.map { $0 - begin }
        return watch.isExceeded(
            moment.now, used: used, allowance: limits.effectiveCPU.duration, processors: processors)
    }

    /// Of the invocation that it serves.
    var wall: TimeLimit { serving?.wall(limits) ?? limits.wall }

    private var isStarting: Bool { if case .starting = state { true } else { false } }

    private var initializationEnd: Instant { times.launched + limits.initialization.duration }

    /// One processor's worth: what is not ready yet must not use all of them.
    private var initializationCPU: Duration { max(limits.initialization.duration, limits.effectiveCPU.duration) }

    private var firstCPULook: Instant { times.launched + initializationCPU / processors }

    private mutating func exceedsInitializationCPU(_ moment: Moment) -> Bool {
        guard moment.now >= watch.nextCPU ?? firstCPULook else { return false }
        return watch.isExceeded(
            moment.now, used: moment.meters?.cpu, allowance: initializationCPU, processors: processors)
    }

    /// Without an invocation a worker has no business of its own: one that never gets ready ends.
    private mutating func tickStarting(_ moment: Moment) -> [Action] {
        if moment.now > initializationEnd { return kill() }
        return exceedsInitializationCPU(moment)
            ? [.note("ended: it computed for too long before it was ready")] + kill() : []
    }

    /// And one that computes on.
    private mutating func tickIdle(_ moment: Moment) -> [Action] {
        if let asking = watch.asking {
            let what =
                moment.now > asking.until
                ? "did not ask for its next event in the time that it had"
                : exceedsCPU(moment, since: asking.cpuAtBegin)
                    ? "computed for longer than the CPU time that it had before it asked for its next event" : nil
            return what.map { [.note("ended: it has answered, and \($0)")] + kill() } ?? []
        }
        guard let idle = watch.idle, moment.now >= idle.next else { return [] }
        // A command is started ahead so that it can do what comes before its first read.
        let start = dialogue.saysReady ? Duration.milliseconds(100) : initializationCPU
        // A garbage collector may tidy up, and a library look around now and then: a hundredth of the time.
        let used = (moment.meters?.cpu ?? .zero) - idle.cpu
        let left = start + min((moment.now - idle.since) / 100, .seconds(1)) - used
        // One that may soon have used it up is looked at sooner.
        let pause = min(LimitWatch.idleLook, max(LimitWatch.firstIdleLook, left / processors))
        watch.idle?.next = moment.now + pause
        return left < .zero ? [.note("ended: it computed while idle")] + kill() : []
    }
}
