package import Bundles
package import Catalogue
import Foundation
package import FunctionModel
package import HostSystem
package import Logging
package import Runtimes
import Sandbox
import Store
import Synchronization
import WireText

/// How a function comes and goes: arrive, check, compile its plan, commit, tell whoever serves. What cannot work is refused before
/// anything is committed.
package final class Deployment: Sendable {
    /// What of others it needs, handed in: a service does not know its neighbours.
    package struct Others: Sendable {
        /// Of this function other versions are served than before. What is served no more may end.
        package var served: @Sendable (FunctionName) -> Void
        /// Starts the workers that a version keeps warm, and waits until they are there, or until that takes too long.
        package var warm: @Sendable (FunctionVersion) async -> Void
        /// The function is gone.
        package var removed: @Sendable (FunctionName) -> Void
        /// Bundles that workers or what waits for one still use.
        package var bundlesInUse: @Sendable () -> Set<String>

        package init(
            served: @escaping @Sendable (FunctionName) -> Void,
            warm: @escaping @Sendable (FunctionVersion) async -> Void = { _ in },
            removed: @escaping @Sendable (FunctionName) -> Void,
            bundlesInUse: @escaping @Sendable () -> Set<String>
        ) {
            self.served = served
            self.warm = warm
            self.removed = removed
            self.bundlesInUse = bundlesInUse
        }
    }

    package struct Limits: Sendable {
        /// Bytes of an upload.
        package var maxUpload = 64 << 20
        /// Bytes of memory that all workers together may use: what one may not ask for more than.
        package var memoryBudget = Int.max
        package var quota = StorageQuota()

        package init() {}
    }

    package let limits: Limits
    package let runtimes: Runtimes
    private let catalogue: Catalogue
    private let bundles: BundleStore
    private let plans: LaunchPlans
    private let secrets: Secrets
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var others = Others(served: { _ in }, removed: { _ in }, bundlesInUse: { [] })
        var wantsCollection = false
    }

    /// Sweeps up what no version names. Blocks.
    /// - Throws: what the file system says.
    package init(
        catalogue: Catalogue, bundles: BundleStore, runtimes: Runtimes, secrets: Secrets = .none, limits: Limits,
        logger: Logger
    ) throws {
        self.secrets = secrets
        self.catalogue = catalogue
        self.bundles = bundles
        self.runtimes = runtimes
        self.limits = limits
        self.logger = logger
        plans = LaunchPlans(runtimes, secrets)
        let needed = catalogue.snapshot.bundleDigests.union(runtimes.bundles)
        try bundles.collectGarbage { needed.contains($0) }
    }

    /// Call once, before the first upload.
    package func tell(_ others: Others) { state.withLock { $0.others = others } }

    private var others: Others { state.withLock { $0.others } }

    // MARK: - Arriving

    /// Begins to take a body in. Blocks.
    /// - Throws: what the file system says.
    package func beginArrival() throws -> BundleStore.Arrival { try bundles.beginArrival() }

    package func discard(_ arrival: BundleStore.Arrival) { bundles.discard(arrival) }

    /// Takes a whole upload in. Nothing is answered before it would survive a crash.
    /// - Parameters:
    ///   - principal: who uploads: its key has a quota, and is for some secrets only.
    ///   - keep: see `VersionDraft.keep`.
    /// - Throws: `UploadRefused`, `PreconditionFailed`, or what the disk or database says.
    package func deploy(
        _ arrival: BundleStore.Arrival, format: BundleStore.Format, manifest: Manifest, name: FunctionName,
        by principal: Principal = .host, keep: Int? = nil, precondition: Precondition? = nil, isPublished: Bool = true
    ) async throws -> (FunctionVersion, isNew: Bool) {
        var (stored, draft) = try await prepared(
            arrival, format: format, manifest: manifest, name: name, by: principal, keep: keep,
            precondition: precondition)
        defer {
            bundles.unpin(stored)
            wantsCollection = true
        }
        draft.isPublished = isPublished
        return try await enter(draft)
    }

    /// The newest revision anew: the same bytes, with what is changed of its manifest, or with its number.
    /// - Parameter precondition: on the newest revision.
    /// - Throws: as `deploy`, what `change` throws, or `Failure` not_found.
    package func revise(
        _ name: FunctionName, by principal: Principal, _ precondition: Precondition?, isPublished: Bool,
        _ change: (inout Manifest) throws -> Void
    ) async throws -> (FunctionVersion, isNew: Bool) {
        // Another change may come first: whoever has named no revision means the one that is there then.
        for _ in 0..<20 {
            do {
                return try await reviseOnce(name, by: principal, precondition, isPublished: isPublished, change)
            } catch is PreconditionFailed where precondition == nil {
                continue
            }
        }
        throw Failure(.conflict, "\(name) is being changed by others; retry shortly")
    }

    private func reviseOnce(
        _ name: FunctionName, by principal: Principal, _ precondition: Precondition?, isPublished: Bool,
        _ change: (inout Manifest) throws -> Void
    ) async throws -> (FunctionVersion, isNew: Bool) {
        guard let newest = catalogue.snapshot.latest(name) else { throw Snapshot.unknown(name) }
        try precondition?.check("\(newest.revision)")
        var manifest = newest.manifest
        try change(&manifest)
        manifest.spellOut()
        var draft = VersionDraft(
            name: name, sha256: newest.sha256, size: newest.size, bundle: newest.bundle, manifest: manifest,
            executable: newest.executable, storedBytes: newest.storedBytes, key: principal.keyID)
        // Its files stay as long as it is there: should it have gone, so may they.
        draft.precondition = Precondition(ifMatch: "\"\(newest.revision)\"")
        draft.isPublished = isPublished
        try check(draft, by: principal)
        return try await enter(draft)
    }

    private func enter(_ draft: VersionDraft) async throws -> (FunctionVersion, isNew: Bool) {
        let name = draft.name
        // Nobody is sent to a version whose workers are not there yet; who has it stored can rely on it, whatever follows.
        let isWarm = draft.manifest.concurrency.warm > 0 && catalogue.snapshot.latest(name) != nil
        let result = try await catalogue.add(draft, held: isWarm)
        if result.isNew {
            if isWarm { await others.warm(result.0) }
            catalogue.release(result.0)
            others.served(name)
            logger.info("deployed", metadata: ["fn.name": "\(name)", "fn.version": "\(result.0.label)"])
        }
        return result
    }

    /// What `deploy` would do; all that it would refuse is refused, and nothing stays.
    /// - Throws: as `deploy`.
    package func examine(
        _ arrival: BundleStore.Arrival, format: BundleStore.Format, manifest: Manifest, name: FunctionName,
        by principal: Principal = .host
    ) async throws -> Change {
        let (stored, draft) = try await prepared(
            arrival, format: format, manifest: manifest, name: name, by: principal, keep: nil, precondition: nil)
        bundles.unpin(stored)
        wantsCollection = true
        guard let newest = catalogue.snapshot.latest(name) else { return .new }
        return newest.sha256 == draft.sha256 && newest.manifest.isSame(as: draft.manifest) ? .none : .changed
    }

    private func prepared(
        _ arrival: BundleStore.Arrival, format: BundleStore.Format, manifest: Manifest, name: FunctionName,
        by principal: Principal, keep: Int?, precondition: Precondition?
    ) async throws -> (BundleStore.Stored, VersionDraft) {
        let key = principal.keyID
        let size = arrival.size
        do {
            try limits.quota.check(catalogue.snapshot, adding: size, key: key)
        } catch {
            bundles.discard(arrival)
            throw error
        }
        // What is unpacked is a stranger's: it waits for its like, behind all that is quick.
        let (stored, sha256) = try await SlowLane.bundles.run { [bundles, runtimes] in
            try bundles.store(arrival, format: format, manifest: manifest, name: name, rules: runtimes)
        }
        do {
            try limits.quota.check(catalogue.snapshot, adding: stored.bytes, key: key)
            var draft = VersionDraft(
                name: name, sha256: sha256, size: size, bundle: stored.digest, manifest: stored.manifest,
                executable: stored.executable, storedBytes: stored.bytes, key: key)
            draft.keep = keep
            draft.precondition = precondition
            try check(draft, by: principal)
            return (stored, draft)
        } catch {
            bundles.unpin(stored)
            wantsCollection = true
            throw error
        }
    }

    /// What only the final manifest can tell, before anything is committed.
    private func check(_ draft: VersionDraft, by principal: Principal) throws {
        // A key that is for some functions is for the secrets with such names: it must not read others' by a function of its own.
        let named = Set(Array(draft.manifest.secrets.values) + [draft.manifest.async.signedWith].compactMap { $0 })
        if let other = named.sorted().first(where: { !principal.functions.includes(secret: $0) }) {
            throw Failure(
                .forbidden,
                "secrets: the key is for functions named \(principal.functions.patterns.joined(separator: ", ")), and so for secrets with such names; \"\(other)\" is not one of them"
            )
        }
        for case .function(let other)? in [draft.manifest.async.onSuccess, draft.manifest.async.onFailure]
        where !principal.functions.includes(other) {
            throw Failure(
                .forbidden,
                "async: the key is for functions named \(principal.functions.patterns.joined(separator: ", ")); \(other), which would be run, is not one of them"
            )
        }
        if let missing = secrets.missing(Dictionary(uniqueKeysWithValues: named.map { ($0, $0) })).first {
            throw UploadRefused(
                "secrets: there is no secret \"\(missing)\"; an admin makes it with PUT /v1/secrets/\(missing), or `bulkhead secrets set`"
            )
        }
        // What cannot be read back must not be written: the next start would stand still at it.
        do {
            _ = try JSONDecoder().decode(Manifest.self, from: try JSONEncoder().encode(draft.manifest))
        } catch {
            throw UploadRefused("the manifest is not sound: \(error)")
        }
        do {
            try runtimes.check(draft.manifest)
        } catch {
            throw UploadRefused("\(error)")
        }
        let memory = draft.manifest.limits.memory, scratch = draft.manifest.limits.effectiveScratch
        // What nobody has asked for is bounded by the cell's memory like all that it holds.
        let wanted = scratch > Manifest.Limits.usualScratch ? max(memory, scratch) : memory
        guard wanted.bytes <= limits.memoryBudget else {
            throw UploadRefused(
                "limits.memory (\(memory)) or limits.scratch (\(scratch)) is more than all workers of this host may use together (memoryBudget, \(ByteSize(bytes: limits.memoryBudget)))"
            )
        }
        guard draft.manifest.secretsAs == .descriptor || secrets.environment(draft.manifest.secrets) != nil else {
            throw UploadRefused(
                "secrets: one of them is no UTF-8, or has a NUL byte, which no variable can carry; store it in base64, or give them by secretsAs: descriptor"
            )
        }
        do {
            // As its longest number would have it: a policy or argument list that cannot work is told to whoever uploads it,
            // and never served.
            _ = try plans.make(for: draft.version(number: .max, createdAt: ""), observing: plans.observes)
        } catch let error as LaunchPlan.TooLarge {
            throw UploadRefused("the function cannot be started: \(error)")
        }
    }

    /// - Returns: false when there was no such function.
    /// - Throws: what the store says.
    package func remove(_ name: FunctionName, _ precondition: Precondition? = nil) async throws -> Bool {
        let existed = try await catalogue.remove(name, precondition)
        wantsCollection = true
        plans.forget(name)
        others.removed(name)
        return existed
    }

    /// - Throws: as `Catalogue.removeVersion`.
    package func removeVersion(_ number: Int, of name: FunctionName) async throws {
        try await catalogue.removeVersion(number, of: name)
        wantsCollection = true
        others.served(name)
    }

    // MARK: - Traffic

    /// Sends those who name the alias elsewhere, once the workers are there that are kept warm for them.
    /// - Returns: the alias, and whether it is new.
    /// - Throws: as `Catalogue.put`.
    package func put(
        _ alias: Alias, of name: FunctionName, _ precondition: Precondition? = nil
    ) async throws -> (Alias, isNew: Bool) {
        if alias.name == Alias.live { for number in alias.named.sorted() { await warm(number, of: name) } }
        let result = try await catalogue.put(alias, of: name, precondition)
        others.served(name)
        return result
    }

    /// - Throws: as `Catalogue.removeAlias`.
    package func removeAlias(_ alias: String, of name: FunctionName, _ precondition: Precondition? = nil) async throws {
        try await catalogue.removeAlias(alias, of: name, precondition)
        others.served(name)
    }

    /// Pins `live` to what it served before, or to `number`.
    /// - Throws: as `Catalogue.rollBack`.
    package func rollBack(
        _ name: FunctionName, to number: Int?, _ precondition: Precondition? = nil
    ) async throws -> Alias {
        let aim = number ?? catalogue.snapshot.alias(Alias.live, of: name)?.previous
        if let aim { await warm(aim, of: name) }
        let alias = try await catalogue.rollBack(name, to: number, now: timestamp(), precondition)
        others.served(name)
        return alias
    }

    private func warm(_ number: Int, of name: FunctionName) async {
        guard let version = catalogue.snapshot.version(number, of: name), version.manifest.concurrency.warm > 0 else {
            return
        }
        await others.warm(version)
    }

    // MARK: - Plans

    /// What was compiled with this secret is compiled anew.
    package func changed(secret: String) { plans.forget(secret: secret) }

    /// The version's launch plan, made once.
    /// - Throws: as `Runtimes.plan`, or `SystemError`.
    package func plan(for version: FunctionVersion) throws -> SealedFile { try plans.plan(for: version) }

    /// Whether new plans are made for `policy learn`: see `SeccompFilter`.
    package var observes: Bool {
        get { plans.observes }
        set { plans.observes = newValue }
    }

    /// What a version's workers may do, in words.
    /// - Throws: `Failure` conflict when its root has gone, or what is wrong with the profiles.
    package func policy(of version: FunctionVersion) throws -> PolicyDescription {
        do {
            return try PolicyDescription(of: version, roots: runtimes.roots)
        } catch let unknown as Roots.Unknown {
            throw Failure(.conflict, "it cannot be told what \(version.name) may do: \(unknown)")
        }
    }

    // MARK: - Collection

    /// Whether bundles may have become garbage since the last collection.
    package private(set) var wantsCollection: Bool {
        get { state.withLock { $0.wantsCollection } }
        set { state.withLock { $0.wantsCollection = newValue } }
    }

    /// Removes bundles that nothing names or uses any more.
    /// - Throws: what the file system says.
    package func collect() async throws {
        wantsCollection = false
        let others = others
        let named = catalogue.snapshot.bundleDigests.union(runtimes.bundles)
        let isUsed = try await SlowLane.bundles.run { [bundles, catalogue] in
            var isUsed = false
            try bundles.collectGarbage { name in
                // The few that are not named are looked at once more, as of now.
                if named.contains(name) || catalogue.snapshot.bundleDigests.contains(name) { return true }
                guard others.bundlesInUse().contains(name) else { return false }
                isUsed = true
                return true
            }
            return isUsed
        }
        // It is looked for again.
        if isUsed { wantsCollection = true }
    }
}
