import GRDB
package import Store

/// See `SecretStore`.
package final class SQLiteSecrets: SecretStore {
    private let database: DatabasePool

    init(_ database: DatabasePool) { self.database = database }

    package func secrets() throws -> [SealedSecret] {
        try database.read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM secret ORDER BY name").map {
                SealedSecret(
                    name: $0["name"], sealed: $0["sealed"], createdAt: $0["createdAt"], updatedAt: $0["updatedAt"])
            }
        }
    }

    package func put(_ secret: SealedSecret) async throws -> Bool {
        try await database.write { database in
            let isThere =
                try Bool.fetchOne(
                    database, sql: "SELECT EXISTS (SELECT 1 FROM secret WHERE name = ?)", arguments: [secret.name])
                ?? false
            try database.execute(
                sql: "INSERT INTO secret (name, sealed, createdAt, updatedAt) VALUES (?, ?, ?, ?) "
                    + "ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, updatedAt = excluded.updatedAt",
                arguments: [secret.name, secret.sealed, secret.createdAt, secret.updatedAt])
            return !isThere
        }
    }

    package func removeSecret(_ name: String) async throws -> Bool {
        try await database.write { database in
            try database.execute(sql: "DELETE FROM secret WHERE name = ?", arguments: [name])
            return database.changesCount > 0
        }
    }

    package func replace(_ secrets: [SealedSecret]) throws {
        try database.write { database in
            for secret in secrets {
                try database.execute(
                    sql: "UPDATE secret SET sealed = ? WHERE name = ?", arguments: [secret.sealed, secret.name])
            }
        }
    }
}
