import Foundation
package import FunctionModel

/// Finds the smallest manifest under which a function still gives the same result: by trying, not by guessing.
package struct PolicyLearner {
    /// What one invocation under some manifest showed.
    package struct Trial {
        package var outcome: Outcome
        package var detail: String
        package var body: [UInt8]
        package var wall: Duration
        package var memoryBytes: Int
        /// Paths that the function looked for; only while observing.
        package var paths: Set<String>

        package init(
            outcome: Outcome, detail: String, body: [UInt8], wall: Duration, memoryBytes: Int, paths: Set<String>
        ) {
            self.outcome = outcome
            self.detail = detail
            self.body = body
            self.wall = wall
            self.memoryBytes = memoryBytes
            self.paths = paths
        }
    }

    /// Invokes the function once under a manifest. `observing`: nothing is denied, only refused, and paths are told.
    package typealias Attempt = (_ manifest: Manifest, _ observing: Bool) throws -> Trial

    package struct Failed: Error {
        package let message: String
    }

    private let attempt: Attempt
    /// Whether a path is one that a grant can and must bring in.
    private let isCandidate: (String) -> Bool

    package init(attempt: @escaping Attempt, isCandidate: @escaping (String) -> Bool) {
        self.attempt = attempt
        self.isCandidate = isCandidate
    }

    private static let maxRounds = 12
    /// Mounts are bounded in a plan, and the runtime's own take some.
    private static let maxGrants = 40
    private static let memorySteps = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096]

    /// - Parameter original: where to start; its limits and grants are not looked at.
    /// - Throws: `Failed` when the function does not work even with everything granted.
    package func learn(_ original: Manifest) throws -> Manifest {
        var wide = original
        wide.limits = Self.generous
        wide.allow.filesRead = []
        let seen = try findPaths(&wide)
        // A result that differs by itself (a time, an address) cannot be compared; then the outcome has to do.
        let isSteady = try attempt(wide, true).body == seen.body
        func works(_ manifest: Manifest) throws -> Bool {
            let trial = try attempt(manifest, false)
            return trial.outcome == .ok && (!isSteady || trial.body == seen.body)
        }
        guard try works(wide) else {
            let trial = try attempt(wide, false)
            throw Failed(message: "it works only when what no grant allows is let pass: \(trial.detail)")
        }
        var least = wide
        least.allow.filesRead = try neededGrants(wide, works)
        least.limits = Manifest.Limits()
        least.limits.effectiveScratch = try smallest(
            [0, 1, 4, 16, 64, 256].map(ByteSize.mebibytes), in: wide, \.effectiveScratch, works)
        // Threads that are given besides would let any number of processes do.
        var counted = wide
        counted.limits.threads = nil
        least.limits.processes = try smallest(
            [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64], in: counted, \.processes, works)
        if least.limits.processes == 1 {
            var single = wide
            single.limits.processes = 1
            least.limits.threads = try smallest([nil, 128, 256, 512], in: single, \.threads, works)
        }
        least.limits.wall =
            [3, 10, 30, 60].map(TimeLimit.seconds).first { $0.duration >= seen.wall * 3 } ?? .seconds(900)
        if seen.body.count > least.effectiveOutput.bytes { least.limits.output = wide.limits.output }
        return try fitMemory(least, peak: seen.memoryBytes, works)
    }

    private static var generous: Manifest.Limits {
        var limits = Manifest.Limits()
        limits.wall = .seconds(60)
        limits.initialization = .seconds(60)
        limits.memory = .mebibytes(4096)
        limits.processes = 64
        limits.threads = 512
        limits.output = .mebibytes(64)
        limits.effectiveScratch = .mebibytes(256)
        return limits
    }

    /// Grants what the function looks for until it looks for nothing more that is there.
    private func findPaths(_ wide: inout Manifest) throws -> Trial {
        for _ in 0..<Self.maxRounds {
            let trial = try attempt(wide, true)
            let new = trial.paths.subtracting(wide.allow.filesRead).filter(isCandidate)
            if new.isEmpty {
                guard trial.outcome == .ok else {
                    throw Failed(
                        message: "it fails although nothing is denied: \(trial.outcome.rawValue): \(trial.detail)")
                }
                return trial
            }
            wide.allow.filesRead = Self.condense(wide.allow.filesRead + new)
        }
        throw Failed(message: "each run looks for other files: name them under files.read yourself")
    }

    /// So many paths as fit into a plan: where there are more, the folder with the most of them stands for them.
    static func condense(_ paths: [String]) -> [String] {
        var paths = Set(paths)
        while paths.count > maxGrants {
            let folders = Dictionary(grouping: paths) { ($0 as NSString).deletingLastPathComponent }
            guard let (folder, members) = folders.filter({ $0.key != "/" }).max(by: { $0.value.count < $1.value.count })
            else { break }
            paths.subtract(members)
            paths.insert(folder)
        }
        return paths.sorted()
    }

    /// Whole folders are tried first: a stat of one is no need of all that is in it.
    private func neededGrants(_ wide: Manifest, _ works: (Manifest) throws -> Bool) throws -> [String] {
        var manifest = wide
        manifest.allow.filesRead = []
        if try works(manifest) { return [] }
        manifest = wide
        for path in wide.allow.filesRead.sorted(by: { ($0.utf8.count, $0) < ($1.utf8.count, $1) }) {
            var without = manifest
            without.allow.filesRead.removeAll { $0 == path }
            if try works(without) { manifest = without }
        }
        return manifest.allow.filesRead
    }

    private func smallest<Value>(
        _ steps: [Value], in wide: Manifest, _ limit: WritableKeyPath<Manifest.Limits, Value>,
        _ works: (Manifest) throws -> Bool
    ) throws -> Value {
        for step in steps {
            var manifest = wide
            manifest.limits[keyPath: limit] = step
            if try works(manifest) { return step }
        }
        return wide.limits[keyPath: limit]
    }

    /// A quarter above the peak seen, and more until everything together works.
    private func fitMemory(_ least: Manifest, peak: Int, _ works: (Manifest) throws -> Bool) throws -> Manifest {
        for step in Self.memorySteps where step << 20 >= peak + peak / 4 {
            var manifest = least
            manifest.limits.memory = .mebibytes(step)
            if try works(manifest) { return manifest }
        }
        throw Failed(message: "each limit works for itself, all together do not; raise them one by one")
    }
}
