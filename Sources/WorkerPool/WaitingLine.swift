import FunctionModel

/// Invocations that wait for a worker: a queue for each function, and whose turn it is.
struct WaitingLine: Sendable {
    struct Waiting: Sendable {
        let ticket: PoolMachine.Ticket
        let version: VersionTable.ID
        let loop: Int
        let until: ContinuousClock.Instant
    }

    private var queues: [FunctionName: [Waiting]] = [:]
    /// Functions with somebody waiting, whose turn it is first.
    private var order: [FunctionName] = []
    /// Of all functions together.
    private(set) var count = 0

    /// Functions with somebody waiting.
    var turns: Int { order.count }

    /// Of each of those, who has waited for longest.
    var firsts: some Sequence<Waiting> { queues.values.lazy.compactMap(\.first) }

    func holds(_ name: FunctionName) -> Bool { queues[name] != nil }
    func count(of name: FunctionName) -> Int { queues[name]?.count ?? 0 }
    func first(of name: FunctionName) -> Waiting? { queues[name]?.first }

    mutating func enter(_ waiting: Waiting, of name: FunctionName) {
        count += 1
        queues[name, default: []].append(waiting)
        if queues[name]?.count == 1 { order.append(name) }
    }

    mutating func removeFirst(of name: FunctionName) { remove(at: 0, of: name) }

    /// - Returns: false when it does not wait.
    mutating func remove(_ ticket: PoolMachine.Ticket, of name: FunctionName) -> Bool {
        guard let index = queues[name]?.firstIndex(where: { $0.ticket == ticket }) else { return false }
        remove(at: index, of: name)
        return true
    }

    /// Takes the last one out of the longest queue, if that is longer than `length`.
    mutating func dropLast(ofMoreThan length: Int) -> (FunctionName, Waiting)? {
        guard let (name, queue) = queues.max(by: { $0.value.count < $1.value.count }), queue.count > length,
            let last = queue.last
        else { return nil }
        remove(at: queue.count - 1, of: name)
        return (name, last)
    }

    /// Takes out who has waited for too long.
    mutating func removeOverdue(_ now: ContinuousClock.Instant) -> [(FunctionName, Waiting)] {
        var overdue: [(FunctionName, Waiting)] = []
        for (name, queue) in queues {
            for waiting in queue where waiting.until <= now && remove(waiting.ticket, of: name) {
                overdue.append((name, waiting))
            }
        }
        return overdue
    }

    /// Whose turn it is, with the first who waits there; it comes again after everybody else's.
    mutating func nextTurn() -> (FunctionName, Waiting)? {
        guard let name = order.first, let first = queues[name]?.first else { return nil }
        order.removeFirst()
        order.append(name)
        return (name, first)
    }

    private mutating func remove(at index: Int, of name: FunctionName) {
        queues[name]?.remove(at: index)
        count -= 1
        guard queues[name]?.isEmpty == true else { return }
        queues[name] = nil
        order.removeAll { $0 == name }
    }
}

/// How much is going on in the pool, as numbers that are asked for often.
struct PoolLoad: Sendable {
    /// Of the workers that were not asked to go: how many, and the bytes that they are expected to use.
    var live = 0, memory = 0
    /// Those that are starting, and of them those whose process may still be in the making.
    var starting = 0, launching = 0
    var idle = 0
}

/// Invocations that have a worker or wait for one, by function.
struct Admissions: Sendable {
    private var counts: [FunctionName: Int] = [:]

    var total: Int { counts.values.reduce(0, +) }

    func count(of name: FunctionName) -> Int { counts[name, default: 0] }

    mutating func enter(_ name: FunctionName) { counts[name, default: 0] += 1 }

    mutating func leave(_ name: FunctionName) {
        let left = counts[name, default: 0] - 1
        counts[name] = left > 0 ? left : nil
    }
}
