import CArchive
import FunctionModel
import Glibc
import HostSystem

/// What has no manifest, with one.
extension BundlePacker {
    /// - Throws: `SystemError`.
    package static func pack(files: [(name: String, content: [UInt8])], manifest: String) throws -> [UInt8] {
        try packed { archive in
            try add(Manifest.fileNames[0], Array(manifest.utf8), to: archive)
            for file in files { try add(file.name, file.content, to: archive) }
        }
    }

    /// - Parameters:
    ///   - manifest: as `function.yaml`, in place of the zip's own.
    ///   - limit: bytes the files may have together.
    /// - Throws: `UploadRefused` or `SystemError`.
    package static func pack(zip path: String, manifest: String, limit: Int) throws -> [UInt8] {
        let file = try OwnedDescriptor(returned: open(path, O_RDONLY | O_CLOEXEC), by: "open \(path)")
        return try pack(zip: file, manifest: manifest, limit: limit)
    }

    private static func pack(zip file: borrowing OwnedDescriptor, manifest: String, limit: Int) throws -> [UInt8] {
        guard let zip = archive_read_new() else { throw SystemError("archive_read_new", ENOMEM) }
        defer { archive_read_free(zip) }
        try ZipDirectory.check(file)
        archive_read_support_format_zip(zip)
        guard archive_read_open_fd(zip, file.number, 1 << 16) == ARCHIVE_OK else {
            throw UploadRefused("it is no zip that can be read: \(ArchiveUnpacker.problem(of: zip))")
        }
        return try packed { archive in
            try add(Manifest.fileNames[0], Array(manifest.utf8), to: archive)
            var room = limit
            while let entry = try next(of: zip) { try copy(entry, of: zip, to: archive, room: &room) }
        }
    }

    private static func next(of zip: OpaquePointer) throws -> OpaquePointer? {
        var entry: OpaquePointer?
        let result = archive_read_next_header(zip, &entry)
        if result == ARCHIVE_EOF { return nil }
        guard result == ARCHIVE_OK || result == ARCHIVE_WARN, entry != nil else {
            throw UploadRefused("the zip is broken: \(ArchiveUnpacker.problem(of: zip))")
        }
        return entry
    }

    /// Folders are implied by what is in them.
    private static func copy(
        _ entry: OpaquePointer, of zip: OpaquePointer, to archive: OpaquePointer, room: inout Int
    ) throws {
        let name = try ArchiveUnpacker.name(of: entry, in: zip)
        let mode = archive_entry_mode(entry)
        guard !Manifest.fileNames.contains(name) else { return }
        switch mode & S_IFMT {
        case S_IFLNK: try addLink(name, to: archive_entry_symlink(entry).map { String(cString: $0) } ?? "", in: archive)
        case S_IFREG:
            var content: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let length = archive_read_data(zip, &buffer, buffer.count)
                if length == 0 { break }
                guard length > 0 else {
                    throw UploadRefused("\(name) is broken in the zip: \(ArchiveUnpacker.problem(of: zip))")
                }
                room -= length
                guard room >= 0 else { throw UploadRefused("the zip becomes larger than is taken") }
                content += buffer[..<length]
            }
            try add(name, content, isProgram: mode & 0o111 != 0, to: archive)
        default: break
        }
    }
}
