import Foundation
import FunctionModel
import GRDB
import Invoker
import Journal
import Logging
import NIOCore
import Store
import StoreSQLite
import Testing

@testable import Events

/// On a real store, with workers that end as they are told.
@Suite final class EventsTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: "events-\(UUID().uuidString)")
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private var path: String { folder.path + "/catalogue.db" }

    init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: folder) }

    private func stores() throws -> Stores { try SQLiteStore(path: path).stores }

    private func events(
        _ workers: FakeWorkers, maxQueued: Int = 10,
        rules: @escaping @Sendable (FunctionVersion) -> AsyncRules = { $0.manifest.async }
    ) throws -> Events {
        let stores = try stores(), versions = try stores.catalogue.versions()
        return try Events(
            store: stores.queue, invoker: Invoker(workers: workers, recorder: FakeRecorder()),
            budget: MemoryBudget(limit: 64 << 20), bounds: .init(maxQueued: maxQueued),
            around: Events.Surroundings(
                version: { name, number in versions.first { $0.name == name && $0.number == number } },
                resolve: { reference in
                    guard let version = versions.last(where: { $0.name == reference.name }) else {
                        throw Failure(.notFound, "none")
                    }
                    return version
                }, rules: rules), logger: logger)
    }

    private func committed(_ name: String = "f", change: (inout Manifest) -> Void = { _ in }) async throws
        -> FunctionVersion
    {
        try await stores().catalogue.commit(try draft(name, change: change)) { _, _ in }.0
    }

    /// Runs what is queued until all has ended.
    private func run(_ events: Events, until ids: [String]) async throws {
        let runner = Task { await EventRunner(events).work() }
        for id in ids {
            while try await events.record(id)?.status != .done { try await Task.sleep(for: .milliseconds(5)) }
        }
        events.drain()
        await runner.value
    }

    private static func quick(_ manifest: inout Manifest) { manifest.async.backoff = TimeLimit(milliseconds: 10) }

    @Test func runsWhatItAcceptedAndTellsWhatBecameOfIt() async throws {
        let workers = FakeWorkers(.success("7"))
        let version = try await committed(), events = try events(workers)
        try await events.accept(invocation(version, source: .queue))
        #expect(try await events.record("i")?.status == .queued)
        try await run(events, until: ["i"])
        let record = try await events.record("i")
        #expect(record?.outcome == .ok && record?.result.map { String(buffer: $0) } == "7" && record?.attempts == 1)
        #expect(try stores().queue.waiting().isEmpty)
        #expect(workers.taken.first?.source == .queue)
    }

    /// The next process does, after a kill.
    @Test func takesUpWhatAnotherDidNotFinish() async throws {
        let version = try await committed()
        try await events(FakeWorkers()).accept(invocation(version, source: .queue, event: "[1]"))
        let workers = FakeWorkers()
        let next = try events(workers)
        #expect(next.bundlesInUse == [version.bundle])
        try await run(next, until: ["i"])
        #expect(workers.taken.map { String(buffer: $0.event.bytes) } == ["[1]"])
    }

    @Test func aFullHouseIsTriedAgainAndIsNoAttempt() async throws {
        let workers = FakeWorkers(
            .failure(Failure(.throttled(retryAfter: 1), "")), .failure(Failure(.overloaded(retryAfter: 1), "")),
            .success("1"))
        let version = try await committed { $0.async.retries = 0 }, events = try events(workers)
        try await events.accept(invocation(version, source: .queue))
        try await run(events, until: ["i"])
        let record = try await events.record("i")
        #expect(record?.outcome == .ok && record?.attempts == 1 && workers.taken.count == 3)
    }

    @Test func failuresAreTriedAgainAndThenBuried() async throws {
        let failure = Failure(.exit(3), "it exited")
        let workers = FakeWorkers(.failure(failure), .failure(failure), .failure(failure))
        let version = try await committed(change: Self.quick), events = try events(workers)
        try await events.accept(invocation(version, source: .queue, event: "[2]"))
        try await run(events, until: ["i"])
        #expect(workers.taken.count == 3)
        let record = try await events.record("i")
        #expect(record?.outcome == .exit && record?.attempts == 3 && record?.nextAttemptAt == nil)
        let dead = try await events.deadLetters(of: version.name, before: nil, limit: 9)
        #expect(dead.map(\.id) == ["i"] && dead.first?.attempts == 3 && events.deadLetterCounts == [version.name: 1])
        #expect(try await events.event(ofDead: "i", of: version.name) == Data("[2]".utf8))
        // The same in another process, from the store.
        #expect(try await self.events(FakeWorkers()).record("i")?.outcome == .exit)

        let again = FakeWorkers(.success("9")), next = try self.events(again)
        #expect(try await next.redrive("i", of: version.name, version: version) == 1)
        await #expect(throws: Failure.self) { try await next.redrive("i", of: version.name, version: version) }
        #expect(try await next.record("i")?.status == .queued)
        try await run(next, until: ["i"])
        #expect(try await next.record("i")?.outcome == .ok && next.deadLetterCounts.isEmpty)
        #expect(again.taken.map { String(buffer: $0.event.bytes) } == ["[2]"])
    }

    /// What an attempt left that failed is not what it ended in.
    @Test func anAttemptThatHelpsIsAllThatIsTold() async throws {
        let workers = FakeWorkers(.failure(Failure(.exit(3), "it exited")), .success("7"))
        let version = try await committed(change: Self.quick), events = try events(workers)
        try await events.accept(invocation(version, source: .queue))
        try await run(events, until: ["i"])
        let record = try await events.record("i")
        #expect(record?.outcome == .ok && record?.failure == nil && record?.attempts == 2)
        #expect(try await self.events(FakeWorkers()).record("i")?.failure == nil)
    }

    /// What is wrong with the request stays wrong.
    @Test func whatIsTheCallersFaultIsNotTriedAgain() async throws {
        let workers = FakeWorkers(.failure(Failure(.invalidRequest, "no")))
        let version = try await committed(change: Self.quick), events = try events(workers)
        try await events.accept(invocation(version, source: .queue))
        try await run(events, until: ["i"])
        #expect(workers.taken.count == 1 && events.deadLetterCounts == [version.name: 1])
    }

    @Test func destinationsAreTold() async throws {
        let other = try await committed("other")
        let version = try await committed {
            $0.async.retries = 0
            $0.async.onSuccess = .function(other.name)
            $0.async.onFailure = .function(other.name)
        }
        let workers = FakeWorkers(.success("7"), .success("null"), .failure(Failure(.exit(1), "why")), .success("null"))
        let events = try events(workers)
        for id in ["good", "bad"] {
            try await events.accept(invocation(version, id: id, source: .queue, event: "[5]"))
            let runner = Task { await EventRunner(events).work() }
            _ = runner
            while workers.taken.count < (id == "good" ? 2 : 4) { try await Task.sleep(for: .milliseconds(5)) }
        }
        events.drain()
        let told = workers.taken.filter { $0.version.name == other.name }.map { String(buffer: $0.event.bytes) }
        #expect(told.count == 2)
        #expect(told[0].contains(#""condition":"Success""#) && told[0].contains(#""requestPayload":[5]"#))
        #expect(told[0].contains(#""responsePayload":7"#) && told[0].contains(#""requestId":"good""#))
        #expect(told[1].contains(#""condition":"RetriesExhausted""#) && told[1].contains(#""errorType":"exit""#))
    }

    /// What is said of a function wins over what its manifest says, from the next attempt on.
    @Test func rulesAreThoseOfTheMoment() async throws {
        let other = try await committed("other"), version = try await committed(change: Self.quick)
        let workers = FakeWorkers(.failure(Failure(.exit(1), "why")), .success("null"))
        let events = try events(workers) { version in
            var rules = version.manifest.async
            rules.retries = 0
            rules.onFailure = version.name == other.name ? nil : .function(other.name)
            return rules
        }
        try await events.accept(invocation(version, source: .queue))
        let runner = Task { await EventRunner(events).work() }
        while workers.taken.count < 2 { try await Task.sleep(for: .milliseconds(5)) }
        events.drain()
        await runner.value
        #expect(workers.taken.map(\.version.name) == [version.name, other.name], "one attempt, and who is told of it")
    }

    @Test func refusesBeforeItIsAnswered() async throws {
        let version = try await committed(), events = try events(FakeWorkers(holds: true), maxQueued: 1)
        await #expect(throws: Failure.self) {
            try await events.accept(invocation(version, source: .queue, problem: "no JSON"))
        }
        try await events.accept(invocation(version, id: "1", source: .queue))
        let failure = await #expect(throws: Failure.self) {
            try await events.accept(invocation(version, id: "2", source: .queue))
        }
        #expect(failure?.outcome == .overloaded && failure?.retryAfter == 1)
        #expect(events.bundlesInUse == [version.bundle])
    }

    @Test func whatCannotBeStoredIsNotAccepted() async throws {
        let version = try await committed(), events = try events(FakeWorkers())
        let broken = try DatabaseQueue(path: path)
        try await broken.write { try $0.execute(sql: "DROP TABLE queued") }
        await #expect(throws: (any Error).self) {
            try await events.accept(invocation(version, source: .queue))
        }
        #expect(events.bundlesInUse.isEmpty && events.depth == 0)
    }

    @Test func whatWaitsCanBeTakenOut() async throws {
        let version = try await committed(), workers = FakeWorkers()
        let events = try events(workers)
        try await events.accept(invocation(version, source: .queue))
        try await events.cancel("i")
        #expect(try await events.record("i")?.outcome == .cancelled && events.depth == 0)
        #expect(try stores().queue.waiting().isEmpty)
        await #expect(throws: Failure.self) { try await events.cancel("i") }
        await #expect(throws: Failure.self) { try await events.cancel("other") }
        try await events.accept(invocation(version, id: "2", source: .queue))
        try await run(events, until: ["2"])
        #expect(workers.taken.map(\.id) == ["2"])
    }

    /// Whoever takes them up next knows: nothing is lost, and nothing ends process after process.
    @Test func whatEndsItsRunnersIsBuried() async throws {
        let version = try await committed(), store = try stores().queue
        try await events(FakeWorkers()).accept(invocation(version, source: .queue))
        for _ in 0..<10 { try store.countStarts(of: ["i"]) }
        let workers = FakeWorkers(), next = try events(workers)
        try await run(next, until: ["i"])
        #expect(workers.taken.isEmpty && next.deadLetterCounts == [version.name: 1])
        #expect(try await next.record("i")?.outcome == .cancelled)
    }

    /// A process that ends leaves word of what it had in hand.
    @Test func whatIsInHandIsKnownToTheNext() throws {
        let path = folder.path + "/running"
        do {
            let (file, left) = try RunningFile.open(path: path)
            #expect(left.isEmpty)
            let slots = ["one", "two", "three"].map { file.enter($0) }
            file.leave(slots[1])
        }
        #expect(try RunningFile.open(path: path).left == ["one", "three"])
        #expect(try RunningFile.open(path: path).left.isEmpty)
    }

    /// Not by any who asks meanwhile, nor by who has handed it back twice.
    @Test func theSameKeyIsAnsweredTheSame() async throws {
        let version = try await committed(), keys = try events(FakeWorkers()).idempotency
        func begin(_ key: String, _ body: String, of holder: String = "h") async throws -> IdempotencyKeys.Answer {
            try await keys.begin(key, of: holder, for: version.name, body: Array(body.utf8))
        }
        guard case .first(let ticket) = try await begin("k", "1") else { throw Failure(.conflict, "not first") }
        // One that comes meanwhile waits for the first one's answer; another body does not.
        await #expect(throws: Failure.self) { try await begin("k", "2") }
        async let second = begin("k", "1")
        try await Task.sleep(for: .milliseconds(20))
        let answer = keys.answer(ticket, invocation: "i", head: Data("h".utf8), body: Data("b".utf8))
        try await keys.finish(ticket, answer)
        guard case .again(let kept) = try await second else { throw Failure(.conflict, "not again") }
        #expect(kept.invocation == "i" && kept.head == answer.head)
        #expect(try await keys.body(of: kept) == Data("b".utf8))
        await #expect(throws: Failure.self) { try await begin("k", "2") }
        // Another holder's is another key; one that was let go of is free.
        guard case .first(let other) = try await begin("k", "2", of: "other") else { throw Failure(.conflict, "same") }
        keys.release(other)
        guard case .first = try await begin("k", "3", of: "other") else { throw Failure(.conflict, "kept") }
        for bad in ["", String(repeating: "k", count: 256), "é", "a\nb"] {
            await #expect(throws: Failure.self) { try await begin(bad, "1") }
        }
    }
}
