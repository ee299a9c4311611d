import FunctionModel
import WireText

/// What an operation's model says of one member of its input.
struct InputRule: Sendable {
    enum Place: Sendable { case uri, querystring, header, body }
    enum Kind: Sendable { case string, whole, flag, list, map, structure, other }

    let name: String
    let place: Place
    let kind: Kind
    /// Its name there, where that is another.
    let sent: String
    let isRequired: Bool
    let min: Int?
    let max: Int?
    let pattern: String?
    let words: [String]

    init(
        _ name: String, _ place: Place, _ kind: Kind, sent: String? = nil, isRequired: Bool = false, min: Int? = nil,
        max: Int? = nil, pattern: String? = nil, words: [String] = []
    ) {
        self.name = name
        self.place = place
        self.kind = kind
        self.sent = sent ?? name
        self.isRequired = isRequired
        self.min = min
        self.max = max
        self.pattern = pattern
        self.words = words
    }

    /// What is wrong with a value, as AWS says it; nil: nothing.
    func complaint(_ value: LambdaValue?) -> String? {
        guard let value, value != .null else { return isRequired ? failed("null", "Member must not be null") : nil }
        switch kind {
        case .string:
            guard let text = value.text else { return failed(value.shown, "Member must be a string") }
            let length = text.unicodeScalars.count
            if let max, length > max {
                return failed(text, "Member must have length less than or equal to \(max)")
            }
            if let min, length < min {
                return failed(text, "Member must have length greater than or equal to \(min)")
            }
            if !words.isEmpty, !words.contains(text) {
                return failed(text, "Member must satisfy enum value set: [\(words.joined(separator: ", "))]")
            }
            if let pattern, !Self.fits(text, pattern) {
                return failed(text, "Member must satisfy regular expression pattern: \(pattern)")
            }
        case .whole:
            guard let number = value.whole else { return failed(value.shown, "Member must be an integer") }
            if let max, number > max {
                return failed("\(number)", "Member must have value less than or equal to \(max)")
            }
            if let min, number < min {
                return failed("\(number)", "Member must have value greater than or equal to \(min)")
            }
        case .flag: if value.flag == nil { return failed(value.shown, "Member must be a boolean") }
        case .list:
            guard let list = value.list else { return failed(value.shown, "Member must be a list") }
            if let max, list.count > max {
                return failed(value.shown, "Member must have length less than or equal to \(max)")
            }
            if let min, list.count < min {
                return failed(value.shown, "Member must have length greater than or equal to \(min)")
            }
        case .map, .structure: if value.members == nil { return failed(value.shown, "Member must be an object") }
        case .other: break
        }
        return nil
    }

    private func failed(_ value: String, _ constraint: String) -> String {
        Self.complaint(value, at: name.prefix(1).lowercased() + name.dropFirst(), constraint)
    }

    static func complaint(_ value: String, at place: String, _ constraint: String) -> String {
        "Value '\(printable(value.prefix(bytes: 300)))' at '\(place)' failed to satisfy constraint: \(constraint)"
    }

    /// Bounded before: a text is as long as its rule allows, and no pattern of these looks at a byte more than a few times.
    private static func fits(_ text: String, _ pattern: String) -> Bool {
        guard text.utf8.count <= 10_000, let expression = try? Regex(pattern) else { return false }
        return text.wholeMatch(of: expression) != nil
    }
}

extension InputRule {
    /// - Throws: `LambdaError` validation, naming all that is wrong.
    static func check(_ rules: [InputRule], _ value: (InputRule) -> LambdaValue?) throws {
        let complaints = rules.compactMap { $0.complaint(value($0)) }
        guard !complaints.isEmpty else { return }
        let count = complaints.count
        throw LambdaError(
            .validation,
            "\(count) validation error\(count == 1 ? "" : "s") detected: \(complaints.joined(separator: "; "))")
    }
}
