/// A classic BPF program as seccomp(2) takes it, and a shorter one that answers the same.
///
/// libseccomp compares with one call number after the other. The kernel checks and compiles all of that anew for each process
/// (0.12 µs an instruction), and walks through it once for every call number there is (`seccomp_cache_prepare`): of a worker
/// that lives for a millisecond that was a tenth. Here numbers that are answered alike become ranges, searched as a tree.
struct FilterProgram {
    struct Instruction: Hashable {
        /// `BPF_*` of linux/bpf_common.h.
        var code: UInt16
        /// Instructions to leave out, when a comparison holds and when not.
        var whenTrue: UInt8 = 0, whenFalse: UInt8 = 0
        var constant: UInt32

        static func jump(over count: Int) -> Instruction { .init(code: 0x05, constant: UInt32(count)) }
        static func answer(_ action: UInt32) -> Instruction { .init(code: 0x06, constant: action) }

        // Those that libseccomp makes.
        var isLoad: Bool { code == 0x20 }
        var isMask: Bool { code == 0x54 }
        var isJump: Bool { code == 0x05 }
        var isAnswer: Bool { code == 0x06 }
        /// Whether it holds for `value`; nil: it is no comparison that splits numbers into ranges.
        func compares(_ value: UInt32) -> Bool? {
            switch code {
            case 0x15: value == constant
            case 0x25: value > constant
            case 0x35: value >= constant
            default: nil
            }
        }
    }

    let instructions: [Instruction]

    /// - Parameter bytes: an array of `struct sock_filter`, little-endian.
    init(_ bytes: [UInt8]) {
        instructions = stride(from: 0, to: bytes.count - 7, by: 8).map { at in
            Instruction(
                code: UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8, whenTrue: bytes[at + 2],
                whenFalse: bytes[at + 3],
                constant: (0..<4).reduce(0) { $0 | UInt32(bytes[at + 4 + $1]) << (8 * $1) })
        }
    }

    init(_ instructions: [Instruction]) { self.instructions = instructions }

    var bytes: [UInt8] {
        instructions.flatMap { instruction in
            [UInt8(truncatingIfNeeded: instruction.code), UInt8(instruction.code >> 8)]
                + [instruction.whenTrue, instruction.whenFalse]
                + (0..<4).map { UInt8(truncatingIfNeeded: instruction.constant >> (8 * $0)) }
        }
    }

    /// The shorter one; this one where something in it is not understood.
    func shortened() -> FilterProgram {
        var reader = FilterReader(instructions)
        guard let start = reader.start() else { return self }
        var writer = FilterWriter()
        guard writer.place(start, &reader) != nil else { return self }
        let shorter = Array(writer.backwards.reversed())
        return shorter.count < instructions.count ? FilterProgram(shorter) : self
    }
}

/// Where a program leads from some point, up to where it looks at something new.
enum FilterWay: Hashable {
    case answer(UInt32)
    /// The instruction there loads or masks.
    case look(at: Int)
}

/// Values from `start` up to the next range's, and where they lead.
struct FilterRange: Hashable {
    let start: UInt32
    let way: FilterWay
}

/// Finds out which values lead where.
struct FilterReader {
    let instructions: [FilterProgram.Instruction]
    private var known: [Int: [FilterRange]] = [:]

    init(_ instructions: [FilterProgram.Instruction]) { self.instructions = instructions }

    /// Where the program begins to look. Nil: something is not understood.
    mutating func start() -> FilterWay? { way(from: 0, with: 0, loaded: nil) }

    /// What the load or mask at `index` leads to, for all values that there are.
    mutating func ranges(at index: Int) -> [FilterRange]? {
        if let ranges = known[index] { return ranges }
        let instruction = instructions[index]
        let loaded = instruction.isLoad ? instruction.constant : nil
        var ranges: [FilterRange] = []
        // Nothing is left of a value of which no bit is looked at.
        let isNothing = instruction.isMask && instruction.constant == 0
        guard let starts = isNothing ? [0] : turningPoints(after: index, loaded) else { return nil }
        for start in starts {
            guard let way = way(from: index + 1, with: start, loaded: loaded) else { return nil }
            if ranges.last?.way != way { ranges.append(FilterRange(start: start, way: way)) }
        }
        known[index] = ranges
        return ranges
    }

    /// Follows comparisons of `value`, the word at offset `loaded`.
    private mutating func way(from index: Int, with value: UInt32, loaded: UInt32?) -> FilterWay? {
        var at = index
        while instructions.indices.contains(at) {
            let instruction = instructions[at]
            if instruction.isAnswer { return .answer(instruction.constant) }
            if instruction.isLoad || instruction.isMask {
                guard let settled = settle(at) else { return nil }
                guard let next = afterSame(settled, loaded) else { return settled }
                at = next
            } else if instruction.isJump {
                at += 1 + Int(instruction.constant)
            } else {
                guard let holds = instruction.compares(value) else { return nil }
                at += 1 + Int(holds ? instruction.whenTrue : instruction.whenFalse)
            }
        }
        return nil
    }

    /// Passes over looks that change nothing: whatever is seen there, it leads to one place, and nobody there sees it.
    private mutating func settle(_ index: Int) -> FilterWay? {
        guard let ranges = ranges(at: index) else { return nil }
        guard ranges.count == 1 else { return .look(at: index) }
        if case .look(let next) = ranges[0].way, instructions[next].isMask { return .look(at: index) }
        return ranges[0].way
    }

    /// Behind a load of what is loaded already.
    private func afterSame(_ way: FilterWay, _ loaded: UInt32?) -> Int? {
        guard case .look(let at) = way, let loaded, instructions[at].isLoad, instructions[at].constant == loaded else {
            return nil
        }
        return at + 1
    }

    /// Values at which the way can change, in order.
    private mutating func turningPoints(after index: Int, _ loaded: UInt32?) -> [UInt32]? {
        var points: Set<UInt32> = [0]
        var seen: Set<Int> = []
        var open = [index + 1]
        while let at = open.popLast() {
            guard instructions.indices.contains(at), seen.insert(at).inserted else { continue }
            let instruction = instructions[at]
            if instruction.isAnswer { continue }
            if instruction.isLoad || instruction.isMask {
                guard let settled = settle(at) else { return nil }
                if let next = afterSame(settled, loaded) { open.append(next) }
            } else if instruction.isJump {
                open.append(at + 1 + Int(instruction.constant))
            } else {
                guard instruction.compares(0) != nil else { return nil }
                points.insert(instruction.constant)
                if instruction.constant < .max { points.insert(instruction.constant + 1) }
                open += [at + 1 + Int(instruction.whenTrue), at + 1 + Int(instruction.whenFalse)]
            }
        }
        return points.sorted()
    }
}

/// Writes a program from its end: jumps lead forwards only, so what they lead to is there already.
struct FilterWriter {
    private enum Part: Hashable {
        case way(FilterWay)
        case search([FilterRange])
    }

    private(set) var backwards: [FilterProgram.Instruction] = []
    private var placed: [Part: Int] = [:]
    private var lengths: [[FilterRange]: Int] = [:]

    init() {}

    /// - Returns: its place, counted from the end; nil when something is not understood.
    mutating func place(_ way: FilterWay, _ reader: inout FilterReader) -> Int? {
        if let place = placed[.way(way)] { return place }
        let place: Int
        switch way {
        case .answer(let action): place = append(.answer(action))
        case .look(let index):
            guard let ranges = reader.ranges(at: index), let next = search(ranges, &reader) else { return nil }
            if next != backwards.count - 1 { _ = append(.jump(over: backwards.count - 1 - next)) }
            place = append(reader.instructions[index])
        }
        placed[.way(way)] = place
        return place
    }

    private mutating func search(_ ranges: [FilterRange], _ reader: inout FilterReader) -> Int? {
        if ranges.count == 1 { return place(ranges[0].way, &reader) }
        if let place = placed[.search(ranges)] { return place }
        let place: Int?
        if let single = Self.single(ranges) {
            place = branch(0x15, single.start, [single], [ranges[0]], &reader)
        } else {
            let (lower, upper) = split(ranges)
            place = branch(0x35, upper[0].start, upper, lower, &reader)
        }
        placed[.search(ranges)] = place
        return place
    }

    private mutating func branch(
        _ code: UInt16, _ constant: UInt32, _ whenTrue: [FilterRange], _ whenFalse: [FilterRange],
        _ reader: inout FilterReader
    ) -> Int? {
        guard search(whenFalse, &reader) != nil, search(whenTrue, &reader) != nil,
            let holds = near(whenTrue, &reader), let not = near(whenFalse, &reader)
        else { return nil }
        let distances = (backwards.count - holds - 1, backwards.count - not - 1)
        return append(
            .init(code: code, whenTrue: UInt8(distances.0), whenFalse: UInt8(distances.1), constant: constant))
    }

    /// The place of what is written already, or of a jump to it: a comparison reaches 255 instructions far, and the jump for its
    /// other way may come in between.
    private mutating func near(_ ranges: [FilterRange], _ reader: inout FilterReader) -> Int? {
        guard let place = search(ranges, &reader) else { return nil }
        let distance = backwards.count - place - 1
        if distance < 254 { return place }
        guard backwards[place].isAnswer else { return append(.jump(over: distance)) }
        // Who comes next finds this one nearer.
        let copy = append(backwards[place])
        placed[.way(.answer(backwards[place].constant))] = copy
        return copy
    }

    private mutating func append(_ instruction: FilterProgram.Instruction) -> Int {
        backwards.append(instruction)
        return backwards.count - 1
    }

    // MARK: - The tree

    /// The one value among others that all lead to one place.
    private static func single(_ ranges: [FilterRange]) -> FilterRange? {
        guard ranges.count == 3, ranges[0].way == ranges[2].way, ranges[2].start == ranges[1].start + 1 else {
            return nil
        }
        return ranges[1]
    }

    /// In two near the middle: between two ranges, or within one, which can save a comparison on either side.
    private mutating func split(_ ranges: [FilterRange]) -> (lower: [FilterRange], upper: [FilterRange]) {
        var best: (lower: [FilterRange], upper: [FilterRange], length: Int)?
        let middle = ranges.count / 2
        for at in max(1, middle - 1)...min(ranges.count - 1, middle + 1) {
            var choices = [(Array(ranges[..<at]), Array(ranges[at...]))]
            let isWide = at + 1 < ranges.count && ranges[at + 1].start - ranges[at].start > 1
            if at > 1, isWide {
                let rest = FilterRange(start: ranges[at].start + 1, way: ranges[at].way)
                choices.append((Array(ranges[...at]), [rest] + ranges[(at + 1)...]))
            }
            for (lower, upper) in choices {
                let length = length(lower) + length(upper)
                if length < best?.length ?? .max { best = (lower, upper, length) }
            }
        }
        return best.map { ($0.lower, $0.upper) } ?? ([ranges[0]], Array(ranges[1...]))
    }

    /// How many comparisons a search takes altogether.
    private mutating func length(_ ranges: [FilterRange]) -> Int {
        if ranges.count < 3 { return ranges.count - 1 }
        if Self.single(ranges) != nil { return 1 }
        if let known = lengths[ranges] { return known }
        let (lower, upper) = split(ranges)
        let length = 1 + length(lower) + length(upper)
        lengths[ranges] = length
        return length
    }
}
