package import FunctionModel
import HTTPTypes
import NIOCore
import WireText

/// Who stands in front of this host, and is believed what it says of a client. Of everybody else such words are a client's own.
package struct Proxies: Sendable {
    /// Where it says it. One of them: a proxy that writes the one may pass the other on as a client has made it up.
    package enum Words: String, Sendable, CaseIterable {
        case xForwardedFor = "X-Forwarded-For"
        /// RFC 7239.
        case forwarded = "Forwarded"
        /// At a connection's beginning: see `ProxyHeader`.
        case proxyProtocol = "PROXY"
    }

    package var ranges: AddressRanges
    package var words: Words

    package static let none = Proxies(.none)

    package init(_ ranges: AddressRanges, words: Words = .xForwardedFor) {
        self.ranges = ranges
        self.words = words
    }

    func include(_ address: String) -> Bool {
        guard !ranges.isEmpty, let address = IPAddress(address) else { return false }
        return ranges.include(address)
    }

    /// Whether a connection begins with words of a proxy's.
    func announces(_ channel: any Channel) -> Bool {
        words == .proxyProtocol && include(channel.remoteAddress?.ipAddress ?? "")
    }

    /// The address of whoever has sent a request: the last one that is said and is no proxy's, as far as each that has added
    /// something is believed.
    /// - Parameter peer: whose connection it is.
    func client(_ peer: String, _ headers: HTTPFields) -> String {
        guard words != .proxyProtocol, include(peer) else { return peer }
        var client = peer
        for text in said(headers).prefix(50) {
            guard let address = text.flatMap(Self.address) else { break }
            client = address
            guard include(address) else { break }
        }
        return client
    }

    /// The last one first; nil for one that says nobody's address.
    private func said(_ headers: HTTPFields) -> [String?] {
        if words == .forwarded {
            let elements = headers[values: .forwarded].flatMap { ForwardedHeader($0).elements }
            return elements.suffix(50).reversed().map { $0["for"] }
        }
        let all = headers[values: .xForwardedFor].flatMap { $0.utf8.suffix(4096).split(separator: UInt8(ascii: ",")) }
        return all.suffix(50).reversed().map { String(decoding: $0, as: UTF8.self) }
    }

    /// Whether it is believed how, and to which port, a client has come to it; on this machine everybody is.
    func mayForward(_ peer: String) -> Bool { peer.hasPrefix("127.") || peer == "::1" || peer.isEmpty || include(peer) }

    /// An address, with a port or brackets perhaps: `192.0.2.60`, `192.0.2.60:8080`, `[2001:db8::1]:4711`.
    private static func address(in text: String) -> String? {
        var text = String(decoding: text.utf8.filter { ![0x20, 0x09].contains($0) }, as: UTF8.self)
        guard text.utf8.count <= 60, text.isASCII else { return nil }
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            text = String(text[text.index(after: text.startIndex)..<end])
        } else if text.filter({ $0 == ":" }).count == 1, let colon = text.firstIndex(of: ":") {
            text = String(text[..<colon])
        }
        return IPAddress(text) == nil ? nil : text
    }
}
