import Foundation
package import FunctionModel
import HostSystem
package import Logging
import Synchronization
import WireText

/// JWK sets that stand at URLs (RFC 7517), kept for all routes. The requests themselves are the courier's.
package final class KeySets: Sendable {
    /// What a fetch has brought.
    package struct Document: Sendable {
        package let body: [UInt8]
        /// How long it may be kept, where whoever publishes it says so.
        package let age: Duration?

        package init(body: [UInt8], age: Duration?) {
            self.body = body
            self.age = age
        }
    }

    /// Gets a document of at most `maxBytes`, in bounded time.
    package typealias Fetch = @Sendable (OutgoingURL) async throws -> Document

    private struct Entry {
        var machine = KeySetMachine()
        var waiting: [CheckedContinuation<Void, Never>] = []
        var lastUsed = ContinuousClock.now
    }

    package static let maxBytes = 1 << 20
    /// URLs that are kept: of as many routes as there may be.
    private static let maxEntries = 20_000

    private let entries = Mutex<[String: Entry]>([:])
    private let fetch: Fetch
    private let logger: Logger

    package init(logger: Logger, fetch: @escaping Fetch) {
        self.logger = logger
        self.fetch = fetch
    }

    /// The set at a URL.
    /// - Parameter lacking: the one that has been looked into in vain.
    /// - Throws: `Failure` overloaded, saying why it cannot be had.
    func set(at url: String, lacking: KeySet? = nil) async throws(Failure) -> KeySet {
        // A fetch that one has waited for may have failed, or brought what was there.
        for _ in 0..<2 {
            let now = ContinuousClock.now
            let decision = entries.withLock { entries in
                if entries[url] == nil, entries.count >= Self.maxEntries {
                    let idle = entries.filter { !$0.value.machine.isFetching }
                    if let oldest = idle.min(by: { $0.value.lastUsed < $1.value.lastUsed }) {
                        entries[oldest.key] = nil
                    }
                }
                entries[url, default: Entry()].lastUsed = now
                return entries[url, default: Entry()].machine.ask(lacking: lacking, now: now)
            }
            switch decision {
            case .use(let set, let isRefreshing):
                if isRefreshing { Task { await self.refresh(url) } }
                return set
            case .fetch: await refresh(url)
            case .wait: await wait(for: url)
            case .refuse(let seconds): throw Self.unavailable(retryAfter: seconds)
            }
        }
        let last = entries.withLock { $0[url, default: Entry()].machine.known(now: .now) }
        guard let last else { throw Self.unavailable(retryAfter: 5) }
        return last
    }

    /// To strangers no more than that: the log says where, and why.
    private static func unavailable(retryAfter seconds: Int) -> Failure {
        Failure(
            .overloaded(retryAfter: seconds),
            "the keys of this route's tokens cannot be had now; the host's log says why"
        )
    }

    private func wait(for url: String) async {
        await withCheckedContinuation { continuation in
            let isOver = entries.withLock { entries in
                guard entries[url]?.machine.isFetching == true else { return true }
                entries[url]?.waiting.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    private func refresh(_ url: String) async {
        let result: Result<(KeySet, Duration?), any Error>
        do {
            guard let place = OutgoingURL(url) else {
                throw Unusable(description: "the URL is not \(OutgoingURL.rule)")
            }
            let document = try await fetch(place)
            result = .success((KeySet(try Self.keys(in: document.body)), document.age))
        } catch {
            result = .failure(error)
        }
        let waiting = entries.withLock { entries in
            defer { entries[url]?.waiting = [] }
            switch result {
            case .success(let (set, age)): entries[url]?.machine.fetched(set, age: age, now: .now)
            case .failure: entries[url]?.machine.failed(now: .now)
            }
            return entries[url]?.waiting ?? []
        }
        if case .failure(let error) = result {
            logger.warning("a JWK set cannot be had", metadata: ["url": "\(printable(url))", "reason": "\(error)"])
        }
        for one in waiting { one.resume() }
    }

    private struct Unusable: Error, CustomStringConvertible {
        let description: String
    }

    /// Those that tokens can be checked with: whoever publishes a set may use others of it for something else. A secret is no key
    /// that anybody publishes.
    static func keys(in body: [UInt8]) throws -> [JSONWebKey] {
        struct Document: Decodable {
            struct Item: Decodable {
                let key: JSONWebKey?
                init(from decoder: any Decoder) { key = try? JSONWebKey(from: decoder) }
            }
            let keys: [Item]
        }
        guard body.count <= maxBytes, let document = try? JSONDecoder().decode(Document.self, from: Data(body)) else {
            throw Unusable(description: "what stands there is no JWK set {\"keys\": […]}")
        }
        guard document.keys.count <= JWTRule.maxKeys else {
            throw Unusable(description: "the set has \(document.keys.count) keys; at most \(JWTRule.maxKeys) are taken")
        }
        let usable = document.keys.compactMap(\.key).filter { $0.kty != "oct" && !$0.algorithms.isEmpty }
        guard !usable.isEmpty else { throw Unusable(description: "no key of the set can check a signature") }
        return usable
    }
}
