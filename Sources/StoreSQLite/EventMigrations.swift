import GRDB

/// What came with retries, schedules, secrets and usage.
func registerEvents(in migrator: inout DatabaseMigrator) {
    migrator.registerMigration("10 retries and dead letters") { database in
        try database.alter(table: "queued") { table in
            table.add(column: "webhook", .text)
            table.add(column: "schedule", .text)
            table.add(column: "key", .text)
            table.add(column: "depth", .integer).notNull().defaults(to: 0)
            table.add(column: "acceptedAt", .integer).notNull().defaults(to: 0)
            table.add(column: "isRaw", .boolean).notNull().defaults(to: false)
            table.add(column: "attempts", .integer).notNull().defaults(to: 0)
            table.add(column: "notBefore", .integer).notNull().defaults(to: 0)
        }
        try database.execute(
            sql: "UPDATE queued SET starts = 0, acceptedAt = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
        )
        try database.execute(
            sql: "CREATE INDEX queuedSchedule ON queued (schedule) WHERE schedule IS NOT NULL")
        try database.create(table: "dead") { table in
            table.autoIncrementedPrimaryKey("position")
            table.column("id", .text).notNull().unique()
            table.column("name", .text).notNull().indexed()
            table.column("number", .integer).notNull()
            table.column("size", .integer).notNull().indexed()
            table.column("traceparent", .text)
            table.column("webhook", .text)
            table.column("key", .text)
            table.column("depth", .integer).notNull()
            table.column("isRaw", .boolean).notNull()
            table.column("attempts", .integer).notNull()
            table.column("acceptedAt", .integer).notNull()
            table.column("diedAt", .integer).notNull()
            table.column("summary", .blob).notNull()
            // Last: what stands before it is read without it.
            table.column("event", .blob).notNull()
        }
        try database.create(table: "kept") { table in
            table.primaryKey("key", .blob)
            table.column("request", .blob).notNull()
            table.column("name", .text).notNull().indexed()
            table.column("invocation", .text).notNull()
            table.column("head", .blob).notNull()
            table.column("body", .blob)
            table.column("size", .integer).notNull()
            table.column("expiresAt", .integer).notNull().indexed()
        }
        // What each function has of them, without counting anew at each.
        try database.execute(
            sql: """
                CREATE TABLE keptSum (name TEXT PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL);
                CREATE TRIGGER keptAdded AFTER INSERT ON kept BEGIN
                    INSERT INTO keptSum VALUES (new.name, 1, new.size)
                        ON CONFLICT (name) DO UPDATE SET count = count + 1, bytes = bytes + new.size;
                END;
                CREATE TRIGGER keptRemoved AFTER DELETE ON kept BEGIN
                    UPDATE keptSum SET count = count - 1, bytes = bytes - old.size WHERE name = old.name;
                END;
                """)
    }
    migrator.registerMigration("11 schedules") { database in
        try database.create(table: "schedule") { table in
            table.primaryKey("id", .text)
            table.column("definition", .text).notNull()
            table.column("cursor", .integer).notNull()
        }
        try database.create(table: "scheduleRun") { table in
            table.column("schedule", .text).notNull()
            table.column("due", .integer).notNull()
            table.column("at", .integer).notNull()
            table.column("kind", .text).notNull()
            table.column("invocation", .text)
            table.column("reason", .text)
            table.primaryKey(["schedule", "due"])
        }
    }
    migrator.registerMigration("12 secrets, usage and budgets") { database in
        try database.create(table: "secret") { table in
            table.primaryKey("name", .text)
            table.column("sealed", .blob).notNull()
            table.column("createdAt", .text).notNull()
            table.column("updatedAt", .text).notNull()
        }
        try database.create(table: "usage") { table in
            table.column("day", .integer).notNull()
            table.column("name", .text).notNull()
            table.column("key", .text).notNull()
            for column in ["invocations", "errors", "wall", "cpu", "bytesIn", "bytesOut"] {
                table.column(column, .integer).notNull()
            }
            table.column("gbSeconds", .double).notNull()
            table.primaryKey(["day", "name", "key"])
        }
        try database.create(table: "budget") { table in
            table.primaryKey("name", .text)
            table.column("gbSeconds", .double).notNull()
        }
    }
}
