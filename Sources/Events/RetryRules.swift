import FunctionModel

/// What becomes of an accepted invocation after an attempt: a value, so that it can be looked at without waiting for anything.
struct RetryRules {
    enum Verdict: Equatable {
        /// It ended well, or nobody can help it.
        case done
        /// It met a full house, and has not been tried.
        case postpone(Duration)
        case retry(after: Duration)
        case dead(Reason)
    }

    /// In Lambda's words, as destinations are told.
    enum Reason: String, Equatable {
        case exhausted = "RetriesExhausted"
        case tooOld = "EventAgeExceeded"
        /// Whoever ran it ended with it, again and again.
        case endsHost = "HostEnded"
    }

    let rules: AsyncRules
    /// A number from 0 to 1 that nobody foresees: many that failed at once are not to come back at once.
    let chance: Double

    /// - Parameters:
    ///   - hasNotRun: it met a full house.
    ///   - attempts: this one too.
    ///   - postponements: in a row, before this one.
    ///   - age: since it was accepted.
    func verdict(
        isOK: Bool, hasNotRun: Bool, isRetryable: Bool = true, attempts: Int, postponements: Int, age: Duration
    ) -> Verdict {
        if isOK { return .done }
        if hasNotRun {
            guard age < rules.maxAge.duration else { return .dead(.tooOld) }
            return .postpone(min(.milliseconds(100) * (1 << min(postponements, 6)), .seconds(5)))
        }
        guard isRetryable, attempts <= rules.retries else { return .dead(.exhausted) }
        let wait = delay(afterAttempt: attempts)
        return age + wait < rules.maxAge.duration ? .retry(after: wait) : .dead(.tooOld)
    }

    /// Doubled for each, and a fifth more or less.
    func delay(afterAttempt attempt: Int) -> Duration {
        let longest = 86_400_000.0
        let doubled = Double(rules.backoff.milliseconds) * Double(1 << min(max(attempt - 1, 0), 30))
        return .milliseconds(Int64(min(doubled, longest) * (0.8 + 0.4 * chance)))
    }
}
