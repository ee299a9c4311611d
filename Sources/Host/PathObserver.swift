import CLauncherABI
import Foundation
import Glibc
import HostSystem
import Synchronization

/// Gathers the paths that cells tell of, on a thread of its own: a cell waits while nobody reads.
package final class PathObserver: Sendable {
    /// For the launcher: where its cells write.
    package let writeEnd: Int32
    private let state = Mutex(State())
    private let marked = DispatchSemaphore(value: 0)

    private struct State {
        var paths: Set<String> = []
    }

    /// No call has this number: written by `take`, it tells that all before it was read.
    private static let marker: Int32 = -1

    /// - Throws: `SystemError`.
    package init() throws {
        let pipe = try OwnedDescriptor.pipe()
        writeEnd = pipe.write
        let readEnd = pipe.read
        Thread { [self] in read(from: readEnd) }.start()
    }

    private func read(from file: Int32) {
        var pending: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        let header = MemoryLayout<bh_observation>.size
        while true {
            let length = Glibc.read(file, &chunk, chunk.count)
            guard length > 0 else { break }
            pending += chunk.prefix(length)
            var at = 0
            while pending.count - at >= header {
                let head = pending.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: bh_observation.self) }
                let end = at + header + Int(head.length)
                guard end <= pending.count else { break }
                if head.syscall == Self.marker {
                    marked.signal()
                } else {
                    let path = String(decoding: pending[(at + header)..<end], as: UTF8.self)
                    state.withLock { _ = $0.paths.insert(path) }
                }
                at = end
            }
            pending.removeFirst(at)
        }
        Glibc.close(file)
    }

    /// What was told since the last time. Blocks for a moment.
    package func take() -> Set<String> {
        var mark = bh_observation(syscall: Self.marker, length: 0)
        guard write(writeEnd, &mark, MemoryLayout<bh_observation>.size) > 0 else { return [] }
        marked.wait()
        return state.withLock { state in
            defer { state.paths = [] }
            return state.paths
        }
    }

    package func close() { Glibc.close(writeEnd) }
}
