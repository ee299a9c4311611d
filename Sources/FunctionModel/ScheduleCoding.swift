import Foundation
package import NIOCore
import WireText

/// As the API takes and shows it, and the store keeps it, every default written out; but for the event, whose bytes stay as they
/// came: see `init(document:)`.
extension Schedule: Codable {
    private enum Keys: String, CodingKey, CaseIterable {
        case id, cron, every, timezone, function, alias, event, overlap, missed, enabled, since, updatedAt, nextAt
    }

    package init(from decoder: any Decoder) throws {
        let members = try decoder.members(
            Keys.self,
            taken: "a schedule has cron or every, timezone, function, alias, event, overlap, missed and enabled")
        guard let name = try members.text(.function).flatMap({ FunctionName($0) }) else {
            throw Failure(.invalidRequest, "function: the name of the function that is to run, \(FunctionName.rule)")
        }
        self.init(id: try members.text(.id) ?? "", timing: try Self.timing(members), function: name)
        alias = try members.text(.alias) ?? Alias.live
        guard alias == Alias.latest || Alias.isName(alias) else {
            throw Failure(.invalidRequest, "alias: \(Alias.nameRule)")
        }
        overlap = try Self.word(members, .overlap) ?? .skip
        missed = try Self.word(members, .missed) ?? .skip
        if members.has(.enabled) {
            guard let flag = try? members.decode(Bool.self, forKey: .enabled) else {
                throw Failure(.invalidRequest, "enabled: true or false")
            }
            isEnabled = flag
        }
        if members.has(.since) { since = (try? members.decode(Int.self, forKey: .since)) ?? 0 }
        updatedAt = try members.text(.updatedAt) ?? ""
    }

    private static func timing(_ members: KeyedDecodingContainer<Keys>) throws -> Timing {
        switch (try members.text(.cron), try members.text(.every)) {
        case (let cron?, nil):
            let zone = try members.text(.timezone) ?? WallClock.utc.name
            guard let clock = WallClock(zone) else {
                throw Failure(
                    .invalidRequest, "timezone: there is no \"\(printable(zone.prefix(bytes: 80)))\"; \(WallClock.rule)"
                )
            }
            return .cron(try CronExpression(cron), clock)
        case (nil, let every?):
            guard let period = TimeLimit(every), (1000...366 * 86_400_000).contains(period.milliseconds) else {
                throw Failure(.invalidRequest, "every: \(TimeLimit.rule), from 1s to 8784h (366 days)")
            }
            return .every(period)
        case (nil, nil): throw Failure(.invalidRequest, "cron or every is missing: when is it due?")
        case (.some, .some): throw Failure(.invalidRequest, "cron and every: only one of them can say when it is due")
        }
    }

    private static func word<Word: RawRepresentable<String> & CaseIterable>(
        _ members: KeyedDecodingContainer<Keys>, _ key: Keys
    ) throws -> Word? {
        guard let text = try members.text(key) else { return nil }
        guard let word = Word(rawValue: text) else {
            let words = Word.allCases.map(\.rawValue).joined(separator: " or ")
            throw Failure(.invalidRequest, "\(key.rawValue): \(words)")
        }
        return word
    }

    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Keys.self)
        try members.encode(id, forKey: .id)
        switch timing {
        case .cron(let cron, let clock):
            try members.encode(cron.text, forKey: .cron)
            try members.encode(clock.name, forKey: .timezone)
        case .every(let period): try members.encode("\(period)", forKey: .every)
        }
        try members.encode(function.text, forKey: .function)
        try members.encode(alias, forKey: .alias)
        try members.encode(overlap.rawValue, forKey: .overlap)
        try members.encode(missed.rawValue, forKey: .missed)
        try members.encode(isEnabled, forKey: .enabled)
        try members.encode(since, forKey: .since)
        try members.encode(updatedAt, forKey: .updatedAt)
    }

    /// Reads what `document` writes, or a request.
    /// - Throws: `Failure` invalid_request.
    package init(document: ByteBuffer) throws {
        do {
            self = try JSONDecoder().decode(Schedule.self, from: Data(document.readableBytesView))
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(
                .invalidRequest, #"a schedule is made from {"cron": "*/5 * * * *", "function": "tidy", "event": {}}"#)
        }
        guard let ranges = document.withUnsafeReadableBytes({ JSONText.members(of: $0, most: 100) }) else {
            throw Failure(.invalidRequest, "a schedule is a JSON object with each key once")
        }
        guard let range = ranges["event"],
            let slice = document.getSlice(at: document.readerIndex + range.lowerBound, length: range.count)
        else { return }
        guard slice.readableBytes <= Self.longestEvent else {
            throw Failure(.invalidRequest, "event: it is larger than \(ByteSize(bytes: Self.longestEvent))")
        }
        event = String(buffer: slice)
    }

    /// Itself as JSON.
    /// - Parameter next: when it is due next, RFC 3339; nil: not said.
    package func document(next: String?? = nil) throws -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var bytes = ByteBuffer(bytes: try encoder.encode(self))
        bytes.moveWriterIndex(to: bytes.writerIndex - 1)  // its closing brace
        if let next { bytes.writeString(",\"nextAt\":" + (next.map { "\"\($0)\"" } ?? "null")) }
        bytes.writeString(",\"event\":\(event)}")
        return bytes
    }
}
