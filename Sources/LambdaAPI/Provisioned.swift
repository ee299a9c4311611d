import Catalogue
import FunctionModel
import HostSystem
import Invoker

/// Workers that are kept started for an alias or a version.
struct ProvisionedOperations: OperationGroup {
    let services: Lambda.Services

    private static let needsVersion = "The function resource provided must be an alias or a published version."
    private static let unpublished =
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions."

    func put(_ call: LambdaCall) async throws -> LambdaAnswer {
        let place = try place(call, Self.unpublished), most = SettingOperations.accountConcurrency
        guard let count = call.input.whole("ProvisionedConcurrentExecutions"), count <= most else {
            throw LambdaError(
                .invalidParameter,
                "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [\(most)]."
            )
        }
        try checkTwins(of: place)
        let wanted = ProvisionedWorkers(count: count, modifiedAt: timestamp())
        try await services.catalogue.changeSettings(of: place.name, for: place.qualifier) { settings in
            settings.provisioned[place.qualifier] = wanted
            let sum = settings.provisioned.values.reduce(0) { $0 + $1.count }
            if let reserved = settings.reservedConcurrency, sum > reserved {
                throw LambdaError(
                    .invalidParameter,
                    "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
                )
            }
            try FunctionSettings.check(count: settings.provisioned.count, of: "provisioned concurrency configurations")
        }
        return LambdaAnswer(status: 202, .object(document(wanted, place.name, place.qualifier)))
    }

    func get(_ call: LambdaCall) throws -> LambdaAnswer {
        let place = try place(call, Self.needsVersion)
        guard let wanted = settings(of: place.name).provisioned[place.qualifier] else {
            throw LambdaError(.noProvisioned, "No Provisioned Concurrency Config found for this function")
        }
        return LambdaAnswer(status: 200, .object(document(wanted, place.name, place.qualifier)))
    }

    /// Where there is none, nothing is to be done.
    func delete(_ call: LambdaCall) async throws -> LambdaAnswer {
        let place = try place(call, Self.needsVersion)
        try await services.catalogue.changeSettings(of: place.name, for: place.qualifier) {
            $0.provisioned[place.qualifier] = nil
        }
        return LambdaAnswer(status: 204)
    }

    func list(_ call: LambdaCall) throws -> LambdaAnswer {
        let name = try newest(call).name
        return try page(settings(of: name).provisioned, call, as: "ProvisionedConcurrencyConfigs") {
            var members = document($1, name, $0)
            members["FunctionArn"] = .text(call.arn(name, $0))
            return .object(members)
        }
    }

    /// - Parameter refusal: what is said to whoever means what has no number, by whatever name.
    /// - Throws: `LambdaError`.
    private func place(_ call: LambdaCall, _ refusal: String) throws -> SettingPlace {
        guard try !call.named.isLatest else { throw LambdaError(.invalidParameter, refusal) }
        return try place(call)
    }

    /// One version's workers are provisioned for once: by its number, or by aliases that name it.
    private func checkTwins(of place: SettingPlace) throws {
        let snapshot = services.catalogue.snapshot, provisioned = settings(of: place.name).provisioned
        guard let alias = snapshot.alias(place.qualifier, of: place.name) else {
            let isNamed = snapshot.aliases(of: place.name).contains { alias in
                provisioned[alias.name] != nil && Self.number(of: alias) == place.qualifier
            }
            guard !isNamed else {
                throw LambdaError(.conflict, "Version is pointed by a Provisioned Concurrency alias")
            }
            return
        }
        guard let number = Self.number(of: alias) else { throw LambdaError(.invalidParameter, Self.unpublished) }
        guard provisioned[number] == nil else {
            throw LambdaError(
                .conflict,
                "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
        }
    }

    /// Nil for one that follows the newest revision.
    private static func number(of alias: Alias) -> String? {
        if case .version(let number) = alias.target { String(number) } else { nil }
    }

    private func document(
        _ wanted: ProvisionedWorkers, _ name: FunctionName, _ qualifier: String
    ) -> [String: LambdaValue] {
        let status = provisionedStatus(of: name, qualifier, wanted)
        return [
            "RequestedProvisionedConcurrentExecutions": .whole(wanted.count),
            "AllocatedProvisionedConcurrentExecutions": .whole(status.allocated),
            "AvailableProvisionedConcurrentExecutions": .whole(status.available),
            "Status": .text(status.word),
            "LastModified": .text(wanted.modifiedAt.replacing("Z", with: "+0000")),
        ]
    }

    /// How far it has come: how many workers are there.
    /// - Parameter qualifier: an alias, or a version's number.
    private func provisionedStatus(
        of name: FunctionName, _ qualifier: String, _ wanted: ProvisionedWorkers
    ) -> (allocated: Int, available: Int, word: String) {
        let snapshot = services.catalogue.snapshot
        let newest = snapshot.latest(name)?.number ?? 0
        let number = snapshot.alias(qualifier, of: name)?.main(newest: newest) ?? Int(qualifier)
        let version = number.flatMap { snapshot.version($0, of: name) }
        let there = min(wanted.count, version.map { services.invoker.workers(of: $0) } ?? 0)
        return (there, there, there < wanted.count ? "IN_PROGRESS" : "READY")
    }
}
