import WireText

/// A path of the host's own port that a function answers.
package struct Route: Sendable, Hashable {
    package var id: String
    package var pattern: RoutePattern
    /// In lower case, `*.example.com` too; nil: any.
    package var host: String?
    package var function: FunctionName
    package var alias: String
    package var auth: RouteAuth
    package var cors: CORSRule?
    /// Of all requests together.
    package var rate: Rate?
    /// An invocation's time by this route, where it is shorter than the function's own.
    package var timeout: TimeLimit?
    /// What the function gets, and how its answer is read.
    package var payload = PayloadFormat.v2
    /// RFC 3339, UTC, milliseconds.
    package var updatedAt: String

    package init(
        id: String, pattern: RoutePattern, host: String? = nil, function: FunctionName, alias: String = Alias.live,
        auth: RouteAuth = .token, cors: CORSRule? = nil, rate: Rate? = nil, timeout: TimeLimit? = nil,
        updatedAt: String = ""
    ) {
        self.id = id
        self.pattern = pattern
        self.host = host
        self.function = function
        self.alias = alias
        self.auth = auth
        self.cors = cors
        self.rate = rate
        self.timeout = timeout
        self.updatedAt = updatedAt
    }

    package static let idRule =
        "up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit"

    package static func isID(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count) && !".-_".contains(text.first ?? ".")
            && text.isMade(of: "._-")
    }

    /// The same for routes between which no request could decide.
    package var shape: String { (host ?? "*") + " " + pattern.shape }

    /// Tells one state of it from another, for `ETag`: whatever changes it changes this. Not made from secrets, which could be guessed
    /// from it; when they change, `updatedAt` does.
    package var tag: String { String(Alias.hash(of: "\(withoutSecrets)"), radix: 16) }

    /// But for when it was changed. By bytes: to a secret that differs in its normalization only, `==` is blind.
    package func isSame(as other: Route) -> Bool {
        var other = other
        other.updatedAt = updatedAt
        return isSameWritten(self, other)
    }

    /// Where it goes.
    package var reference: FunctionReference { FunctionReference(function, .alias(alias)) }
}

/// API Gateway's formats of an event and its answer.
/// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
package enum PayloadFormat: String, Sendable, Hashable, CaseIterable {
    /// What REST APIs send, and HTTP APIs if they are asked to.
    case v1 = "1.0"
    /// What HTTP APIs and function URLs send.
    case v2 = "2.0"
}

/// Who may use a route.
package enum RouteAuth: Sendable, Hashable {
    /// A key that may invoke the function.
    case token
    /// Everybody.
    case none
    /// Whoever shows a JSON Web Token that is as this says.
    case jwt(JWTRule)
    /// Whoever has signed the body.
    case hmac(HMACRule)
}
