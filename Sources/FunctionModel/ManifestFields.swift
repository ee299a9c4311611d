import WireText

/// One field of the manifest: all that is known of it. Both ways of reading (YAML as `limits.memory`, an upload's query as `memory`),
/// the JSON of the API and the catalogue, the YAML that `policy learn` writes, and the API's description come from the table below.
package struct ManifestField: Sendable {
    package enum Value: Sendable, Hashable {
        case text(String)
        case number(Int)
        case flag(Bool)
        case list([String])
        case table([String: String])
    }

    /// What is written for it.
    package enum Kind: Sendable, Hashable {
        case text
        /// One of these.
        case words([String])
        /// With a unit.
        case quantity
        case number(ClosedRange<Int>)
        case flag
        case list
        case table
    }

    package let path: String
    package let kind: Kind
    /// What it means, in a few words.
    package let about: String
    /// What a right value looks like, for error messages.
    package let accepts: String
    /// As the API shows it, defaults and all; nil: not there.
    let shown: @Sendable (Manifest) -> Value?
    /// As a person would write it: nil where nobody has asked for it.
    var written: @Sendable (Manifest) -> Value?
    /// Whether it is written even where it is the default.
    var isAlwaysWritten = false
    /// Returns false when the value is not accepted.
    let set: @Sendable (inout Manifest, Value) -> Bool

    /// The field's name in an upload's query; grants have none there, so that none slips in with an upload's URL.
    package var queryName: String? { path.hasPrefix("allow.") ? nil : key }
    /// `limits` of `limits.memory`; nil at the top.
    package var group: String? { parts.count > 1 ? String(parts[0]) : nil }
    /// The rest.
    package var key: String { String(parts.last ?? "") }
    private var parts: [Substring] { path.split(separator: ".", maxSplits: 1) }

    init(
        _ path: String, _ kind: Kind, about: String, accepts: String,
        shown: @escaping @Sendable (Manifest) -> Value?,
        set: @escaping @Sendable (inout Manifest, Value) -> Bool
    ) {
        self.path = path
        self.kind = kind
        self.about = about
        self.accepts = accepts
        self.shown = shown
        self.set = set
        written = shown
    }

    /// The table. A new key is a property of `Manifest` and a line here.
    package static let all: [ManifestField] = [
        text("name", "the function's name", accepts: FunctionName.rule, { $0.name?.text }) {
            $0.name = FunctionName($1)
            return $0.name != nil
        },
        text("description", "for people", accepts: "one line of up to 256 bytes", { $0.about }) {
            $0.about = $1
            return $1.utf8.count <= 256 && !$1.utf8.contains { $0 < 0x20 }
        },
        word(
            "runtime",
            "what runs it: native an ELF file or a script, python a handler, provided a program that asks at AWS_LAMBDA_RUNTIME_API as AWS Lambda's custom runtimes do",
            \.runtime),
        text(
            "run", "file name inside the bundle; with runtime: provided bootstrap, unless it is said",
            accepts: "a path inside the bundle, such as ./thumbnail",
            { $0.run.map { "./" + $0 } }
        ) {
            $0.run = BundlePath($1)?.text
            return $0.run != nil
        },
        text(
            "handler", "module.function, with runtime: python; with runtime: provided what _HANDLER says",
            accepts: "module.function, such as app.lambda_handler or src/handlers/app.lambda_handler", { $0.handler }
        ) {
            // What a custom runtime makes of it is its own affair.
            guard Manifest.isHandler($1) else { return false }
            $0.handler = PythonHandler($1)?.text ?? $1
            return true
        },
        text(
            "root",
            "what the cell shows of the host's programs: auto is minimal for a static ELF and system for all else; or the name of a root that the operator prepared, with nothing of the host's programs",
            accepts: Manifest.Root.own.joined(separator: ", ") + ", or the name of a root that the operator prepared",
            { $0.root.text }
        ) {
            guard let root = Manifest.Root($1) else { return false }
            $0.root = root
            return true
        },
        list("args", "argv after argv[0]; may be repeated", accepts: "up to 128 strings without NUL", \.args) {
            $0.count <= 128 && $0.allSatisfy(isPlain)
        },
        word(
            "mode", "a process per invocation, one for many, or a fork per invocation of one that has said ready",
            \.mode),
        word("auth", "what /fn/ asks for", \.auth),
        flag("lock", "once it has said ready: no open, exec, fork and signals", \.lock),
        flag("stream", "its answers go out while they are made, at /fn/ and routes", \.stream),
        ManifestField(
            "labels", .table, about: "NAME=value: notes of whoever deploys it; may be repeated",
            accepts: "NAME: text pairs, up to 64, names out of A-Z, a-z, 0-9, _, - and ., values up to 512 bytes",
            shown: { $0.labels.isEmpty ? nil : .table($0.labels) }
        ) {
            guard case .table(let table) = $1, table.count <= 64,
                table.allSatisfy({ name, value in
                    (1...64).contains(name.utf8.count) && name.isMade(of: "._-") && value.utf8.count <= 512
                        && isPlain(value)
                })
            else { return false }
            $0.labels = table
            return true
        },
        flag("report", "its log has START, END and REPORT lines, as Lambda's", \.report).shownOnly {
            $0.report ? .flag(true) : nil
        },
        ManifestField(
            "env", .table, about: "NAME=value; may be repeated",
            accepts: "NAME: value pairs, up to 128, names out of A-Z, a-z, 0-9 and _", shown: { .table($0.env) }
        ) {
            guard case .table(let table) = $1, table.count <= 128,
                table.allSatisfy({ isVariable($0.key) && isPlain($0.value) })
            else { return false }
            $0.env = table
            return true
        },
        time("limits.wall", "an invocation's time, such as 3s", 1...900_000, { $0.limits.wall }) {
            $0.limits.wall = $1
        },
        time("limits.init", "until a reactor says ready", 1...900_000, { $0.limits.initialization }) {
            $0.limits.initialization = $1
        },
        time(
            "limits.cpu", "CPU time of an invocation; by default as long as wall", 1...900_000,
            { $0.limits.effectiveCPU }
        ) {
            $0.limits.cpu = $1
        }.writtenOnly { $0.limits.cpu.map { .text("\($0)") } },
        size("limits.memory", "all that the cell touches, such as 128MiB", (1 << 20)...(1 << 40), { $0.limits.memory })
        {
            $0.limits.memory = $1
        }.always(),
        // Written even at 1: a script's default is 16.
        number("limits.processes", "processes at once", 1...4096, { $0.limits.effectiveProcesses }) {
            $0.limits.processes = $1
        }.always(),
        number(
            "limits.threads", "threads at once", 1...4096,
            { $0.limits.threads ?? ($0.limits.effectiveProcesses == 1 ? $0.limits.effectiveThreads : nil) }
        ) { $0.limits.threads = $1 }.writtenOnly { $0.limits.threads.map(Value.number) },
        size(
            "limits.output", "stdout of one invocation; with stream: true by default 200MiB, and more than 64MiB",
            0...(1 << 40), { $0.effectiveOutput }
        ) { $0.limits.output = $1 }
        .writtenOnly { $0.limits.output.map { .text("\($0)") } },
        size("limits.log", "stderr of one invocation", 0...(64 << 20), { $0.limits.log }) { $0.limits.log = $1 },
        size(
            "limits.scratch", "writable, executable /tmp, part of memory; by default 64MiB, of a snapshot none",
            0...(1 << 40), { $0.effectiveScratch }
        ) { $0.limits.scratch = $1 }
        .writtenOnly { $0.mode == .snapshot ? nil : .text("\($0.limits.effectiveScratch)") }.always(),
        number("concurrency.max", "invocations at once", 1...10_000, { $0.concurrency.max }) {
            $0.concurrency.max = $1
        },
        number("concurrency.warm", "workers kept started", 0...10_000, { $0.concurrency.warm }) {
            $0.concurrency.warm = $1
        },
        number("concurrency.reuse", "invocations of one reactor", 1...1_000_000_000, { $0.concurrency.reuse }) {
            $0.concurrency.reuse = $1
        },
        time("concurrency.idle", "idle time of a reactor", 0...86_400_000, { $0.concurrency.idle }) {
            $0.concurrency.idle = $1
        },
        number("async.retries", "further attempts after a failure", 0...100, { $0.async.retries }) {
            $0.async.retries = $1
        },
        time("async.backoff", "before the first of them; doubled for each", 0...86_400_000, { $0.async.backoff }) {
            $0.async.backoff = $1
        },
        time(
            "async.maxAge", "what was accepted longer ago is not tried any more", 1000...604_800_000,
            { $0.async.maxAge }
        ) {
            $0.async.maxAge = $1
        },
        destination("async.onSuccess", "told of each that ended well", \.async.onSuccess),
        destination("async.onFailure", "told of each that ended in the dead letters", \.async.onFailure),
        text(
            "async.signedWith", "the stored secret that signs what goes to a webhook", accepts: SecretName.rule,
            { $0.async.signedWith }
        ) {
            $0.async.signedWith = $1
            return SecretName.isName($1)
        },
        ManifestField(
            "secrets", .table, about: "NAME=SECRET: variables that carry stored secrets; may be repeated",
            accepts: "VARIABLE: name-of-a-stored-secret pairs, up to 64",
            shown: { $0.secrets.isEmpty ? nil : .table($0.secrets) }
        ) {
            guard case .table(let table) = $1, table.count <= 64,
                table.allSatisfy({ isVariable($0.key) && SecretName.isName($0.value) })
            else { return false }
            $0.secrets = table
            return true
        },
        word("secretsAs", "secrets as variables, or as JSON behind the descriptor BULKHEAD_SECRETS_FD", \.secretsAs)
            .shownOnly { $0.secretsAs == .environment ? nil : .text($0.secretsAs.rawValue) },
        ManifestField(
            "allow.files.read", .list, about: "host files and folders that it may read",
            accepts: "a list of absolute host paths, but not /, /proc, /sys or /dev",
            shown: { $0.allow.filesRead.isEmpty ? nil : .list($0.allow.filesRead) }
        ) {
            guard case .list(let list) = $1, list.count <= 32 else { return false }
            $0.allow.filesRead = list.compactMap(grantablePath)
            return $0.allow.filesRead.count == list.count
        },
        word(
            "allow.network", "what it reaches over TCP: nothing, or itself over 127.0.0.1 and ::1",
            \.allow.network
        ).shownOnly { $0.allow.network == .none ? nil : .text($0.allow.network.rawValue) },
    ]

    static let byPath = Dictionary(uniqueKeysWithValues: all.map { ($0.path, $0) })
    static let byQueryName = Dictionary(
        uniqueKeysWithValues: all.compactMap { field in field.queryName.map { ($0, field) } })
    /// In the table's order; those at the top under "".
    package static let groups: [(name: String, fields: [ManifestField])] = {
        let names = all.map { $0.group ?? "" }
        return names.enumerated().filter { names.firstIndex(of: $0.element) == $0.offset }.map { group in
            (group.element, all.filter { ($0.group ?? "") == group.element })
        }
    }()
}

// MARK: - Kinds of field

extension ManifestField {
    private typealias Set<Content> = @Sendable (inout Manifest, Content) -> Void

    fileprivate func always() -> ManifestField {
        var field = self
        field.isAlwaysWritten = true
        return field
    }

    fileprivate func shownOnly(_ shown: @escaping @Sendable (Manifest) -> Value?) -> ManifestField {
        var field = ManifestField(path, kind, about: about, accepts: accepts, shown: shown, set: set)
        field.isAlwaysWritten = isAlwaysWritten
        return field
    }

    fileprivate func writtenOnly(_ written: @escaping @Sendable (Manifest) -> Value?) -> ManifestField {
        var field = self
        field.written = written
        return field
    }

    /// - Parameter set: false when the text is not accepted.
    private static func text(
        _ path: String, kind: Kind = .text, _ about: String, accepts: String,
        _ get: @escaping @Sendable (Manifest) -> String?,
        _ set: @escaping @Sendable (inout Manifest, String) -> Bool
    ) -> ManifestField {
        ManifestField(path, kind, about: about, accepts: accepts, shown: { get($0).map(Value.text) }) {
            guard case .text(let text) = $1 else { return false }
            return set(&$0, text)
        }
    }

    private static func word<Word: RawRepresentable<String> & CaseIterable & Sendable>(
        _ path: String, _ about: String, _ key: any WritableKeyPath<Manifest, Word> & Sendable
    ) -> ManifestField {
        let words = Word.allCases.map(\.rawValue)
        return text(
            path, kind: .words(words), about, accepts: words.joined(separator: ", "), { $0[keyPath: key].rawValue }
        ) {
            guard let word = Word(rawValue: $1) else { return false }
            $0[keyPath: key] = word
            return true
        }
    }

    private static func flag(
        _ path: String, _ about: String, _ key: any WritableKeyPath<Manifest, Bool> & Sendable
    ) -> ManifestField {
        ManifestField(path, .flag, about: about, accepts: "true, false", shown: { .flag($0[keyPath: key]) }) {
            guard case .text(let text) = $1, text == "true" || text == "false" else { return false }
            $0[keyPath: key] = text == "true"
            return true
        }
    }

    private static func destination(
        _ path: String, _ about: String, _ key: any WritableKeyPath<Manifest, Destination?> & Sendable
    ) -> ManifestField {
        text(path, about, accepts: "\(Destination.rule), or null", { $0[keyPath: key]?.text }) {
            guard !["null", "~", ""].contains($1) else {
                $0[keyPath: key] = nil
                return true
            }
            $0[keyPath: key] = Destination($1)
            return $0[keyPath: key] != nil
        }
    }

    private static func list(
        _ path: String, _ about: String, accepts: String, _ key: any WritableKeyPath<Manifest, [String]> & Sendable,
        _ check: @escaping @Sendable ([String]) -> Bool
    ) -> ManifestField {
        ManifestField(path, .list, about: about, accepts: accepts, shown: { .list($0[keyPath: key]) }) {
            guard case .list(let list) = $1, check(list) else { return false }
            $0[keyPath: key] = list
            return true
        }
    }

    /// - Parameter range: in milliseconds.
    private static func time(
        _ path: String, _ about: String, _ range: ClosedRange<Int>,
        _ get: @escaping @Sendable (Manifest) -> TimeLimit, _ set: @escaping Set<TimeLimit>
    ) -> ManifestField {
        let low = TimeLimit(milliseconds: range.lowerBound), high = TimeLimit(milliseconds: range.upperBound)
        let accepts = "\(TimeLimit.rule), from \(low) to \(high)"
        return text(path, kind: .quantity, about, accepts: accepts, { "\(get($0))" }) {
            guard let time = TimeLimit($1) ?? ($1 == "0" ? TimeLimit(milliseconds: 0) : nil),
                range.contains(time.milliseconds)
            else { return false }
            set(&$0, time)
            return true
        }
    }

    /// - Parameter range: in bytes.
    private static func size(
        _ path: String, _ about: String, _ range: ClosedRange<Int>,
        _ get: @escaping @Sendable (Manifest) -> ByteSize, _ set: @escaping Set<ByteSize>
    ) -> ManifestField {
        let low = ByteSize(bytes: range.lowerBound), high = ByteSize(bytes: range.upperBound)
        let accepts = "\(ByteSize.rule), from \(low) to \(high)"
        return text(path, kind: .quantity, about, accepts: accepts, { "\(get($0))" }) {
            guard let size = ByteSize($1), range.contains(size.bytes) else { return false }
            set(&$0, size)
            return true
        }
    }

    private static func number(
        _ path: String, _ about: String, _ range: ClosedRange<Int>, _ get: @escaping @Sendable (Manifest) -> Int?,
        _ set: @escaping Set<Int>
    ) -> ManifestField {
        ManifestField(
            path, .number(range), about: about,
            accepts: "a whole number from \(range.lowerBound) to \(range.upperBound)",
            shown: { get($0).map(Value.number) }
        ) {
            guard case .text(let text) = $1, let number = parseDigits(text), range.contains(number) else {
                return false
            }
            set(&$0, number)
            return true
        }
    }
}

// MARK: - Checks

/// No NUL, which would end a C string early, and no more than the launcher's plan can carry.
private func isPlain(_ text: String) -> Bool { text.utf8.count <= 32_768 && !text.utf8.contains(0) }

private func isVariable(_ name: String) -> Bool { isIdentifier(name[...]) && !name.hasPrefix("BULKHEAD_") }

/// `path` as it is mounted, without a slash at its end; nil when it cannot be granted.
private func grantablePath(_ path: String) -> String? {
    guard path.isAbsolutePath, let plain = BundlePath(String(Substring(path.utf8.dropFirst()))),
        !["proc", "sys", "dev"].contains(plain.components[0]), !["function", "runtime", "tmp"].contains(plain.text)
    else { return nil }
    return "/" + plain.text
}
