import Glibc

/// An IP address by its bytes, 4 or 16 of them. One that IPv6 carries for IPv4 (`::ffff:10.0.0.1`) is IPv4's own.
package struct IPAddress: Sendable, Hashable {
    package let bytes: [UInt8]

    /// - Parameter text: in figures; nil for anything else, names too.
    package init?(_ text: String) {
        guard text.utf8.count <= 45 else { return nil }
        var four = in_addr(), six = in6_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self.init(bytes: withUnsafeBytes(of: &four) { Array($0) })
        } else if inet_pton(AF_INET6, text, &six) == 1 {
            self.init(bytes: withUnsafeBytes(of: &six) { Array($0) })
        } else {
            return nil
        }
    }

    /// - Parameter bytes: 4 or 16, in network order.
    package init(bytes: [UInt8]) {
        let isMapped = bytes.count == 16 && bytes.prefix(12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        self.bytes = isMapped ? Array(bytes.suffix(4)) : bytes
    }
}

extension IPAddress: CustomStringConvertible {
    package var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return "?" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Addresses and ranges of them (CIDR, RFC 4632), as an operator writes them.
package struct AddressRanges: Sendable {
    private struct Range: Sendable {
        let address: IPAddress
        let bits: Int
    }

    private let ranges: [Range]

    package static let none = AddressRanges(ranges: [])

    package var isEmpty: Bool { ranges.isEmpty }

    /// - Parameter texts: addresses, or ranges (`10.0.0.0/8`); nil for what is neither.
    package init?(_ texts: [String]) {
        var ranges: [Range] = []
        for text in texts {
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard let address = IPAddress(String(parts[0])) else { return nil }
            let all = address.bytes.count * 8
            guard let bits = parts.count == 1 ? all : Int(parts[1]), (0...all).contains(bits) else { return nil }
            ranges.append(Range(address: address, bits: bits))
        }
        self.init(ranges: ranges)
    }

    private init(ranges: [Range]) { self.ranges = ranges }

    package func include(_ address: IPAddress) -> Bool {
        ranges.contains { range in
            range.address.bytes.count == address.bytes.count
                && (0..<range.bits).allSatisfy { bit in
                    (range.address.bytes[bit / 8] ^ address.bytes[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
                }
        }
    }
}
