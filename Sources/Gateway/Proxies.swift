import Glibc
import HTTPTypes
import NIOCore

/// Who stands in front of this host, and is believed what it says of a client. Of everybody else such words are a client's own.
package struct Proxies: Sendable {
    private struct Range: Sendable {
        let bytes: [UInt8]
        let bits: Int
    }

    private let ranges: [Range]

    package static let none = Proxies(ranges: [])

    /// - Parameter texts: addresses, or ranges of them (`10.0.0.0/8`); nil for what is neither.
    package init?(_ texts: [String]) {
        var ranges: [Range] = []
        for text in texts {
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard let bytes = Self.bytes(of: String(parts[0])) else { return nil }
            let all = bytes.count * 8
            guard let bits = parts.count == 1 ? all : Int(parts[1]), (0...all).contains(bits) else { return nil }
            ranges.append(Range(bytes: bytes, bits: bits))
        }
        self.init(ranges: ranges)
    }

    private init(ranges: [Range]) { self.ranges = ranges }

    func include(_ address: String) -> Bool {
        guard !ranges.isEmpty, let bytes = Self.bytes(of: address) else { return false }
        return ranges.contains { range in
            range.bytes.count == bytes.count
                && (0..<range.bits).allSatisfy { bit in
                    (range.bytes[bit / 8] ^ bytes[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
                }
        }
    }

    /// The address of whoever has sent a request: the last one in `X-Forwarded-For` that is no proxy's, as far as each that has
    /// added something is believed.
    /// - Parameter peer: whose connection it is.
    func client(_ peer: String, _ headers: HTTPFields) -> String {
        guard include(peer) else { return peer }
        var client = peer
        let said = headers[values: .xForwardedFor].flatMap { $0.utf8.suffix(4096).split(separator: UInt8(ascii: ",")) }
        for part in said.reversed().prefix(50) {
            let text = String(decoding: part.filter { $0 != UInt8(ascii: " ") }, as: UTF8.self)
            guard Self.bytes(of: text) != nil else { break }
            client = text
            guard include(text) else { break }
        }
        return client
    }

    /// Whether it is believed how, and to which port, a client has come to it; on this machine everybody is.
    func mayForward(_ peer: String) -> Bool { peer.hasPrefix("127.") || peer == "::1" || peer.isEmpty || include(peer) }

    private static func bytes(of text: String) -> [UInt8]? {
        guard text.utf8.count <= 45 else { return nil }
        var four = in_addr(), six = in6_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        let bytes = withUnsafeBytes(of: &six) { Array($0) }
        // IPv4 in IPv6's clothes, as a socket for both gives it.
        return bytes.prefix(12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF] ? Array(bytes.suffix(4)) : bytes
    }
}
