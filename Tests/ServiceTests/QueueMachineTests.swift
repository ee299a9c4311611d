import FunctionModel
import NIOCore
import Testing

@testable import Events

@Suite struct QueueMachineTests {
    private let start = ContinuousClock.now

    private func item(
        _ id: String, of name: String = "f", max: Int = 100, size: Int = 1, webhook: Bool = false
    ) throws -> QueueMachine.Item {
        var item = QueueMachine.Item(
            version: try version(name) { $0.concurrency.max = max }, id: id,
            event: ArrivedEvent(ByteBuffer(string: String(repeating: " ", count: size))), traceparent: nil)
        item.size = size
        if webhook { item.webhook = OutgoingURL("https://example.com/") }
        return item
    }

    private func hasRoom(_ machine: QueueMachine, _ size: Int, of name: String = "f") throws -> Bool {
        machine.hasRoom(for: size, of: try functionName(name))
    }

    private func claimed(_ machine: inout QueueMachine, after time: Duration = .zero) -> [String] {
        var ids: [String] = []
        while let item = machine.claim(start + time) { ids.append(item.id) }
        return ids
    }

    @Test func functionsTakeTurnsAndAreBoundedByTheirMax() throws {
        var machine = QueueMachine(.init(count: 100))
        for number in 1...5 { machine.add(try item("a\(number)", of: "a", max: 2)) }
        machine.add(try item("b1", of: "b"))
        #expect(claimed(&machine) == ["a1", "b1", "a2"])
        machine.ran(try item("a1", of: "a", max: 2))
        #expect(claimed(&machine) == ["a3"])
        #expect(machine.waiting == 2)
    }

    @Test func aWebhookThatDoesNotAnswerHoldsUpNoInvocation() throws {
        var machine = QueueMachine(.init(count: 100))
        for number in 1...9 { machine.add(try item("w\(number)", webhook: true)) }
        machine.add(try item("i"))
        let first = claimed(&machine)
        #expect(first.filter { $0.hasPrefix("w") }.count == 4 && first.contains("i"))
    }

    @Test func boundsByCountAndBytes() throws {
        var machine = QueueMachine(.init(count: 2, bytes: 10, heldBytes: 4))
        machine.add(try item("1", size: 4))
        #expect(try hasRoom(machine, 2))
        #expect(try !hasRoom(machine, 3))
        machine.add(try item("2", size: 4))
        #expect(try !hasRoom(machine, 0))
        // Of more than may be held the store has the event.
        let one = machine.claim(start), two = machine.claim(start)
        #expect(one?.event != nil && two?.event == nil && two?.size == 4)
        #expect(try hasRoom(machine, 10))
        machine.close()
        #expect(try !hasRoom(machine, 0))
    }

    @Test func whatComesLaterComesLater() throws {
        var machine = QueueMachine(.init(count: 100))
        machine.add(try item("later"), due: start + .seconds(5))
        machine.add(try item("sooner"), due: start + .seconds(3))
        #expect(claimed(&machine).isEmpty)
        #expect(machine.nextDue(start) == start + .seconds(3))
        #expect(claimed(&machine, after: .seconds(3)) == ["sooner"])
        machine.ran(try item("sooner"))
        machine.retry(try item("sooner"), at: start + .seconds(9))
        #expect(claimed(&machine, after: .seconds(8)) == ["later"])
        #expect(claimed(&machine, after: .seconds(9)) == ["sooner"])
        #expect(machine.nextDue(start + .seconds(9)) == nil)
    }

    /// All of its function wait with it: the house is full for them, too.
    @Test func whoMetAFullHouseIsFirstAgain() throws {
        var machine = QueueMachine(.init(count: 100))
        machine.add(try item("1"))
        machine.add(try item("2"))
        let taken = machine.claim(start), first = try #require(taken)
        machine.ran(first)
        machine.postpone(first, until: start + .seconds(1))
        #expect(claimed(&machine).isEmpty)
        #expect(machine.nextDue(start) == start + .seconds(1))
        #expect(claimed(&machine, after: .seconds(1)) == ["1", "2"])
    }

    @Test func whatIsTakenOutDoesNotRun() throws {
        var machine = QueueMachine(.init(count: 100))
        for id in ["1", "2", "3"] { machine.add(try item(id)) }
        machine.add(try item("4"), due: start + .seconds(1))
        let name = try functionName("f")
        let taken = ["2", "2", "4"].map { machine.remove($0, of: name) }
        #expect(taken == [true, nil, true])
        #expect(claimed(&machine, after: .seconds(2)) == ["1", "3"])
        let running = machine.remove("1", of: name)
        #expect(running == false)
        #expect(machine.waiting == 0)
    }

    /// What a function leaves to others is as much as it has; and all of it goes with it.
    @Test func oneFunctionDoesNotFillIt() throws {
        var machine = QueueMachine(.init(count: 2000, bytes: 100))
        machine.add(try item("1", size: 50))
        #expect(try !hasRoom(machine, 1) && hasRoom(machine, 50, of: "g"))
        #expect(machine.remove(of: try functionName("f")) == ["1"])
        #expect(try hasRoom(machine, 100) && machine.waiting == 0)
        var count = 0
        while try hasRoom(machine, 0) {
            count += 1
            machine.add(try item("\(count)", size: 0), due: start + .seconds(1))
        }
        #expect(count == 1000)
        #expect(try hasRoom(machine, 0, of: "g"))
    }

    /// One that is dead, and brought back before whoever buried it has looked up, waits.
    @Test func whatIsBroughtBackMeanwhileWaits() throws {
        var machine = QueueMachine(.init(count: 10))
        machine.add(try item("1"))
        let taken = machine.claim(start), first = try #require(taken)
        machine.ran(first)
        machine.add(try item("1"))
        machine.finished(first)
        #expect(machine.waiting == 1)
        #expect(claimed(&machine) == ["1"])
    }

    /// Entering and taking out for ever must not grow.
    @Test func whatIsTakenOutIsLetGoOf() throws {
        var machine = QueueMachine(.init(count: 10))
        machine.add(try item("running", max: 1))
        _ = machine.claim(start)
        for number in 0..<5000 {
            machine.add(try item("\(number)", max: 1))
            _ = machine.remove("\(number)", of: try functionName("f"))
        }
        #expect(machine.waiting == 0 && machine.held <= 1100)
    }

    @Test func closedItHandsOutNothing() throws {
        var machine = QueueMachine(.init(count: 10))
        machine.add(try item("1"))
        let taken = machine.claim(start), first = try #require(taken)
        machine.add(try item("2"), due: start)
        machine.close()
        #expect(claimed(&machine, after: .seconds(9)).isEmpty && !machine.isOver)
        #expect(machine.nextDue(start + .seconds(9)) == nil)
        machine.ran(first)
        #expect(!machine.isOver, "its end is still to be written down")
        machine.finished(first)
        #expect(machine.isOver)
    }

    @Test func retriesDoubleWithinAFifth() {
        var rules = AsyncRules()
        rules.retries = 2
        func verdict(_ attempts: Int, age: Duration = .zero, chance: Double = 0.5, full: Bool = false, after: Int = 0)
            -> RetryRules.Verdict
        {
            RetryRules(rules: rules, chance: chance).verdict(
                isOK: false, hasNotRun: full, attempts: attempts, postponements: after, age: age)
        }
        #expect(verdict(1) == .retry(after: .seconds(60)))
        #expect(verdict(2) == .retry(after: .seconds(120)))
        #expect(verdict(3) == .dead(.exhausted))
        #expect(verdict(1, chance: 0) == .retry(after: .seconds(48)))
        #expect(verdict(1, chance: 1) == .retry(after: .seconds(72)))
        #expect(verdict(1, age: .seconds(6 * 3600 - 30)) == .dead(.tooOld))
        #expect(verdict(0, full: true) == .postpone(.milliseconds(100)))
        #expect(verdict(0, full: true, after: 1) == .postpone(.milliseconds(200)))
        #expect(verdict(0, full: true, after: 500) == .postpone(.seconds(5)))
        #expect(verdict(0, age: .seconds(6 * 3600), full: true) == .dead(.tooOld))
        rules.retries = 100
        rules.backoff = TimeLimit(milliseconds: 86_400_000)
        rules.maxAge = TimeLimit(milliseconds: 604_800_000)
        #expect(verdict(90, chance: 1) == .retry(after: .milliseconds(103_680_000)))
        #expect(
            RetryRules(rules: rules, chance: 0).verdict(
                isOK: true, hasNotRun: false, attempts: 9, postponements: 0, age: .zero) == .done)
    }
}
