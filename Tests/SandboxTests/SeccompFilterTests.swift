import CSeccomp
import Glibc
import Sandbox
import SandboxProfiles
import Testing

@Suite struct SeccompFilterTests {
    private static let x86: UInt32 = 0xC000_003E
    private static let allow: UInt32 = 0x7FFF_0000
    private static let notify: UInt32 = 0x7FC0_0000
    private static func fail(_ number: Int32) -> UInt32 { 0x0005_0000 | UInt32(number) }
    /// BH_REFUSE_COUNTED: init answers.
    private static func counted(_ number: Int32) -> UInt32 { 0x0005_0800 | UInt32(number) }

    private func profile(_ single: Bool, loopback: Bool = false) throws -> SeccompProfile {
        try SeccompProfile(text: SandboxProfiles.base, .init(singleProcess: single, hasLoopback: loopback))
    }

    private func value(of action: SeccompProfile.Action) -> UInt32 {
        switch action {
        case .allow: return Self.allow
        case .pretend: return Self.fail(0)
        case .deny: return Self.notify
        case .refuse(let name, let isQuiet):
            let numbers = [
                "EPERM": EPERM, "ENOSYS": ENOSYS, "EAGAIN": EAGAIN, "ENOLCK": ENOLCK, "EOPNOTSUPP": EOPNOTSUPP,
                "EAFNOSUPPORT": EAFNOSUPPORT, "EINVAL": EINVAL, "ENOMEM": ENOMEM, "EACCES": EACCES,
                "EPROTONOSUPPORT": EPROTONOSUPPORT,
            ]
            // An errno that stands not here is none: the comparison shows it.
            return isQuiet ? Self.fail(numbers[name] ?? 999) : Self.counted(numbers[name] ?? 999)
        }
    }

    /// Every number from 0 to 1,000, with arguments that meet each rule and near misses of it: the emitted program says
    /// what the profile says. (libseccomp 2.5.4 has an argument-rule bug, GHSA-4q85.)
    @Test(arguments: [true, false], [false, true])
    func programSaysWhatTheProfileSays(single: Bool, loopback: Bool) throws {
        let profile = try profile(single, loopback: loopback)
        let machine = BPFMachine(try SeccompFilter(profile).program)
        #expect(machine.count <= 4096)
        let rules = Dictionary(grouping: profile.rules) { seccomp_syscall_resolve_name($0.syscall) }
        for number in Int32(0)...1000 {
            let own = rules[number] ?? []
            for arguments in probes(own) {
                let matching = own.filter { $0.conditions.allSatisfy { $0.matches(arguments) } }
                #expect(matching.count <= 1, "\(number): rules overlap for \(arguments)")
                let expected = matching.first.map { value(of: $0.action) } ?? Self.counted(ENOSYS)
                let actual = machine.run(number: UInt32(number), architecture: Self.x86, arguments: arguments)
                #expect(actual == expected, "call \(number) with \(arguments.map { String($0, radix: 16) })")
            }
        }
    }

    /// What the lock takes is let through until then, by init; what it leaves, and what was never allowed, stays as it was.
    @Test(arguments: [true, false], [false, true])
    func lockedProgramSaysWhatTheProfilesSay(single: Bool, loopback: Bool) throws {
        let profile = try profile(single, loopback: loopback), locked = try SeccompProfile.locked()
        let machine = BPFMachine(try SeccompFilter(profile, for: .lockedWorker).program)
        #expect(machine.count <= 4096 - 11, "room for the launcher's greeting")
        let untilLocked: UInt32 = 0x0005_0400
        for (name, rules) in Dictionary(grouping: profile.rules, by: \.syscall) {
            let number = UInt32(bitPattern: seccomp_syscall_resolve_name(name))
            for arguments in probes(rules) {
                let rule = rules.first { $0.conditions.allSatisfy { $0.matches(arguments) } }
                let isLost = rule.map { $0.action == .allow && !locked.keeps($0) } == true
                let expected = isLost ? untilLocked : rule.map { value(of: $0.action) } ?? Self.counted(ENOSYS)
                #expect(
                    machine.run(number: number, architecture: Self.x86, arguments: arguments) == expected, "\(name)")
            }
        }
        // It names nothing that the base profile does not.
        let base = Set(profile.rules.filter { $0.action == .allow }.map(\.syscall))
        #expect(locked.rules.allSatisfy { $0.action == .allow && base.contains($0.syscall) })
        for name in [
            "open", "openat", "execve", "execveat", "fork", "clone", "kill", "tgkill", "socketpair", "recvmsg",
        ] {
            #expect(!locked.rules.contains { $0.syscall == name }, "\(name)")
        }
    }

    /// Arguments worth trying: each rule's own value, every single bit beside it, and garbage in the upper half.
    private func probes(_ rules: [SeccompProfile.Rule]) -> [[UInt64]] {
        var probes: [[UInt64]] = [
            Array(repeating: 0, count: 6), Array(repeating: .max, count: 6), Array(repeating: 0xFFFF_FFFF, count: 6),
        ]
        for rule in rules {
            for condition in rule.conditions {
                for bit in 0..<32 {
                    for upper in [0, 0xABCD_EF01_0000_0000] as [UInt64] {
                        var arguments = [UInt64](repeating: 0x1111_1111_1111_1111, count: 6)
                        for other in rule.conditions { arguments[other.argument] = UInt64(other.value) | upper }
                        probes.append(arguments)
                        arguments[condition.argument] ^= 1 << bit
                        probes.append(arguments)
                    }
                }
            }
        }
        return probes
    }

    /// What is there with a network of the cell's own is nowhere else: no family, no server, no client.
    @Test func socketsAreOfAnOwnNetwork() throws {
        let sealed = BPFMachine(try SeccompFilter(profile(false)).program)
        let connected = BPFMachine(try SeccompFilter(profile(false, loopback: true)).program)
        func verdict(_ loopback: Bool, _ name: String, _ arguments: UInt64...) -> UInt32? {
            let machine = loopback ? connected : sealed
            let number = UInt32(bitPattern: seccomp_syscall_resolve_name(name))
            return machine.run(
                number: number, architecture: Self.x86,
                arguments: arguments + Array(repeating: 0, count: 6 - arguments.count))
        }
        for name in ["bind", "listen", "accept", "accept4", "connect"] {
            #expect(verdict(true, name) == Self.allow && verdict(false, name) == Self.counted(ENOSYS), "\(name)")
        }
        for family in UInt64(0)...50 {
            let isInternet = family == 2 || family == 10
            #expect(verdict(false, "socket", family, 1) == Self.counted(EAFNOSUPPORT), "family \(family)")
            #expect((verdict(true, "socket", family, 1) == Self.allow) == isInternet, "family \(family)")
            for type in UInt64(2)...15 {
                #expect(verdict(true, "socket", family, type) != Self.allow, "family \(family), type \(type)")
            }
        }
        for `protocol` in UInt64(0)...300 {
            let isTCP = `protocol` == 0 || `protocol` == 6
            #expect((verdict(true, "socket", 2, 0x80801, `protocol`) == Self.allow) == isTCP, "\(`protocol`)")
        }
        #expect(verdict(true, "setsockopt", 3, 6, 31) == Self.counted(ENOSYS), "TCP_ULP")
        #expect(verdict(true, "setsockopt", 3, 1, 26) == Self.counted(ENOSYS), "SO_ATTACH_FILTER")
        #expect(verdict(true, "getsockopt", 3, 6, 35) == Self.counted(ENOSYS), "TCP_ZEROCOPY_RECEIVE")
        #expect(verdict(true, "setsockopt", 3, 0, 64) == Self.counted(ENOSYS), "IPT_SO_SET_REPLACE")
    }

    /// i386 entries, x32 numbers and unknown architectures never reach the kernel.
    @Test func foreignEntriesAreStopped() throws {
        let machine = BPFMachine(try SeccompFilter(profile(true)).program)
        let arguments = [UInt64](repeating: 0, count: 6)
        for number in UInt32(0)...500 {
            #expect(machine.run(number: number, architecture: 0x4000_0003, arguments: arguments) == Self.notify)
            #expect(
                machine.run(number: number | 0x4000_0000, architecture: Self.x86, arguments: arguments) == Self.notify)
            #expect(machine.run(number: number, architecture: 0xC000_00B7, arguments: arguments) == Self.notify)
        }
    }

    /// TIOCSTI with garbage in the upper half is still TIOCSTI to the kernel (CVE-2019-7303).
    @Test func upperHalvesAreIgnored() throws {
        let machine = BPFMachine(try SeccompFilter(profile(true)).program)
        let ioctl = UInt32(seccomp_syscall_resolve_name("ioctl"))
        let result = machine.run(
            number: ioctl, architecture: Self.x86, arguments: [0, 0xDEAD_0000_0000_5412, 0, 0, 0, 0])
        #expect(result == Self.counted(EPERM))
    }

    @Test func oneProcessMeansNoFork() throws {
        let fork = UInt32(seccomp_syscall_resolve_name("fork")), clone = UInt32(seccomp_syscall_resolve_name("clone"))
        let none = [UInt64](repeating: 0, count: 6)
        let one = BPFMachine(try SeccompFilter(profile(true)).program),
            many = BPFMachine(try SeccompFilter(profile(false)).program)
        #expect(one.run(number: fork, architecture: Self.x86, arguments: none) == Self.counted(EAGAIN))
        #expect(many.run(number: fork, architecture: Self.x86, arguments: none) == Self.allow)
        // CLONE_NEWUSER beside any other flags
        for machine in [one, many] {
            for other in [0, 0x11, 0x10000, 0x3D0F00] as [UInt64] {
                let arguments = [0x1000_0000 | other, 0, 0, 0, 0, 0]
                #expect(machine.run(number: clone, architecture: Self.x86, arguments: arguments) == Self.notify)
            }
        }
    }

    @Test(arguments: [
        "allow read", "allow # r", "permit read # r", "refuse read # r", "allow read if arg9 is 1 # r",
        "allow read if arg0 # r",
        "allow read if arg0 is x # r", "allow read if arg0 & 0x1 == 0x2 # r", "@one # r",
        "allow read if arg0 is 1 1 # r",
    ])
    func refusesUnsoundProfiles(_ line: String) {
        #expect(throws: SeccompProfile.Flaw.self) { try SeccompProfile(text: line, .init(singleProcess: true)) }
    }

    @Test func refusesUnknownCalls() {
        #expect(throws: (any Error).self) {
            try SeccompFilter(try SeccompProfile(text: "allow no_such_call # r", .init(singleProcess: true)))
        }
    }

    @Test func namesCalls() {
        #expect(syscallName(number: 101, architecture: Self.x86) == "ptrace")
        #expect(syscallName(number: 11, architecture: 0x4000_0003) == "i386:execve")
        #expect(syscallName(number: 0x4000_0000 | 39, architecture: Self.x86).hasPrefix("x32:"))
        #expect(syscallName(number: 999, architecture: Self.x86) == "999")
    }

    /// What a taken-over supervisor would reach for ends it; what it needs goes through. Evaluated, as for cells.
    @Test func theSupervisorsOwn() throws {
        let machine = BPFMachine(try SeccompFilter.supervisor().program)
        let kill: UInt32 = 0x8000_0000
        func verdict(_ name: String, _ arguments: UInt64..., architecture: UInt32 = Self.x86) -> UInt32? {
            let number = UInt32(bitPattern: seccomp_syscall_resolve_name(name))
            return machine.run(
                number: number, architecture: architecture,
                arguments: arguments + Array(repeating: 0, count: 6 - arguments.count))
        }
        for name in ["execve", "execveat", "fork", "vfork", "ptrace", "mount", "unshare", "setns", "bpf", "setuid"] {
            #expect(verdict(name) == kill, "\(name)")
        }
        let thread: UInt64 = 0x3D_0F00
        #expect(verdict("clone", thread) == Self.allow)
        #expect(verdict("clone", 0x11) == kill, "a process")
        #expect(verdict("clone", thread | 0x1000_0000) == Self.fail(ENOSYS), "a user namespace")
        for name in ["read", "openat", "epoll_wait", "accept4", "renameat2", "exit_group"] {
            #expect(verdict(name) == Self.allow, "\(name)")
        }
        // Its listening socket is the guardian's: it makes none of its own, of any family.
        for family: UInt64 in [1, 2, 10, 16, 17] {
            #expect(verdict("socket", family, 1, 0) == Self.fail(EPERM), "family \(family)")
        }
        #expect(verdict("connect") == Self.fail(EPERM) && verdict("bind") == Self.fail(EPERM))
        #expect(verdict("socketpair", 1, 0x80005) == Self.allow && verdict("socketpair", 1, 2) == Self.fail(ENOSYS))
        #expect(verdict("prlimit64", 0) == Self.allow && verdict("prlimit64", 1) == Self.fail(ENOSYS))
        #expect(verdict("sendto", 3, 0, 0, 0x2000_0000) == Self.fail(ENOSYS), "MSG_FASTOPEN")
        #expect(verdict("keyctl") == kill && verdict("quotactl") == Self.fail(ENOSYS))
        #expect(verdict("read", architecture: 0x4000_0003) == kill, "the i386 entry")
    }
}
