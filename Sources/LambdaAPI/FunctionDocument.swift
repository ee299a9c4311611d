import Foundation
import FunctionModel

/// A version as Lambda shows it.
struct FunctionDocument {
    private let version: FunctionVersion
    private let call: LambdaCall

    init(_ version: FunctionVersion, _ call: LambdaCall) { (self.version, self.call) = (version, call) }

    /// - Parameter qualifier: how it was named; nil: as the newest revision.
    func configuration(shownAs qualifier: String?) -> LambdaValue {
        let manifest = version.manifest, labels = manifest.labels
        let shown = qualifier ?? FunctionVersion.latestLabel
        var members: [String: LambdaValue] = [
            "FunctionName": .text(version.name.text),
            "FunctionArn": .text(call.arn(version.name, qualifier)),
            "Runtime": .text(labels[LambdaLabel.runtime] ?? Self.runtime(manifest)),
            "Role": .text(labels[LambdaLabel.role] ?? "arn:aws:iam::\(FunctionARN.account):role/bulkhead"),
            "Handler": .text(manifest.handler ?? manifest.run ?? ""),
            "CodeSize": .whole(version.size),
            "CodeSha256": .text(Self.base64(hex: version.sha256)),
            "Description": .text(manifest.about ?? ""),
            "Timeout": .whole((manifest.limits.wall.milliseconds + 999) / 1000),
            "MemorySize": .whole(manifest.limits.memory.bytes >> 20),
            "LastModified": .text(version.createdAt.replacing("Z", with: "+0000")),
            "Version": .text(shown),
            "TracingConfig": ["Mode": "PassThrough"],
            "RevisionId": .text("\(version.revision)"),
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": .list([.text(labels[LambdaLabel.architecture] ?? "x86_64")]),
            "EphemeralStorage": [
                "Size": .whole(
                    labels[LambdaLabel.ephemeralStorage].flatMap { Int($0) }
                        ?? manifest.effectiveScratch.bytes >> 20)
            ],
            "SnapStart": ["ApplyOn": "None", "OptimizationStatus": "Off"],
            "LoggingConfig": ["LogFormat": "Text", "LogGroup": .text("/aws/lambda/\(version.name)")],
        ]
        if !manifest.env.isEmpty {
            members["Environment"] = ["Variables": .object(manifest.env.mapValues { .text($0) })]
        }
        return .object(members)
    }

    /// Of one that came by the host's own API.
    private static func runtime(_ manifest: Manifest) -> String {
        switch manifest.runtime {
        case .python: "python3.11"
        case .native, .provided: "provided.al2023"
        }
    }

    static func base64(hex: String) -> String {
        let digits = Array(hex.utf8).compactMap { byte -> UInt8? in
            switch byte {
            case 0x30...0x39: byte - 0x30
            case 0x61...0x66: byte - 0x57
            default: nil
            }
        }
        let bytes = stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        return Data(bytes).base64EncodedString()
    }
}
