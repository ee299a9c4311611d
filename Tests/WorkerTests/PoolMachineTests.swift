import FunctionModel
import Testing

@testable import WorkerPool

@Suite struct PoolMachineTests {
    typealias Action = PoolMachine.Action

    let now = ContinuousClock.now

    func version(
        _ name: String = "f", number: Int = 1, mode: Manifest.Mode = .reactor,
        change: (inout Manifest.Concurrency) -> Void = { _ in }
    ) throws -> FunctionVersion {
        var manifest = Manifest()
        manifest.mode = mode
        manifest.limits.memory = .mebibytes(16)
        change(&manifest.concurrency)
        return FunctionVersion(
            name: try #require(FunctionName(name)), number: number, sha256: "", size: 1, bundle: "", createdAt: "",
            manifest: manifest, executable: .staticELF)
    }

    func pool(change: (inout PoolMachine.Options) -> Void = { _ in }) -> Pool {
        var options = PoolMachine.Options()
        change(&options)
        return Pool(PoolMachine(options: options))
    }

    private func launches(_ actions: [Action]) -> [(PoolMachine.WorkerID, PoolMachine.Ticket?)] {
        actions.compactMap { if case .launch(let id, _, let ticket, _) = $0 { (id, ticket) } else { nil } }
    }

    /// A worker that has served its first invocation and waits.
    private func servedOnce(_ pool: Pool, _ version: FunctionVersion, ticket: Int) throws -> Int {
        let launched = launches(pool.request(ticket, version, now: now))
        let id = try #require(launched.first?.0)
        _ = pool.started(id, after: .milliseconds(1), now: now)
        pool.finished(id, wall: .milliseconds(1), isSound: true, now: now)
        #expect(pool.becameIdle(id, memory: 1 << 20, isCurrent: true, now: now).isEmpty)
        return id
    }

    // MARK: - Who gets a worker

    @Test func throttlesAtTheFunctionsBound() throws {
        let pool = pool()
        let one = try version(mode: .command) { $0.max = 2 }
        #expect(launches(pool.request(1, one, now: now)).count == 1)
        #expect(launches(pool.request(2, one, now: now)).count == 1)
        #expect(pool.request(3, one, now: now) == [.refuse(3, .throttled(retryAfter: 1))])
        #expect(launches(pool.request(4, try version("g"), now: now)).count == 1, "another function's bound is its own")
        pool.finished(1, wall: .zero, isSound: true, now: now)
        #expect(launches(pool.request(5, one, now: now)).count == 1)
    }

    @Test func reusesTheYoungestOfItsOwnVersion() throws {
        let pool = pool()
        let one = try version()
        let launched = [1, 2].flatMap { launches(pool.request($0, one, now: now)) }.map(\.0)
        for id in launched {
            pool.finished(id, wall: .zero, isSound: true, now: now)
            _ = pool.becameIdle(id, memory: nil, isCurrent: true, now: now)
        }
        #expect(launches(pool.request(3, try version(number: 2), now: now)).count == 1, "not another version's worker")
        #expect(pool.request(4, one, now: now) == [.assign(4, launched[1], .reused)])
    }

    @Test func endsWorkersThatServedEnoughOrAreOutdated() throws {
        let pool = pool()
        let one = try version { $0.reuse = 1 }
        for (ticket, isCurrent) in [(1, true), (2, false)] {
            let id = try #require(launches(pool.request(ticket, one, now: now)).first?.0)
            pool.finished(id, wall: .zero, isSound: true, now: now)
            #expect(pool.becameIdle(id, memory: nil, isCurrent: isCurrent, now: now) == [.retire(id)])
        }
        #expect(pool.idleCount == 0)
    }

    @Test func makesRoomAtTheHostsBound() throws {
        let pool = pool { $0.maxWorkers = 1 }
        let idle = try servedOnce(pool, try version(), ticket: 1)
        let actions = pool.request(2, try version("g"), now: now)
        #expect(actions.first == .retire(idle))
        #expect(launches(actions).count == 1)
    }

    @Test func memoryIsABudget() throws {
        let pool = pool { $0.memory = 40 << 20 }
        let one = try version()  // 16 MiB each, until more is known
        #expect(launches(pool.request(1, one, now: now)).count == 1)
        #expect(launches(pool.request(2, one, now: now)).count == 1)
        #expect(pool.request(3, one, now: now).isEmpty, "it waits")
        // They turn out to use little: those that wait get their start.
        pool.finished(1, wall: .zero, isSound: true, now: now)
        #expect(pool.becameIdle(1, memory: 1 << 20, isCurrent: true, now: now) == [.assign(3, 1, .reused)])
        #expect(launches(pool.request(4, one, now: now)).count == 1)
    }

    // MARK: - Waiting

    /// Two functions wait; each start that becomes free goes to the other one, however many of the first came before.
    @Test func takesTurnsBetweenFunctions() throws {
        let pool = pool { $0.maxStarting = 1 }
        let greedy = try version("greedy", mode: .command), modest = try version("modest", mode: .command)
        var served: [String] = []
        var running = launches(pool.request(0, greedy, now: now)).map(\.0)
        for ticket in 1...6 {
            #expect(pool.request(ticket, greedy, now: now).isEmpty)
        }
        for ticket in 11...13 {
            #expect(pool.request(ticket, modest, now: now).isEmpty)
        }
        #expect(pool.waitingCount == 9)
        while let id = running.popLast() {
            for (next, ticket) in launches(pool.started(id, after: .zero, now: now)) {
                running.append(next)
                served.append((ticket ?? 0) > 10 ? "modest" : "greedy")
            }
        }
        #expect(served == ["greedy", "modest", "greedy", "modest", "greedy", "modest", "greedy", "greedy", "greedy"])
        #expect(pool.waitingCount == 0)
    }

    @Test func aQueueEndsSomewhere() throws {
        let pool = pool {
            $0.maxStarting = 1
            $0.maxWaiting = 1
            $0.maxWait = .seconds(2)
        }
        let one = try version()
        _ = pool.request(1, one, now: now)
        #expect(pool.request(2, one, now: now).isEmpty)
        #expect(pool.request(3, one, now: now) == [.refuse(3, .queueFull(retryAfter: 1))])
        let later = now + .seconds(2)
        // The start that took too long gives its place away first; whoever waited to the end is refused all the same.
        let actions = pool.tick(now: later)
        #expect(actions.contains(.refuse(2, .waitedTooLong(retryAfter: 1))))
        #expect(pool.waitingCount == 0 && pool.runningCount == 1)
    }

    @Test func whoLeavesTheQueueIsForgotten() throws {
        let pool = pool { $0.maxStarting = 1 }
        let one = try version()
        _ = pool.request(1, one, now: now)
        _ = pool.request(2, one, now: now)
        #expect(pool.abandon(2, one.name))
        #expect(!pool.abandon(2, one.name))
        #expect(!pool.abandon(1, one.name), "it has a worker")
        #expect(launches(pool.started(1, after: .zero, now: now)).isEmpty)
    }

    @Test func aSlowStartDoesNotHoldUpOthersForLong() throws {
        let pool = pool { $0.maxStarting = 1 }
        let one = try version()
        _ = pool.request(1, one, now: now)
        _ = pool.request(2, one, now: now)
        #expect(launches(pool.tick(now: now + .milliseconds(50))).isEmpty)
        #expect(launches(pool.tick(now: now + .milliseconds(100))).map(\.1) == [2])
    }

    /// A reactor's process may be long there before it is ready: that keeps nobody from making another one.
    @Test func makesFewProcessesAtATime() throws {
        let pool = pool {
            $0.maxStarting = 3
            $0.maxLaunching = 1
        }
        let one = try version()
        #expect(launches(pool.request(1, one, now: now)).count == 1)
        #expect(pool.request(2, one, now: now).isEmpty)
        #expect(launches(pool.launched(1, now: now)).map(\.1) == [2])
        #expect(pool.launched(1, now: now).isEmpty, "its place is given away once")
        #expect(pool.request(3, one, now: now).isEmpty)
        #expect(launches(pool.started(2, after: .zero, now: now)).map(\.1) == [3])
        // One that ends before it was there leaves its place, too.
        #expect(pool.request(4, one, now: now).isEmpty)
        #expect(launches(pool.ended(3, now: now)).map(\.1) == [4])
        #expect(pool.launched(4, now: now).isEmpty)
        #expect(!pool.request(5, one, now: now).isEmpty, "1 and 4 start, 2 is ready")
        #expect(pool.launched(5, now: now).isEmpty)
        #expect(pool.request(6, one, now: now).isEmpty, "three start already")
    }

    /// A worker that has answered will be there in a moment: nobody starts another one instead.
    @Test func waitsForAWorkerThatIsAboutToReturn() throws {
        let pool = pool()
        let one = try version(mode: .snapshot)
        let id = try servedOnce(pool, one, ticket: 1)
        #expect(pool.request(2, one, now: now) == [.assign(2, id, .forked)])
        pool.finished(id, wall: .zero, isSound: true, now: now)
        #expect(pool.request(3, one, now: now).isEmpty)
        #expect(pool.becameIdle(id, memory: nil, isCurrent: true, now: now) == [.assign(3, id, .forked)])
        pool.finished(id, wall: .zero, isSound: true, now: now)
        #expect(pool.request(4, one, now: now).isEmpty)
        #expect(launches(pool.ended(id, now: now)).map(\.1) == [4], "it did not return")
    }

    /// One that has answered and does not come back has its place in `concurrency.max` still, but not for ever a place that others need.
    @Test func whoDoesNotReturnHasItsPlaceStill() throws {
        let pool = pool { $0.maxWorkers = 2 }
        let one = try version { $0.max = 1 }
        let id = try servedOnce(pool, one, ticket: 1)
        _ = pool.request(2, one, now: now)
        pool.finished(id, wall: .zero, isSound: true, now: now)
        let late = now + .seconds(2)
        #expect(pool.request(3, one, now: late).isEmpty, "it waits, and no second worker is started")
        #expect(pool.tick(now: late).isEmpty)
        let other = try version("g")
        #expect(launches(pool.request(4, other, now: late)).map(\.1) == [4])
        let third = pool.request(5, other, now: late)
        #expect(third.contains(.retire(id)) && launches(third).map(\.1) == [5], "there is no other place")
        #expect(pool.becameIdle(id, memory: nil, isCurrent: true, now: late).isEmpty, "too late")
        #expect(pool.workerCount == 3)
        for busy in [2, 3] { pool.finished(busy, wall: .zero, isSound: false, now: late) }
        #expect(launches(pool.ended(2, now: late)).map(\.1) == [3], "its place is free")
        #expect(pool.ended(id, now: late).isEmpty)
    }

    /// Whoever waits for those of its own function keeps nobody's workers from being started ahead, and no new version from its first.
    @Test func whoWaitsForItsOwnIsNobodyElsesTrouble() throws {
        let pool = pool()
        let one = try version { $0.max = 1 }
        let id = try servedOnce(pool, one, ticket: 1)
        _ = pool.request(2, one, now: now)
        pool.finished(id, wall: .zero, isSound: true, now: now)
        #expect(pool.request(3, one, now: now).isEmpty)
        let warm = try version("g") { $0.warm = 1 }
        let first = launches(pool.serves(warm, now: now))
        #expect(first.map(\.1) == [nil])
        let mended = try version(number: 2) { $0.max = 1 }
        #expect(pool.outdated({ $0.number != 1 }, now: now) == [.retire(id)], "nobody waits for it to come back")
        #expect(pool.abandon(3, one.name))
        #expect(launches(pool.request(4, mended, now: now)).map(\.1) == [4])
    }

    /// That a worker waits and that its invocation is over are told by different threads.
    @Test func waitsBeforeItsInvocationIsOver() throws {
        let pool = pool()
        let one = try version()
        let id = try servedOnce(pool, one, ticket: 1)
        _ = pool.request(2, one, now: now)
        #expect(pool.becameIdle(id, memory: nil, isCurrent: true, now: now).isEmpty)
        #expect(pool.idleCount == 0)
        #expect(pool.finished(id, wall: .zero, isSound: true, now: now), "it is to be told again")
        #expect(pool.becameIdle(id, memory: nil, isCurrent: true, now: now).isEmpty && pool.idleCount == 1)
        #expect(pool.request(3, one, now: now) == [.assign(3, id, .reused)])
        #expect(!pool.finished(id, wall: .zero, isSound: true, now: now))
    }

    /// A worker ends in the moment in which it is given an invocation; both are told, in either order. Nobody's place is lost,
    /// and none is given back twice.
    @Test(arguments: [true, false]) func endsWhileItIsAssigned(endIsToldFirst: Bool) throws {
        let pool = pool()
        let one = try version { $0.max = 1 }
        let id = try servedOnce(pool, one, ticket: 1)
        #expect(pool.request(2, one, now: now) == [.assign(2, id, .reused)])
        var next: [PoolMachine.WorkerID] = []
        if endIsToldFirst { _ = pool.ended(id, now: now) }
        next += launches(pool.lost(id, 2, one, now: now)).map(\.0)
        if !endIsToldFirst { _ = pool.ended(id, now: now) }
        #expect(next.count == 1 && pool.runningCount == 1)
        #expect(pool.request(3, one, now: now) == [.refuse(3, .throttled(retryAfter: 1))])
        pool.finished(next[0], wall: .zero, isSound: true, now: now)
        #expect(pool.runningCount == 0)
    }

    // MARK: - Ahead of need

    @Test func keepsAsManyAsTheManifestSays() throws {
        let pool = pool { $0.maxStarting = 2 }
        let one = try version(mode: .command) { $0.warm = 3 }
        var starting = launches(pool.serves(one, now: now)).map(\.0)
        #expect(starting.count == 2, "no more at once than may start")
        while let id = starting.popLast() {
            starting += launches(pool.started(id, after: .zero, now: now)).map(\.0)
            _ = pool.becameIdle(id, memory: 1 << 20, isCurrent: true, now: now)
        }
        #expect(pool.idleCount == 3)
        // The one that has waited for longest serves, and another takes its place.
        let actions = pool.request(1, one, now: now)
        guard case .assign(1, let id, .prewarmed)? = actions.first else {
            Issue.record("not assigned: \(actions)")
            return
        }
        #expect(launches(actions).count == 1)
        pool.finished(id, wall: .zero, isSound: true, now: now)
        _ = pool.ended(id, now: now)
        #expect(pool.workerCount == 3)
        // A newer version takes over: what waits of the old one ends.
        let retired = pool.outdated({ _ in false }, now: now).filter { if case .retire = $0 { true } else { false } }
        #expect(retired.count == 2)
    }

    @Test func warmWorkersOutliveIdleTime() throws {
        let pool = pool()
        let warm = try version { $0.warm = 1 }
        let kept = try #require(launches(pool.serves(warm, now: now)).first?.0)
        _ = pool.started(kept, after: .zero, now: now)
        _ = pool.becameIdle(kept, memory: nil, isCurrent: true, now: now)
        let cold = try servedOnce(pool, try version("g"), ticket: 1)
        #expect(pool.tick(now: now + .seconds(59)).isEmpty)
        #expect(pool.tick(now: now + .seconds(60)) == [.retire(cold)])
        #expect(pool.tick(now: now + .seconds(600)).isEmpty)
    }

    /// More come in the time that a start takes, or find none: more are kept. Later it is as before.
    @Test func growsWithArrivals() throws {
        let pool = pool()
        let one = try version(mode: .command) { $0.warm = 1 }
        _ = pool.serves(one, now: now)
        var clock = now
        var most = 0
        for ticket in 0..<2000 {
            clock += .milliseconds(1)
            for case .launch(let id, _, _, _) in pool.request(ticket, one, now: clock) {
                _ = pool.started(id, after: .milliseconds(20), now: clock)
                pool.finished(id, wall: .milliseconds(1), isSound: true, now: clock)
                _ = pool.ended(id, now: clock)
            }
            if ticket % 100 == 0 { _ = pool.tick(now: clock) }
            most = max(most, pool.workerCount)
        }
        #expect(most > 10)
        for _ in 0..<100 {
            clock += .seconds(1)
            for case .retire(let id) in pool.tick(now: clock) { _ = pool.ended(id, now: clock) }
        }
        #expect(pool.idleCount <= 1)
    }

    @Test func backsOffFromWhatEndsAtOnce() throws {
        let pool = pool()
        let one = try version { $0.warm = 1 }
        var id = try #require(launches(pool.serves(one, now: now)).first?.0)
        var clock = now
        var notes = 0
        for round in 0..<8 {
            let actions = pool.ended(id, now: clock)
            notes += actions.count { if case .note = $0 { true } else { false } }
            let delay = Duration.milliseconds(100) * (1 << round)
            #expect(launches(actions + pool.tick(now: clock + delay - .milliseconds(1))).isEmpty)
            clock += delay
            id = try #require(launches(pool.tick(now: clock)).first?.0)
        }
        #expect(notes == 4, "said at 1, 2, 4 and 8")
    }
}
