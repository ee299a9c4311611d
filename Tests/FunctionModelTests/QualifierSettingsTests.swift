import Foundation
import FunctionModel
import Testing

/// What is said of a function's aliases, versions and `$LATEST`.
@Suite struct QualifierSettingsTests {
    private let now = "2026-01-01T00:00:00.000Z"

    private func name() throws -> FunctionName { try #require(FunctionName("f")) }

    private func version(_ number: Int, isPublished: Bool = true) throws -> FunctionVersion {
        var manifest = Manifest()
        manifest.async.retries = 9
        manifest.async.onSuccess = Destination("others")
        return FunctionVersion(
            name: try name(), number: number, sha256: "", size: 0, bundle: "", createdAt: now, manifest: manifest,
            executable: nil, isPublished: isPublished)
    }

    private func rules(_ retries: Int) -> EventInvokeRules {
        var rules = EventInvokeRules(modifiedAt: now)
        rules.retries = retries
        return rules
    }

    /// Everything of this qualifier.
    private func full(_ qualifiers: String...) -> FunctionSettings {
        var settings = FunctionSettings()
        settings.tags = ["team": "a"]
        for qualifier in qualifiers {
            settings.urls[qualifier] = FunctionURL(isOpen: true, createdAt: now)
            settings.eventInvoke[qualifier] = rules(1)
            settings.provisioned[qualifier] = ProvisionedWorkers(count: 1, modifiedAt: now)
            settings.policies[qualifier] = [PolicyStatement(id: "s", action: "a", principal: "*")]
        }
        return settings
    }

    @Test func theClosestRulesHold() throws {
        let aliases = [
            Alias(name: "b", target: .version(1), updatedAt: now),
            Alias(name: "a", target: .version(1), updatedAt: now),
            Alias(name: "c", target: .version(1), weights: [2: 0.5], updatedAt: now),
            Alias(name: "newest", target: .latest, updatedAt: now),
        ]
        func retries(_ said: [String: Int], _ version: FunctionVersion, newest: Int = 3) -> Int {
            var settings = FunctionSettings()
            settings.eventInvoke = said.mapValues(rules)
            return settings.asyncRules(of: version, newest: newest, aliases: aliases).retries
        }
        let one = try version(1), two = try version(2), three = try version(3)
        let all = ["1": 0, "a": 1, "b": 2, "c": 3, "$LATEST": 4]
        #expect(retries([:], one) == 9 && retries(["2": 1], one) == 9, "the manifest's")
        #expect(retries(all, one) == 0, "the version's own")
        #expect(retries(["c": 3, "b": 2, "$LATEST": 4], one) == 2, "the first alias's by name that has any")
        #expect(retries(["$LATEST": 4], one) == 9 && retries(["$LATEST": 4], three) == 4, "the newest's")
        #expect(retries(["newest": 5, "$LATEST": 4], three) == 5, "an alias that follows it comes before")
        #expect(retries(all, two) == 9, "a share of an alias is not what it names")
        // One that has no number is `$LATEST` itself, also when another has taken its place.
        #expect(retries(["newest": 5, "$LATEST": 4], try version(3, isPublished: false)) == 4)
        #expect(retries(["$LATEST": 4], try version(3, isPublished: false), newest: 4) == 4)
    }

    @Test func whatIsNotSaidIsTheManifests() throws {
        var settings = FunctionSettings(), said = EventInvokeRules(modifiedAt: now)
        (said.maxAge, said.onFailure) = (60, "failures")
        settings.eventInvoke["1"] = said
        let rules = settings.asyncRules(of: try version(1), newest: 1, aliases: [])
        #expect(rules.retries == 9 && rules.maxAge == .seconds(60))
        #expect(rules.onSuccess?.text == "others" && rules.onFailure?.text == "failures")
    }

    /// Another one that gets its name begins anew.
    @Test func theyGoWithWhatTheyAreSaidOf() throws {
        var traffic = Traffic(numbers: [1, 2, 3, 4], settings: full("$LATEST", "gone", "kept", "1", "2", "3"))
        for alias in ["gone", "kept"] {
            _ = try traffic.put(Alias(name: alias, target: .version(3), updatedAt: now), of: name())
        }
        try traffic.remove("gone", of: name())
        #expect(traffic.settings == full("$LATEST", "kept", "1", "2", "3"))
        try traffic.remove(1, of: name())
        #expect(traffic.settings == full("$LATEST", "kept", "2", "3"))
        // By whom nothing is named, and who is too old to be kept.
        #expect(traffic.add(5, keep: 1, now: now) == [2])
        #expect(traffic.settings == full("$LATEST", "kept", "3"))
        #expect(throws: Failure.self) { try traffic.remove(3, of: name()) }
        #expect(traffic.settings == full("$LATEST", "kept", "3"), "what stays keeps them")
    }

    @Test func onlyOfWhatIsThere() throws {
        var traffic = Traffic(numbers: [1, 2, 3], unpublished: 3)
        _ = try traffic.put(Alias(name: "prod", target: .version(1), updatedAt: now), of: name())
        for qualifier in ["$LATEST", "live", "prod", "1", "2"] { try traffic.require(qualifier, of: name()) }
        for qualifier in ["3", "4", "0", "01", "+1", "-1", "", "test", "latest", "9999999999999999999999"] {
            let failure = #expect(throws: Failure.self, "\(qualifier)") { try traffic.require(qualifier, of: name()) }
            #expect(failure?.outcome == .notFound)
        }
    }

    @Test func aPolicysTagTellsItsStates() {
        var settings = full("a", "b")
        #expect(settings.policyTag("none") == nil)
        let before = settings.policyTag("a")
        #expect(before != nil && before == settings.policyTag("b"))
        settings.policies["a"]?[0].viaURL = true
        #expect(settings.policyTag("a") != before)
    }

    /// Also what an older host has written.
    @Test func settingsAreReadAgain() throws {
        let settings = full("$LATEST", "a", "1")
        let data = try JSONEncoder().encode(settings)
        #expect(try JSONDecoder().decode(FunctionSettings.self, from: data) == settings)
        let old = Data(#"{"reservedConcurrency":1,"tags":{"a":"b"}}"#.utf8)
        let read = try JSONDecoder().decode(FunctionSettings.self, from: old)
        #expect(read.reservedConcurrency == 1 && read.tags == ["a": "b"] && read.eventInvoke.isEmpty)
    }
}
