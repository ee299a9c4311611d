/// What a function is and may do: `function.yaml`, or the query of an upload. Every field is in the contract's words.
@dynamicMemberLookup
package struct Manifest: Sendable, Hashable {
    package enum Runtime: String, Sendable, CaseIterable {
        /// An ELF file or a `#!` script.
        case native
        /// A Lambda-style handler in CPython.
        case python
        /// A Lambda custom runtime.
        case provided
    }

    package enum Mode: String, Sendable, CaseIterable {
        /// A fresh process per invocation.
        case command
        /// One process, many invocations, one at a time.
        case reactor
        /// Each invocation in a fork of one process that has said ready.
        case snapshot
    }

    package typealias Root = RootChoice

    package enum Auth: String, Sendable, CaseIterable {
        case token
        case none
    }

    /// How a worker gets its secrets.
    package enum SecretsAs: String, Sendable, CaseIterable {
        /// Each as a variable.
        case environment
        /// All of them as a JSON object, behind an open descriptor whose number is in BULKHEAD_SECRETS_FD.
        case descriptor
    }

    package struct Limits: Sendable, Hashable {
        /// An invocation's time.
        package var wall = TimeLimit.seconds(3)
        /// Until a reactor says ready.
        package var initialization = TimeLimit.seconds(10)
        /// CPU time an invocation may use; nil = `wall`.
        package var cpu: TimeLimit?
        /// Everything the cell touches, tmpfs included.
        package var memory = ByteSize.mebibytes(128)
        /// Processes at once; nil = 1, for a script 16 (see `allowPipelines`).
        package var processes: Int?
        /// Threads at once; nil = 64 for one process. With more processes threads count as processes unless given.
        package var threads: Int?
        /// stdout of one invocation; nil: see `Manifest.effectiveOutput`.
        package var output: ByteSize?
        /// stderr of one invocation.
        package var log = ByteSize(bytes: 256 << 10)
        /// Writable /tmp; 0 = none; nil = 64 MiB, but for a snapshot none.
        package var scratch: ByteSize?

        package init() {}

        package var effectiveCPU: TimeLimit { cpu ?? wall }
        package var effectiveProcesses: Int { processes ?? 1 }
        package var effectiveThreads: Int { threads ?? 64 }
        package static let usualScratch = ByteSize.mebibytes(64)
        package var effectiveScratch: ByteSize {
            get { scratch ?? Self.usualScratch }
            set { scratch = newValue }
        }

        fileprivate mutating func spellOut() {
            cpu = effectiveCPU
            processes = effectiveProcesses
            if processes == 1 { threads = effectiveThreads }
        }

        /// Tasks (threads of all processes) the cell's pids limit allows.
        package var tasks: Int {
            effectiveProcesses == 1 ? effectiveThreads : effectiveProcesses + (threads ?? 0)
        }
    }

    package struct Concurrency: Sendable, Hashable {
        /// Invocations at once; more are `throttled`.
        package var max = 100
        /// Workers kept started.
        package var warm = 0
        /// Invocations after which a reactor is replaced.
        package var reuse = 1000
        /// Idle time after which a reactor ends.
        package var idle = TimeLimit.seconds(60)

        package init() {}
    }

    /// What a cell reaches over a network.
    package enum Network: String, Sendable, CaseIterable {
        /// Nothing: it can open no socket.
        case none
        /// Itself, over 127.0.0.1 and ::1, and nothing else.
        case loopback
    }

    package struct Grants: Sendable, Hashable {
        /// Host files and folders the cell may read, absolute.
        package var filesRead: [String] = []
        package var network = Network.none

        package init() {}
    }

    /// What is run, and with what.
    package struct Program: Sendable, Hashable {
        package var runtime = Runtime.native
        /// Path of the executable inside the bundle; for `native` and `provided`.
        package var run: String?
        /// `module.function`; for `python`.
        package var handler: String?
        package var args: [String] = []
        package var env: [String: String] = [:]
        /// Names of stored secrets by those of the variables that carry them, or of the members that do.
        package var secrets: [String: String] = [:]
        package var secretsAs = SecretsAs.environment
        /// Whether its log tells each invocation's begin and end, as Lambda's does.
        package var report = false
        /// What others note of it; nothing here goes by it, but those of Lambda's, see `LambdaLabel`.
        package var labels: [String: String] = [:]
    }

    package var name: FunctionName?
    /// For people who look at it in a list.
    package var about: String?
    package var program = Program()
    package var root = Root.auto
    package var mode = Mode.command
    package var auth = Auth.token
    package var limits = Limits()
    package var concurrency = Concurrency()
    /// Whether its answer goes out while it is made, where somebody can take it so.
    package var stream = false
    /// Once a reactor or snapshot has said ready, a second filter leaves it no open, exec, fork and signals.
    package var lock = false
    package var allow = Grants()
    package var async = AsyncRules()

    /// In the manifest itself all these keys stand side by side.
    package subscript<Value>(dynamicMember path: WritableKeyPath<Program, Value>) -> Value {
        get { program[keyPath: path] }
        set { program[keyPath: path] = newValue }
    }

    package init() {}

    /// Writes the defaults that depend on other fields into their places, so that equal manifests compare equal.
    package mutating func spellOut() {
        limits.spellOut()
        limits.scratch = effectiveScratch
        limits.output = effectiveOutput
    }

    /// The largest answer that is held as a whole.
    package static let longestWhole = ByteSize.mebibytes(64)
    private static let (usualOutput, usualStream) = (ByteSize.mebibytes(6), ByteSize.mebibytes(200))
    package var effectiveOutput: ByteSize { limits.output ?? (stream ? Self.usualStream : Self.usualOutput) }

    /// What a script gets that asks for nothing else: processes for its commands; and an interpreter that starts threads (a JVM
    /// has twenty) is not kept from it by that.
    package mutating func allowPipelines() {
        guard limits.processes == nil else { return }
        limits.processes = 16
        limits.threads = limits.effectiveThreads
    }

    /// None unless asked for where it does harm: a snapshot's invocations share a cell, and would find each other's files; and
    /// what is granted below /tmp would lie under it.
    package var effectiveScratch: ByteSize {
        limits.scratch == nil && (mode == .snapshot || grantsBelowScratch)
            ? ByteSize(bytes: 0) : limits.effectiveScratch
    }

    /// Whether its cells have a network of their own: what asks for its events by HTTP needs one.
    package var hasLoopback: Bool { allow.network == .loopback || program.runtime == .provided }

    /// What a custom runtime may be told to run: a word of up to 128 bytes.
    package static func isHandler(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    package var grantsBelowScratch: Bool { allow.filesRead.contains { $0.isPath(below: "/tmp") } }
}

/// Why a manifest was refused: a sentence that names the place and what is accepted.
package struct ManifestError: Error, Hashable, CustomStringConvertible {
    package let message: String

    package init(_ message: String) { self.message = message }

    package var description: String { message }
}
