package import Foundation
package import FunctionModel
import HostSystem
import Invoker
import Journal
package import Store
import WireText

extension Events {
    /// The newest first.
    /// - Throws: what the store says.
    package func deadLetters(of name: FunctionName, before: Int64?, limit: Int) async throws -> [DeadLetter] {
        try await store.deadLetters(of: name, before: before, limit: limit)
    }

    /// - Throws: what the store says.
    package func event(ofDead id: String, of name: FunctionName) async throws -> Data? {
        try await store.event(ofDead: id, of: name)
    }

    /// Tries what is not tried any more as if it had just come: one, or all of a function.
    /// - Parameter version: the one that runs those whose own has gone.
    /// - Returns: how many.
    /// - Throws: `Failure` not_found or overloaded, or what the store says.
    package func redrive(_ id: String?, of name: FunctionName, version: FunctionVersion) async throws -> Int {
        if invoker.isDraining { throw Failure.draining }
        // No more than there are now: what fails again at once must not come round and round.
        let most = deadLetterCounts[name] ?? 0
        var count = 0
        while true {
            let back = try await store.redrive(id, of: name, now: wallClockMilliseconds(), version: version.number)
            exhumed(back.count, of: name)
            enter(back)
            count += back.count
            if id != nil || back.isEmpty || count >= most { break }
        }
        guard count > 0 || id == nil else { throw unknown(id, of: name) }
        return count
    }

    /// Forgets one, or all of a function.
    /// - Returns: how many.
    /// - Throws: `Failure` not_found, or what the store says.
    package func removeDeadLetters(_ id: String?, of name: FunctionName) async throws -> Int {
        let count = try await store.removeDeadLetters(id, of: name)
        exhumed(count, of: name)
        guard count > 0 || id == nil else { throw unknown(id, of: name) }
        return count
    }

    private func unknown(_ id: String?, of name: FunctionName) -> Failure {
        Failure(
            .notFound,
            "\(name) has no dead letter \"\(printable((id ?? "").prefix(bytes: 80)))\"; GET /v1/functions/\(name)/dead-letters lists them"
        )
    }
}
