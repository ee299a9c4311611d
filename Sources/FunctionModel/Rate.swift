/// So many in a time: `10/s`, `100/m`, `5000/h`, `10000/d`.
package struct Rate: Sendable, Hashable, CustomStringConvertible {
    package let count: Int
    package let window: Window

    package enum Window: String, Sendable, Hashable {
        case second = "s"
        case minute = "m"
        case hour = "h"
        case day = "d"

        package var seconds: Int {
            switch self {
            case .second: 1
            case .minute: 60
            case .hour: 3600
            case .day: 86_400
            }
        }
    }

    package static let rule = "a whole number up to 1000000 and a time, such as 10/s, 100/m, 5000/h or 10000/d"

    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.count <= 7, let count = Int(parts[0]), String(count) == parts[0],
            (1...1_000_000).contains(count), let window = Window(rawValue: String(parts[1]))
        else { return nil }
        self.count = count
        self.window = window
    }

    package var description: String { "\(count)/\(window.rawValue)" }
}

/// What is left of a rate: a bucket that holds as many as the rate says and fills at that pace.
package struct TokenBucket: Sendable {
    package let rate: Rate
    private var level: Double
    private var filledAt: ContinuousClock.Instant

    package init(_ rate: Rate, now: ContinuousClock.Instant) {
        self.rate = rate
        level = Double(rate.count)
        filledAt = now
    }

    /// Takes one.
    /// - Returns: nil when there was one; else when there will be.
    package mutating func take(_ now: ContinuousClock.Instant) -> RateState? {
        let perSecond = Double(rate.count) / Double(rate.window.seconds)
        level = min(Double(rate.count), level + max(0, (now - filledAt).inSeconds) * perSecond)
        filledAt = now
        guard level < 1 else {
            level -= 1
            return nil
        }
        return RateState(rate: rate, secondsToNext: max(1, Int(((1 - level) / perSecond).rounded(.up))))
    }
}

/// Told to who is refused for a rate: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
package struct RateState: Sendable, Hashable {
    package let rate: Rate
    package let secondsToNext: Int

    package init(rate: Rate, secondsToNext: Int) {
        self.rate = rate
        self.secondsToNext = secondsToNext
    }

    /// `RateLimit`
    package var limit: String { "\"default\";r=0;t=\(secondsToNext)" }
    /// `RateLimit-Policy`
    package var policy: String { "\"default\";q=\(rate.count);w=\(rate.window.seconds)" }
}

extension Failure {
    /// For a rate that is used up.
    package init(beyond state: RateState, _ detail: String) {
        self.init(.throttled(retryAfter: state.secondsToNext), detail)
        rate = state
    }
}
