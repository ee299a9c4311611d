import Foundation
import FunctionModel
import Store
import Testing

/// What each driver must keep of queues by name.
struct MessageConformance {
    /// Stores on the same data each time: what one wrote the next one reads.
    let open: () throws -> Stores

    private static let bounds = MessageBounds(count: 3, bytes: 100, total: 2720, oldest: 0)

    private func message(_ body: String, sentAt: Int = 1000, visibleAt: Int? = nil) -> QueueMessage {
        QueueMessage(id: "id-\(body)", body: body, sentAt: sentAt, visibleAt: visibleAt ?? sentAt)
    }

    private func queue(
        _ name: String = "q", maxReceives: Int? = nil, deadLetters: String? = nil, retention: Int = 1_000_000
    ) -> MessageQueue {
        MessageQueue(
            name: name, retention: TimeLimit(milliseconds: retention), maxReceives: maxReceives,
            deadLetters: deadLetters)
    }

    private func claim(
        _ queue: MessageQueue, _ count: Int = 10, bytes: Int = 100_000, now: Int = 2000
    ) async throws -> [QueueMessage] {
        try await open().messages.claim(
            MessageClaim(
                queue: queue, count: count, bytes: bytes, now: now, until: now + 500,
                bounds: Self.bounds)
        ).messages
    }

    private func handle(_ message: QueueMessage, of queue: String = "q") -> MessageHandle {
        MessageHandle(
            position: message.position, queue: queue, receives: message.receives, waitedSince: message.visibleAt)
    }

    private func deployed(_ text: String) async throws -> FunctionName {
        let name = try #require(FunctionName(text))
        var manifest = Manifest()
        manifest.run = "x"
        manifest.spellOut()
        let draft = VersionDraft(
            name: name, sha256: "a", size: 1, bundle: "b", manifest: manifest, executable: .staticELF, storedBytes: 1,
            key: nil)
        _ = try await open().catalogue.commit(draft) { _, _ in }
        return name
    }

    func queuesAndMappingsAreThereAgain() async throws {
        let name = try await deployed("f")
        var first = queue(maxReceives: 3, deadLetters: "d")
        first.updatedAt = "2026-01-01"
        await #expect(throws: Failure.self) { try await open().messages.put(first, nil) {} }
        #expect(try await open().messages.put(queue("d"), nil) {})
        #expect(try await open().messages.put(first, nil) {})
        #expect(try await !open().messages.put(first, nil) {})
        var mapping = EventSourceMapping(
            id: "m", queue: "q", function: name, qualifier: "3", batchSize: 20, window: .seconds(2), isEnabled: false,
            reportsFailures: true, maxConcurrency: 7, updatedAt: "2026-01-02")
        await #expect(throws: Failure.self, "there is none to change") {
            try await open().messages.put(mapping, isNew: false) {}
        }
        try await open().messages.put(mapping, isNew: true) {}
        mapping.batchSize = 21
        try await open().messages.put(mapping, isNew: false) {}
        let twin = mapping.between("q", name, id: "n"), other = mapping.between("none", name, id: "n")
        let stray = mapping.between("q", try #require(FunctionName("none")), id: "n")
        for bad in [twin, other, stray] {
            await #expect(throws: Failure.self) { try await open().messages.put(bad, isNew: true) {} }
        }
        let names = try open().messages.queues().sorted { $0.name < $1.name }
        #expect(try names == [queue("d"), first] && open().messages.mappings() == [mapping])
        for name in ["q", "d"] {
            await #expect(throws: Failure.self, "somebody needs it") {
                try await open().messages.removeQueue(name, nil) {}
            }
        }
        #expect(try await open().messages.removeMapping("m") {})
        await #expect(throws: PreconditionFailed.self) {
            try await open().messages.removeQueue("q", Precondition(ifMatch: "\"other\"")) {}
        }
        #expect(try await open().messages.removeQueue("q", Precondition(ifMatch: "\"\(first.tag)\"")) {} == true)
        #expect(try await open().messages.removeQueue("q", nil) {} == false)
        #expect(try await open().messages.removeQueue("d", nil) {} == true)
        #expect(try await !open().messages.removeMapping("m") {})
        #expect(try open().messages.queues().isEmpty && open().messages.mappings().isEmpty)
    }

    func messagesAreHandedOutOnceAtATime() async throws {
        let store = try open().messages, queue = queue()
        _ = try await store.put(queue, nil) {}
        for body in ["a", "b"] { try await store.send(message(body), to: "q", Self.bounds) }
        try await store.send(message("late", visibleAt: 2100), to: "q", Self.bounds)
        #expect(
            try await store.outlook(of: "q", now: 2000, count: 2, bytes: 9999)
                == .init(isFull: true, waitingSince: 1000, nextAt: 2100)
        )
        let first = try await claim(queue, 1)
        #expect(first.map(\.body) == ["a"] && first[0].receives == 1 && first[0].firstReceivedAt == 2000)
        #expect(try await claim(queue).map(\.body) == ["b"])
        #expect(try await claim(queue).isEmpty)
        #expect(try await store.outlook(of: "q", now: 2100, count: 2, bytes: 9999).isFull == false)
        #expect(try await store.outlook(of: "q", now: 2100, count: 2, bytes: 500).isFull)
        var state = MessageState()
        (state.inFlight, state.delayed, state.bytes) = (2, 1, 6)
        #expect(try await store.state(of: "q", now: 2000) == state)
        // A host that dies gives nothing back: then it comes again when its time is over.
        let again = try await claim(queue, now: 2600)
        #expect(again.map(\.body) == ["late", "a", "b"] && again[1].receives == 2 && again[1].firstReceivedAt == 2000)
        // Whose time was over changes nothing of what is another's by now.
        try await store.remove([handle(first[0])])
        try await store.release([handle(first[0])], at: 2600)
        try await store.remove([handle(again[1])])
        try await store.release([handle(again[2])], at: 2700)
        // As it was: not tried, and before those that came later.
        try await store.release([handle(again[0])], at: nil)
        let last = try await claim(queue, now: 2700)
        #expect(last.map(\.body) == ["late", "b"] && last.map(\.receives) == [1, 3])
    }

    func aQueueIsBounded() async throws {
        let store = try open().messages, queue = queue()
        await #expect(throws: Failure.self) { try await store.send(message("a"), to: "q", Self.bounds) }
        _ = try await store.put(queue, nil) {}
        for body in ["a", "b", "c"] { try await store.send(message(body), to: "q", Self.bounds) }
        await #expect(throws: Failure.self) { try await store.send(message("d"), to: "q", Self.bounds) }
        try await store.remove(claim(queue, 1).map { handle($0) })
        await #expect(throws: Failure.self) {
            try await store.send(message(String(repeating: "x", count: 99)), to: "q", Self.bounds)
        }
        try await store.send(message("d"), to: "q", Self.bounds)
        // What is too old makes room.
        try await store.send(message("e"), to: "q", MessageBounds(count: 3, bytes: 100, total: 2720, oldest: 1001))
        #expect(try await store.messages(in: "q", after: 0, limit: 9).map(\.body) == ["e"])
        _ = try await store.put(self.queue("other"), nil) {}
        for _ in 0..<3 { try await store.send(message(String(repeating: "x", count: 30)), to: "other", Self.bounds) }
        await #expect(throws: Failure.self, "together they are full") {
            try await store.send(message(String(repeating: "x", count: 99)), to: "q", Self.bounds)
        }
        await #expect(throws: Failure.self) {
            try await store.move(from: "q", to: "other", now: 2000, Self.bounds)
        }
        #expect(try await store.purge("q") == 1)
        #expect(try await store.expire(self.queue("other", retention: 100), now: 2000) == 3)
        #expect(try await store.state(of: "q", now: 2000) == MessageState())
    }

    func whatIsHandedOutTooOftenIsBuried() async throws {
        let roomy = MessageBounds(count: 3, bytes: 100, total: 1 << 20, oldest: 0)
        let store = try open().messages, queue = queue(maxReceives: 1, deadLetters: "d")
        _ = try await store.put(self.queue("d"), nil) {}
        _ = try await store.put(queue, nil) {}
        try await store.send(message("a"), to: "q", roomy)
        try await store.send(message("b", visibleAt: 2550), to: "q", roomy)
        #expect(try await claim(queue, 1, now: 2000).map(\.body) == ["a"])
        // What is buried makes room for those behind it, in one go.
        #expect(try await claim(queue, 1, now: 2600).map(\.body) == ["b"])
        let dead = try await store.messages(in: "d", after: 0, limit: 9)
        #expect(dead.map(\.body) == ["a"] && dead[0].receives == 0)
        #expect(try await claim(queue, now: 3200).isEmpty)
        #expect(try await store.move(from: "d", to: "q", now: 4000, roomy) == 2)
        let back = try await claim(queue, now: 4000)
        #expect(back.map(\.body) == ["a", "b"] && back[0].sentAt == 4000)
        // Where there is no room for them they wait, and nothing is lost.
        for body in ["x", "y", "z"] { try await store.send(message(body), to: "d", roomy) }
        #expect(try await claim(queue, now: 5000).isEmpty)
        #expect(try await store.messages(in: "q", after: 0, limit: 9).map(\.body) == ["a", "b"])
        #expect(try await store.messages(in: "d", after: 0, limit: 9).count == 3)
        // Without a queue for them they go.
        #expect(try await claim(self.queue(maxReceives: 1), now: 90_000).isEmpty)
        #expect(try await store.messages(in: "q", after: 0, limit: 9).isEmpty)
    }

    func whatIsTooOldIsNotHandedOut() async throws {
        let store = try open().messages, queue = queue(retention: 100)
        _ = try await store.put(queue, nil) {}
        try await store.send(message("old"), to: "q", Self.bounds)
        try await store.send(message("new", sentAt: 1950), to: "q", Self.bounds)
        #expect(try await claim(queue).map(\.body) == ["new"])
        #expect(try await store.messages(in: "q", after: 0, limit: 9).map(\.body) == ["new"])
    }

    func aBatchIsNotTooLarge() async throws {
        let store = try open().messages, queue = queue()
        _ = try await store.put(queue, nil) {}
        for body in ["123456789\0", "1234", "5"] { try await store.send(message(body), to: "q", Self.bounds) }
        #expect(try await claim(queue, bytes: 1030).map(\.body) == ["123456789\0"])
        #expect(try await claim(queue, bytes: 1030).map(\.body) == ["1234", "5"])
    }

    func whatIsTooMuchForOneGoTakesMore() async throws {
        let store = try open().messages, many = MessageBounds(count: 2000, bytes: 9999, total: 1 << 30, oldest: 0)
        _ = try await store.put(queue("d", retention: 60_000), nil) {}
        _ = try await store.put(queue(), nil) {}
        for _ in 0..<600 { try await store.send(message("a"), to: "q", many) }
        #expect(try await store.move(from: "q", to: "d", now: 2000, many) == 500)
        #expect(try await store.move(from: "q", to: "d", now: 2000, many) == 100)
        #expect(try await store.expire(queue("d", retention: 60_000), now: 90_000) == 500)
        for _ in 0..<600 { try await store.send(message("a"), to: "q", many) }
        #expect(try await store.purge("q") == 500)
        #expect(try await store.purge("q") == 100)
        for _ in 0..<600 { try await store.send(message("a"), to: "q", many) }
        #expect(try await store.removeQueue("q", nil) {} == nil)
        #expect(try await store.removeQueue("q", nil) {} == true)
    }

    func whatIsBuriedMustNotBeTooOldAtOnce() async throws {
        let store = try open().messages
        _ = try await store.put(queue("d", retention: 100_000), nil) {}
        await #expect(throws: Failure.self) {
            try await store.put(queue(maxReceives: 1, deadLetters: "d", retention: 200_000), nil) {}
        }
        _ = try await store.put(queue(maxReceives: 1, deadLetters: "d", retention: 100_000), nil) {}
        await #expect(throws: Failure.self) { try await store.put(queue("d", retention: 99_000), nil) {} }
    }

    func versionsThatAMappingNamesAreKept() async throws {
        let name = try await deployed("f"), stores = try open()
        _ = try await stores.messages.put(queue(), nil) {}
        try await stores.messages.put(
            EventSourceMapping(id: "m", queue: "q", function: name, qualifier: "1"), isNew: true
        ) {}
        var manifest = Manifest()
        manifest.run = "x"
        manifest.spellOut()
        for number in 0..<3 {
            var draft = VersionDraft(
                name: name, sha256: "b\(number)", size: 1, bundle: "b", manifest: manifest, executable: .staticELF,
                storedBytes: 1, key: nil)
            draft.keep = 1
            _ = try await open().catalogue.commit(draft) { _, _ in }
        }
        let numbers = try open().catalogue.versions().map(\.number)
        #expect(numbers.contains(1) && !numbers.contains(2))
    }

    func mappingsGoWithTheirFunction() async throws {
        let stores = try open(), name = try await deployed("f")
        _ = try await stores.messages.put(queue(), nil) {}
        try await stores.messages.put(EventSourceMapping(id: "m", queue: "q", function: name), isNew: true) {}
        _ = try await stores.catalogue.removeFunction(name, nil) {}
        #expect(try open().messages.mappings().isEmpty)
    }
}
