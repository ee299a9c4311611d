import WireText

/// Where it is told how an asynchronous invocation ended.
package enum Destination: Sendable, Hashable {
    /// This function is invoked, asynchronously.
    case function(FunctionName)
    /// A POST to this URL.
    case webhook(OutgoingURL)

    package static let rule = "a function's name, or \(OutgoingURL.rule)"

    package init?(_ text: String) {
        if let name = FunctionName(text) {
            self = .function(name)
        } else if let url = OutgoingURL(text) {
            self = .webhook(url)
        } else {
            return nil
        }
    }

    package var text: String {
        switch self {
        case .function(let name): name.text
        case .webhook(let url): url.text
        }
    }
}

/// What becomes of invocations that were accepted to be run later.
package struct AsyncRules: Sendable, Hashable {
    /// Further attempts after a failure.
    package var retries = 2
    /// Before the first of them; doubled for each after it.
    package var backoff = TimeLimit.seconds(60)
    /// From when it was accepted: what is older is not tried any more.
    package var maxAge = TimeLimit.seconds(6 * 3600)
    package var onSuccess: Destination?
    package var onFailure: Destination?
    /// Name of the stored secret that signs what goes to webhooks.
    package var signedWith: String?

    package init() {}
}

/// Names of stored secrets.
package enum SecretName {
    package static let rule =
        "up to 64 letters, digits, dots, dashes and underscores, beginning with a letter"

    package static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count) && text.isMade(of: "._-")
            && (text.utf8.first.map { (0x41...0x5A).contains($0 & 0xDF) } ?? false)
    }
}

extension Destination? {
    var isWebhook: Bool { if case .webhook = self { true } else { false } }
}
