/// What must hold of a manifest as a whole.
struct ManifestRules {
    private let manifest: Manifest

    init(_ manifest: Manifest) { self.manifest = manifest }

    /// - Throws: `ManifestError`.
    func check() throws(ManifestError) {
        if manifest.program.runtime == .python {
            guard let handler = manifest.program.handler else {
                throw ManifestError(
                    "handler is missing; with runtime: python it names the function, such as app.lambda_handler")
            }
            guard PythonHandler(handler) != nil else {
                throw ManifestError(
                    "handler: \"\(handler)\" is not accepted; with runtime: python it must be module.function, such as app.lambda_handler"
                )
            }
            guard manifest.program.run == nil else {
                throw ManifestError("run has no meaning with runtime: python; use handler")
            }
        } else if manifest.program.runtime == .provided {
            guard manifest.mode != .snapshot else {
                throw ManifestError(
                    "mode: snapshot has no meaning with runtime: provided, whose runtime asks for one event after another; use mode: command, a fresh process for each, or reactor"
                )
            }
        } else if manifest.program.handler != nil {
            throw ManifestError("handler has no meaning with runtime: \(manifest.program.runtime.rawValue); use run")
        }
        guard manifest.concurrency.warm <= manifest.concurrency.max else {
            throw ManifestError(
                "concurrency.warm (\(manifest.concurrency.warm)) is more than concurrency.max (\(manifest.concurrency.max))"
            )
        }
        if manifest.lock, manifest.mode == .command {
            throw ManifestError(
                "lock has no meaning with mode: command: it takes effect once a reactor or snapshot has said ready")
        }
        if !manifest.stream, let output = manifest.limits.output, output > Manifest.longestWhole {
            throw ManifestError(
                "limits.output (\(output)) is more than \(Manifest.longestWhole), which takes stream: true: other answers are held as a whole"
            )
        }
        if manifest.mode == .snapshot, manifest.limits.scratch?.bytes ?? 0 > 0 {
            throw ManifestError(
                "limits.scratch has no meaning with mode: snapshot: its invocations share one cell, and would find each other's files; use mode: command or reactor"
            )
        }
        if manifest.grantsBelowScratch, manifest.limits.scratch?.bytes ?? 0 > 0 {
            throw ManifestError(
                "limits.scratch would hide what files.read grants below /tmp; grant it from elsewhere, or leave scratch out"
            )
        }
        if let both = manifest.program.secrets.keys.first(where: { manifest.program.env[$0] != nil }) {
            throw ManifestError("\(both) is given by env and by secrets; one of them can stand")
        }
        if manifest.program.secretsAs == .descriptor, manifest.program.secrets.isEmpty {
            throw ManifestError("secretsAs has no meaning without secrets: name what is to stand behind the descriptor")
        }
        if manifest.async.signedWith != nil,
            ![manifest.async.onSuccess, manifest.async.onFailure].contains(where: \.isWebhook)
        {
            throw ManifestError("async.signedWith has no meaning without a URL in async.onSuccess or async.onFailure")
        }
        let envBytes = manifest.program.env.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 2 }
        guard envBytes + manifest.program.args.reduce(0, { $0 + $1.utf8.count + 1 }) <= 128 << 10 else {
            throw ManifestError("env and args are larger than 128KiB together")
        }
    }
}
