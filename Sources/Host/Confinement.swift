import CHostSystem
import Glibc
import Sandbox

/// What the serving process takes from itself: it reads what clients and tenants send, so a flaw in it must not be worth
/// much. Files by Landlock, system calls by its own profile; the launcher, started before, is not bound by either.
enum Confinement {
    /// Call while this process has one thread: Landlock binds the thread that asks, and those it starts.
    /// - Parameters:
    ///   - data: the only folder that may be written.
    ///   - further: what may be read besides.
    ///   - withLandlock: false where the kernel has none.
    /// - Throws: `HostFailure`.
    static func apply(data: String, further: [String] = [], withLandlock: Bool) throws {
        guard bh_thread_count() == 1 else {
            throw HostFailure("the supervisor cannot be confined: it has more than one thread already")
        }
        if withLandlock { try restrictReach(data: data, further: further) }
        let filter: SeccompFilter
        do {
            filter = try SeccompFilter.supervisor()
        } catch {
            throw HostFailure("the supervisor's system call profile is not sound: \(error)")
        }
        let count = UInt16(filter.program.count / 8)
        let error = filter.program.withUnsafeBytes { $0.baseAddress.map { bh_install_filter($0, count) } ?? EINVAL }
        guard error == 0 else {
            throw HostFailure("the supervisor's system call filter is refused: \(String(cString: strerror(error)))")
        }
    }

    /// Read for what libraries load late: time zones, name services, the number of cores. /proc as a whole, because
    /// libdispatch looks at its own threads as /proc/TID, and takes a refusal for a broken process, which it ends.
    private static let read = ["/usr", "/lib", "/lib64", "/etc", "/proc", "/sys/fs/cgroup", "/sys/devices/system/cpu"]

    private static func restrictReach(data: String, further: [String]) throws {
        let paths = [(data, true), ("/dev/null", true), ("/dev/urandom", false)] + (read + further).map { ($0, false) }
        let names = paths.map { strdup($0.0) }
        defer { for name in names { free(name) } }
        let reach = zip(names, paths).compactMap { name, path in
            name.map { bh_reach(path: $0, writes: path.1 ? 1 : 0) }
        }
        let error = bh_restrict_reach(reach, Int32(reach.count), false)
        guard error == 0 else {
            throw HostFailure("the supervisor's files cannot be restricted: \(String(cString: strerror(error)))")
        }
    }
}
