// swift-tools-version: 6.2
import PackageDescription

// One loop at the end gives every Swift target the same settings; nothing here differs by module.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0335-existential-any.md
    .enableUpcomingFeature("ExistentialAny"),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0444-member-import-visibility.md
    .enableUpcomingFeature("MemberImportVisibility"),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0409-access-level-on-imports.md
    .enableUpcomingFeature("InternalImportsByDefault"),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0461-async-function-isolation.md
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
]
// Plain C programs: without the object that would pull Swift's runtime into them.
let staticC: [LinkerSetting] = [
    .unsafeFlags([
        "-static-executable", "-nostartfiles", "-Xlinker", "-z", "-Xlinker", "relro", "-Xlinker", "-z", "-Xlinker",
        "noexecstack",
    ])
]
// As OpenSSF advises for C (Compiler Options Hardening Guide). No PIE: the driver links static programs at a fixed address.
let hardening = ["-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection=full"]
func cSettings(_ flags: String...) -> [CSetting] {
    [
        .define("_GNU_SOURCE"), .unsafeFlags(["-std=gnu11", "-Wall", "-Wextra", "-Werror"] + hardening + flags),
        // It takes an optimiser.
        .unsafeFlags(["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"], .when(configuration: .release)),
    ]
}
// Swift's runtime within: without calls into other files a reused worker answers a quarter more requests a second, and a machine without
// a toolchain runs what was built. The static libraries leave out what Foundation is made of; the default linker warns of Foundation's
// own mktemp. Debug builds link sooner without.
let staticSwift: [LinkerSetting] = [
    .unsafeFlags(
        [
            "-static-stdlib", "-use-ld=lld", "-lCoreFoundation", "-l_FoundationICU", "-l_FoundationCShims",
            "-l_FoundationCollections",
        ], .when(configuration: .release))
]
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let tracing = Target.Dependency.product(name: "Tracing", package: "swift-distributed-tracing")

let package = Package(
    name: "bulkhead",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "bulkhead", targets: ["bulkhead"]),
        .executable(name: "bulkhead-launcher", targets: ["bulkhead-launcher"]),
        .executable(name: "bulkhead-guardian", targets: ["bulkhead-guardian"]),
        .executable(name: "bulkhead-probe", targets: ["bulkhead-probe"]),
    ],
    // Exactly: what is tested is what is built. `Package.resolved` pins what these bring along.
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing.git", exact: "1.7.3"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-http2", exact: "1.46.0"),
        .package(url: "https://github.com/vapor/jwt-kit", exact: "5.7.1"),
        .package(url: "https://github.com/apple/swift-configuration", exact: "1.4.0", traits: []),
    ],
    targets: [
        // 1. Values, no I/O: what a function, an invocation, a failure is.
        .target(
            name: "FunctionModel",
            dependencies: ["WireText", "Yams", .product(name: "NIOCore", package: "swift-nio")]),
        // Hostile text, read by its bytes and within bounds.
        .target(name: "WireText", dependencies: [.product(name: "NIOCore", package: "swift-nio")]),
        // 2. Mechanisms. Metrics in atomics and their Prometheus text; spans and their OTLP:
        .target(
            name: "Telemetry",
            dependencies: [
                "FunctionModel", "WireText", .product(name: "CoreMetrics", package: "swift-metrics"), tracing,
            ]),

        // The C side. The launcher shares one header with Swift and links no library.
        .target(name: "CLauncherABI", path: "sandbox/abi"),
        .executableTarget(
            name: "bulkhead-launcher", dependencies: ["CLauncherABI"], path: "sandbox/launcher",
            cSettings: cSettings("-fno-pie"), linkerSettings: staticC),
        // What `serve` becomes: it keeps the listening socket, and starts the supervisor again when it dies.
        .executableTarget(
            name: "bulkhead-guardian", path: "sandbox/guardian",
            cSettings: cSettings(), linkerSettings: staticC),
        // What `doctor` runs inside a cell.
        .executableTarget(
            name: "bulkhead-probe", path: "sandbox/probe",
            cSettings: cSettings(), linkerSettings: staticC),
        .target(name: "CHostSystem"),
        .systemLibrary(name: "CSeccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(name: "CArchive", providers: [.apt(["libarchive-dev"])]),

        .target(name: "HostSystem", dependencies: ["CHostSystem"]),
        // Going out: the supervisor's side of it.
        .target(name: "Courier", dependencies: ["FunctionModel", "WireText", "CHostSystem", "HostSystem"]),
        .target(
            name: "SandboxProfiles", path: "sandbox/profiles", exclude: ["table.py"],
            resources: [
                .embedInCode("base.profile"), .embedInCode("locked.profile"), .embedInCode("roots.profile"),
                .embedInCode("supervisor.profile"), .embedInCode("courier.profile"),
            ]),
        .target(
            name: "PythonRuntime", path: "sandbox/python", resources: [.embedInCode("bulkhead_runtime.py")]),
        .target(
            name: "Sandbox",
            dependencies: [
                "FunctionModel", "WireText", "HostSystem", "SandboxProfiles", "CLauncherABI", "CSeccomp", logging,
            ]),
        .target(
            name: "Dialogues",
            dependencies: ["FunctionModel", "WireText", "HostSystem", .product(name: "NIOCore", package: "swift-nio")]),
        .target(
            name: "WorkerPool",
            dependencies: [
                "FunctionModel", "WireText", "HostSystem", "Sandbox", "Dialogues", logging,
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ] + nio),
        .target(
            name: "Bundles",
            dependencies: [
                "FunctionModel", "WireText", "CHostSystem", "HostSystem", "CArchive",
                .product(name: "Crypto", package: "swift-crypto"),
            ]),
        // What outlives the process, as intents; only a driver knows what is behind it.
        .target(name: "Store", dependencies: ["FunctionModel"]),
        .target(
            name: "StoreSQLite",
            dependencies: [
                "FunctionModel", "WireText", "HostSystem", "Store", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        // What differs from runtime to runtime: one file each.
        .target(
            name: "Runtimes",
            dependencies: [
                "FunctionModel", "WireText", "CHostSystem", "HostSystem", "Bundles", "Sandbox", "SandboxProfiles",
                "PythonRuntime",
            ]),

        // 4. Services, one noun each. They do not know each other, but for what is said here.
        .target(name: "Catalogue", dependencies: ["FunctionModel", "WireText", "Store"]),
        .target(
            name: "Access",
            dependencies: [
                "FunctionModel", "WireText", "HostSystem", "Store", "Courier",
                .product(name: "Crypto", package: "swift-crypto"), .product(name: "JWTKit", package: "jwt-kit"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"), logging,
            ]),
        .target(
            name: "Secrets",
            dependencies: ["FunctionModel", "Store", .product(name: "Crypto", package: "swift-crypto")]),
        .target(
            name: "Journal",
            dependencies: [
                "FunctionModel", "WireText", "HostSystem", "Store", "Sandbox", "WorkerPool", "Telemetry", logging,
                tracing, .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .target(
            name: "Deployment",
            dependencies: [
                "FunctionModel", "WireText", "HostSystem", "Bundles", "Store", "Sandbox", "Runtimes", "Catalogue",
                logging, .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .target(
            name: "Invoker", dependencies: ["FunctionModel", .product(name: "NIOCore", package: "swift-nio")]),
        .target(
            name: "Events",
            dependencies: [
                "FunctionModel", "WireText", "HostSystem", "Store", "Courier", "Journal", "Invoker", logging,
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),

        .target(
            name: "Queues",
            dependencies: [
                "FunctionModel", "WireText", "HostSystem", "Store", "Invoker", logging,
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),

        // 5. Edges: decode, ask a service, encode.
        .target(
            name: "LambdaAPI",
            dependencies: [
                "FunctionModel", "WireText", "HostSystem", "Bundles", "Catalogue", "Access", "Journal", "Deployment",
                "Invoker", "Events", "Queues", logging,
            ] + nio, exclude: ["generate.py", "OPERATIONS.md"]),
        .target(
            name: "Gateway",
            dependencies: [
                "FunctionModel", "WireText", "HostSystem", "Bundles", "Store", "Catalogue", "Access", "Journal",
                "Deployment", "Invoker", "Events", "Queues", "Secrets", "Telemetry", "LambdaAPI", logging,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "NIOExtras", package: "swift-nio-extras"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "HummingbirdHTTP2", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ] + nio, exclude: ["openapi.json"]),

        // The process that goes out.
        .target(
            name: "CourierProgram",
            dependencies: [
                "FunctionModel", "WireText", "CHostSystem", "HostSystem", "Courier", "Sandbox",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ] + nio),

        // 6. The top: all of it put together, and the command line.
        .target(
            name: "Host",
            dependencies: [
                "FunctionModel", "CHostSystem", "CLauncherABI", "HostSystem", "Telemetry", "Bundles", "Store",
                "StoreSQLite",
                "Sandbox", "Runtimes", "WorkerPool", "Catalogue", "Access", "Journal", "Deployment", "Invoker",
                "Events", "Queues", "Secrets", "Courier", "Gateway", logging,
            ] + nio),
        .target(
            name: "BulkheadCommands",
            dependencies: [
                "FunctionModel", "WireText", "CHostSystem", "HostSystem", "Sandbox", "Dialogues", "Telemetry",
                "Bundles", "Runtimes", "Access", "Journal", "Deployment", "Events", "Queues", "Secrets", "Host",
                "Gateway",
                "Courier",
                "CourierProgram",
                "Yams", logging, tracing,
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOFoundationCompat", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Configuration", package: "swift-configuration"),
            ] + nio),
        .executableTarget(name: "bulkhead", dependencies: ["BulkheadCommands"], linkerSettings: staticSwift),

        // Figures from inside: see Tests/Benchmarks/run.
        .executableTarget(
            name: "bulkhead-bench",
            dependencies: [
                "FunctionModel", "HostSystem", "PythonRuntime", "Sandbox", "Runtimes", "Catalogue", logging,
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ] + nio, path: "Tests/Benchmarks/Bench"),

        // Values and policy; what a user sees is tested from outside, in Tests/Acceptance.
        .testTarget(
            name: "FunctionModelTests",
            dependencies: ["FunctionModel", "WireText", .product(name: "NIOCore", package: "swift-nio")]),
        .testTarget(
            name: "TelemetryTests",
            dependencies: [
                "FunctionModel", "Telemetry", .product(name: "CoreMetrics", package: "swift-metrics"), tracing,
            ]),
        .testTarget(
            name: "StoreTests",
            dependencies: [
                "FunctionModel", "Store", "StoreSQLite", .product(name: "GRDB", package: "GRDB.swift"),
            ]),
        .testTarget(
            name: "ServiceTests",
            dependencies: [
                "FunctionModel", "HostSystem", "Bundles", "Store", "Runtimes", "Catalogue", "Access", "Journal",
                "Deployment", "Invoker", "Events", "Queues", "Secrets", "StoreSQLite", "WorkerPool", "Telemetry",
                "Sandbox",
                logging,
                .product(name: "GRDB", package: "GRDB.swift"), .product(name: "NIOCore", package: "swift-nio"),
            ]),
        .testTarget(name: "CourierTests", dependencies: ["FunctionModel", "Courier"]),
        .testTarget(name: "BulkheadCommandsTests", dependencies: ["FunctionModel", "BulkheadCommands"]),
        .testTarget(
            name: "SandboxTests",
            dependencies: ["FunctionModel", "Sandbox", "SandboxProfiles", "CLauncherABI", "CSeccomp"]),
        .testTarget(
            name: "WorkerTests",
            dependencies: [
                "FunctionModel", "HostSystem", "Sandbox", "Dialogues", "WorkerPool",
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "FunctionModel", "Dialogues", "Gateway", .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ]),
    ]
)

// Built by Tests/Fuzz/run alone: libFuzzer brings the main function, and what is fuzzed is compiled for it.
if Context.environment["BULKHEAD_FUZZ"] != nil {
    let fuzzed = ["FunctionModel", "WireText", "Dialogues", "Bundles", "Access", "LambdaAPI", "Gateway"]
    package.targets.append(
        .executableTarget(
            name: "bulkhead-fuzz",
            dependencies: fuzzed.map { .target(name: $0) } + [
                "HostSystem", .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            path: "Tests/Fuzz/Swift", linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]))
    for target in package.targets where fuzzed.contains(target.name) || target.name == "bulkhead-fuzz" {
        target.swiftSettings = [.unsafeFlags(["-sanitize=fuzzer", "-parse-as-library"])]
    }
}

for target in package.targets where target.type != .system {
    target.swiftSettings = (target.swiftSettings ?? []) + settings
}
