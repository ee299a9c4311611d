import WireText

/// Labels under which stands what Lambda's clients have said of a function and nothing here goes by.
package enum LambdaLabel {
    package static let role = "aws.role"
    package static let runtime = "aws.runtime"
    package static let architecture = "aws.architecture"
    /// Where its variables say that it runs.
    package static let region = "aws.region"
    package static let ephemeralStorage = "aws.ephemeral-storage"

    /// Whose functions all are, to clients of AWS.
    package static let account = "123456789012"

    /// A function's name as AWS writes it.
    package static func arn(_ name: String, _ region: String, _ qualifier: String? = nil) -> String {
        "arn:aws:lambda:\(region):\(account):function:\(name)" + (qualifier.map { ":\($0)" } ?? "")
    }

    /// A queue's name as AWS writes it.
    package static func queueARN(_ name: String, _ region: String) -> String {
        "arn:aws:sqs:\(region):\(account):\(name)"
    }

    /// Where a function says that it runs.
    package static func region(of manifest: Manifest) -> String { manifest.labels[region] ?? "us-east-1" }

    /// The same, if it can be one: anybody may set a label.
    package static func soundRegion(of manifest: Manifest) -> String {
        let text = region(of: manifest)
        return (1...32).contains(text.utf8.count) && text.isMade(of: "-") ? text : "us-east-1"
    }

    /// Whether a function came by Lambda's API, and finds what its functions find there.
    package static func areOf(_ manifest: Manifest) -> Bool { manifest.labels[runtime] != nil }
}

/// How a client of Lambda's API named a function, and what it says of itself: its handler finds both in its context.
package struct LambdaAsking: Sendable, Hashable {
    /// As the caller named it, qualifier and all.
    package var arn: String
    /// A number, or `$LATEST`.
    package var version: String
    /// Sound JSON; nil: nothing.
    package var clientContext: String?

    package init(arn: String, version: String, clientContext: String?) {
        (self.arn, self.version, self.clientContext) = (arn, version, clientContext)
    }
}
