package import FunctionModel
import Sandbox
import Synchronization

/// A kind of system call that a function's workers made and were refused.
package struct Refusal: Sendable, Hashable, Encodable {
    package let syscall: String
    /// What the call returned, by name.
    package let errno: String
    /// Since the host started or the function was made, whichever was later. Of a worker that was killed, at least half.
    package var count: UInt64
    /// What in the manifest would have let it through.
    package let grant: String?
}

/// What was refused to each function, in memory.
package final class RefusalLedger: Sendable {
    private struct Key: Hashable {
        let syscall: String
        let errno: String
    }

    /// A tenant chooses which calls it makes; beyond so many kinds they count as "other".
    private static let maxKinds = 128
    private let functions = Mutex<[FunctionName: [Key: Refusal]]>([:])

    package init() {}

    /// - Parameter call: its count is how many came new.
    /// - Returns: the kind as it is counted.
    func add(_ call: RefusedCall, of version: FunctionVersion) -> Refusal {
        let name = version.name
        return functions.withLock { functions in
            let kinds = functions[name] ?? [:]
            var key = Key(syscall: call.name, errno: call.errnoText)
            if kinds[key] == nil, kinds.count >= Self.maxKinds { key = Key(syscall: "other", errno: "any") }
            let grant = SeccompProfile.grant(
                for: key.syscall, refusedWith: key.errno, under: version.manifest)
            var refusal =
                kinds[key] ?? Refusal(syscall: key.syscall, errno: key.errno, count: 0, grant: grant)
            refusal.count += call.count
            functions[name, default: [:]][key] = refusal
            return refusal
        }
    }

    /// The most frequent first.
    package func all(of name: FunctionName) -> [Refusal] {
        let kinds = functions.withLock { Array(($0[name] ?? [:]).values) }
        return kinds.sorted { ($1.count, $0.syscall, $0.errno) < ($0.count, $1.syscall, $1.errno) }
    }

    func remove(_ name: FunctionName) { functions.withLock { $0[name] = nil } }
}
