import FunctionModel
import Testing

@Suite struct TrafficTests {
    private let now = "2026-01-01T00:00:00.000Z"

    private func name() throws -> FunctionName { try #require(FunctionName("f")) }

    private func traffic(_ count: Int) -> Traffic {
        var traffic = Traffic(numbers: [])
        for number in stride(from: 1, through: count, by: 1) { _ = traffic.add(number, now: now) }
        return traffic
    }

    private func served(_ traffic: Traffic, _ key: String = "") -> Int {
        traffic.live.number(for: key, newest: traffic.newest ?? 0)
    }

    @Test func liveFollowsTheNewestUntilItIsPinned() throws {
        var traffic = traffic(2)
        #expect(served(traffic) == 2 && traffic.live.target == .latest)
        #expect(try traffic.put(Alias(name: "live", target: .version(1), updatedAt: now), of: name()) == false)
        _ = traffic.add(3, now: now)
        #expect(served(traffic) == 1)
        _ = try traffic.put(Alias(name: "live", updatedAt: now), of: name())
        #expect(served(traffic) == 3)
    }

    @Test func rollsBackToWhatItServedBefore() throws {
        var traffic = traffic(3)
        try traffic.rollBack(to: nil, of: name(), now: now)
        #expect(served(traffic) == 2)
        // A new version changes nothing for who is pinned, nor does it what there is to go back to.
        _ = traffic.add(4, now: now)
        #expect(served(traffic) == 2 && traffic.live.previous == 3)
        try traffic.rollBack(to: nil, of: name(), now: now)
        #expect(served(traffic) == 3)
        try traffic.rollBack(to: 1, of: name(), now: now)
        #expect(served(traffic) == 1)
        #expect(throws: Failure.self) { try traffic.rollBack(to: 9, of: name(), now: now) }
        var first = self.traffic(1)
        let failure = #expect(throws: Failure.self) { try first.rollBack(to: nil, of: name(), now: now) }
        #expect(failure?.outcome == .conflict)
    }

    /// Contract: 90 % to one, 10 % to another, and whoever has the same key stays where it is.
    @Test func sharesAreAsTheWeightsSay() throws {
        var traffic = traffic(4)
        _ = try traffic.put(Alias(name: "live", target: .version(3), weights: [4: 0.1], updatedAt: now), of: name())
        let keys = (0..<20_000).map { "00000000-0000-4000-8000-\($0)" }
        let share = Double(keys.count { served(traffic, $0) == 4 }) / 20_000
        #expect((0.094...0.106).contains(share), "\(share)")
        #expect(keys.allSatisfy { served(traffic, $0) == served(traffic, $0) })
        #expect(Set(keys.map { served(traffic, $0) }) == [3, 4])
        _ = try traffic.put(
            Alias(name: "live", target: .latest, weights: [1: 0.5, 2: 0.5], updatedAt: now), of: name())
        #expect(Set(keys.map { served(traffic, $0) }) == [1, 2])
    }

    @Test func wrongOnesAreRefused() throws {
        var traffic = traffic(3)
        let before = traffic
        let wrong: [Alias] = [
            Alias(name: "a", target: .version(4), updatedAt: now),
            Alias(name: "a", target: .version(1), weights: [9: 0.1], updatedAt: now),
            Alias(name: "a", target: .version(1), weights: [2: 0.6, 3: 0.5], updatedAt: now),
            Alias(name: "a", target: .version(1), weights: [2: 0], updatedAt: now),
            Alias(name: "a", target: .version(1), weights: [2: -0.1], updatedAt: now),
            Alias(name: "a", target: .version(1), weights: [2: .nan], updatedAt: now),
            Alias(name: "a", target: .version(1), weights: [2: .infinity], updatedAt: now),
            Alias(name: "a", target: .version(1), weights: [1: 0.1], updatedAt: now),
            Alias(name: "a", target: .latest, weights: [3: 0.1], updatedAt: now),
            Alias(name: "latest", target: .version(1), updatedAt: now),
        ]
        for alias in wrong {
            #expect(throws: Failure.self, "\(alias)") { try traffic.put(alias, of: name()) }
        }
        #expect(traffic == before)
        for number in 0..<Traffic.maxAliases {
            _ = try traffic.put(Alias(name: "a\(number)", updatedAt: now), of: name())
        }
        #expect(throws: Failure.self) { try traffic.put(Alias(name: "one-more", updatedAt: now), of: name()) }
        #expect(throws: Failure.self) { try traffic.remove("live", of: name()) }
        #expect(throws: Failure.self) { try traffic.remove("none", of: name()) }
        try traffic.remove("a0", of: name())
    }

    @Test func namedVersionsStay() throws {
        var traffic = traffic(3)
        _ = try traffic.put(Alias(name: "stable", target: .version(1), weights: [2: 0.5], updatedAt: now), of: name())
        for number in [1, 2, 3] {
            let failure = #expect(throws: Failure.self) { try traffic.remove(number, of: name()) }
            #expect(failure?.outcome == .conflict)
        }
        for number in 4...9 { _ = traffic.add(number, keep: 2, awaited: [5], now: now) }
        #expect(traffic.numbers == [1, 2, 5, 7, 8, 9])
        try traffic.remove("stable", of: name())
        #expect(traffic.add(10, now: now) == [1, 2, 5, 7])
        try traffic.remove(8, of: name())
        #expect(throws: Failure.self) { try traffic.remove(8, of: name()) }
        #expect(traffic.add(11, keep: 0, now: now) == [9, 10])
    }

    @Test func aliasNames() {
        for name in ["live", "a", "PROD", "v1", "blue_green-2", String(repeating: "a", count: 128)] {
            #expect(Alias.isName(name), "\(name)")
        }
        for name in ["", "1", "42", "a b", "a/b", "ä", "a.b", "$LATEST", String(repeating: "a", count: 129)] {
            #expect(!Alias.isName(name), "\(name)")
        }
    }

    @Test func preconditions() throws {
        #expect(Precondition(ifMatch: nil) == nil)
        let any = try #require(Precondition(ifMatch: "*"))
        try any.check("x")
        #expect(throws: PreconditionFailed.self) { try any.check(nil) }
        let some = try #require(Precondition(ifMatch: #""a", "b""#))
        try some.check("b")
        for wrong in [nil, "c", "\"a\""] as [String?] {
            #expect(throws: PreconditionFailed.self) { try some.check(wrong) }
        }
        #expect(throws: PreconditionFailed.self) { try Precondition(ifMatch: #"W/"a""#)?.check("a") }
        #expect(throws: PreconditionFailed.self) { try Precondition(ifMatch: "")?.check("a") }
    }
}
