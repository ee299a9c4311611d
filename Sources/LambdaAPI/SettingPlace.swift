import Catalogue
import FunctionModel

/// What a setting is said of: a function, or one of its aliases or versions.
struct SettingPlace: Sendable {
    /// The function's.
    let newest: FunctionVersion
    /// As `FunctionSettings` has it: an alias, a version's number, or `FunctionVersion.latestLabel`.
    let qualifier: String

    var name: FunctionName { newest.name }
    var isLatest: Bool { qualifier == FunctionVersion.latestLabel }
    /// What stands in an ARN; nil where the function itself is meant.
    var suffix: String? { isLatest ? nil : qualifier }
}

extension OperationGroup {
    /// - Throws: `LambdaError` not_found.
    func place(_ call: LambdaCall) throws -> SettingPlace {
        let newest = try newest(call), arn = try call.named
        guard let qualifier = arn.qualifier, !arn.isLatest else {
            return SettingPlace(newest: newest, qualifier: FunctionVersion.latestLabel)
        }
        let snapshot = services.catalogue.snapshot
        if let number = FunctionARN.number(qualifier) {
            guard snapshot.version(number, of: arn.name)?.isPublished == true else { throw unknown(arn, call) }
            return SettingPlace(newest: newest, qualifier: "\(number)")
        }
        guard snapshot.alias(qualifier, of: arn.name) != nil else {
            throw LambdaError(.notFound, "Cannot find alias arn: \(call.arn(arn.name, qualifier))")
        }
        return SettingPlace(newest: newest, qualifier: qualifier)
    }

    /// - Parameter message: what AWS says at this operation where there is no such function, alias or version.
    func place(_ call: LambdaCall, orSay message: String) throws -> SettingPlace {
        guard let place = try? place(call) else { throw LambdaError(.notFound, message) }
        return place
    }

    func settings(of name: FunctionName) -> FunctionSettings { services.catalogue.snapshot.settings(of: name) }

    /// A part of what is said of a function's qualifiers, as `Marker` and `MaxItems` ask for it.
    func page<Setting>(
        _ settings: [String: Setting], _ call: LambdaCall, as name: String, _ show: (String, Setting) -> LambdaValue
    ) throws -> LambdaAnswer {
        let entries = settings.sorted { $0.key < $1.key }.map { (key: $0.key, value: show($0.key, $0.value)) }
        return LambdaAnswer(status: 200, try call.page(entries, as: name))
    }
}

extension FunctionSettings {
    /// Of each kind so many.
    /// - Throws: `LambdaError`.
    static func check(count: Int, of kind: String) throws {
        guard count <= maxQualifiers else {
            throw LambdaError(.invalidParameter, "a function has \(maxQualifiers) \(kind) at most; delete one first")
        }
    }
}
