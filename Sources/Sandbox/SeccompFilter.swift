import CHostSystem
import CLauncherABI
import CSeccomp
import Glibc
import HostSystem
import SandboxProfiles

// SCMP_ACT_*, which seccomp.h writes as macros that Swift does not import.
private let allow: UInt32 = 0x7FFF_0000
private let notify: UInt32 = 0x7FC0_0000
private let kill: UInt32 = 0x8000_0000
private func fail(_ number: Int32) -> UInt32 { 0x0005_0000 | UInt32(number) & 0xFFFF }
private let untilLocked: UInt32 = fail(0) | BH_UNTIL_LOCKED
private func failAndCount(_ number: Int32) -> UInt32 { fail(number) | BH_REFUSE_COUNTED }

/// A seccomp program, compiled by libseccomp, as the launcher takes it: an array of 8-byte `struct sock_filter`.
package struct SeccompFilter: Sendable {
    package let program: [UInt8]

    package struct Flaw: Error, CustomStringConvertible {
        package let description: String
    }

    /// Which argument is the path, for the calls that say which files a program looks for.
    private static let pathArguments: [String: UInt32] = [
        "open": 0, "openat": 1, "stat": 0, "lstat": 0, "newfstatat": 1, "statx": 1, "access": 0, "faccessat": 1,
        "faccessat2": 1, "readlink": 0, "readlinkat": 1, "execve": 0, "statfs": 0,
    ]

    package enum Subject: Sendable {
        /// A worker: its cell's init answers for what is refused, and ends the cell for what is denied.
        case worker
        /// A worker under `policy learn`, where the launcher observes: paths are written down, and what would be denied
        /// is refused instead, so that one run shows everything.
        case observedWorker
        /// A worker that will be locked: what `locked.profile` does not name goes through only until then.
        case lockedWorker
        /// A process without anybody to ask: what is refused just fails, what is denied ends it.
        case lone

        fileprivate func refusing(_ number: Int32) -> UInt32 { self == .lone ? fail(number) : failAndCount(number) }

        fileprivate var denying: UInt32 {
            switch self {
            case .worker, .lockedWorker: notify
            case .observedWorker: failAndCount(EPERM)
            case .lone: kill
            }
        }
    }

    /// The supervisor's own.
    /// - Throws: as `init`.
    package static func supervisor() throws -> SeccompFilter {
        try SeccompFilter(try SeccompProfile(text: SandboxProfiles.supervisor, .init(singleProcess: true)), for: .lone)
    }

    /// The courier's.
    /// - Throws: as `init`.
    package static func courier() throws -> SeccompFilter {
        try SeccompFilter(try SeccompProfile(text: SandboxProfiles.courier, .init(singleProcess: true)), for: .lone)
    }

    /// - Throws: `Flaw` when a rule names what libseccomp does not know, or `SystemError`.
    package init(_ profile: SeccompProfile, for subject: Subject = .worker) throws {
        guard let context = seccomp_init(subject.refusing(ENOSYS)) else {
            throw Flaw(description: "seccomp_init failed")
        }
        defer { seccomp_release(context) }
        // i386 and x32 entries: notified like any other denied call, so that the outcome can name them.
        try Self.check(
            seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, subject == .lone ? kill : notify),
            "set the foreign ABI's action")
        // A binary tree over the call numbers instead of one long list.
        try Self.check(seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2), "set the optimisation")
        let locked = subject == .lockedWorker ? try SeccompProfile.locked() : nil
        for rule in profile.rules {
            let isLost = rule.action == .allow && locked.map { !$0.keeps(rule) } == true
            try Self.add(rule, for: subject, allowing: isLost ? untilLocked : allow, to: context)
        }
        program = FilterProgram(try Self.export(context)).shortened().bytes
    }

    private static func add(
        _ rule: SeccompProfile.Rule, for subject: Subject, allowing: UInt32, to context: scmp_filter_ctx
    ) throws {
        let number = seccomp_syscall_resolve_name(rule.syscall)
        guard number >= 0 else {
            if number == -1 {
                throw Flaw(description: "profile line \(rule.line): unknown system call \(rule.syscall)")
            }
            return  // a call that this architecture does not have
        }
        let action: UInt32
        switch rule.action {
        case .allow:
            let path = subject == .observedWorker ? pathArguments[rule.syscall] : nil
            action = path.map { BH_OBSERVE | $0 } ?? allowing
        case .pretend: action = fail(0)
        case .deny: action = subject.denying
        case .refuse(let name, let isQuiet):
            guard let number = errnoNumbers[name] else {
                throw Flaw(description: "profile line \(rule.line): unknown errno \(name)")
            }
            action = isQuiet ? fail(number) : subject.refusing(number)
        }
        // What is the default anyway stands in the profile for its reason; libseccomp takes no such rule.
        if action == subject.refusing(ENOSYS) { return }
        let comparisons = rule.conditions.map {
            scmp_arg_cmp(
                arg: UInt32($0.argument), op: SCMP_CMP_MASKED_EQ, datum_a: UInt64($0.mask), datum_b: UInt64($0.value))
        }
        let result = seccomp_rule_add_array(context, action, number, UInt32(comparisons.count), comparisons)
        try check(result, "profile line \(rule.line): \(rule.syscall)")
    }

    private static func export(_ context: scmp_filter_ctx) throws -> [UInt8] {
        let file = try OwnedDescriptor(returned: bh_memory_file("seccomp"), by: "memfd_create")
        try check(seccomp_export_bpf(context, file.number), "export the program")
        let size = Int(lseek(file.number, 0, SEEK_END))
        var bytes = [UInt8](repeating: 0, count: size)
        guard pread(file.number, &bytes, size, 0) == size else { throw SystemError("read the seccomp program") }
        return bytes
    }

    private static func check(_ result: Int32, _ what: String) throws {
        if result < 0 { throw Flaw(description: "libseccomp: \(what): \(String(cString: strerror(-result)))") }
    }

    private static let errnoNumbers: [String: Int32] = [
        "EPERM": EPERM, "ENOSYS": ENOSYS, "EAGAIN": EAGAIN, "ENOLCK": ENOLCK, "EOPNOTSUPP": EOPNOTSUPP,
        "EAFNOSUPPORT": EAFNOSUPPORT, "EACCES": EACCES, "EINVAL": EINVAL, "ENOMEM": ENOMEM,
        "EPROTONOSUPPORT": EPROTONOSUPPORT,
    ]
}

/// AUDIT_ARCH_X86_64 of linux/audit.h.
private let auditArchitectureX86: UInt32 = 0xC000_003E

/// The name of a system call as the worker made it: `ptrace`, `i386:execve`, `x32:…`, or the number where none is known.
package func syscallName(number: Int64, architecture: UInt32) -> String {
    let x32Bit: Int64 = 0x4000_0000
    let isX32 = architecture == auditArchitectureX86 && number & x32Bit != 0
    let plain = isX32 ? number & ~x32Bit : number
    let prefix = isX32 ? "x32:" : architecture == 0x4000_0003 ? "i386:" : ""  // AUDIT_ARCH_I386
    guard let name = seccomp_syscall_resolve_num_arch(architecture, Int32(truncatingIfNeeded: plain)) else {
        return "\(prefix)\(plain)"
    }
    defer { free(name) }
    return prefix + String(cString: name)
}
