import Foundation
import FunctionModel
import Journal
import Store
import StoreSQLite
import Synchronization
import Testing

@Suite final class UsageTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: "usage-\(UUID().uuidString)")

    init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: folder) }

    private func store() throws -> any UsageStore { try SQLiteStore(path: folder.path + "/catalogue.db").stores.usage }

    private func journal(_ ledger: UsageLedger) -> Journal {
        Journal(functions: .init(has: { _ in true }, hasName: { _ in true }), usage: ledger, logger: quietLogger)
    }

    private func run(_ journal: Journal, _ version: FunctionVersion, wall: Duration, _ answer: Result<String, Failure>)
    {
        var completion = FakeWorkers.completion(answer)
        completion.usage.wall = wall
        completion.usage.cpu = .nanoseconds(77)
        journal.ended(invocation(version, event: "[12]"), completion, elapsed: .zero)
    }

    @Test func addsUpToTheLast() async throws {
        let ledger = try UsageLedger(store: store(), today: { UsageDay(number: 20_000) })
        let journal = journal(ledger), version = try version { $0.limits.memory = .mebibytes(512) }
        for number in 1...1000 {
            run(
                journal, version, wall: .nanoseconds(number),
                number == 7 ? .failure(Failure(.exit(1), "")) : .success("123"))
            if number % 100 == 0 { try await ledger.flush() }
        }
        // What met a full house was no use of anything.
        run(journal, version, wall: .zero, .failure(Failure(.throttled(retryAfter: 1), "")))
        let rows = try await ledger.usage(from: UsageDay(number: 20_000), to: UsageDay(number: 20_000))
        #expect(rows.count == 1)
        let sum = try #require(rows[UsageKey(function: version.name, key: "", day: 20_000)])
        #expect(sum.invocations == 1000 && sum.errors == 1 && sum.wall == 500_500 && sum.cpu == 77_000)
        #expect(sum.bytesIn == 4000 && sum.bytesOut == 3 * 999)
        #expect(abs(sum.gbSeconds - 0.5 * 500_500e-9) < 1e-12)
    }

    @Test func aBudgetIsSpentAndComesAgainWithTheMonth() async throws {
        let day = Mutex(try #require(UsageDay("2026-11-28")))
        let ledger = try UsageLedger(store: store(), today: { day.withLock { $0 } })
        let journal = journal(ledger), version = try version { $0.limits.memory = .mebibytes(1024) }
        run(journal, version, wall: .seconds(3), .success("1"))
        #expect(ledger.refusal(of: version.name) == nil)
        try await ledger.set(budget: 5, of: version.name)
        #expect(ledger.budget(of: version.name)?.spent == 3)
        run(journal, version, wall: .seconds(2), .success("1"))
        #expect(ledger.refusal(of: version.name)?.outcome == .throttled)
        try await ledger.flush()
        // Another process knows it, too.
        let next = try UsageLedger(store: store(), today: { day.withLock { $0 } })
        #expect(next.refusal(of: version.name) != nil)
        day.withLock { $0 = UsageDay(number: $0.number + 3) }
        #expect(next.refusal(of: version.name) == nil && ledger.refusal(of: version.name) == nil)
        try await ledger.set(budget: nil, of: version.name)
        #expect(ledger.budget(of: version.name) == nil)
    }

    @Test func daysAreRead() throws {
        #expect(UsageDay("1970-01-01")?.number == 0 && UsageDay("2026-11-28T10:00:00Z")?.text == "2026-11-28")
        #expect(UsageDay("2024-02-29")?.nextMonth.text == "2024-03-01")
        #expect(UsageDay("2026-12-31")?.nextMonth.text == "2027-01-01")
        for wrong in ["", "2026", "2026-02-30", "2026-13-01", "2026-1-01", "2026-11-28x", "é026-11-28", "२०२६-११-२८"] {
            #expect(UsageDay(wrong) == nil, "\(wrong)")
        }
    }
}
