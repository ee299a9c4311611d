import FunctionModel
import WireText

/// What stands for a function in a request: its name, part of an ARN or a whole one, with or without a qualifier.
/// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
struct FunctionARN {
    static let account = LambdaLabel.account

    let name: FunctionName
    let qualifier: String?

    /// - Parameter isARN: whether nothing else will do.
    /// - Throws: `LambdaError`.
    init(_ text: String, isARN: Bool = false, _ call: LambdaCall) throws {
        guard !isARN || text.hasPrefix("arn:") else { throw Self.unreadable(text) }
        var parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)[...]
        if parts.count >= 6, parts.first == "arn" {
            guard parts[2] == "lambda" else { throw Self.unreadable(text) }
            parts = parts.dropFirst(4)
        } else if parts.count >= 4, parts[parts.startIndex + 2] == "function" {
            parts = parts.dropFirst()  // a region
        }
        if parts.count >= 3, parts[parts.startIndex + 1] == "function" {
            guard parts.first == Self.account else {
                throw LambdaError(
                    .accessDenied, "the account is \(Self.account) here; the function was named in another one")
            }
            parts = parts.dropFirst(2)
        } else if parts.count >= 2, parts.first == "function" {
            parts = parts.dropFirst()
        }
        guard (1...2).contains(parts.count), let word = parts.first, !word.isEmpty else { throw Self.unreadable(text) }
        guard word.utf8.count <= 64, word.isMade(of: "-_") else { throw Self.unreadable(text) }
        guard let name = FunctionName(word) else {
            throw call.operation == .createFunction
                ? LambdaError(.invalidParameter, "FunctionName: names of functions are here \(FunctionName.rule)")
                : LambdaError(
                    .notFound, "Function not found: \(Self.text(printable(word.prefix(bytes: 140)), call.region))")
        }
        self.name = name
        let own = parts.count == 2 ? parts.last : nil, given = call.input.text("Qualifier")
        if let own, let given, own != given {
            throw LambdaError(
                .invalidParameter,
                "The derived qualifier from the function name does not match the specified qualifier.")
        }
        qualifier = own ?? given
        if let qualifier, qualifier != FunctionVersion.latestLabel, Self.number(qualifier) == nil,
            !Alias.isName(qualifier)
        {
            throw LambdaError.invalid(
                qualifier, at: "qualifier",
                "Member must satisfy regular expression pattern: \\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+")
        }
    }

    /// Whether the newest revision is meant, published or not.
    var isLatest: Bool { qualifier == nil || qualifier == FunctionVersion.latestLabel }

    var reference: FunctionReference {
        guard let qualifier, !isLatest else { return FunctionReference(name, .alias(Alias.latest)) }
        return FunctionReference(name, Self.number(qualifier).map { .version($0) } ?? .alias(qualifier))
    }

    /// A version's: digits alone, where `Int` takes signs too.
    static func number(_ text: String) -> Int? {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
    }

    static func text(_ name: String, _ region: String, _ qualifier: String? = nil) -> String {
        LambdaLabel.arn(name, region, qualifier)
    }

    private static func unreadable(_ text: String) -> LambdaError {
        LambdaError.invalid(text, at: "functionName", "Member must be a function's name, part of its ARN, or its ARN")
    }
}
