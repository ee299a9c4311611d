package import FunctionModel
import Glibc
package import NIOCore

/// What a load balancer says of a connection before its first byte: the PROXY protocol, versions 1 and 2
/// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
package enum ProxyHeader: Equatable, Sendable {
    /// More bytes are needed.
    case unfinished
    /// It is none, or says what nobody can use.
    case malformed
    /// So many bytes long. Nil: it names nobody; the connection is the balancer's own.
    case from(IPAddress?, length: Int)

    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    /// The longest line of version 1, its end included.
    private static let maxLine = 107
    /// Of version 2: beyond addresses there are extensions, which are passed by.
    private static let maxLength = 2048

    /// - Parameter bytes: what has come, from the connection's first byte on.
    package init(_ bytes: ByteBufferView) {
        let first = bytes.prefix(Self.signature.count)
        if first.elementsEqual(Self.signature.prefix(first.count)) {
            self = first.count < Self.signature.count ? .unfinished : Self.second(bytes)
        } else {
            self = Self.line(bytes)
        }
    }

    /// Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`.
    private static func line(_ bytes: ByteBufferView) -> ProxyHeader {
        let start = Array("PROXY ".utf8)
        guard bytes.prefix(start.count).elementsEqual(start.prefix(min(bytes.count, start.count))) else {
            return .malformed
        }
        guard let end = bytes.prefix(maxLine).firstIndex(of: UInt8(ascii: "\n")) else {
            return bytes.count < maxLine ? .unfinished : .malformed
        }
        let length = bytes.distance(from: bytes.startIndex, to: end) + 1
        guard length >= 2, bytes[bytes.index(before: end)] == UInt8(ascii: "\r") else { return .malformed }
        let words = bytes.prefix(length - 2).split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        if words.count >= 2, words[1] == "UNKNOWN" { return .from(nil, length: length) }
        guard words.count == 6, let family = ["TCP4": 4, "TCP6": 16][words[1]], let from = address(words[2], family),
            address(words[3], family) != nil, UInt16(words[4]) != nil, UInt16(words[5]) != nil
        else { return .malformed }
        return .from(IPAddress(bytes: from), length: length)
    }

    /// Of just that family.
    private static func address(_ text: String, _ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return inet_pton(count == 4 ? AF_INET : AF_INET6, text, &bytes) == 1 ? bytes : nil
    }

    /// Version 2: 12 bytes of signature, version and command, family and protocol, length; then addresses.
    private static func second(_ bytes: ByteBufferView) -> ProxyHeader {
        let head = signature.count + 4
        guard bytes.count >= head else { return .unfinished }
        let fields = Array(bytes.prefix(head).suffix(4))
        let length = Int(fields[2]) << 8 | Int(fields[3])
        guard fields[0] >> 4 == 2, fields[0] & 0xF <= 1, length <= maxLength else { return .malformed }
        guard bytes.count >= head + length else { return .unfinished }
        // LOCAL: a health check of the balancer's.
        guard fields[0] & 0xF == 1 else { return .from(nil, length: head + length) }
        let count: Int
        switch fields[1] >> 4 {
        case 0, 3: return .from(nil, length: head + length)  // unspecified, or a Unix socket
        case 1: count = 4
        case 2: count = 16
        default: return .malformed
        }
        guard length >= 2 * count + 4 else { return .malformed }
        return .from(IPAddress(bytes: Array(bytes.dropFirst(head).prefix(count))), length: head + length)
    }
}
