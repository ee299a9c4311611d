import Foundation
import FunctionModel
import Store
import Synchronization
import Testing

/// What each driver of `Store` must keep. A second one is another suite of three lines.
struct StoreConformance {
    /// Stores on the same data each time: what one wrote the next one reads.
    let all: () throws -> Stores

    private func open() throws -> any Store { try all().catalogue }

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

    private func commit(_ store: any Store, _ draft: VersionDraft, keeping kept: Int? = nil) async throws
        -> FunctionVersion
    {
        var draft = draft
        draft.keep = kept
        return try await store.commit(draft) { _, _ in }.0
    }

    // MARK: - Functions

    func numbersAreNeverUsedAgain() async throws {
        let store = try open(), a = try name("a")
        #expect(try await commit(store, draft(a, "1")).number == 1)
        #expect(try await commit(store, draft(a, "2")).number == 2)
        #expect(try await store.removeFunction(a, nil) {})
        #expect(try await store.removeFunction(a, nil) {} == false)
        #expect(try await commit(try open(), draft(a, "1")).number == 3)
        #expect(try await commit(store, draft(try name("b"))).number == 1)
    }

    /// One that is not published is replaced by the next, and gets its number when it is.
    func unpublishedOnesAreReplaced() async throws {
        let store = try open(), a = try name("a")
        func unpublished(_ sha256: String) -> VersionDraft {
            var draft = draft(a, sha256)
            draft.isPublished = false
            return draft
        }
        let first = try await commit(store, unpublished("1")), second = try await commit(store, unpublished("2"))
        #expect(!first.isPublished && !second.isPublished && first != second && second.shownNumber == 0)
        let there = try open().versions()
        #expect(there == [second] && there.allSatisfy { !$0.isPublished })
        #expect(try await store.commit(unpublished("2")) { _, _ in }.isNew == false)
        let published = try await commit(store, draft(a, "2"))
        #expect(published.isPublished && published.number == 1 && published != second)
        #expect(try await store.commit(unpublished("2")) { _, _ in }.isNew == false, "the newest is it already")
        #expect(try await commit(store, unpublished("3")).number == 2)
        #expect(try await commit(store, draft(a, "4")).number == 2, "an upload that is published takes its place")
        #expect(try Set(open().versions().map(\.sha256)) == ["2", "4"])
    }

    func settingsAreThereAgain() async throws {
        let store = try open(), a = try name("a")
        _ = try await commit(store, draft(a))
        _ = try await store.changeTraffic(
            of: a,
            decide: { traffic, _ in
                traffic.settings.reservedConcurrency = 0
                traffic.settings.tags = ["k": "v"]
            }, committed: { _ in })
        let settings = try open().traffic().first { $0.function == a }?.settings
        #expect(settings?.reservedConcurrency == 0 && settings?.tags == ["k": "v"])
        #expect(try await store.removeFunction(a, nil) {})
        _ = try await commit(store, draft(a))
        #expect(try open().traffic().first { $0.function == a }?.settings == FunctionSettings())
    }

    func theSameIsNoNewVersion() async throws {
        let store = try open(), a = try name("a")
        let (first, isNew) = try await store.commit(draft(a)) { _, _ in }
        let told = Told()
        let (second, isNewToo) = try await store.commit(draft(a)) { version, _ in told.add(version.number) }
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
        try await all().queue.enqueue(
            QueuedInvocation(id: "i", function: a, version: 1, event: Data("{}".utf8), traceparent: nil), answer: nil)
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
                    _ = try await store.commit(draft) { version, _ in
                        told.add(version.number)
                    }
                }
            }
            try await tasks.waitForAll()
        }
        #expect(told.numbers == Array(1...40))
    }

    // MARK: - Traffic

    func aliasesAreThereAgainAndGoWithTheirFunction() async throws {
        let store = try open(), a = try name("a")
        for number in 1...3 { _ = try await commit(store, draft(a, "\(number)"), keeping: 7) }
        let alias = Alias(
            name: "b", target: .version(1), weights: [2: 0.25], header: "x-user", updatedAt: "2026-01-01T00:00:00.000Z")
        let told = Told()
        let changed = try await store.changeTraffic(of: a) { traffic, _ in
            _ = try traffic.put(alias, of: a)
            return traffic
        } committed: {
            told.add($0.aliases.count)
        }
        #expect(changed?.aliases["b"] == alias && told.numbers == [2])
        let read = try #require(try open().traffic().first { $0.function == a })
        #expect(read.aliases.contains(alias) && read.keep == 7)
        #expect(try await store.removeFunction(a, nil) {})
        #expect(try open().traffic().allSatisfy { $0.aliases.isEmpty && $0.keep == nil })
        #expect(
            try await store.changeTraffic(of: a) { traffic, _ in
                traffic
            } committed: { _ in
            } == nil)
    }

    func whatIsRefusedChangesNothing() async throws {
        let store = try open(), a = try name("a")
        let version = try await commit(store, draft(a))
        await #expect(throws: Failure.self) {
            try await store.changeTraffic(of: a) { traffic, _ in
                _ = try traffic.put(Alias(name: "b", updatedAt: ""), of: a)
                throw Failure(.conflict, "no")
            } committed: { _ in
                Issue.record("told of what was refused")
            }
        }
        #expect(try open().traffic().allSatisfy { $0.aliases.allSatisfy { $0.name == Alias.live } })
        var other = draft(a, "other")
        other.precondition = Precondition(ifMatch: "\"x\"")
        let refused = other
        await #expect(throws: PreconditionFailed.self) { try await store.commit(refused) { _, _ in } }
        other.precondition = Precondition(ifMatch: "\"x\", \"\(version.revision)\"")
        #expect(try await commit(store, other).number == 2)
        await #expect(throws: PreconditionFailed.self) {
            try await store.removeFunction(a, Precondition(ifMatch: "\"\(version.revision)\"")) {}
        }
        #expect(try open().versions().count == 2)
    }

    func versionsGoByTraffic() async throws {
        let store = try open(), a = try name("a")
        for number in 1...3 { _ = try await commit(store, draft(a, "\(number)")) }
        _ = try await store.changeTraffic(of: a) { traffic, awaited in
            try traffic.remove(2, of: a, awaited: awaited)
        } committed: { _ in
        }
        #expect(try open().versions().map(\.number).sorted() == [1, 3])
        try await all().queue.enqueue(
            QueuedInvocation(id: "i", function: a, version: 3, event: Data("{}".utf8), traceparent: nil), answer: nil)
        let awaited = try await store.changeTraffic(of: a) { _, awaited in
            awaited
        } committed: { _ in
        }
        #expect(awaited == [3])
    }

    // MARK: - Routes

    func routesComeAndGo() async throws {
        let store = try open()
        var rule = JWTRule(
            issuer: "https://i", audience: ["a"], keys: .given([JSONWebKey(kty: "oct", kid: "1", k: "c2VjcmV0")]))
        rule.scopes = ["read"]
        var route = Route(
            id: "one", pattern: try RoutePattern("GET /users/{id}"), function: try name("a"), auth: .jwt(rule),
            updatedAt: "t")
        route.cors = CORSRule(origins: ["https://app.example.com"])
        (route.host, route.rate, route.timeout) = ("*.example.com", Rate("10/s"), .seconds(2))
        route.payload = .v1
        let told = Told()
        #expect(try await store.put(route, nil) { told.add(1) })
        #expect(try open().routes() == [route] && told.numbers == [1])
        // The same requests by another name for the parameter, and by another id.
        var twin = route
        (twin.id, twin.pattern) = ("two", try RoutePattern("GET /users/{name}"))
        await #expect(throws: Failure.self) { try await store.put(twin, nil) { told.add(2) } }
        twin.host = nil
        #expect(try await store.put(twin, nil) { told.add(3) })
        let old = route.tag
        route.auth = .none
        await #expect(throws: PreconditionFailed.self) {
            try await store.put(route, Precondition(ifMatch: "\"x\"")) { told.add(4) }
        }
        #expect(try await store.put(route, Precondition(ifMatch: "\"\(old)\"")) { told.add(5) } == false)
        #expect(try open().routes().first { $0.id == "one" }?.auth == RouteAuth.none)
        await #expect(throws: PreconditionFailed.self) {
            try await store.removeRoute("one", Precondition(ifMatch: "\"x\"")) { told.add(6) }
        }
        #expect(try await store.removeRoute("one", nil) { told.add(7) })
        #expect(try await store.removeRoute("one", nil) { told.add(8) } == false)
        #expect(try open().routes() == [twin] && told.numbers == [1, 3, 5, 7])
    }

    // MARK: - Keys

    func keysComeAndGo() async throws {
        let store = try open()
        let key = AccessKey(
            id: "1", name: "n", role: .deploy, functions: FunctionScope(patterns: ["a-*", "b"]), rate: Rate("10/s"),
            quota: Rate("5/d"),
            createdAt: "2026-01-01T00:00:00.000Z", expiresAt: 1_800_000_000_000, hash: "h")
        try await store.add(key)
        #expect(try open().keys() == [key])
        #expect(try await store.removeKey(id: "1"))
        #expect(try await store.removeKey(id: "1") == false)
        #expect(try open().keys().isEmpty)
    }

    func usesAndChangesAreKept() async throws {
        let store = try open()
        for id in ["1", "2"] {
            try await store.add(AccessKey(id: id, name: "n", role: .invoke, createdAt: "", hash: id))
        }
        try await store.set([KeyUse(id: "1", window: 7, count: 3), KeyUse(id: "none", window: 7, count: 3)])
        try await store.set([KeyUse(id: "1", window: 8, count: 1), KeyUse(id: "2", window: 9, count: 2)])
        let uses = try open().keyUses().sorted { $0.id < $1.id }.filter { $0.id != "none" }
        #expect(uses == [KeyUse(id: "1", window: 8, count: 1), KeyUse(id: "2", window: 9, count: 2)])
        for number in 1...5 {
            try await store.append(
                AuditEntry(time: "t", key: "k", name: "n", action: "a\(number)", target: "/x", from: "127.0.0.1"))
        }
        let newest = try await open().audit(before: nil, limit: 2)
        #expect(newest.map(\.action) == ["a5", "a4"])
        let older = try await store.audit(before: newest.last?.position, limit: 10)
        #expect(older.map(\.action) == ["a3", "a2", "a1"] && older.first?.target == "/x")
    }
}
