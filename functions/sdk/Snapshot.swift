import Glibc

/// `mode: snapshot` for Swift: call `Snapshot.fork()` once all is loaded. It says ready, and returns in a process of its own
/// for each invocation, with the request on stdin. That process answers and exits.
///
/// Have no threads by then, which means no tasks either: a fork carries only the one that calls it.
struct Snapshot {
    private let answered: Int32

    static func fork() -> Snapshot {
        say(#"{"jsonrpc":"2.0","method":"ready"}"#)
        while true {
            // The template must not read the request: what it has read, every later fork would have.
            var input = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
            var waiting: Int32 = 0
            while poll(&input, 1, -1) < 0 {}
            if ioctl(0, UInt(FIONREAD), &waiting) < 0 || waiting == 0 { _exit(0) }  // EOF is the host's goodbye
            var ends: [Int32] = [0, 0]
            guard pipe(&ends) == 0 else { _exit(1) }
            let child = Glibc.fork()
            guard child >= 0 else { _exit(1) }
            if child == 0 {
                close(ends[0])
                // A flag of the pipes' own, which an earlier fork may have changed.
                for stream: Int32 in 0..<3 { _ = fcntl(stream, F_SETFL, fcntl(stream, F_GETFL) & ~O_NONBLOCK) }
                return Snapshot(answered: ends[1])
            }
            close(ends[1])
            var status: Int32 = 0
            while waitpid(child, &status, 0) < 0 {}
            var byte: UInt8 = 0
            if read(ends[0], &byte, 1) != 1 { endLike(status) }
            close(ends[0])
        }
    }

    /// Answers the invocation and ends its process.
    /// - Parameters:
    ///   - id: the request's, as it stands there.
    ///   - result: JSON.
    func answer(id: String, result: String) -> Never {
        guard write(answered, ".", 1) == 1 else { _exit(1) }
        Self.say(#"{"jsonrpc":"2.0","id":\#(id),"result":\#(result)}"#)
        _exit(0)
    }

    /// Ends the template as its fork has ended, so that the host sees how.
    private static func endLike(_ status: Int32) -> Never {
        let number = status & 0x7f
        if number != 0 {
            if number != SIGKILL { signal(number, SIG_DFL) }
            kill(getpid(), number)
        }
        _exit(status >> 8 & 0xff)
    }

    private static func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}
