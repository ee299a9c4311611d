import Deployment
import Foundation
import FunctionModel
import Gateway
import Host

/// What `serve` goes by, of whatever source.
struct ServeSettings {
    var listen = "127.0.0.1:8080"
    var adminListen: String?
    var tls = TLS()
    var storage = Storage()
    var logLevel = "info"
    var allowDegraded: [String] = []
    var clients = Clients()
    var outgoing = Outgoing()
    /// Paths of roots that the operator has prepared, by name.
    var roots: [String: String] = [:]
    var cells = Cells()
    /// Bytes that the supervisor itself may use.
    var maxHostMemory = 512 << 20
    /// What the host holds and does at once, and what may be stored.
    var host = Supervisor.Options()

    struct Storage {
        /// Nil: the user's own.
        var data: String?
        /// A file; nil: the data directory's.
        var secretsKey: String?
    }
    struct TLS {
        var certificate: String?
        var key: String?
        var insecureHttp = false
    }
    struct Clients {
        /// Names that requests may come for: see `HostNames`.
        var hosts: [String] = []
        /// Who is believed what it says of clients.
        var proxies = Proxies.none
    }
    struct Outgoing {
        var allowed = AddressRanges.none
        var authorities: String?
        /// Where traces go.
        var traces: OutgoingURL?
    }
    struct Cells {
        var firstUid = Foundations.Options().firstUID
        var readyCells = Foundations.Options().readyCells
    }
}

/// One setting: all that is known of it. The file, the environment, `config` and what is refused come from the table of these.
struct Setting: Sendable {
    enum Kind: Sendable {
        case one
        /// In the file a list, elsewhere with commas.
        case list
        /// In the file a mapping, elsewhere `NAME=PATH` with commas.
        case table
    }

    /// As the file has it.
    let key: String
    let kind: Kind
    /// What a right value looks like.
    let accepts: String
    /// What it is where nobody says.
    let standard: String
    let about: String
    /// Returns false when the value is not accepted.
    let set: @Sendable (inout ServeSettings, String) -> Bool

    private init(
        _ key: String, _ kind: Kind = .one, accepts: String, standard: String, _ about: String,
        set: @escaping @Sendable (inout ServeSettings, String) -> Bool
    ) {
        self.key = key
        self.kind = kind
        self.accepts = accepts
        self.standard = standard
        self.about = about
        self.set = set
    }

    private typealias Slot<Value> = any WritableKeyPath<ServeSettings, Value> & Sendable

    private static func text(
        _ key: String, _ accepts: String, _ standard: String, _ about: String, _ slot: Slot<String>
    ) -> Setting {
        Setting(key, accepts: accepts, standard: standard, about) { settings, text in
            settings[keyPath: slot] = text
            return !text.isEmpty
        }
    }

    private static func optional(
        _ key: String, _ accepts: String, _ standard: String, _ about: String, _ slot: Slot<String?>
    ) -> Setting {
        Setting(key, accepts: accepts, standard: standard, about) { settings, text in
            settings[keyPath: slot] = text
            return !text.isEmpty
        }
    }

    private static func number(
        _ key: String, _ range: ClosedRange<Int>, _ standard: Int, _ about: String, _ slot: Slot<Int>
    ) -> Setting {
        Setting(
            key, accepts: "a whole number from \(range.lowerBound) to \(range.upperBound)", standard: "\(standard)",
            about
        ) { settings, text in
            guard let number = Int(text), range.contains(number) else { return false }
            settings[keyPath: slot] = number
            return true
        }
    }

    private static func size(
        _ key: String, _ range: ClosedRange<Int>, _ standard: Int?, _ about: String, _ slot: Slot<Int>
    ) -> Setting {
        let most = range.upperBound == .max ? "" : ", at most \(ByteSize(bytes: range.upperBound))"
        return Setting(
            key, accepts: "\(ByteSize.rule), at least \(ByteSize(bytes: range.lowerBound))\(most)",
            standard: standard.map { "\(ByteSize(bytes: $0))" } ?? "three quarters of the machine's memory", about
        ) { settings, text in
            guard let size = ByteSize(text), range.contains(size.bytes) else { return false }
            settings[keyPath: slot] = size.bytes
            return true
        }
    }

    private static let (anyCount, usual) = (0...1_000_000_000, ServeSettings())

    static let all: [Setting] = [
        text("listen", "HOST:PORT or unix:PATH", usual.listen, "Where clients come in; port 0 picks one", \.listen),
        optional(
            "adminListen", "HOST:PORT or unix:PATH", "the same", "Where admins and deployers come in, and clients too",
            \.adminListen),
        optional("tlsCertificate", "a PEM file", "none", "Serve HTTPS with it; needs tlsKey", \.tls.certificate),
        optional("tlsKey", "a PEM file", "none", "The certificate's key", \.tls.key),
        Setting(
            "insecureHttp", accepts: "true or false", standard: "false",
            "Listen beyond this machine without TLS, where something in front encrypts"
        ) { settings, text in
            settings.tls.insecureHttp = text == "true"
            return ["true", "false"].contains(text)
        },
        optional(
            "data", "a folder", "/var/lib/bulkhead as root, else ~/.local/share/bulkhead", "What the host knows",
            \.storage.data
        ),
        text(
            "logLevel", "trace, debug, info, notice, warning, error or critical", "info", "What is logged", \.logLevel),
        Setting(
            "hosts", .list, accepts: "names, *.example.com and * too", standard: "this machine's",
            "Further names that requests may come for"
        ) { settings, text in
            settings.clients.hosts = parts(text)
            return !settings.clients.hosts.isEmpty
        },
        Setting(
            "trustedProxies", .list, accepts: "addresses and ranges such as 10.0.0.0/8", standard: "none",
            "Who stands in front, and is believed what it says of clients"
        ) { settings, text in
            guard let ranges = AddressRanges(parts(text)) else { return false }
            settings.clients.proxies.ranges = ranges
            return true
        },
        Setting(
            "forwardedBy", accepts: Proxies.Words.allCases.map(\.rawValue).joined(separator: ", "),
            standard: usual.clients.proxies.words.rawValue,
            "Where those say it: a header, or the PROXY protocol's line before each connection"
        ) { settings, text in
            guard let words = Proxies.Words(rawValue: text) else { return false }
            settings.clients.proxies.words = words
            return true
        },
        Setting(
            "outgoingAllow", .list, accepts: "addresses and ranges such as 10.0.0.0/8", standard: "none",
            "Where the host's own requests (JWK sets, webhooks) may go besides the whole world's addresses, and without TLS"
        ) { settings, text in
            guard let ranges = AddressRanges(parts(text)) else { return false }
            settings.outgoing.allowed = ranges
            return true
        },
        optional(
            "outgoingCA", "a PEM file", "none", "Certificates that those requests trust besides the machine's",
            \.outgoing.authorities),
        optional(
            "secretsKey", "a file of mode 0600 with 32 bytes in base64",
            "secrets.key in the data directory, made at the first start",
            "What stored secrets are sealed with", \.storage.secretsKey),
        optional(
            "metricsToken", "a token", "none", "What who reads /metrics must show as bearer token",
            \.host.metricsToken),
        Setting(
            "otlp", accepts: "a URL such as http://127.0.0.1:4318; /v1/traces is added where it has no path",
            standard: "none", "Who collects traces, over OTLP/HTTP with JSON"
        ) { settings, text in
            settings.outgoing.traces = tracesURL(text)
            return settings.outgoing.traces != nil
        },
        Setting(
            "allowDegraded", .list, accepts: DegradableLayer.allCases.map(\.rawValue).joined(separator: ", "),
            standard: "none", "Serve although these layers are missing"
        ) { settings, text in
            settings.allowDegraded = parts(text)
            return settings.allowDegraded.allSatisfy { DegradableLayer(rawValue: $0) != nil }
        },
        Setting(
            "roots", .table, accepts: "names, and the absolute paths of folders or tars", standard: "none",
            "Roots that functions may name", set: setRoots),
        Setting(
            "firstUid", accepts: "a uid from 1", standard: "700000000", "The host's uid; cells have those that follow"
        ) { settings, text in
            guard let uid = UInt32(text), (1..<UInt32.max - 1_000_000).contains(uid) else { return false }
            settings.cells.firstUid = uid
            return true
        },
        number("readyCells", 0...1000, usual.cells.readyCells, "Cells that are built ahead", \.cells.readyCells),
        number("maxWorkers", 1...8000, usual.host.maxWorkers, "Workers at once, of all functions", \.host.maxWorkers),
        size(
            "memoryBudget", 1...Int.max, nil, "What all workers together may use", \.host.deployment.memoryBudget),
        size(
            "maxHostMemory", (128 << 20)...Int.max, usual.maxHostMemory, "What the host itself may use", \.maxHostMemory
        ),
        size(
            "maxBuffered", (1 << 20)...Int.max, usual.host.maxBuffered,
            "Events, output and answers that the host holds at once", \.host.maxBuffered),
        // A buffer's length has 32 bits, and an event is written into another one.
        size("maxEvent", 1...(512 << 20), usual.host.maxEvent, "The largest event", \.host.maxEvent),
        size(
            "maxUpload", 1...(4 << 30), usual.host.deployment.maxUpload, "The largest upload",
            \.host.deployment.maxUpload),
        number(
            "maxWaiting", anyCount, usual.host.maxWaiting, "Invocations that may wait for a worker", \.host.maxWaiting),
        Setting("maxWait", accepts: TimeLimit.rule, standard: "10s", "And how long") { settings, text in
            guard let time = TimeLimit(text) else { return false }
            settings.host.maxWait = time.duration
            return true
        },
        number("maxQueued", anyCount, usual.host.maxQueued, "Asynchronous invocations that may wait", \.host.maxQueued),
        number(
            "maxResults", 1...10_000_000, usual.host.maxResults, "Ended asynchronous invocations that are known",
            \.host.maxResults),
        Setting(
            "maxResultAge", accepts: TimeLimit.rule, standard: "\(usual.host.maxResultAge)", "And how long"
        ) { settings, text in
            guard let age = TimeLimit(text), age.milliseconds > 0 else { return false }
            settings.host.maxResultAge = age
            return true
        },
        size(
            "maxStored", 0...Int.max, usual.host.deployment.quota.maxBytes, "All bundles together",
            \.host.deployment.quota.maxBytes),
        number(
            "maxVersions", anyCount, usual.host.deployment.quota.maxVersions, "All versions together",
            \.host.deployment.quota.maxVersions),
        size(
            "maxStoredByKey", 0...Int.max, usual.host.deployment.quota.maxBytesByKey, "Bundles of one key",
            \.host.deployment.quota.maxBytesByKey),
        number(
            "maxVersionsByKey", anyCount, usual.host.deployment.quota.maxVersionsByKey, "Versions of one key",
            \.host.deployment.quota.maxVersionsByKey),
    ]

    private static func parts(_ text: String) -> [String] {
        text.split(separator: ",").map { String($0.drop { $0 == " " }) }.filter { !$0.isEmpty }
    }

    /// As https://opentelemetry.io/docs/specs/otel/protocol/exporter/ has a base URL.
    private static func tracesURL(_ text: String) -> OutgoingURL? {
        guard let url = OutgoingURL(text) else { return nil }
        guard url.url.path.isEmpty || url.url.path == "/" else { return url }
        return OutgoingURL((text.hasSuffix("/") ? String(text.dropLast()) : text) + "/v1/traces")
    }

    private static func setRoots(_ settings: inout ServeSettings, _ text: String) -> Bool {
        for part in parts(text) {
            let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
            guard pair.count == 2, case .prepared = Manifest.Root(pair[0]), pair[1].isAbsolutePath else { return false }
            settings.roots[pair[0]] = pair[1]
        }
        return true
    }
}
