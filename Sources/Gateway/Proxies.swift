package import FunctionModel
import HTTPTypes
import NIOCore

/// Who stands in front of this host, and is believed what it says of a client. Of everybody else such words are a client's own.
package struct Proxies: Sendable {
    private let ranges: AddressRanges

    package static let none = Proxies(.none)

    package init(_ ranges: AddressRanges) { self.ranges = ranges }

    func include(_ address: String) -> Bool {
        guard !ranges.isEmpty, let address = IPAddress(address) else { return false }
        return ranges.include(address)
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
            guard IPAddress(text) != nil else { break }
            client = text
            guard include(text) else { break }
        }
        return client
    }

    /// Whether it is believed how, and to which port, a client has come to it; on this machine everybody is.
    func mayForward(_ peer: String) -> Bool { peer.hasPrefix("127.") || peer == "::1" || peer.isEmpty || include(peer) }
}
