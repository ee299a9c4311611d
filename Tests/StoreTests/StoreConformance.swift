import Foundation
import FunctionModel
import Store
import Synchronization
import Testing

/// What each driver of `Store` must keep. A second one is another suite of three lines.
struct StoreConformance {
    /// A store on the same data each time: what one wrote the next one reads.
    let open: () throws -> any Store

    private final class Told: Sendable {
        private let state = Mutex<[Int]>([])

        var numbers: [Int] { state.withLock { $0 } }
        func add(_ number: Int) { state.withLock { $0.append(number) } }
    }

    private func name(_ text: String) throws -> FunctionName { try #require(FunctionName(text)) }

    private func draft(_ name: FunctionName, _ sha256: String = "a", run: String = "x") -> VersionDraft {
        var manifest = Manifest()
        manifest.run = run
        manifest.spellOut()  // as whoever commits has it
        return VersionDraft(
            name: name, sha256: sha256, size: 1, bundle: "bundle-\(sha256)", manifest: manifest,
            executable: .staticELF, storedBytes: 10, key: "k")
    }

    private func commit(_ store: any Store, _ draft: VersionDraft, keeping kept: Int = 20) async throws
        -> FunctionVersion
    {
        try await store.commit(draft, keeping: kept) { _ in }.0
    }

    // MARK: - Functions

    func numbersAreNeverUsedAgain() async throws {
        let store = try open(), a = try name("a")
        #expect(try await commit(store, draft(a, "1")).number == 1)
        #expect(try await commit(store, draft(a, "2")).number == 2)
        #expect(try await store.removeFunction(a) {})
        #expect(try await store.removeFunction(a) {} == false)
        #expect(try await commit(try open(), draft(a, "1")).number == 3)
        #expect(try await commit(store, draft(try name("b"))).number == 1)
    }

    func theSameIsNoNewVersion() async throws {
        let store = try open(), a = try name("a")
        let (first, isNew) = try await store.commit(draft(a), keeping: 20) { _ in }
        let told = Told()
        let (second, isNewToo) = try await store.commit(draft(a), keeping: 20) { told.add($0.number) }
        #expect(isNew && !isNewToo && first == second && told.numbers.isEmpty)
        let other = try await commit(store, draft(a, run: "y"))
        #expect(other.number == 2 && other != first, "another manifest is another version")
    }

    func whatIsCommittedIsThereAgain() async throws {
        let version = try await commit(try open(), draft(try name("a")))
        let read = try #require(try open().versions().first)
        #expect(read == version && read.revision == version.revision)
        #expect(read.manifest == version.manifest && read.executable == version.executable && read.key == "k")
        #expect(read.createdAt == version.createdAt && read.storedBytes == 10)
    }

    func oldOnesMakeRoomButForThoseThatAreWaitedFor() async throws {
        let store = try open(), a = try name("a")
        _ = try await commit(store, draft(a, "0"))
        try await store.enqueue(
            QueuedInvocation(id: "i", function: a, version: 1, event: Data("{}".utf8), traceparent: nil))
        for number in 1...5 { _ = try await commit(store, draft(a, "\(number)"), keeping: 2) }
        #expect(try store.versions().map(\.number).sorted() == [1, 4, 5, 6])
    }

    /// Whoever commits later is told later, whatever comes in at once.
    func toldInTheOrderOfCommits() async throws {
        let store = try open(), a = try name("a")
        let told = Told()
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for number in 0..<40 {
                let draft = draft(a, "\(number)")
                tasks.addTask {
                    _ = try await store.commit(draft, keeping: 100) { version in
                        told.add(version.number)
                    }
                }
            }
            try await tasks.waitForAll()
        }
        #expect(told.numbers == Array(1...40))
    }

    // MARK: - Keys

    func keysComeAndGo() async throws {
        let store = try open()
        let key = AccessKey(id: "1", name: "n", role: .invoke, createdAt: "2026-01-01T00:00:00.000Z", hash: "h")
        try await store.add(key)
        #expect(try open().keys() == [key])
        #expect(try await store.removeKey(id: "1"))
        #expect(try await store.removeKey(id: "1") == false)
        #expect(try open().keys().isEmpty)
    }

    // MARK: - Accepted invocations

    private func accept(_ store: any Store, _ id: String, for version: FunctionVersion) async throws {
        try await store.enqueue(
            QueuedInvocation(
                id: id, function: version.name, version: version.number, event: Data(id.utf8), traceparent: "t"))
    }

    func acceptedOnesOutliveAndKeepTheirOrder() async throws {
        let store = try open(), version = try await commit(store, draft(try name("a")))
        for id in ["c", "a", "b"] { try await accept(store, id, for: version) }
        try await store.dequeue("a")
        let found = try open().takeUpUnfinished(atMost: 10)
        #expect(found.map(\.id) == ["c", "b"] && found[0].traceparent == "t" && found[0].version == 1)
        #expect(try await store.event(ofQueued: "b") == Data("b".utf8))
        #expect(try await store.event(ofQueued: "a") == nil)
    }

    func whoEndsItsRunnersIsGivenUp() async throws {
        let store = try open(), version = try await commit(store, draft(try name("a")))
        try await accept(store, "i", for: version)
        for _ in 0..<3 { #expect(try store.takeUpUnfinished(atMost: 3).count == 1) }
        #expect(try store.takeUpUnfinished(atMost: 3).isEmpty)
        #expect(try await store.event(ofQueued: "i") == nil)
    }

    func whatWasForVersionsThatHaveGoneIsForgotten() async throws {
        let store = try open(), version = try await commit(store, draft(try name("a")))
        try await accept(store, "i", for: version)
        _ = try await store.removeFunction(version.name) {}
        #expect(try store.takeUpUnfinished(atMost: 10).isEmpty)
    }

    func whatBecameOfOneCanBeAskedFor() async throws {
        let store = try open(), version = try await commit(store, draft(try name("a")))
        try await accept(store, "i", for: version)
        let finished = FinishedInvocation(
            id: "i", function: version.name, version: 1, summary: Data("s".utf8), result: Data("r".utf8))
        try await store.finish { finished }
        #expect(try await open().finished("i") == finished)
        #expect(try store.takeUpUnfinished(atMost: 10).isEmpty)
        // After a kill in between it runs once more, and its end is the one that counts.
        let again = FinishedInvocation(
            id: "i", function: version.name, version: 1, summary: Data("t".utf8), result: nil)
        try await store.finish { again }
        #expect(try await store.finished("i") == again)
        #expect(try await store.finished("other") == nil)
    }

    /// 64 MiB of results are kept; how the oldest ended is known still.
    func oldResultsMakeRoom() async throws {
        let store = try open(), a = try name("a")
        let result = Data(repeating: 1, count: 15 << 20)
        for number in 0..<6 {
            try await store.finish {
                FinishedInvocation(id: "\(number)", function: a, version: 1, summary: Data(), result: result)
            }
        }
        #expect(try await store.finished("0") != nil)
        #expect(try await store.finished("0")?.result == nil)
        #expect(try await store.finished("5")?.result == result)
    }
}
