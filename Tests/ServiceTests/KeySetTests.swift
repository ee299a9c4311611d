import Access
import FunctionModel
import Testing

@Suite struct KeySetTests {
    private let start = ContinuousClock.now
    private func at(_ seconds: Double) -> ContinuousClock.Instant { start.advanced(by: .seconds(seconds)) }
    private func set(_ names: String...) -> KeySet {
        KeySet(names.map { JSONWebKey(kty: "EC", kid: $0, crv: "P-256") })
    }

    @Test func oneFetchesAndTheOthersWait() {
        var machine = KeySetMachine()
        #expect(machine.ask(lacking: nil, now: at(0)) == .fetch)
        #expect(machine.ask(lacking: nil, now: at(0)) == .wait)
        let keys = set("a")
        machine.fetched(keys, age: nil, now: at(1))
        #expect(machine.ask(lacking: nil, now: at(1)) == .use(keys, refreshing: false))
    }

    @Test func anOldSetGoesOnWhileOneFetchesAnother() {
        var machine = KeySetMachine()
        _ = machine.ask(lacking: nil, now: at(0))
        let old = set("a")
        machine.fetched(old, age: .seconds(100), now: at(0))
        #expect(machine.ask(lacking: nil, now: at(99)) == .use(old, refreshing: false))
        #expect(machine.ask(lacking: nil, now: at(101)) == .use(old, refreshing: true))
        #expect(machine.ask(lacking: nil, now: at(101)) == .use(old, refreshing: false))
        // It says the same again: nothing that was made of it is made anew.
        machine.fetched(set("a"), age: .seconds(100), now: at(102))
        #expect(machine.ask(lacking: nil, now: at(103)) == .use(old, refreshing: false))
        let new = set("b")
        #expect(machine.ask(lacking: nil, now: at(300)) == .use(old, refreshing: true))
        machine.fetched(new, age: .seconds(100), now: at(301))
        #expect(machine.ask(lacking: nil, now: at(302)) == .use(new, refreshing: false))
    }

    @Test(arguments: [(nil, 600.0), (0.0, 60), (60, 60), (3600, 3600), (1e9, 86_400)])
    func howLongASetIsFresh(age: Double?, seconds: Double) {
        var machine = KeySetMachine()
        _ = machine.ask(lacking: nil, now: at(0))
        let keys = set("a")
        machine.fetched(keys, age: age.map { .seconds($0) }, now: at(0))
        #expect(machine.ask(lacking: nil, now: at(seconds - 1)) == .use(keys, refreshing: false))
        if seconds < 86_400 { #expect(machine.ask(lacking: nil, now: at(seconds)) == .use(keys, refreshing: true)) }
    }

    @Test func aKeyThatIsNewIsFetchedForOnceInAWhile() {
        var machine = KeySetMachine()
        _ = machine.ask(lacking: nil, now: at(0))
        let old = set("a")
        machine.fetched(old, age: nil, now: at(0))
        #expect(machine.ask(lacking: old, now: at(1)) == .fetch)
        #expect(machine.ask(lacking: old, now: at(1)) == .wait)
        #expect(machine.ask(lacking: nil, now: at(1)) == .use(old, refreshing: false))
        let new = set("a", "b")
        machine.fetched(new, age: nil, now: at(2))
        // Who has looked into the old one looks into the new one first; who has done that is answered.
        #expect(machine.ask(lacking: old, now: at(3)) == .use(new, refreshing: false))
        #expect(machine.ask(lacking: new, now: at(3)) == .use(new, refreshing: false))
        #expect(machine.ask(lacking: new, now: at(30)) == .use(new, refreshing: false))
        #expect(machine.ask(lacking: new, now: at(31)) == .fetch)
    }

    @Test func whatCannotBeFetchedIsAskedForEverMoreSeldom() {
        var machine = KeySetMachine()
        var now = 0.0, pauses: [Int] = []
        for _ in 0..<12 {
            #expect(machine.ask(lacking: nil, now: at(now)) == .fetch)
            machine.failed(now: at(now))
            guard case .refuse(let seconds) = machine.ask(lacking: nil, now: at(now)) else {
                Issue.record("it is asked at once")
                return
            }
            pauses.append(seconds)
            now += Double(seconds)
        }
        #expect(pauses.prefix(4) == [3, 5, 9, 17] && pauses.last == 301)
        #expect(machine.ask(lacking: nil, now: at(now)) == .fetch)
        machine.fetched(set("a"), age: nil, now: at(now))
        machine.failed(now: at(now + 700))
        #expect(machine.ask(lacking: nil, now: at(now + 703)) != .fetch)
    }

    /// Whoever says that a set is good for a day has that day, and one more to come back in.
    @Test func theLongestAgeIsNoEnd() {
        var machine = KeySetMachine()
        _ = machine.ask(lacking: nil, now: at(0))
        let keys = set("a")
        machine.fetched(keys, age: .seconds(1e9), now: at(0))
        #expect(machine.ask(lacking: nil, now: at(86_401)) == .use(keys, refreshing: true))
        machine.failed(now: at(86_402))
        #expect(machine.ask(lacking: nil, now: at(86_403)) == .use(keys, refreshing: false))
    }

    @Test func keysHoldForADayWithoutWhoPublishesThem() {
        var machine = KeySetMachine()
        _ = machine.ask(lacking: nil, now: at(0))
        let keys = set("a")
        machine.fetched(keys, age: nil, now: at(0))
        for hour in 1..<24 {
            guard case .use(keys, let refreshing) = machine.ask(lacking: nil, now: at(Double(hour) * 3600)) else {
                Issue.record("they do not after \(hour) h")
                return
            }
            if refreshing { machine.failed(now: at(Double(hour) * 3600)) }
        }
        #expect(machine.ask(lacking: nil, now: at(86_999)) == .use(keys, refreshing: true))
        machine.failed(now: at(86_999))
        #expect(machine.ask(lacking: nil, now: at(87_000)) != .use(keys, refreshing: false))
        machine.failed(now: at(87_000))
        guard case .refuse = machine.ask(lacking: nil, now: at(87_001)) else {
            Issue.record("they hold for longer")
            return
        }
    }
}
