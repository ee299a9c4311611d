import FunctionModel
import GRDB

/// The schema, as it came about; what has been released is never changed.
var migrator: DatabaseMigrator {
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
    migrator.registerMigration("5 revisions") { database in
        try database.alter(table: "version") { table in
            table.add(column: "revision", .text).notNull().defaults(to: "")
        }
        for row in try Int64.fetchAll(database, sql: "SELECT rowid FROM version") {
            try database.execute(
                sql: "UPDATE version SET revision = ? WHERE rowid = ?", arguments: ["\(RevisionID())", row])
        }
        try database.create(index: "revision", on: "version", columns: ["revision"], options: .unique)
    }
    migrator.registerMigration("6 aliases") { database in
        try database.alter(table: "function") { table in
            table.add(column: "aliases", .text)
            table.add(column: "keep", .integer)
        }
    }
    migrator.registerMigration("7 what keys are for") { database in
        try database.alter(table: "key") { table in
            table.add(column: "functions", .text)
            table.add(column: "rate", .text)
            table.add(column: "expiresAt", .integer)
        }
    }
    migrator.registerMigration("8 quotas, and who changed what") { database in
        try database.alter(table: "key") { table in
            table.add(column: "quota", .text)
            table.add(column: "usedWindow", .integer)
            table.add(column: "usedCount", .integer)
        }
        try database.create(table: "audit") { table in
            table.autoIncrementedPrimaryKey("position")
            for column in ["time", "key", "name", "action", "target", "from"] { table.column(column, .text).notNull() }
        }
    }
    migrator.registerMigration("9 routes") { database in
        try database.create(table: "route") { table in
            table.primaryKey("id", .text)
            table.column("shape", .text).notNull().unique()
            table.column("definition", .text).notNull()
        }
    }
    registerEvents(in: &migrator)
    return migrator
}
