import FunctionModel
import Glibc

/// The names under which this host answers. A page whose own name a stranger points at this machine (DNS rebinding) speaks in
/// that name, and is refused. Addresses are always taken, and names without a dot: no stranger can have one.
struct HostNames: Sendable {
    private let names: Set<String>
    /// `.example.com` for `*.example.com`.
    private let suffixes: [String]
    private let takesAll: Bool

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
    }

    /// - Parameter authority: a request's `Host`, port and all; nil when it has none (HTTP/1.0).
    func accepts(_ authority: String?) -> Bool {
        guard !takesAll, let authority, !authority.isEmpty else { return true }
        guard authority.utf8.count <= 300, authority.isASCII else { return false }
        let host = Self.host(of: authority)
        if names.contains(host) || Self.isAddress(host) || !host.utf8.contains(UInt8(ascii: ".")) { return true }
        return suffixes.contains { host.hasSuffix($0) }
    }

    private static func host(of authority: String) -> String {
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
            return String(authority[authority.index(after: authority.startIndex)..<end])
        }
        var host = authority[...]
        if let colon = authority.lastIndex(of: ":"), authority[authority.index(after: colon)...].allSatisfy(\.isNumber) {
            host = authority[..<colon]
        }
        if host.hasSuffix(".") { host = host.dropLast() }  // the root's dot
        return host.lowercased()
    }

    private static func isAddress(_ host: String) -> Bool {
        var room = in6_addr()
        return inet_pton(AF_INET, host, &room) == 1 || inet_pton(AF_INET6, host, &room) == 1
    }
}
