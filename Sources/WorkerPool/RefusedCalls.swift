import Sandbox

/// The calls that one worker was refused.
struct RefusedCalls {
    /// So far, by name and errno.
    private var counts: [[String]: UInt64] = [:]
    /// Those that came since the last invocation ended: what the log tells if this one fails.
    private var untold: [RefusedCall] = []

    /// Takes the cell's total of one kind.
    /// - Returns: what was added to it; nil: nothing.
    mutating func take(_ total: RefusedCall) -> RefusedCall? {
        // Those beyond the kinds that are told apart come as one total, with the errno of the last of them.
        let kind = total.name == "other" ? [total.name] : [total.name, total.errnoText]
        let known = counts.updateValue(total.count, forKey: kind) ?? 0
        guard total.count > known else { return nil }
        let news = RefusedCall(name: total.name, errnoText: total.errnoText, count: total.count - known)
        untold = Explanation.keeping(untold, news)
        return news
    }

    mutating func takeUntold() -> [RefusedCall] {
        defer { untold = [] }
        return untold
    }
}
