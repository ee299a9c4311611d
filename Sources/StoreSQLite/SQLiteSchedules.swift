import Foundation
package import FunctionModel
import GRDB
import NIOCore
package import Store

/// See `ScheduleStore`.
package final class SQLiteSchedules: ScheduleStore {
    private let database: DatabasePool
    private let group: GroupCommit

    init(_ database: DatabasePool, _ group: GroupCommit) { (self.database, self.group) = (database, group) }

    package func schedules() throws -> [(schedule: Schedule, cursor: Int)] {
        try database.read { database in
            try Row.fetchAll(database, sql: "SELECT definition, cursor FROM schedule").map {
                (try Self.schedule($0["definition"]), $0["cursor"])
            }
        }
    }

    package func put(
        _ schedule: Schedule, cursor: Int?, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool {
        try await database.write { database in
            let old = try Self.schedule(schedule.id, in: database)
            try precondition?.check(old?.tag)
            try database.execute(
                sql: "INSERT INTO schedule (id, definition, cursor) VALUES (?1, ?2, coalesce(?3, 0)) "
                    + "ON CONFLICT (id) DO UPDATE SET definition = ?2, cursor = coalesce(?3, cursor)",
                arguments: [schedule.id, String(buffer: try schedule.document()), cursor])
            database.afterNextTransaction { _ in committed() }
            return old == nil
        }
    }

    package func removeSchedule(
        _ id: String, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool {
        try await database.write { database in
            guard let old = try Self.schedule(id, in: database) else { return false }
            try precondition?.check(old.tag)
            try database.execute(sql: "DELETE FROM schedule WHERE id = ?", arguments: [id])
            try database.execute(sql: "DELETE FROM scheduleRun WHERE schedule = ?", arguments: [id])
            database.afterNextTransaction { _ in committed() }
            return true
        }
    }

    /// Kept of each schedule.
    private static let maxRuns = 1000

    package func fire(
        _ run: ScheduleRun, queued: QueuedInvocation?, skipsOverlap: Bool, isManual: Bool
    ) async throws -> ScheduleRun? {
        try await group.write { database in
            var run = run
            let cursor = try Int.fetchOne(
                database, sql: "SELECT cursor FROM schedule WHERE id = ?", arguments: [run.schedule])
            guard let cursor, isManual || cursor < run.due else { return nil }
            if skipsOverlap,
                try Bool.fetchOne(
                    database, sql: "SELECT EXISTS (SELECT 1 FROM queued WHERE schedule = ?)", arguments: [run.schedule])
                    ?? false
            {
                run.kind = .skipped
                run.invocation = nil
            }
            try database.execute(
                sql:
                    "INSERT OR IGNORE INTO scheduleRun (schedule, due, at, kind, invocation, reason) VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [run.schedule, run.due, run.at, run.kind.rawValue, run.invocation, run.reason])
            guard database.changesCount > 0 else { return nil }
            if !isManual {
                try database.execute(
                    sql: "UPDATE schedule SET cursor = ? WHERE id = ?", arguments: [run.due, run.schedule])
            }
            if run.invocation != nil, let queued { try QueuedRecord(queued).insert(database) }
            if Int.random(in: 0..<64) == 0 {
                try database.execute(
                    sql: """
                        DELETE FROM scheduleRun WHERE schedule = ?1 AND due < (SELECT due FROM scheduleRun
                            WHERE schedule = ?1 ORDER BY due DESC LIMIT 1 OFFSET ?2)
                        """, arguments: [run.schedule, Self.maxRuns])
            }
            return run
        }
    }

    package func runs(of id: String, limit: Int) async throws -> [ScheduleRun] {
        try await database.read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM scheduleRun WHERE schedule = ? ORDER BY due DESC LIMIT ?",
                arguments: [id, limit]
            ).compactMap { row in
                ScheduleRun.Kind(rawValue: row["kind"]).map {
                    ScheduleRun(
                        schedule: row["schedule"], due: row["due"], at: row["at"], kind: $0,
                        invocation: row["invocation"], reason: row["reason"])
                }
            }
        }
    }

    private static func schedule(_ id: String, in database: Database) throws -> Schedule? {
        try String.fetchOne(database, sql: "SELECT definition FROM schedule WHERE id = ?", arguments: [id])
            .map(schedule)
    }

    private static func schedule(_ definition: String) throws -> Schedule {
        try Schedule(document: ByteBuffer(string: definition))
    }
}
