import Foundation

/// What a function has beside its versions.
package struct FunctionSettings: Sendable, Hashable {
    /// So many of its invocations run at once at most, whatever its versions say; nil: that is theirs to say.
    package var reservedConcurrency: Int?
    package var tags: [String: String] = [:]
    /// HTTP for everybody, or for holders of a key, by qualifier: an alias, or `FunctionVersion.latestLabel` for the function itself.
    package var urls: [String: FunctionURL] = [:]
    /// What becomes of asynchronous invocations, by qualifier as Lambda has it (`$LATEST`, an alias, a version's number): where it says
    /// something, it wins over the manifest's `async`.
    package var eventInvoke: [String: EventInvokeRules] = [:]
    /// Workers kept started, by qualifier (an alias or a version's number): where it is more than the manifest's `concurrency.warm`.
    package var provisioned: [String: ProvisionedWorkers] = [:]
    /// Who else may, as AWS has it, by qualifier (`$LATEST`, an alias, a version's number). Kept for its clients, and shown to them: who
    /// may invoke here, keys say.
    package var policies: [String: [PolicyStatement]] = [:]

    package static let maxTags = 50
    /// Of each kind: what a function has beside its versions is written whole at each change.
    package static let maxQualifiers = 100, maxStatements = 100

    /// All of it, as it is stored, in bytes.
    package static let maxStored = 128 << 10

    package init() {}

    /// - Throws: `Failure` conflict, where it has become larger than it may be; what makes it smaller always may.
    package func checkGrowth(since before: FunctionSettings) throws(Failure) {
        // What cannot be encoded is refused where it is stored.
        func size(_ settings: FunctionSettings) -> Int { (try? JSONEncoder().encode(settings).count) ?? 0 }
        let now = size(self)
        guard now > Self.maxStored, now > size(before) else { return }
        throw Failure(
            .conflict,
            "URLs, policies, rules and tags of one function take \(ByteSize(bytes: Self.maxStored)) at most; remove some first"
        )
    }
}

extension FunctionSettings: Codable {
    private enum Keys: CodingKey { case reservedConcurrency, tags, urls, eventInvoke, provisioned, policies }

    /// What older hosts have not written is empty.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Keys.self)
        reservedConcurrency = try members.decodeIfPresent(Int.self, forKey: .reservedConcurrency)
        tags = try members.decodeIfPresent([String: String].self, forKey: .tags) ?? [:]
        urls = try members.decodeIfPresent([String: FunctionURL].self, forKey: .urls) ?? [:]
        eventInvoke = try members.decodeIfPresent([String: EventInvokeRules].self, forKey: .eventInvoke) ?? [:]
        provisioned = try members.decodeIfPresent([String: ProvisionedWorkers].self, forKey: .provisioned) ?? [:]
        policies = try members.decodeIfPresent([String: [PolicyStatement]].self, forKey: .policies) ?? [:]
    }
}

/// A function's URL: `/fn/NAME/`, and `/fn/NAME:ALIAS/` for an alias.
package struct FunctionURL: Sendable, Hashable, Codable {
    /// Whether everybody may, without a token: AuthType NONE. Else whoever signs with a key that may invoke it.
    package var isOpen: Bool
    package var cors: CORSRule?
    /// Whether somebody has once permitted everybody to come by it: from then on it is open as long as that is so.
    package var awaitsPermission = false
    /// InvokeMode RESPONSE_STREAM: kept and shown; what streams, the manifest says.
    package var streams = false
    /// As RFC 3339.
    package var createdAt: String
    package var modifiedAt: String

    package init(isOpen: Bool, createdAt: String) {
        self.isOpen = isOpen
        (self.createdAt, modifiedAt) = (createdAt, createdAt)
    }
}

/// What Lambda calls an event invoke configuration.
package struct EventInvokeRules: Sendable, Hashable, Codable {
    /// Further attempts, 0 to 2.
    package var retries: Int?
    /// In seconds, 60 to 21,600.
    package var maxAge: Int?
    /// As `Destination` reads it: a function's name or a URL.
    package var onSuccess: String?
    package var onFailure: String?
    /// As RFC 3339.
    package var modifiedAt: String

    package init(modifiedAt: String) { self.modifiedAt = modifiedAt }

    /// The manifest's rules with what is said here.
    package func applied(to rules: AsyncRules) -> AsyncRules {
        var applied = rules
        if let retries { applied.retries = retries }
        if let maxAge { applied.maxAge = .seconds(maxAge) }
        if let onSuccess { applied.onSuccess = Destination(onSuccess) }
        if let onFailure { applied.onFailure = Destination(onFailure) }
        return applied
    }
}

/// What Lambda calls provisioned concurrency.
package struct ProvisionedWorkers: Sendable, Hashable, Codable {
    package var count: Int
    /// As RFC 3339.
    package var modifiedAt: String

    package init(count: Int, modifiedAt: String) { (self.count, self.modifiedAt) = (count, modifiedAt) }
}

/// One statement of a resource policy, as AddPermission brings it.
package struct PolicyStatement: Sendable, Hashable, Codable {
    package var id: String
    package var action: String
    package var principal: String
    package var sourceARN: String?
    package var sourceAccount: String?
    package var organization: String?
    package var eventSourceToken: String?
    package var urlAuthType: String?
    /// InvokedViaFunctionUrl.
    package var viaURL: Bool?

    /// Whether it lets everybody come by a URL.
    package var opensURL: Bool {
        principal == "*" && ["lambda:InvokeFunctionUrl", "lambda:*", "*"].contains(action)
            && (urlAuthType == nil || urlAuthType == "NONE") && sourceARN == nil && sourceAccount == nil
            && organization == nil
    }

    package init(id: String, action: String, principal: String) {
        (self.id, self.action, self.principal) = (id, action, principal)
    }
}
