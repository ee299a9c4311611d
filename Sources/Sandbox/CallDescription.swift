/// A system call's arguments in words: `socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0)`. Pointers stay numbers: what they
/// point to can change after any look at it. Values are those of x86_64's kernel headers.
package func describeArguments(of call: String, _ arguments: [UInt64]) -> [String] {
    guard let parameters = parametersByCall[call] else { return arguments.map { "0x" + String($0, radix: 16) } }
    return zip(parameters, arguments).map { $0.describe($1) }
}

private enum Parameter: Sendable {
    case int, size, pointer, octal, pid
    /// One of several names.
    case choice([UInt32: String])
    /// One of several names in the lower bits, flags above.
    case mixed(mask: UInt32, [UInt32: String], [UInt32: String])
    case flags([UInt32: String])

    func describe(_ value: UInt64) -> String {
        let low = UInt32(truncatingIfNeeded: value)
        switch self {
        case .int, .pid: return String(Int32(bitPattern: low))
        case .size: return String(value)
        case .pointer: return value == 0 ? "NULL" : Self.hex(value)
        case .octal: return "0" + String(low, radix: 8)
        case .choice(let names): return names[low] ?? String(Int32(bitPattern: low))
        case .flags(let names): return Self.join(low, names)
        case .mixed(let mask, let kinds, let names):
            let kind = kinds[low & mask] ?? Self.hex(UInt64(low & mask))
            return low & ~mask == 0 ? kind : kind + "|" + Self.join(low & ~mask, names)
        }
    }

    private static func join(_ value: UInt32, _ names: [UInt32: String]) -> String {
        var rest = value
        var words: [String] = []
        for (bits, name) in names.sorted(by: { $0.key < $1.key }) where rest & bits == bits {
            words.append(name)
            rest &= ~bits
        }
        if rest != 0 || words.isEmpty { words.append(hex(UInt64(rest))) }
        return words.joined(separator: "|")
    }

    private static func hex(_ value: UInt64) -> String { value == 0 ? "0" : "0x" + String(value, radix: 16) }
}

private let namespaces: [UInt32: String] = [
    0x0000_0080: "CLONE_NEWTIME", 0x0002_0000: "CLONE_NEWNS", 0x0200_0000: "CLONE_NEWCGROUP",
    0x0400_0000: "CLONE_NEWUTS", 0x0800_0000: "CLONE_NEWIPC", 0x1000_0000: "CLONE_NEWUSER",
    0x2000_0000: "CLONE_NEWPID", 0x4000_0000: "CLONE_NEWNET",
]
private let cloneFlags: [UInt32: String] = [
    0x0100: "CLONE_VM", 0x0200: "CLONE_FS", 0x0400: "CLONE_FILES", 0x0800: "CLONE_SIGHAND", 0x1000: "CLONE_PIDFD",
    0x2000: "CLONE_PTRACE", 0x4000: "CLONE_VFORK", 0x8000: "CLONE_PARENT", 0x1_0000: "CLONE_THREAD",
    0x4_0000: "CLONE_SYSVSEM", 0x8_0000: "CLONE_SETTLS", 0x10_0000: "CLONE_PARENT_SETTID",
    0x20_0000: "CLONE_CHILD_CLEARTID", 0x100_0000: "CLONE_CHILD_SETTID",
]
private let families: [UInt32: String] = [
    0: "AF_UNSPEC", 1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 15: "AF_KEY", 16: "AF_NETLINK", 17: "AF_PACKET",
    21: "AF_RDS", 29: "AF_CAN", 30: "AF_TIPC", 31: "AF_BLUETOOTH", 38: "AF_ALG", 40: "AF_VSOCK", 44: "AF_XDP",
]
private let socketKinds: [UInt32: String] = [
    1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 4: "SOCK_RDM", 5: "SOCK_SEQPACKET", 10: "SOCK_PACKET",
]
private let socketFlags: [UInt32: String] = [0x800: "SOCK_NONBLOCK", 0x8_0000: "SOCK_CLOEXEC"]
private let mountFlags: [UInt32: String] = [
    0x1: "MS_RDONLY", 0x2: "MS_NOSUID", 0x4: "MS_NODEV", 0x8: "MS_NOEXEC", 0x20: "MS_REMOUNT", 0x1000: "MS_BIND",
    0x2000: "MS_MOVE", 0x4000: "MS_REC", 0x2_0000: "MS_UNBINDABLE", 0x4_0000: "MS_PRIVATE", 0x8_0000: "MS_SLAVE",
    0x10_0000: "MS_SHARED",
]
private let ptraceRequests: [UInt32: String] = [
    0: "PTRACE_TRACEME", 1: "PTRACE_PEEKTEXT", 2: "PTRACE_PEEKDATA", 3: "PTRACE_PEEKUSER", 4: "PTRACE_POKETEXT",
    5: "PTRACE_POKEDATA", 6: "PTRACE_POKEUSER", 7: "PTRACE_CONT", 8: "PTRACE_KILL", 9: "PTRACE_SINGLESTEP",
    16: "PTRACE_ATTACH", 17: "PTRACE_DETACH", 24: "PTRACE_SYSCALL", 0x4206: "PTRACE_SEIZE",
]
private let bpfCommands: [UInt32: String] = [
    0: "BPF_MAP_CREATE", 1: "BPF_MAP_LOOKUP_ELEM", 2: "BPF_MAP_UPDATE_ELEM", 5: "BPF_PROG_LOAD", 6: "BPF_OBJ_PIN",
    7: "BPF_OBJ_GET", 8: "BPF_PROG_ATTACH", 18: "BPF_BTF_LOAD",
]
private let keyctlCommands: [UInt32: String] = [
    0: "KEYCTL_GET_KEYRING_ID", 1: "KEYCTL_JOIN_SESSION_KEYRING", 2: "KEYCTL_UPDATE", 3: "KEYCTL_REVOKE",
    6: "KEYCTL_DESCRIBE", 10: "KEYCTL_SEARCH", 11: "KEYCTL_READ",
]
private let seccompOperations: [UInt32: String] = [
    0: "SECCOMP_SET_MODE_STRICT", 1: "SECCOMP_SET_MODE_FILTER", 2: "SECCOMP_GET_ACTION_AVAIL",
    3: "SECCOMP_GET_NOTIF_SIZES",
]
private let seccompFlags: [UInt32: String] = [
    1: "SECCOMP_FILTER_FLAG_TSYNC", 2: "SECCOMP_FILTER_FLAG_LOG", 4: "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    8: "SECCOMP_FILTER_FLAG_NEW_LISTENER", 16: "SECCOMP_FILTER_FLAG_TSYNC_ESRCH",
]

/// The calls that profiles deny, and the refused ones people ask about.
private let parametersByCall: [String: [Parameter]] = [
    "socket": [.choice(families), .mixed(mask: 0xF, socketKinds, socketFlags), .int],
    "socketpair": [.choice(families), .mixed(mask: 0xF, socketKinds, socketFlags), .int, .pointer],
    "clone": [.mixed(mask: 0xFF, [0: "0", 17: "SIGCHLD"], cloneFlags.merging(namespaces) { $1 }), .pointer],
    "unshare": [.flags(namespaces.merging(cloneFlags) { $1 })],
    "setns": [.int, .flags(namespaces)],
    "ptrace": [.choice(ptraceRequests), .pid, .pointer, .pointer],
    "process_vm_readv": [.pid, .pointer, .size, .pointer, .size, .size],
    "process_vm_writev": [.pid, .pointer, .size, .pointer, .size, .size],
    "kcmp": [.pid, .pid, .int, .size, .size],
    "pidfd_getfd": [.int, .int, .int],
    "mount": [.pointer, .pointer, .pointer, .flags(mountFlags), .pointer],
    "umount2": [.pointer, .int],
    "pivot_root": [.pointer, .pointer],
    "chroot": [.pointer],
    "fsopen": [.pointer, .int],
    "fsconfig": [.int, .int, .pointer, .pointer, .int],
    "fsmount": [.int, .int, .int],
    "fspick": [.int, .pointer, .int],
    "move_mount": [.int, .pointer, .int, .pointer, .int],
    "open_tree": [.int, .pointer, .int],
    "mount_setattr": [.int, .pointer, .int, .pointer, .size],
    "bpf": [.choice(bpfCommands), .pointer, .size],
    "perf_event_open": [.pointer, .pid, .int, .int, .int],
    "userfaultfd": [.int],
    "io_uring_setup": [.size, .pointer],
    "io_uring_enter": [.int, .size, .size, .int],
    "io_uring_register": [.int, .int, .pointer, .size],
    "keyctl": [.choice(keyctlCommands), .int, .int, .int, .int],
    "add_key": [.pointer, .pointer, .pointer, .size, .int],
    "request_key": [.pointer, .pointer, .pointer, .int],
    "seccomp": [.choice(seccompOperations), .flags(seccompFlags), .pointer],
    "open_by_handle_at": [.int, .pointer, .int],
    "fanotify_init": [.int, .int],
    "sethostname": [.pointer, .size],
    "setdomainname": [.pointer, .size],
    "settimeofday": [.pointer, .pointer],
    "clock_settime": [.int, .pointer],
    "adjtimex": [.pointer],
    "clock_adjtime": [.int, .pointer],
    "iopl": [.int],
    "ioperm": [.size, .size, .int],
    "modify_ldt": [.int, .pointer, .size],
    "kexec_load": [.pointer, .size, .pointer, .int],
    "reboot": [.int, .int, .int, .pointer],
    "swapon": [.pointer, .int],
    "swapoff": [.pointer],
    "acct": [.pointer],
    "init_module": [.pointer, .size, .pointer],
    "finit_module": [.int, .pointer, .int],
    "delete_module": [.pointer, .int],
    "mknod": [.pointer, .octal, .size],
    "mknodat": [.int, .pointer, .octal, .size],
]
