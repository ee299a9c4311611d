/// A seccomp profile as data: see `sandbox/profiles/base.profile` for the notation.
package struct SeccompProfile: Sendable {
    package enum Action: Sendable, Hashable {
        case allow
        /// The call fails with this errno. Unless it is quiet, it is counted.
        case refuse(String, isQuiet: Bool = false)
        /// The call answers 0 and is not made.
        case pretend
        /// The worker ends; its outcome names the call.
        case deny
    }

    package struct Condition: Sendable, Hashable {
        package let argument: Int
        package let mask: UInt32
        package let value: UInt32

        package func matches(_ arguments: [UInt64]) -> Bool {
            UInt32(truncatingIfNeeded: arguments[argument]) & mask == value
        }
    }

    package struct Rule: Sendable, Hashable {
        package let action: Action
        package let syscall: String
        /// All must hold; none: always.
        package let conditions: [Condition]
        package let reason: String
        package let line: Int

        /// What in the manifest would allow the call, when something would.
        package var grant: String? {
            guard reason.hasSuffix("]"), let start = reason.lastIndex(of: "[") else { return nil }
            return String(reason[reason.index(after: start)...].dropLast())
        }
    }

    package struct Flaw: Error, CustomStringConvertible {
        package let description: String
    }

    package let rules: [Rule]

    /// The rule that decides this call; nil: none names it, and it is refused with ENOSYS.
    package func rule(for syscall: String, _ arguments: [UInt64]) -> Rule? {
        rules.first { rule in rule.syscall == syscall && rule.conditions.allSatisfy { $0.matches(arguments) } }
    }

    /// Whether a call that `rule` of another profile allows is allowed here too: by name alone, or with the same conditions.
    package func keeps(_ rule: Rule) -> Bool {
        rules.contains { own in
            own.action == .allow && own.syscall == rule.syscall
                && (own.conditions.isEmpty || own.conditions == rule.conditions)
        }
    }

    /// Which of the lines hold that begin with a tag.
    package struct Traits: Sendable, Hashable {
        /// `@one` lines; else the `@many` ones.
        package var singleProcess: Bool
        /// `@loopback` lines; else the `@sealed` ones.
        package var hasLoopback: Bool

        package init(singleProcess: Bool, hasLoopback: Bool = false) {
            self.singleProcess = singleProcess
            self.hasLoopback = hasLoopback
        }

        /// Nil for what is no tag.
        fileprivate func holds(_ tag: Substring) -> Bool? {
            switch tag {
            case "@one": singleProcess
            case "@many": !singleProcess
            case "@loopback": hasLoopback
            case "@sealed": !hasLoopback
            default: nil
            }
        }
    }

    /// - Throws: `Flaw`, naming the line.
    package init(text: String, _ traits: Traits) throws(Flaw) {
        var rules: [Rule] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            rules += try Self.parse(line, number: index + 1, traits)
        }
        self.rules = rules
    }

    private static func parse(
        _ line: Substring, number: Int, _ traits: Traits
    ) throws(Flaw) -> [Rule] {
        let halves = line.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        var words = halves[0].split(separator: " ")
        guard !words.isEmpty else { return [] }
        func flaw(_ what: String) -> Flaw { Flaw(description: "seccomp profile line \(number): \(what)") }
        guard halves.count == 2, let reason = halves.last?.drop(while: { $0 == " " }), !reason.isEmpty else {
            throw flaw("a rule needs a reason behind #")
        }
        while let first = words.first, let holds = traits.holds(first) {
            guard holds else { return [] }
            words.removeFirst()
        }
        guard !words.isEmpty else { throw flaw("nothing follows the tag") }
        let action: Action
        switch words.removeFirst() {
        case "allow": action = .allow
        case "pretend": action = .pretend
        case "deny": action = .deny
        case let word where word == "refuse" || word == "quiet":
            guard !words.isEmpty else { throw flaw("\(word) needs an errno") }
            action = .refuse(String(words.removeFirst()), isQuiet: word == "quiet")
        case let other: throw flaw("unknown action \"\(other)\"")
        }
        let names = words.prefix { $0 != "if" }
        let tail = Array(words.dropFirst(names.count + 1))
        guard !names.isEmpty else { throw flaw("no system call named") }
        var conditions: [[Condition]] = [[]]
        if words.contains("if") {
            for part in tail.split(separator: "and", omittingEmptySubsequences: false) {
                guard let parsed = condition(Array(part)) else {
                    throw flaw("\"\(tail.joined(separator: " "))\" is no condition")
                }
                conditions = conditions.flatMap { before in parsed.map { before + [$0] } }
            }
        }
        return names.flatMap { name in
            conditions.map {
                Rule(action: action, syscall: String(name), conditions: $0, reason: String(reason), line: number)
            }
        }
    }

    /// One notation, several exact conditions that never overlap.
    private static func condition(_ words: [Substring]) -> [Condition]? {
        guard words.count >= 3, words[0].hasPrefix("arg"), let argument = Int(words[0].dropFirst(3)),
            (0..<6).contains(argument)
        else { return nil }
        switch words[1] {
        case "is":
            let values = words[2...].compactMap(number)
            guard values.count == words.count - 2, Set(values).count == values.count else { return nil }
            return values.map { Condition(argument: argument, mask: .max, value: $0) }
        case "&":
            guard words.count == 5, words[3] == "==", let mask = number(words[2]), let value = number(words[4]),
                value & ~mask == 0
            else { return nil }
            return [Condition(argument: argument, mask: mask, value: value)]
        case "any":
            guard words.count == 3, let bits = number(words[2]), bits != 0 else { return nil }
            // "This bit and none of the lower ones": each call matches exactly one of them.
            var lower: UInt32 = 0
            return (0..<32).map { UInt32(1) << $0 }.filter { bits & $0 != 0 }.map { bit in
                defer { lower |= bit }
                return Condition(argument: argument, mask: lower | bit, value: bit)
            }
        default: return nil
        }
    }

    private static func number(_ word: Substring) -> UInt32? {
        word.hasPrefix("0x") ? UInt32(word.dropFirst(2), radix: 16) : UInt32(word)
    }
}
