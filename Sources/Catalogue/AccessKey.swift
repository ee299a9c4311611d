import Crypto

/// A token's record. The token itself is told once and never stored.
package struct AccessKey: Sendable, Hashable, Codable {
    package enum Scope: String, Sendable, Codable, CaseIterable {
        /// Everything.
        case admin
        /// Invoking, and reading what an invocation gave.
        case invoke
    }

    package let id: String
    package let name: String
    package let scope: Scope
    package let createdAt: String
    let hash: String

    /// SHA-256: tokens are 256 random bits, so that no slow hash is needed against guessing.
    static func hash(of token: String) -> String { hex(SHA256.hash(data: Array(token.utf8))) }

    static func makeToken() -> String {
        var generator = SystemRandomNumberGenerator()
        return "bh_" + hex((0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }
}
