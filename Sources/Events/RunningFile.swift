import FunctionModel
import Glibc
import HostSystem
import Synchronization

/// What this process runs at this moment, in a small file that the next one reads when this has ended in the midst of it. Written
/// without waiting for the disk: it is to outlive the process, not the machine.
package final class RunningFile: Sendable {
    private let file: OwnedDescriptor
    private let free: Mutex<[Int]>

    /// As many as may be in hand; each is an id of 36 letters.
    private static let (slots, width) = (1024, 40)

    /// - Returns: with it, the ids that the process before had in hand.
    /// - Throws: `SystemError`.
    package static func open(path: String) throws -> (RunningFile, left: [String]) {
        let number = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard number >= 0 else { throw SystemError("open \(path)") }
        let file = OwnedDescriptor(owning: number)
        var bytes = [UInt8](repeating: 0, count: slots * width)
        let count = pread(file.number, &bytes, bytes.count, 0)
        let left = stride(from: 0, to: max(0, count), by: width).compactMap { start -> String? in
            let id = bytes[start..<min(start + width, count)].prefix { $0 != 0 }
            return id.isEmpty ? nil : String(decoding: id, as: UTF8.self)
        }
        try SystemError.check(ftruncate(file.number, 0) == 0 ? 0 : errno, "truncate \(path)")
        return (RunningFile(file), left)
    }

    private init(_ file: consuming OwnedDescriptor) {
        self.file = file
        free = Mutex(Array((0..<Self.slots).reversed()))
    }

    /// - Returns: where it stands; nil where there is no room, and it goes without.
    func enter(_ id: String) -> Int? {
        guard let slot = free.withLock({ $0.popLast() }) else { return nil }
        write(Array(id.utf8.prefix(Self.width)), at: slot)
        return slot
    }

    func leave(_ slot: Int?) {
        guard let slot else { return }
        write([], at: slot)
        free.withLock { $0.append(slot) }
    }

    private func write(_ id: [UInt8], at slot: Int) {
        let bytes = id + [UInt8](repeating: 0, count: Self.width - id.count)
        // Whether it is there matters only if this process ends: then its disk was full, too.
        _ = pwrite(file.number, bytes, bytes.count, off_t(slot * Self.width))
    }
}
