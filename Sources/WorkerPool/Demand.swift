import FunctionModel

/// How often a version is asked for, and how long what is done for it takes, of late.
struct Demand: Sendable {
    /// Arrivals a second.
    private(set) var rate = 0.0
    private var arrivals = 0.0
    private var ratedAt: ContinuousClock.Instant
    private(set) var lastArrival: ContinuousClock.Instant
    /// Arrivals that found no worker though some are kept warm.
    var misses = 0.0
    /// In seconds.
    private(set) var startTime = 0.005
    private(set) var wall = 0.1

    init(_ now: ContinuousClock.Instant) {
        ratedAt = now
        lastArrival = now
    }

    mutating func arrived(_ now: ContinuousClock.Instant) {
        arrivals += 1
        lastArrival = now
    }

    mutating func started(after time: Duration) { startTime += (time.inSeconds - startTime) / 8 }

    mutating func finished(wall time: Duration) { wall += (time.inSeconds - wall) / 8 }

    mutating func tick(_ now: ContinuousClock.Instant) {
        let elapsed = (now - ratedAt).inSeconds
        guard elapsed >= 0.1 else { return }
        // The last second or so counts.
        let weight = min(1, elapsed)
        rate += (arrivals / elapsed - rate) * weight
        misses -= misses * weight / 2
        if misses < 0.1 { misses = 0 }
        arrivals = 0
        ratedAt = now
    }
}

/// How a version's workers fare that are started ahead of need.
struct Health: Sendable {
    /// In a row.
    var crashes = 0
    /// When the next one may be started.
    private(set) var notBefore: ContinuousClock.Instant?

    private static let firstBackoff = Duration.milliseconds(100)
    private static let longestBackoff = Duration.seconds(60)

    mutating func crashed(_ now: ContinuousClock.Instant) -> String? {
        crashes += 1
        let delay = min(Self.longestBackoff, Self.firstBackoff * (1 << min(crashes - 1, 16)))
        notBefore = now + delay
        guard crashes & (crashes - 1) == 0 else { return nil }
        return
            "a worker that was started ahead (concurrency.warm) ended before it was needed, \(crashes) in a row; the next is started in \(delay.inSeconds) s"
    }
}

/// How fast invocations come to their end, for a `Retry-After` that is true.
struct Pace: Sendable {
    private var rate = 0.0
    private var count = 0.0
    private var since: ContinuousClock.Instant?

    mutating func finished(_ now: ContinuousClock.Instant) {
        guard let since else {
            since = now
            return
        }
        count += 1
        let elapsed = (now - since).inSeconds
        guard elapsed >= 0.5 else { return }
        rate = count / elapsed
        count = 0
        self.since = now
    }

    /// Whole seconds, from 1 to a minute, until so many have ended.
    func seconds(for waiting: Int) -> Int {
        rate > 0 ? min(60, max(1, Int((Double(waiting) / rate).rounded(.up)))) : 1
    }
}
