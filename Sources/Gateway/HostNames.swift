import FunctionModel
import Glibc
import WireText

/// The names under which this host answers. A page whose own name a stranger points at this machine (DNS rebinding) speaks in
/// that name, and is refused. Addresses are taken, nobody can point one elsewhere (on a loopback address, only such), and names
/// without a dot, which no stranger can have.
struct HostNames: Sendable {
    private let names: Set<String>
    /// `.example.com` for `*.example.com`.
    private let suffixes: [String]
    private let takesAll: Bool
    private let isLocal: Bool

    /// - Parameters:
    ///   - listener: the name or address that is listened on.
    ///   - configured: further ones; `*.example.com` and `*` too.
    init(listener: String, configured: [String]) {
        var machine = [CChar](repeating: 0, count: 256)
        gethostname(&machine, machine.count - 1)
        let own = String(decoding: machine.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        names = Set(([listener, "localhost", own] + configured).map { $0.lowercased() }.filter { !$0.isEmpty })
        suffixes = configured.filter { $0.hasPrefix("*.") }.map { String($0.dropFirst()).lowercased() } + [".localhost"]
        takesAll = configured.contains("*")
        isLocal = listener == "localhost" || Self.isLoopback(listener)
    }

    /// - Parameter authority: a request's `Host`, port and all; nil when it has none (HTTP/1.0).
    func accepts(_ authority: String?) -> Bool {
        guard !takesAll, let authority else { return true }
        guard !authority.isEmpty, authority.utf8.count <= 300, authority.isASCII else { return false }
        let host = Self.host(of: authority)
        if names.contains(host) || Self.isLocalName(host) { return true }
        if Self.isAddress(host) { return !isLocal || Self.isLoopback(host) }
        return suffixes.contains { host.hasSuffix($0) }
    }

    /// What is said to who asked for another one.
    static func refusal(of authority: String?) -> String {
        let name = printable((authority ?? "").prefix(bytes: 80))
        return "this host does not answer for \"\(name)\"; name it under hosts: in the configuration, or use an address"
    }

    /// Without its port, in lower case.
    static func host(of authority: String) -> String {
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
            let port = authority[authority.index(after: end)...]
            guard port.isEmpty || port.first == ":" && port.dropFirst().allSatisfy(\.isNumber) else { return "" }
            return String(authority[authority.index(after: authority.startIndex)..<end])
        }
        var host = authority[...]
        if let colon = authority.lastIndex(of: ":"), authority[authority.index(after: colon)...].allSatisfy(\.isNumber)
        {
            host = authority[..<colon]
        }
        if host.hasSuffix(".") { host = host.dropLast() }  // the root's dot
        return host.lowercased()
    }

    /// A single word that is no number in disguise.
    private static func isLocalName(_ host: String) -> Bool {
        guard let first = host.utf8.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first) else { return false }
        return host.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
    }

    private static func isLoopback(_ host: String) -> Bool {
        isAddress(host) && (host.hasPrefix("127.") || host == "::1")
    }

    private static func isAddress(_ host: String) -> Bool {
        var room = in6_addr()
        return inet_pton(AF_INET, host, &room) == 1 || inet_pton(AF_INET6, host, &room) == 1
    }
}
