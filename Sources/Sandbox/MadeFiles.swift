import Glibc
import HostSystem

/// Files that every cell has and no host gives: what programs look for in /etc, and what of /proc tells of a machine rather
/// than of a process. They tell what the cell may use and nothing of the host, see proc(5). The launcher writes them into each
/// root; `meminfo`, `passwd` and `group`, which differ from cell to cell, it makes itself.
package struct MadeFiles: Sendable {
    enum Content: Sendable, Hashable {
        case text(String)
        case link(String)
        /// The host's own, where it has it.
        case bind
    }

    let files: [(path: String, content: Content)]

    /// What the launcher reads: each path after "=" (a file), "@" (a link) or "<" (a bind), then its text, all ended by NUL.
    var encoded: [UInt8] {
        files.reduce(into: []) { bytes, file in
            switch file.content {
            case .text(let text): bytes += Array("=\(file.path)".utf8) + [0] + Array(text.utf8) + [0]
            case .link(let text): bytes += Array("@\(file.path)".utf8) + [0] + Array(text.utf8) + [0]
            case .bind: bytes += Array("<\(file.path)".utf8) + [0, 0]
            }
        }
    }

    /// - Parameter read: the text of a file of the host's /proc; empty where there is none.
    package init(read: (String) -> String = MadeFiles.text(of:)) throws {
        let processors = Self.allowedProcessors(status: read("/proc/self/status"))
        files =
            try Self.settings + RootView(named: RootView.every).mounts.map { ($0.target, .bind) } + [
                ("/proc/cpuinfo", .text(Self.cpuinfo(read("/proc/cpuinfo"), processors))),
                ("/proc/stat", .text(Self.stat(read("/proc/stat"), processors))),
                // Nobody's load but the cell's, which nobody counts.
                ("/proc/loadavg", .text("0.00 0.00 0.00 1/1 1\n")),
                ("/proc/cgroups", .text(Self.cgroups(read("/proc/cgroups")))),
            ]
    }

    private static let settings: [(path: String, content: Content)] = [
        // Without a network there is nobody else to be found.
        ("/etc/hosts", .text("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")),
        (
            "/etc/nsswitch.conf",
            .text(
                ["passwd", "group", "shadow", "gshadow", "hosts", "networks", "protocols", "services", "ethers", "rpc"]
                    .map { "\($0): files\n" }.joined())
        ),
        // The clock is everybody's, its zone the host's own business.
        ("/etc/localtime", .link("/usr/share/zoneinfo/Etc/UTC")),
        ("/etc/timezone", .text("Etc/UTC\n")),
        // getmntent(3)
        ("/etc/mtab", .link("/proc/self/mounts")),
    ]

    // MARK: - /proc

    /// The numbers of the CPUs that cells may run on: those of this process, whose children they are.
    static func allowedProcessors(status: String) -> [Int] {
        let key = "Cpus_allowed_list:"
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix(key) }) else { return [0] }
        let ranges = line.dropFirst(key.count).drop(while: \.isWhitespace).split(separator: ",")
        let numbers = ranges.flatMap { range -> [Int] in
            let ends = range.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last, last < 8192 else { return [] }
            return Array(first...last)
        }
        return numbers.isEmpty ? [0] : numbers
    }

    /// What cpuid tells anybody. Not which microcode it runs and what it is known to be vulnerable to.
    private static let processorFields: Set<Substring> = [
        "vendor_id", "cpu family", "model", "model name", "stepping", "cpu MHz", "cache size", "siblings",
        "cpu cores", "fpu", "cpuid level", "wp", "flags", "bogomips", "clflush size", "cache_alignment",
        "address sizes",
        "BogoMIPS", "Features", "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision",
    ]
    /// Of as many the flags are told, which are most of the text and the same for all.
    private static let processorsWithFlags = 16

    private static func cpuinfo(_ text: String, _ processors: [Int]) -> String {
        let fields = text.split(separator: "\n", omittingEmptySubsequences: false).prefix { !$0.isEmpty }.filter {
            line in
            processorFields.contains(line.prefix { $0 != ":" && $0 != "\t" })
        }
        let short = fields.filter { !$0.hasPrefix("flags") && !$0.hasPrefix("Features") }
        return processors.enumerated().map { index, number in
            (["processor\t: \(number)"] + (index < processorsWithFlags ? fields : short)).joined(separator: "\n")
                + "\n\n"
        }.joined()
    }

    private static func stat(_ text: String, _ processors: [Int]) -> String {
        let booted = text.split(separator: "\n").first { $0.hasPrefix("btime ") } ?? "btime 0"
        let idle = " 0 0 0 0 0 0 0 0 0 0\n"
        return "cpu " + idle + processors.map { "cpu\($0)" + idle }.joined()
            + "intr 0\nctxt 0\n\(booted)\nprocesses 1\nprocs_running 1\nprocs_blocked 0\nsoftirq 0\n"
    }

    /// The controllers with their hierarchies, by which the JVM tells the versions of cgroups; not how many groups there are.
    private static func cgroups(_ text: String) -> String {
        text.split(separator: "\n").map { line in
            var columns = line.split(separator: "\t", omittingEmptySubsequences: false)
            if columns.count == 4, !line.hasPrefix("#") { columns[2] = "1" }
            return columns.joined(separator: "\t") + "\n"
        }.joined()
    }

    /// A whole file of the host's; empty where there is none.
    package static func text(of path: String) -> String {
        guard let file = try? OwnedDescriptor(returned: open(path, O_RDONLY | O_CLOEXEC), by: "open \(path)") else {
            return ""
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(file.number, &buffer, buffer.count)
            guard count > 0 else { break }
            bytes += buffer.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
