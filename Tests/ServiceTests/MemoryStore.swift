import Foundation
import FunctionModel
import Store
import Synchronization

/// A store that keeps nothing beyond itself, for tests of who stands on one. It can be told to fail.
final class MemoryStore: Store {
    private struct State {
        var versions: [FunctionVersion] = []
        var lastNumbers: [FunctionName: Int] = [:]
        var traffic: [FunctionName: Traffic] = [:]
        var routes: [String: Route] = [:]
        var keys: [AccessKey] = []
        var uses: [String: KeyUse] = [:]
        var audit: [AuditEntry] = []
        var fails = false
    }

    struct Failed: Error {}

    private let state = Mutex(State())

    var fails: Bool {
        get { state.withLock { $0.fails } }
        set { state.withLock { $0.fails = newValue } }
    }

    private func change<Value: Sendable>(_ change: (inout State) throws -> Value) throws -> Value {
        try state.withLock { state in
            if state.fails { throw Failed() }
            return try change(&state)
        }
    }

    func versions() throws -> [FunctionVersion] { try change { $0.versions } }

    func commit(
        _ draft: VersionDraft, committed: @escaping @Sendable (FunctionVersion, Traffic) -> Void
    ) async throws -> (FunctionVersion, isNew: Bool) {
        try change { state in
            let own = state.versions.filter { $0.name == draft.name }
            try draft.precondition?.check(own.last.map { "\($0.revision)" })
            if let newest = own.last, newest.sha256 == draft.sha256, newest.manifest == draft.manifest,
                newest.isPublished || !draft.isPublished
            {
                return (newest, false)
            }
            let replaced = own.last.flatMap { $0.isPublished ? nil : $0.number }
            state.versions.removeAll { $0.name == draft.name && $0.number == replaced }
            let version = draft.version(
                number: replaced ?? (state.lastNumbers[draft.name] ?? 0) + 1, createdAt: "2026-01-01T00:00:00.000Z")
            state.lastNumbers[draft.name] = version.number
            var traffic = state.traffic[draft.name] ?? Traffic(numbers: [])
            let surplus = traffic.add(
                version.number, isPublished: draft.isPublished, keep: draft.keep, awaited: [], now: version.createdAt)
            state.versions.removeAll { $0.name == draft.name && surplus.contains($0.number) }
            state.versions.append(version)
            state.traffic[draft.name] = traffic
            committed(version, traffic)
            return (version, true)
        }
    }

    func traffic() throws -> [StoredTraffic] {
        try change { state in
            state.traffic.map {
                StoredTraffic(
                    function: $0, aliases: Array($1.aliases.values), keep: $1.keep, settings: $1.settings)
            }
        }
    }

    func changeTraffic<Value: Sendable>(
        of name: FunctionName, decide: @escaping @Sendable (inout Traffic, _ awaited: Set<Int>) throws -> Value,
        committed: @escaping @Sendable (Traffic) -> Void
    ) async throws -> Value? {
        try change { state in
            guard var traffic = state.traffic[name] else { return nil }
            let value = try decide(&traffic, [])
            state.traffic[name] = traffic
            state.versions.removeAll { $0.name == name && !traffic.numbers.contains($0.number) }
            committed(traffic)
            return value
        }
    }

    func removeFunction(
        _ name: FunctionName, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool {
        try change { state in
            if let newest = state.versions.last(where: { $0.name == name }) {
                try precondition?.check("\(newest.revision)")
            }
            state.traffic[name] = nil
            let before = state.versions.count
            state.versions.removeAll { $0.name == name }
            committed()
            return state.versions.count < before
        }
    }

    func routes() throws -> [Route] { try change { Array($0.routes.values) } }
    func put(
        _ route: Route, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool {
        try change { state in
            try precondition?.check(state.routes[route.id]?.tag)
            if state.routes.values.contains(where: { $0.shape == route.shape && $0.id != route.id }) {
                throw Failure(.conflict, "a twin")
            }
            defer { committed() }
            return state.routes.updateValue(route, forKey: route.id) == nil
        }
    }
    func removeRoute(
        _ id: String, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool {
        try change { state in
            guard let old = state.routes[id] else { return false }
            try precondition?.check(old.tag)
            state.routes[id] = nil
            committed()
            return true
        }
    }

    func keys() throws -> [AccessKey] { try change { $0.keys } }
    func add(_ key: AccessKey) async throws { try change { $0.keys.append(key) } }
    func removeKey(id: String) async throws -> Bool {
        try change { state in
            let before = state.keys.count
            state.keys.removeAll { $0.id == id }
            return state.keys.count < before
        }
    }

    func keyUses() throws -> [KeyUse] { try change { Array($0.uses.values) } }
    func set(_ uses: [KeyUse]) async throws { try change { state in for use in uses { state.uses[use.id] = use } } }

    func append(_ entry: AuditEntry) async throws {
        try change { state in
            state.audit.append(
                AuditEntry(
                    position: Int64(state.audit.count + 1), time: entry.time, key: entry.key, name: entry.name,
                    action: entry.action, target: entry.target, from: entry.from))
        }
    }
    func audit(before: Int64?, limit: Int) async throws -> [AuditEntry] {
        try change { state in
            Array(state.audit.filter { $0.position < before ?? .max }.reversed().prefix(limit))
        }
    }
}
