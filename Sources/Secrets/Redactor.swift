import Foundation
package import FunctionModel

/// Hides secrets in what a function has written: their bytes, also as JSON has them, their lines, and all of these in base64,
/// wherever in a longer text they stand.
/// A function that means to can write them in other ways: this is for accidents.
package struct Redactor: Sendable {
    private struct Needle: Hashable {
        var bytes: [UInt8]
        var isBase64 = false
    }

    /// By their first four bytes, the longest first: a part of one may be another.
    private let needles: [UInt32: [Needle]]
    /// A bit for each value of the first two bytes: most places are passed by it.
    private let beginnings: [UInt64]

    /// What would be hidden in every other word is no secret.
    private static let shortest = 4
    private static let mark = Array("[secret]".utf8)
    /// Of lines of secrets that are looked for by themselves.
    private static let maxLines = 256

    package init(_ secrets: [[UInt8]]) {
        var all: Set<Needle> = []
        for secret in secrets {
            let lines = secret.split { $0 == 0x0A || $0 == 0x0D }.map { Array($0) }
            let parts = lines.count > 1 ? lines.filter { $0.count >= 8 }.prefix(Self.maxLines) : lines[...]
            let wholes: [[UInt8]] = [secret] + Self.inJSON(secret)
            for part in wholes + parts where part.count >= Self.shortest {
                all.insert(Needle(bytes: part))
                Self.addBase64(of: part, to: &all)
            }
        }
        var needles: [UInt32: [Needle]] = [:], beginnings = [UInt64](repeating: 0, count: 1024)
        for needle in all.sorted(by: { $0.bytes.count > $1.bytes.count }) {
            needles[Self.first(of: needle.bytes, at: 0), default: []].append(needle)
            let two = Int(needle.bytes[0]) << 8 | Int(needle.bytes[1])
            beginnings[two >> 6] |= 1 << UInt64(two & 63)
        }
        (self.needles, self.beginnings) = (needles, beginnings)
    }

    /// As it stands in a JSON text, such as a function gets it in (`Secrets.document`); none where that is no other way.
    private static func inJSON(_ secret: [UInt8]) -> [[UInt8]] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        guard let text = String(validating: secret, as: UTF8.self), let quoted = try? encoder.encode(text),
            quoted.count != secret.count + 2
        else { return [] }
        return [Array(quoted.dropFirst().dropLast())]
    }

    /// In a longer text it begins at any of three places.
    private static func addBase64(of part: [UInt8], to all: inout Set<Needle>) {
        for shift in 0..<3 {
            let shifted = Data([UInt8](repeating: 0, count: shift) + part)
            let whole = (shift + part.count) / 3 * 4
            let text = Array(shifted.base64EncodedString().utf8.prefix(whole)).dropFirst(shift == 0 ? 0 : shift + 1)
            guard text.count >= 6 else { continue }
            all.insert(Needle(bytes: Array(text), isBase64: true))
            all.insert(Needle(bytes: text.map(forURL), isBase64: true))
        }
    }

    private static func first(of bytes: [UInt8], at place: Int) -> UInt32 {
        UInt32(bytes[place]) << 24 | UInt32(bytes[place + 1]) << 16 | UInt32(bytes[place + 2]) << 8
            | UInt32(bytes[place + 3])
    }

    /// In one pass: log lines are as long and as many as a function likes.
    package func redacted(_ text: String) -> String {
        guard !needles.isEmpty, text.utf8.count >= Self.shortest else { return text }
        let bytes = Array(text.utf8)
        var kept: [UInt8] = [], copied = 0, at = 0
        while at + Self.shortest <= bytes.count {
            let two = Int(bytes[at]) << 8 | Int(bytes[at + 1])
            guard beginnings[two >> 6] & 1 << UInt64(two & 63) != 0, let end = end(of: bytes, at: at) else {
                at += 1
                continue
            }
            kept += bytes[copied..<at] + Self.mark
            (at, copied) = (end, end)
        }
        return copied == 0 ? text : String(decoding: kept + bytes[copied...], as: UTF8.self)
    }

    /// Where what is to be hidden ends that begins there; nil: nothing does.
    private func end(of bytes: [UInt8], at place: Int) -> Int? {
        for needle in needles[Self.first(of: bytes, at: place)] ?? [] {
            let end = place + needle.bytes.count
            guard end <= bytes.count, bytes[place..<end].elementsEqual(needle.bytes) else { continue }
            return needle.isBase64 ? Self.afterGroup(bytes[end...]) : end
        }
        return nil
    }

    /// As URLs have it (RFC 4648, 5).
    private static func forURL(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "+"): UInt8(ascii: "-")
        case UInt8(ascii: "/"): UInt8(ascii: "_")
        default: byte
        }
    }

    /// The last bytes of a secret share a group of four letters with what follows it.
    private static func afterGroup(_ bytes: ArraySlice<UInt8>) -> Int {
        let end = bytes.prefix(4).prefix { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2D, 0x2F, 0x5F: true
            default: false
            }
        }.endIndex
        return bytes[end...].prefix(2).prefix { $0 == UInt8(ascii: "=") }.endIndex
    }

    /// What a failure says in the function's own words.
    package func redacted(_ failure: Failure) -> Failure { failure.mapWords(redacted) }
}
