import Catalogue
import Foundation
import FunctionModel
import WireText

/// Operations that belong together.
protocol OperationGroup {
    var services: Lambda.Services { get }
}

extension OperationGroup {
    /// - Throws: `LambdaError` not_found.
    func newest(_ call: LambdaCall) throws -> FunctionVersion {
        let arn = try call.named
        guard let newest = services.catalogue.snapshot.latest(arn.name) else { throw unknown(arn, call) }
        return newest
    }

    func unknown(_ arn: FunctionARN, _ call: LambdaCall) -> LambdaError {
        LambdaError(.notFound, "Function not found: \(call.arn(arn.name, arn.qualifier))")
    }

    /// The version that is meant, and how it was named: nil for the newest revision.
    /// - Throws: `LambdaError` not_found.
    func resolved(_ call: LambdaCall, key: String = "") throws -> (FunctionVersion, qualifier: String?) {
        let arn = try call.named
        do {
            let version = try services.catalogue.snapshot.resolve(arn.reference) { _ in key }
            return (version, arn.isLatest ? nil : version.label)
        } catch {
            throw unknown(arn, call)
        }
    }
}

extension LambdaCall {
    /// On the revision, where the request names one.
    var precondition: Precondition? { Precondition(ifMatch: input.text("RevisionId").map { "\"\($0)\"" }) }

    /// A part of a list, as `Marker` and `MaxItems` ask for it.
    func page(_ entries: [(key: String, value: LambdaValue)], as name: String) throws -> LambdaValue {
        var rest = entries[...]
        if let marker = input.text("Marker"), !marker.isEmpty {
            guard marker.utf8.count <= 1024, let data = Data(base64Encoded: marker) else {
                throw LambdaError(.invalidParameter, "Marker: it is none that a list has given")
            }
            let after = String(decoding: data, as: UTF8.self)
            guard let place = entries.firstIndex(where: { $0.key.isSame(as: after) }) else {
                throw LambdaError(.invalidParameter, "Marker: what it stands behind is not there any more")
            }
            rest = entries[(place + 1)...]
        }
        let most = min(input.whole("MaxItems") ?? 50, 50)
        var page: [String: LambdaValue] = [name: .list(rest.prefix(most).map(\.value))]
        if rest.count > most, let last = rest.prefix(most).last {
            page["NextMarker"] = .text(Data(last.key.utf8).base64EncodedString())
        }
        return .object(page)
    }
}
