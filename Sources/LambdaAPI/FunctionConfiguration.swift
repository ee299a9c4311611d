import FunctionModel
import WireText

/// What a client says of a function's configuration, as this host's manifest.
struct FunctionConfiguration {
    private let input: LambdaCall.Input
    private let region: String

    init(_ call: LambdaCall) { (input, region) = (call.input, call.region) }

    /// What there is of Lambda and not of Bulkhead: asked for, it is refused, and never forgotten.
    private static let unsupported = [
        "Layers", "VpcConfig", "FileSystemConfigs", "ImageConfig", "DeadLetterConfig", "CodeSigningConfigArn",
        "TenancyConfig", "CapacityProviderConfig", "DurableConfig", "RuntimeConfig", "AcceleratorConfig", "PublishTo",
    ]

    /// Of a new function.
    /// - Throws: `LambdaError`.
    func create(_ manifest: inout Manifest) throws {
        guard input.text("PackageType") ?? "Zip" == "Zip" else {
            throw LambdaError(.invalidParameter, "PackageType Image is not served by Bulkhead, which takes zips")
        }
        guard input["Handler"] != nil, input["Runtime"] != nil else {
            throw LambdaError(
                .invalidParameter,
                "Runtime and Handler are mandatory parameters for functions created with deployment packages.")
        }
        manifest.mode = .reactor
        manifest.report = true
        manifest.labels[LambdaLabel.region] = region
        // What a function may do there, it may here: as far as memory goes.
        manifest.limits.processes = 64
        manifest.limits.threads = 256
        manifest.labels[LambdaLabel.ephemeralStorage] = "512"
        manifest.limits.scratch = .mebibytes(512)
        try changeCode(&manifest)
        try change(&manifest)
    }

    /// What comes with the code.
    func changeCode(_ manifest: inout Manifest) throws {
        guard let architectures = input["Architectures"]?.list else { return }
        guard architectures == ["x86_64"] else {
            throw LambdaError(
                .invalidParameter, "architectures: this host runs x86_64; not \(LambdaValue.list(architectures).shown)")
        }
    }

    /// What is named is changed.
    /// - Throws: `LambdaError`.
    func change(_ manifest: inout Manifest) throws {
        for name in Self.unsupported {
            let isEmpty = input[name].map { $0 == .list([]) || $0 == .object([:]) } ?? true
            guard isEmpty || isNothing(name) else {
                throw LambdaError(.invalidParameter, "\(name) is not served by Bulkhead: leave it out")
            }
        }
        if let runtime = input.text("Runtime") { try set(runtime: runtime, &manifest) }
        if let handler = input.text("Handler") {
            try set(handler: handler, &manifest)
        }
        if let role = input.text("Role") {
            guard role.utf8.count <= 512 else {
                throw LambdaError(.invalidParameter, "Role: up to 512 bytes are taken here")
            }
            manifest.labels[LambdaLabel.role] = role
        }
        if let description = input.text("Description") { manifest.about = try Self.about(description) }
        if let seconds = input.whole("Timeout") {
            guard seconds <= 900 else {
                throw LambdaError.invalid(
                    "\(seconds)", at: "timeout", "Member must have value less than or equal to 900")
            }
            manifest.limits.wall = .seconds(seconds)
            manifest.limits.cpu = nil
        }
        if let size = input.whole("MemorySize"), size > 10_240 {
            throw LambdaError.invalid("\(size)", at: "memorySize", "Member must have value less than or equal to 10240")
        }
        if let size = input.whole("MemorySize") { manifest.limits.memory = .mebibytes(size) }
        if let storage = input["EphemeralStorage"]?["Size"] {
            guard let size = storage.whole, (512...10_240).contains(size) else {
                throw LambdaError(.invalidParameter, "EphemeralStorage.Size: a whole number of MiB from 512 to 10240")
            }
            manifest.labels[LambdaLabel.ephemeralStorage] = "\(size)"
            manifest.limits.scratch = .mebibytes(size)
        }
        if let mode = input["TracingConfig"]?["Mode"]?.text, mode != "PassThrough" {
            throw LambdaError(
                .invalidParameter, "TracingConfig.Mode \(mode) is not served by Bulkhead: traces go by --otlp")
        }
        if let when = input["SnapStart"]?["ApplyOn"]?.text, when != "None" {
            throw LambdaError(.invalidParameter, "SnapStart.ApplyOn \(when) is not served by Bulkhead's Lambda API")
        }
        if let environment = input["Environment"] { try set(environment: environment, &manifest) }
    }

    /// - Throws: `LambdaError`.
    static func about(_ description: String) throws -> String? {
        guard description.utf8.count <= 256, !description.utf8.contains(where: { $0 < 0x20 }) else {
            throw LambdaError(.invalidParameter, "Description: one line of up to 256 bytes is taken here")
        }
        return description.isEmpty ? nil : description
    }

    private func isNothing(_ name: String) -> Bool {
        guard let members = input[name]?.members else { return false }
        return members.values.allSatisfy { $0 == .list([]) || $0 == .null || $0 == "" || $0 == .flag(false) }
    }

    private func set(runtime: String, _ manifest: inout Manifest) throws {
        let isProvided = ["provided", "provided.al2", "provided.al2023"].contains(runtime)
        guard isProvided || runtime.hasPrefix("python3.") else {
            throw LambdaError(
                .invalidParameter,
                "The runtime parameter of \(printable(runtime.prefix(bytes: 40))) is not served by Bulkhead's Lambda API; it serves provided.al2023, provided.al2 and provided, and python3.x with the host's python3"
            )
        }
        let kind: Manifest.Runtime = isProvided ? .provided : .python
        // What the files were found to be when they came holds for what runs them.
        guard kind == manifest.runtime || (manifest.runtime == .native && manifest.run == nil) else {
            throw LambdaError(
                .invalidParameter,
                "Runtime: this function's is \(manifest.runtime.rawValue), and Bulkhead changes that by a new function only; python3.x and provided may change among themselves"
            )
        }
        manifest.runtime = kind
        manifest.labels[LambdaLabel.runtime] = runtime
    }

    private func set(handler: String, _ manifest: inout Manifest) throws {
        guard manifest.runtime != .native else {
            throw LambdaError(
                .invalidParameter,
                "Handler: this function was uploaded by Bulkhead's own API and has none; its manifest says what runs")
        }
        guard Manifest.isHandler(handler), manifest.runtime == .provided || PythonHandler(handler) != nil else {
            let what = manifest.runtime == .python ? "module.function, such as app.lambda_handler" : "word"
            throw LambdaError(
                .invalidParameter, "Handler: \(printable(handler.prefix(bytes: 128))) is no \(what)")
        }
        manifest.handler = handler
    }

    private func set(environment: LambdaValue, _ manifest: inout Manifest) throws {
        guard let variables = (environment["Variables"] ?? [:]).texts else {
            throw LambdaError(.invalidParameter, "Environment.Variables: names and texts")
        }
        for name in variables.keys.sorted() {
            let isName = name.utf8.first.map { !(0x30...0x39).contains($0) } ?? false
            guard isName, name.isMade(of: "_") else {
                throw LambdaError(
                    .validation,
                    "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"
                )
            }
        }
        let size = variables.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        guard size <= 4096, variables.count <= 128, !variables.values.contains(where: { $0.utf8.contains(0) }) else {
            throw LambdaError(
                .invalidParameter,
                "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit, or hold a NUL. String measured: \(size)"
            )
        }
        manifest.env = variables
    }
}
