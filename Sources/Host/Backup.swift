import Bundles
import Foundation
import FunctionModel
import Glibc
import HostSystem
import StoreSQLite

/// Copies of a data directory, and whether one is sound: beside a host that serves from it, or none.
package struct Backup {
    private let data: DataDirectory

    package init(_ data: DataDirectory) { self.data = data }

    private var database: String { "\(data.path)/\(BackupArchive.database)" }

    /// Writes all of it but its keys, its token and its logs into one file. Blocks.
    /// - Returns: how many functions' versions are in it.
    /// - Throws: `HostFailure`.
    package func write(to file: String) throws -> Int {
        try requireData()
        let place = URL(fileURLWithPath: file).deletingLastPathComponent().resolvingSymlinksInPath().path
        let own = URL(fileURLWithPath: data.path).resolvingSymlinksInPath().path
        guard place != own, !place.hasPrefix(own + "/") else {
            throw HostFailure("\(file) lies in the data directory itself; write it elsewhere", isUsage: true)
        }
        return try failing("the backup cannot be written") {
            // Nobody else can put anything there, nor is anything there.
            var template = Array("\(place)/.bulkhead-backup-XXXXXX".utf8CString)
            guard let made = mkdtemp(&template) else { throw SystemError("mkdtemp in \(place)") }
            let folder = String(cString: made), copy = folder + "/copy.db"
            defer { try? FileManager.default.removeItem(atPath: folder) }
            // SQLite makes the file as the umask has it; what is in it is nobody else's business.
            let mask = umask(0o077)
            defer { umask(mask) }
            try SQLiteCopy(path: database).write(to: copy)
            let (problems, versions) = try SQLiteCopy(path: copy).examine()
            guard problems.isEmpty else {
                throw HostFailure("the database is damaged: \(problems[0]); `bulkhead check` says more")
            }
            let whole = folder + "/backup"
            try BackupArchive.write(
                to: whole, database: copy, store: data.path, bundles: Set(versions.map(\.bundle)))
            guard rename(whole, file) == 0 else { throw SystemError("rename to \(file)") }
            return versions.count
        }
    }

    /// Makes the data directory out of a backup. Blocks.
    /// - Throws: `HostFailure`, also where there is one already.
    package func restore(from file: String) throws -> Int {
        // SQLite's side files too: they would be taken for the restored one's.
        guard ["", "-wal", "-shm"].allSatisfy({ access(database + $0, F_OK) != 0 }) else {
            throw HostFailure(
                "\(data.path) holds a host's data already: restore into a new folder, or move catalogue.db* away",
                isUsage: true)
        }
        return try failing("the backup cannot be restored") {
            try data.create()
            mkdir("\(data.path)/bundles", 0o755)
            // Whole or not at all: the database, which makes it a data directory, comes last.
            let folder = URL(fileURLWithPath: data.path).resolvingSymlinksInPath().path + "/restored"
            try? FileManager.default.removeItem(atPath: folder)
            mkdir(folder, 0o700)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try BackupArchive.unpack(file, into: folder)
            let copy = "\(folder)/\(BackupArchive.database)"
            guard BackupArchive.isFile(copy) else { throw HostFailure("\(file) holds no database") }
            let (problems, versions) = try SQLiteCopy(path: copy).examine()
            guard problems.isEmpty else { throw HostFailure("\(file) holds a damaged database: \(problems[0])") }
            for bundle in Set(versions.map(\.bundle)) {
                let from = "\(folder)/bundles/\(bundle)", to = "\(data.path)/bundles/\(bundle)"
                let isDigest =
                    bundle.utf8.count == 64 && bundle.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
                guard isDigest, BackupArchive.isFolder(from) else {
                    throw HostFailure("\(file) lacks the bundle \(bundle.prefix(80))")
                }
                if geteuid() == 0 { Self.give(from, to: Foundations.Options().firstUID) }
                guard access(to, F_OK) == 0 || rename(from, to) == 0 else { throw SystemError("rename \(from)") }
            }
            chmod(copy, 0o600)
            guard rename(copy, database) == 0 else { throw SystemError("rename \(copy)") }
            return versions.count
        }
    }

    /// What is wrong with it, a sentence each; empty: nothing is. Blocks.
    /// - Throws: `HostFailure`.
    package func check() throws -> (problems: [String], versions: Int) {
        try requireData()
        return try failing("the data directory cannot be looked at") {
            var (problems, versions) = try SQLiteCopy(path: database).examine()
            for version in versions where access("\(data.path)/bundles/\(version.bundle)", F_OK) != 0 {
                problems.append("version \(version.number) of \(version.name): its bundle \(version.bundle) is missing")
            }
            return (problems, versions.count)
        }
    }

    /// A folder and all in it is the host's own, who removes it some day.
    private static func give(_ folder: String, to uid: UInt32) {
        lchown(folder, uid, uid)
        for name in FileManager.default.enumerator(atPath: folder)?.compactMap({ $0 as? String }) ?? [] {
            lchown("\(folder)/\(name)", uid, uid)
        }
    }

    private func requireData() throws {
        guard access(database, R_OK) == 0 else {
            throw HostFailure(
                "\(data.path) holds no host's data, or may not be read; name it with --data-dir", isUsage: true)
        }
    }

    private func failing<Value>(_ what: String, _ work: () throws -> Value) throws -> Value {
        do {
            return try work()
        } catch let failure as HostFailure {
            throw failure
        } catch {
            throw HostFailure("\(what): \(error)")
        }
    }
}
