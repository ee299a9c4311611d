package import Foundation
package import FunctionModel
import GRDB

/// An invocation that was accepted to be run later, as a row: what was answered 202 outlives this process.
package struct QueuedInvocation: Codable, Sendable, FetchableRecord, PersistableRecord {
    package static let databaseTableName = "queued"

    package let id: String
    package let name: String
    package let number: Int
    package let event: Data
    package let traceparent: String?

    package init(id: String, version: FunctionVersion, event: Data, traceparent: String?) {
        self.id = id
        name = version.name.text
        number = version.number
        self.event = event
        self.traceparent = traceparent
    }
}

extension Catalogue {
    /// How many processes may take an invocation up.
    private static let mostStarts = 10

    /// Enters an accepted invocation. Once this returns it survives a crash.
    package func enqueue(_ queued: QueuedInvocation) async throws {
        try await database.write { try queued.insert($0) }
    }

    /// It has ended, or was refused after all.
    package func dequeue(_ id: String) async throws {
        _ = try await database.write { try QueuedInvocation.deleteOne($0, key: id) }
    }

    /// What an earlier process accepted and did not finish, in order, with the versions that are still there; without the
    /// events, which may be too much for this one's memory. Forgets the others. Blocks.
    package func unfinished() throws -> [(id: String, traceparent: String?, version: FunctionVersion)] {
        let snapshot = snapshot
        return try database.write { database in
            // One that ends whoever runs it must not end every one after.
            try database.execute(sql: "UPDATE queued SET starts = starts + 1")
            try database.execute(sql: "DELETE FROM queued WHERE starts > ?", arguments: [Self.mostStarts])
            let rows = try Row.fetchAll(
                database, sql: "SELECT id, name, number, traceparent FROM queued ORDER BY rowid")
            return try rows.compactMap { row in
                let id: String = row["id"], name: String = row["name"], number: Int = row["number"]
                if let name = FunctionName(name), let version = snapshot.version(number, of: name) {
                    return (id, row["traceparent"], version)
                }
                _ = try QueuedInvocation.deleteOne(database, key: id)
                return nil
            }
        }
    }

    /// The event of an accepted invocation; nil when that is known no more.
    package func event(ofQueued id: String) async throws -> Data? {
        try await database.read { try QueuedInvocation.fetchOne($0, key: id)?.event }
    }
}
