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
