import WireText

/// A function that is invoked by the clock.
package struct Schedule: Sendable, Hashable {
    package enum Timing: Sendable, Hashable {
        case cron(CronExpression, WallClock)
        case every(TimeLimit)
    }
    /// What if the one before has not ended.
    package enum Overlap: String, Sendable, CaseIterable { case skip, allow }
    /// What becomes of times that passed while nobody was there.
    package enum Missed: String, Sendable, CaseIterable { case skip, once }

    package var id: String
    package var timing: Timing
    package var function: FunctionName
    package var alias: String
    /// JSON, as it was written.
    package var event: String
    package var overlap: Overlap
    package var missed: Missed
    package var isEnabled: Bool
    /// From when on `every` is counted, in milliseconds since 1970.
    package var since: Int
    /// RFC 3339, UTC, milliseconds.
    package var updatedAt: String

    package static let longestEvent = 256 << 10

    package init(
        id: String, timing: Timing, function: FunctionName, alias: String = Alias.live, event: String = "null",
        overlap: Overlap = .skip, missed: Missed = .skip, isEnabled: Bool = true, since: Int = 0, updatedAt: String = ""
    ) {
        self.id = id
        self.timing = timing
        self.function = function
        self.alias = alias
        self.event = event
        self.overlap = overlap
        self.missed = missed
        self.isEnabled = isEnabled
        self.since = since
        self.updatedAt = updatedAt
    }

    /// Where it goes.
    package var reference: FunctionReference { FunctionReference(function, .alias(alias)) }

    package var tag: String { String(Alias.hash(of: "\(self)"), radix: 16) }

    /// But for when it was changed.
    package func isSame(as other: Schedule) -> Bool {
        var other = other
        (other.updatedAt, other.since) = (updatedAt, since)
        return event.isSame(as: other.event) && isSameWritten(self, other)
    }

    /// When it is due next, in milliseconds since 1970.
    package func due(after instant: Int) -> Int? {
        switch timing {
        case .cron(let cron, let clock): return cron.next(after: instant, by: clock)
        case .every(let period):
            let period = period.milliseconds
            guard instant >= since else { return since + period }
            return since + ((instant - since) / period + 1) * period
        }
    }

    /// What is late by less than that, in milliseconds, is on time: a host that was started anew needs a moment.
    package var grace: Int {
        switch timing {
        case .cron: 30_000
        case .every(let period): min(max(period.milliseconds / 2, 2000), 30_000)
        }
    }
}
