import FunctionModel
import NIOCore
import Testing

@testable import Queues

@Suite struct MappingMachineTests {
    private let start = ContinuousClock.now

    private func machine(_ ids: String..., maxConcurrency: Int = 2, isEnabled: Bool = true) throws -> MappingMachine {
        var machine = MappingMachine()
        for id in ids {
            machine.put(
                EventSourceMapping(
                    id: id, queue: "q-\(id)", function: try functionName(id), isEnabled: isEnabled,
                    maxConcurrency: maxConcurrency))
        }
        return machine
    }

    private func due(_ machine: inout MappingMachine, after time: Duration = .zero) -> [String] {
        machine.due(start + time).map(\.id)
    }

    @Test func eachIsFetchedForOnceAtATimeUpToItsBound() throws {
        var machine = try machine("a", "b")
        #expect(due(&machine) == ["a", "b"] && due(&machine).isEmpty)
        machine.fetched("a", emptyUntil: nil, now: start)
        #expect(due(&machine) == ["a"])
        machine.fetched("a", emptyUntil: nil, now: start)
        #expect(due(&machine).isEmpty && machine.next(start) == nil)
        machine.ended("a")
        #expect(machine.next(start) == start && due(&machine) == ["a"])
    }

    @Test func anEmptyQueueIsLookedAtWhenSomethingIsSentOrItsTimeHasCome() throws {
        var machine = try machine("a")
        _ = due(&machine)
        machine.fetched("a", emptyUntil: start + .seconds(9), now: start)
        #expect(due(&machine, after: .seconds(8)).isEmpty && machine.next(start) == start + .seconds(9))
        machine.filled("q-other", now: start)
        #expect(due(&machine, after: .seconds(8)).isEmpty)
        machine.filled("q-a", now: start)
        #expect(due(&machine, after: .seconds(8)) == ["a"])
        machine.fetched("a", emptyUntil: start + .seconds(20), now: start)
        #expect(due(&machine, after: .seconds(20)) == ["a"])
    }

    @Test func whatIsSentWhileSomebodyLooksIsNotOverlooked() throws {
        var machine = try machine("a")
        _ = due(&machine)
        machine.filled("q-a", now: start)
        machine.fetched("a", emptyUntil: start + .seconds(9), now: start)
        #expect(due(&machine) == ["a"])
        machine.fetched("a", emptyUntil: start + .seconds(9), now: start)
        #expect(due(&machine).isEmpty)
    }

    @Test func aPauseIsNotEndedByWhatIsSent() throws {
        var machine = try machine("a")
        _ = due(&machine)
        machine.pause("a", now: start)
        machine.fetched("a", emptyUntil: start, now: start)
        machine.filled("q-a", now: start)
        #expect(due(&machine).isEmpty && due(&machine, after: .seconds(1)) == ["a"])
    }

    @Test func whereThereWasNoRoomSoManyTryAsThereWas() throws {
        var machine = try machine("a", maxConcurrency: 3)
        for _ in 0..<3 {
            _ = due(&machine)
            machine.fetched("a", emptyUntil: nil, now: start)
        }
        machine.putOff("a", now: start)
        machine.putOff("a", now: start)
        #expect(due(&machine, after: .seconds(1)).isEmpty, "longer each time")
        #expect(due(&machine, after: .seconds(2)) == ["a"], "one more than runs may try")
        machine.fetched("a", emptyUntil: nil, now: start)
        #expect(due(&machine, after: .seconds(2)).isEmpty)
        machine.ended("a")
        #expect(due(&machine) == ["a"], "there is room again")
        machine.fetched("a", emptyUntil: nil, now: start)
        for _ in 0..<2 { machine.ended("a") }
        var pauses: [Duration] = []
        for _ in 0..<9 {
            machine.pause("a", now: start)
            pauses.append((machine.next(start) ?? start) - start)
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60].map { .seconds($0) })
    }

    @Test func whoWaitsForAFullBatchDoesNotCountWithEachMessage() throws {
        var machine = MappingMachine()
        machine.put(
            EventSourceMapping(
                id: "a", queue: "q-a", function: try functionName("a"), batchSize: 100, window: .seconds(5)))
        _ = due(&machine)
        machine.fetched("a", emptyUntil: start + .seconds(5), now: start)
        machine.filled("q-a", now: start)
        #expect(due(&machine).isEmpty && due(&machine, after: .milliseconds(50)) == ["a"])
    }

    @Test func aStartThatFailsIsTheFunctionsOwnAffairInTheEnd() throws {
        var machine = try machine("a")
        var isHosts: [Bool] = []
        for _ in 0..<5 { isHosts.append(machine.failedStart("a")) }
        #expect(isHosts == [true, true, true, false, false])
        machine.ended("a")
        let isHostsAgain = machine.failedStart("a")
        #expect(isHostsAgain)
    }

    @Test func aDisabledOneFetchesNothingAndOneThatIsGoneIsNotMissed() throws {
        var machine = try machine("a", isEnabled: false)
        #expect(due(&machine).isEmpty && machine.next(start) == nil)
        machine.remove("a")
        machine.ended("a")
        machine.fetched("a", emptyUntil: nil, now: start)
        #expect(machine.count == 0)
        machine = try self.machine("a")
        _ = due(&machine)
        // Changed while it is fetched for: what runs counts all the same.
        machine.fetched("a", emptyUntil: nil, now: start)
        machine.put(EventSourceMapping(id: "a", queue: "q-a", function: try functionName("a"), maxConcurrency: 1))
        #expect(due(&machine).isEmpty)
    }

    private func messages(_ bodies: String...) -> [QueueMessage] {
        bodies.enumerated().map { QueueMessage(id: "m\($0)", body: $1, sentAt: 5, visibleAt: 5, receives: 2) }
    }

    @Test func aBatchIsWhatLambdaSends() {
        let event = MessageBatch.event(messages("hi", "\"\u{1}"), of: "q", region: "eu-west-1")
        let text = String(buffer: event)
        #expect(
            text.hasPrefix(#"{"Records":[{"messageId":"m0","receiptHandle":"0-2","body":"hi","attributes":{"#)
                && text.contains(#""md5OfBody":"49f68a5c8493ec2c0bf489821c21fc3b""#)
                && text.contains(#""body":"\"\u0001""#)
                && text.contains(#""eventSourceARN":"arn:aws:sqs:eu-west-1:123456789012:q","awsRegion":"eu-west-1""#))
        #expect(ArrivedEvent(event).problem == nil)
    }

    private static let answers: [(String, Set<String>?)] = [
        ("{}", []), ("null", []), ("[1]", []), ("\"text\"", []), ("{", nil),
        (#"{"batchItemFailures":[]}"#, []), (#"{"batchItemFailures":null}"#, []),
        (#"{"batchItemFailures":[{"itemIdentifier":"m1"}]}"#, ["m1"]),
        (#"{"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m1"}],"x":1}"#, ["m1"]),
        (#"{"batchItemFailures":[{"itemIdentifier":"other"}]}"#, nil),
        (#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, nil),
        (#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, nil),
        (#"{"batchItemFailures":[{}]}"#, nil), (#"{"batchItemFailures":[],"batchItemFailures":[]}"#, nil),
        (#" {"a":1}"#, []), ("", nil), (#"{"batchItemFailures":[7]}"#, nil), (#"{"batchItemFailures":7}"#, nil),
    ]

    @Test(arguments: answers)
    func whatCouldNotBeDone(answer: String, failed: Set<String>?) {
        #expect(MessageBatch.failures(in: ByteBuffer(string: answer), of: messages("a", "b")) == failed)
    }

    @Test func aBellThatNobodyHeardIsHeard() async {
        let bell = Bell()
        bell.ring()
        await bell.wait(until: nil)
        await bell.wait(until: .now + .milliseconds(5))
        async let waits: Void = bell.wait(until: .now + .seconds(60))
        try? await Task.sleep(for: .milliseconds(20))
        bell.ring()
        await waits
    }
}
