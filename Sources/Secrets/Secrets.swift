import Foundation
import FunctionModel
package import Store
import Synchronization

/// Stored secrets: sealed in the store, open in this process's memory alone, given to the workers of the functions that name them.
package final class Secrets: Sendable {
    /// What is told of one.
    package struct Listed: Sendable, Hashable {
        package let name: String
        /// RFC 3339, UTC, milliseconds; as the other.
        package let createdAt: String
        package let updatedAt: String
    }

    /// Where its key comes from.
    package struct KeyPlace: Sendable {
        /// Kept in the data directory, by this process.
        package var path: String
        /// The operator's own, read already; then nothing is kept.
        package var given: SecretKey?
        /// Writes a small private file in one step.
        package var write: @Sendable (String, String) throws -> Void

        package init(path: String, given: SecretKey?, write: @escaping @Sendable (String, String) throws -> Void) {
            self.path = path
            self.given = given
            self.write = write
        }
    }

    fileprivate struct Entry {
        var bytes: [UInt8]
        var listed: Listed
    }

    fileprivate struct State {
        var key: SecretKey
        var entries: [String: Entry] = [:]
        var redactors: [Set<String>: Redactor] = [:]
        /// Of secrets.
        var changes = 0
        var changed: @Sendable (String) -> Void = { _ in }
        /// What they were before; workers that hold the old ones may still run.
        var replaced: [(name: String, bytes: [UInt8], until: ContinuousClock.Instant)] = []
        /// Changes under way, each name's one at a time; while all are sealed anew there are none.
        var changing: Set<String> = []
        var isRotating = false
    }

    private let store: any SecretStore
    private let place: KeyPlace
    private let state: Mutex<State>

    /// Of one secret, in bytes; of all, their number.
    package static let maxBytes = 64 << 10
    private static let maxSecrets = 10_000
    private static let maxRedactors = 100

    /// Opens all that are stored. Blocks.
    /// - Throws: `SecretKey.Unusable`, or what the store or the file system says.
    package init(store: any SecretStore, place: KeyPlace) throws {
        self.store = store
        self.place = place
        let sealed = try store.secrets()
        let (key, entries) = try Self.open(sealed, place)
        state = Mutex(State(key: key, entries: entries))
    }

    private static func open(_ sealed: [SealedSecret], _ place: KeyPlace) throws -> (SecretKey, [String: Entry]) {
        func entries(_ key: SecretKey) -> [String: Entry]? {
            var entries: [String: Entry] = [:]
            for secret in sealed {
                guard let bytes = key.open(secret.sealed, as: secret.name) else { return nil }
                entries[secret.name] = Entry(
                    bytes: bytes,
                    listed: Listed(name: secret.name, createdAt: secret.createdAt, updatedAt: secret.updatedAt))
            }
            return entries
        }
        if let given = place.given {
            guard let entries = entries(given) else {
                throw SecretKey.Unusable(
                    description: "the stored secrets are sealed with another key than --secrets-key's")
            }
            return (given, entries)
        }
        // A change of keys that was broken off: whichever opens them is it.
        let next = try? SecretKey(file: place.path + ".next")
        if let key = try SecretKey(file: place.path) {
            if let entries = entries(key) { return (key, entries) }
            if let next, let entries = entries(next) {
                try place.write(next.text, place.path)
                return (next, entries)
            }
            throw SecretKey.Unusable(
                description:
                    "the stored secrets cannot be opened with \(place.path): bring back the key that belongs to this data directory"
            )
        }
        guard sealed.isEmpty else {
            throw SecretKey.Unusable(
                description:
                    "\(place.path) is missing, and without it the \(sealed.count) stored secrets cannot be opened: bring it back, or give it by --secrets-key"
            )
        }
        let key = SecretKey()
        try place.write(key.text, place.path)
        return (key, [:])
    }

    /// - Parameter changed: told the name of each secret that is another, or gone.
    package func tell(_ changed: @escaping @Sendable (String) -> Void) { state.withLock { $0.changed = changed } }

    // MARK: - What there is

    /// By their names; never what they are.
    package var all: [Listed] {
        state.withLock { $0.entries.values.map(\.listed) }.filter { SecretName.isName($0.name) }.sorted {
            $0.name < $1.name
        }
    }

    package func bytes(of name: String) -> [UInt8]? { state.withLock { $0.entries[name]?.bytes } }

    /// Names of those that there are not.
    package func missing(of table: [String: String]) -> [String] {
        state.withLock { state in Set(table.values).filter { state.entries[$0] == nil } }.sorted()
    }

    /// Variables as a process gets them.
    /// - Parameter table: names of secrets by those of variables.
    /// - Returns: nil where one is missing, or holds what no variable can.
    package func environment(_ table: [String: String]) -> [String]? {
        var variables: [String] = []
        for (variable, name) in table.sorted(by: { $0.key < $1.key }) {
            guard let bytes = bytes(of: name), !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self)
            else { return nil }
            variables.append("\(variable)=\(text)")
        }
        return variables
    }

    // MARK: - Changing

    /// - Parameter now: RFC 3339.
    /// - Returns: whether it is new.
    /// - Throws: `Failure` invalid_request or conflict, or what the store says.
    package func put(_ name: String, _ bytes: [UInt8], now: String) async throws -> (Listed, isNew: Bool) {
        guard SecretName.isName(name) else {
            throw Failure(.invalidRequest, "a secret's name is \(SecretName.rule)")
        }
        return try await enter(name, bytes, now: now)
    }

    /// One of the host's own: nobody sees it, and no function can name it.
    /// - Throws: as `put`.
    package func put(own name: String, _ bytes: [UInt8], now: String) async throws {
        _ = try await enter(Self.own(name), bytes, now: now)
    }

    package func bytes(ofOwn name: String) -> [UInt8]? { bytes(of: Self.own(name)) }

    /// - Throws: as `remove`.
    package func remove(own name: String) async throws { _ = try await leave(Self.own(name)) }

    /// No secret's name that there can be.
    private static func own(_ name: String) -> String { ":\(name)" }

    private func enter(_ name: String, _ bytes: [UInt8], now: String) async throws -> (Listed, isNew: Bool) {
        guard (1...Self.maxBytes).contains(bytes.count) else {
            throw Failure(
                .invalidRequest, "a secret has 1 byte to \(ByteSize(bytes: Self.maxBytes)); this has \(bytes.count)")
        }
        try begin(name)
        defer { state.withLock { _ = $0.changing.remove(name) } }
        let (key, old, count) = state.withLock { ($0.key, $0.entries[name], $0.entries.count) }
        if let old, old.bytes == bytes { return (old.listed, false) }
        guard old != nil || count < Self.maxSecrets else {
            throw Failure(.conflict, "there are \(Self.maxSecrets) secrets, this host's limit; delete one first")
        }
        let listed = Listed(name: name, createdAt: old?.listed.createdAt ?? now, updatedAt: now)
        let isNew = try await store.put(
            SealedSecret(
                name: name, sealed: try key.seal(bytes, as: name), createdAt: listed.createdAt, updatedAt: now))
        let changed = state.withLock { state in
            state.replace(name)
            state.entries[name] = Entry(bytes: bytes, listed: listed)
            state.redactors = [:]
            return state.changed
        }
        changed(name)
        return (listed, isNew)
    }

    /// - Returns: false when there was none.
    /// - Throws: what the store says.
    package func remove(_ name: String) async throws -> Bool {
        guard SecretName.isName(name) else { return false }
        return try await leave(name)
    }

    private func leave(_ name: String) async throws -> Bool {
        try begin(name)
        defer { state.withLock { _ = $0.changing.remove(name) } }
        guard try await store.removeSecret(name) else { return false }
        let changed = state.withLock { state in
            state.replace(name)
            state.entries[name] = nil
            state.redactors = [:]
            return state.changed
        }
        changed(name)
        return true
    }

    /// Seals all anew, with another key. Blocks.
    /// - Returns: how many.
    /// - Throws: `Failure` conflict where the key is the operator's, or what the store or the file system says.
    package func rotate() throws -> Int {
        guard place.given == nil else {
            throw Failure(
                .conflict,
                "the secrets' key is the operator's (--secrets-key): this host cannot write it. Start it with another key file and put the secrets anew"
            )
        }
        let entries = try state.withLock { state throws(Failure) in
            guard state.changing.isEmpty, !state.isRotating else { throw Self.busy }
            state.isRotating = true
            return state.entries.values
        }
        defer { state.withLock { $0.isRotating = false } }
        // One that was broken off may have left the key that opens them in the other file alone.
        try place.write(state.withLock { $0.key.text }, place.path)
        let key = SecretKey()
        // At any moment one of the two files opens what is stored: see `open`.
        try place.write(key.text, place.path + ".next")
        let sealed = try entries.map { entry in
            SealedSecret(
                name: entry.listed.name, sealed: try key.seal(entry.bytes, as: entry.listed.name),
                createdAt: entry.listed.createdAt, updatedAt: entry.listed.updatedAt)
        }
        try store.replace(sealed)
        state.withLock { $0.key = key }
        try place.write(key.text, place.path)
        try? FileManager.default.removeItem(atPath: place.path + ".next")  // the next one is written over it
        return sealed.count
    }

    private func begin(_ name: String) throws(Failure) {
        try state.withLock { state throws(Failure) in
            guard !state.isRotating, state.changing.insert(name).inserted else { throw Self.busy }
        }
    }

    private static var busy: Failure {
        Failure(.conflict, "secrets are being changed, or sealed with another key; retry shortly")
    }

    // MARK: - Keeping them secret

    /// What hides these from what others read; nil where there is nothing to hide.
    package func redactor(of table: [String: String]) -> Redactor? {
        guard !table.isEmpty else { return nil }
        let names = Set(table.values), now = ContinuousClock.now
        let (known, all, changes) = state.withLock { state -> (Redactor?, [[UInt8]], Int) in
            if let known = state.redactors[names] { return (known, [], 0) }
            let old = state.replaced.filter { names.contains($0.name) && $0.until > now }.map(\.bytes)
            return (nil, names.compactMap { state.entries[$0]?.bytes } + old, state.changes)
        }
        if let known { return known }
        let redactor = Redactor(all)
        state.withLock { state in
            guard state.changes == changes else { return }  // it is of before
            if state.redactors.count >= Self.maxRedactors { state.redactors = [:] }
            state.redactors[names] = redactor
        }
        return redactor
    }
}

extension Secrets.State {
    /// The longest that a worker may have it still: an invocation's time, and a little.
    private static let lifetime = Duration.seconds(960)
    private static let maxReplaced = 1000

    fileprivate mutating func replace(_ name: String) {
        changes += 1
        guard let old = entries[name]?.bytes else { return }
        let now = ContinuousClock.now
        replaced.removeAll { $0.until <= now }
        if replaced.count >= Self.maxReplaced { replaced.removeFirst() }
        replaced.append((name, old, now + Self.lifetime))
    }
}
