import Foundation
import FunctionModel
package import Journal
import NIOCore
package import Store

/// What of a record is kept beside its result.
private struct Summary: Codable {
    let outcome: Outcome?
    let failure: Failure?
    let start: StartKind?
    let usage: Usage?
    let startedAt: Date?
    let resultKind: ResultKind?
    /// Absent in rows of before there were retries.
    let attempts: Int?
}

extension FinishedInvocation {
    /// In bytes: ten thousand of the largest are a bounded part of any disk.
    private static let (longestSummary, longestResult) = (16 << 10, 16 << 20)

    init(_ record: InvocationRecord) throws {
        func encoded(_ failure: Failure?) throws -> Data {
            try JSONEncoder().encode(
                Summary(
                    outcome: record.outcome, failure: failure, start: record.start, usage: record.usage,
                    startedAt: record.startedAt, resultKind: record.resultKind, attempts: record.attempts))
        }
        var summary = try encoded(record.failure)
        if summary.count > Self.longestSummary, var failure = record.failure {
            // What the function wrote is long; how it ended is not.
            failure.dropWords()
            summary = try encoded(failure)
        }
        let result = record.result.flatMap { $0.readableBytes <= Self.longestResult ? $0 : nil }
        self.init(
            id: record.id, function: record.function, version: record.version, summary: summary,
            result: result.map { Data($0.readableBytesView) })
    }
}

extension InvocationRecord {
    /// Nil for a row of a later host that this one cannot read.
    package init?(_ finished: FinishedInvocation) {
        guard let summary = try? JSONDecoder().decode(Summary.self, from: finished.summary) else { return nil }
        self.init(
            id: finished.id, function: finished.function, version: finished.version, status: .done,
            outcome: summary.outcome,
            failure: summary.failure, start: summary.start, usage: summary.usage, startedAt: summary.startedAt,
            result: finished.result.map { ByteBuffer(bytes: $0) }, resultKind: summary.resultKind)
        attempts = summary.attempts
    }

    /// Of a dead letter.
    package init?(_ letter: DeadLetter) {
        self.init(
            FinishedInvocation(
                id: letter.id, function: letter.function, version: letter.version, summary: letter.summary, result: nil)
        )
    }
}
