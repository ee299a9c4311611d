import Foundation
package import FunctionModel

/// Hides secrets in what a function has written: their bytes, their lines, and both in base64, wherever in a longer text they stand.
/// A function that means to can write them in other ways: this is for accidents.
package struct Redactor: Sendable {
    private struct Needle: Hashable {
        var bytes: [UInt8]
        var isBase64 = false
    }

    private let needles: [Needle]
    /// What would be hidden in every other word is no secret.
    private static let shortest = 4
    private static let mark = Array("[secret]".utf8)

    package init(_ secrets: [[UInt8]]) {
        var all: Set<Needle> = []
        for secret in secrets {
            let lines = secret.split { $0 == 0x0A || $0 == 0x0D }.map { Array($0) }
            for part in [secret] + (lines.count > 1 ? lines.filter { $0.count >= 8 } : lines)
            where part.count >= Self.shortest {
                all.insert(Needle(bytes: part))
                // In a longer text its base64 begins at any of three places.
                for shift in 0..<3 {
                    let shifted = Data([UInt8](repeating: 0, count: shift) + part)
                    let whole = (shift + part.count) / 3 * 4
                    let text = Array(shifted.base64EncodedString().utf8.prefix(whole)).dropFirst(
                        shift == 0 ? 0 : shift + 1)
                    guard text.count >= 6 else { continue }
                    all.insert(Needle(bytes: Array(text), isBase64: true))
                    all.insert(Needle(bytes: text.map(Self.forURL), isBase64: true))
                }
            }
        }
        // The longest first: a part of one may be another.
        needles = all.sorted { $0.bytes.count > $1.bytes.count }
    }

    package func redacted(_ text: String) -> String {
        var bytes = Array(text.utf8), isChanged = false
        for needle in needles {
            guard var found = Self.find(needle.bytes, in: bytes[...]) else { continue }
            isChanged = true
            var rest = bytes[...], kept: [UInt8] = []
            while true {
                kept += rest[rest.startIndex..<found] + Self.mark
                rest = rest[(found + needle.bytes.count)...]
                if needle.isBase64 { rest = Self.afterGroup(rest) }
                guard let next = Self.find(needle.bytes, in: rest) else { break }
                found = next
            }
            bytes = kept + rest
        }
        return isChanged ? String(decoding: bytes, as: UTF8.self) : text
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
    private static func afterGroup(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let end = bytes.prefix(4).prefix { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2D, 0x2F, 0x5F: true
            default: false
            }
        }.endIndex
        return bytes[end...].drop { $0 == UInt8(ascii: "=") }
    }

    /// Where it begins.
    private static func find(_ needle: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
        guard bytes.count >= needle.count else { return nil }
        return bytes.firstRange(of: needle)?.lowerBound
    }

    /// What a failure says in the function's own words.
    package func redacted(_ failure: Failure) -> Failure { failure.mapWords(redacted) }
}
