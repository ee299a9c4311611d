package import Foundation
package import FunctionModel
package import GRDB

/// An accepted invocation that has ended, as a row: what became of it outlives this process, too.
package struct FinishedInvocation: Codable, Sendable, FetchableRecord, PersistableRecord {
    package static let databaseTableName = "finished"
    /// After a kill in between it may have run twice: the last one counts.
    package static let persistenceConflictPolicy = PersistenceConflictPolicy(insert: .replace)

    package let id: String
    package let name: String
    package let number: Int
    /// How it ended, as whoever wrote it reads it.
    package let summary: Data
    /// In bytes, of the result.
    package let size: Int
    /// Nil when it made room for newer ones.
    package let result: Data?

    package init(id: String, name: FunctionName, number: Int, summary: Data, result: Data?) {
        self.id = id
        self.name = name.text
        self.number = number
        self.summary = summary
        self.result = result
        size = result?.count ?? 0
    }
}

extension Catalogue {
    /// Kept of those that have ended; and of their results together, in bytes.
    private static let (mostFinished, mostResults) = (10_000, 64 << 20)
    /// A result beyond this is looked at at once, to see whether older ones must make room.
    private static let largeResult = 64 << 10

    /// It has ended: nobody runs it any more, and what became of it can be asked for.
    /// - Parameter make: called when its turn to write has come, so that only one copy of a result is held at a time.
    package func finish(_ make: @escaping @Sendable () throws -> FinishedInvocation) async throws {
        try await database.write { database in
            let finished = try make()
            _ = try QueuedInvocation.deleteOne(database, key: finished.id)
            try finished.insert(database)
            if database.lastInsertedRowID % 64 == 0 || finished.size > Self.largeResult {
                try Self.makeRoom(in: database)
            }
        }
    }

    private static func makeRoom(in database: Database) throws {
        try database.execute(
            sql: "DELETE FROM finished WHERE position <= (SELECT max(position) FROM finished) - ?",
            arguments: [mostFinished])
        var left = try Int.fetchOne(database, sql: "SELECT sum(size) FROM finished") ?? 0
        guard left > mostResults else { return }
        let old = try Row.fetchAll(
            database, sql: "SELECT position, size FROM finished WHERE size > 0 ORDER BY position")
        for row in old where left > mostResults {
            left -= row["size"] as Int
            try database.execute(
                sql: "UPDATE finished SET result = NULL, size = 0 WHERE position = ?",
                arguments: [row["position"] as Int64])
        }
    }

    /// What became of an accepted invocation; nil when nothing is known of it.
    package func finished(_ id: String) async throws -> FinishedInvocation? {
        try await database.read { try FinishedInvocation.filter(Column("id") == id).fetchOne($0) }
    }
}
