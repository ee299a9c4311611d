import Foundation
import FunctionModel
import Testing

@Suite struct ManifestTests {
    @Test func readsEveryField() throws {
        let manifest = try Manifest(
            yaml: """
                name: thumbnail
                description: makes thumbnails
                run: ./bin/thumbnail
                args: [a, "b c"]
                mode: reactor
                auth: none
                env: { LOG_LEVEL: info }
                limits: { wall: 2s, init: 500ms, cpu: 1s, memory: 64MiB, processes: 4, threads: 8, output: 1MiB, log: 1KiB, scratch: 32MiB }
                concurrency: { max: 10, warm: 2, reuse: 5, idle: 1m }
                allow:
                  files.read: ["/usr/share/zoneinfo"]
                """)
        #expect(manifest.name?.text == "thumbnail" && manifest.about == "makes thumbnails")
        #expect(manifest.run == "bin/thumbnail")
        #expect(manifest.args == ["a", "b c"])
        #expect(manifest.mode == .reactor)
        #expect(manifest.auth == .none)
        #expect(manifest.limits.initialization.milliseconds == 500)
        #expect(manifest.limits.memory == .mebibytes(64))
        #expect(manifest.limits.tasks == 12)
        #expect(manifest.concurrency.idle.milliseconds == 60_000)
        #expect(manifest.allow.filesRead == ["/usr/share/zoneinfo"])
    }

    @Test(arguments: [
        ("name: x\nlimts: {}\nrun: a", "line 2"), ("run: a\nlimits:\n  memory: 64MB5", "line 3"),
        ("run: a\nlimits: { wall: -1s }", "line 2"), ("run: a\nlimits: { wall: 16m }", "15m"),
        ("run: ../a", "line 1"), ("run: /bin/sh", "line 1"), ("name: Big\nrun: a", "line 1"),
        ("run: a\nrun: b", "YAML"),
        ("{}", "run"), ("", "empty"), ("runtime: python", "handler"), ("runtime: python\nhandler: a.b\nrun: c", "run"),
        ("run: a\nhandler: b.c", "handler"), ("run: a\nallow: { files.read: [/proc] }", "files.read"),
        ("run: a\nallow: { files.read: [/] }", "files.read"),
        ("run: a\nallow: { files.read: [/etc/../proc] }", "files.read"),
        ("run: a\nallow: { files.read: [/./proc/] }", "files.read"),
        ("run: a\nallow: { files.read: [\"/etc/../\u{301}a\"] }", "files.read"),
        ("run: \"a/../\u{301}b\"", "run"),
        ("run: a\nallow: { net: [x] }", "allow.net"), ("run: a\nenv: { BULKHEAD_X: y }", "env"),
        ("run: a\nenv: { 1A: y }", "env"), ("run: a\nsecretsAs: descriptor", "without secrets"),
        ("run: a\nsecrets: { A: b }\nsecretsAs: file", "environment, descriptor"),
        ("run: a\nconcurrency: { warm: 5, max: 2 }", "warm"), ("- a", "mapping"), ("run: [a]", "line 1"),
        ("a: &x [*x]", ""),
        ("run: a\nlimits: { processes: 0 }", "processes"), ("run: a\nmode: daemon", "command, reactor"),
    ])
    func refuses(_ yaml: String, _ mention: String) {
        let error = #expect(throws: ManifestError.self) { try Manifest(yaml: yaml) }
        if !mention.isEmpty { #expect(error?.message.contains(mention) == true, "\(error?.message ?? "")") }
    }

    /// A "billion laughs" is refused where it stands, not expanded.
    @Test func refusesAliasBombs() {
        var yaml = "a: &a [x,x,x,x,x,x,x,x,x]\n"
        for (name, last) in zip("bcdefghi", "abcdefgh") {
            yaml += "\(name): &\(name) [" + Array(repeating: "*\(last)", count: 9).joined(separator: ",") + "]\n"
        }
        #expect(throws: ManifestError.self) { try Manifest(yaml: yaml) }
    }

    /// Nor as keys, which Yams compares whole; and what only looks like aliases is none.
    @Test func refusesAliasesAsKeys() throws {
        var yaml = "run: x\na0: &k0 { x: y }\n"
        for level in 1..<60 { yaml += "a\(level): &k\(level) { ? [*k\(level - 1), *k\(level - 1)] : y }\n" }
        let error = #expect(throws: ManifestError.self) { try Manifest(yaml: yaml) }
        #expect(error?.message.contains("line 3") == true, "\(error?.message ?? "")")
        let plain = try Manifest(yaml: "run: x\nargs: ['*.txt', 'a&b', '2 * 3', R&D, '*all']\n")
        #expect(plain.args == ["*.txt", "a&b", "2 * 3", "R&D", "*all"])
    }

    @Test func queryAndYAMLAgree() throws {
        let query = try Manifest(query: [
            ("mode", "reactor"), ("memory", "64MiB"), ("args", "a"), ("args", "b"), ("env", "A=b=c"), ("run", "./x"),
        ])
        let yaml = try Manifest(yaml: "run: x\nmode: reactor\nargs: [a, b]\nenv: { A: b=c }\nlimits: { memory: 64MiB }")
        #expect(query == yaml)
        #expect(throws: ManifestError.self) { try Manifest(query: [("wall", "1s"), ("wall", "2s")]) }
        #expect(throws: ManifestError.self) { try Manifest(query: [("files.read", "/etc")]) }
    }

    @Test func survivesItsOwnJSON() throws {
        var manifest = try Manifest(
            yaml: "name: a\nrun: b\nlimits: { wall: 1500ms, scratch: 1000 }\nallow: { files.read: [/usr/share] }")
        manifest.spellOut()
        let copy = try JSONDecoder().decode(Manifest.self, from: try JSONEncoder().encode(manifest))
        #expect(copy == manifest)
    }

    /// What `policy learn` prints is read as what it was: whatever the table has.
    @Test func survivesItsOwnYAML() throws {
        let manifest = try Manifest(
            yaml: """
                name: a
                description: "b: c"
                run: b
                root: minimal
                args: ["x y", "\\"quoted\\"", "#no"]
                mode: reactor
                auth: none
                lock: true
                env: { A: "1: 2" }
                secrets: { DB: db }
                secretsAs: descriptor
                limits: { wall: 1500ms, cpu: 1s, memory: 64MiB, processes: 2, threads: 9, output: 1KiB, log: 2KiB, scratch: 0 }
                concurrency: { max: 10, warm: 2, reuse: 5, idle: 90s }
                allow: { files.read: [/usr/share] }
                """)
        #expect(try Manifest(yaml: manifest.yaml) == manifest)
        let plain = try Manifest(yaml: "name: a\nrun: b")
        #expect(plain.yaml == "name: a\nrun: \"./b\"\nlimits:\n  memory: 128MiB\n  processes: 1\n  scratch: 64MiB\n")
    }

    @Test(arguments: [
        ("0", 0), ("1500", 1500), ("64MiB", 64 << 20), ("1KB", 1000), ("7B", 7), ("128Mi", 128 << 20),
        ("1.5GiB", 3 << 29), ("0.5Ki", 512),
    ])
    func sizes(_ text: String, _ bytes: Int) { #expect(ByteSize(text)?.bytes == bytes) }

    @Test(arguments: [
        "", "-1", "+1", "1.5", "1.MiB", ".5MiB", "1.0000000001MiB", "1.5.5MiB", "0.0000001KiB", "MiB", "1 MiB", "1mib",
        "64M",
        "99999999999999999999", "9223372036854775807GiB", "9223372036854775807.5Mi",
        "9223372036854775807.999999999GiB", "8589934591.999999999GiB",
    ])
    func noSizes(_ text: String) { #expect(ByteSize(text) == nil) }

    @Test(arguments: [("5", 5000), ("1.5s", 1500), ("0.25", 250), ("1.5h", 5_400_000), ("90s", 90_000), ("500ms", 500)])
    func times(_ text: String, _ milliseconds: Int) { #expect(TimeLimit(text)?.milliseconds == milliseconds) }

    @Test(arguments: ["", "-1s", "1.5ms", "1.0001s", "s", ".5s", "1.s", "1 s", "1d", "99999999999999999h"])
    func noTimes(_ text: String) { #expect(TimeLimit(text) == nil) }

    @Test(arguments: ["a", "0", "a-b", String(repeating: "z", count: 63)])
    func names(_ text: String) { #expect(FunctionName(text) != nil) }

    @Test(arguments: ["", "A", "-a", "a-", "a/b", "..", "a\0", "a_b", "é", String(repeating: "z", count: 64)])
    func noNames(_ text: String) { #expect(FunctionName(text) == nil) }

    @Test(arguments: ["", ".", "..", "/a", "a/../b", "a//b", "a/./b", "a\0b", String(repeating: "a/", count: 70) + "a"])
    func noBundlePaths(_ text: String) { #expect(BundlePath(text) == nil) }
}
