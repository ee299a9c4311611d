import SandboxProfiles
import Testing

@testable import Sandbox

@Suite struct FilterProgramTests {
    private typealias Instruction = FilterProgram.Instruction

    /// What is measured as worth it: libseccomp makes some 700 instructions of the base profile.
    @Test(arguments: [true, false], [false, true])
    func theBaseProfileBecomesShort(single: Bool, loopback: Bool) throws {
        let traits = SeccompProfile.Traits(singleProcess: single, hasLoopback: loopback)
        let profile = try SeccompProfile(text: SandboxProfiles.base, traits)
        let count = BPFMachine(try SeccompFilter(profile).program).count
        #expect(count < (loopback ? 450 : 345), "\(count)")
    }

    /// Random programs, as hostile to the search as they get: the shorter one answers the same, wherever an answer can change.
    @Test(arguments: 0..<300) func theShorterAnswersTheSame(seed: UInt64) throws {
        var random = Splitmix(state: seed)
        let program = randomProgram(&random)
        let short = program.shortened()
        #expect(short.instructions.count <= program.instructions.count)
        let long = BPFMachine(program.bytes), other = BPFMachine(short.bytes)
        let constants = program.instructions.filter { !$0.isLoad && !$0.isAnswer && !$0.isJump }.map(\.constant)
        let edges = [0, .max] + constants.flatMap { [$0 &- 1, $0, $0 &+ 1] }
        for _ in 0..<400 {
            func word() -> UInt32 {
                random.next() % 4 == 0
                    ? UInt32(truncatingIfNeeded: random.next()) : edges[Int(random.next() % UInt64(edges.count))]
            }
            let arguments = (0..<6).map { _ in UInt64(word()) << 32 | UInt64(word()) }
            let number = word(), architecture = word()
            let expected = long.run(number: number, architecture: architecture, arguments: arguments)
            #expect(expected != nil)
            #expect(other.run(number: number, architecture: architecture, arguments: arguments) == expected)
        }
    }

    @Test func understandsWhatItSaves() throws {
        // ld nr; jeq 1..40 -> allow; else kill: two comparisons are enough.
        var instructions = [Instruction(code: 0x20, constant: 0)]
        for number in 1...40 {
            instructions.append(.init(code: 0x15, whenTrue: UInt8(41 - number), whenFalse: 0, constant: UInt32(number)))
        }
        instructions += [.answer(0), .answer(1)]
        #expect(FilterProgram(instructions).shortened().instructions.count == 5)
        // A bit test splits no range: left as it is.
        instructions[7].code = 0x45
        #expect(FilterProgram(instructions).shortened().instructions == instructions)
        // So is a program that runs past its end.
        instructions[7] = .jump(over: 1000)
        #expect(FilterProgram(instructions).shortened().instructions == instructions)
    }

    /// Some hundred instructions, far jumps among them.
    private func randomProgram(_ random: inout Splitmix) -> FilterProgram {
        let count = 20 + Int(random.next() % 600)
        var instructions = [Instruction(code: 0x20, constant: 0)]
        let numbers = (0..<24).map { _ in UInt32(truncatingIfNeeded: random.next() % 300) } + [0, .max]
        while instructions.count < count - 8 {
            let left = UInt64(count - instructions.count - 2)
            let constant = numbers[Int(random.next() % UInt64(numbers.count))]
            switch random.next() % 12 {
            case 0: instructions.append(.init(code: 0x20, constant: UInt32(random.next() % 16) * 4))
            case 1: instructions.append(.init(code: 0x54, constant: [0, .max, 0xFF, constant][Int(random.next() % 4)]))
            case 2: instructions.append(.jump(over: Int(random.next() % min(left, 40))))
            case 3: instructions.append(.answer(UInt32(random.next() % 4)))
            default:
                instructions.append(
                    .init(
                        code: [0x15, 0x15, 0x25, 0x35][Int(random.next() % 4)],
                        whenTrue: UInt8(random.next() % min(left, 255)),
                        whenFalse: UInt8(random.next() % min(left, 8)), constant: constant))
            }
        }
        while instructions.count < count { instructions.append(.answer(UInt32(random.next() % 4))) }
        return FilterProgram(instructions)
    }
}

private struct Splitmix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
