import FunctionModel
import Invoker
import NIOCore
import Synchronization
import Testing

@Suite struct InvokerTests {
    /// Holds it until it is taken.
    private final class Box: Sendable {
        private let held: Mutex<Invocation?>

        init(_ invocation: Invocation) { held = Mutex(invocation) }

        func take() -> Invocation {
            held.withLock { held in
                guard let invocation = held.take() else { preconditionFailure("it is taken once") }
                return invocation
            }
        }
    }

    private let clock = FakeClock()
    private let recorder = FakeRecorder()

    private func invoker(_ workers: FakeWorkers) -> Invoker {
        Invoker(workers: workers, recorder: recorder, now: clock.now)
    }

    @Test func recordsBeginAndEndWithTheTimeBetween() async throws {
        let workers = FakeWorkers(holds: true)
        let invoker = invoker(workers)
        let outcome = Mutex<Outcome?>(nil)
        invoker.submit(invocation(try version())) { completion in outcome.withLock { $0 = completion.outcome } }
        #expect(recorder.begins == ["i"] && recorder.ends.isEmpty)
        clock.advance(by: .milliseconds(250))
        workers.release(.success("1"))
        #expect(outcome.withLock { $0 } == .ok)
        #expect(recorder.ends.map(\.elapsed) == [.milliseconds(250)])
    }

    @Test func anEmptyEventIsNull() async throws {
        let workers = FakeWorkers()
        _ = await invoker(workers).invoke(invocation(try version(), event: ""))
        #expect(workers.taken.map { String(buffer: $0.event.bytes) } == ["null"])
    }

    @Test func rawBytesStayAsTheyAre() async throws {
        let workers = FakeWorkers()
        let raw = ArrivedEvent(ByteBuffer(), charge: nil, problem: nil, isRaw: true)
        _ = await invoker(workers).invoke(
            Invocation(id: "i", version: try version(), principal: .anonymous, source: .http, event: raw))
        #expect(workers.taken.first?.event.bytes.readableBytes == 0)
    }

    @Test func whatIsNoJSONComesToNoWorker() async throws {
        let workers = FakeWorkers()
        let completion = await invoker(workers).invoke(
            invocation(try version(), event: "{", problem: "it ends too early"))
        #expect(completion.outcome == .invalidRequest && workers.taken.isEmpty)
        #expect(recorder.ends.map(\.outcome) == [.invalidRequest])
    }

    @Test func aDrainingHostFinishesOnlyWhatItAccepted() async throws {
        let workers = FakeWorkers()
        let invoker = invoker(workers)
        invoker.drain()
        #expect(await invoker.invoke(invocation(try version())).outcome == .overloaded)
        #expect(await invoker.invoke(invocation(try version(), source: .queue)).outcome == .ok)
        #expect(workers.taken.count == 1)
    }

    /// An accepted one has its turn again: nothing has ended.
    @Test(arguments: [Failure.Cause.throttled(retryAfter: 1), .overloaded(retryAfter: 1)])
    func aFullHouseIsNoEndOfAnAcceptedOne(_ cause: Failure.Cause)
        async throws
    {
        let invoker = invoker(FakeWorkers(.failure(Failure(cause, "")), .failure(Failure(cause, ""))))
        _ = await invoker.invoke(invocation(try version(), source: .queue))
        #expect(recorder.ends.isEmpty)
        _ = await invoker.invoke(invocation(try version()))
        #expect(recorder.ends.map(\.outcome) == [Failure(cause, "").outcome])
    }

    /// In the protocol's line the event stands a second time.
    @Test func chargesAReactorsEventTwice() async throws {
        let event = String(repeating: "1", count: 400 << 10)
        for (mode, outcome) in [(Manifest.Mode.command, Outcome.ok), (.reactor, .overloaded)] {
            let charge = MemoryBudget(limit: 600 << 10).charge()
            #expect(charge.add(event.utf8.count))
            let completion = await invoker(FakeWorkers()).invoke(
                invocation(try version { $0.mode = mode }, event: event, charge: charge))
            #expect(completion.outcome == outcome)
        }
    }

    /// What runs for minutes must not hold its event for as long.
    @Test(arguments: ["submit", "invoke", "reading"]) func anEventIsHeldUntilTheWorkerHasIt(_ way: String) async throws
    {
        let workers = FakeWorkers(holds: true), budget = MemoryBudget(limit: 1 << 20)
        let invoker = invoker(workers), version = try version()
        func charged() -> Invocation {
            let charge = budget.charge()
            #expect(charge.add(100))
            return invocation(version, charge: charge)
        }
        let box = Box(charged())
        let task = Task {
            switch way {
            case "submit": invoker.submit(box.take()) { _ in }
            case "invoke": _ = await invoker.invoke(box.take())
            default: _ = await invoker.invoke(box.take()) { _ in Result<Int, Failure>.success(1) }
            }
        }
        let deadline = ContinuousClock.now + .seconds(5)
        while workers.taken.isEmpty || budget.used > 0, .now < deadline { try await Task.sleep(for: .milliseconds(2)) }
        #expect(budget.used == 0)
        workers.release(.success("1"))
        await task.value
    }

    @Test func whatCannotBeReadIsTheInvocationsOwnFailure() async throws {
        let (completion, answer) = await invoker(FakeWorkers(.success("x"))).invoke(invocation(try version())) { _ in
            Result<Int, Failure>.failure(Failure(.protocolError, "no"))
        }
        #expect(completion.outcome == .protocolError && recorder.ends.map(\.outcome) == [.protocolError])
        #expect(throws: Failure.self) { try answer.get() }
    }
}
