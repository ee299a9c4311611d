package import FunctionModel

/// Which addresses may be connected to: those of the whole world, and of others those that the operator has named. What a name
/// stands for is somebody else's to say, and may be a machine behind this host's firewall, or this host.
package struct AddressRules: Sendable {
    private let allowed: AddressRanges

    package init(allowing allowed: AddressRanges) { self.allowed = allowed }

    package enum Verdict: Sendable, Equatable {
        /// Also without encryption: somebody has named just this address.
        case named
        case anybodys
        case refused(String)
    }

    package func verdict(on address: IPAddress) -> Verdict {
        if allowed.include(address) { return .named }
        if let kind = Self.kind(of: address) { return .refused(kind) }
        return .anybodys
    }

    /// What an address is, if it is not one of the whole world: https://www.iana.org/assignments/iana-ipv4-special-registry and
    /// …/iana-ipv6-special-registry.
    private static func kind(of address: IPAddress) -> String? {
        for (kind, ranges) in special where ranges.include(address) { return kind }
        // IPv4 that travels in IPv6 arrives where IPv4 would: NAT64 (RFC 6052) and 6to4 (RFC 3056).
        let bytes = address.bytes
        guard bytes.count == 16 else { return nil }
        if bytes.prefix(12) == [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0] {
            return kind(of: IPAddress(bytes: Array(bytes.suffix(4))))
        }
        if bytes.prefix(2) == [0x20, 0x02] { return kind(of: IPAddress(bytes: Array(bytes[2..<6]))) }
        // Of the rest of IPv6, 2000::/3 is the world's.
        return bytes[0] & 0xE0 == 0x20 ? nil : "reserved"
    }

    private static func ranges(_ texts: String...) -> AddressRanges { AddressRanges(texts) ?? .none }

    private static let special: [(String, AddressRanges)] = [
        ("this machine's own (loopback)", ranges("127.0.0.0/8", "::1")),
        ("unspecified", ranges("0.0.0.0/8", "::/96")),
        ("link-local", ranges("169.254.0.0/16", "fe80::/10")),
        ("private", ranges("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")),
        ("a carrier's (RFC 6598)", ranges("100.64.0.0/10")),
        ("multicast", ranges("224.0.0.0/4", "ff00::/8")),
        (
            "reserved",
            ranges(
                "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
                "240.0.0.0/4", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16")
        ),
    ]
}
