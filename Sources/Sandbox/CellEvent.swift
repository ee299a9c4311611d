import Glibc
package import HostSystem

/// A cell, named for one launcher's life.
package struct CellID: Sendable, Hashable {
    package let number: UInt64
}

/// What the launcher tells of a cell. `started` or `failed` comes first; after `exited` or `failed`, `gone` is last.
package enum CellEvent: Sendable {
    /// The worker's exec succeeded.
    /// The listener: of a plan that asks for one.
    case started(pid: Int32, meters: CellMeters?, listener: CellSocket?)
    /// The launch was refused: no tenant byte has run.
    case failed(LaunchError)
    /// The filter refused a call; not said of each one, see `RefusedCall.count`.
    case refused(RefusedCall)
    /// Nothing is left in the cell but its worker, which has so many threads; nil when that could not be brought about.
    case cleared(threads: Int?)
    /// Its worker may make only the calls that are left to it from now on.
    case locked
    /// `Launcher.connect` has come to this: a non-blocking socket that is connected or on its way, or why not (an errno).
    case connected(port: UInt16, Result<CellSocket, SystemError>)
    case exited(CellExit)
    /// No process, cgroup or mount of the cell is left.
    case gone
}

/// A socket in a cell's network, in this process's hands. Whoever is at its other end is the cell's.
package final class CellSocket: Sendable {
    /// Closed with the last reference.
    package let descriptor: OwnedDescriptor

    init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
}

/// A kind of system call that was answered with an errno, and how often.
package struct RefusedCall: Sendable, Hashable {
    /// As `syscallName` has it; "other" for all beyond the kinds that a cell counts apart.
    package let name: String
    /// The errno's name.
    package let errnoText: String
    /// How often in this cell so far.
    package var count: UInt64

    package init(name: String, errnoText: String, count: UInt64) {
        self.name = name
        self.errnoText = errnoText
        self.count = count
    }
}

/// Where and why a launch was refused.
package struct LaunchError: Error, Sendable, Hashable, CustomStringConvertible {
    package let stage: String
    package let number: Int32

    package init(stage: String, number: Int32) {
        self.stage = stage
        self.number = number
    }

    package var errnoText: String { errnoName(number) }
    package var description: String { "\(stage): \(errnoText) (\(String(cString: strerror(number))))" }

    /// The launcher itself has gone, and its cells with it.
    package static let launcherDied = LaunchError(stage: "launcher", number: ECONNRESET)
}

/// How a worker ended, as the kernel tells it.
package struct CellExit: Sendable {
    package struct DeniedCall: Sendable {
        package let name: String
        package let arguments: [UInt64]
    }

    /// As from wait(2).
    package var status: Int32
    /// The kernel's own counter saw an OOM kill in this cell.
    package var wasOutOfMemory: Bool
    package var denied: DeniedCall?
    /// Ended on request.
    package var wasKilled: Bool
    package var cpu: Duration
    package var memoryPeak: Int
    /// The launcher died: nothing more is known.
    package var launcherDied = false

    package static let lostWithLauncher = CellExit(
        status: 9, wasOutOfMemory: false, denied: nil, wasKilled: true, cpu: .zero, memoryPeak: 0, launcherDied: true)

    /// The exit code, when the worker exited by itself.
    package var exitCode: Int? { status & 0x7F == 0 ? Int(status >> 8 & 0xFF) : nil }
    /// The signal that ended the worker.
    package var signal: Int32? { status & 0x7F == 0 ? nil : status & 0x7F }
}

/// What a cell has used so far. Asking reads files.
package protocol CellMeter: Sendable {
    /// CPU time of all the cell's processes; nil when it cannot be told (any more).
    var cpu: Duration? { get }
    /// Peak of everything charged to the cell, in bytes.
    var memoryPeak: Int? { get }
}

/// A cell's CPU time and peak memory while it runs, read from its cgroup files.
package final class CellMeters: CellMeter {
    private let cpuFile: OwnedDescriptor
    private let memoryFile: OwnedDescriptor

    init(cpuFile: consuming OwnedDescriptor, memoryFile: consuming OwnedDescriptor) {
        self.cpuFile = cpuFile
        self.memoryFile = memoryFile
    }

    /// CPU time of all the cell's processes so far.
    package var cpu: Duration? {
        Self.read(cpuFile.number).flatMap { text in
            // v2: "usage_usec 1234\n…"; v1: nanoseconds.
            if text.hasPrefix("usage_usec ") {
                return Int64(text.dropFirst(11).prefix { $0 != "\n" }).map { .microseconds($0) }
            }
            return Int64(text.prefix { $0 != "\n" }).map { .nanoseconds($0) }
        }
    }

    /// Peak of everything charged to the cell, in bytes.
    package var memoryPeak: Int? { Self.read(memoryFile.number).flatMap { Int($0.prefix { $0 != "\n" }) } }

    private static func read(_ file: Int32) -> String? {
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { buffer in
            let length = pread(file, buffer.baseAddress, buffer.count, 0)
            return length > 0 ? String(decoding: buffer.prefix(length), as: UTF8.self) : nil
        }
    }
}
