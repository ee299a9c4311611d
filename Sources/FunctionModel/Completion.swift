package import NIOCore

/// How an invocation went.
package struct Completion: Sendable {
    package var result: Result<Output, Failure>
    package var start: StartKind
    package var usage: Usage
    /// From when a worker was found or started for it, to the event's arrival there.
    package var startTime: Duration
    /// How long it waited for that.
    package var queueTime = Duration.zero

    package struct Output: Sendable {
        package var body: ByteBuffer
        package var kind: ResultKind
        /// What its bytes are charged to, for as long as somebody holds them.
        package var charge: MemoryBudget.Charge?

        package init(body: ByteBuffer, kind: ResultKind) {
            self.body = body
            self.kind = kind
        }
    }

    package init(result: Result<Output, Failure>, start: StartKind, usage: Usage, startTime: Duration) {
        self.result = result
        self.start = start
        self.usage = usage
        self.startTime = startTime
    }

    package var outcome: Outcome {
        switch result {
        case .success: .ok
        case .failure(let failure): failure.outcome
        }
    }
}

extension Completion {
    /// One that no worker was found for.
    package static func refused(_ failure: Failure) -> Completion {
        Completion(result: .failure(failure), start: .cold, usage: Usage(), startTime: .zero)
    }

    /// Whether it met a full house and its function has seen nothing of it.
    package var hasNotRun: Bool {
        guard case .failure(let failure) = result else { return false }
        return (outcome == .throttled || outcome == .overloaded) && !failure.hasRun
    }

    /// What its result is charged to.
    package var charge: MemoryBudget.Charge? { if case .success(let output) = result { output.charge } else { nil } }
}
