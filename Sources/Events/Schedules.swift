import Foundation
package import FunctionModel
import HostSystem
package import Logging
package import Store
import Synchronization
import WireText

/// Functions that are invoked by the clock: each due time is entered once in the store, together with the invocation that it asks for.
package final class Schedules: Sendable {
    private let store: any ScheduleStore
    private let events: Events
    private let logger: Logger
    private let machine: Mutex<ScheduleMachine>

    private static let maxSchedules = 10_000

    /// Blocks.
    /// - Throws: what the store says.
    package init(store: any ScheduleStore, events: Events, logger: Logger) throws {
        self.store = store
        self.events = events
        self.logger = logger
        var machine = ScheduleMachine()
        for (schedule, cursor) in try store.schedules() { machine.put(schedule, cursor: cursor) }
        self.machine = Mutex(machine)
    }

    // MARK: - What there is

    /// By their ids.
    package var all: [Schedule] { machine.withLock { $0.entries.values.map(\.schedule) }.sorted { $0.id < $1.id } }

    package func schedule(_ id: String) -> Schedule? { machine.withLock { $0.entries[id]?.schedule } }

    /// When it is due next, in milliseconds since 1970.
    package func next(of id: String) -> Int? { machine.withLock { $0.entries[id]?.next } }

    /// Enters a schedule in the place of the one with its id; the same again changes nothing.
    /// - Parameter now: RFC 3339.
    /// - Throws: `Failure` not_found or conflict, `PreconditionFailed`, or what the store says.
    package func put(
        _ schedule: Schedule, now: String, _ precondition: Precondition? = nil
    ) async throws -> (Schedule, isNew: Bool) {
        _ = try events.around.resolve(schedule.reference)
        let old = self.schedule(schedule.id)
        if precondition == nil, let old, old.isSame(as: schedule) { return (old, false) }
        guard old != nil || machine.withLock({ $0.entries.count }) < Self.maxSchedules else {
            throw Failure(.conflict, "there are \(Self.maxSchedules) schedules, this host's limit; delete one first")
        }
        var schedule = schedule
        schedule.updatedAt = now
        let instant = wallClockMilliseconds()
        // What it meant before is no concern of what it means now.
        let goesOn = old.map { $0.timing == schedule.timing && $0.isEnabled == schedule.isEnabled } ?? false
        schedule.since = goesOn ? old?.since ?? instant : instant
        let isNew = try await store.put(schedule, cursor: goesOn ? nil : instant, precondition) { [self, schedule] in
            machine.withLock { machine in
                let cursor = goesOn ? machine.entries[schedule.id]?.cursor ?? instant : instant
                machine.put(schedule, cursor: cursor)
            }
        }
        return (schedule, isNew)
    }

    /// What `put` would do.
    /// - Throws: as `put`, but for what the store says.
    package func change(of schedule: Schedule) throws -> Change {
        _ = try events.around.resolve(schedule.reference)
        guard let old = self.schedule(schedule.id) else { return .new }
        return old.isSame(as: schedule) ? .none : .changed
    }

    /// - Returns: false when there was none.
    /// - Throws: `PreconditionFailed`, or what the store says.
    package func remove(_ id: String, _ precondition: Precondition? = nil) async throws -> Bool {
        try await store.removeSchedule(id, precondition) { [self] in machine.withLock { $0.remove(id) } }
    }

    /// When it was due, the newest first.
    /// - Throws: what the store says.
    package func runs(of id: String, limit: Int) async throws -> [ScheduleRun] {
        try await store.runs(of: id, limit: limit)
    }

    /// Invokes it now, whatever the clock says.
    /// - Returns: the run; its `reason` says what was wrong.
    /// - Throws: what the store says.
    package func runNow(_ schedule: Schedule) async throws -> ScheduleRun {
        var due = wallClockMilliseconds()
        while true {
            if let run = try await fire(schedule, due: due, kind: .manual) { return run }
            guard self.schedule(schedule.id) != nil else {
                throw Failure(.notFound, "the schedule \"\(schedule.id)\" is gone")
            }
            due += 1  // that millisecond is taken
        }
    }

    // MARK: - For who runs them

    /// Sees to what is due.
    /// - Returns: how long nothing is to be done, at most.
    func tick() async -> Duration {
        let now = wallClockMilliseconds()
        let (firings, stuck) = machine.withLock { machine in
            let stuck = machine.rewind(now)
            return (machine.due(now), stuck)
        }
        do {
            for schedule in stuck {
                logger.warning(
                    "the clock was set back by more than a day: a schedule goes by it from now on",
                    metadata: ["schedule": "\(schedule.id)"])
                _ = try await store.put(schedule, cursor: now, nil) {}
            }
            for firing in firings {
                _ = try await fire(firing.schedule, due: firing.due, kind: firing.isMissed ? .missed : .fired)
                machine.withLock { $0.done(firing.schedule.id, firing.due) }
            }
        } catch {
            // It stays due.
            logger.error("a schedule cannot be entered as run; it is tried again", metadata: ["reason": "\(error)"])
            return .seconds(1)
        }
        let wait = machine.withLock { $0.next }.map { $0 - wallClockMilliseconds() } ?? 1000
        // A clock may be set at any time.
        return .milliseconds(min(max(wait, 1), 1000))
    }

    /// - Returns: nil when that time was entered before.
    private func fire(_ schedule: Schedule, due: Int, kind: ScheduleRun.Kind) async throws -> ScheduleRun? {
        var run = ScheduleRun(schedule: schedule.id, due: due, at: wallClockMilliseconds(), kind: kind)
        let version: FunctionVersion
        do {
            version = try events.around.resolve(schedule.reference)
        } catch {
            run.kind = .failed
            run.reason = (error as? Failure)?.detail ?? "\(error)"
            return try await store.fire(run, queued: nil, skipsOverlap: false, isManual: kind == .manual)
        }
        guard events.queue.hasRoom(for: schedule.event.utf8.count, of: version.name) else {
            run.kind = .failed
            run.reason = "the queue is full"
            return try await store.fire(run, queued: nil, skipsOverlap: false, isManual: kind == .manual)
        }
        let id = RandomUUID().text
        run.invocation = id
        var queued = QueuedInvocation(
            id: id, function: version.name, version: version.number, event: Data(schedule.event.utf8), traceparent: nil)
        queued.schedule = schedule.id
        queued.acceptedAt = run.at
        let entered = try await store.fire(
            run, queued: queued, skipsOverlap: schedule.overlap == .skip && kind != .manual,
            isManual: kind == .manual)
        if entered?.invocation != nil {
            var waiting = WaitingInvocation(id: id, function: version.name, version: version.number, traceparent: nil)
            waiting.size = queued.event.count
            waiting.acceptedAt = queued.acceptedAt
            events.enter(waiting, version)
        }
        return entered
    }
}
