package import FunctionModel

/// A token's record. The token itself is told once and never stored.
package struct AccessKey: Sendable, Hashable {
    package let id: String
    package let name: String
    package let role: Principal.Role
    package let functions: FunctionScope
    /// How often it may be used; nil: as often as it likes.
    package let rate: Rate?
    /// RFC 3339, UTC, milliseconds.
    package let createdAt: String
    /// From when on it is worth nothing, in milliseconds since 1970; nil: never.
    package let expiresAt: Int?
    /// SHA-256 of the token, lower-case hex.
    package let hash: String

    package init(
        id: String, name: String, role: Principal.Role, functions: FunctionScope = .all, rate: Rate? = nil,
        createdAt: String, expiresAt: Int? = nil, hash: String
    ) {
        self.id = id
        self.name = name
        self.role = role
        self.functions = functions
        self.rate = rate
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.hash = hash
    }
}

/// What a new key is to be.
package struct KeyDraft: Sendable {
    package var name: String
    package var role = Principal.Role.invoke
    /// See `AccessKey`, as the others.
    package var functions = FunctionScope.all
    package var rate: Rate?
    package var expiresAt: Int?

    package init(name: String) { self.name = name }
}
