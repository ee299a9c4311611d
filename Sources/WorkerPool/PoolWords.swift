import FunctionModel

/// What bounds the pool.
struct PoolOptions: Sendable {
    /// Workers at once, of all functions.
    var maxWorkers = 1000
    /// Bytes that all workers together are expected to use at most.
    var memory = Int.max
    /// Workers that may be starting at once, up to where they are ready: more would only slow each other down.
    var maxStarting = 16
    /// Of them, those whose process may still be in the making. What runs gives way to what is being made (see `prefer`
    /// of init.c): a few more than there are processors, and a short invocation waits for those that came after it.
    var maxLaunching = 16
    /// Invocations that may wait for a worker, of all functions together.
    var maxWaiting = 1000
    /// How long one may wait.
    var maxWait = Duration.seconds(10)
    /// Event loops that workers' pipes can be on.
    var loops = 1

    /// Longer than any start that waits for nothing.
    static let longestStart = Duration.milliseconds(100)
}

/// What `PoolMachine` wants done.
enum PoolAction: Equatable {
    /// The invocation is this worker's, which waits for one.
    case assign(PoolMachine.Ticket, PoolMachine.WorkerID, StartKind)
    /// Start a worker on an event loop, for this invocation or ahead of need.
    case launch(PoolMachine.WorkerID, FunctionVersion, for: PoolMachine.Ticket?, loop: Int)
    case retire(PoolMachine.WorkerID)
    case refuse(PoolMachine.Ticket, PoolRefusal)
    /// A line for the function's log.
    case note(FunctionVersion, String)

    /// Whether that invocation waits no longer.
    func settles(_ ticket: PoolMachine.Ticket) -> Bool {
        switch self {
        case .assign(let own, _, _), .refuse(let own, _): own == ticket
        case .launch(_, _, let own, _): own == ticket
        case .retire, .note: false
        }
    }
}

/// Why an invocation is given no worker.
enum PoolRefusal: Equatable {
    /// The function's own `concurrency.max`.
    case throttled(retryAfter: Int)
    /// As many wait already as may, or this one has waited for too long.
    case queueFull(retryAfter: Int)
    case waitedTooLong(retryAfter: Int)
}

/// One worker, as the pool knows it.
struct PooledWorker {
    enum State { case starting, idle, busy, retiring }

    let version: VersionTable.ID
    /// Which event loop its pipes are on.
    let loop: Int
    var state = State.starting
    /// Whether it holds one of the places for those that start, and since when.
    var startsSince: ContinuousClock.Instant?
    /// Whether that is one of the places for those whose process is in the making.
    var isLaunching = true
    /// Whether it was started for no invocation, and has had none.
    var isAhead: Bool
    var ticket: PoolMachine.Ticket?
    var served = 0
    /// Since when it has answered and does not wait yet.
    var returningSince: ContinuousClock.Instant?
    /// Whether it said that it waits before its invocation's end was told.
    var isIdleEarly = false
    /// What it counts against the memory budget.
    var memory: Int
    var idleSince: ContinuousClock.Instant?

    /// One that starts, for an invocation or, without a ticket, ahead of need.
    init(
        version: VersionTable.ID, loop: Int, startsSince: ContinuousClock.Instant, ticket: PoolMachine.Ticket?,
        memory: Int
    ) {
        self.version = version
        self.loop = loop
        self.startsSince = startsSince
        self.ticket = ticket
        self.memory = memory
        isAhead = ticket == nil
    }

    /// Whether nobody waits for what it does: it waits, or has answered and should.
    var isFree: Bool { idleSince != nil || returningSince != nil }

    /// Whether it should have come back long ago.
    func isLate(_ now: ContinuousClock.Instant) -> Bool {
        returningSince.map { now - $0 > Self.longestReturn } == true && state != .retiring
    }

    /// What an honest runtime may have to do behind its answer.
    private static let longestReturn = Duration.seconds(1)
}
