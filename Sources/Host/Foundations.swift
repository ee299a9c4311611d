import Bundles
import CHostSystem
package import Courier
import Foundation
import Glibc
import HostSystem
package import Journal
package import Logging
import NIOPosix
import Runtimes
package import Sandbox
package import Secrets
import Store
import StoreSQLite

/// Sets up what a host stands on, in the one order that works: data directory, launcher, and then no root any more.
package struct Foundations {
    package let launcher: Launcher
    /// The data directory as this process reaches it from now on.
    package let path: String
    /// As its operator knows it.
    private let dataPath: String
    private let roots: RootSources

    package struct Options {
        package var firstUID: UInt32 = 700_000_000
        package var readyCells = 16
        package var degraded: Set<DegradableLayer> = []
        /// The doctor looks into cells from outside, which takes root.
        package var keepsRoot = false
        /// See `Launcher.Options.observer`.
        package var observer: Int32?
        /// See `Confinement`: for a process that serves.
        package var confines = false
        /// The pid of this process's guardian, whose death is its own.
        package var guardian: Int32?
        /// Bytes that this process may use, where there are cgroups; nil: not bounded.
        package var hostMemory: Int?
        /// Bytes that all cells together get.
        package var totalMemory = Supervisor.Options.standardMemory
        /// Processes and threads of all cells together.
        package var totalTasks = 32_768
        /// Files that this process reads again while it serves.
        package var readable: [String] = []
        /// Folders or tars that the operator has prepared, by name.
        package var roots: [String: String] = [:]

        package init() {}
    }

    /// Call while this process has one thread: the mount table is a thread's own.
    /// - Throws: `HostFailure`, saying which step failed and what to do.
    package init(data: DataDirectory, options: Options, logger: Logger) throws {
        let isRoot = geteuid() == 0
        // Secrets and others' events stand in this process's memory.
        let error = bh_forbid_core()
        guard error == 0 else {
            throw HostFailure("cores of the supervisor cannot be switched off: \(String(cString: strerror(error)))")
        }
        Self.raiseDescriptorLimit()
        roots = try RootSources(options.roots)
        // Inherited by the launcher and the cells' inits, not by workers: what tenants burn must not hold up the host. An
        // ordinary user may not, and goes without.
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, -10)
        try data.requireOwner(isRoot ? [0, options.firstUID] : [geteuid()])
        try data.create()
        mkdir(data.path + "/bundles", 0o755)
        if isRoot, !options.keepsRoot { try Self.giveAway(data.path, to: options.firstUID) }

        // The folder may stand below one that only root can enter: bound to a place of its own, it can be reached.
        var path = data.path
        if isRoot, !options.keepsRoot {
            let place = "/run/bulkhead"
            mkdir(place, 0o755)
            let error = bh_bind_privately(data.path, place)
            guard error == 0 else {
                throw HostFailure(
                    "the data directory cannot be bound to \(place): \(String(cString: strerror(error)))")
            }
            path = place
        }
        self.path = path
        dataPath = data.path

        var launcherOptions = Launcher.Options(
            program: try Self.sibling("bulkhead-launcher"), store: data.path + "/bundles",
            firstUID: options.firstUID + 1)
        launcherOptions.observer = options.observer
        launcherOptions.readyCells = options.readyCells
        launcherOptions.totalMemory = options.totalMemory
        launcherOptions.totalTasks = options.totalTasks
        // An ordinary user's own cgroup is what it was given: who it is shared with is not this host's to say.
        launcherOptions.hostMemory = isRoot ? options.hostMemory : nil
        launcherOptions.allowsNoLandlock = options.degraded.contains(.landlock)
        do {
            launcher = try Launcher(launcherOptions, logger: logger) {
                // Nothing can run here any more; whoever started this can start it anew, which also sweeps up.
                complain("the launcher's keeper has died: leaving")
                Glibc.exit(HostFailure.exitStatus)
            }
        } catch {
            throw HostFailure(
                "the launcher cannot be started: \(error). Run `bulkhead doctor` to see which layer this host lacks")
        }
        if isRoot, !options.keepsRoot {
            let error = bh_become(options.firstUID, options.firstUID)
            guard error == 0 else {
                throw HostFailure("root cannot be given up: \(String(cString: strerror(error)))")
            }
        }
        // A change of identity has undone what the guardian set, prctl(2).
        if let guardian = options.guardian, bh_die_with_parent(guardian) != 0 {
            throw HostFailure("the guardian has gone")
        }
        if options.confines {
            // Where it is missing, `require` decides, and says what to do.
            let hasLandlock = launcher.features.map { $0.landlockABI > 0 } ?? true
            try Confinement.apply(
                data: path, further: roots.folders + options.readable.flatMap(Self.places(of:)),
                withLandlock: hasLandlock)
        }
        launcher.startReading()
    }

    /// Of a file, and of what it links to: their folders, for one that is put in its place later. Of the root only itself.
    private static func places(of file: String) -> [String] {
        let given = URL(fileURLWithPath: file)
        return Set([given, given.resolvingSymlinksInPath()]).map { file in
            let folder = file.deletingLastPathComponent().path
            return folder == "/" ? file.path : folder
        }
    }

    /// Each worker takes seven descriptors; the usual soft limit of 1,024 is for select(2), which nothing here uses.
    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// - Throws: `HostFailure` when a layer that functions rely on is missing and not allowed to be.
    package func require(allowing degraded: Set<DegradableLayer>) throws {
        guard let features = launcher.features else { throw HostFailure("the launcher died at once") }
        let missing = DegradableLayer.allCases.filter { !$0.isPresent(in: features) && !degraded.contains($0) }
        guard !missing.isEmpty else { return }
        let names = missing.map(\.rawValue).joined(separator: ", ")
        let advice = Array(Set(missing.map(\.advice))).sorted().joined(separator: "; ")
        let flags = missing.map { "--allow-degraded \($0.rawValue)" }.joined(separator: " ")
        throw HostFailure("missing: \(names): \(advice). To do without: \(flags)")
    }

    /// A program that is installed beside this one.
    package static func sibling(_ name: String) throws -> String {
        let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let path = URL(fileURLWithPath: own ?? CommandLine.arguments[0]).deletingLastPathComponent().path + "/" + name
        guard access(path, X_OK) == 0 else {
            throw HostFailure("\(path) is missing; it is built and installed together with bulkhead")
        }
        return path
    }

    /// Gives the data directory's own files to the uid that will serve. Only names that the host itself makes, and
    /// nothing through a link.
    private static func giveAway(_ path: String, to uid: UInt32) throws {
        let names = [
            "", "/bundles", "/incoming", "/catalogue.db", "/catalogue.db-wal", "/catalogue.db-shm", "/admin.token",
            "/endpoint", "/secrets.key", "/secrets.key.next", "/logs", "/running",
        ]
        // What was restored, or is an older host's.
        let bundles = (try? FileManager.default.contentsOfDirectory(atPath: path + "/bundles")) ?? []
        for name in names + bundles.map({ "/bundles/" + $0 }) where FileStanding(of: path + name)?.owner != uid {
            let error = bh_give_away(path + name, uid)
            guard error == 0 else {
                throw HostFailure(
                    "\(path)\(name) cannot be given to uid \(uid): \(String(cString: strerror(error)))")
            }
        }
    }

    /// Where logs are kept.
    package var logArchive: LogArchive { LogArchive(folder: path + "/logs") }

    private static func advice(on error: any Error) -> String {
        let isFull = (error as? any NoRoom)?.isNoRoom ?? ((error as? SystemError)?.number == ENOSPC)
        return isFull ? "; its disk is full: make room there" : ""
    }

    /// The host on these foundations, with its store open. Blocks.
    /// - Throws: `HostFailure`.
    /// - Parameters:
    ///   - courier: who goes out for it; nil: nobody.
    ///   - secretKey: the operator's own; nil: the data directory's, made where there is none.
    package func host(
        options: Supervisor.Options, courier: Courier? = nil, secretKey: SecretKey? = nil, logger: Logger
    ) throws -> Supervisor {
        let place = Secrets.KeyPlace(
            path: path + "/secrets.key", given: secretKey, write: { try writePrivately($0, to: $1) })
        do {
            let bundles = try BundleStore(path: path)
            let stores = try SQLiteStore(path: path + "/catalogue.db", retention: options.results).stores
            let runtimes = try Runtimes(roots: try roots.prepare(in: bundles, data: path), in: bundles)
            return try Supervisor(
                stores: stores, bundles: bundles, runtimes: runtimes, launcher: launcher, courier: courier,
                secretKey: place, path: path, group: MultiThreadedEventLoopGroup.singleton,
                options: options, logger: logger)
        } catch let failure as HostFailure {
            throw failure
        } catch let unusable as SecretKey.Unusable {
            throw HostFailure("\(unusable)")
        } catch {
            throw HostFailure(
                "the catalogue in \(dataPath) cannot be opened: \(error)\(Self.advice(on: error))")
        }
    }
}
