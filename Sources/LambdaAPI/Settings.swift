import Catalogue
import Deployment
import FunctionModel

/// What a function has beside its versions, and what the account has.
struct SettingOperations: OperationGroup {
    let services: Lambda.Services

    /// As AWS gives an account; here the pool's own limits hold.
    static let accountConcurrency = 1000

    func putConcurrency(_ call: LambdaCall) async throws -> LambdaAnswer {
        let newest = try newest(call)
        guard let count = call.input.whole("ReservedConcurrentExecutions"), (0...10_000).contains(count) else {
            throw LambdaError(.invalidParameter, "ReservedConcurrentExecutions: a whole number from 0 to 10000")
        }
        try await services.catalogue.changeSettings(of: newest.name) { settings in
            let provisioned = settings.provisioned.values.reduce(0) { $0 + $1.count }
            guard count >= provisioned else {
                throw LambdaError(
                    .invalidParameter,
                    "ReservedConcurrentExecutions \(count) should not be lower than function's total provisioned concurrency [\(provisioned)]."
                )
            }
            settings.reservedConcurrency = count
        }
        return LambdaAnswer(status: 200, ["ReservedConcurrentExecutions": .whole(count)])
    }

    func getConcurrency(_ call: LambdaCall) throws -> LambdaAnswer {
        let settings = services.catalogue.snapshot.settings(of: try newest(call).name)
        return LambdaAnswer(
            status: 200, settings.reservedConcurrency.map { ["ReservedConcurrentExecutions": .whole($0)] } ?? [:])
    }

    func deleteConcurrency(_ call: LambdaCall) async throws -> LambdaAnswer {
        try await services.catalogue.changeSettings(of: try newest(call).name) { $0.reservedConcurrency = nil }
        return LambdaAnswer(status: 204)
    }

    // MARK: - Tags

    func listTags(_ call: LambdaCall) throws -> LambdaAnswer {
        let tags = services.catalogue.snapshot.settings(of: try newest(call).name).tags
        return LambdaAnswer(status: 200, ["Tags": .object(tags.mapValues { .text($0) })])
    }

    func tag(_ call: LambdaCall) async throws -> LambdaAnswer {
        let tags = try Self.tags(call.input["Tags"])
        try await services.catalogue.changeSettings(of: try newest(call).name) { settings in
            settings.tags.merge(tags) { $1 }
            guard settings.tags.count <= FunctionSettings.maxTags else {
                throw LambdaError(.invalidParameter, "a function has \(FunctionSettings.maxTags) tags at most")
            }
        }
        return LambdaAnswer(status: 204)
    }

    func untag(_ call: LambdaCall) async throws -> LambdaAnswer {
        let names = (call.input["TagKeys"]?.list ?? []).compactMap(\.text)
        try await services.catalogue.changeSettings(of: try newest(call).name) { settings in
            for name in names { settings.tags[name] = nil }
        }
        return LambdaAnswer(status: 204)
    }

    /// - Throws: `LambdaError`.
    static func tags(_ value: LambdaValue?) throws -> [String: String] {
        guard let value else { return [:] }
        guard let tags = value.texts, tags.count <= FunctionSettings.maxTags,
            tags.allSatisfy({ (1...128).contains($0.key.utf8.count) && $0.value.utf8.count <= 256 })
        else {
            throw LambdaError(
                .invalidParameter,
                "Tags: up to \(FunctionSettings.maxTags) names of up to 128 bytes, with texts of up to 256")
        }
        return tags
    }

    // MARK: - What is the same for all

    /// No code is signed here.
    func getCodeSigning(_ call: LambdaCall) throws -> LambdaAnswer {
        LambdaAnswer(status: 200, ["FunctionName": .text(try newest(call).name.text)])
    }

    /// Functions that tell each other for ever come to an end: see `Destinations`.
    func getRecursion(_ call: LambdaCall) throws -> LambdaAnswer {
        _ = try newest(call)
        return LambdaAnswer(status: 200, ["RecursiveLoop": "Terminate"])
    }

    /// The host's own python3 is what there is.
    func getRuntimeManagement(_ call: LambdaCall) throws -> LambdaAnswer {
        let (version, qualifier) = try resolved(call)
        let arn = call.arn(version.name, qualifier ?? FunctionVersion.latestLabel)
        return LambdaAnswer(status: 200, ["UpdateRuntimeOn": "Auto", "FunctionArn": .text(arn)])
    }

    // MARK: - The account

    func getAccountSettings(_ call: LambdaCall) throws -> LambdaAnswer {
        let snapshot = services.catalogue.snapshot
        // Of others' functions a key learns nothing, not even how many there are.
        let names = snapshot.names.filter { call.principal.functions.includes($0) }
        var bundles: [String: Int] = [:]
        for name in names {
            for version in snapshot.versions(of: name) { bundles[version.bundle] = version.storedBytes }
        }
        let stored = bundles.values.reduce(0, +)
        let limits = services.deployment.limits
        let reserved = names.reduce(0) { $0 + (snapshot.settings(of: $1).reservedConcurrency ?? 0) }
        return LambdaAnswer(
            status: 200,
            [
                "AccountLimit": [
                    "TotalCodeSize": .whole(limits.quota.maxBytes), "CodeSizeUnzipped": 262_144_000,
                    "CodeSizeZipped": .whole(limits.maxUpload), "ConcurrentExecutions": .whole(Self.accountConcurrency),
                    "UnreservedConcurrentExecutions": .whole(max(0, Self.accountConcurrency - reserved)),
                ],
                "AccountUsage": ["TotalCodeSize": .whole(stored), "FunctionCount": .whole(names.count)],
            ])
    }
}
