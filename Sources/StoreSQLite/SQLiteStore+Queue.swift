package import Foundation
import FunctionModel
import GRDB
package import Store

extension SQLiteStore {
    package func enqueue(_ queued: QueuedInvocation) async throws {
        try await database.write { try QueuedRecord(queued).insert($0) }
    }

    package func dequeue(_ id: String) async throws {
        _ = try await database.write { try QueuedRecord.deleteOne($0, key: id) }
    }

    package func takeUpUnfinished(atMost most: Int) throws -> [UnfinishedInvocation] {
        try database.write { database in
            try database.execute(sql: "UPDATE queued SET starts = starts + 1")
            try database.execute(
                sql: "DELETE FROM queued WHERE starts > ? OR NOT EXISTS "
                    + "(SELECT 1 FROM version WHERE version.name = queued.name AND version.number = queued.number)",
                arguments: [most])
            let rows = try Row.fetchAll(
                database, sql: "SELECT id, name, number, traceparent FROM queued ORDER BY rowid")
            return rows.compactMap { row in
                FunctionName(row["name"] as String).map {
                    UnfinishedInvocation(
                        id: row["id"], function: $0, version: row["number"], traceparent: row["traceparent"])
                }
            }
        }
    }

    package func event(ofQueued id: String) async throws -> Data? {
        try await database.read { try QueuedRecord.fetchOne($0, key: id)?.event }
    }

    // MARK: - Ended

    /// Kept of those that have ended; and of their results together, in bytes.
    private static let (maxFinished, maxResultBytes) = (10_000, 64 << 20)
    /// A result beyond this is looked at at once, to see whether older ones must make room.
    private static let largeResult = 64 << 10

    package func finish(_ make: @escaping @Sendable () throws -> FinishedInvocation) async throws {
        try await database.write { database in
            let finished = FinishedRecord(try make())
            _ = try QueuedRecord.deleteOne(database, key: finished.id)
            try finished.insert(database)
            if database.lastInsertedRowID % 64 == 0 || finished.size > Self.largeResult {
                try Self.makeRoom(in: database)
            }
        }
    }

    private static func makeRoom(in database: Database) throws {
        try database.execute(
            sql: "DELETE FROM finished WHERE position <= (SELECT max(position) FROM finished) - ?",
            arguments: [maxFinished])
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

    package func finished(_ id: String) async throws -> FinishedInvocation? {
        try await database.read { try FinishedRecord.filter(Column("id") == id).fetchOne($0)?.finished() }
    }
}
