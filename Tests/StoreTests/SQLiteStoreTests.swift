import Foundation
import FunctionModel
import GRDB
import Store
import Testing

@testable import StoreSQLite

@Suite struct SQLiteStoreTests {
    private final class TemporaryFile {
        let folder = FileManager.default.temporaryDirectory.appending(path: "store-\(UUID().uuidString)")

        init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }

        deinit { try? FileManager.default.removeItem(at: folder) }
    }

    private func check(_ keeps: (StoreConformance) async throws -> Void) async throws {
        let file = try TemporaryFile()
        try await keeps(StoreConformance { try SQLiteStore(path: file.folder.path + "/catalogue.db").stores })
        withExtendedLifetime(file) {}
    }

    private func checkEvents(_ keeps: (EventConformance) async throws -> Void) async throws {
        let file = try TemporaryFile()
        try await keeps(EventConformance { try SQLiteStore(path: file.folder.path + "/catalogue.db").stores })
        withExtendedLifetime(file) {}
    }

    private func checkMessages(_ keeps: (MessageConformance) async throws -> Void) async throws {
        let file = try TemporaryFile()
        try await keeps(MessageConformance { try SQLiteStore(path: file.folder.path + "/catalogue.db").stores })
        withExtendedLifetime(file) {}
    }

    @Test func queuesAndMappingsAreThereAgain() async throws {
        try await checkMessages { try await $0.queuesAndMappingsAreThereAgain() }
    }
    @Test func messagesAreHandedOutOnceAtATime() async throws {
        try await checkMessages { try await $0.messagesAreHandedOutOnceAtATime() }
    }
    @Test func aQueueIsBounded() async throws { try await checkMessages { try await $0.aQueueIsBounded() } }
    @Test func whatIsHandedOutTooOftenIsBuried() async throws {
        try await checkMessages { try await $0.whatIsHandedOutTooOftenIsBuried() }
    }
    @Test func whatIsTooOldIsNotHandedOut() async throws {
        try await checkMessages { try await $0.whatIsTooOldIsNotHandedOut() }
    }
    @Test func aBatchIsNotTooLarge() async throws { try await checkMessages { try await $0.aBatchIsNotTooLarge() } }
    @Test func whatIsTooMuchForOneGoTakesMore() async throws {
        try await checkMessages { try await $0.whatIsTooMuchForOneGoTakesMore() }
    }
    @Test func whatIsBuriedMustNotBeTooOldAtOnce() async throws {
        try await checkMessages { try await $0.whatIsBuriedMustNotBeTooOldAtOnce() }
    }
    @Test func versionsThatAMappingNamesAreKept() async throws {
        try await checkMessages { try await $0.versionsThatAMappingNamesAreKept() }
    }
    @Test func mappingsGoWithTheirFunction() async throws {
        try await checkMessages { try await $0.mappingsGoWithTheirFunction() }
    }
    @Test func numbersAreNeverUsedAgain() async throws { try await check { try await $0.numbersAreNeverUsedAgain() } }
    @Test func unpublishedOnesAreReplaced() async throws {
        try await check { try await $0.unpublishedOnesAreReplaced() }
    }
    @Test func settingsAreThereAgain() async throws { try await check { try await $0.settingsAreThereAgain() } }
    @Test func theSameIsNoNewVersion() async throws { try await check { try await $0.theSameIsNoNewVersion() } }
    @Test func whatIsCommittedIsThereAgain() async throws {
        try await check { try await $0.whatIsCommittedIsThereAgain() }
    }
    @Test func oldOnesMakeRoom() async throws {
        try await check { try await $0.oldOnesMakeRoomButForThoseThatAreWaitedFor() }
    }
    @Test func toldInTheOrderOfCommits() async throws { try await check { try await $0.toldInTheOrderOfCommits() } }
    @Test func aliasesAreThereAgainAndGoWithTheirFunction() async throws {
        try await check { try await $0.aliasesAreThereAgainAndGoWithTheirFunction() }
    }
    @Test func whatIsRefusedChangesNothing() async throws {
        try await check { try await $0.whatIsRefusedChangesNothing() }
    }
    @Test func versionsGoByTraffic() async throws { try await check { try await $0.versionsGoByTraffic() } }
    @Test func routesComeAndGo() async throws { try await check { try await $0.routesComeAndGo() } }
    @Test func keysComeAndGo() async throws { try await check { try await $0.keysComeAndGo() } }
    @Test func usesAndChangesAreKept() async throws { try await check { try await $0.usesAndChangesAreKept() } }
    @Test func acceptedOnesOutlive() async throws {
        try await checkEvents { try await $0.acceptedOnesOutliveAndKeepTheirOrder() }
    }
    @Test func whoEndsItsRunnersIsKnown() async throws {
        try await checkEvents { try await $0.whoEndsItsRunnersIsKnown() }
    }
    @Test func manyAtOnce() async throws { try await checkEvents { try await $0.manyAtOnce() } }
    @Test func whatBecameOfOneCanBeAskedFor() async throws {
        try await checkEvents { try await $0.whatBecameOfOneCanBeAskedFor() }
    }
    @Test func oldResultsMakeRoom() async throws { try await checkEvents { try await $0.oldResultsMakeRoom() } }
    @Test func theDeadAreKept() async throws {
        try await checkEvents { try await $0.theDeadAreKeptRedrivenAndForgotten() }
    }
    @Test func answersAreKept() async throws { try await checkEvents { try await $0.answersAreKeptUntilTheyExpire() } }
    @Test func schedulesFireEachTimeOnce() async throws { try await checkEvents { try await $0.eachTimeOnce() } }
    @Test func secretsComeAndGo() async throws { try await checkEvents { try await $0.secretsComeAndGo() } }
    @Test func usageAddsUp() async throws { try await checkEvents { try await $0.usageAddsUp() } }

    /// A catalogue of before revisions were given gets them, each its own, and for good.
    @Test func oldCataloguesGetRevisions() async throws {
        let file = try TemporaryFile()
        let path = file.folder.path + "/catalogue.db"
        try OldCatalogue.write(to: path)
        let first = try SQLiteStore(path: path).versions().sorted { $0.number < $1.number }
        let second = try SQLiteStore(path: path).versions().sorted { $0.number < $1.number }
        #expect(first.map(\.number) == [1, 2] && first == second)
        #expect(Set(first.map(\.revision)).count == 2)
        // What had been accepted waits still, in its order, and is young.
        let waiting = try SQLiteStore(path: path).stores.queue.waiting()
        #expect(waiting.map(\.id) == ["i", "h"] && waiting.map(\.size) == [2, 0] && waiting[0].traceparent == "t")
        #expect(waiting.allSatisfy { $0.acceptedAt > 1_700_000_000_000 && $0.tries.starts == 0 })
        #expect(try await SQLiteStore(path: path).stores.queue.event(ofQueued: "i") == Data("{}".utf8))
    }

    /// Of results, as long and as many as the operator has said.
    @Test func resultsGrowOld() async throws {
        let file = try TemporaryFile(), path = file.folder.path + "/catalogue.db"
        func queue(_ retention: ResultRetention) throws -> any QueueStore {
            try SQLiteStore(path: path, retention: retention).stores.queue
        }
        let name = try #require(FunctionName("f"))
        func settle(_ id: String, in queue: any QueueStore) async throws {
            let ended = FinishedInvocation(id: id, function: name, version: 1, summary: Data(), result: nil)
            _ = try await queue.settle { Settlement(finished: ended) }
        }
        try await settle("old", in: queue(ResultRetention()))
        #expect(try await queue(ResultRetention()).finished("old") != nil)
        try await Task.sleep(for: .milliseconds(5))
        #expect(try await queue(ResultRetention(age: TimeLimit(milliseconds: 1))).finished("old") == nil)
        let few = try queue(ResultRetention(count: 10))
        for number in 0..<130 { try await settle("\(number)", in: few) }
        #expect(try await few.finished("old") == nil)
        #expect(try await few.finished("129") != nil)
    }

    /// From each schema that there was.
    @Test func everyOldSchemaIsCarriedOn() async throws {
        for name in migrator.migrations {
            let file = try TemporaryFile(), path = file.folder.path + "/catalogue.db"
            try migrator.migrate(try DatabaseQueue(path: path), upTo: name)
            let stores = try SQLiteStore(path: path).stores
            #expect(try stores.queue.waiting().isEmpty && stores.catalogue.versions().isEmpty, "\(name)")
            #expect(try stores.schedules.schedules().isEmpty && stores.secrets.secrets().isEmpty, "\(name)")
        }
    }
}
