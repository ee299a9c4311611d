import FunctionModel
import WireText

/// How bad a line says that it is.
package enum LogLevel: Int, Sendable, Comparable, CaseIterable {
    case trace, debug, info, notice, warning, error, critical

    package static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }

    /// As people and libraries write it; nil for anything else.
    package init?(_ word: some StringProtocol) {
        guard word.utf8.count <= 8 else { return nil }
        switch word.lowercased() {
        case "trace", "10": self = .trace
        case "debug", "20": self = .debug
        case "info", "30": self = .info
        case "notice": self = .notice
        case "warn", "warning", "40": self = .warning
        case "error", "err", "50": self = .error
        case "fatal", "critical", "crit", "alert", "emerg", "panic", "60": self = .critical
        default: return nil
        }
    }

    package var word: String { "\(self)" }
}

extension LogLine {
    private var members: [MemberName: Range<Int>]? {
        guard text.utf8.first == UInt8(ascii: "{"), text.utf8.last == UInt8(ascii: "}") else { return nil }
        var text = text
        return text.withUTF8 { JSONText.members(of: UnsafeRawBufferPointer($0), most: 1000) }
    }

    /// What it says of itself: a JSON object by `level` or `severity` (as pino has it in numbers, too), a plain line by its first word,
    /// as in `ERROR: …`, `[ERROR] …` or `level=error …`. What the host says of a function is a warning.
    package var level: LogLevel? { said.level }

    /// Its level, and whether it is a JSON object, whose members are told by themselves: both of one look at it.
    package var said: (level: LogLevel?, isObject: Bool) {
        let members = members
        return (level(members), members != nil)
    }

    private func level(_ members: [MemberName: Range<Int>]?) -> LogLevel? {
        if source == .host { return .warning }
        if let members {
            let bytes = Array(text.utf8)
            for name: MemberName in ["level", "severity", "levelname", "lvl"] {
                guard let range = members[name], range.count <= 12 else { continue }
                let word = String(decoding: bytes[range], as: UTF8.self)
                return LogLevel(word.filter { $0 != "\"" })
            }
            return nil
        }
        let start = text.prefix(bytes: 24)
        let named = start.hasPrefix("level=") ? start.dropFirst(6) : start[...]
        let word = named.drop { $0 == "[" || $0 == "<" }.prefix { $0.isASCII && $0.isLetter }
        let end = named.drop { $0 == "[" || $0 == "<" }.dropFirst(word.count).first
        guard end.map({ ":]> \t".contains($0) }) ?? true, word.allSatisfy(\.isUppercase) || named.count < start.count
        else { return nil }
        return LogLevel(word)
    }
}

/// Which lines are wanted.
package struct LogFilter: Sendable {
    package var invocation: String?
    /// RFC 3339 in UTC with milliseconds, as lines have it.
    package var since: String?
    /// Lines that say less, or nothing, of themselves are left out.
    package var level: LogLevel?

    package init() {}

    package func includes(_ line: LogLine) -> Bool {
        if let invocation, line.invocationId != invocation { return false }
        if let since, line.time < since { return false }
        guard let level else { return true }
        return line.level.map { $0 >= level } ?? false
    }
}
