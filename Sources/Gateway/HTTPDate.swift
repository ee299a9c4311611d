import Glibc
import Synchronization

/// The `Date` header's value (RFC 9110, IMF-fixdate), made once a second.
enum HTTPDate {
    private static let cached = Mutex((second: 0, text: ""))

    static var now: String {
        let second = time(nil)
        return cached.withLock { cached in
            if cached.second != second { cached = (second, text(second)) }
            return cached.text
        }
    }

    private static func text(_ second: Int) -> String {
        let parts = parts(second)
        return
            "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(parts.tm_year + 1900) \(clock(parts)) GMT"
    }

    /// As access logs write it, and API Gateway: `12/Mar/2020:19:03:58 +0000`. A formatter of the library's costs more than all else of
    /// an event.
    static func logged(_ second: Int) -> String {
        let parts = parts(second)
        return "\(two(parts.tm_mday))/\(months[Int(parts.tm_mon)])/\(parts.tm_year + 1900):\(clock(parts)) +0000"
    }

    private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    private static func parts(_ second: Int) -> tm {
        var seconds = second, parts = tm()
        gmtime_r(&seconds, &parts)
        return parts
    }

    private static func clock(_ parts: tm) -> String {
        "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }

    private static func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
