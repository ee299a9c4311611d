package import Foundation
package import FunctionModel
import GRDB
import HostSystem
package import Store

/// See `QueueStore`.
package final class SQLiteQueue: QueueStore {
    private let database: DatabasePool
    private let group: GroupCommit
    private let retention: ResultRetention

    init(_ database: DatabasePool, _ group: GroupCommit, _ retention: ResultRetention) {
        (self.database, self.group, self.retention) = (database, group, retention)
    }

    package func enqueue(_ queued: QueuedInvocation, answer: KeptAnswer?) async throws {
        try await group.write { database in
            try QueuedRecord(queued).insert(database)
            if let answer { try Self.keep(answer, in: database) }
        }
    }

    package func dequeue(_ id: String) async throws {
        _ = try await group.write { try QueuedRecord.deleteOne($0, key: id) }
    }

    package func waiting() throws -> [WaitingInvocation] {
        try database.read { database in
            try Row.fetchAll(database, sql: "\(Self.waitingColumns) FROM queued ORDER BY rowid").compactMap(
                Self.waiting)
        }
    }

    private static let waitingColumns =
        "SELECT id, name, number, traceparent, webhook, key, depth, acceptedAt, isRaw, size, attempts, starts, notBefore"

    /// Nil for a row of which nobody knows the function.
    private static func waiting(_ row: Row) -> WaitingInvocation? {
        guard let name = FunctionName(row["name"] as String) else { return nil }
        var waiting = WaitingInvocation(
            id: row["id"], function: name, version: row["number"], traceparent: row["traceparent"])
        waiting.webhook = row["webhook"]
        waiting.key = row["key"]
        waiting.depth = row["depth"]
        waiting.acceptedAt = row["acceptedAt"]
        waiting.isRaw = row["isRaw"]
        waiting.size = row["size"]
        waiting.tries.attempts = row["attempts"]
        waiting.tries.starts = row["starts"]
        waiting.tries.notBefore = row["notBefore"]
        return waiting
    }

    private static func waiting(_ id: String, in database: Database) throws -> WaitingInvocation? {
        try Row.fetchOne(database, sql: "\(waitingColumns) FROM queued WHERE id = ?", arguments: [id])
            .flatMap(waiting)
    }

    package func countStarts(of ids: [String]) throws {
        try database.write { database in
            for id in ids {
                try database.execute(sql: "UPDATE queued SET starts = starts + 1 WHERE id = ?", arguments: [id])
            }
        }
    }

    package func event(ofQueued id: String) async throws -> Data? {
        try await database.read { try Data.fetchOne($0, sql: "SELECT event FROM queued WHERE id = ?", arguments: [id]) }
    }

    package func postpone(_ id: String, attempts: Int, notBefore: Int) async throws {
        try await group.write {
            try $0.execute(
                sql: "UPDATE queued SET starts = 0, attempts = ?, notBefore = ? WHERE id = ?",
                arguments: [attempts, notBefore, id])
        }
    }

    // MARK: - Ended

    /// Kept of all results together, in bytes.
    private static let maxResultBytes = 64 << 20
    /// A result beyond this is looked at at once, to see whether older ones must make room.
    private static let largeResult = 64 << 10

    package func settle(_ make: @escaping @Sendable () throws -> Settlement) async throws -> [WaitingInvocation] {
        try await group.write { [retention] database in
            let settlement = try make()
            let finished = FinishedRecord(settlement.finished)
            if let attempts = settlement.deadAfter {
                try database.execute(
                    sql: """
                        INSERT OR REPLACE INTO dead (id, name, number, event, size, traceparent, webhook, key, depth, isRaw, attempts,
                            acceptedAt, diedAt, summary)
                        SELECT id, name, number, event, length(event), traceparent, webhook, key, depth, isRaw, ?, acceptedAt,
                            CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), ? FROM queued WHERE id = ?
                        """, arguments: [attempts, finished.summary, finished.id])
                if database.lastInsertedRowID % 64 == 0 { try Self.buryNoMore(in: database) }
            }
            _ = try QueuedRecord.deleteOne(database, key: finished.id)
            try finished.insert(database)
            if database.lastInsertedRowID % 64 == 0 || finished.size > Self.largeResult {
                try Self.makeRoom(in: database, retention)
            }
            return try settlement.followUps.compactMap { next in
                try QueuedRecord(next).insert(database)
                return try Self.waiting(next.id, in: database)
            }
        }
    }

    private static func makeRoom(in database: Database, _ retention: ResultRetention) throws {
        try database.execute(
            sql: "DELETE FROM finished WHERE position <= (SELECT max(position) FROM finished) - ? OR endedAt < ?",
            arguments: [retention.count, oldest(retention)])
        var left = try Int.fetchOne(database, sql: "SELECT sum(size) FROM finished") ?? 0
        guard left > maxResultBytes else { return }
        let old = try Row.fetchAll(
            database, sql: "SELECT position, size FROM finished WHERE size > 0 ORDER BY position")
        for row in old where left > maxResultBytes {
            left -= row["size"] as Int
            try database.execute(
                sql: "UPDATE finished SET result = NULL, size = 0 WHERE position = ?",
                arguments: [row["position"] as Int64])
        }
    }

    private static func oldest(_ retention: ResultRetention) -> Int {
        wallClockMilliseconds() - retention.age.milliseconds
    }

    package func finished(_ id: String) async throws -> FinishedInvocation? {
        let oldest = Self.oldest(retention)
        return try await database.read { database in
            try FinishedRecord.filter(Column("id") == id && Column("endedAt") >= oldest).fetchOne(database)?.finished()
        }
    }

    // MARK: - Dead letters

    /// Kept of all functions; and their events together, in bytes. The oldest make room.
    private static let (maxDead, maxDeadBytes) = (100_000, 1 << 30)
    /// Brought back at once, in bytes.
    private static let redriveStep = 16 << 20

    private static func buryNoMore(in database: Database) throws {
        try database.execute(
            sql: "DELETE FROM dead WHERE position <= (SELECT max(position) FROM dead) - ?", arguments: [maxDead])
        while try Int.fetchOne(database, sql: "SELECT sum(size) FROM dead") ?? 0 > maxDeadBytes {
            try database.execute(
                sql: "DELETE FROM dead WHERE position IN (SELECT position FROM dead ORDER BY position LIMIT 64)")
        }
    }

    package func deadLetters(of name: FunctionName, before: Int64?, limit: Int) async throws -> [DeadLetter] {
        try await database.read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT position, id, number, webhook, attempts, acceptedAt, diedAt, size, summary FROM dead
                    WHERE name = ? AND position < ? ORDER BY position DESC LIMIT ?
                    """, arguments: [name.text, before ?? .max, limit]
            ).map {
                DeadLetter(
                    position: $0["position"], id: $0["id"], function: name, version: $0["number"],
                    webhook: $0["webhook"], attempts: $0["attempts"], acceptedAt: $0["acceptedAt"],
                    diedAt: $0["diedAt"], size: $0["size"], summary: $0["summary"])
            }
        }
    }

    package func event(ofDead id: String, of name: FunctionName) async throws -> Data? {
        try await database.read {
            try Data.fetchOne(
                $0, sql: "SELECT event FROM dead WHERE id = ? AND name = ?", arguments: [id, name.text])
        }
    }

    package func redrive(
        _ id: String?, of name: FunctionName, now: Int, version: Int
    ) async throws -> [WaitingInvocation] {
        try await group.write { database in
            // By steps, so that nobody waits for long.
            var ids: [String] = [], bytes = 0
            let rows = try Row.fetchCursor(
                database,
                sql:
                    "SELECT id, size FROM dead WHERE name = ?1 AND (?2 IS NULL OR id = ?2) ORDER BY position LIMIT 1000",
                arguments: [name.text, id])
            while bytes < Self.redriveStep, let row = try rows.next() {
                ids.append(row["id"])
                bytes += row["size"] as Int
            }
            return try ids.compactMap { id in
                try database.execute(
                    sql: """
                        INSERT OR IGNORE INTO queued (id, name, number, event, size, traceparent, webhook, key, depth, isRaw, acceptedAt)
                        SELECT id, name, CASE WHEN EXISTS (SELECT 1 FROM version WHERE version.name = dead.name
                            AND version.number = dead.number) THEN number ELSE ? END,
                            event, size, traceparent, webhook, key, depth, isRaw, ? FROM dead WHERE id = ?
                        """, arguments: [version, now, id])
                try database.execute(sql: "DELETE FROM dead WHERE id = ?", arguments: [id])
                try database.execute(sql: "DELETE FROM finished WHERE id = ?", arguments: [id])
                return try Self.waiting(id, in: database)
            }
        }
    }

    package func removeDeadLetters(_ id: String?, of name: FunctionName) async throws -> Int {
        try await group.write { database in
            try database.execute(
                sql: "DELETE FROM dead WHERE name = ?1 AND (?2 IS NULL OR id = ?2)", arguments: [name.text, id])
            return database.changesCount
        }
    }

    package func deadLetterCounts() throws -> [FunctionName: Int] {
        try database.read { database in
            let rows = try Row.fetchAll(database, sql: "SELECT name, count(*) AS count FROM dead GROUP BY name")
            return Dictionary(
                rows.compactMap { row in FunctionName(row["name"] as String).map { ($0, row["count"]) } }
            ) { $1 }
        }
    }

    // MARK: - Idempotency keys

    /// Of one function: keys, and bytes of their answers; and bytes of all.
    private static let (maxKept, maxKeptBytes, maxAllBytes) = (200_000, 256 << 20, 2 << 30)

    package func keptAnswer(_ key: Data, of name: FunctionName, now: Int) async throws -> KeptAnswer? {
        try await database.read { database in
            let row = try Row.fetchOne(
                database,
                sql: "SELECT key, request, name, invocation, head, body IS NULL AS isGone, size, expiresAt FROM kept "
                    + "WHERE key = ? AND expiresAt > ?", arguments: [key, now])
            guard let row else {
                var count = try Int.fetchOne(
                    database, sql: "SELECT count FROM keptSum WHERE name = ?", arguments: [name.text])
                if count ?? 0 >= Self.maxKept {
                    // Those that have expired go when the next one is kept.
                    count = try Int.fetchOne(
                        database, sql: "SELECT count(*) FROM kept WHERE name = ? AND expiresAt > ?",
                        arguments: [name.text, now])
                }
                guard count ?? 0 < Self.maxKept else {
                    throw Failure(
                        .throttled(retryAfter: 60),
                        "\(name) has \(Self.maxKept) idempotency keys, which are kept for 24 hours; send this without one, or later"
                    )
                }
                return nil
            }
            return KeptAnswer(
                key: row["key"], request: row["request"], function: name, invocation: row["invocation"],
                head: row["head"], body: nil, size: (row["isGone"] as Bool) ? nil : row["size"],
                expiresAt: row["expiresAt"])
        }
    }

    package func keptBody(_ key: Data) async throws -> Data? {
        try await database.read { try Data.fetchOne($0, sql: "SELECT body FROM kept WHERE key = ?", arguments: [key]) }
    }

    package func keep(_ answer: KeptAnswer) async throws {
        try await group.write { try Self.keep(answer, in: $0) }
    }

    private static func keep(_ answer: KeptAnswer, in database: Database) throws {
        try database.execute(
            sql: "DELETE FROM kept WHERE expiresAt <= ?", arguments: [answer.expiresAt - 86_400_000])
        let own = try Int.fetchOne(
            database, sql: "SELECT bytes FROM keptSum WHERE name = ?", arguments: [answer.function.text])
        let all = try Int.fetchOne(database, sql: "SELECT sum(bytes) FROM keptSum")
        let size = answer.body?.count ?? 0
        // That it was carried out is known still.
        let hasRoom = (own ?? 0) + size <= maxKeptBytes && (all ?? 0) + size <= maxAllBytes
        try database.execute(
            sql: """
                INSERT OR REPLACE INTO kept (key, request, name, invocation, head, body, size, expiresAt)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                answer.key, answer.request, answer.function.text, answer.invocation, answer.head,
                hasRoom ? answer.body : nil, hasRoom ? size : 0, answer.expiresAt,
            ])
    }
}
