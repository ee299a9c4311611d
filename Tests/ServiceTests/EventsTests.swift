import Events
import FunctionModel
import Invoker
import Journal
import Logging
import NIOCore
import Store
import Testing

@Suite struct EventsTests {
    private let store = MemoryStore()
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func events(_ workers: FakeWorkers, maxQueued: Int = 10) throws -> Events {
        let versions = try store.versions()
        return try Events(
            store: store, invoker: Invoker(workers: workers, recorder: FakeRecorder()),
            budget: MemoryBudget(limit: 64 << 20), maxQueued: maxQueued,
            version: { name, number in versions.first { $0.name == name && $0.number == number } }, logger: logger)
    }

    private func committed() async throws -> FunctionVersion {
        try await store.commit(try draft("f")) { _, _ in }.0
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

    @Test func runsWhatItAcceptedAndTellsWhatBecameOfIt() async throws {
        let workers = FakeWorkers(.success("7"))
        let version = try await committed(), events = try events(workers)
        try await events.accept(invocation(version, source: .queue))
        #expect(try await events.record("i")?.status == .queued)
        try await run(events, until: ["i"])
        let record = try await events.record("i")
        #expect(record?.outcome == .ok && record?.result.map { String(buffer: $0) } == "7")
        #expect(try store.takeUpUnfinished(atMost: 10).isEmpty)
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

    @Test func aFullHouseIsTriedAgainAndIsNoEnd() async throws {
        let workers = FakeWorkers(
            .failure(Failure(.throttled(retryAfter: 1), "")), .failure(Failure(.overloaded(retryAfter: 1), "")),
            .success("1"))
        let version = try await committed(), events = try events(workers)
        try await events.accept(invocation(version, source: .queue))
        try await run(events, until: ["i"])
        #expect(try await events.record("i")?.outcome == .ok && workers.taken.count == 3)
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
        store.fails = true
        await #expect(throws: (any Error).self) {
            try await events.accept(invocation(version, id: "3", source: .queue))
        }
        #expect(store.fails && events.bundlesInUse == [version.bundle])
    }

    @Test func whatCannotBeStoredIsNotAccepted() async throws {
        let version = try await committed(), events = try events(FakeWorkers())
        store.fails = true
        await #expect(throws: MemoryStore.Failed.self) {
            try await events.accept(invocation(version, source: .queue))
        }
        #expect(events.bundlesInUse.isEmpty)
    }
}
