import Access
import FunctionModel
import Invoker
import Logging
import NIOCore
import Store
import Synchronization
import Testing

/// Workers that end each invocation as they are told, when they are told.
final class FakeWorkers: Workers {
    private struct State {
        var answers: [Result<String, Failure>] = []
        var taken: [Invocation] = []
        var held: [@Sendable (Completion) -> Void] = []
        var holds = false
    }

    private let state = Mutex(State())

    init(_ answers: Result<String, Failure>..., holds: Bool = false) {
        state.withLock {
            $0.answers = answers
            $0.holds = holds
        }
    }

    var taken: [Invocation] { state.withLock { $0.taken } }

    func count(of version: FunctionVersion) -> Int { 0 }

    func submit(_ invocation: Invocation, completion: @escaping @Sendable (Completion) -> Void) {
        let answer = state.withLock { state -> Result<String, Failure>? in
            // As a worker does that has its event.
            state.taken.append(state.holds ? invocation.withoutEvent : invocation)
            if state.holds {
                state.held.append(completion)
                return nil
            }
            return state.answers.isEmpty ? .success("null") : state.answers.removeFirst()
        }
        if let answer { completion(Self.completion(answer)) }
    }

    /// Ends the oldest that is held.
    func release(_ answer: Result<String, Failure>) {
        state.withLock { $0.held.isEmpty ? nil : $0.held.removeFirst() }?(Self.completion(answer))
    }

    static func completion(_ answer: Result<String, Failure>) -> Completion {
        Completion(
            result: answer.map { .init(body: ByteBuffer(string: $0), kind: .json) }, start: .cold, usage: Usage(),
            startTime: .zero)
    }
}

/// A clock that stands until it is moved.
final class FakeClock: Sendable {
    private let instant = Mutex(ContinuousClock.now)

    @Sendable func now() -> ContinuousClock.Instant { instant.withLock { $0 } }
    func advance(by duration: Duration) { instant.withLock { $0 += duration } }
}

/// Writes down what it is told.
final class FakeRecorder: InvocationRecorder {
    struct Ended: Sendable {
        var id: String
        var outcome: Outcome
        var elapsed: Duration
    }

    private let began = Mutex<[String]>([])
    private let ended = Mutex<[Ended]>([])

    var begins: [String] { began.withLock { $0 } }
    var ends: [Ended] { ended.withLock { $0 } }

    func began(_ invocation: Invocation) { began.withLock { $0.append(invocation.id) } }
    func ended(_ invocation: Invocation, _ completion: Completion, elapsed: Duration) {
        ended.withLock { $0.append(Ended(id: invocation.id, outcome: completion.outcome, elapsed: elapsed)) }
    }
}

func functionName(_ text: String) throws -> FunctionName { try #require(FunctionName(text)) }

func draft(_ name: String, sha256: String = "a", change: (inout Manifest) -> Void = { _ in }) throws -> VersionDraft {
    var manifest = Manifest()
    manifest.name = try functionName(name)
    manifest.run = name
    change(&manifest)
    return VersionDraft(
        name: try functionName(name), sha256: sha256, size: 1, bundle: "bundle-\(sha256)", manifest: manifest,
        executable: .staticELF, storedBytes: 10, key: nil)
}

func version(_ name: String = "f", number: Int = 1, change: (inout Manifest) -> Void = { _ in }) throws
    -> FunctionVersion
{
    try draft(name, change: change).version(number: number, createdAt: "")
}

func invocation(
    _ version: FunctionVersion, id: String = "i", source: Invocation.Source = .direct, event: String = "{}",
    charge: MemoryBudget.Charge? = nil, problem: String? = nil
) -> Invocation {
    Invocation(
        id: id, version: version, principal: .host, source: source,
        event: ArrivedEvent(ByteBuffer(string: event), charge: charge, problem: problem))
}

extension Access {
    /// One that fetches nothing.
    convenience init(store: any Store) throws {
        struct Nothing: Error {}
        try self.init(
            store: store, keySets: KeySets(logger: Logger(label: "tests"), fetch: { _ in throw Nothing() }))
    }
}

let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Counts nothing for good.
struct NoUsage: UsageStore {
    func addUsage(_ usage: [UsageKey: UsageSum]) async throws {}
    func usage(from: Int, to: Int) async throws -> [UsageKey: UsageSum] { [:] }
    func spent(from: Int) throws -> [FunctionName: Double] { [:] }
    func budgets() throws -> [FunctionName: Double] { [:] }
    func set(budget: Double?, of name: FunctionName) async throws {}
}
