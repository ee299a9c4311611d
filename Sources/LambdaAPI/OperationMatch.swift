import Foundation

/// Which operation a request is for, and what stands for its path's parameters.
enum OperationMatch {
    case known((name: String, parameters: [String: String], status: Int))
    /// There is something at the path, but not for this method.
    case wrongMethod

    private struct Pattern {
        let name: String
        let method: String
        let parts: [Substring]
        let status: Int
        /// What the query must have: two lists stand at one path.
        let query: String?
    }

    private static let patterns: [Pattern] = operationTable.map { entry in
        let halves = entry.path.split(separator: "?", maxSplits: 1)
        return Pattern(
            name: entry.name, method: entry.method, parts: halves[0].split(separator: "/"), status: entry.status,
            query: halves.count > 1 ? String(halves[1]) : nil)
    }

    /// By how many parts there are, and the first: the API's date.
    private static let byDate = Dictionary(grouping: patterns) { Key(count: $0.parts.count, date: $0.parts[0]) }

    private struct Key: Hashable {
        let count: Int
        let date: Substring
    }

    /// - Parameter path: as it came, encoded. A slash inside a parameter comes as %2F.
    init?(_ method: String, _ path: String, query: String = "") {
        guard path.utf8.count <= 4096 else { return nil }
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        var isPath = false
        var found: (Pattern, [String: String])?
        guard let date = parts.first, date.utf8.count == 10 else { return nil }
        for pattern in Self.byDate[Key(count: parts.count, date: date)] ?? [] {
            guard let parameters = Self.parameters(pattern.parts, parts) else { continue }
            isPath = true
            guard pattern.method == method else { continue }
            let asks = pattern.query.map { wanted in query.split(separator: "&").contains { $0 == wanted } }
            if asks == false || (found != nil && asks != true) { continue }
            found = (pattern, parameters)
        }
        if let (pattern, parameters) = found {
            self = .known((pattern.name, parameters, pattern.status))
        } else if isPath {
            self = .wrongMethod
        } else {
            return nil
        }
    }

    private static func parameters(_ pattern: [Substring], _ path: [Substring]) -> [String: String]? {
        let brace = UInt8(ascii: "{")
        for (wanted, part) in zip(pattern, path)
        where wanted.utf8.first != brace && !wanted.utf8.elementsEqual(part.utf8) { return nil }
        var parameters: [String: String] = [:]
        for (wanted, part) in zip(pattern, path) where wanted.utf8.first == brace {
            let isPlain = !part.utf8.contains(UInt8(ascii: "%"))
            guard let text = isPlain ? String(part) : part.removingPercentEncoding else { return nil }
            parameters[String(wanted.dropFirst().dropLast())] = text
        }
        return parameters
    }
}
