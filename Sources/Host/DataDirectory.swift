import Foundation
import Glibc
import HostSystem

/// Where a host keeps what it knows, and where clients on the same machine find it.
package struct DataDirectory {
    package let path: String

    /// - Parameter path: nil for the user's default.
    package init(_ path: String?) {
        let chosen = path ?? ProcessInfo.processInfo.environment["BULKHEAD_DATA"] ?? Self.standard
        self.path = URL(fileURLWithPath: chosen).path
    }

    private static var standard: String {
        if geteuid() == 0 { return "/var/lib/bulkhead" }
        let environment = ProcessInfo.processInfo.environment
        let base = environment["XDG_DATA_HOME"] ?? (environment["HOME"] ?? "/tmp") + "/.local/share"
        return base + "/bulkhead"
    }

    package var tokenFile: String { path + "/admin.token" }
    package var endpointFile: String { path + "/endpoint" }

    /// - Throws: `HostFailure`.
    func create() throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw HostFailure("the data directory \(path) cannot be made: \(error.localizedDescription)")
        }
        guard chmod(path, 0o700) == 0 else { throw HostFailure("the data directory \(path) cannot be made private") }
    }

    package var token: String? { Self.line(of: tokenFile) }
    package var endpoint: String? { Self.line(of: endpointFile) }

    private static func line(of file: String) -> String? {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
        let line = text.trimmingCharacters(in: .whitespacesAndNewlines)
        return line.isEmpty ? nil : line
    }
}

/// Writes a small private file in one step: whole or not at all.
/// - Throws: `HostFailure`.
package func writePrivately(_ text: String, to path: String) throws {
    let temporary = path + ".new"
    unlink(temporary)
    let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard file >= 0 else { throw SystemError("write \(path)") }
    defer { close(file) }
    let bytes = Array((text + "\n").utf8)
    guard write(file, bytes, bytes.count) == bytes.count, fsync(file) == 0, rename(temporary, path) == 0 else {
        throw SystemError("write \(path)")
    }
}
