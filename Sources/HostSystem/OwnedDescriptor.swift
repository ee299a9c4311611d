import CHostSystem
import Glibc
import Synchronization

/// A file descriptor with one owner, closed when that owner goes.
package struct OwnedDescriptor: ~Copyable, Sendable {
    package let number: Int32

    /// Takes ownership of `number`.
    package init(owning number: Int32) { self.number = number }

    /// Takes ownership of what a call returned.
    /// - Throws: `SystemError` when it is negative, with the present errno.
    package init(returned number: Int32, by call: @autoclosure () -> String) throws(SystemError) {
        guard number >= 0 else { throw SystemError(call()) }
        self.number = number
    }

    deinit { close(number) }

    /// Gives the number away; whoever takes it closes it.
    package consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }

    /// A pipe's two ends, for the caller to own at once. (A tuple or struct of two owners cannot be taken apart across
    /// modules in Swift 6.3.)
    package static func pipe() throws(SystemError) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        try SystemError.check(bh_pipe(&ends), "pipe2")
        return (ends[0], ends[1])
    }

    /// A SOCK_SEQPACKET pair, for the caller to own at once.
    package static func packetPair() throws(SystemError) -> (ours: Int32, theirs: Int32) {
        var ends: [Int32] = [-1, -1]
        try SystemError.check(bh_packet_pair(&ends), "socketpair")
        return (ends[0], ends[1])
    }
}

/// How many bytes wait on a pipe to be read; 0 when nobody can tell (FIONREAD, ioctl_tty(2)).
package func readableBytes(of pipe: Int32) -> Int { Int(bh_readable_bytes(pipe)) }

/// A memfd that nobody can change any more: safe to share with a process that must not trust its writer.
package final class SealedFile: Sendable {
    private let descriptor: OwnedDescriptor
    package let size: Int
    /// Tells it from every other one of this process.
    package let serial: UInt64

    private static let serials = Atomic<UInt64>(1)

    /// - Throws: `SystemError` when the kernel refuses.
    package init(name: String, bytes: [UInt8]) throws(SystemError) {
        let file = try OwnedDescriptor(returned: bh_memory_file(name), by: "memfd_create")
        let result = bytes.withUnsafeBytes { raw in Result { () throws(SystemError) in try file.writeAll(raw) } }
        try result.get()
        try SystemError.check(bh_seal(file.number), "seal a memfd")
        descriptor = file
        size = bytes.count
        serial = Self.serials.wrappingAdd(1, ordering: .relaxed).oldValue
    }

    package var number: Int32 { descriptor.number }
}
