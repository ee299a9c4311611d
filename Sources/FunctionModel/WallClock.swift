import Foundation
import WireText

/// A zone's clocks: what they show, and when they show it.
package struct WallClock: Sendable, Hashable {
    /// Of the IANA database, such as `Europe/Berlin`.
    package let name: String
    private let zone: TimeZone

    package static let utc = WallClock(name: "UTC", zone: .gmt)
    package static let rule = "a zone of the IANA database, such as Europe/Berlin or UTC"

    private init(name: String, zone: TimeZone) { (self.name, self.zone) = (name, zone) }

    /// Nil for a zone that does not exist.
    package init?(_ name: String) {
        guard (1...64).contains(name.utf8.count), name.isMade(of: "/_+-") else { return nil }
        if ["UTC", "Etc/UTC", "GMT"].contains(name) {
            self.init(name: name, zone: .gmt)
        } else {
            // Foundation takes "GMT+3" and the like, too, which the database has as Etc/GMT-3; and "BST" for Bangladesh.
            guard name.contains("/"), let zone = TimeZone(identifier: name) else { return nil }
            self.init(name: name, zone: zone)
        }
    }

    /// Seconds east of UTC.
    private func offset(_ instant: Int) -> Int {
        zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant)))
    }

    /// - Parameter instant: in seconds since 1970.
    package func time(at instant: Int) -> CivilTime { CivilTime(seconds: instant + offset(instant)) }

    /// When the clock shows that: the first time of two; where it never does because it was set forward over it, the moment when it
    /// was. In seconds since 1970.
    package func instant(of time: CivilTime) -> Int {
        let wall = time.seconds
        // No zone has been set twice within three days.
        let early = offset(wall - 36 * 3600), late = offset(wall + 36 * 3600)
        let candidates = [wall - early, wall - late].filter { $0 + offset($0) == wall }
        if let first = candidates.min() { return first }
        var before = wall - max(early, late), after = wall - min(early, late)
        let old = offset(before)
        while after - before > 1 {
            let middle = before + (after - before) / 2
            if offset(middle) == old { before = middle } else { after = middle }
        }
        return after
    }
}

extension CronExpression {
    /// When it is due next by a zone's clock. What an hour that is left out would have had is due once when it is over; of an
    /// hour that comes twice, the first counts.
    /// - Parameter instant: in milliseconds since 1970, as what is returned.
    package func next(after instant: Int, by clock: WallClock) -> Int? {
        let seconds = instant >= 0 ? instant / 1000 : (instant - 999) / 1000
        var time = clock.time(at: seconds)
        // Where the clock was just set back, what is meant may have been already: a day's minutes are the most to pass by.
        for _ in 0..<3000 {
            guard let next = next(after: time) else { return nil }
            let due = clock.instant(of: next)
            if due > seconds { return due * 1000 }
            time = next
        }
        return nil
    }
}
