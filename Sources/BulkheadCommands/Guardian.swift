import Foundation
import Glibc
import Host

/// What a supervisor has of its guardian: the socket that it serves on, and a line to say that it does.
struct Guardian {
    let pid: Int32
    /// How many supervisors it had before this one.
    let restarts: Int
    /// Where it has put the listening socket, as systemd does: sd_listen_fds(3).
    let socket: Int32 = 3
    private let notification: Int32?

    /// This process's guardian; nil when it has none, and should become one.
    static var own: Guardian? {
        let environment = ProcessInfo.processInfo.environment
        guard let pid = environment["BULKHEAD_GUARDIAN"].flatMap({ Int32($0) }), pid == getppid() else { return nil }
        let guardian = Guardian(
            pid: pid, restarts: environment["BULKHEAD_RESTARTS"].flatMap { Int($0) } ?? 0,
            notification: environment["BULKHEAD_NOTIFY_FD"].flatMap { Int32($0) })
        // Neither is for the launcher.
        for descriptor in [guardian.socket, guardian.notification].compactMap({ $0 }) {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
        return guardian
    }

    /// Replaces this process by the guardian, which starts the same command again as its supervisor.
    /// - Throws: `CommandFailure` when it cannot be started.
    static func become(listening address: ListenAddress) throws -> Never {
        let program = try Foundations.sibling("bulkhead-guardian")
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let numeric = try Self.numeric(address.host)
        let host = numeric.contains(":") ? "[\(numeric)]" : numeric
        let arguments =
            [program, "--listen", "\(host):\(address.port)", "--", own] + CommandLine.arguments.dropFirst()
        let pointers = arguments.map { strdup($0) } + [nil]
        execv(program, pointers)
        throw CommandFailure("\(program) cannot be started: \(String(cString: strerror(errno)))")
    }

    /// The address of a name: the guardian has no resolver.
    private static func numeric(_ host: String) throws -> String {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        var list: UnsafeMutablePointer<addrinfo>?
        let error = getaddrinfo(host, nil, &hints, &list)
        defer { freeaddrinfo(list) }
        var text = [CChar](repeating: 0, count: 256)
        guard error == 0, let first = list?.pointee,
            getnameinfo(first.ai_addr, first.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
        else { throw CommandFailure("--listen \(host): no address is known for this name", .usage) }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Connections are taken from now on.
    func tellServing() {
        guard let notification else { return }
        _ = write(notification, "1", 1)
        close(notification)
    }
}
