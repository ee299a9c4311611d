import Foundation
import Glibc
import Host

/// What a supervisor has of its guardian: the sockets that it serves on, and a line to say that it does.
struct Guardian {
    let pid: Int32
    /// How many supervisors it had before this one.
    let restarts: Int
    /// Where it has put the listening sockets, as systemd does: sd_listen_fds(3).
    let sockets: [Int32]
    private let notification: Int32?
    /// Where errands go; nil where this is no child of a guardian that has such a socket.
    let courier: Int32?

    /// This process's guardian; nil when it has none, and should become one.
    static var own: Guardian? {
        let environment = ProcessInfo.processInfo.environment
        guard let pid = environment["BULKHEAD_GUARDIAN"].flatMap({ Int32($0) }), pid == getppid() else { return nil }
        let guardian = Guardian(
            pid: pid, restarts: environment["BULKHEAD_RESTARTS"].flatMap { Int($0) } ?? 0,
            sockets: (0..<(environment["LISTEN_FDS"].flatMap { Int32($0) } ?? 1)).map { 3 + $0 },
            notification: environment["BULKHEAD_NOTIFY_FD"].flatMap { Int32($0) },
            courier: environment["BULKHEAD_COURIER_FD"].flatMap { Int32($0) })
        // None is for the launcher.
        for descriptor in guardian.sockets + [guardian.notification, guardian.courier].compactMap({ $0 }) {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
        return guardian
    }

    /// Where this process gets its errands from, and whose death is its own: it is to be the courier. Nil: it is not.
    static var errands: (socket: Int32, guardian: Int32)? {
        let environment = ProcessInfo.processInfo.environment
        guard let pid = environment["BULKHEAD_GUARDIAN"].flatMap({ Int32($0) }), pid == getppid(),
            let socket = environment["BULKHEAD_ERRANDS_FD"].flatMap({ Int32($0) })
        else { return nil }
        return (socket, pid)
    }

    /// Replaces this process by the guardian, which starts the same command again as its supervisor.
    /// - Throws: `CommandFailure` when it cannot be started.
    static func become(listening addresses: [ListenAddress]) throws -> Never {
        let program = try Foundations.sibling("bulkhead-guardian")
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let listen = try addresses.flatMap { ["--listen", try $0.numeric] }
        let arguments = [program] + listen + ["--", own] + CommandLine.arguments.dropFirst()
        let pointers = arguments.map { strdup($0) } + [nil]
        execv(program, pointers)
        throw CommandFailure("\(program) cannot be started: \(String(cString: strerror(errno)))")
    }

    /// Connections are taken from now on.
    func tellServing() {
        guard let notification else { return }
        _ = write(notification, "1", 1)
        close(notification)
    }
}
