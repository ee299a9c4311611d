import CArchive
import Foundation
import Glibc
import HostSystem

/// A data directory as one tar: the database, copied at one moment, and the bundles that it names. No key, no token and no log.
package enum BackupArchive {
    /// What the database is called in it.
    package static let database = "catalogue.db"

    package struct Broken: Error, CustomStringConvertible {
        package let description: String
    }

    /// Writes the file; it is there whole, or not at all. Blocks.
    /// - Parameters:
    ///   - database: a copy of the database, which nobody changes.
    ///   - store: the folder that holds `bundles`.
    ///   - bundles: the digests of those that are to be in it.
    /// - Throws: `SystemError`, or `Broken` where a bundle is not there.
    package static func write(to file: String, database: String, store: String, bundles: Set<String>) throws {
        let temporary = file + ".new"
        unlink(temporary)
        // Manifests may hold what is nobody else's business.
        let target = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard target >= 0 else { throw SystemError("open \(temporary)") }
        defer {
            close(target)
            unlink(temporary)
        }
        try inUTF8 {
            guard let archive = archive_write_new() else { throw SystemError("archive_write_new", ENOMEM) }
            defer { archive_write_free(archive) }
            archive_write_add_filter_gzip(archive)
            archive_write_set_format_pax_restricted(archive)
            try check(archive_write_open_fd(archive, target), archive, file)
            try add(database, as: self.database, to: archive)
            for bundle in bundles.sorted() {
                guard access("\(store)/bundles/\(bundle)", F_OK) == 0 else {
                    throw Broken(
                        description:
                            "the bundle \(bundle), which a version names, is not there: was it deleted in this moment? Run it again, or `bulkhead check`"
                    )
                }
                try add("\(store)/bundles/\(bundle)", as: "bundles/\(bundle)", to: archive)
            }
            try check(archive_write_close(archive), archive, file)
        }
        guard fsync(target) == 0, rename(temporary, file) == 0 else { throw SystemError("rename to \(file)") }
    }

    /// A file, or a folder and all below it, links as links.
    private static func add(_ path: String, as name: String, to archive: OpaquePointer) throws {
        guard let disk = archive_read_disk_new() else { throw SystemError("archive_read_disk_new", ENOMEM) }
        defer { archive_read_free(disk) }
        archive_read_disk_set_symlink_physical(disk)
        try check(archive_read_disk_open(disk, path), disk, path)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            guard let entry = archive_entry_new() else { throw SystemError("archive_entry_new", ENOMEM) }
            defer { archive_entry_free(entry) }
            let result = archive_read_next_header2(disk, entry)
            if result == ARCHIVE_EOF { return }
            try check(result, disk, path)
            archive_read_disk_descend(disk)
            let full = String(cString: archive_entry_pathname(entry))
            let place = name + full.dropFirst(path.count)
            archive_entry_set_pathname(entry, place)
            // Whoever restores it owns it.
            archive_entry_set_uid(entry, 0)
            archive_entry_set_gid(entry, 0)
            archive_entry_set_uname(entry, nil)
            archive_entry_set_gname(entry, nil)
            try check(archive_write_header(archive, entry), archive, full)
            guard archive_entry_filetype(entry) == S_IFREG else { continue }
            let file = open(full, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
            guard file >= 0 else { throw SystemError("open \(full)") }
            defer { close(file) }
            while true {
                let count = read(file, &buffer, buffer.count)
                guard count >= 0 else { throw SystemError("read \(full)") }
                if count == 0 { break }
                guard archive_write_data(archive, buffer, count) == count else {
                    throw Broken(description: "\(full): \(problem(of: archive))")
                }
            }
        }
    }

    /// Unpacks one into a folder; nothing of it lands elsewhere. Blocks.
    /// - Throws: `SystemError`, or `Broken` for what is no backup.
    package static func unpack(_ file: String, into folder: String) throws {
        try inUTF8 {
            guard let archive = archive_read_new() else { throw SystemError("archive_read_new", ENOMEM) }
            defer { archive_read_free(archive) }
            archive_read_append_filter(archive, ARCHIVE_FILTER_GZIP)
            archive_read_support_format_tar(archive)
            guard archive_read_open_filename(archive, file, 1 << 16) == ARCHIVE_OK else {
                throw Broken(description: "\(file) cannot be read, or is no backup: \(problem(of: archive))")
            }
            guard let disk = archive_write_disk_new() else { throw SystemError("archive_write_disk_new", ENOMEM) }
            defer { archive_write_free(disk) }
            archive_write_disk_set_options(
                disk,
                ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_SECURE_NODOTDOT
                    | ARCHIVE_EXTRACT_SECURE_SYMLINKS)
            while true {
                var entry: OpaquePointer?
                let result = archive_read_next_header(archive, &entry)
                if result == ARCHIVE_EOF { return }
                guard result == ARCHIVE_OK, let entry, let raw = archive_entry_pathname(entry) else {
                    throw Broken(description: "\(file) is no backup, or broken: \(problem(of: archive))")
                }
                let name = String(cString: raw)
                let isOurs = name == database || (name.hasPrefix("bundles/") && !name.utf8.contains(0x5C))
                guard isOurs, archive_entry_hardlink(entry) == nil else {
                    throw Broken(description: "\(file) holds \"\(name.prefix(80))\", which no backup does")
                }
                archive_entry_set_pathname(entry, "\(folder)/\(name)")
                try check(archive_read_extract2(archive, entry, disk), archive, name)
            }
        }
    }

    /// Whether it is one itself, and no link to one.
    package static func isFile(_ path: String) -> Bool { kind(of: path) == S_IFREG }
    /// As `isFile`.
    package static func isFolder(_ path: String) -> Bool { kind(of: path) == S_IFDIR }

    private static func kind(of path: String) -> mode_t? {
        var info = stat()
        return lstat(path, &info) == 0 ? info.st_mode & S_IFMT : nil
    }

    // MARK: - libarchive

    private static func check(_ result: Int32, _ archive: OpaquePointer, _ what: String) throws {
        guard result == ARCHIVE_OK || result == ARCHIVE_WARN else {
            throw Broken(description: "\(what): \(problem(of: archive))")
        }
    }

    private static func problem(of archive: OpaquePointer) -> String {
        archive_error_string(archive).map { String(cString: $0) } ?? "unknown"
    }

    /// libarchive converts names by way of the locale: in "C" every name beyond ASCII would be refused.
    private static func inUTF8(_ work: () throws -> Void) throws {
        guard let locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nil) else { throw SystemError("newlocale") }
        let before = uselocale(locale)  // of this thread alone, uselocale(3)
        defer {
            uselocale(before)
            freelocale(locale)
        }
        try work()
    }
}
