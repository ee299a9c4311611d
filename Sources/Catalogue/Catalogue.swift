package import Foundation
package import FunctionModel
import GRDB
import Glibc
import HostSystem
import Synchronization

/// Functions, versions and tokens: in SQLite for good, in memory for reading.
package final class Catalogue: Sendable {
    package let bundles: BundleStore
    let database: DatabasePool
    private let state: Mutex<State>

    private struct State {
        var snapshot: Snapshot
        var keys: [String: AccessKey]  // by hash
        /// Tokens that were presented and known, by themselves: a hash for each request costs more than the rest of its check.
        var presented: [String: AccessKey] = [:]
    }

    private static let mostPresented = 1000

    /// Opens the catalogue in a data directory, making what is missing. Blocks.
    /// - Throws: what SQLite or the file system says.
    package init(path: String) throws {
        bundles = try BundleStore(path: path)
        var configuration = Configuration()
        configuration.prepareDatabase { database in
            // An upload answered 201 must survive a power cut, not only a crash.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            // The supervisor may write nowhere but in its data directory: no temporary files elsewhere.
            try database.execute(sql: "PRAGMA temp_store = MEMORY")
        }
        // SQLite gives its side files the same mode: manifests hold what tenants put into env.
        let file = open(path + "/catalogue.db", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0, fchmod(file, 0o600) == 0 else { throw SystemError("open \(path)/catalogue.db") }
        close(file)
        database = try DatabasePool(path: path + "/catalogue.db", configuration: configuration)
        try Self.migrator.migrate(database)
        let (versions, keys) = try database.read { database in
            (
                try VersionRecord.fetchAll(database).map { try $0.version() },
                try KeyRecord.fetchAll(database).map(\.key)
            )
        }
        state = Mutex(
            State(snapshot: Snapshot(versions), keys: Dictionary(uniqueKeysWithValues: keys.map { ($0.hash, $0) })))
    }

    package var snapshot: Snapshot { state.withLock { $0.snapshot } }

    // MARK: - Functions

    /// Unnamed old versions that are kept of a function.
    package static let mostKept = 20

    /// Enters a stored bundle as a function's next version, unless its newest is the same. Versions beyond the newest
    /// `mostKept` are forgotten.
    /// - Parameter key: id of the key that uploaded it.
    /// - Returns: the version, and whether it is new.
    package func add(
        _ stored: BundleStore.Stored, sha256: String, size: Int, name: FunctionName, key: String?
    ) async throws -> (FunctionVersion, isNew: Bool) {
        try await database.write { [self] database in
            let newest = try VersionRecord.filter(Column("name") == name.text).order(Column("number").desc).fetchOne(
                database)
            if let newest = try newest?.version(), newest.sha256 == sha256, try isSame(newest.manifest, stored.manifest)
            {
                return (newest, isNew: false)
            }
            // A number is never used again, also not by a function that was deleted and made anew.
            let last = try Int.fetchOne(
                database, sql: "SELECT lastNumber FROM function WHERE name = ?", arguments: [name.text])
            let number = max(last ?? 0, newest?.number ?? 0) + 1
            let version = FunctionVersion(
                name: name, number: number, sha256: sha256, size: size, bundle: stored.digest,
                createdAt: timestamp(), manifest: stored.manifest, executable: stored.executable,
                storedBytes: stored.bytes, key: key)
            try VersionRecord(version).insert(database)
            try database.execute(
                sql: "INSERT INTO function (name, lastNumber) VALUES (?, ?) "
                    + "ON CONFLICT (name) DO UPDATE SET lastNumber = excluded.lastNumber",
                arguments: [name.text, number])
            try database.execute(
                sql: "DELETE FROM version WHERE name = ? AND number NOT IN "
                    + "(SELECT number FROM version WHERE name = ? ORDER BY number DESC LIMIT ?) "
                    // What was accepted for one is still to be run.
                    + "AND number NOT IN (SELECT number FROM queued WHERE name = ?)",
                arguments: [name.text, name.text, Self.mostKept + 1, name.text])
            onCommit(database) { $0.add(version, keeping: Self.mostKept + 1) }
            return (version, isNew: true)
        }
    }

    /// Changes the snapshot in the order of commits: whoever commits later is seen later.
    private func onCommit(_ database: Database, _ change: @escaping @Sendable (inout Snapshot) -> Void) {
        database.afterNextTransaction { [self] _ in state.withLock { change(&$0.snapshot) } }
    }

    /// By bytes: to an argument that differs from another one in its normalization only, `==` is blind.
    private func isSame(_ one: Manifest, _ other: Manifest) throws -> Bool {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return try encoder.encode(one) == encoder.encode(other)
    }

    /// - Returns: false when there was no such function.
    package func remove(_ name: FunctionName) async throws -> Bool {
        try await database.write { [self] database in
            let count = try VersionRecord.filter(Column("name") == name.text).deleteAll(database)
            onCommit(database) { $0.remove(name) }
            return count > 0
        }
    }

    // MARK: - Tokens

    package var keys: [AccessKey] { state.withLock { $0.keys.values.sorted { $0.createdAt < $1.createdAt } } }

    /// The key a token stands for. Compared by hash: equal time for right and wrong ones.
    package func key(for token: String) -> AccessKey? {
        if let key = state.withLock({ $0.presented[token] }) { return key }
        let hash = AccessKey.hash(of: token)
        return state.withLock { state in
            guard let key = state.keys[hash] else { return nil }
            if state.presented.count >= Self.mostPresented { state.presented = [:] }
            state.presented[token] = key
            return key
        }
    }

    /// Makes a token. It is told here and never again.
    package func makeKey(name: String, scope: AccessKey.Scope) async throws -> (AccessKey, token: String) {
        let token = AccessKey.makeToken()
        return (try await enter(token, name: name, scope: scope), token)
    }

    /// Enters a given token, such as the one in `admin.token`.
    package func enter(_ token: String, name: String, scope: AccessKey.Scope) async throws -> AccessKey {
        let hash = AccessKey.hash(of: token)
        if let known = state.withLock({ $0.keys[hash] }) { return known }
        let key = AccessKey(
            id: String(hash.prefix(12)), name: name, scope: scope, createdAt: timestamp(), hash: hash)
        try await database.write { try KeyRecord(key).insert($0) }
        state.withLock { $0.keys[hash] = key }
        return key
    }

    /// - Returns: false when there is no such key.
    package func removeKey(id: String) async throws -> Bool {
        let count = try await database.write { try KeyRecord.filter(Column("id") == id).deleteAll($0) }
        state.withLock { state in
            state.keys = state.keys.filter { $0.value.id != id }
            state.presented = [:]
        }
        return count > 0
    }

    // MARK: - Schema

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 functions and keys") { database in
            try database.create(table: "version") { table in
                table.column("name", .text).notNull()
                table.column("number", .integer).notNull()
                table.column("sha256", .text).notNull()
                table.column("size", .integer).notNull()
                table.column("bundle", .text).notNull()
                table.column("createdAt", .text).notNull()
                table.column("manifest", .text).notNull()
                table.column("executable", .text)
                table.primaryKey(["name", "number"])
            }
            try database.create(table: "key") { table in
                table.primaryKey("id", .text)
                table.column("name", .text).notNull()
                table.column("scope", .text).notNull()
                table.column("createdAt", .text).notNull()
                table.column("hash", .text).notNull().unique()
            }
        }
        migrator.registerMigration("2 numbers for ever, sizes and owners") { database in
            try database.create(table: "function") { table in
                table.primaryKey("name", .text)
                table.column("lastNumber", .integer).notNull()
            }
            try database.execute(sql: "INSERT INTO function SELECT name, max(number) FROM version GROUP BY name")
            try database.alter(table: "version") { table in
                table.add(column: "storedBytes", .integer).notNull().defaults(to: 0)
                table.add(column: "key", .text)
            }
            try database.execute(sql: "UPDATE version SET storedBytes = size")
        }
        migrator.registerMigration("3 accepted invocations") { database in
            try database.create(table: "queued") { table in
                table.primaryKey("id", .text)
                table.column("name", .text).notNull()
                table.column("number", .integer).notNull()
                table.column("event", .blob).notNull()
                table.column("traceparent", .text)
                table.column("starts", .integer).notNull().defaults(to: 0)
            }
        }
        migrator.registerMigration("4 what became of accepted invocations") { database in
            // Its own key is not the row's: rows are counted in the order in which they came.
            try database.create(table: "finished") { table in
                table.autoIncrementedPrimaryKey("position")
                table.column("id", .text).notNull().unique()
                table.column("name", .text).notNull()
                table.column("number", .integer).notNull()
                table.column("size", .integer).notNull().indexed()
                table.column("summary", .blob).notNull()
                table.column("result", .blob)
            }
        }
        return migrator
    }
}

/// Now, as RFC 3339 in UTC with milliseconds.
package func timestamp(_ date: Date = Date()) -> String {
    date.formatted(
        Date.ISO8601FormatStyle(includingFractionalSeconds: true, timeZone: TimeZone(secondsFromGMT: 0) ?? .current))
}
