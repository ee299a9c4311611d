/// Runs a classic BPF program over a seccomp_data, as the kernel does: what libseccomp emits is tested, not trusted.
struct BPFMachine {
    private struct Instruction {
        let code: UInt16
        let whenTrue: Int
        let whenFalse: Int
        let constant: UInt32
    }

    private let program: [Instruction]

    init(_ bytes: [UInt8]) {
        program = stride(from: 0, to: bytes.count, by: 8).map { at in
            Instruction(
                code: UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8, whenTrue: Int(bytes[at + 2]),
                whenFalse: Int(bytes[at + 3]),
                constant: (0..<4).reduce(0) { $0 | UInt32(bytes[at + 4 + $1]) << (8 * $1) })
        }
    }

    var count: Int { program.count }

    /// The filter's return value for one system call. Nil when the program leaves its bounds or uses what the kernel
    /// would refuse.
    func run(number: UInt32, architecture: UInt32, arguments: [UInt64]) -> UInt32? {
        var words = [number, architecture, 0, 0]
        for argument in arguments { words += [UInt32(truncatingIfNeeded: argument), UInt32(argument >> 32)] }
        var accumulator: UInt32 = 0
        var at = 0
        while program.indices.contains(at) {
            let instruction = program[at]
            at += 1
            switch instruction.code {
            case 0x20: accumulator = words[Int(instruction.constant / 4)]  // ld [k]
            case 0x54: accumulator &= instruction.constant  // and #k
            case 0x05: at += Int(instruction.constant)  // ja
            case 0x15: at += accumulator == instruction.constant ? instruction.whenTrue : instruction.whenFalse
            case 0x25: at += accumulator > instruction.constant ? instruction.whenTrue : instruction.whenFalse
            case 0x35: at += accumulator >= instruction.constant ? instruction.whenTrue : instruction.whenFalse
            case 0x45: at += accumulator & instruction.constant != 0 ? instruction.whenTrue : instruction.whenFalse
            case 0x06: return instruction.constant
            default: return nil
            }
        }
        return nil
    }
}
