import Foundation
package import FunctionModel
import GRDB
import Store

extension SQLiteStore {
    package func routes() throws -> [Route] {
        try database.read { database in
            try String.fetchAll(database, sql: "SELECT definition FROM route").map(Self.route)
        }
    }

    package func put(
        _ route: Route, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool {
        try await database.write { database in
            let old = try Self.route(route.id, in: database)
            try precondition?.check(old?.tag)
            let twin = try Row.fetchOne(
                database, sql: "SELECT id, definition FROM route WHERE shape = ? AND id <> ?",
                arguments: [route.shape, route.id])
            if let twin {
                let pattern = try Self.route(twin["definition"]).pattern
                throw Failure(
                    .conflict,
                    "the route \"\(twin["id"] as String)\" (\(pattern)) answers the same requests; delete it first, or change it"
                )
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            try database.execute(
                sql: "INSERT INTO route (id, shape, definition) VALUES (?, ?, ?) "
                    + "ON CONFLICT (id) DO UPDATE SET shape = excluded.shape, definition = excluded.definition",
                arguments: [route.id, route.shape, String(decoding: try encoder.encode(route), as: UTF8.self)])
            database.afterNextTransaction { _ in committed() }
            return old == nil
        }
    }

    package func removeRoute(
        _ id: String, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool {
        try await database.write { database in
            guard let old = try Self.route(id, in: database) else { return false }
            try precondition?.check(old.tag)
            try database.execute(sql: "DELETE FROM route WHERE id = ?", arguments: [id])
            database.afterNextTransaction { _ in committed() }
            return true
        }
    }

    private static func route(_ id: String, in database: Database) throws -> Route? {
        try String.fetchOne(database, sql: "SELECT definition FROM route WHERE id = ?", arguments: [id]).map(route)
    }

    private static func route(_ definition: String) throws -> Route {
        try JSONDecoder().decode(Route.self, from: Data(definition.utf8))
    }
}
