package import FunctionModel

/// When a JWK set that stands at a URL is fetched, and what is said meanwhile. Decides only: see `KeySets`.
///
/// A set is fetched when it is first needed, again when it has aged (meanwhile, the old one goes on: who signs goes on too), and when
/// a token names a key that is not in it, for keys rotate; but tokens with invented names are a client's to make, so that happens
/// once in a while only. One that cannot be fetched is asked for again after ever longer times, and its keys hold for a day.
package struct KeySetMachine: Sendable {
    package enum Decision: Equatable {
        /// With `refreshing`, the caller is the one who fetches, behind this request.
        case use(KeySet, refreshing: Bool)
        /// The caller is the one who fetches, and waits for it.
        case fetch
        /// Somebody fetches.
        case wait
        case refuse(retryAfter: Int)
    }

    package static let (minAge, usualAge, maxAge): (Duration, Duration, Duration) = (
        .seconds(60), .seconds(600), .seconds(86_400)
    )
    /// From when it has aged.
    package static let maxUse: Duration = .seconds(86_400)
    /// Between fetches for keys that a set lacks.
    package static let missPause: Duration = .seconds(30)
    package static let (minRetry, maxRetry): (Duration, Duration) = (.seconds(2), .seconds(300))

    private var set: KeySet?
    private var freshUntil: ContinuousClock.Instant?
    private var notBefore: ContinuousClock.Instant?
    private var lastMiss: ContinuousClock.Instant?
    private var failures = 0
    package private(set) var isFetching = false

    package init() {}

    /// - Parameter lacking: a set that has not the key that a token names.
    package mutating func ask(lacking: KeySet?, now: ContinuousClock.Instant) -> Decision {
        if let set = known(now: now) {
            // Whoever has looked into an older one looks into this one first.
            let isMissed = lacking == set
            if isMissed, isFetching { return .wait }
            let isDue =
                isMissed
                ? lastMiss.map { now >= $0.advanced(by: Self.missPause) } ?? true
                : freshUntil.map { now >= $0 } ?? true
            guard isDue, !isFetching, notBefore.map({ now >= $0 }) ?? true else {
                return .use(set, refreshing: false)
            }
            isFetching = true
            guard isMissed else { return .use(set, refreshing: true) }
            lastMiss = now
            return .fetch
        }
        if isFetching { return .wait }
        if let notBefore, now < notBefore {
            return .refuse(retryAfter: max(1, Int((notBefore - now) / .seconds(1)) + 1))
        }
        isFetching = true
        return .fetch
    }

    /// What may be used still.
    func known(now: ContinuousClock.Instant) -> KeySet? {
        guard let freshUntil, now < freshUntil.advanced(by: Self.maxUse) else { return nil }
        return set
    }

    /// - Parameter age: how long whoever publishes it lets it be kept.
    package mutating func fetched(_ set: KeySet, age: Duration?, now: ContinuousClock.Instant) {
        isFetching = false
        if self.set?.keys != set.keys { self.set = set }
        freshUntil = now.advanced(by: min(max(age ?? Self.usualAge, Self.minAge), Self.maxAge))
        (failures, notBefore) = (0, nil)
    }

    package mutating func failed(now: ContinuousClock.Instant) {
        isFetching = false
        failures = min(failures + 1, 20)
        let pause = min(Self.minRetry * (1 << (failures - 1)), Self.maxRetry)
        notBefore = now.advanced(by: pause)
    }
}

/// The keys of one fetch. Equal only to itself.
package final class KeySet: Sendable, Equatable {
    package let keys: [JSONWebKey]

    package init(_ keys: [JSONWebKey]) { self.keys = keys }

    package static func == (one: KeySet, other: KeySet) -> Bool { one === other }
}
