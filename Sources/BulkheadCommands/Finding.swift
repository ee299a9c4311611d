import Foundation

/// What the doctor found of one layer.
struct Finding {
    enum Verdict {
        case enforced
        /// Why, and what to do.
        case degraded(String)
        case missing(String)

        var text: String {
            switch self {
            case .enforced: "enforced"
            case .degraded(let why): "degraded: \(why)"
            case .missing(let why): "missing: \(why)"
            }
        }

        var isMissing: Bool {
            if case .missing = self { return true }
            return false
        }
    }

    let layer: String
    let verdict: Verdict

    init(_ layer: String, _ verdict: Verdict) {
        self.layer = layer
        self.verdict = verdict
    }

    /// `enforced` when the attempt came out as it must; else missing, with what came out.
    init(_ layer: String, _ holds: Bool, else what: String) {
        self.init(layer, holds ? .enforced : .missing(what))
    }
}

extension [Finding] {
    func printJSON() throws {
        let list = map { ["layer": $0.layer, "verdict": $0.verdict.text] }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        FileHandle.standardOutput.write(try encoder.encode(list) + Data("\n".utf8))
    }
}
