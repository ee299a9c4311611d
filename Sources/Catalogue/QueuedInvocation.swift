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
    /// Enters an accepted invocation. Once this returns it survives a crash.
    package func enqueue(_ queued: QueuedInvocation) async throws {
        try await database.write { try queued.insert($0) }
    }

    /// It has ended, or was refused after all.
    package func dequeue(_ id: String) async throws {
        _ = try await database.write { try QueuedInvocation.deleteOne($0, key: id) }
    }

    /// What an earlier process accepted and did not finish, in order, with the versions that are still there. Forgets the
    /// others. Blocks.
    package func unfinished() throws -> [(QueuedInvocation, FunctionVersion)] {
        let snapshot = snapshot
        return try database.write { database in
            try QueuedInvocation.order(Column.rowID).fetchAll(database).compactMap { queued in
                if let name = FunctionName(queued.name), let version = snapshot.version(queued.number, of: name) {
                    return (queued, version)
                }
                try queued.delete(database)
                return nil
            }
        }
    }
}
