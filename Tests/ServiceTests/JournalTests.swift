import FunctionModel
import Journal
import Logging
import NIOCore
import Synchronization
import Telemetry
import Testing
import WorkerPool

@Suite struct JournalTests {
    private func journal(knows: Bool = true, capacity: Int = 10) throws -> Journal {
        Journal(
            functions: .init(has: { _ in knows }, hasName: { _ in knows }),
            usage: try UsageLedger(store: NoUsage()), capacity: capacity,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    @Test func remembersTheNewestAndHowTheyEnded() throws {
        let journal = try journal(capacity: 2), version = try version()
        for id in ["a", "b", "c"] {
            let one = invocation(version, id: id)
            journal.began(one)
            #expect(journal.record(id)?.status == .running)
            journal.ended(
                one,
                FakeWorkers.completion(id == "c" ? .failure(Failure(.timeout(limit: "wall"), "t")) : .success("1")),
                elapsed: .zero)
        }
        #expect(journal.record("a") == nil, "it made room")
        #expect(journal.record("b")?.outcome == .ok && journal.record("b")?.result == nil)
        #expect(journal.record("c")?.failure?.detail == "t")
    }

    /// What was accepted has its record in the store.
    @Test func acceptedOnesAreCountedAndNotRemembered() throws {
        let journal = try journal(), one = invocation(try version(), source: .queue)
        journal.began(one)
        journal.ended(one, FakeWorkers.completion(.success("1")), elapsed: .seconds(1))
        #expect(journal.record("i") == nil)
        #expect(
            journal.metrics.text().contains(#"bulkhead_invocations_total{function="f",outcome="ok",start="cold"} 1"#))
    }

    @Test func seriesOfAFunctionThatIsGoneDoNotComeBack() throws {
        let journal = try journal(knows: false), one = invocation(try version())
        journal.began(one)
        journal.ended(one, FakeWorkers.completion(.success("1")), elapsed: .zero)
        journal.sinks.log(one.version, "i", .function, ["line"])
        #expect(!journal.metrics.text().contains(#"function="f""#))
        #expect(journal.logs.lines(of: one.version.name, limit: 10).isEmpty)
    }

    @Test func aForgottenFunctionLeavesNothing() throws {
        let journal = try journal(), one = invocation(try version())
        journal.ended(one, FakeWorkers.completion(.success("1")), elapsed: .zero)
        journal.sinks.log(one.version, "i", .host, ["said"])
        #expect(
            journal.logs.lines(of: one.version.name, limit: 10).map(\.text) == ["[bulkhead: said]"])
        journal.forget(one.version.name)
        #expect(!journal.metrics.text().contains(#"function="f""#))
        #expect(journal.logs.lines(of: one.version.name, limit: 10).isEmpty)
    }
}
