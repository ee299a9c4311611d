import GRDB

/// What came with retries, schedules, secrets and usage.
func registerEvents(in migrator: inout DatabaseMigrator) {
    migrator.registerMigration("10 retries and dead letters") { database in
        // Made anew, with the event last: what stands before it is read without it.
        try database.execute(sql: "ALTER TABLE queued RENAME TO oldQueued")
        try database.create(table: "queued") { table in
            table.primaryKey("id", .text)
            table.column("name", .text).notNull()
            table.column("number", .integer).notNull()
            for column in ["traceparent", "webhook", "schedule", "key"] { table.column(column, .text) }
            for column in ["depth", "acceptedAt", "size", "attempts", "starts", "notBefore"] {
                table.column(column, .integer).notNull().defaults(to: 0)
            }
            table.column("isRaw", .boolean).notNull().defaults(to: false)
            table.column("event", .blob).notNull()
        }
        try database.execute(
            sql: """
                INSERT INTO queued (id, name, number, traceparent, acceptedAt, size, event)
                SELECT id, name, number, traceparent,
                    CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), length(event), event
                FROM oldQueued ORDER BY rowid;
                DROP TABLE oldQueued;
                """)
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
    migrator.registerMigration("13 results grow old") { database in
        // What is there is as old as this.
        try database.execute(
            sql: """
                ALTER TABLE finished ADD COLUMN endedAt INTEGER NOT NULL DEFAULT 0;
                UPDATE finished SET endedAt = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER);
                CREATE INDEX finishedAt ON finished (endedAt);
                """)
    }
    migrator.registerMigration("14 revisions without a number, functions' settings") { database in
        try database.execute(
            sql: """
                ALTER TABLE version ADD COLUMN published INTEGER NOT NULL DEFAULT 1;
                ALTER TABLE function ADD COLUMN settings TEXT;
                """)
    }
    migrator.registerMigration("15 queues by name, and who gets what waits in them") { database in
        // How much each holds, without counting anew at each message.
        try database.execute(
            sql: """
                CREATE TABLE queue (name TEXT PRIMARY KEY, definition BLOB NOT NULL);
                CREATE TABLE mapping (
                    id TEXT PRIMARY KEY, queue TEXT NOT NULL, name TEXT NOT NULL, number INTEGER, definition BLOB NOT NULL,
                    UNIQUE (queue, name));
                CREATE TABLE message (
                    position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, queue TEXT NOT NULL,
                    sentAt INTEGER NOT NULL, visibleAt INTEGER NOT NULL, receives INTEGER NOT NULL,
                    firstReceivedAt INTEGER, size INTEGER NOT NULL, body BLOB NOT NULL);
                CREATE INDEX messageVisible ON message (queue, visibleAt, position, receives, sentAt, size);
                CREATE INDEX messageSent ON message (queue, sentAt, visibleAt);
                CREATE INDEX messageOrder ON message (queue, position);
                CREATE TABLE messageSum (name TEXT PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL);
                CREATE TRIGGER messageAdded AFTER INSERT ON message BEGIN
                    INSERT INTO messageSum VALUES (new.queue, 1, new.size)
                        ON CONFLICT (name) DO UPDATE SET count = count + 1, bytes = bytes + new.size;
                END;
                CREATE TRIGGER messageRemoved AFTER DELETE ON message BEGIN
                    UPDATE messageSum SET count = count - 1, bytes = bytes - old.size WHERE name = old.queue;
                END;
                CREATE TRIGGER messageMoved AFTER UPDATE OF queue ON message BEGIN
                    UPDATE messageSum SET count = count - 1, bytes = bytes - old.size WHERE name = old.queue;
                    INSERT INTO messageSum VALUES (new.queue, 1, new.size)
                        ON CONFLICT (name) DO UPDATE SET count = count + 1, bytes = bytes + new.size;
                END;
                """)
    }
}
