import CArchive
import CHostSystem
import FunctionModel
import Glibc
import HostSystem

/// Packs a folder into a tar.gz, for a client to upload. The same files give the same bytes.
package enum BundlePacker {
    /// - Parameters:
    ///   - manifest: as `function.yaml`, in place of the folder's own.
    ///   - limit: bytes the files may have together.
    /// - Throws: `UploadRefused` or `SystemError`.
    package static func pack(folder path: String, manifest: String? = nil, limit: Int) throws -> [UInt8] {
        try packed { archive in
            var bytes = 0
            if let manifest { try add(Manifest.fileNames[0], Array(manifest.utf8), to: archive) }
            let given = manifest == nil ? [] : Manifest.fileNames
            try add(Folder(path: path), prefix: "", leavingOut: given, to: archive, bytes: &bytes, limit: limit)
        }
    }

    /// - Parameter fill: puts everything in.
    static func packed(_ fill: (OpaquePointer) throws -> Void) throws -> [UInt8] {
        // libarchive converts names by way of the locale: in "C" every name beyond ASCII would be refused.
        guard let locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nil) else { throw SystemError("newlocale") }
        let before = uselocale(locale)  // of this thread alone, uselocale(3)
        defer {
            uselocale(before)
            freelocale(locale)
        }
        let output = try OwnedDescriptor(returned: bh_memory_file("bundle"), by: "memfd_create")
        guard let archive = archive_write_new() else { throw SystemError("archive_write_new", ENOMEM) }
        defer { archive_write_free(archive) }
        archive_write_set_format_pax_restricted(archive)
        archive_write_add_filter_gzip(archive)
        archive_write_set_options(archive, "gzip:!timestamp")
        guard archive_write_open_fd(archive, output.number) == ARCHIVE_OK else {
            throw SystemError("archive_write_open_fd")
        }
        try fill(archive)
        guard archive_write_close(archive) == ARCHIVE_OK else { throw SystemError("write the archive") }
        return output.read(at: 0, count: Int(lseek(output.number, 0, SEEK_END)))
    }

    private static func add(
        _ folder: borrowing Folder, prefix: String, leavingOut others: [String] = [], to archive: OpaquePointer,
        bytes: inout Int, limit: Int
    ) throws {
        for name in try folder.names().sorted() where !others.contains(name) {
            let path = prefix + name
            if let target = try folder.link(name) {
                try addLink(path, to: target, in: archive)
                continue
            }
            if let inner = try? folder.folder(name) {
                try add(inner, prefix: path + "/", to: archive, bytes: &bytes, limit: limit)
                continue
            }
            guard let file = try? folder.open(file: name), let size = try? file.size() else {
                throw UploadRefused(
                    "\(path) is neither a file, a folder nor a link; devices and sockets are not packed")
            }
            bytes += size
            guard bytes <= limit else { throw UploadRefused("the folder is larger than \(ByteSize(bytes: limit))") }
            var info = stat()
            fstat(file.number, &info)
            let content = file.read(at: 0, count: size)
            try add(path, content, isProgram: info.st_mode & 0o111 != 0, to: archive)
        }
    }

    static func add(_ path: String, _ content: [UInt8], isProgram: Bool = false, to archive: OpaquePointer) throws {
        guard let entry = archive_entry_new() else { throw SystemError("archive_entry_new", ENOMEM) }
        defer { archive_entry_free(entry) }
        archive_entry_set_pathname(entry, path)
        archive_entry_set_size(entry, la_int64_t(content.count))
        archive_entry_set_filetype(entry, 0o100000)  // AE_IFREG
        archive_entry_set_perm(entry, isProgram ? 0o755 : 0o644)
        guard archive_write_header(archive, entry) == ARCHIVE_OK else { throw SystemError("pack \(path)") }
        guard archive_write_data(archive, content, content.count) == content.count else {
            throw SystemError("pack \(path)")
        }
    }

    static func addLink(_ path: String, to target: String, in archive: OpaquePointer) throws {
        guard let entry = archive_entry_new() else { throw SystemError("archive_entry_new", ENOMEM) }
        defer { archive_entry_free(entry) }
        archive_entry_set_pathname(entry, path)
        archive_entry_set_filetype(entry, 0o120000)  // AE_IFLNK
        archive_entry_set_symlink(entry, target)
        guard archive_write_header(archive, entry) == ARCHIVE_OK else { throw SystemError("pack \(path)") }
    }
}
