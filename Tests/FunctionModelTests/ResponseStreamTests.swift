import FunctionModel
import NIOCore
import Synchronization
import Testing

@Suite struct ResponseStreamTests {
    private func stream(_ limit: Int = 1 << 30) -> (ResponseStream, MemoryBudget) {
        let budget = MemoryBudget(limit: limit)
        return (ResponseStream(charge: budget.charge()), budget)
    }

    private func part(_ count: Int) -> ResponsePart { .body(ByteBuffer(repeating: 1, count: count)) }

    /// A writer that stops when it is told so and goes on when it is told so never waits for ever, whoever is faster.
    @Test(.timeLimit(.minutes(1))) func nobodyIsForgotten() async {
        for round in 0..<200 {
            let (stream, budget) = stream()
            let (more, signal) = AsyncStream<Void>.makeStream()
            stream.begin(.cold, more: { signal.yield() }, onEnd: {})
            let writer = Task {
                var iterator = more.makeAsyncIterator()
                for _ in 0..<50 {
                    guard case .wait = stream.write(part(10)) else { continue }
                    if round % 2 == 0 { await Task.yield() }
                    // As `WorkerRunner` does: it stops, and looks once more.
                    while stream.isFull { _ = await iterator.next() }
                }
                stream.finish()
            }
            var count = 0
            while let part = await stream.next() {
                count += part.size
                stream.took(part.size)
                if round % 3 == 0 { await Task.yield() }
            }
            await writer.value
            #expect(count == 500 && budget.used == 0)
        }
    }

    @Test func whatIsNotTakenIsCharged() async {
        let (stream, budget) = stream()
        _ = stream.write(part(1000))
        #expect(budget.used == 1000)
        let taken = await stream.next()
        #expect(taken == part(1000) && budget.used == 1000, "it is on its way still")
        stream.took(1000)
        #expect(budget.used == 0)
        _ = stream.write(part(1000))
        stream.end()
        #expect(budget.used == 0)
        #expect(await stream.next() == nil)
    }

    @Test func whatFindsNoRoomBreaksIt() {
        let (stream, _) = stream(1 << 20)
        guard case .none = stream.write(part(200 << 20)) else {
            Issue.record("it has")
            return
        }
        #expect(stream.isBroken && !stream.hasBegun)
    }

    @Test(.timeLimit(.minutes(1))) func theEndWaitsForTheReadersVerdict() async {
        let (stream, _) = stream()
        _ = stream.write(part(1))
        let refusal = Task {
            await stream.finished()
            return stream.refusal
        }
        await Task.yield()
        stream.refuse(Failure(.protocolError, "no"))
        #expect(await refusal.value?.outcome == .protocolError)
        let (other, _) = self.stream()
        other.end()
        await other.finished()
        #expect(other.refusal == nil)
    }
}
