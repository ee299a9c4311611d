extension Manifest: Codable {
    // One shape for the API's JSON and the catalogue's: the contract's keys with the contract's units.
    private enum Keys: String, CodingKey {
        case name, runtime, run, handler, root, args, mode, auth, env, limits, concurrency, lock, allow
    }
    private enum LimitKeys: String, CodingKey {
        case wall, `init`, cpu, memory, processes, threads, output, log, scratch
    }
    private enum ConcurrencyKeys: String, CodingKey { case max, warm, reuse, idle }
    private enum GrantKeys: String, CodingKey { case filesRead = "files.read" }

    package func encode(to encoder: any Encoder) throws {
        var root = encoder.container(keyedBy: Keys.self)
        try root.encodeIfPresent(name?.text, forKey: .name)
        try root.encode(runtime.rawValue, forKey: .runtime)
        try root.encodeIfPresent(run.map { "./" + $0 }, forKey: .run)
        try root.encodeIfPresent(handler, forKey: .handler)
        try root.encode(self.root.text, forKey: .root)
        try root.encode(args, forKey: .args)
        try root.encode(mode.rawValue, forKey: .mode)
        try root.encode(auth.rawValue, forKey: .auth)
        try root.encode(env, forKey: .env)
        var limit = root.nestedContainer(keyedBy: LimitKeys.self, forKey: .limits)
        try limit.encode(limits.wall.description, forKey: .wall)
        try limit.encode(limits.initialization.description, forKey: .`init`)
        try limit.encode(limits.effectiveCPU.description, forKey: .cpu)
        try limit.encode(limits.memory.description, forKey: .memory)
        try limit.encode(limits.effectiveProcesses, forKey: .processes)
        try limit.encodeIfPresent(limits.threads ?? (limits.effectiveProcesses == 1 ? 64 : nil), forKey: .threads)
        try limit.encode(limits.output.description, forKey: .output)
        try limit.encode(limits.log.description, forKey: .log)
        try limit.encode(effectiveScratch.description, forKey: .scratch)
        var pool = root.nestedContainer(keyedBy: ConcurrencyKeys.self, forKey: .concurrency)
        try pool.encode(concurrency.max, forKey: .max)
        try pool.encode(concurrency.warm, forKey: .warm)
        try pool.encode(concurrency.reuse, forKey: .reuse)
        try pool.encode(concurrency.idle.description, forKey: .idle)
        try root.encode(lock, forKey: .lock)
        var grants = root.nestedContainer(keyedBy: GrantKeys.self, forKey: .allow)
        if !allow.filesRead.isEmpty { try grants.encode(allow.filesRead, forKey: .filesRead) }
    }

    package init(from decoder: any Decoder) throws {
        self.init()
        let root = try decoder.container(keyedBy: Keys.self)
        func text<Key>(_ container: KeyedDecodingContainer<Key>, _ key: Key, _ path: String) throws {
            guard let text = try container.decodeIfPresent(String.self, forKey: key) else { return }
            try set(path, .text(text))
        }
        func number<Key>(_ container: KeyedDecodingContainer<Key>, _ key: Key, _ path: String) throws {
            guard let number = try container.decodeIfPresent(Int.self, forKey: key) else { return }
            try set(path, .text(String(number)))
        }
        for key in [Keys.name, .runtime, .run, .handler, .root, .mode, .auth] { try text(root, key, key.rawValue) }
        lock = try root.decodeIfPresent(Bool.self, forKey: .lock) ?? false
        try set("args", .list(root.decode([String].self, forKey: .args)))
        try set("env", .table(root.decode([String: String].self, forKey: .env)))
        let limit = try root.nestedContainer(keyedBy: LimitKeys.self, forKey: .limits)
        for key in [LimitKeys.wall, .`init`, .cpu, .memory, .output, .log, .scratch] {
            try text(limit, key, "limits.\(key.rawValue)")
        }
        for key in [LimitKeys.processes, .threads] { try number(limit, key, "limits.\(key.rawValue)") }
        let pool = try root.nestedContainer(keyedBy: ConcurrencyKeys.self, forKey: .concurrency)
        for key in [ConcurrencyKeys.max, .warm, .reuse] { try number(pool, key, "concurrency.\(key.rawValue)") }
        try text(pool, .idle, "concurrency.idle")
        let grants = try root.nestedContainer(keyedBy: GrantKeys.self, forKey: .allow)
        try set("allow.files.read", .list(grants.decodeIfPresent([String].self, forKey: .filesRead) ?? []))
    }

    private mutating func set(_ path: String, _ value: ManifestField.Value) throws {
        guard let field = ManifestField.byPath[path], field.set(&self, value) else {
            throw ManifestError("stored manifest: \(path) is not accepted")
        }
    }
}
