/// What the doctor found of one layer.
package struct Finding {
    package enum Verdict {
        case enforced
        /// Why, and what to do.
        case degraded(String)
        case missing(String)

        package var text: String {
            switch self {
            case .enforced: "enforced"
            case .degraded(let why): "degraded: \(why)"
            case .missing(let why): "missing: \(why)"
            }
        }

        package var isMissing: Bool {
            if case .missing = self { return true }
            return false
        }
    }

    package let layer: String
    package let verdict: Verdict

    init(_ layer: String, _ verdict: Verdict) {
        self.layer = layer
        self.verdict = verdict
    }

    /// `enforced` when the attempt came out as it must; else missing, with what came out.
    init(_ layer: String, _ holds: Bool, else what: String) {
        self.init(layer, holds ? .enforced : .missing(what))
    }
}
