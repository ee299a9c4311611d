package import Foundation

/// A point in time, now if not told otherwise, as RFC 3339 in UTC with milliseconds.
package func timestamp(_ date: Date = Date()) -> String {
    date.formatted(
        Date.ISO8601FormatStyle(includingFractionalSeconds: true, timeZone: TimeZone(secondsFromGMT: 0) ?? .current))
}

/// As `timestamp`, of milliseconds since 1970.
package func timestamp(milliseconds: Int) -> String {
    timestamp(Date(timeIntervalSince1970: Double(milliseconds) / 1000))
}

/// Bytes as lower-case hexadecimal digits.
package func hex(_ bytes: some Sequence<UInt8>) -> String {
    func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }
    var text: [UInt8] = []
    text.reserveCapacity(2 * bytes.underestimatedCount)
    for byte in bytes {
        text.append(digit(byte >> 4))
        text.append(digit(byte & 15))
    }
    return String(decoding: text, as: UTF8.self)
}

/// Whether both are the same, in a time that does not tell how much of them is.
package func isSameSecret(_ given: String, _ expected: String) -> Bool {
    let given = Array(given.utf8), expected = Array(expected.utf8)
    var differs: UInt8 = expected.count == given.count ? 0 : 1
    for (left, right) in zip(expected, given) { differs |= left ^ right }
    return differs == 0
}
