import FunctionModel
import Testing

@Suite struct ExecutableTests {
    private func inspect(_ bytes: [UInt8]) throws -> Executable {
        try Executable.inspect(size: bytes.count) { offset, count in
            offset < bytes.count ? Array(bytes[offset..<min(offset + count, bytes.count)]) : []
        }
    }

    /// A smallest ELF: header, one PT_LOAD, and perhaps a PT_INTERP whose text stands behind the headers.
    private func elf(machine: UInt8 = 62, interpreter: [UInt8]? = nil, loadSize: UInt8 = 16) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 64 + 2 * 56)
        bytes.replaceSubrange(0..<6, with: [0x7F, 0x45, 0x4C, 0x46, 2, 1])
        bytes[16] = 2
        bytes[18] = machine
        bytes[32] = 64
        bytes[54] = 56
        bytes[56] = interpreter == nil ? 1 : 2
        bytes[64] = 1
        bytes[64 + 32] = loadSize
        if let interpreter {
            bytes[64 + 56] = 3
            bytes[64 + 56 + 8] = UInt8(bytes.count)
            bytes[64 + 56 + 32] = UInt8(interpreter.count)
            bytes += interpreter
        }
        return bytes
    }

    @Test func tellsKinds() throws {
        #expect(try inspect(elf()) == .staticELF)
        #expect(try inspect(elf(interpreter: Array("/lib64/ld.so\0".utf8))) == .dynamicELF(loader: "/lib64/ld.so"))
        #expect(try inspect(Array("#!/bin/sh\necho".utf8)) == .script(interpreter: "/bin/sh", argument: nil))
        #expect(
            try inspect(Array("#! /usr/bin/env  python3 -u \n".utf8))
                == .script(interpreter: "/usr/bin/env", argument: "python3 -u"))
        #expect(
            try inspect(Array("#!/\u{6D6}.n/sh\n".utf8)) == .script(interpreter: "/\u{6D6}.n/sh", argument: nil))
    }

    @Test func refusesHostileELF() {
        var bodies = [elf(machine: 3), elf(loadSize: 255), elf(interpreter: Array("ld.so\0".utf8))]
        bodies.append(elf(interpreter: Array("/../../ld.so\0".utf8)))
        bodies.append(elf(interpreter: [0x2F, 0xFF, 0]))
        bodies.append(Array(elf().prefix(63)))
        bodies.append(Array(elf().prefix(100)))
        var headers = elf()
        headers.replaceSubrange(32..<40, with: [UInt8](repeating: 0xFF, count: 8))
        bodies.append(headers)
        for body in bodies { #expect(throws: Executable.Refusal.self) { try inspect(body) } }
    }

    @Test(arguments: [
        "", "hello", "#!", "#!\n", "#!sh\n", "#!/bin/sh", "#!/bin/sh\r\n", "#!/../bin/sh\n", "#!/a/../\u{301}b\n",
        "#!/a\0b\n",
    ])
    func refusesWhatCannotRun(_ text: String) {
        #expect(throws: Executable.Refusal.self) { try inspect(Array(text.utf8)) }
    }

    /// Every truncation and every single wrong byte of a header is refused or understood, never a crash.
    @Test func survivesAnyHeader() {
        let sound = elf(interpreter: Array("/lib64/ld.so\0".utf8))
        for length in 0...sound.count { _ = try? inspect(Array(sound.prefix(length))) }
        for index in sound.indices {
            for value in [0, 1, 0x7F, 0x80, 0xFF] as [UInt8] {
                var changed = sound
                changed[index] = value
                _ = try? inspect(changed)
            }
        }
    }
}
