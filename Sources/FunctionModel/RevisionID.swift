/// The identity of what one upload made: given at its commit, never given again. Numbers, `latest` and, to come, aliases are
/// pointers to revisions; whoever asks whether two versions are one compares these and nothing else.
package struct RevisionID: Sendable, Hashable {
    private let uuid: RandomUUID

    /// A new one.
    package init() { uuid = RandomUUID() }

    /// Nil for what is no UUID in lower case.
    package init?(_ text: String) {
        guard let uuid = RandomUUID(text) else { return nil }
        self.uuid = uuid
    }

    // All of it is random: one word tells as much as two, and it is hashed for each invocation.
    package func hash(into hasher: inout Hasher) { hasher.combine(uuid.low) }
}

extension RevisionID: CustomStringConvertible {
    package var description: String { uuid.text }
}
