package import FunctionModel

/// A token's record. The token itself is told once and never stored.
package struct AccessKey: Sendable, Hashable {
    package let id: String
    package let name: String
    package let role: Principal.Role
    package let functions: FunctionScope
    /// How often it may be used; nil: as often as it likes.
    package let rate: Rate?
    /// How often in a time that begins and ends for all at once: a minute, an hour, a day of UTC. Counted for good.
    package let quota: Rate?
    /// RFC 3339, UTC, milliseconds.
    package let createdAt: String
    /// From when on it is worth nothing, in milliseconds since 1970; nil: never.
    package let expiresAt: Int?
    /// SHA-256 of the token, lower-case hex.
    package let hash: String

    package init(
        id: String, name: String, role: Principal.Role, functions: FunctionScope = .all, rate: Rate? = nil,
        quota: Rate? = nil, createdAt: String, expiresAt: Int? = nil, hash: String
    ) {
        self.id = id
        self.name = name
        self.role = role
        self.functions = functions
        self.rate = rate
        self.quota = quota
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.hash = hash
    }
}

extension AccessKey {
    /// Whether it signs requests, as AWS has it, in place of being shown.
    package var signs: Bool { Self.signs(id) }
    /// Ids of others have small letters.
    package static func signs(_ id: String) -> Bool { id.hasPrefix(idPrefix) }
    /// As AWS writes them.
    package static let idPrefix = "AKIA"
}

/// What a new key is to be.
package struct KeyDraft: Sendable {
    package var name: String
    package var role = Principal.Role.invoke
    /// See `AccessKey`, as the others.
    package var functions = FunctionScope.all
    package var rate: Rate?
    package var quota: Rate?
    package var expiresAt: Int?

    package init(name: String) { self.name = name }
}

/// How often a key with a quota was used.
package struct KeyUse: Sendable, Hashable {
    /// The key's.
    package let id: String
    /// Which window of its quota, counted from 1970.
    package var window: Int
    package var count: Int

    package init(id: String, window: Int, count: Int) {
        self.id = id
        self.window = window
        self.count = count
    }
}

/// Something that somebody has changed.
package struct AuditEntry: Sendable, Hashable {
    /// Counts up; 0 before it is entered.
    package let position: Int64
    /// RFC 3339, UTC, milliseconds.
    package let time: String
    /// The key's id and name.
    package let key: String
    package let name: String
    /// What was done, as the API's description names it.
    package let action: String
    /// To what: the path.
    package let target: String
    /// The client's address; empty where nobody knows.
    package let from: String

    package init(
        position: Int64 = 0, time: String, key: String, name: String, action: String, target: String, from: String
    ) {
        self.position = position
        self.time = time
        self.key = key
        self.name = name
        self.action = action
        self.target = target
        self.from = from
    }
}
