package import FunctionModel

/// What outlives the process, as intents: each is what somebody wants done, whole or not at all, and none is a query. Only
/// drivers know what is behind it; `StoreConformance` in the tests says what each of them must keep.
///
/// Once a call that changes something returns, the change survives a power cut.
package protocol Store: Sendable {
    // MARK: Functions

    /// All versions that there are, in no order. Blocks: asked once, at the start.
    func versions() throws -> [FunctionVersion]

    /// Aliases of all functions, as far as they were changed, in no order. Blocks: asked once, at the start.
    func traffic() throws -> [StoredTraffic]

    /// Enters what was uploaded as its function's next version, under the next number that the function has never had, unless
    /// its newest is the same. It takes the place, and the number, of a newest one that is not published. Which others stay, `Traffic.add` says.
    /// - Parameter committed: told of a new version, and of all that there is then, in the order of commits, before this returns.
    /// - Returns: the version, and whether it is new.
    /// - Throws: `PreconditionFailed`.
    func commit(
        _ draft: VersionDraft, committed: @escaping @Sendable (FunctionVersion, Traffic) -> Void
    ) async throws -> (FunctionVersion, isNew: Bool)

    /// Changes what a function's aliases name, or which versions there are.
    /// - Parameters:
    ///   - decide: what is wanted, from what there is and the versions for which accepted invocations wait; whatever it throws is
    ///     thrown on, and nothing changes.
    ///   - committed: told of what there is then, in the order of commits, before this returns.
    /// - Returns: what `decide` returned; nil when there is no such function.
    func changeTraffic<Value: Sendable>(
        of name: FunctionName, decide: @escaping @Sendable (inout Traffic, _ awaited: Set<Int>) throws -> Value,
        committed: @escaping @Sendable (Traffic) -> Void
    ) async throws -> Value?

    /// Removes a function, if its newest revision is what `precondition` means; its numbers stay used.
    /// - Parameter committed: told in the order of commits, before this returns.
    /// - Returns: false when there was no such function.
    /// - Throws: `PreconditionFailed`.
    func removeFunction(
        _ name: FunctionName, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool

    // MARK: Routes

    /// All routes, in no order. Blocks: asked once, at the start.
    func routes() throws -> [Route]

    /// Enters a route in the place of the one with its id.
    /// - Parameters:
    ///   - precondition: on the one that is there.
    ///   - committed: told in the order of commits, before this returns.
    /// - Returns: whether it is new.
    /// - Throws: `PreconditionFailed`; `Failure` conflict where another one has its shape.
    func put(
        _ route: Route, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool

    /// - Returns: false when there was none.
    /// - Throws: `PreconditionFailed`.
    func removeRoute(
        _ id: String, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool

    // MARK: Keys

    /// All keys. Blocks: asked once, at the start.
    func keys() throws -> [AccessKey]
    func add(_ key: AccessKey) async throws
    /// - Returns: false when there is no such key.
    func removeKey(id: String) async throws -> Bool

    /// How often keys were used. Blocks: asked once, at the start.
    func keyUses() throws -> [KeyUse]
    /// These are how often they were used by now.
    func set(_ uses: [KeyUse]) async throws

    // MARK: What was changed

    func append(_ entry: AuditEntry) async throws
    /// The newest first.
    /// - Parameter before: only older ones than this position; nil: all.
    func audit(before: Int64?, limit: Int) async throws -> [AuditEntry]
}

/// What a driver throws when there is no room for what is to be stored.
package protocol NoRoom: Error {
    var isNoRoom: Bool { get }
}

/// All of it, each part for who needs it.
package struct Stores: Sendable {
    package let catalogue: any Store
    package let queue: any QueueStore
    package let schedules: any ScheduleStore
    package let messages: any MessageStore
    package let secrets: any SecretStore
    package let usage: any UsageStore

    package init(
        catalogue: any Store, queue: any QueueStore, schedules: any ScheduleStore,
        messages: any MessageStore, secrets: any SecretStore, usage: any UsageStore
    ) {
        self.catalogue = catalogue
        self.queue = queue
        self.schedules = schedules
        self.messages = messages
        self.secrets = secrets
        self.usage = usage
    }
}

/// A version before it is committed: then it gets its revision, its number and its date.
package struct VersionDraft: Sendable {
    package var name: FunctionName
    /// See `FunctionVersion`, as the others.
    package var sha256: String
    package var size: Int
    package var bundle: String
    package var manifest: Manifest
    package var executable: Executable?
    package var storedBytes: Int
    package var key: String?
    /// So many old versions that no alias names are to be kept from now on; nil: as before.
    package var keep: Int?
    /// On the newest revision.
    package var precondition: Precondition?
    /// See `FunctionVersion`.
    package var isPublished = true

    package init(
        name: FunctionName, sha256: String, size: Int, bundle: String, manifest: Manifest, executable: Executable?,
        storedBytes: Int, key: String?
    ) {
        self.name = name
        self.sha256 = sha256
        self.size = size
        self.bundle = bundle
        self.manifest = manifest
        self.executable = executable
        self.storedBytes = storedBytes
        self.key = key
    }

    /// The version that it becomes.
    package func version(number: Int, createdAt: String) -> FunctionVersion {
        FunctionVersion(
            name: name, number: number, sha256: sha256, size: size, bundle: bundle, createdAt: createdAt,
            manifest: manifest, executable: executable, storedBytes: storedBytes, key: key, isPublished: isPublished)
    }
}

/// A function's aliases as a store has them.
package struct StoredTraffic: Sendable, Hashable {
    package let function: FunctionName
    /// Those that somebody has changed.
    package let aliases: [Alias]
    /// Nil: nobody has said.
    package let keep: Int?
    package let settings: FunctionSettings

    package init(function: FunctionName, aliases: [Alias], keep: Int?, settings: FunctionSettings) {
        self.settings = settings
        self.function = function
        self.aliases = aliases
        self.keep = keep
    }
}
