/// What an uploaded file is, found out by reading its header, without trusting a byte of it.
package enum Executable: Sendable, Hashable, Codable {
    /// An ELF that needs nothing but itself.
    case staticELF
    /// An ELF with a loader, such as `/lib64/ld-linux-x86-64.so.2`.
    case dynamicELF(loader: String)
    /// A `#!` script, with its interpreter and the one argument the kernel would pass.
    case script(interpreter: String, argument: String?)

    package struct Refusal: Error, Sendable, Hashable, CustomStringConvertible {
        package let description: String
    }

    #if arch(x86_64)
        private static let machine: UInt16 = 62  // EM_X86_64, elf(5)
        private static let machineName = "x86-64"
    #elseif arch(arm64)
        private static let machine: UInt16 = 183  // EM_AARCH64
        private static let machineName = "aarch64"
    #endif

    /// Reads up to `count` bytes at `offset`; fewer at the end of the file.
    package typealias Reader = (_ offset: Int, _ count: Int) -> [UInt8]

    /// - Parameter size: the file's size in bytes.
    /// - Throws: `Refusal`, saying what the file is not.
    package static func inspect(size: Int, read: Reader) throws(Refusal) -> Executable {
        let head = read(0, 4096)
        if head.isEmpty { throw Refusal(description: "the file is empty") }
        if head.starts(with: [0x7F, UInt8(ascii: "E"), UInt8(ascii: "L"), UInt8(ascii: "F")]) {
            return try inspectELF(head: head, size: size, read: read)
        }
        if head.starts(with: "#!".utf8) { return try inspectScript(head) }
        throw Refusal(
            description: "the file is neither an ELF executable nor a script that begins with #!"
                + " (for an archive, send Content-Type: application/zip or application/gzip)")
    }

    // MARK: - ELF, as elf(5) lays it out

    private static func inspectELF(head: [UInt8], size: Int, read: Reader) throws(Refusal) -> Executable {
        func refuse(_ why: String) -> Refusal { Refusal(description: "the ELF file \(why)") }
        guard head.count >= 64 else { throw refuse("is truncated: its header is incomplete") }
        guard head[4] == 2, head[5] == 1 else { throw refuse("is not 64-bit little-endian, as this host is") }
        let found = head.integer(UInt16.self, at: 18)
        guard found == machine else {
            throw refuse(
                "is for another machine (e_machine \(found)); this host is \(machineName) (e_machine \(machine))")
        }
        let type = head.integer(UInt16.self, at: 16)
        guard type == 2 || type == 3 else { throw refuse("is not an executable (e_type \(type)); link it into one") }
        let tableOffset = head.integer(UInt64.self, at: 32)
        let entrySize = Int(head.integer(UInt16.self, at: 54)), count = Int(head.integer(UInt16.self, at: 56))
        guard entrySize == 56, (1...128).contains(count) else { throw refuse("has no sound program header table") }
        guard tableOffset <= UInt64(size), UInt64(size) - tableOffset >= UInt64(56 * count) else {
            throw refuse("is truncated: its program headers lie behind its end")
        }
        let table = read(Int(tableOffset), 56 * count)
        guard table.count == 56 * count else { throw refuse("is truncated: its program headers cannot be read") }

        var loader: String?
        var loads = 0
        for index in 0..<count {
            let at = index * 56
            let kind = table.integer(UInt32.self, at: at)
            let offset = table.integer(UInt64.self, at: at + 8), length = table.integer(UInt64.self, at: at + 32)
            guard kind == 1 || kind == 3 else { continue }  // PT_LOAD, PT_INTERP
            guard offset <= UInt64(size), length <= UInt64(size) - offset else {
                throw refuse("is truncated: a segment lies behind its end (\(offset) + \(length) of \(size) bytes)")
            }
            if kind == 1 {
                loads += 1
            } else {
                guard loader == nil else { throw refuse("names more than one interpreter") }
                guard (2...4096).contains(length) else { throw refuse("has an interpreter name of \(length) bytes") }
                loader = plainPath(read(Int(offset), Int(length)).dropLast(while: 0))
                guard loader != nil else { throw refuse("names an interpreter that is no absolute path") }
            }
        }
        guard loads > 0 else { throw refuse("has nothing to load (no PT_LOAD segment)") }
        return loader.map { .dynamicELF(loader: $0) } ?? .staticELF
    }

    // MARK: - Scripts, as execve(2) reads them

    private static func inspectScript(_ head: [UInt8]) throws(Refusal) -> Executable {
        // The kernel looks at 256 bytes (BINPRM_BUF_SIZE).
        guard let end = head.prefix(256).firstIndex(of: UInt8(ascii: "\n")) else {
            throw Refusal(description: "the script's #! line is longer than 255 bytes or has no end")
        }
        let line = head[2..<end]
        guard !line.contains(UInt8(ascii: "\r")) else {
            throw Refusal(description: "the script's #! line ends in CR LF; save it with Unix line ends")
        }
        guard let text = String(validating: line, as: UTF8.self), !text.utf8.contains(0) else {
            throw Refusal(description: "the script's #! line is not text")
        }
        let words = line.drop(while: isBlank).split(maxSplits: 1, whereSeparator: isBlank)
        guard let first = words.first, let interpreter = plainPath(Array(first)) else {
            throw Refusal(description: "the script's #! line names no interpreter by its absolute path: \"\(text)\"")
        }
        var rest = words.count > 1 ? words[1].drop(while: isBlank) : []
        while rest.last.map(isBlank) == true { rest.removeLast() }
        return .script(
            interpreter: interpreter, argument: rest.isEmpty ? nil : String(decoding: rest, as: UTF8.self))
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    /// The bytes as an absolute path without `.`, `..` or empty components, or nil.
    private static func plainPath(_ bytes: [UInt8]) -> String? {
        guard bytes.first == UInt8(ascii: "/"), bytes.count <= 255,
            let rest = String(validating: bytes.dropFirst(), as: UTF8.self), BundlePath(rest)?.text == rest
        else { return nil }
        return "/" + rest
    }
}

extension [UInt8] {
    /// A little-endian integer; the caller has checked the bounds.
    fileprivate func integer<Number: FixedWidthInteger>(_: Number.Type, at offset: Int) -> Number {
        (0..<(Number.bitWidth / 8)).reduce(0) { $0 | Number(self[offset + $1]) << Number($1 * 8) }
    }

    fileprivate func dropLast(while byte: UInt8) -> [UInt8] {
        var bytes = self
        while bytes.last == byte { bytes.removeLast() }
        return bytes
    }
}
