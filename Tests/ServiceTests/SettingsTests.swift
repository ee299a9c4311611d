import Catalogue
import FunctionModel
import Testing

@Suite struct SettingsTests {
    private func catalogue(_ store: MemoryStore = MemoryStore()) async throws -> (Catalogue, FunctionName) {
        let catalogue = try Catalogue(store: store)
        for number in 1...2 { _ = try await catalogue.add(try draft("a", sha256: "\(number)")) }
        return (catalogue, try functionName("a"))
    }

    @Test func theyAreChangedWhereTheyAreOf() async throws {
        let store = MemoryStore()
        let (catalogue, name) = try await self.catalogue(store)
        let count = try await catalogue.changeSettings(of: name, for: "1") { settings in
            settings.provisioned["1"] = ProvisionedWorkers(count: 3, modifiedAt: "t")
            return settings.provisioned.count
        }
        #expect(count == 1 && catalogue.snapshot.settings(of: name).provisioned["1"]?.count == 3)
        #expect(try Catalogue(store: store).snapshot.settings(of: name) == catalogue.snapshot.settings(of: name))
        for qualifier in ["3", "prod"] {
            await #expect(throws: Failure.self) {
                try await catalogue.changeSettings(of: name, for: qualifier) { $0.tags["a"] = "b" }
            }
        }
        await #expect(throws: Failure.self) {
            try await catalogue.changeSettings(of: functionName("b")) { $0.tags["a"] = "b" }
        }
        #expect(catalogue.snapshot.settings(of: name).tags.isEmpty)
        try await catalogue.removeVersion(1, of: name)
        #expect(catalogue.snapshot.settings(of: name).provisioned.isEmpty)
    }

    @Test func whatBecomesOfAsynchronousInvocations() async throws {
        let (catalogue, name) = try await self.catalogue()
        _ = try await catalogue.put(Alias(name: "stable", target: .version(1), updatedAt: "t"), of: name)
        let snapshot = catalogue.snapshot
        let old = try #require(snapshot.version(1, of: name)), newest = try #require(snapshot.version(2, of: name))
        for (qualifier, retries) in [("stable", 0), ("$LATEST", 1)] {
            try await catalogue.changeSettings(of: name, for: qualifier) { settings in
                var rules = EventInvokeRules(modifiedAt: "t")
                rules.retries = retries
                settings.eventInvoke[qualifier] = rules
            }
        }
        #expect(catalogue.asyncRules(of: old).retries == 0 && catalogue.asyncRules(of: newest).retries == 1)
        try await catalogue.removeAlias("stable", of: name)
        #expect(catalogue.asyncRules(of: old).retries == AsyncRules().retries)
        #expect(catalogue.asyncRules(of: try version("other")).retries == AsyncRules().retries)
    }
}
