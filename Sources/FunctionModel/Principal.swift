/// Who asks: found once, where a request comes in, and handed on with what it asks for.
package enum Principal: Sendable, Hashable {
    /// Nobody knows: what is open to all.
    case anonymous
    /// The holder of a key.
    case key(id: String, name: String, role: Role)
    /// The host itself: what it accepted earlier, or was told on its command line.
    case host

    /// What a key is for.
    package enum Role: String, Sendable, Codable, CaseIterable {
        /// Everything.
        case admin
        /// Invoking, and reading what an invocation gave.
        case invoke

        /// Whether whoever has this role may do what needs `other`.
        package func includes(_ other: Role) -> Bool { self == .admin || self == other }
    }

    /// The key's id, for quotas and records; nil where there is none.
    package var keyID: String? { if case .key(let id, _, _) = self { id } else { nil } }
    /// Whether it is told what went wrong inside a function.
    package var isHolder: Bool { self != .anonymous }
}
