/// The manifest's fields by name, for its two spellings: YAML (`limits.memory`) and an upload's query (`memory`).
struct ManifestField: Sendable {
    enum Value: Sendable {
        case text(String)
        case list([String])
        case table([String: String])
    }

    let path: String
    /// What a right value looks like, for error messages.
    let accepts: String
    /// Returns false when the value is not accepted.
    let set: @Sendable (inout Manifest, Value) -> Bool

    /// The field's name in an upload's query; grants have none there, so that none slips in with an upload's URL.
    var queryName: String? { path.hasPrefix("allow.") ? nil : path.split(separator: ".").last.map(String.init) }

    static let all: [ManifestField] = [
        text("name", accepts: FunctionName.rule) { manifest, text in
            manifest.name = FunctionName(text)
            return manifest.name != nil
        },
        word("runtime", \.runtime),
        text("run", accepts: "a path inside the bundle, such as ./thumbnail") { manifest, text in
            manifest.run = BundlePath(text)?.text
            return manifest.run != nil
        },
        text("handler", accepts: "module.function, such as app.lambda_handler or src/handlers/app.lambda_handler") {
            manifest, text in
            guard let handler = PythonHandler(text) else { return false }
            manifest.handler = handler.text
            return true
        },
        text(
            "root",
            accepts: Manifest.Root.own.joined(separator: ", ") + ", or the name of a root that the operator prepared"
        ) {
            manifest, text in
            guard let root = Manifest.Root(text) else { return false }
            manifest.root = root
            return true
        },
        list("args", accepts: "up to 128 strings without NUL", \.args) { list in
            list.count <= 128 && list.allSatisfy(isPlain)
        },
        word("mode", \.mode),
        word("auth", \.auth),
        text("lock", accepts: "true, false") { manifest, text in
            manifest.lock = text == "true"
            return text == "true" || text == "false"
        },
        ManifestField(path: "env", accepts: "NAME: value pairs, up to 128, names out of A-Z, a-z, 0-9 and _") {
            guard case .table(let table) = $1, table.count <= 128,
                table.allSatisfy({ isVariable($0.key) && isPlain($0.value) })
            else { return false }
            $0.env = table
            return true
        },
        time("limits.wall", \.limits.wall, 1...900_000),
        time("limits.init", \.limits.initialization, 1...900_000),
        time("limits.cpu", \.limits.cpu, 1...900_000),
        size("limits.memory", \.limits.memory, (1 << 20)...(1 << 40)),
        number("limits.processes", \.limits.processes, 1...4096),
        number("limits.threads", \.limits.threads, 1...4096),
        size("limits.output", \.limits.output, 0...(64 << 20)),
        size("limits.log", \.limits.log, 0...(64 << 20)),
        size("limits.scratch", \.limits.effectiveScratch, 0...(1 << 40)),
        number("concurrency.max", \.concurrency.max, 1...10_000),
        number("concurrency.warm", \.concurrency.warm, 0...10_000),
        number("concurrency.reuse", \.concurrency.reuse, 1...1_000_000_000),
        time("concurrency.idle", \.concurrency.idle, 0...86_400_000),
        ManifestField(
            path: "allow.files.read", accepts: "a list of absolute host paths, but not /, /proc, /sys or /dev"
        ) {
            guard case .list(let list) = $1, list.count <= 32 else { return false }
            $0.allow.filesRead = list.compactMap(grantablePath)
            return $0.allow.filesRead.count == list.count
        },
    ]

    static let byPath = Dictionary(uniqueKeysWithValues: all.map { ($0.path, $0) })
    static let byQueryName = Dictionary(
        uniqueKeysWithValues: all.compactMap { field in field.queryName.map { ($0, field) } })
}

// MARK: - Kinds of field

extension ManifestField {
    private static func text(
        _ path: String, accepts: String, _ set: @escaping @Sendable (inout Manifest, String) -> Bool
    ) -> ManifestField {
        ManifestField(path: path, accepts: accepts) {
            guard case .text(let text) = $1 else { return false }
            return set(&$0, text)
        }
    }

    private static func word<Word: RawRepresentable<String> & CaseIterable & Sendable>(
        _ path: String, _ key: any WritableKeyPath<Manifest, Word> & Sendable
    ) -> ManifestField {
        text(path, accepts: Word.allCases.map(\.rawValue).joined(separator: ", ")) {
            guard let word = Word(rawValue: $1) else { return false }
            $0[keyPath: key] = word
            return true
        }
    }

    private static func list(
        _ path: String, accepts: String, _ key: any WritableKeyPath<Manifest, [String]> & Sendable,
        _ check: @escaping @Sendable ([String]) -> Bool
    ) -> ManifestField {
        ManifestField(path: path, accepts: accepts) {
            guard case .list(let list) = $1, check(list) else { return false }
            $0[keyPath: key] = list
            return true
        }
    }

    private static func time(
        _ path: String, _ key: any WritableKeyPath<Manifest, TimeLimit> & Sendable, _ range: ClosedRange<Int>
    ) -> ManifestField {
        time(path, range) { $0[keyPath: key] = $1 }
    }

    private static func time(
        _ path: String, _ key: any WritableKeyPath<Manifest, TimeLimit?> & Sendable, _ range: ClosedRange<Int>
    ) -> ManifestField {
        time(path, range) { $0[keyPath: key] = $1 }
    }

    private static func time(
        _ path: String, _ range: ClosedRange<Int>, _ set: @escaping @Sendable (inout Manifest, TimeLimit) -> Void
    ) -> ManifestField {
        let low = TimeLimit(milliseconds: range.lowerBound), high = TimeLimit(milliseconds: range.upperBound)
        return text(path, accepts: "\(TimeLimit.rule), from \(low) to \(high)") {
            guard let time = TimeLimit($1) ?? ($1 == "0" ? TimeLimit(milliseconds: 0) : nil),
                range.contains(time.milliseconds)
            else { return false }
            set(&$0, time)
            return true
        }
    }

    private static func size(
        _ path: String, _ key: any WritableKeyPath<Manifest, ByteSize> & Sendable, _ range: ClosedRange<Int>
    ) -> ManifestField {
        let low = ByteSize(bytes: range.lowerBound), high = ByteSize(bytes: range.upperBound)
        return text(path, accepts: "\(ByteSize.rule), from \(low) to \(high)") {
            guard let size = ByteSize($1), range.contains(size.bytes) else { return false }
            $0[keyPath: key] = size
            return true
        }
    }

    private static func number(
        _ path: String, _ key: any WritableKeyPath<Manifest, Int> & Sendable, _ range: ClosedRange<Int>
    ) -> ManifestField {
        number(path, range) { $0[keyPath: key] = $1 }
    }

    private static func number(
        _ path: String, _ key: any WritableKeyPath<Manifest, Int?> & Sendable, _ range: ClosedRange<Int>
    ) -> ManifestField {
        number(path, range) { $0[keyPath: key] = $1 }
    }

    private static func number(
        _ path: String, _ range: ClosedRange<Int>, _ set: @escaping @Sendable (inout Manifest, Int) -> Void
    ) -> ManifestField {
        text(path, accepts: "a whole number from \(range.lowerBound) to \(range.upperBound)") {
            guard let number = parseDigits($1), range.contains(number) else { return false }
            set(&$0, number)
            return true
        }
    }
}

// MARK: - Checks

/// No NUL, which would end a C string early, and no more than the launcher's plan can carry.
private func isPlain(_ text: String) -> Bool { text.utf8.count <= 32_768 && !text.utf8.contains(0) }

private func isVariable(_ name: String) -> Bool { isIdentifier(name[...]) && !name.hasPrefix("BULKHEAD_") }

func isIdentifier(_ text: Substring) -> Bool {
    guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first), text.utf8.count <= 255
    else { return false }
    return text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

/// `path` as it is mounted, without a slash at its end; nil when it cannot be granted.
private func grantablePath(_ path: String) -> String? {
    guard path.isAbsolutePath, let plain = BundlePath(String(Substring(path.utf8.dropFirst()))),
        !["proc", "sys", "dev"].contains(plain.components[0]), !["function", "runtime", "tmp"].contains(plain.text)
    else { return nil }
    return "/" + plain.text
}
