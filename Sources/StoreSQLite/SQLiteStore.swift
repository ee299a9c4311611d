import Foundation
package import FunctionModel
import GRDB
import Glibc
import HostSystem
package import Store
import WireText

/// The store in one SQLite file, with its write-ahead log.
package final class SQLiteStore: Store {
    let database: DatabasePool
    private let retention: ResultRetention

    /// Opens the file, making it and what is missing in it. Blocks.
    /// - Throws: what SQLite or the file system says.
    package init(path: String, retention: ResultRetention = ResultRetention()) throws {
        self.retention = retention
        var configuration = Configuration()
        configuration.prepareDatabase { database in
            // An upload answered 201 must survive a power cut, not only a crash.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            // The supervisor may write nowhere but in its data directory: no temporary files elsewhere.
            try database.execute(sql: "PRAGMA temp_store = MEMORY")
            // A row that is replaced is one less, too, to whoever counts.
            try database.execute(sql: "PRAGMA recursive_triggers = ON")
        }
        // SQLite gives its side files the same mode: manifests hold what tenants put into env.
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0, fchmod(file, 0o600) == 0 else { throw SystemError("open \(path)") }
        close(file)
        database = try DatabasePool(path: path, configuration: configuration)
        try migrator.migrate(database)
    }

    /// All that stands in the file.
    package var stores: Stores {
        let group = GroupCommit(database)
        return Stores(
            catalogue: self, queue: SQLiteQueue(database, group, retention),
            schedules: SQLiteSchedules(database, group), messages: SQLiteMessages(database, group),
            secrets: SQLiteSecrets(database), usage: SQLiteUsage(database, group))
    }

    // MARK: - Functions

    package func versions() throws -> [FunctionVersion] {
        try database.read { try VersionRecord.fetchAll($0).map { try $0.version() } }
    }

    package func commit(
        _ draft: VersionDraft, committed: @escaping @Sendable (FunctionVersion, Traffic) -> Void
    ) async throws -> (FunctionVersion, isNew: Bool) {
        try await database.write { database in
            let name = draft.name.text
            let newest = try VersionRecord.filter(Column("name") == name).order(Column("number").desc).fetchOne(
                database)?.version()
            try draft.precondition?.check(newest.map { "\($0.revision)" })
            if let newest, newest.sha256 == draft.sha256, newest.manifest.isSame(as: draft.manifest),
                newest.isPublished || !draft.isPublished
            {
                try draft.keep.map { try Self.write(keep: $0, of: draft.name, in: database) }
                return (newest, isNew: false)
            }
            // A number is never used again, also not by a function that was deleted and made anew.
            let last = try Int.fetchOne(
                database, sql: "SELECT lastNumber FROM function WHERE name = ?", arguments: [name])
            let replaced = newest.flatMap { $0.isPublished ? nil : $0.number }
            let number = replaced ?? max(last ?? 0, newest?.number ?? 0) + 1
            let version = draft.version(number: number, createdAt: timestamp())
            var traffic = try Self.traffic(of: draft.name, in: database) ?? Traffic(numbers: [])
            // What was accepted for one is still to be run.
            let surplus = traffic.add(
                number, isPublished: draft.isPublished, keep: draft.keep,
                awaited: try Self.awaited(of: draft.name, in: database),
                now: version.createdAt)
            if let replaced {
                try database.execute(
                    sql: "DELETE FROM version WHERE name = ? AND number = ?", arguments: [name, replaced])
            }
            try VersionRecord(version).insert(database)
            try database.execute(
                sql: "INSERT INTO function (name, lastNumber) VALUES (?, ?) "
                    + "ON CONFLICT (name) DO UPDATE SET lastNumber = excluded.lastNumber",
                arguments: [name, number])
            try Self.write(traffic, without: surplus, of: draft.name, in: database)
            try draft.keep.map { try Self.write(keep: $0, of: draft.name, in: database) }
            // In the order of commits: whoever commits later is seen later.
            database.afterNextTransaction { [traffic] _ in committed(version, traffic) }
            return (version, isNew: true)
        }
    }

    package func removeFunction(
        _ name: FunctionName, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool {
        try await database.write { database in
            if let precondition {
                let newest = try String.fetchOne(
                    database, sql: "SELECT revision FROM version WHERE name = ? ORDER BY number DESC",
                    arguments: [name.text])
                if newest != nil { try precondition.check(newest) }
            }
            try database.execute(
                sql: "UPDATE function SET aliases = NULL, keep = NULL, settings = NULL WHERE name = ?",
                arguments: [name.text])
            // What was accepted for it is not for another one by that name.
            for table in ["queued", "dead", "kept", "mapping"] {
                try database.execute(sql: "DELETE FROM \(table) WHERE name = ?", arguments: [name.text])
            }
            let count = try VersionRecord.filter(Column("name") == name.text).deleteAll(database)
            database.afterNextTransaction { _ in committed() }
            return count > 0
        }
    }

    // MARK: - Keys

    package func keys() throws -> [AccessKey] { try database.read { try KeyRecord.fetchAll($0).map(\.key) } }

    package func add(_ key: AccessKey) async throws {
        try await database.write { try KeyRecord(key).insert($0) }
    }

    package func removeKey(id: String) async throws -> Bool {
        try await database.write { try KeyRecord.filter(Column("id") == id).deleteAll($0) } > 0
    }
}
