package import FunctionModel
package import Store
import Synchronization

/// Functions and their versions: in the store for good, in memory for reading.
package final class Catalogue: Sendable {
    private let store: any Store
    private let state: Mutex<Snapshot>

    /// Unnamed old versions that are kept of a function.
    package static let maxKept = 20

    /// Blocks.
    /// - Throws: what the store says.
    package init(store: any Store) throws {
        self.store = store
        state = Mutex(Snapshot(try store.versions()))
    }

    /// What is served now. Later changes do not show in it.
    package var snapshot: Snapshot { state.withLock { $0 } }

    /// Enters what was uploaded as its function's next version, unless its newest is the same. Versions beyond the newest
    /// `maxKept` are forgotten.
    /// - Returns: the version, and whether it is new.
    /// - Throws: what the store says.
    package func add(_ draft: VersionDraft) async throws -> (FunctionVersion, isNew: Bool) {
        try await store.commit(draft, keeping: Self.maxKept) { [self] version in
            state.withLock { $0.add(version, keeping: Self.maxKept + 1) }
        }
    }

    /// - Returns: false when there was no such function.
    /// - Throws: what the store says.
    package func remove(_ name: FunctionName) async throws -> Bool {
        try await store.removeFunction(name) { [self] in state.withLock { $0.remove(name) } }
    }
}
