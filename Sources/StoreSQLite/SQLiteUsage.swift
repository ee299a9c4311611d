package import FunctionModel
import GRDB
package import Store

/// See `UsageStore`.
package final class SQLiteUsage: UsageStore {
    private let database: DatabasePool
    private let group: GroupCommit

    init(_ database: DatabasePool, _ group: GroupCommit) { (self.database, self.group) = (database, group) }

    package func addUsage(_ usage: [UsageKey: UsageSum]) async throws {
        try await group.write { database in
            for (key, sum) in usage {
                try database.execute(
                    sql: """
                        INSERT INTO usage (day, name, key, invocations, errors, wall, cpu, bytesIn, bytesOut, gbSeconds)
                        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                        ON CONFLICT (day, name, key) DO UPDATE SET invocations = invocations + excluded.invocations,
                            errors = errors + excluded.errors, wall = wall + excluded.wall, cpu = cpu + excluded.cpu,
                            bytesIn = bytesIn + excluded.bytesIn, bytesOut = bytesOut + excluded.bytesOut,
                            gbSeconds = gbSeconds + excluded.gbSeconds
                        """,
                    arguments: [
                        key.day, key.function.text, key.key, sum.invocations, sum.errors, sum.wall, sum.cpu,
                        sum.bytesIn, sum.bytesOut, sum.gbSeconds,
                    ])
            }
        }
    }

    package func usage(from: Int, to: Int) async throws -> [UsageKey: UsageSum] {
        try await database.read { database in
            var all: [UsageKey: UsageSum] = [:]
            let rows = try Row.fetchCursor(
                database, sql: "SELECT * FROM usage WHERE day BETWEEN ? AND ?", arguments: [from, to])
            while let row = try rows.next() {
                guard let name = FunctionName(row["name"] as String) else { continue }
                var sum = UsageSum()
                sum.invocations = row["invocations"]
                sum.errors = row["errors"]
                sum.wall = row["wall"]
                sum.cpu = row["cpu"]
                sum.gbSeconds = row["gbSeconds"]
                sum.bytesIn = row["bytesIn"]
                sum.bytesOut = row["bytesOut"]
                all[UsageKey(function: name, key: row["key"], day: row["day"])] = sum
            }
            return all
        }
    }

    package func spent(from: Int) throws -> [FunctionName: Double] {
        try database.read { database in
            try Self.numbers(
                Row.fetchAll(
                    database, sql: "SELECT name, sum(gbSeconds) AS value FROM usage WHERE day >= ? GROUP BY name",
                    arguments: [from]))
        }
    }

    package func budgets() throws -> [FunctionName: Double] {
        try database.read { try Self.numbers(Row.fetchAll($0, sql: "SELECT name, gbSeconds AS value FROM budget")) }
    }

    private static func numbers(_ rows: [Row]) -> [FunctionName: Double] {
        Dictionary(rows.compactMap { row in FunctionName(row["name"] as String).map { ($0, row["value"]) } }) { $1 }
    }

    package func set(budget: Double?, of name: FunctionName) async throws {
        try await database.write { database in
            if let budget {
                try database.execute(
                    sql: "INSERT OR REPLACE INTO budget (name, gbSeconds) VALUES (?, ?)",
                    arguments: [name.text, budget])
            } else {
                try database.execute(sql: "DELETE FROM budget WHERE name = ?", arguments: [name.text])
            }
        }
    }
}
