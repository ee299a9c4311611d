import FunctionModel

/// A version as the API shows it: null for a revision that has no number yet.
struct ShownVersion: Encodable {
    private let number: Int

    /// - Parameter number: see `FunctionVersion.shownNumber`.
    init(_ number: Int) { self.number = number }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if number == 0 { try container.encodeNil() } else { try container.encode(number) }
    }
}
