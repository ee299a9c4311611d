package import Foundation

/// A URL that a request may go out to, of somebody's writing.
package struct OutgoingURL: Sendable, Hashable {
    package let text: String
    package let url: URL
    /// A name in letters of host names, or an address in figures, without brackets.
    package let host: String

    package var isEncrypted: Bool { url.scheme?.lowercased() == "https" }
    /// The address, where the host is one.
    package var address: IPAddress? { IPAddress(host) }

    package static let rule =
        "an https URL with a host, without user or fragment, in ASCII and of at most 2,000 characters"

    /// - Parameter text: nil for what is not as `rule` says; http is left to whoever knows the address.
    package init?(_ text: String) {
        guard text.utf8.count <= 2000, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
            let url = URL(string: text),
            let scheme = url.scheme?.lowercased(), ["https", "http"].contains(scheme), url.user == nil,
            url.password == nil, url.fragment == nil, let host = url.host
        else { return nil }
        // What is percent-encoded in it would be another name to whoever reads it once more.
        let authority = text.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false).dropFirst(2).first
        guard authority?.split(separator: "/", maxSplits: 1).first?.contains("%") == false else { return nil }
        var bare = host
        if bare.hasPrefix("["), bare.hasSuffix("]") { bare = String(bare.dropFirst().dropLast()) }
        let isName = bare.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
            default: false
            }
        }
        guard (1...253).contains(bare.utf8.count), isName || IPAddress(bare) != nil else { return nil }
        if let port = url.port, !(1...65535).contains(port) { return nil }
        (self.text, self.url, self.host) = (text, url, bare)
    }
}
