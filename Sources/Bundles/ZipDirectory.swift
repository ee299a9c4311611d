import FunctionModel
import HostSystem

/// A zip's table of contents, which libarchive reads whole before it tells of the first entry.
enum ZipDirectory {
    private static let longestEnd = 22 + 65_535  // APPNOTE.TXT 4.3.16: the record and its comment
    private static let maxBytes = 16 << 20

    /// - Throws: `UploadRefused` when the table is larger than any archive's that is taken, or needs zip64's numbers.
    static func check(_ file: borrowing OwnedDescriptor) throws {
        let size = try file.size()
        let start = max(0, size - longestEnd)
        let tail = file.read(at: start, count: longestEnd)
        guard tail.count >= 22,
            let at = stride(from: tail.count - 22, through: 0, by: -1).first(where: {
                tail[$0] == 0x50 && tail[$0 + 1] == 0x4B && tail[$0 + 2] == 0x05 && tail[$0 + 3] == 0x06
            })
        else { return }  // none: then it is read from its beginning, entry by entry
        func number(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(tail[at + offset + $1]) << (8 * $1) } }
        let bytes = number(12), offset = number(16)
        guard bytes <= maxBytes, start + at - offset <= maxBytes + bytes else {
            throw UploadRefused(
                "the zip's table of contents is larger than \(ByteSize(bytes: maxBytes)), or of zip64: that is more entries than are taken"
            )
        }
    }
}
