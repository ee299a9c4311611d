import Foundation

/// The lines that Lambda writes into a log around what a function wrote.
package enum ReportLines {
    /// - Parameter version: as Lambda calls it: a number, or `$LATEST`.
    package static func start(_ id: String, version: String) -> String { "START RequestId: \(id) Version: \(version)" }

    package static func end(_ id: String) -> String { "END RequestId: \(id)" }

    /// What it took. `Init Duration` only where a worker was started for it, and last.
    package static func report(_ id: String, _ completion: Completion, memory: ByteSize) -> String {
        let wall = completion.usage.wall.inMilliseconds, mebibyte = 1 << 20
        var line =
            "REPORT RequestId: \(id)\tDuration: \(hundredths(wall)) ms\tBilled Duration: \(Int(wall.rounded(.up))) ms"
        line += "\tMemory Size: \(memory.bytes / mebibyte) MB"
        line += "\tMax Memory Used: \((completion.usage.memoryBytes + mebibyte - 1) / mebibyte) MB\t"
        if completion.start == .cold, !completion.hasNotRun {
            let initialization = completion.usage.initialization ?? completion.startTime
            line += "Init Duration: \(hundredths(initialization.inMilliseconds)) ms\t"
        }
        if completion.outcome != .ok { line += "Status: \(completion.outcome.rawValue)\t" }
        return line
    }

    private static func hundredths(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        return "\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10)"
    }
}
