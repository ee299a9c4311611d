import WireText

extension Decoder {
    /// The members of a body; others than these are refused.
    /// - Parameter taken: what there may be, in a sentence.
    /// - Throws: `Failure` invalid_request.
    package func members<Keys: CodingKey & CaseIterable>(_ keys: Keys.Type, taken: String) throws
        -> KeyedDecodingContainer<Keys>
    {
        let known = Set(Keys.allCases.map(\.stringValue))
        for key in try container(keyedBy: AnyKey.self).allKeys where !known.contains(key.stringValue) {
            throw Failure(.invalidRequest, "\"\(printable(key.stringValue.prefix(bytes: 40)))\" is not taken; \(taken)")
        }
        return try container(keyedBy: keys)
    }
}

/// Any member's name: for finding those that nobody knows.
private struct AnyKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}
