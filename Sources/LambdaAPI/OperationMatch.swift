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

    /// - Parameter path: as it came, encoded. A slash inside a parameter comes as %2F.
    init?(_ method: String, _ path: String, query: String = "") {
        guard path.utf8.count <= 4096 else { return nil }
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        var isPath = false
        var found: (Pattern, [String: String])?
        for pattern in Self.patterns where pattern.parts.count == parts.count {
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
        var parameters: [String: String] = [:]
        for (wanted, part) in zip(pattern, path) {
            if wanted.hasPrefix("{") {
                guard let text = part.removingPercentEncoding else { return nil }
                parameters[String(wanted.dropFirst().dropLast())] = text
            } else if !wanted.utf8.elementsEqual(part.utf8) {
                return nil
            }
        }
        return parameters
    }
}
