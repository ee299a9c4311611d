import FunctionModel

@testable import WorkerPool

/// The machine as a reference, so that `#expect` can call what changes it.
final class Pool {
    typealias Action = PoolMachine.Action
    typealias Instant = PoolMachine.Instant

    private var machine: PoolMachine

    init(_ machine: PoolMachine) { self.machine = machine }

    var workerCount: Int { machine.workerCount }
    var idleCount: Int { machine.idleCount }
    var runningCount: Int { machine.runningCount }
    var waitingCount: Int { machine.waitingCount }

    func request(_ ticket: Int, _ version: FunctionVersion, now: Instant) -> [Action] {
        machine.request(ticket, version, now: now)
    }
    func abandon(_ ticket: Int, _ name: FunctionName) -> Bool { machine.abandon(ticket, name) }
    @discardableResult func finished(_ id: Int, wall: Duration, isSound: Bool, now: Instant) -> Bool {
        machine.finished(id, wall: wall, memory: 1 << 20, isSound: isSound, survives: isSound, now: now)
    }
    func launched(_ id: Int, now: Instant) -> [Action] { machine.launched(id, now: now) }

    func started(_ id: Int, after time: Duration, now: Instant) -> [Action] {
        machine.started(id, after: time, now: now)
    }
    func becameIdle(_ id: Int, memory: Int?, isCurrent: Bool, now: Instant) -> [Action] {
        machine.becameIdle(id, memory: memory, isCurrent: isCurrent, now: now)
    }
    func lost(_ id: Int, _ ticket: Int, _ version: FunctionVersion, now: Instant) -> [Action] {
        machine.lost(id, ticket, version, now: now)
    }
    func ended(_ id: Int, now: Instant) -> [Action] { machine.ended(id, now: now) }
    func serves(_ version: FunctionVersion, now: Instant) -> [Action] { machine.serves(version, now: now) }
    func outdated(_ isCurrent: (FunctionVersion) -> Bool, now: Instant) -> [Action] {
        machine.end({ !isCurrent($0) }, isServed: false, now: now)
    }
    func tick(now: Instant) -> [Action] { machine.tick(now: now) }
}
