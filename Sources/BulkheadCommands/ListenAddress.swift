import Glibc

/// Where to listen: `HOST:PORT`, with brackets around an IPv6 host, or `unix:/path`.
struct ListenAddress {
    enum Place {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    let place: Place

    /// - Throws: `CommandFailure`.
    init(_ text: String) throws {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst("unix:".count))
            guard path.hasPrefix("/"), path.utf8.count < 108 else {
                throw CommandFailure(
                    "--listen \(text): a Unix socket's path is absolute and shorter than 108 bytes", .usage)
            }
            place = .unix(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65535).contains(port)
        else { throw CommandFailure("--listen \(text): it must be HOST:PORT, or unix:PATH", .usage) }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        place = .tcp(host: host.isEmpty ? "127.0.0.1" : host, port: port)
    }

    /// The name under which requests come.
    var name: String {
        switch place {
        case .tcp(let host, _): host
        case .unix: "localhost"
        }
    }

    /// For clients of this machine.
    /// - Parameter port: the one that it became.
    func url(_ scheme: String, port: Int) -> String {
        switch place {
        case .tcp(let host, _): "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        case .unix(let path): "\(scheme)+unix://\(path.replacing("%", with: "%25").replacing("/", with: "%2F"))"
        }
    }

    /// As the guardian takes it, which has no resolver: with a number for the name.
    /// - Throws: `CommandFailure` for a name that nobody knows.
    var numeric: String {
        get throws {
            switch place {
            case .unix(let path): return "unix:\(path)"
            case .tcp(let host, let port):
                let address = try Self.address(of: host)
                return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
            }
        }
    }

    private static func address(of host: String) throws -> String {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        var list: UnsafeMutablePointer<addrinfo>?
        let error = getaddrinfo(host, nil, &hints, &list)
        defer { if let list { freeaddrinfo(list) } }
        guard error == 0, let first = list?.pointee,
            let text = Self.text(first.ai_addr, first.ai_addrlen)
        else { throw CommandFailure("--listen \(host): no address is known for this name", .usage) }
        return text
    }

    private static func text(_ address: UnsafePointer<sockaddr>?, _ size: socklen_t) -> String? {
        guard let address else { return nil }
        var text = [CChar](repeating: 0, count: 256)
        guard getnameinfo(address, size, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether only this machine can reach a socket that listens.
    static func isLocal(socket: Int32) -> Bool {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard getsockname(socket, address, &size) == 0 else { return false }
                guard address.pointee.sa_family != sa_family_t(AF_UNIX) else { return true }
                guard let text = Self.text(address, size) else { return false }
                return text.hasPrefix("127.") || text == "::1" || text.hasPrefix("::ffff:127.")
            }
        }
    }
}
