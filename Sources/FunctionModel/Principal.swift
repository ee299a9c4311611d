/// Who asks: found once, where a request comes in, and handed on with what it asks for.
package enum Principal: Sendable, Hashable {
    /// Nobody knows: what is open to all.
    case anonymous
    /// The holder of a key.
    case key(Holder)
    /// The host itself: what it accepted earlier, or was told on its command line.
    case host

    /// What a key is for.
    package enum Role: String, Sendable, Codable, CaseIterable {
        /// Everything.
        case admin
        /// Uploading functions, pointing their aliases, invoking them.
        case deploy
        /// Invoking, and reading what an invocation gave.
        case invoke

        /// Whether whoever has this role may do what needs `other`.
        package func includes(_ other: Role) -> Bool {
            switch self {
            case .admin: true
            case .deploy: other != .admin
            case .invoke: other == .invoke
            }
        }
    }

    /// Whose key it is.
    package struct Holder: Sendable, Hashable {
        package let id: String
        package let name: String
        package let role: Role
        package let functions: FunctionScope

        package init(id: String, name: String, role: Role, functions: FunctionScope = .all) {
            self.id = id
            self.name = name
            self.role = role
            self.functions = functions
        }
    }

    /// The key's id, for quotas and records; nil where there is none.
    package var keyID: String? { if case .key(let holder) = self { holder.id } else { nil } }
    /// Which functions it may have to do with.
    package var functions: FunctionScope { if case .key(let holder) = self { holder.functions } else { .all } }
    /// Whether it is told what went wrong inside a function.
    package var isHolder: Bool { self != .anonymous }
}
