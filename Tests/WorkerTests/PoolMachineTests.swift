import FunctionModel
import Testing

@testable import WorkerPool

@Suite struct PoolMachineTests {
    private let now = ContinuousClock.now

    private func version(_ name: String = "f", number: Int = 1, max: Int = 2, reuse: Int = 3) throws -> FunctionVersion
    {
        var manifest = Manifest()
        manifest.mode = .reactor
        manifest.concurrency.max = max
        manifest.concurrency.reuse = reuse
        return FunctionVersion(
            name: try #require(FunctionName(name)), number: number, sha256: "", size: 1, bundle: "", createdAt: "",
            manifest: manifest,
            executable: .staticELF)
    }

    @Test func throttlesAtTheFunctionsBound() throws {
        var pool = PoolMachine<Int>(bound: 100)
        let one = try version()
        #expect(pool.acquire(one) == .launch(evict: []))
        #expect(pool.acquire(one) == .launch(evict: []))
        #expect(pool.acquire(one) == .throttled)
        #expect(pool.acquire(try version("g")) == .launch(evict: []))
        pool.finished(one.name)
        #expect(pool.acquire(one) == .launch(evict: []))
    }

    @Test func reusesTheYoungestOfItsOwnVersion() throws {
        var pool = PoolMachine<Int>(bound: 100)
        let one = try version(), two = try version(number: 2)
        for worker in 1...2 {
            _ = pool.acquire(one)
            pool.entered(worker, of: one)
        }
        for worker in 1...2 {
            pool.finished(one.name)
            let kept = pool.becameIdle(worker, of: one, served: 1, isCurrent: true, now: now)
            #expect(kept)
        }
        #expect(pool.acquire(two) == .launch(evict: []), "another version's worker is no worker of this one")
        #expect(pool.acquire(one) == .reuse(2))
    }

    @Test func endsWorkersThatServedEnoughOrAreOutdated() throws {
        var pool = PoolMachine<Int>(bound: 100)
        let one = try version()
        for worker in 1...2 {
            _ = pool.acquire(one)
            pool.entered(worker, of: one)
            pool.finished(one.name)
        }
        let usedUp = pool.becameIdle(1, of: one, served: 3, isCurrent: true, now: now)
        let outdated = pool.becameIdle(2, of: one, served: 1, isCurrent: false, now: now)
        #expect(!usedUp && !outdated)
        #expect(pool.idleCount == 0)
    }

    @Test func evictsTheOldestIdleWhenFull() throws {
        var pool = PoolMachine<Int>(bound: 1)
        let one = try version(), other = try version("g")
        _ = pool.acquire(one)
        pool.entered(1, of: one)
        #expect(pool.acquire(other) == .full)
        pool.finished(one.name)
        _ = pool.becameIdle(1, of: one, served: 1, isCurrent: true, now: now)
        #expect(pool.acquire(other) == .launch(evict: [1]))
    }

    @Test func idleTimeEnds() throws {
        var pool = PoolMachine<Int>(bound: 10)
        let one = try version()
        _ = pool.acquire(one)
        pool.entered(1, of: one)
        pool.finished(one.name)
        _ = pool.becameIdle(1, of: one, served: 1, isCurrent: true, now: now)
        #expect(pool.expired(now: now + .seconds(59)).isEmpty)
        #expect(pool.expired(now: now + .seconds(60)) == [1])
        #expect(pool.expired(now: now + .seconds(60)).isEmpty, "told once")
    }

    /// Random lives: nothing is counted that is not there, and every bound holds.
    @Test func countsStayTrue() throws {
        var random = SystemRandomNumberGenerator()
        var pool = PoolMachine<Int>(bound: 8)
        let versions = try ["a", "b", "c"].map { try version($0, max: 4, reuse: 1000) }
        var busy: [(worker: Int, version: FunctionVersion)] = [], alive: [Int: FunctionVersion] = [:], next = 0
        for _ in 0..<20_000 {
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1:
                let version = versions.randomElement(using: &random) ?? versions[0]
                switch pool.acquire(version) {
                case .reuse(let worker):
                    #expect(alive[worker] == version)
                    busy.append((worker, version))
                case .launch(let evict):
                    for worker in evict {
                        pool.ended(worker)
                        alive[worker] = nil
                    }
                    next += 1
                    pool.entered(next, of: version)
                    alive[next] = version
                    busy.append((next, version))
                case .throttled: #expect(busy.filter { $0.version == version }.count == 4)
                case .full: #expect(alive.count >= 8)
                }
            case 2 where !busy.isEmpty:
                let (worker, version) = busy.remove(at: Int.random(in: busy.indices, using: &random))
                pool.finished(version.name)
                _ = pool.becameIdle(worker, of: version, served: 1, isCurrent: true, now: now)
            case 3 where !busy.isEmpty:
                let (worker, version) = busy.remove(at: Int.random(in: busy.indices, using: &random))
                pool.finished(version.name)
                pool.ended(worker)
                alive[worker] = nil
            default: break
            }
            #expect(pool.workerCount == alive.count && pool.workerCount <= 8)
            #expect(pool.runningCount == busy.count)
            #expect(pool.idleCount == alive.count - busy.count)
        }
    }
}
