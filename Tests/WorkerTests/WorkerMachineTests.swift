import Dialogues
import FunctionModel
import NIOCore
import Testing

@testable import Sandbox
@testable import WorkerPool

@Suite struct WorkerMachineTests {
    private let start = ContinuousClock.now

    private func version(_ mode: Manifest.Mode, change: (inout Manifest) -> Void = { _ in }) throws -> FunctionVersion {
        var manifest = Manifest()
        manifest.mode = mode
        change(&manifest)
        return FunctionVersion(
            name: try #require(FunctionName("f")), number: 1, sha256: "", size: 1, bundle: "", createdAt: "",
            manifest: manifest,
            executable: .staticELF)
    }

    private func invocation(of version: FunctionVersion) -> Invocation {
        Invocation(
            id: "i", version: version, principal: .host, source: .direct,
            event: ArrivedEvent(ByteBuffer(string: "{}")))
    }

    private func exit(_ status: Int32 = 0, oom: Bool = false, cpu: Duration = .zero, killed: Bool = false) -> CellExit {
        CellExit(status: status, wasOutOfMemory: oom, denied: nil, wasKilled: killed, cpu: cpu, memoryPeak: 1)
    }

    private func outcome(_ actions: [WorkerMachine.Action]) -> Outcome? {
        for case .finish(let completion) in actions { return completion.outcome }
        return nil
    }

    private func kills(_ actions: [WorkerMachine.Action]) -> Bool {
        actions.contains { if case .kill = $0 { true } else { false } }
    }

    /// A command that runs, with its machine; everything else of its life is the test's.
    private func running(_ version: FunctionVersion) -> WorkerMachine {
        var machine = WorkerMachine(version: version, now: start, processors: 2)
        _ = machine.handle(.assign(invocation(of: machine.version), start: .cold, requested: start), now: start)
        _ = machine.handle(.started, now: start)
        return machine
    }

    private func end(_ machine: inout WorkerMachine, _ exit: CellExit) -> Outcome? {
        var found: Outcome?
        for input in [WorkerMachine.Input.exited(exit), .outputClosed, .logClosed] {
            found = found ?? outcome(machine.handle(input, now: start))
        }
        return found
    }

    /// A worker's head start is taken away once, when it has run for a while, and not if it is gone by then.
    @Test func headStartEnds() throws {
        func demotions(_ actions: [WorkerMachine.Action]) -> Int {
            actions.count { if case .demote = $0 { true } else { false } }
        }
        func tick(_ machine: inout WorkerMachine, after delay: Duration) -> Int {
            demotions(machine.handle(.tick, now: start + delay, cpu: .zero))
        }
        var long = running(try version(.command))
        #expect(tick(&long, after: .milliseconds(99)) == 0)
        #expect(tick(&long, after: .milliseconds(100)) == 1)
        #expect(tick(&long, after: .seconds(1)) == 0)
        var hungry = running(try version(.command))
        #expect(demotions(hungry.handle(.tick, now: start + .milliseconds(20), cpu: .milliseconds(19))) == 0)
        #expect(demotions(hungry.handle(.tick, now: start + .milliseconds(30), cpu: .milliseconds(31))) == 1)
        #expect(tick(&hungry, after: .milliseconds(100)) == 0)
        var short = running(try version(.command))
        _ = end(&short, exit())
        #expect(tick(&short, after: .seconds(1)) == 0)
        var unborn = WorkerMachine(version: try version(.command), now: start, processors: 2)
        #expect(tick(&unborn, after: .seconds(1)) == 0)
    }

    /// Exit, end of output and end of log come in any order; only when all are there is the outcome told, once.
    @Test func endsInAnyOrder() throws {
        let ending: [WorkerMachine.Input] = [.exited(exit()), .outputClosed, .logClosed, .gone]
        for order in permutations(of: Array(ending.indices)) {
            var machine = running(try version(.command))
            _ = machine.handle(.output(ByteBuffer(string: "1")), now: start)
            var finished = 0, ended = 0
            for index in order {
                for action in machine.handle(ending[index], now: start) {
                    if case .finish(let completion) = action {
                        #expect(completion.outcome == .ok)
                        finished += 1
                    }
                    if case .ended = action { ended += 1 }
                }
            }
            #expect(finished == 1 && ended == 1, "\(order)")
        }
    }

    @Test func sourcesOfOutcomes() throws {
        let cases: [(CellExit, Outcome)] = [
            (exit(0), .ok), (exit(7 << 8), .exit), (exit(11), .signal), (exit(9), .signal),
            (exit(9, oom: true), .memoryExceeded), (exit(9, cpu: .seconds(4)), .cpuExceeded),
            (exit(24, cpu: .seconds(4)), .cpuExceeded), (exit(0, oom: true), .memoryExceeded),
            (.lostWithLauncher, .launchFailed),
        ]
        for (exit, expected) in cases {
            var machine = running(try version(.command))
            #expect(end(&machine, exit) == expected)
        }
    }

    @Test func firstCauseWins() throws {
        var machine = running(try version(.command))
        #expect(kills(machine.handle(.tick, now: start + .seconds(4), cpu: .zero)))
        #expect(!kills(machine.handle(.cancelled, now: start + .seconds(4))), "killed once")
        #expect(end(&machine, exit(9, oom: true, killed: true)) == .timeout)
    }

    @Test func outputIsCounted() throws {
        var machine = running(try version(.command) { $0.limits.output = ByteSize(bytes: 4) })
        #expect(machine.handle(.output(ByteBuffer(string: "1234")), now: start).isEmpty)
        #expect(kills(machine.handle(.output(ByteBuffer(string: "5")), now: start)))
        #expect(end(&machine, exit(9, killed: true)) == .outputExceeded)
    }

    @Test func cpuIsAskedOnlyWhenItCanMatter() throws {
        var machine = running(try version(.command) { $0.limits.cpu = .seconds(1) })
        let early = Meter { Issue.record("asked too early") }
        #expect(!kills(machine.handle(.tick, now: start + .milliseconds(400), meters: early)))
        #expect(kills(machine.handle(.tick, now: start + .milliseconds(600), cpu: .milliseconds(1001))))
        #expect(end(&machine, exit(9, killed: true)) == .cpuExceeded)
    }

    @Test func aRefusedLaunchIsToldAtOnce() throws {
        var machine = WorkerMachine(version: try version(.command), now: start, processors: 2)
        _ = machine.handle(.assign(invocation(of: machine.version), start: .cold, requested: start), now: start)
        let actions = machine.handle(.failed(LaunchError(stage: "mount", number: 2)), now: start)
        guard case .finish(let completion)? = actions.first, case .failure(let failure) = completion.result else {
            Issue.record("no outcome")
            return
        }
        #expect(failure.cause == .launchFailed(stage: "mount", errno: "ENOENT"))
    }

    @Test func aReactorIsUsedAgainAndAViolationEndsIt() throws {
        var machine = WorkerMachine(version: try version(.reactor), now: start, processors: 2)
        _ = machine.handle(.started, now: start)
        _ = machine.handle(.output(ByteBuffer(string: #"{"jsonrpc":"2.0","method":"ready"}"# + "\n")), now: start)
        for _ in 1...3 {
            #expect(machine.isIdle)
            let asked = machine.handle(
                .assign(invocation(of: machine.version), start: .reused, requested: start), now: start)
            let line = try #require(asked.compactMap { if case .write(let bytes) = $0 { bytes } else { nil } }.first)
            let id = try #require(String(buffer: line).firstMatch(of: /"id":([0-9]+)/)?.1)
            let answer = ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(id),"result":1}"# + "\n")
            #expect(outcome(machine.handle(.output(answer), now: start)) == .ok)
        }
        #expect(kills(machine.handle(.output(ByteBuffer(string: "late\n")), now: start)))
        #expect(!machine.isIdle)
    }

    /// A custom runtime's answer goes out at once; it takes no further event before it has asked for one, and has to ask in time.
    @Test func aCustomRuntimeAsksAgain() throws {
        let version = try version(.reactor) { $0.runtime = .provided }
        var machine = WorkerMachine(version: version, now: start, processors: 2)
        _ = machine.handle(.started, now: start)
        _ = machine.handle(.called(RuntimeCall(.next, on: 1)), now: start)
        func serve() -> [WorkerMachine.Action] {
            let asked = machine.handle(
                .assign(invocation(of: version), start: .reused, requested: start), now: start)
            #expect(asked.contains { if case .reply(_, 1) = $0 { true } else { false } })
            _ = machine.handle(.called(RuntimeCall(.answer(id: "i", isStreamed: false), on: 1)), now: start)
            return machine.handle(.called(RuntimeCall(.end(failure: nil), on: 1)), now: start)
        }
        #expect(machine.isIdle)
        let answered = serve()
        #expect(outcome(answered) == .ok && !machine.isIdle && !kills(answered))
        #expect(!answered.contains { if case .becameIdle = $0 { true } else { false } })
        let asked = machine.handle(.called(RuntimeCall(.next, on: 1)), now: start)
        #expect(machine.isIdle && asked.contains { if case .becameIdle = $0 { true } else { false } })
        #expect(outcome(serve()) == .ok)
        let wall = version.manifest.limits.wall.duration
        _ = machine.handle(.tick, now: start + .milliseconds(200))  // its head start is over
        #expect(try #require(machine.nextTick) <= start + wall)
        #expect(!kills(machine.handle(.tick, now: start + wall)))
        #expect(kills(machine.handle(.tick, now: start + wall + .milliseconds(1))))
        #expect(
            machine.handle(.called(RuntimeCall(.next, on: 1)), now: start).isEmpty, "nothing is asked of it any more")
    }

    /// What a custom runtime computes behind its answer is of the invocation's CPU time; of the next one's limit it is not.
    @Test func workBehindAnAnswerIsLimited() throws {
        let version = try version(.reactor) {
            $0.runtime = .provided
            $0.limits.cpu = .seconds(1)
        }
        var machine = WorkerMachine(version: version, now: start, processors: 1)
        _ = machine.handle(.started, now: start)
        _ = machine.handle(.called(RuntimeCall(.next, on: 1)), now: start, cpu: .zero)
        func serve(_ cpu: Duration, at now: WorkerMachine.Instant) -> Usage? {
            _ = machine.handle(
                .assign(invocation(of: version), start: .reused, requested: now), now: now, cpu: cpu)
            _ = machine.handle(.called(RuntimeCall(.answer(id: "i", isStreamed: false), on: 1)), now: now, cpu: cpu)
            let actions = machine.handle(.called(RuntimeCall(.end(failure: nil), on: 1)), now: now, cpu: cpu)
            for case .finish(let completion) in actions { return completion.usage }
            return nil
        }
        #expect(serve(.zero, at: start)?.cpu == .zero)
        var now = start + .milliseconds(900)
        #expect(!kills(machine.handle(.tick, now: now, cpu: .milliseconds(900))))
        _ = machine.handle(.called(RuntimeCall(.next, on: 1)), now: now, cpu: .milliseconds(900))
        #expect(machine.isIdle)
        #expect(serve(.milliseconds(900), at: now)?.cpu == .milliseconds(900), "it is on the bill")
        now += .milliseconds(900)
        #expect(!kills(machine.handle(.tick, now: now, cpu: .milliseconds(1800))), "a second of its own")
        now += .milliseconds(200)
        let due = try #require(machine.nextTick)
        #expect(due <= now)
        #expect(kills(machine.handle(.tick, now: now, cpu: .milliseconds(2000))))
    }

    /// Bytes that are here are charged, wherever in the machine they are.
    @Test func whatIsHeldOfAnAnswer() throws {
        let version = try version(.reactor) {
            $0.runtime = .provided
            $0.stream = true
        }
        var machine = WorkerMachine(version: version, now: start, processors: 1)
        _ = machine.handle(.started, now: start)
        _ = machine.handle(.called(RuntimeCall(.next, on: 1)), now: start)
        #expect(machine.held == nil)
        _ = machine.handle(.assign(invocation(of: version), start: .reused, requested: start), now: start)
        _ = machine.handle(.called(RuntimeCall(.answer(id: "i", isStreamed: true), on: 1)), now: start)
        for count in 1...3 {
            _ = machine.handle(.called(RuntimeCall(.body(ByteBuffer(string: "abcd")), on: 1)), now: start)
            #expect(machine.held == 4 * count)
            _ = machine.handle(.called(RuntimeCall(.body(ByteBuffer(string: "refused")), on: 2)), now: start)
            #expect(machine.held == 4 * count, "nobody keeps those")
        }
        #expect(outcome(machine.handle(.called(RuntimeCall(.end(failure: nil), on: 1)), now: start)) == .ok)
        #expect(machine.held == nil, "it goes with the answer")
    }

    @Test func aCustomRuntimeThatCannotStart() throws {
        let version = try version(.reactor) { $0.runtime = .provided }
        var machine = WorkerMachine(version: version, now: start, processors: 2)
        _ = machine.handle(.assign(invocation(of: version), start: .cold, requested: start), now: start)
        _ = machine.handle(.started, now: start)
        _ = machine.handle(.called(RuntimeCall(.error(id: nil, type: "T"), on: 1)), now: start)
        #expect(kills(machine.handle(.called(RuntimeCall(.end(failure: nil), on: 1)), now: start)))
        #expect(end(&machine, exit(9, killed: true)) == .error)
    }

    /// CPU time between invocations is nobody's: it would be free.
    @Test func anIdleReactorMayNotCompute() throws {
        var machine = WorkerMachine(version: try version(.reactor), now: start, processors: 2)
        _ = machine.handle(.started, now: start)
        _ = machine.handle(.output(ByteBuffer(string: #"{"jsonrpc":"2.0","method":"ready"}"# + "\n")), now: start)
        #expect(!kills(machine.handle(.tick, now: start, cpu: .seconds(1))), "not looked at that early")
        #expect(!kills(machine.handle(.tick, now: start + .seconds(1), cpu: .milliseconds(50))))
        #expect(kills(machine.handle(.tick, now: start + .seconds(6), cpu: .seconds(1))))
    }

    /// A command that is started ahead waits for its event; what it computes before it reads is its start-up.
    @Test func aCommandStartedAheadWaits() throws {
        var machine = WorkerMachine(version: try version(.command), now: start, processors: 2)
        let started = machine.handle(.started, now: start)
        #expect(started.contains { if case .becameIdle = $0 { true } else { false } })
        #expect(!kills(machine.handle(.tick, now: start + .seconds(1), cpu: .seconds(9))))
        #expect(machine.isIdle)
        let asked = machine.handle(
            .assign(invocation(of: machine.version), start: .prewarmed, requested: start), now: start)
        #expect(asked.contains { if case .closeInput = $0 { true } else { false } })
        #expect(!machine.isIdle)
        _ = machine.handle(.output(ByteBuffer(string: "1")), now: start)
        #expect(end(&machine, exit()) == .ok)
        #expect(!machine.isIdle, "it serves once")
    }

    /// What it writes before it has its event cannot be an answer to it.
    @Test func aCommandStartedAheadMayNotAnswerAhead() throws {
        var machine = WorkerMachine(version: try version(.command), now: start, processors: 2)
        _ = machine.handle(.started, now: start)
        #expect(kills(machine.handle(.output(ByteBuffer(string: "1")), now: start)))
    }

    /// The event goes out before it is known that the worker runs; an answer may come before that, too.
    @Test func newsInAnyOrder() throws {
        var command = WorkerMachine(version: try version(.command), now: start, processors: 2)
        let asked = command.handle(.assign(invocation(of: command.version), start: .cold, requested: start), now: start)
        #expect(asked.contains { if case .write = $0 { true } else { false } })
        var reactor = WorkerMachine(version: try version(.reactor), now: start, processors: 2)
        _ = reactor.handle(.assign(invocation(of: reactor.version), start: .cold, requested: start), now: start)
        let ready = ByteBuffer(string: #"{"jsonrpc":"2.0","method":"ready"}"# + "\n")
        let lines = reactor.handle(.output(ready), now: start)
        let line = try #require(lines.compactMap { if case .write(let bytes) = $0 { bytes } else { nil } }.first)
        let id = try #require(String(buffer: line).firstMatch(of: /"id":([0-9]+)/)?.1)
        let answer = ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(id),"result":1}"# + "\n")
        #expect(outcome(reactor.handle(.output(answer), now: start)) == nil)
        #expect(outcome(reactor.handle(.started, now: start)) == .ok)

        // The same with an answer that is an error.
        var raiser = WorkerMachine(version: try version(.reactor), now: start, processors: 2)
        _ = raiser.handle(.assign(invocation(of: raiser.version), start: .cold, requested: start), now: start)
        let again = raiser.handle(.output(ready), now: start)
        let asking = try #require(again.compactMap { if case .write(let bytes) = $0 { bytes } else { nil } }.first)
        let number = try #require(String(buffer: asking).firstMatch(of: /"id":([0-9]+)/)?.1)
        let error = #"{"jsonrpc":"2.0","id":\#(number),"error":{"code":1,"message":"m"}}"# + "\n"
        #expect(outcome(raiser.handle(.output(ByteBuffer(string: error)), now: start)) == nil)
        #expect(outcome(raiser.handle(.started, now: start)) == .error)
    }

    /// A template serves again once nothing is left of the last invocation, and only while it has one thread.
    @Test func aTemplateIsAloneBetweenInvocations() throws {
        func clears(_ actions: [WorkerMachine.Action]) -> Bool {
            actions.contains { if case .clear = $0 { true } else { false } }
        }
        var machine = WorkerMachine(version: try version(.snapshot), now: start, processors: 2)
        _ = machine.handle(.started, now: start)
        let ready = ByteBuffer(string: #"{"jsonrpc":"2.0","method":"ready"}"# + "\n")
        #expect(clears(machine.handle(.output(ready), now: start)))
        #expect(!machine.isIdle)
        _ = machine.handle(.cleared(threads: 1), now: start)
        #expect(machine.isIdle)
        let asked = machine.handle(
            .assign(invocation(of: machine.version), start: .forked, requested: start), now: start)
        let line = try #require(asked.compactMap { if case .write(let bytes) = $0 { bytes } else { nil } }.first)
        let id = try #require(String(buffer: line).firstMatch(of: /"id":([0-9]+)/)?.1)
        let answered = machine.handle(
            .output(ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(id),"result":1}"# + "\n")), now: start)
        #expect(outcome(answered) == .ok && clears(answered) && !machine.isIdle)
        #expect(!kills(machine.handle(.cleared(threads: 1), now: start)))
        #expect(machine.isIdle)
        var threaded = WorkerMachine(version: try version(.snapshot), now: start, processors: 2)
        _ = threaded.handle(.assign(invocation(of: machine.version), start: .cold, requested: start), now: start)
        _ = threaded.handle(.started, now: start)
        _ = threaded.handle(.output(ready), now: start)
        #expect(kills(threaded.handle(.cleared(threads: 3), now: start)))
        #expect(end(&threaded, exit(9, killed: true)) == .error)
    }

    @Test func initHasItsOwnLimit() throws {
        var machine = WorkerMachine(version: try version(.reactor), now: start, processors: 2)
        _ = machine.handle(.assign(invocation(of: machine.version), start: .cold, requested: start), now: start)
        _ = machine.handle(.started, now: start)
        #expect(kills(machine.handle(.tick, now: start + .seconds(11), cpu: nil)))
        #expect(end(&machine, exit(9, killed: true)) == .timeout)
    }
}

private func permutations(of items: [Int]) -> [[Int]] {
    if items.isEmpty { return [[]] }
    return items.flatMap { item in permutations(of: items.filter { $0 != item }).map { [item] + $0 } }
}

/// A cell that has used so much.
private struct Meter: CellMeter {
    var used: Duration?
    var asked: @Sendable () -> Void = {}

    var cpu: Duration? {
        asked()
        return used
    }
    var memoryPeak: Int? { nil }
}

extension Meter {
    init(asked: @escaping @Sendable () -> Void) { self.init(used: nil, asked: asked) }
}

extension WorkerMachine {
    fileprivate mutating func handle(_ input: Input, now: Instant, cpu: Duration?) -> [Action] {
        handle(input, now: now, meters: Meter(used: cpu))
    }

    fileprivate mutating func handle(_ input: Input, now: Instant, meters: Meter? = nil) -> [Action] {
        handle(input, at: Moment(now: now, wallClock: 1_700_000_000_000, meters: meters))
    }
}
