import GRDB

/// A catalogue as it was written before versions had revisions.
enum OldCatalogue {
    static func write(to path: String) throws {
        let database = try DatabaseQueue(path: path)
        try database.write { database in
            try database.execute(
                sql: """
                    CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
                    INSERT INTO grdb_migrations VALUES ('1 functions and keys'), ('2 numbers for ever, sizes and owners'),
                        ('3 accepted invocations'), ('4 what became of accepted invocations');
                    CREATE TABLE version (name TEXT NOT NULL, number INTEGER NOT NULL, sha256 TEXT NOT NULL,
                        size INTEGER NOT NULL, bundle TEXT NOT NULL, createdAt TEXT NOT NULL, manifest TEXT NOT NULL,
                        executable TEXT, storedBytes INTEGER NOT NULL DEFAULT 0, key TEXT, PRIMARY KEY (name, number));
                    CREATE TABLE key (id TEXT PRIMARY KEY, name TEXT NOT NULL, scope TEXT NOT NULL,
                        createdAt TEXT NOT NULL, hash TEXT NOT NULL UNIQUE);
                    CREATE TABLE function (name TEXT PRIMARY KEY, lastNumber INTEGER NOT NULL);
                    CREATE TABLE queued (id TEXT PRIMARY KEY, name TEXT NOT NULL, number INTEGER NOT NULL,
                        event BLOB NOT NULL, traceparent TEXT, starts INTEGER NOT NULL DEFAULT 0);
                    CREATE TABLE finished (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
                        name TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, summary BLOB NOT NULL,
                        result BLOB);
                    INSERT INTO version VALUES
                        ('a', 1, 's', 1, 'b', '2026-01-01T00:00:00.000Z',
                         '{"name":"a","runtime":"native","run":"./x","root":"auto","args":[],"mode":"command","auth":"token","env":{},"limits":{"memory":"64MiB"},"concurrency":{"max":5},"lock":false,"allow":{}}',
                         NULL, 1, NULL),
                        ('a', 2, 't', 1, 'b', '2026-01-02T00:00:00.000Z',
                         '{"name":"a","runtime":"native","run":"./x","root":"auto","args":[],"mode":"command","auth":"token","env":{},"limits":{},"concurrency":{},"allow":{}}',
                         NULL, 1, NULL);
                    INSERT INTO function VALUES ('a', 2);
                    INSERT INTO queued VALUES ('i', 'a', 1, '{}', 't', 7), ('h', 'a', 2, '', NULL, 0);
                    """)
        }
    }
}
