import FunctionModel
import Testing

@testable import WorkerPool

extension PoolMachineTests {
    /// Random events for a long time: whatever is asked for is answered once, no bound is ever exceeded, nothing is lost.
    @Test(arguments: 0..<8) func survivesRandomLife(seed: UInt64) throws {
        var random = Splitmix(state: seed)
        let pool = pool {
            $0.maxWorkers = 8
            $0.maxStarting = 3
            $0.maxLaunching = 2
            $0.maxWaiting = 10
            $0.memory = 100 << 20
        }
        let versions = [
            try version("a", mode: .command) { $0.warm = 2 }, try version("b") { $0.max = 4 },
            try version("c", mode: .snapshot) { $0.warm = 1 }, try version("d", mode: .command) { $0.max = 3 },
        ]
        var clock = now
        var starting: [Int: FunctionVersion] = [:], idle: [Int: FunctionVersion] = [:], leaving: Set<Int> = []
        var busy: [Int: (FunctionVersion, Int)] = [:]
        var open: [Int: FunctionVersion] = [:]
        func act(_ actions: [Action]) {
            for action in actions {
                switch action {
                case .assign(let ticket, let id, _):
                    let version = idle.removeValue(forKey: id)
                    #expect(version == open[ticket], "its own version's, and one that waited")
                    if let version { busy[id] = (version, ticket) }
                case .launch(let id, let version, let ticket, _):
                    starting[id] = version
                    if let ticket {
                        #expect(open[ticket] == version)
                        busy[id] = (version, ticket)
                    }
                case .retire(let id):
                    #expect(busy[id] == nil, "nobody's work is ended")
                    starting[id] = nil
                    idle[id] = nil
                    leaving.insert(id)
                case .refuse(let ticket, _): #expect(open.removeValue(forKey: ticket) != nil, "answered once")
                case .note: break
                }
            }
            #expect(starting.count + idle.count + busy.keys.count { starting[$0] == nil } <= 8)
        }
        for version in versions { act(pool.serves(version, now: clock)) }
        for ticket in 0..<4000 {
            clock += .microseconds(Int64(random.next() % 5000))
            switch random.next() % 8 {
            case 0, 1, 2:
                let version = versions[Int(random.next() % 4)]
                open[ticket] = version
                act(pool.request(ticket, version, now: clock))
            case 3:
                if let id = starting.keys.max(), random.next() % 2 == 0 { act(pool.launched(id, now: clock)) }
                guard let (id, _) = starting.min(by: { $0.key < $1.key }) else { break }
                let version = starting.removeValue(forKey: id)
                act(pool.started(id, after: .milliseconds(2), now: clock))
                if let version, busy[id] == nil, !leaving.contains(id) {
                    idle[id] = version
                    act(pool.becameIdle(id, memory: 2 << 20, isCurrent: true, now: clock))
                }
            case 4, 5:
                guard let (id, work) = busy.filter({ starting[$0.key] == nil }).min(by: { $0.key < $1.key }) else {
                    break
                }
                busy[id] = nil
                open[work.1] = nil
                pool.finished(id, wall: .milliseconds(3), isSound: true, now: clock)
                if work.0.manifest.mode == .command {
                    act(pool.ended(id, now: clock))
                } else {
                    idle[id] = work.0
                    act(pool.becameIdle(id, memory: nil, isCurrent: true, now: clock))
                }
            case 6:
                if let id = leaving.min() {
                    leaving.remove(id)
                    act(pool.ended(id, now: clock))
                } else if let (id, _) = idle.min(by: { $0.key < $1.key }), random.next() % 8 == 0 {
                    idle[id] = nil  // it crashes while it waits
                    act(pool.ended(id, now: clock))
                }
            default: act(pool.tick(now: clock))
            }
            let waiting = open.keys.count { ticket in !busy.values.contains { $0.1 == ticket } }
            #expect(pool.waitingCount == waiting)
            #expect(pool.runningCount == busy.count)
            #expect(pool.idleCount == idle.count)
        }
    }
}

private struct Splitmix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
