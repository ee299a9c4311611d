import GRDB
package import Store

extension SQLiteStore {
    package func keyUses() throws -> [KeyUse] {
        try database.read { database in
            try Row.fetchAll(
                database, sql: "SELECT id, usedWindow, usedCount FROM key WHERE usedWindow IS NOT NULL"
            ).map { KeyUse(id: $0["id"], window: $0["usedWindow"], count: $0["usedCount"]) }
        }
    }

    package func set(_ uses: [KeyUse]) async throws {
        try await database.write { database in
            for use in uses {
                try database.execute(
                    sql: "UPDATE key SET usedWindow = ?, usedCount = ? WHERE id = ?",
                    arguments: [use.window, use.count, use.id])
            }
        }
    }

    // MARK: - What was changed

    /// Entries that are kept.
    private static let maxAudit = 100_000

    package func append(_ entry: AuditEntry) async throws {
        try await database.write { database in
            try database.execute(
                sql: "INSERT INTO audit (time, key, name, action, target, \"from\") VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [entry.time, entry.key, entry.name, entry.action, entry.target, entry.from])
            let position = database.lastInsertedRowID
            guard position % 1000 == 0 else { return }
            try database.execute(
                sql: "DELETE FROM audit WHERE position <= ?", arguments: [position - Int64(Self.maxAudit)])
        }
    }

    package func audit(before: Int64?, limit: Int) async throws -> [AuditEntry] {
        try await database.read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM audit WHERE position < ? ORDER BY position DESC LIMIT ?",
                arguments: [before ?? .max, limit]
            ).map {
                AuditEntry(
                    position: $0["position"], time: $0["time"], key: $0["key"], name: $0["name"],
                    action: $0["action"], target: $0["target"], from: $0["from"])
            }
        }
    }
}
