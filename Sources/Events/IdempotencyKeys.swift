import Crypto
package import Foundation
package import FunctionModel
import HostSystem
package import Store
import Synchronization

/// Requests with an `Idempotency-Key`: each is carried out once, and whoever asks again is answered the same.
/// https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header
package final class IdempotencyKeys: Sendable {
    package enum Answer: Sendable {
        /// It is this request's to be carried out; the ticket must be handed back.
        case first(Ticket)
        case again(KeptAnswer)
    }

    /// A request that is being carried out.
    package struct Ticket: Sendable {
        fileprivate let number: UInt64
        fileprivate let key: Data
        fileprivate let request: Data
        fileprivate let function: FunctionName
    }

    private struct InFlight {
        let number: UInt64
        let request: Data
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let store: any QueueStore
    private let inFlight = Mutex<[Data: InFlight]>([:])
    /// Of one key, that wait for the first one's answer.
    private static let maxWaiting = 100
    /// In milliseconds: a day.
    private static let lifetime = 86_400_000
    /// In bytes; of a larger answer it is known only that there was one.
    package static let maxBody = 16 << 20

    package init(store: any QueueStore) { self.store = store }

    /// - Parameters:
    ///   - key: the header's value.
    ///   - holder: whose access key it came with: nobody is told what another one was answered.
    /// - Throws: `Failure` invalid_request, conflict or throttled, or what the store says.
    package func begin(
        _ key: String, of holder: String, for function: FunctionName, body: some DataProtocol
    ) async throws -> Answer {
        guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            throw Failure(.invalidRequest, "Idempotency-Key: 1 to 255 printable ASCII characters")
        }
        let number = UInt64.random(in: .min ... .max)
        let digest = Data(SHA256.hash(data: Data("\(function) \(holder) \(key)".utf8)))
        let request = Data(SHA256.hash(data: Data(body)))
        while true {
            guard try await enter(digest, request, number) else { continue }
            do {
                guard let kept = try await store.keptAnswer(digest, of: function, now: wallClockMilliseconds()) else {
                    return .first(Ticket(number: number, key: digest, request: request, function: function))
                }
                leave(digest, number)
                guard kept.request == request else { throw Self.another }
                guard kept.size != nil else {
                    throw Failure(
                        .conflict,
                        "this was carried out as invocation \(kept.invocation); its answer is not kept, for it was larger than 16MiB, or those of this function were too many"
                    )
                }
                return .again(kept)
            } catch {
                leave(digest, number)
                throw error
            }
        }
    }

    /// Waits while another one with that key is carried out.
    /// - Returns: whether it is this one's turn; else it is to be looked at again.
    private func enter(_ key: Data, _ request: Data, _ number: UInt64) async throws(Failure) -> Bool {
        enum Step { case turn, wait, another, crowded }
        let step = inFlight.withLock { all -> Step in
            guard let other = all[key] else {
                all[key] = InFlight(number: number, request: request)
                return .turn
            }
            if other.request != request { return .another }
            return other.waiting.count < Self.maxWaiting ? .wait : .crowded
        }
        switch step {
        case .turn: return true
        case .another: throw Self.another
        case .crowded:
            throw Failure(
                .throttled(retryAfter: 1), "\(Self.maxWaiting) requests wait for this Idempotency-Key's answer")
        case .wait:
            await withCheckedContinuation { continuation in
                let isOver = inFlight.withLock { all in
                    all[key]?.waiting.append(continuation)
                    return all[key] == nil
                }
                if isOver { continuation.resume() }
            }
            return false
        }
    }

    private static var another: Failure {
        Failure(.conflict, "this Idempotency-Key was used for another body; a key stands for one request")
    }

    /// A ticket that was handed back already is nobody's.
    private func leave(_ key: Data, _ number: UInt64) {
        let waiting = inFlight.withLock { all in
            all[key]?.number == number ? all.removeValue(forKey: key)?.waiting ?? [] : []
        }
        for continuation in waiting { continuation.resume() }
    }

    /// What is to be kept of an answer.
    /// - Parameter body: nil: it is larger than `maxBody`.
    package func answer(_ ticket: Ticket, invocation: String, head: Data, body: Data?) -> KeptAnswer {
        KeptAnswer(
            key: ticket.key, request: ticket.request, function: ticket.function, invocation: invocation, head: head,
            body: body, size: body?.count, expiresAt: wallClockMilliseconds() + Self.lifetime)
    }

    /// The body of a kept answer.
    /// - Throws: what the store says.
    package func body(of kept: KeptAnswer) async throws -> Data { try await store.keptBody(kept.key) ?? Data() }

    /// It was carried out: whoever asks again is answered the same.
    /// - Throws: `Failure` throttled, or what the store says: then nobody may be told that it was.
    package func finish(_ ticket: Ticket, _ answer: KeptAnswer) async throws {
        defer { leave(ticket.key, ticket.number) }
        try await store.keep(answer)
    }

    /// It is over: it was kept with something else, or was not carried out and may be tried again.
    package func release(_ ticket: Ticket) { leave(ticket.key, ticket.number) }
}
