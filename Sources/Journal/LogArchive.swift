import Foundation
package import FunctionModel
import Glibc

/// Logs on the disk, so that they survive a restart: two files a function, each of so many bytes, and so many of all together. What
/// was written in the last moment before a kill may be missing.
package final class LogArchive: Sendable {
    package let folder: String

    /// Of one file; a function has two.
    private static let maxFile = 512 << 10
    /// Of all files.
    private static let maxBytes = 256 << 20
    /// Read back at a start.
    private static let maxRead = 24 << 20
    /// Older lines are nobody's concern any more, in seconds.
    private static let maxAge = 14 * 86_400

    private struct File {
        let path: String
        let size: Int
        let changed: Int
        let function: FunctionName?
    }

    /// - Parameter folder: made where it is not there.
    package init(folder: String) {
        self.folder = folder
        mkdir(folder, 0o700)
    }

    private func path(_ name: FunctionName, older: Bool) -> String {
        "\(folder)/\(name.text)\(older ? ".1" : "").jsonl"
    }

    // MARK: - Reading

    /// What is there, of each function that there is; what is of no function, or too old, goes. Blocks.
    package func read(of isThere: (FunctionName) -> Bool) -> [(FunctionName, [LogLine])] {
        let now = Int(Date().timeIntervalSince1970)
        var kept: [File] = []
        for file in files() {
            guard let name = file.function, isThere(name), now - file.changed < Self.maxAge else {
                unlink(file.path)
                continue
            }
            kept.append(file)
        }
        var left = Self.maxRead, wanted: [File] = []
        for file in kept.sorted(by: { $0.changed > $1.changed }) where file.size <= left {
            left -= file.size
            wanted.append(file)
        }
        var lines: [FunctionName: [LogLine]] = [:]
        // The older file of each first.
        for file in wanted.sorted(by: { $0.path < $1.path }) {
            guard let name = file.function, let bytes = FileManager.default.contents(atPath: file.path) else {
                continue
            }
            // The last line may have been cut off.
            lines[name, default: []] += bytes.split(separator: 0x0A).compactMap {
                try? JSONDecoder().decode(LogLine.self, from: $0)
            }
        }
        return lines.map { ($0.key, $0.value) }
    }

    private func files() -> [File] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.compactMap { name in
            let path = "\(folder)/\(name)"
            var info = stat()
            guard lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return nil }
            let base = name.split(separator: ".").first.map(String.init) ?? ""
            return File(
                path: path, size: Int(info.st_size), changed: info.st_mtim.tv_sec,
                function: name.hasSuffix(".jsonl") ? FunctionName(base) : nil)
        }
    }

    // MARK: - Writing

    /// Appends lines to each function's file. Blocks.
    /// - Returns: whether all could be written.
    package func write(_ lines: [FunctionName: [LogLine]]) -> Bool {
        var isWhole = true
        for (name, lines) in lines {
            var bytes = Data()
            for line in lines {
                // Strings and numbers: there is nothing in it that cannot be encoded.
                if let encoded = try? JSONEncoder().encode(line) { bytes += encoded + [0x0A] }
            }
            isWhole = append(bytes, of: name) && isWhole
        }
        return isWhole
    }

    private func append(_ bytes: Data, of name: FunctionName) -> Bool {
        let path = path(name, older: false)
        let file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return false }
        defer { close(file) }
        var info = stat()
        // One that was written to a full disk ends in half a line.
        var bytes = bytes, last: UInt8 = 0x0A
        if fstat(file, &info) == 0, info.st_size > 0, pread(file, &last, 1, info.st_size - 1) == 1, last != 0x0A {
            bytes.insert(0x0A, at: bytes.startIndex)
        }
        let written = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        if fstat(file, &info) == 0, info.st_size > Self.maxFile { rename(path, self.path(name, older: true)) }
        return written == bytes.count
    }

    /// The function is gone. Blocks.
    package func remove(_ name: FunctionName) { for older in [false, true] { unlink(path(name, older: older)) } }

    /// Of too many bytes those go that were not written to for longest. Blocks.
    package func makeRoom() {
        let all = files().sorted { $0.changed < $1.changed }
        var bytes = all.reduce(0) { $0 + $1.size }
        for file in all where bytes > Self.maxBytes {
            unlink(file.path)
            bytes -= file.size
        }
    }
}
