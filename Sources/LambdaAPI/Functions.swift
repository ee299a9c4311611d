import Bundles
import Catalogue
import Deployment
import Foundation
import FunctionModel
import HostSystem
import NIOCore

/// Making, showing, changing and deleting functions.
struct FunctionOperations: OperationGroup {
    let services: Lambda.Services

    func createFunction(_ call: LambdaCall) async throws -> LambdaAnswer {
        let arn = try call.named, name = arn.name
        guard services.catalogue.snapshot.latest(name) == nil else {
            throw LambdaError(.conflict, "Function already exist: \(name)")
        }
        guard arn.qualifier == nil else {
            throw LambdaError(.invalidParameter, "FunctionName: a new function is named without a qualifier")
        }
        var manifest = Manifest()
        try FunctionConfiguration(call).create(&manifest)
        let tags = try SettingOperations.tags(call.input["Tags"])
        let isPublished = call.input.flag("Publish")
        let version: FunctionVersion
        do {
            version = try await deploy(call, name, manifest, isPublished: isPublished, .nothing)
        } catch is PreconditionFailed {
            throw LambdaError(.conflict, "Function already exist: \(name)")
        }
        if !tags.isEmpty { try await services.catalogue.changeSettings(of: name) { $0.tags = tags } }
        return LambdaAnswer(
            status: 201, FunctionDocument(version, call).configuration(shownAs: isPublished ? version.label : nil))
    }

    /// Takes the code in.
    private func deploy(
        _ call: LambdaCall, _ name: FunctionName, _ manifest: Manifest, isPublished: Bool,
        _ precondition: Precondition? = nil
    ) async throws -> FunctionVersion {
        let arrival = try await arrival(of: call)
        return try await services.deployment.deploy(
            arrival, format: .files, manifest: manifest, name: name, by: call.principal, precondition: precondition,
            isPublished: isPublished
        ).0
    }

    /// What was uploaded, decoded piece by piece onto the disk.
    private func arrival(of call: LambdaCall) async throws -> BundleStore.Arrival {
        guard let code = call.input.code else {
            throw LambdaError(
                .invalidParameter,
                "Code: Bulkhead takes ZipFile, a zip in base64; it fetches nothing from S3, ECR or elsewhere")
        }
        let limit = services.deployment.limits.maxUpload
        guard code.readableBytes / 4 * 3 <= limit else {
            throw LambdaError(.requestTooLarge, "the zip is larger than \(ByteSize(bytes: limit)), this host's limit")
        }
        let deployment = services.deployment
        return try await SlowLane.bundles.run {
            let arrival = try deployment.beginArrival()
            do {
                try Base64Pieces.decode(code) { piece in try piece.withUnsafeBytes { try arrival.append($0) } }
                guard arrival.isZip else { throw LambdaError.noZip }
                return arrival
            } catch {
                deployment.discard(arrival)
                throw error
            }
        }
    }

    func getFunction(_ call: LambdaCall) throws -> LambdaAnswer {
        let (version, qualifier) = try resolved(call)
        let settings = services.catalogue.snapshot.settings(of: version.name)
        var answer: [String: LambdaValue] = [
            "Configuration": FunctionDocument(version, call).configuration(shownAs: qualifier),
            "Code": ["RepositoryType": "S3", "Location": .text(Self.location(version))],
        ]
        if !settings.tags.isEmpty { answer["Tags"] = .object(settings.tags.mapValues { .text($0) }) }
        if let reserved = settings.reservedConcurrency {
            answer["Concurrency"] = ["ReservedConcurrentExecutions": .whole(reserved)]
        }
        return LambdaAnswer(status: 200, .object(answer))
    }

    /// Where Lambda says that the code may be fetched. The host keeps what it unpacked, and not the zip: this names it, and is no URL
    /// that answers.
    private static func location(_ version: FunctionVersion) -> String {
        "bulkhead:sha256:\(version.sha256)"
    }

    func getFunctionConfiguration(_ call: LambdaCall) throws -> LambdaAnswer {
        let (version, qualifier) = try resolved(call)
        return LambdaAnswer(status: 200, FunctionDocument(version, call).configuration(shownAs: qualifier))
    }

    func updateFunctionCode(_ call: LambdaCall) async throws -> LambdaAnswer {
        let newest = try newest(call)
        let precondition = call.precondition
        try precondition?.check("\(newest.revision)")
        var manifest = newest.manifest
        try FunctionConfiguration(call).changeCode(&manifest)
        if call.input.flag("DryRun") {
            let arrival = try await arrival(of: call)
            let sha = arrival.sha256()
            services.deployment.discard(arrival)
            var document = FunctionDocument(newest, call).configuration(shownAs: nil)
            if case .object(var members) = document {
                members["CodeSha256"] = .text(Data(sha).base64EncodedString())
                document = .object(members)
            }
            return LambdaAnswer(status: 200, document)
        }
        let isPublished = call.input.flag("Publish")
        let version: FunctionVersion
        do {
            version = try await deploy(
                call, newest.name, manifest, isPublished: isPublished, Precondition(ifMatch: "\"\(newest.revision)\""))
        } catch let failed as PreconditionFailed {
            guard precondition == nil else { throw failed }
            throw LambdaError(
                .conflict,
                "The operation cannot be performed at this time. An update is in progress for resource: \(call.arn(newest.name))"
            )
        }
        return LambdaAnswer(
            status: 200, FunctionDocument(version, call).configuration(shownAs: isPublished ? version.label : nil))
    }

    func updateFunctionConfiguration(_ call: LambdaCall) async throws -> LambdaAnswer {
        let newest = try newest(call)
        let version = try await services.deployment.revise(
            newest.name, by: call.principal, call.precondition, isPublished: false
        ) { try FunctionConfiguration(call).change(&$0) }.0
        return LambdaAnswer(status: 200, FunctionDocument(version, call).configuration(shownAs: nil))
    }

    func deleteFunction(_ call: LambdaCall) async throws -> LambdaAnswer {
        let arn = try call.named
        _ = try newest(call)
        if let qualifier = arn.qualifier {
            guard let number = FunctionARN.number(qualifier) else {
                throw LambdaError(
                    .invalidParameter,
                    qualifier == FunctionVersion.latestLabel
                        ? "$LATEST version cannot be deleted without deleting the function."
                        : "Deletion of aliases is not currently supported: use DeleteAlias")
            }
            try await services.deployment.removeVersion(number, of: arn.name)
        } else {
            _ = try await services.deployment.remove(arn.name)
        }
        return LambdaAnswer(status: 204)
    }

    func listFunctions(_ call: LambdaCall) throws -> LambdaAnswer {
        let snapshot = services.catalogue.snapshot
        let isAll = call.input.text("FunctionVersion") == "ALL"
        var entries: [(key: String, value: LambdaValue)] = []
        for name in snapshot.names where call.principal.functions.includes(name) {
            guard let newest = snapshot.latest(name) else { continue }
            entries.append((name.text, FunctionDocument(newest, call).configuration(shownAs: nil)))
            guard isAll else { continue }
            for version in snapshot.versions(of: name) where version.isPublished {
                let key = "\(name):\(String(version.number + 1_000_000_000))"
                entries.append((key, FunctionDocument(version, call).configuration(shownAs: version.label)))
            }
        }
        return LambdaAnswer(status: 200, try call.page(entries, as: "Functions"))
    }
}
