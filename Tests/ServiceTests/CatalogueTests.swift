import Catalogue
import FunctionModel
import Testing

@Suite struct CatalogueTests {
    @Test func resolves() async throws {
        let catalogue = try Catalogue(store: MemoryStore())
        for number in 1...3 { _ = try await catalogue.add(try draft("a", sha256: "\(number)")) }
        let snapshot = catalogue.snapshot, name = try functionName("a")
        func number(_ qualifier: FunctionReference.Qualifier) throws -> Int {
            try snapshot.resolve(FunctionReference(name, qualifier)).number
        }
        #expect(try number(.unqualified) == 3 && number(.alias("latest")) == 3 && number(.version(2)) == 2)
        for wrong in [FunctionReference.Qualifier.version(4), .version(0), .alias("live2")] {
            let failure = #expect(throws: Failure.self) { try number(wrong) }
            #expect(failure?.outcome == .notFound)
        }
        #expect(throws: Failure.self) { try snapshot.resolve(FunctionReference(try functionName("b"))) }
        // As a query gives them: the number wins.
        #expect(FunctionReference(name, version: 1, alias: "x").qualifier == .version(1))
    }

    @Test func aliasesResolve() async throws {
        let store = MemoryStore()
        let catalogue = try Catalogue(store: store)
        for number in 1...3 { _ = try await catalogue.add(try draft("a", sha256: "\(number)")) }
        let name = try functionName("a")
        func number(_ qualifier: FunctionReference.Qualifier, _ key: String = "") throws -> Int {
            try catalogue.snapshot.resolve(FunctionReference(name, qualifier)) { ($0 ?? "no header") + key }.number
        }
        let (stable, isNew) = try await catalogue.put(
            Alias(name: "stable", target: .version(1), updatedAt: "t"), of: name)
        #expect(try isNew && number(.alias("stable")) == 1 && number(.unqualified) == 3)
        await #expect(throws: PreconditionFailed.self) {
            try await catalogue.put(stable, of: name, Precondition(ifMatch: "\"x\""))
        }
        let next = Alias(name: "stable", target: .version(2), updatedAt: "u")
        #expect(try await catalogue.put(next, of: name, Precondition(ifMatch: "\"\(stable.tag)\"")).isNew == false)
        #expect(try number(.alias("stable")) == 2)
        #expect(try await catalogue.rollBack(name, to: nil, now: "v").target == .version(2))
        #expect(try number(.unqualified) == 2)
        try await catalogue.removeVersion(1, of: name)
        #expect(catalogue.snapshot.versions(of: name).map(\.number) == [2, 3])
        #expect(catalogue.snapshot.versions(of: name).map(catalogue.snapshot.isServed) == [true, true])
        // What decides is what the alias names: a header, or the invocation's id.
        let split = Alias(name: "split", target: .version(2), weights: [3: 0.5], header: "x-user", updatedAt: "w")
        _ = try await catalogue.put(split, of: name)
        let picked = Set(try (0..<100).map { try number(.alias("split"), "\($0)") })
        #expect(picked == [2, 3])
        #expect(try number(.alias("split"), "1") == split.number(for: "x-user1", newest: 3))
        // Once more from the store.
        #expect(try Catalogue(store: store).snapshot.aliases(of: name) == catalogue.snapshot.aliases(of: name))
        try await catalogue.removeAlias("stable", of: name)
        #expect(throws: Failure.self) { try number(.alias("stable")) }
        await #expect(throws: Failure.self) { try await catalogue.rollBack(functionName("b"), to: 1, now: "") }
    }

    /// A version that is made ready is there by its number, and nobody else is sent to it.
    @Test func aHeldVersionWaits() async throws {
        let catalogue = try Catalogue(store: MemoryStore())
        let (first, _) = try await catalogue.add(try draft("a", sha256: "1"))
        let (second, _) = try await catalogue.add(try draft("a", sha256: "2"), held: true)
        let (third, _) = try await catalogue.add(try draft("a", sha256: "3"), held: true)
        func served() throws -> FunctionVersion { try catalogue.snapshot.resolve(FunctionReference(first.name)) }
        #expect(try served() == first && catalogue.snapshot.isServed(first) && catalogue.snapshot.isServed(third))
        catalogue.release(second)
        #expect(try served() == second, "a newer one is on its way")
        catalogue.release(third)
        #expect(try served() == third && !catalogue.snapshot.isServed(first))
    }

    @Test func aSnapshotStandsStill() async throws {
        let catalogue = try Catalogue(store: MemoryStore())
        let (version, _) = try await catalogue.add(try draft("a"))
        let before = catalogue.snapshot
        #expect(try await catalogue.remove(version.name))
        #expect(before.has(version) && !catalogue.snapshot.has(version))
        #expect(throws: Failure.self) { try catalogue.snapshot.require(version) }
    }

    /// Deleted and made anew with the same bytes, it is another one.
    @Test func aRevisionIsNeverGivenAgain() async throws {
        let catalogue = try Catalogue(store: MemoryStore())
        let (first, _) = try await catalogue.add(try draft("a"))
        _ = try await catalogue.remove(first.name)
        let (second, isNew) = try await catalogue.add(try draft("a"))
        #expect(isNew && second != first && second.number == 2)
        #expect(!catalogue.snapshot.has(first) && catalogue.snapshot.has(second))
    }

    @Test func whatCannotBeStoredIsNotServed() async throws {
        let store = MemoryStore()
        let catalogue = try Catalogue(store: store)
        store.fails = true
        await #expect(throws: MemoryStore.Failed.self) { try await catalogue.add(try draft("a")) }
        #expect(catalogue.snapshot.count == 0)
    }

    @Test func revisionsAreUUIDs() throws {
        let revision = RevisionID()
        #expect(RevisionID("\(revision)") == revision)
        #expect(
            "\(revision)".wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
        for wrong in [
            "", "x", "\(revision)0", "\(revision)".uppercased() + "G", "------------------------------------",
        ] {
            #expect(RevisionID(wrong) == nil, "\(wrong)")
        }
    }
}
