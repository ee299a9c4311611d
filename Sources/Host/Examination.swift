import Bundles
import Catalogue
import Deployment
import Foundation
import FunctionModel
import Glibc
import HostSystem
import Logging
import NIOCore
import Sandbox
import Synchronization

/// Runs `bulkhead-probe` in real cells and judges what it could do.
package struct Examination {
    private let host: Supervisor
    private let features: Launcher.Features
    private let probe: [UInt8]

    /// - Throws: `HostFailure` when not even a cell can be built.
    package static func perform() throws -> [Finding] {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let logger = Logger(label: "bulkhead.doctor") { _ in SwiftLogNoOpLogHandler() }
        var options = Foundations.Options()
        options.keepsRoot = true
        options.degraded = Set(DegradableLayer.allCases)
        let foundations = try Foundations(data: DataDirectory(folder.path), options: options, logger: logger)
        defer { foundations.launcher.stop() }
        guard let features = foundations.launcher.features,
            let probe = FileManager.default.contents(atPath: try Foundations.sibling("bulkhead-probe"))
        else { throw HostFailure("the launcher died at once") }
        let host = try foundations.host(options: Supervisor.Options(), logger: logger)
        return try Examination(host: host, features: features, probe: Array(probe)).findings()
    }

    private func findings() throws -> [Finding] {
        let view = try facts("view")
        let namespaces = try namespaces()
        var findings = [
            // Without root a user's groups stay: a user namespace may not drop them (user_namespaces(7)).
            Finding(
                "uid", view["uid"] != "0" && (view["groups"] == "0" || !features.isRoot),
                else: "the worker runs as uid \(view["uid"] ?? "?") with \(view["groups"] ?? "?") groups"),
            Finding(
                "capabilities", view["capabilities"] == "0" && view["bounding"] == "0",
                else: "held: \(view["capabilities"] ?? "?"), bounding set: \(view["bounding"] ?? "?")"),
            Finding("no-new-privs", view["no-new-privs"] == "1", else: "not set"),
        ]
        findings += namespaces
        findings += [
            Finding(
                "root",
                view["host-file"] == "ENOENT" && view["write-root"] == "EROFS" && view["write-function"] == "EROFS"
                    && view["proc-init"] == "ENOENT" && view["proc-kernel"] == "ENOENT",
                else:
                    "the worker reached /var (\(view["host-file"] ?? "?")), / (\(view["write-root"] ?? "?")),"
                    + " /proc/1 (\(view["proc-init"] ?? "?")) or /proc/sys (\(view["proc-kernel"] ?? "?"))"
            ),
            Finding(
                "proc",
                view["proc"] == "ok"
                    ? .enforced
                    : .degraded(
                        "cells have none of their own processes: this container hides parts of its own /proc, and so may"
                            + " give none; programs find only what is made for them")),
            landlock(view),
            Finding(
                "seccomp",
                view["seccomp"] == "2" && view["unknown-call"] == "ENOSYS" && view["clone3"] == "ENOSYS"
                    && view["socket"] == "EAFNOSUPPORT",
                else: "an unknown call gave \(view["unknown-call"] ?? "?"), a socket \(view["socket"] ?? "?")"),
            try denial(),
            Finding("descriptors", view["descriptors"] == "0", else: "\(view["descriptors"] ?? "?") beyond 0, 1 and 2"),
            Finding("session", view["session"] == "own", else: "the worker shares a session"),
            Finding("rlimits", view["core-limit"] == "0", else: "core files are possible"),
            coreDumps(),
            try memory(), try processes(), cpu(), identity(),
        ]
        return findings
    }

    // MARK: - Layers

    private func landlock(_ view: [String: String]) -> Finding {
        let abi = features.landlockABI
        if abi == 0 { return Finding("landlock", .degraded(DegradableLayer.landlock.advice)) }
        // TCGETS on /dev/null passes the filter and means nothing to the device: only Landlock answers EACCES.
        if abi >= 5 { return Finding("landlock", view["device-ioctl"] == "EACCES", else: "a device took an ioctl") }
        return Finding("landlock", .enforced)
    }

    private func denial() throws -> Finding {
        let completion = try invoke("ptrace")
        if [.timeout, .cpuExceeded, .overloaded].contains(completion.outcome) {
            return Finding("denied calls", .degraded("not proved: the probe did not finish; run doctor again"))
        }
        guard case .failure(let failure) = completion.result, case .denied("ptrace", _, _) = failure.cause else {
            return Finding("denied calls", .missing("ptrace ended as \(completion.outcome.rawValue)"))
        }
        return Finding("denied calls", .enforced)
    }

    private func memory() throws -> Finding {
        guard features.limitsMemory else { return Finding("memory limit", .degraded(DegradableLayer.memory.advice)) }
        let outcome = try invoke("memory").outcome
        // A probe that was ended for its time has not tried all: that says nothing of the layer.
        if [.timeout, .cpuExceeded, .overloaded].contains(outcome) {
            return Finding(
                "memory limit",
                .degraded(
                    "not proved: the probe did not finish on this busy machine (\(outcome.rawValue)); run doctor again")
            )
        }
        return Finding(
            "memory limit", outcome == .memoryExceeded, else: "taking memory without end ended as \(outcome.rawValue)")
    }

    private func processes() throws -> Finding {
        let facts = try facts("processes")
        let started = facts["started"].flatMap { Int($0) } ?? .max
        let held = facts["fork"] == "EAGAIN" && started < 8
        if held, !features.limitsTasks {
            return Finding(
                "process limit",
                .degraded("only by RLIMIT_NPROC, which counts a user's processes: \(DegradableLayer.processes.advice)"))
        }
        return Finding("process limit", held, else: "\(started) children with `processes: 8`")
    }

    /// core(5): a pipe takes no notice of RLIMIT_CORE.
    private func coreDumps() -> Finding {
        let pattern = (try? String(contentsOfFile: "/proc/sys/kernel/core_pattern", encoding: .utf8)) ?? ""
        return pattern.hasPrefix("|")
            ? Finding(
                "core dumps",
                .degraded(
                    "a function's crash starts \(pattern.dropFirst().prefix { $0 != " " }) on the host, outside its cell;"
                        + " `sysctl kernel.core_pattern=core` ends that"))
            : Finding("core dumps", .enforced)
    }

    private func cpu() -> Finding {
        features.sharesCPU
            ? Finding("cpu share", .enforced) : Finding("cpu share", .degraded(DegradableLayer.cpu.advice))
    }

    private func identity() -> Finding {
        features.isRoot
            ? Finding("uid per cell", .enforced)
            : Finding(
                "uid per cell",
                .degraded("without root all cells are this user outside; run as root for a uid of its own each"))
    }

    // MARK: - Invocations

    private func invoke(_ word: String) throws -> Completion {
        try blocking { [host, probe] in
            var manifest = Manifest()
            manifest.args = [word]
            manifest.limits.memory = .mebibytes(32)
            manifest.limits.wall = .seconds(20)  // an emulated machine takes its time
            manifest.limits.processes = word == "processes" ? 8 : 1
            guard let name = FunctionName("probe-\(word)") else { throw HostFailure("no name") }
            let arrival = try host.deployment.beginArrival()
            try probe.withUnsafeBytes { try arrival.append($0) }
            let version = try await host.deployment.deploy(
                arrival, format: .executable, manifest: manifest, name: name
            ).0
            return await host.run(version, event: ByteBuffer())
        }
    }

    private func facts(_ word: String) throws -> [String: String] {
        let completion = try invoke(word)
        switch completion.result {
        case .failure(let failure):
            throw HostFailure("no cell can be built or the probe fails in it: \(failure.detail)")
        case .success(let output):
            let pairs = String(buffer: output.body).split(separator: "\n").map {
                $0.split(separator: "=", maxSplits: 1)
            }
            return Dictionary(pairs.filter { $0.count == 2 }.map { (String($0[0]), String($0[1])) }) { first, _ in first
            }
        }
    }

    /// Looks at a living worker's namespaces from outside and compares them with this process's.
    private func namespaces() throws -> [Finding] {
        let names = ["pid", "mnt", "ipc", "uts", "net", "cgroup"] + (features.isRoot ? [] : ["user"])
        guard let version = try heldVersion() else { return [] }
        let stdin = try OwnedDescriptor.pipe(), stdout = try OwnedDescriptor.pipe()
        let input = OwnedDescriptor(owning: stdin.write), output = OwnedDescriptor(owning: stdout.read)
        let childInput = OwnedDescriptor(owning: stdin.read), childOutput = OwnedDescriptor(owning: stdout.write)
        let shared = Shared()
        let cell = try host.launcher.launch(
            plan: try host.deployment.plan(for: version), stdin: childInput, stdout: childOutput, stderr: childOutput
        ) { event in
            switch event {
            case .started(let pid, _, _): shared.tell(pid)
            case .failed: shared.tell(0)
            case .refused, .cleared, .locked, .connected, .exited, .gone: break
            }
        }
        defer { host.launcher.kill(cell) }
        guard shared.wait() > 0 else { throw HostFailure("no cell can be built") }
        var byte: UInt8 = 0
        _ = read(output.number, &byte, 1)  // its first byte: the exec is over
        defer { withExtendedLifetime(input.number) {} }
        return names.map { name in
            let theirs = link("/proc/\(shared.pid)/ns/\(name)"), ours = link("/proc/self/ns/\(name)")
            return Finding(
                "\(name) namespace", theirs != nil && theirs != ours,
                else: theirs == nil ? "it cannot be read" : "shared with the host")
        }
    }

    private func link(_ path: String) -> String? { try? FileManager.default.destinationOfSymbolicLink(atPath: path) }

    private func heldVersion() throws -> FunctionVersion? {
        _ = try? invoke("hold")  // deploys it; its event ends at once
        return FunctionName("probe-hold").flatMap { host.catalogue.snapshot.latest($0) }
    }

    /// The worker's pid, handed from the launcher's thread to this one.
    private final class Shared: Sendable {
        private let value = Mutex<Int32>(0)
        private let started = DispatchSemaphore(value: 0)

        var pid: Int32 { value.withLock { $0 } }

        func tell(_ pid: Int32) {
            value.withLock { $0 = pid }
            started.signal()
        }

        func wait() -> Int32 {
            started.wait()
            return pid
        }
    }
}
