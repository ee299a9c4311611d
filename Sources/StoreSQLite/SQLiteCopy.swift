import Foundation
package import FunctionModel
import GRDB

/// A database file as whoever keeps it looks at it, beside a host that may use it.
package struct SQLiteCopy {
    private let path: String

    /// - Parameter path: of a file that is there; it is not changed.
    package init(path: String) { self.path = path }

    /// Copies all of it, as it is at one moment. Blocks.
    /// - Throws: what SQLite says.
    package func write(to target: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(30)
        let source = try DatabaseQueue(path: path, configuration: configuration)
        let copy = try DatabaseQueue(path: target)
        try source.backup(to: copy)
        // One file is all of it.
        try copy.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
        try copy.close()
    }

    /// What is wrong with the file; and the versions that stand in it. Blocks.
    /// - Throws: what SQLite says.
    package func examine() throws -> (problems: [String], versions: [FunctionVersion]) {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(30)
        let database = try DatabaseQueue(path: path, configuration: configuration)
        return try database.read { database in
            let said = try String.fetchAll(database, sql: "PRAGMA integrity_check")
            var problems = said == ["ok"] ? [] : said
            let known = migrator.migrations
            let unknown = try migrator.appliedIdentifiers(database).filter { !known.contains($0) }
            if !unknown.isEmpty {
                problems.append("it is of a later host: \(unknown.sorted().joined(separator: ", "))")
            }
            guard try migrator.hasCompletedMigrations(database) || !unknown.isEmpty else {
                return (["it is of an older host: start this one with it once, which carries it on"], [])
            }
            var versions: [FunctionVersion] = []
            for row in try VersionRecord.fetchAll(database) {
                do {
                    versions.append(try row.version())
                } catch {
                    problems.append("version \(row.number) of \(row.name): \(error)")
                }
            }
            return (problems, versions)
        }
    }
}
