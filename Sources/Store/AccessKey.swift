package import FunctionModel

/// A token's record. The token itself is told once and never stored.
package struct AccessKey: Sendable, Hashable {
    package let id: String
    package let name: String
    package let role: Principal.Role
    /// RFC 3339, UTC, milliseconds.
    package let createdAt: String
    /// SHA-256 of the token, lower-case hex.
    package let hash: String

    package init(id: String, name: String, role: Principal.Role, createdAt: String, hash: String) {
        self.id = id
        self.name = name
        self.role = role
        self.createdAt = createdAt
        self.hash = hash
    }
}
