import Bundles
import Catalogue
import Deployment
import Foundation
import FunctionModel
import HostSystem
import Logging
import Runtimes
import Store
import Synchronization
import Testing

@Suite struct DeploymentTests {
    /// A data directory with all that stands on it, and what was told of it.
    private final class Site: Sendable {
        struct Told {
            var served: [Int] = []
            var warmed: [Int] = []
            var removed: [String] = []
            var inUse: Set<String> = []
        }

        let folder = FileManager.default.temporaryDirectory.appending(path: "deployment-\(UUID().uuidString)")
        let store = MemoryStore()
        let catalogue: Catalogue
        let deployment: Deployment
        let told = Mutex(Told())

        init(change: (inout Deployment.Limits) -> Void = { _ in }) throws {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            var limits = Deployment.Limits()
            change(&limits)
            let bundles = try BundleStore(path: folder.path)
            catalogue = try Catalogue(store: store)
            deployment = try Deployment(
                catalogue: catalogue, bundles: bundles, runtimes: try Runtimes(roots: Roots(), in: bundles),
                limits: limits, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            deployment.tell(
                .init(
                    served: { [weak self] name in
                        let number = self?.catalogue.snapshot.warmVersions(of: name).first?.number
                        self?.told.withLock { $0.served.append(number ?? 0) }
                    },
                    warm: { [weak self] version in
                        // Nobody is sent to it yet.
                        let served = try? self?.catalogue.snapshot.resolve(FunctionReference(version.name))
                        self?.told.withLock { $0.warmed.append(served == version ? -1 : version.number) }
                    },
                    removed: { [weak self] name in self?.told.withLock { $0.removed.append(name.text) } },
                    bundlesInUse: { [weak self] in self?.told.withLock { $0.inUse } ?? [] }))
        }

        deinit { try? FileManager.default.removeItem(at: folder) }

        func deploy(_ text: String, change: (inout Manifest) -> Void = { _ in }) async throws -> (
            FunctionVersion, isNew: Bool
        ) {
            let arrival = try deployment.beginArrival()
            try Array(text.utf8).withUnsafeBytes { try arrival.append($0) }
            var manifest = Manifest()
            change(&manifest)
            return try await deployment.deploy(
                arrival, format: .executable, manifest: manifest, name: try functionName("f"),
                by: .key(.init(id: "k", name: "k", role: .deploy)))
        }

        var bundles: Set<String> {
            Set((try? FileManager.default.contentsOfDirectory(atPath: folder.path + "/bundles")) ?? [])
        }
        var incoming: [String] {
            (try? FileManager.default.contentsOfDirectory(atPath: folder.path + "/incoming")) ?? []
        }
    }

    /// Workers that are kept warm are there before anybody is sent to their version, whichever way it comes to be served.
    @Test func warmBeforeTrafficMoves() async throws {
        let site = try Site()
        let (first, _) = try await site.deploy(script) { $0.concurrency.warm = 1 }
        #expect(site.told.withLock { $0.warmed } == [], "there is nobody to keep waiting")
        let (second, _) = try await site.deploy(script + "#") { $0.concurrency.warm = 1 }
        #expect(site.told.withLock { $0.warmed } == [2])
        _ = try await site.deployment.rollBack(first.name, to: nil)
        #expect(site.told.withLock { $0.warmed } == [2, 1])
        let half = Alias(name: Alias.live, target: .latest, weights: [1: 0.5], updatedAt: "")
        _ = try await site.deployment.put(half, of: second.name)
        #expect(site.told.withLock { $0.warmed }.count == 3)
    }

    private let script = "#!/bin/sh\necho hello\n"

    @Test func checksCommitsAndTells() async throws {
        let site = try Site()
        let (version, isNew) = try await site.deploy(script)
        #expect(isNew && version.number == 1 && version.key == "k")
        #expect(version.executable == .script(interpreter: "/bin/sh", argument: nil))
        #expect(site.catalogue.snapshot.has(version) && site.bundles.contains(version.bundle))
        #expect(try await site.deploy(script).isNew == false)
        #expect(site.told.withLock { $0.served } == [1], "nobody is told of what is there already")
        #expect(try site.deployment.plan(for: version).number == site.deployment.plan(for: version).number)
        #expect(site.incoming.isEmpty)
    }

    @Test(arguments: ["", "text", "#!/no/such/interpreter\n", "\u{7f}ELF"])
    func whatCannotRunIsRefusedAndLeavesNothing(_ text: String) async throws {
        let site = try Site()
        await #expect(throws: UploadRefused.self) { try await site.deploy(text) }
        #expect(site.catalogue.snapshot.count == 0 && site.incoming.isEmpty)
        #expect(site.told.withLock { $0.served }.isEmpty)
    }

    @Test func limitsAreTheFinalManifests() async throws {
        let site = try Site { $0.memoryBudget = 64 << 20 }
        await #expect(throws: UploadRefused.self) { try await site.deploy(script) }
        #expect(try await site.deploy(script) { $0.limits.memory = .mebibytes(32) }.isNew)
        await #expect(throws: UploadRefused.self) {
            try await site.deploy(script) { $0.root = .prepared("nowhere") }
        }
    }

    @Test func quotasHold() async throws {
        let site = try Site { $0.quota.maxVersions = 1 }
        _ = try await site.deploy(script)
        let refused = await #expect(throws: UploadRefused.self) { try await site.deploy(script + "true\n") }
        #expect(refused?.cause == .payloadTooLarge)
        #expect(site.incoming.isEmpty)
    }

    @Test func aStoreThatFailsLeavesWhatThereWas() async throws {
        let site = try Site()
        let (version, _) = try await site.deploy(script)
        site.store.fails = true
        await #expect(throws: MemoryStore.Failed.self) { try await site.deploy(script + "true\n") }
        #expect(site.catalogue.snapshot.latest(version.name) == version)
        #expect(site.told.withLock { $0.served } == [1])
    }

    @Test func bundlesGoWhenNobodyNamesOrUsesThem() async throws {
        let site = try Site()
        let (version, _) = try await site.deploy(script)
        #expect(try await site.deployment.remove(version.name))
        #expect(site.told.withLock { $0.removed } == ["f"])
        site.told.withLock { $0.inUse = [version.bundle] }
        try await site.deployment.collect()
        #expect(site.bundles.contains(version.bundle) && site.deployment.wantsCollection, "a worker runs it still")
        site.told.withLock { $0.inUse = [] }
        try await site.deployment.collect()
        #expect(!site.bundles.contains(version.bundle) && !site.deployment.wantsCollection)
        #expect(site.bundles.count == 1, "the host's own runtime stays")
    }
}
