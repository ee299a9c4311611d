package import FunctionModel
package import Store
import Synchronization

/// Functions, their versions and aliases: in the store for good, in memory for reading.
package final class Catalogue: Sendable {
    let store: any Store
    private let state: Mutex<Snapshot>
    private let provisioned = Mutex<@Sendable (FunctionName) -> Void>({ _ in })

    /// Blocks.
    /// - Throws: what the store says.
    package init(store: any Store) throws {
        self.store = store
        state = Mutex(Snapshot(try store.versions(), try store.traffic(), routes: try store.routes()))
    }

    /// Asked for each invocation.
    package func reservedConcurrency(of name: FunctionName) -> Int? {
        state.withLock { $0.settings(of: name).reservedConcurrency }
    }

    /// Asked for each asynchronous invocation.
    package func asyncRules(of version: FunctionVersion) -> AsyncRules {
        state.withLock { $0.asyncRules(of: version) }
    }

    /// How many workers of this version are kept started, while it is served.
    package func keptWorkers(of version: FunctionVersion) -> Int { state.withLock { $0.keptWorkers(of: version) } }

    /// - Parameter provisioned: told when other workers of a function are to be kept started than before.
    package func tell(_ provisioned: @escaping @Sendable (FunctionName) -> Void) {
        self.provisioned.withLock { $0 = provisioned }
    }

    func change(_ change: (inout Snapshot) -> Void) { state.withLock { change(&$0) } }

    /// What is served now. Later changes do not show in it.
    package var snapshot: Snapshot { state.withLock { $0 } }

    // MARK: - Versions

    /// Enters what was uploaded as its function's next version, unless its newest is the same.
    /// - Parameter held: whether `live`, if it follows the newest version, goes on to serve what it serves until `release`.
    /// - Returns: the version, and whether it is new.
    /// - Throws: `PreconditionFailed`, or what the store says.
    package func add(_ draft: VersionDraft, held: Bool = false) async throws -> (FunctionVersion, isNew: Bool) {
        try await store.commit(draft) { [self] version, traffic in
            state.withLock { $0.add(version, traffic, held: held) }
        }
    }

    /// Whoever is sent to this version, or a newer one, goes there from now on.
    package func release(_ version: FunctionVersion) { state.withLock { $0.release(version) } }

    /// - Returns: false when there was no such function.
    /// - Throws: `PreconditionFailed`, or what the store says.
    package func remove(_ name: FunctionName, _ precondition: Precondition? = nil) async throws -> Bool {
        try await store.removeFunction(name, precondition) { [self] in state.withLock { $0.remove(name) } }
    }

    /// - Throws: `Failure` not_found, or conflict while an alias names it or accepted invocations wait for it.
    package func removeVersion(_ number: Int, of name: FunctionName) async throws {
        try await change(name) { traffic, awaited in try traffic.remove(number, of: name, awaited: awaited) }
    }

    // MARK: - Aliases

    /// - Parameter precondition: on the alias as it is.
    /// - Returns: the alias, and whether it is new.
    /// - Throws: `Failure` not_found, invalid_request or conflict, `PreconditionFailed`, or what the store says.
    package func put(
        _ alias: Alias, of name: FunctionName, _ precondition: Precondition? = nil
    ) async throws -> (Alias, isNew: Bool) {
        try await change(name) { traffic, _ in
            try precondition?.check(traffic.aliases[alias.name].map(\.tag))
            let isNew = try traffic.put(alias, of: name)
            return (traffic.aliases[alias.name] ?? alias, isNew)
        }
    }

    /// - Throws: as `put`.
    package func removeAlias(
        _ alias: String, of name: FunctionName, _ precondition: Precondition? = nil
    ) async throws {
        try await change(name) { traffic, _ in
            if traffic.aliases[alias] != nil { try precondition?.check(traffic.aliases[alias].map(\.tag)) }
            try traffic.remove(alias, of: name)
        }
    }

    /// Pins `live` to what it served before, or to `number`.
    /// - Throws: as `put`.
    package func rollBack(
        _ name: FunctionName, to number: Int?, now: String, _ precondition: Precondition? = nil
    ) async throws -> Alias {
        try await change(name) { traffic, _ in
            try precondition?.check(traffic.live.tag)
            try traffic.rollBack(to: number, of: name, now: now)
            return traffic.live
        }
    }

    /// - Parameter qualifier: what the change is of: an alias, a version's number, or `FunctionVersion.latestLabel`. It is there when
    ///   the change is made, or there is none.
    /// - Throws: `Failure` not_found, what `change` throws, or what the store says.
    @discardableResult
    package func changeSettings<Value: Sendable>(
        of name: FunctionName, for qualifier: String = FunctionVersion.latestLabel,
        _ change: @escaping @Sendable (inout FunctionSettings) throws -> Value
    ) async throws -> Value {
        let (value, isProvisionedAnew) = try await self.change(name) { traffic, _ in
            try traffic.require(qualifier, of: name)
            let before = traffic.settings
            let value = try change(&traffic.settings)
            try traffic.settings.checkGrowth(since: before)
            return (value, traffic.settings.provisioned != before.provisioned)
        }
        if isProvisionedAnew { provisioned.withLock { $0 }(name) }
        return value
    }

    private func change<Value: Sendable>(
        _ name: FunctionName, _ decide: @escaping @Sendable (inout Traffic, _ awaited: Set<Int>) throws -> Value
    ) async throws -> Value {
        let value = try await store.changeTraffic(of: name, decide: decide) { [self] traffic in
            state.withLock { $0.set(traffic, of: name) }
        }
        guard let value else { throw Snapshot.unknown(name) }
        return value
    }
}
