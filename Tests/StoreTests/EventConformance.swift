import Foundation
import FunctionModel
import Store
import Testing

/// What each driver must keep of what is done later, by the clock, in secret and for money.
struct EventConformance {
    /// Stores on the same data each time: what one wrote the next one reads.
    let open: () throws -> Stores

    private func name(_ text: String) throws -> FunctionName { try #require(FunctionName(text)) }

    private func committed(_ text: String = "a") async throws -> FunctionVersion {
        var manifest = Manifest()
        manifest.run = "x"
        manifest.spellOut()
        let draft = VersionDraft(
            name: try name(text), sha256: "a", size: 1, bundle: "b", manifest: manifest, executable: .staticELF,
            storedBytes: 1, key: nil)
        return try await open().catalogue.commit(draft) { _, _ in }.0
    }

    private func queued(_ id: String, for version: FunctionVersion, event: String? = nil) -> QueuedInvocation {
        var queued = QueuedInvocation(
            id: id, function: version.name, version: version.number, event: Data((event ?? id).utf8), traceparent: "t")
        queued.acceptedAt = 5
        return queued
    }

    private func finished(_ id: String, _ version: FunctionVersion, _ summary: String = "s", _ result: Data? = nil)
        -> FinishedInvocation
    {
        FinishedInvocation(
            id: id, function: version.name, version: version.number, summary: Data(summary.utf8), result: result)
    }

    // MARK: - The queue

    func acceptedOnesOutliveAndKeepTheirOrder() async throws {
        let store = try open().queue, version = try await committed()
        for id in ["c", "a", "b"] { try await store.enqueue(queued(id, for: version), answer: nil) }
        try await store.dequeue("a")
        let found = try open().queue.waiting()
        #expect(found.map(\.id) == ["c", "b"] && found[0].traceparent == "t" && found[0].version == 1)
        #expect(found[0].size == 1 && found[0].acceptedAt == 5)
        #expect(try await store.event(ofQueued: "b") == Data("b".utf8))
        #expect(try await store.event(ofQueued: "a") == nil)
    }

    func whoEndsItsRunnersIsKnown() async throws {
        let store = try open().queue, version = try await committed()
        try await store.enqueue(queued("i", for: version), answer: nil)
        try store.countStarts(of: ["i", "other"])
        try store.countStarts(of: ["i"])
        #expect(try open().queue.waiting().first?.tries.starts == 2)
        try await store.postpone("i", attempts: 1, notBefore: 99)
        let waiting = try open().queue.waiting().first
        #expect(waiting?.tries.starts == 0 && waiting?.tries.attempts == 1 && waiting?.tries.notBefore == 99)
    }

    /// Many at once are many, whatever is committed with what; and one that fails fails alone.
    func manyAtOnce() async throws {
        let store = try open().queue, version = try await committed()
        try await withThrowingTaskGroup { group in
            for number in 0..<500 {
                let item = queued("\(number)", for: version)
                group.addTask { try await store.enqueue(item, answer: nil) }
            }
            try await group.waitForAll()
        }
        await #expect(throws: (any Error).self) { try await store.enqueue(queued("7", for: version), answer: nil) }
        try await store.enqueue(queued("x", for: version), answer: nil)
        #expect(try open().queue.waiting().count == 501)
    }

    func whatBecameOfOneCanBeAskedFor() async throws {
        let store = try open().queue, version = try await committed()
        try await store.enqueue(queued("i", for: version), answer: nil)
        let first = finished("i", version, "s", Data("r".utf8))
        let next = queued("next", for: version)
        #expect(try await store.settle { Settlement(finished: first, followUps: [next]) }.map(\.id) == ["next"])
        #expect(try await open().queue.finished("i") == first)
        #expect(try store.waiting().map(\.id) == ["next"])
        // After a kill in between it runs once more, and its end is the one that counts.
        let again = finished("i", version, "t")
        _ = try await store.settle { Settlement(finished: again) }
        #expect(try await store.finished("i") == again)
        #expect(try await store.finished("other") == nil)
    }

    /// 64 MiB of results are kept; how the oldest ended is known still.
    func oldResultsMakeRoom() async throws {
        let store = try open().queue, version = try await committed()
        let result = Data(repeating: 1, count: 15 << 20)
        for number in 0..<6 {
            let ended = finished("\(number)", version, "", result)
            _ = try await store.settle { Settlement(finished: ended) }
        }
        #expect(try await store.finished("0") != nil)
        #expect(try await store.finished("0")?.result == nil)
        #expect(try await store.finished("5")?.result == result)
    }

    func theDeadAreKeptRedrivenAndForgotten() async throws {
        let store = try open().queue, version = try await committed(), a = version.name
        for id in ["1", "2", "3"] {
            try await store.enqueue(queued(id, for: version, event: "e\(id)"), answer: nil)
            let ended = finished(id, version, "why\(id)")
            _ = try await store.settle { Settlement(finished: ended, deadAfter: 3) }
        }
        #expect(try store.waiting().isEmpty)
        let dead = try await open().queue.deadLetters(of: a, before: nil, limit: 2)
        #expect(dead.map(\.id) == ["3", "2"] && dead[0].attempts == 3 && dead[0].summary == Data("why3".utf8))
        #expect(try await store.deadLetters(of: a, before: dead[1].position, limit: 9).map(\.id) == ["1"])
        #expect(try await store.event(ofDead: "2", of: a) == Data("e2".utf8))
        #expect(try await store.event(ofDead: "2", of: name("b")) == nil)
        #expect(try store.deadLetterCounts() == [a: 3])

        let back = try await store.redrive("2", of: a, now: 77, version: 9)
        #expect(
            back.map(\.id) == ["2"] && back[0].tries.attempts == 0 && back[0].acceptedAt == 77 && back[0].version == 1)
        #expect(try await store.event(ofQueued: "2") == Data("e2".utf8))
        #expect(try await store.finished("2") == nil)
        #expect(try await store.redrive(nil, of: name("b"), now: 1, version: 1).isEmpty)
        #expect(try await store.removeDeadLetters("1", of: a) == 1)
        #expect(try await store.removeDeadLetters(nil, of: a) == 1)
        #expect(try open().queue.deadLetterCounts().isEmpty)
    }

    func answersAreKeptUntilTheyExpire() async throws {
        let store = try open().queue, version = try await committed()
        func answer(_ key: String, _ body: String?, until end: Int) -> KeptAnswer {
            KeptAnswer(
                key: Data(key.utf8), request: Data("r".utf8), function: version.name, invocation: "i",
                head: Data("h".utf8), body: body.map { Data($0.utf8) }, size: body?.utf8.count, expiresAt: end)
        }
        let kept = answer("k", "b", until: 1_000_000)
        try await store.keep(kept)
        func found(_ key: String, now: Int = 0) async throws -> KeptAnswer? {
            try await open().queue.keptAnswer(Data(key.utf8), of: version.name, now: now)
        }
        let again = try #require(try await found("k", now: 999_999))
        #expect(again.request == kept.request && again.head == kept.head && again.size == 1 && again.body == nil)
        #expect(try await store.keptBody(Data("k".utf8)) == Data("b".utf8))
        #expect(try await found("k", now: 1_000_000) == nil)
        #expect(try await found("l") == nil)
        // With what was accepted, or not at all.
        try await store.enqueue(queued("q", for: version), answer: answer("m", "b", until: 2_000_000))
        await #expect(throws: (any Error).self) {
            try await store.enqueue(queued("q", for: version), answer: answer("n", "b", until: 2_000_000))
        }
        #expect(try await found("m") != nil)
        #expect(try await found("n") == nil)
        // Those of the day before make room, and the same again is one still.
        for _ in 0..<3 { try await store.keep(answer("z", nil, until: 2_000_000 + 86_400_000)) }
        #expect(try await found("k") == nil)
        let large = try #require(try await found("z"))
        #expect(large.invocation == "i" && large.size == nil)
    }

    // MARK: - Schedules

    func eachTimeOnce() async throws {
        let store = try open().schedules, version = try await committed()
        let schedule = Schedule(
            id: "s", timing: .every(.seconds(1)), function: version.name, event: #"{"big":12345678901234567890.10}"#)
        #expect(try await store.put(schedule, cursor: 100, nil) {})
        #expect(try await !store.put(schedule, cursor: nil, nil) {})
        let (there, cursor) = try #require(try open().schedules.schedules().first)
        #expect(there == schedule && cursor == 100)

        func run(_ due: Int, _ kind: ScheduleRun.Kind = .fired) -> ScheduleRun {
            ScheduleRun(schedule: "s", due: due, at: due + 1, kind: kind, invocation: "i\(due)")
        }
        func fire(_ due: Int, _ kind: ScheduleRun.Kind = .fired, skips: Bool = false) async throws -> ScheduleRun? {
            var item = queued("i\(due)", for: version)
            item.schedule = "s"
            return try await store.fire(
                run(due, kind), queued: item, skipsOverlap: skips, isManual: kind == .manual)
        }
        #expect(try await fire(100) == nil)
        #expect(try await fire(200) == run(200))
        #expect(try await fire(200) == nil)
        #expect(try await fire(150) == nil)
        // The one before has not ended.
        #expect(try await fire(300, skips: true)?.kind == .skipped)
        #expect(try await fire(250, .manual)?.kind == .manual)
        #expect(try await fire(400) == run(400))
        #expect(try open().schedules.schedules().first?.cursor == 400)
        #expect(try await open().schedules.runs(of: "s", limit: 3).map(\.due) == [400, 300, 250])
        #expect(try open().queue.waiting().map(\.id) == ["i200", "i250", "i400"])
        let ended = finished("i200", version)
        _ = try await open().queue.settle { Settlement(finished: ended) }
        await #expect(throws: PreconditionFailed.self) {
            try await store.removeSchedule("s", Precondition(ifMatch: "\"no\"")) {}
        }
        #expect(try await store.removeSchedule("s", nil) {})
        #expect(try await !store.removeSchedule("s", nil) {})
        #expect(try await store.runs(of: "s", limit: 9).isEmpty)
        #expect(try await fire(500) == nil)
    }

    // MARK: - Secrets and usage

    func secretsComeAndGo() async throws {
        let store = try open().secrets
        let secret = SealedSecret(name: "n", sealed: Data([1, 2]), createdAt: "c", updatedAt: "u")
        #expect(try await store.put(secret))
        #expect(try await !store.put(SealedSecret(name: "n", sealed: Data([3]), createdAt: "d", updatedAt: "v")))
        let changed = SealedSecret(name: "n", sealed: Data([3]), createdAt: "c", updatedAt: "v")
        #expect(try open().secrets.secrets() == [changed])
        var other = changed
        other.sealed = Data([4])
        try store.replace([other])
        #expect(try open().secrets.secrets() == [other])
        #expect(try await store.removeSecret("n"))
        #expect(try await !store.removeSecret("n"))
    }

    func usageAddsUp() async throws {
        let store = try open().usage, a = try name("a")
        var sum = UsageSum()
        sum.invocations = 1
        sum.wall = 1_234_567
        sum.gbSeconds = 0.5
        sum.bytesOut = 7
        for day in [10, 11, 11] { try await store.addUsage([UsageKey(function: a, key: "k", day: day): sum]) }
        var twice = sum
        twice += sum
        #expect(try await open().usage.usage(from: 11, to: 12) == [UsageKey(function: a, key: "k", day: 11): twice])
        #expect(try store.spent(from: 10) == [a: 1.5])
        try await store.set(budget: 3, of: a)
        try await store.set(budget: 4, of: a)
        #expect(try open().usage.budgets() == [a: 4])
        try await store.set(budget: nil, of: a)
        #expect(try store.budgets().isEmpty)
    }
}
