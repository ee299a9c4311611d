import FunctionModel
import WireText

/// A schedule's expression of AWS' as a schedule here says it:
/// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
enum AWSSchedule: Hashable {
    /// A span of time.
    case every(String)
    /// Five fields.
    case cron(String)

    /// It cannot be said here.
    struct Refused: Error {
        let why: String
    }

    init(_ text: String) throws(Refused) {
        guard text.utf8.count <= 200, text.isASCII, text.hasSuffix(")") else { throw Self.unknown }
        if text.hasPrefix("rate(") {
            self = .every(try Self.period(text.dropFirst(5).dropLast()))
        } else if text.hasPrefix("cron(") {
            self = .cron(try Self.fields(text.dropFirst(5).dropLast()))
        } else {
            throw Self.unknown
        }
    }

    private static let unknown = Refused(why: "rate(5 minutes) or cron(0 12 * * ? *) and their like are supported")

    private static func period(_ text: Substring) throws(Refused) -> String {
        let parts = text.split(separator: " ")
        guard parts.count == 2, let count = number(parts[0], in: 1...1_000_000) else { throw unknown }
        let span: String
        switch parts[1] {
        case "minute", "minutes": span = "\(count)m"
        case "hour", "hours": span = "\(count)h"
        case "day", "days": span = "\(count * 24)h"
        default: throw unknown
        }
        guard let limit = TimeLimit(span), limit.milliseconds <= 366 * 86_400_000 else {
            throw Refused(why: "it is longer than 366 days")
        }
        return span
    }

    /// Of six fields: minute, hour, day of the month, month, day of the week from 1 for Sunday, year.
    private static func fields(_ text: Substring) throws(Refused) -> String {
        let fields = text.split(separator: " ").map { $0.uppercased() }
        guard fields.count == 6 else { throw Refused(why: "six fields are wanted, there are \(fields.count)") }
        guard fields[5] == "*" else { throw Refused(why: "years are not supported") }
        // Days that are named in both fields: either will do here; AWS takes no such thing.
        guard fields[2] == "?" || fields[4] == "?" else {
            throw Refused(why: "a ? is wanted for the day of the month or of the week")
        }
        var converted = fields.prefix(4).map { $0 == "?" ? "*" : $0 }
        converted.append(try weekdays(fields[4]))
        let expression = converted.joined(separator: " ")
        do {
            return try CronExpression(expression).text
        } catch {
            throw Refused(why: error.detail)
        }
    }

    private static let dayNames = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]

    private static func weekdays(_ field: String) throws(Refused) -> String {
        if field == "?" || field == "*" { return "*" }
        var converted: [String] = []
        for part in field.split(separator: ",", omittingEmptySubsequences: false) {
            converted.append(try weekday(part))
        }
        return converted.joined(separator: ",")
    }

    /// A day, days from one to another, each so many days, the last or so-many-th of a month.
    private static func weekday(_ part: Substring) throws(Refused) -> String {
        if part == "L" { return "6" }  // the week's last, Saturday
        if part.hasSuffix("L") { return try "\(day(part.dropLast()))L" }
        let ordinal = part.split(separator: "#", omittingEmptySubsequences: false)
        if ordinal.count == 2 { return try "\(day(ordinal[0]))#\(ordinal[1])" }
        let steps = part.split(separator: "/", omittingEmptySubsequences: false)
        let ends = (steps.first ?? "").split(separator: "-", omittingEmptySubsequences: false)
        guard (1...2).contains(steps.count), (1...2).contains(ends.count) else { throw unknownDay(part) }
        // With a step, from there to the week's end: here 7 would be Sunday once more.
        let isAll = ends[0] == "*" && ends.count == 1
        let first = try isAll ? 0 : day(ends[0])
        let last = try ends.count == 2 ? day(ends[1]) : isAll || steps.count == 2 ? 6 : first
        guard steps.count == 1 else {
            guard first <= last, let step = number(steps[1], in: 1...7) else { throw unknownDay(part) }
            return "\(first)-\(last)/\(step)"
        }
        if first == last { return "\(first)" }
        // Over the end of a week.
        return first < last ? "\(first)-\(last)" : "\(first)-6,0-\(last)"
    }

    /// From 0 for Sunday.
    private static func day(_ text: Substring) throws(Refused) -> Int {
        if let index = dayNames.firstIndex(where: { $0 == text }) { return index }
        guard let number = number(text, in: 1...7) else { throw unknownDay(text) }
        return number - 1
    }

    private static func unknownDay(_ text: Substring) -> Refused {
        Refused(why: "\"\(shown(String(text)))\" is no day of the week; they are 1-7 or SUN-SAT")
    }

    private static func number(_ text: Substring, in range: ClosedRange<Int>) -> Int? {
        guard (1...7).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int(text), range.contains(number)
        else { return nil }
        return number
    }
}
