import FunctionModel

/// When which schedule is due: a value, all times handed in as milliseconds since 1970.
struct ScheduleMachine {
    struct Entry {
        var schedule: Schedule
        /// What was due until then has been seen to.
        var cursor: Int
        /// See `Schedule.due`; nil: never, or switched off.
        fileprivate(set) var next: Int?

        fileprivate mutating func look() { next = schedule.isEnabled ? schedule.due(after: cursor) : nil }
    }

    struct Firing: Equatable {
        let schedule: Schedule
        let due: Int
        let isMissed: Bool
    }

    private(set) var entries: [String: Entry] = [:]
    /// A clock that stands before what was done by it was wrong: after that long, in milliseconds, it is taken as it is.
    private static let longestWait = 86_400_000

    mutating func put(_ schedule: Schedule, cursor: Int) {
        var entry = Entry(schedule: schedule, cursor: cursor)
        entry.look()
        entries[schedule.id] = entry
    }

    mutating func remove(_ id: String) { entries[id] = nil }

    /// When the next one is due.
    var next: Int? { entries.values.compactMap(\.next).min() }

    /// What is due now, each in the order of its times. It stays due until it is `done`.
    mutating func due(_ now: Int) -> [Firing] {
        var firings: [Firing] = []
        for (id, entry) in entries {
            guard let next = entry.next, next <= now else { continue }
            let schedule = entry.schedule, edge = now - schedule.grace
            var cursor = entry.cursor
            if next < edge {
                let newest = Self.newest(of: schedule, after: cursor, until: edge - 1)
                if schedule.missed == .once { firings.append(Firing(schedule: schedule, due: newest, isMissed: true)) }
                cursor = newest
                if schedule.missed == .skip { done(id, newest) }
            }
            while let due = schedule.due(after: cursor), due <= now {
                firings.append(Firing(schedule: schedule, due: due, isMissed: false))
                cursor = due
            }
        }
        return firings
    }

    /// The last time that was due within a stretch in which there is one.
    private static func newest(of schedule: Schedule, after cursor: Int, until end: Int) -> Int {
        var newest = cursor
        // Looked for from near to far: of what is due each minute for years, an hour tells.
        for stretch in [3_600_000, 86_400_000, 32 * 86_400_000, 366 * 86_400_000, Int.max / 2] {
            newest = max(cursor, end - stretch)
            guard let first = schedule.due(after: newest), first <= end else { continue }
            newest = first
            while let next = schedule.due(after: newest), next <= end { newest = next }
            return newest
        }
        return newest
    }

    /// This time has been seen to.
    mutating func done(_ id: String, _ due: Int) {
        guard var entry = entries[id], entry.cursor < due else { return }
        entry.cursor = due
        entry.look()
        entries[id] = entry
    }

    /// Those that would wait for a clock that was far ahead, now taken as it is.
    mutating func rewind(_ now: Int) -> [Schedule] {
        let stuck = entries.values.filter { $0.cursor > now + Self.longestWait }.map { entry in
            var schedule = entry.schedule
            schedule.since = min(schedule.since, now)
            return schedule
        }
        for schedule in stuck { put(schedule, cursor: now) }
        return stuck
    }
}
