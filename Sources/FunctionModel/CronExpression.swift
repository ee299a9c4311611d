import WireText

/// When something is due, by the clock on the wall: five fields as crontab(5) has them, with `L` and `#`.
package struct CronExpression: Sendable, Hashable {
    /// As it was written.
    package let text: String
    private let minutes: Set<Int>, hours: Set<Int>, months: Set<Int>
    private let days: Days, weekdays: Weekdays

    private struct Days: Hashable {
        var numbers: Set<Int> = []
        var last = false
        var isAny = false
    }

    private struct Weekdays: Hashable {
        /// 0 is Sunday.
        var numbers: Set<Int> = []
        /// The so-many-th of a month; 6: the last.
        var ordinals: Set<[Int]> = []
        var isAny = false
    }

    package static let rule =
        "five fields (minute hour day-of-month month day-of-week) such as \"*/5 9-17 * * MON-FRI\", or @hourly, @daily, @weekly, @monthly, @yearly"

    private static let nicknames = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
    ]
    private static let monthNames = [
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ]
    private static let dayNames = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]

    /// - Throws: `Failure` invalid_request, naming the field and what is taken there.
    package init(_ text: String) throws(Failure) {
        guard text.utf8.count <= 200, text.isASCII else { throw Self.refused("it is longer than 200 bytes of ASCII") }
        var plain = text
        if text.hasPrefix("@") {
            guard let known = Self.nicknames[text.lowercased()] else {
                throw Self.refused("\"\(printable(text.prefix(bytes: 40)))\" is none of the names")
            }
            plain = known
        }
        let fields = plain.split { $0 == " " || $0 == "\t" }.map { $0.uppercased() }
        guard fields.count == 5 else {
            throw Self.refused("it has \(fields.count) fields; seconds and years are not taken")
        }
        self.text = text
        minutes = try Self.numbers(fields[0], "minute", 0...59)
        hours = try Self.numbers(fields[1], "hour", 0...23)
        months = try Self.numbers(fields[3], "month", 1...12, names: Self.monthNames, first: 1)
        days = try Self.days(fields[2])
        weekdays = try Self.weekdays(fields[4])
        guard (0..<28 * 366).contains(where: { matches(CivilDay(number: CivilDay.start + $0)) }) else {
            throw Self.refused("it never fires: no such day comes in 28 years")
        }
    }

    /// The first time of the wall's clock, after another one, that is meant; nil where none is near.
    package func next(after time: CivilTime) -> CivilTime? {
        for offset in 0...(28 * 366) {
            let day = CivilDay(number: time.day + offset)
            guard matches(day) else { continue }
            let from = offset == 0 ? time.minute + 1 : 0
            let first = (from..<24 * 60).first { hours.contains($0 / 60) && minutes.contains($0 % 60) }
            if let first { return CivilTime(day: day.number, minute: first) }
        }
        return nil
    }

    /// As crontab(5): where both days are restricted, either will do.
    private func matches(_ day: CivilDay) -> Bool {
        guard months.contains(day.month) else { return false }
        let isDay = days.numbers.contains(day.day) || (days.last && day.day == day.daysInMonth)
        let ordinal = (day.day - 1) / 7 + 1
        let isWeekday =
            weekdays.numbers.contains(day.weekday) || weekdays.ordinals.contains([day.weekday, ordinal])
            || (day.day + 7 > day.daysInMonth && weekdays.ordinals.contains([day.weekday, 6]))
        if days.isAny { return weekdays.isAny || isWeekday }
        return weekdays.isAny ? isDay : isDay || isWeekday
    }

    // MARK: - Reading

    private static func refused(_ why: String) -> Failure {
        Failure(.invalidRequest, "cron: \(why); it must be \(rule)")
    }

    private static func days(_ field: String) throws(Failure) -> Days {
        var days = Days()
        if field == "*" || field == "?" {
            days.isAny = true
            return days
        }
        for part in field.split(separator: ",", omittingEmptySubsequences: false) {
            if part == "L" {
                days.last = true
            } else if part.contains("W") {
                throw refused("day-of-month: W (the nearest weekday) is not taken")
            } else {
                days.numbers.formUnion(try numbers(String(part), "day-of-month", 1...31))
            }
        }
        return days
    }

    private static func weekdays(_ field: String) throws(Failure) -> Weekdays {
        var weekdays = Weekdays()
        if field == "*" || field == "?" {
            weekdays.isAny = true
            return weekdays
        }
        for part in field.split(separator: ",", omittingEmptySubsequences: false) {
            let ordinal = part.split(separator: "#", omittingEmptySubsequences: false)
            if ordinal.count == 2 {
                guard let day = number(ordinal[0], 0...7, dayNames, 0), let count = number(ordinal[1], 1...5, [], 0)
                else {
                    throw refused("day-of-week: \"\(printable(String(part).prefix(bytes: 40)))\" is not such as MON#2")
                }
                weekdays.ordinals.insert([day % 7, count])
            } else if part.hasSuffix("L"), part.utf8.count > 1 {
                guard let day = number(part.dropLast(), 0...7, dayNames, 0) else {
                    throw refused(
                        "day-of-week: \"\(printable(String(part).prefix(bytes: 40)))\" is not such as FRIL, the last Friday"
                    )
                }
                weekdays.ordinals.insert([day % 7, 6])
            } else {
                let part = part == "L" ? "6" : String(part)
                weekdays.numbers.formUnion(
                    try numbers(part, "day-of-week", 0...7, names: dayNames, first: 0).map { $0 % 7 })
            }
        }
        return weekdays
    }

    /// Lists of numbers, names, ranges and steps.
    private static func numbers(
        _ field: String, _ name: String, _ range: ClosedRange<Int>, names: [String] = [], first: Int = 0
    ) throws(Failure) -> Set<Int> {
        var all: Set<Int> = []
        for part in field.split(separator: ",", omittingEmptySubsequences: false) {
            let bad = refused(
                "\(name): \"\(printable(String(part).prefix(bytes: 40)))\" is not taken there; it is a number from \(range.lowerBound) to \(range.upperBound), a range such as 1-5, or a step such as */2"
            )
            let steps = part.split(separator: "/", omittingEmptySubsequences: false)
            guard (1...2).contains(steps.count), let base = steps.first else { throw bad }
            let step = steps.count == 2 ? number(steps[1], 1...range.upperBound, [], 0) : 1
            guard let step else { throw bad }
            var low = range.lowerBound, high = range.upperBound
            if base != "*", base != "?" {
                let ends = base.split(separator: "-", omittingEmptySubsequences: false)
                guard (1...2).contains(ends.count), let from = number(ends[0], range, names, first) else { throw bad }
                low = from
                if ends.count == 2 {
                    guard let to = number(ends[1], range, names, first) else { throw bad }
                    high = to == 0 && name == "day-of-week" && from > 0 ? 7 : to
                } else if steps.count == 1 {
                    high = from
                }
                guard low <= high else { throw bad }
            }
            all.formUnion(stride(from: low, through: high, by: step))
        }
        return all
    }

    private static func number(
        _ text: some StringProtocol, _ range: ClosedRange<Int>, _ names: [String], _ first: Int
    ) -> Int? {
        if let index = names.firstIndex(where: { $0 == String(text) }) { return index + first }
        guard text.utf8.count <= 3, let number = parseDigits(text), range.contains(number) else { return nil }
        return number
    }
}

/// A day of the Gregorian calendar, counted from 1970-01-01: https://howardhinnant.github.io/date_algorithms.html
package struct CivilDay {
    package let number: Int
    package let year: Int, month: Int, day: Int

    /// 2020-01-01, where a leap year begins.
    static let start = 18_262

    package init(number: Int) {
        self.number = number
        let shifted = number + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let part = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * part + 2) / 5 + 1
        month = part < 10 ? part + 3 : part - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    /// The number of a day; what is no day (February 30) is one of the next month.
    /// - Parameters: month from 1 to 12, and a year from 0 on.
    package static func number(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let era = year / 400, yearOfEra = year - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// 0 is Sunday.
    var weekday: Int { ((number % 7) + 11) % 7 }

    package var daysInMonth: Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

/// What a clock on the wall shows, to the minute.
package struct CivilTime: Sendable, Hashable, Comparable {
    /// From 1970-01-01.
    package var day: Int
    /// Of the day.
    package var minute: Int

    package init(day: Int, minute: Int) {
        self.day = day
        self.minute = minute
    }

    /// - Parameter seconds: since 1970-01-01 00:00 by the same clock.
    package init(seconds: Int) {
        let minutes = (seconds >= 0 ? seconds : seconds - 59) / 60
        day = (minutes >= 0 ? minutes : minutes - 1439) / 1440
        minute = minutes - day * 1440
    }

    package var seconds: Int { (day * 1440 + minute) * 60 }

    package static func < (left: CivilTime, right: CivilTime) -> Bool { left.seconds < right.seconds }
}
