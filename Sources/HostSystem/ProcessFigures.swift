import CHostSystem
import Foundation
import Glibc

/// What the kernel knows of this process (proc_pid_stat(5)).
package struct ProcessFigures: Sendable {
    /// In user and kernel mode.
    package let cpuSeconds: Double
    package let residentBytes: Double
    package let virtualBytes: Double
    /// Since 1970.
    package let startSeconds: Double
    package let openDescriptors: Double
    package let maxDescriptors: Double

    /// Nil where /proc does not show it.
    package init?() {
        // The name, in parentheses, may hold anything; what follows its last one are numbers.
        guard let stat = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
            let nameEnd = stat.lastIndex(of: ")"),
            let boot = try? String(contentsOfFile: "/proc/stat", encoding: .utf8)
                .split(separator: "\n").first(where: { $0.hasPrefix("btime ") })?.split(separator: " ").last
                .flatMap({ Double($0) }),
            let descriptors = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        else { return nil }
        let fields = stat[stat.index(after: nameEnd)...].split(separator: " ").map { Double($0) ?? 0 }
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        guard fields.count > 21, ticks > 0 else { return nil }
        cpuSeconds = (fields[11] + fields[12]) / ticks
        startSeconds = boot + fields[19] / ticks
        virtualBytes = fields[20]
        residentBytes = fields[21] * Double(sysconf(Int32(_SC_PAGESIZE)))
        openDescriptors = Double(max(0, descriptors.count - 1))
        var limit = rlimit()
        maxDescriptors =
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? Double(limit.rlim_cur) : 0
    }
}
