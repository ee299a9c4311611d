import Foundation
package import FunctionModel
import GRDB
package import Store

extension SQLiteStore {
    package func traffic() throws -> [StoredTraffic] {
        try database.read { database in
            try Row.fetchAll(database, sql: "SELECT name, aliases, keep, settings FROM function").compactMap { row in
                try FunctionName(row["name"] as String).map {
                    StoredTraffic(
                        function: $0, aliases: try Self.aliases(row["aliases"]), keep: row["keep"],
                        settings: try Self.settings(row["settings"]))
                }
            }
        }
    }

    package func changeTraffic<Value: Sendable>(
        of name: FunctionName, decide: @escaping @Sendable (inout Traffic, _ awaited: Set<Int>) throws -> Value,
        committed: @escaping @Sendable (Traffic) -> Void
    ) async throws -> Value? {
        try await database.write { database in
            guard var traffic = try Self.traffic(of: name, in: database) else { return nil }
            let before = traffic
            let value = try decide(&traffic, try Self.awaited(of: name, in: database))
            let gone = Set(before.numbers).subtracting(traffic.numbers)
            try Self.write(traffic, without: Array(gone), of: name, in: database)
            database.afterNextTransaction { [traffic] _ in committed(traffic) }
            return value
        }
    }

    // MARK: - In a transaction

    /// Nil when there is no version.
    static func traffic(of name: FunctionName, in database: Database) throws -> Traffic? {
        let rows = try Row.fetchAll(
            database, sql: "SELECT number, createdAt, published FROM version WHERE name = ? ORDER BY number",
            arguments: [name.text])
        guard let newest = rows.last else { return nil }
        let known = try Row.fetchOne(
            database, sql: "SELECT aliases, keep, settings FROM function WHERE name = ?", arguments: [name.text])
        return Traffic(
            numbers: rows.map { $0["number"] }, unpublished: newest["published"] ? nil : newest["number"],
            aliases: try aliases(known?["aliases"]), keep: known?["keep"],
            settings: try settings(known?["settings"]),
            createdAt: newest["createdAt"])
    }

    static func awaited(of name: FunctionName, in database: Database) throws -> Set<Int> {
        let sql = """
            SELECT number FROM queued WHERE name = ?1
            UNION SELECT number FROM mapping WHERE name = ?1 AND number IS NOT NULL
            """
        return try Set(Int.fetchAll(database, sql: sql, arguments: [name.text]))
    }

    static func write(
        _ traffic: Traffic, without gone: [Int], of name: FunctionName, in database: Database
    ) throws {
        for number in gone {
            try database.execute(
                sql: "DELETE FROM version WHERE name = ? AND number = ?", arguments: [name.text, number])
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let aliases = try encoder.encode(traffic.aliases.values.sorted { $0.name < $1.name })
        try database.execute(
            sql: "UPDATE function SET aliases = ?, settings = ? WHERE name = ?",
            arguments: [
                String(decoding: aliases, as: UTF8.self),
                String(decoding: try encoder.encode(traffic.settings), as: UTF8.self), name.text,
            ])
    }

    static func write(keep: Int, of name: FunctionName, in database: Database) throws {
        try database.execute(sql: "UPDATE function SET keep = ? WHERE name = ?", arguments: [keep, name.text])
    }

    private static func settings(_ text: String?) throws -> FunctionSettings {
        try text.map { try JSONDecoder().decode(FunctionSettings.self, from: Data($0.utf8)) } ?? FunctionSettings()
    }

    private static func aliases(_ text: String?) throws -> [Alias] {
        try text.map { try JSONDecoder().decode([Alias].self, from: Data($0.utf8)) } ?? []
    }
}
