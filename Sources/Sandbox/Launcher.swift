import CHostSystem
import CLauncherABI
import Dispatch
import FunctionModel
import Glibc
package import HostSystem
package import Logging
import Synchronization

/// The supervisor's side of the launcher: starts it, asks it for cells, hands out what it tells of them.
///
/// Safe from any thread. Events of one cell arrive in order, on the launcher's own reader thread: whoever handles them
/// must not block.
package final class Launcher: Sendable {
    package struct Options: Sendable {
        /// Path of `bulkhead-launcher`.
        package var program: String
        /// The folder that holds the bundles.
        package var store: String
        /// First of the uids that cells take, as root.
        package var firstUID: UInt32
        /// Cells built ahead of need.
        package var readyCells = 8
        package var allowsNoLandlock = false
        /// For `policy learn`: where cells write a `bh_observation` of each path that they look for. Stays its owner's.
        package var observer: Int32?
        /// Bytes and tasks of all cells together; nil: as many as there are.
        package var totalMemory: Int?
        package var totalTasks: Int?
        /// Bytes that this process itself may use, where there are cgroups; nil: not bounded.
        package var hostMemory: Int?

        package init(program: String, store: String, firstUID: UInt32) {
            self.program = program
            self.store = store
            self.firstUID = firstUID
        }
    }

    /// What this host gives cells, as the launcher found it by trying.
    package struct Features: Sendable, Hashable {
        package let bits: UInt32
        package let landlockABI: UInt32

        package func has(_ bit: UInt32) -> Bool { bits & bit != 0 }
        package var isRoot: Bool { has(BH_FEATURE_ROOT) }
        package var cgroupVersion: Int? { has(BH_FEATURE_CGROUP_V2) ? 2 : has(BH_FEATURE_CGROUP_V1) ? 1 : nil }
        package var limitsMemory: Bool { has(BH_FEATURE_MEMORY) }
        package var limitsTasks: Bool { has(BH_FEATURE_PIDS) }
        package var sharesCPU: Bool { has(BH_FEATURE_CPU) }
    }

    package typealias Handler = @Sendable (CellEvent) -> Void

    /// One launcher's socket; closed when the last who may still write to it has let go.
    private final class Connection: Sendable {
        let socket: OwnedDescriptor

        init(_ socket: consuming OwnedDescriptor) { self.socket = socket }
    }

    private struct State {
        var connection: Connection?
        var features: Features?
        var nextCell: UInt64 = 1
        var cells: [UInt64: Cell] = [:]
        var isStopped = false
        var restarts = 0
        /// The keeper cannot give another launcher.
        var isLost = false
        var waiting: [@Sendable () -> Void] = []
    }

    private struct Cell {
        let handler: Handler
        var started = false
        var ended = false
    }

    private let control: OwnedDescriptor
    private let keeper: Int32
    private let state = Mutex(State())
    private let logger: Logger
    private let observer: Int32?
    /// Requests for which there was no room go out from here. Such sending blocks until the launcher reads, and the launcher
    /// may block until its events are read: so nobody else waits for it.
    private let outgoing = DispatchQueue(label: "launcher-requests")
    /// How many there are. Held while a request is sent that does not block, so that none overtakes another.
    private let backlog = Mutex(0)
    private let onLoss: @Sendable () -> Void

    // MARK: - Starting and stopping

    /// Starts the keeper and a first launcher, and waits for its greeting. Call before giving up root; starts no thread.
    /// - Throws: `SystemError` when it cannot be started, `LaunchError` when it cannot serve.
    /// - Parameter onLoss: called when the keeper is gone too and no launcher can be had any more.
    package init(_ options: Options, logger: Logger, onLoss: @escaping @Sendable () -> Void = {}) throws {
        self.logger = logger
        observer = options.observer
        self.onLoss = onLoss
        let ends = try OwnedDescriptor.packetPair()
        let theirs = OwnedDescriptor(owning: ends.theirs)
        control = OwnedDescriptor(owning: ends.ours)
        let store = try OwnedDescriptor(
            returned: open(options.store, O_RDONLY | O_DIRECTORY | O_CLOEXEC), by: "open \(options.store)")
        var arguments = ["--first-uid", String(options.firstUID), "--ready", String(options.readyCells)]
        if options.allowsNoLandlock { arguments.append("--allow-no-landlock") }
        if options.observer != nil { arguments.append("--observe") }
        if let memory = options.totalMemory {
            // No plan may ask for more than all have, whoever writes it.
            arguments += [
                "--total-memory", String(memory), "--max-memory", String(memory), "--max-scratch",
                String(max(memory, Manifest.Limits.usualScratch.bytes)),
            ]
        }
        if let tasks = options.totalTasks { arguments += ["--total-tasks", String(tasks)] }
        if let memory = options.hostMemory { arguments += ["--host-memory", String(memory)] }
        let made = try SealedFile(name: "bulkhead-made", bytes: try MadeFiles().encoded)
        keeper = try spawn(
            options.program, arguments: arguments, environment: ["PATH": "/usr/bin:/bin"],
            descriptors: [theirs.number, store.number, made.number])
        // What waits in the keeper's end is dropped with its last holder: were this one of them, a keeper that dies before it
        // reads would show to nobody.
        _ = consume theirs
        try connect()
    }

    /// The launcher's features; nil while one is being started anew.
    package var features: Features? { state.withLock { $0.features } }

    /// How often a launcher had to be started anew.
    package var restarts: Int { state.withLock { $0.restarts } }

    /// Cells of which something may be left.
    package var cellCount: Int { state.withLock { $0.cells.count } }

    /// Ends every cell, the launcher and the keeper, and waits until all are gone. Blocks: not for a cooperative thread.
    package func stop() {
        let connection = state.withLock { state in
            state.isStopped = true
            return state.connection
        }
        if let connection { shutdown(connection.socket.number, Int32(SHUT_RDWR)) }
        shutdown(control.number, Int32(SHUT_RDWR))
        var status: Int32 = 0
        while waitpid(keeper, &status, 0) < 0 && errno == EINTR {}
    }

    /// Acts at once when there is a launcher, or will be none; while one that died is being replaced, afterwards.
    package func whenSettled(_ action: @escaping @Sendable () -> Void) {
        let isSettled = state.withLock { state in
            let isSettled = state.connection != nil || state.isLost || state.isStopped
            if !isSettled { state.waiting.append(action) }
            return isSettled
        }
        if isSettled { action() }
    }

    /// Lets those go on who waited for a launcher.
    private func settle(isLost: Bool) {
        let waiting = state.withLock { state in
            state.isLost = isLost
            defer { state.waiting = [] }
            return state.waiting
        }
        for action in waiting { action() }
    }

    /// Hands the keeper one end of a new socket pair and waits for a launcher's greeting on the other.
    private func connect() throws {
        let ends = try OwnedDescriptor.packetPair()
        let ours = OwnedDescriptor(owning: ends.ours)
        try Self.hand(OwnedDescriptor(owning: ends.theirs), over: control.number)
        guard let (event, _) = Self.receive(ours.number), event.kind == BH_EVENT_HELLO.rawValue else {
            throw LaunchError(stage: "launcher", number: ECONNRESET)
        }
        let connection = Connection(ours)
        state.withLock {
            $0.connection = connection
            $0.features = Features(bits: event.flags, landlockABI: event.arch)
        }
    }

    private static func hand(_ end: consuming OwnedDescriptor, over control: Int32) throws {
        var number = end.number
        var byte: UInt8 = 1
        try SystemError.check(bh_send_packet(control, &byte, 1, &number, 1, true), "ask the keeper for a launcher")
    }

    // MARK: - Cells

    /// Starts a worker. The three descriptors are its standard streams; the launcher gets copies.
    /// - Throws: `LaunchError` when no launcher is there to ask, or it cannot be asked.
    package func launch(
        plan: SealedFile, stdin: borrowing OwnedDescriptor, stdout: borrowing OwnedDescriptor,
        stderr: borrowing OwnedDescriptor, handler: @escaping Handler
    ) throws(LaunchError) -> CellID {
        let entered = state.withLock { state -> (Connection, CellID)? in
            guard let connection = state.connection else { return nil }
            let number = state.nextCell
            state.nextCell += 1
            state.cells[number] = Cell(handler: handler)
            return (connection, CellID(number: number))
        }
        guard let (connection, cell) = entered else { throw .launcherDied }
        let request = bh_request(
            magic: BH_MAGIC, kind: BH_REQUEST_LAUNCH.rawValue, cell: cell.number, version: plan.serial)
        let error = send(
            request, [plan.number, stdin.number, stdout.number, stderr.number] + (observer.map { [$0] } ?? []),
            over: connection)
        if error != 0 {
            state.withLock { $0.cells[cell.number] = nil }
            throw LaunchError(stage: "descriptors", number: error)
        }
        return cell
    }

    /// Descriptors that wait for the launcher to have room.
    private final class Descriptors: Sendable {
        let numbers: [Int32]

        /// Nil when this process is out of descriptors.
        init?(copying originals: [Int32]) {
            numbers = originals.map { fcntl($0, F_DUPFD_CLOEXEC, 3) }
            guard numbers.allSatisfy({ $0 >= 0 }) else { return nil }
        }

        deinit { for number in numbers where number >= 0 { close(number) } }
    }

    /// Sends at once when there is room and nothing waits before it, else from the queue: requests keep their order.
    /// - Returns: 0, or the errno of a request that was not taken. A launcher that has died shows as a hang-up, and the
    ///   reader tells every cell of it.
    @discardableResult
    private func send(_ request: bh_request, _ descriptors: [Int32] = [], over connection: Connection) -> Int32 {
        @Sendable func attempt(_ numbers: [Int32], waits: Bool) -> Int32 {
            var request = request
            let error = bh_send_packet(
                connection.socket.number, &request, MemoryLayout<bh_request>.size, numbers, Int32(numbers.count), waits)
            return error == EPIPE || error == ECONNRESET ? 0 : error
        }
        return backlog.withLock { waiting in
            if waiting == 0 {
                let error = attempt(descriptors, waits: false)
                if error != EAGAIN { return error }
            }
            guard let copies = Descriptors(copying: descriptors) else { return EMFILE }
            waiting += 1
            outgoing.async { [self] in
                let error = attempt(copies.numbers, waits: true)
                backlog.withLock { $0 -= 1 }
                guard error != 0 else { return }
                logger.error("a request to the launcher was lost", metadata: ["errno": "\(error)"])
                if request.kind == BH_REQUEST_LAUNCH.rawValue {
                    let handler = state.withLock { $0.cells.removeValue(forKey: request.cell)?.handler }
                    handler?(.failed(LaunchError(stage: "descriptors", number: error)))
                    handler?(.gone)
                }
            }
            return 0
        }
    }

    private func tell(_ kind: bh_request_kind, _ cell: CellID, argument: UInt64 = 0) {
        let connection = state.withLock { $0.cells[cell.number] == nil ? nil : $0.connection }
        guard let connection else { return }
        send(bh_request(magic: BH_MAGIC, kind: kind.rawValue, cell: cell.number, version: argument), over: connection)
    }

    /// Ends a cell with everything in it. Of one that has ended already, nothing is to be done.
    package func kill(_ cell: CellID) { tell(BH_REQUEST_KILL, cell) }

    /// Takes a cell's head start away: from now on it gets no more of the CPU than its plan says.
    package func demote(_ cell: CellID) { tell(BH_REQUEST_DEMOTE, cell) }

    /// Ends every process of a cell but its worker. `CellEvent.cleared` says when that is done.
    package func clear(_ cell: CellID) { tell(BH_REQUEST_CLEAR, cell) }

    /// From now on the cell's worker may make only the calls that its filter lets through after that. For good.
    package func lock(_ cell: CellID) { tell(BH_REQUEST_LOCK, cell) }

    /// Connects to a port of 127.0.0.1 in the cell's own network, as somebody in there would. `CellEvent.connected` says how that
    /// went, in the order of the requests.
    package func connect(_ cell: CellID, port: UInt16) { tell(BH_REQUEST_CONNECT, cell, argument: UInt64(port)) }

    // MARK: - Events

    /// Begins to hand out events. Call once, before the first cell.
    ///
    /// A thread of its own: recvmsg with descriptors is nothing NIO offers, and a cooperative thread must not block.
    package func startReading() {
        let box = Unmanaged.passRetained(ReaderBox(launcher: self))
        var thread = pthread_t()
        let error = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let box = Unmanaged<ReaderBox>.fromOpaque(argument).takeRetainedValue()
                box.launcher.readUntilStopped()
                return nil
            }, box.toOpaque())
        precondition(error == 0, "no thread for the launcher's events: errno \(error)")
        pthread_detach(thread)
    }

    private final class ReaderBox {
        let launcher: Launcher
        init(launcher: Launcher) { self.launcher = launcher }
    }

    private func readUntilStopped() {
        while true {
            guard let connection = state.withLock({ $0.connection }) else { return }
            while let (event, descriptors) = Self.receive(connection.socket.number) { deliver(event, descriptors) }
            loseConnection(connection)
            guard !state.withLock({ $0.isStopped }) else { return settle(isLost: true) }
            logger.error("launcher died; its cells ended with it; starting another")
            do {
                try connect()
                state.withLock { $0.restarts += 1 }
                settle(isLost: false)
            } catch {
                logger.critical("no launcher can be started", metadata: ["reason": "\(error)"])
                settle(isLost: true)
                onLoss()
                return
            }
        }
    }

    private static func receive(_ connection: Int32) -> (bh_event, [Int32])? {
        var event = bh_event()
        var descriptors = [Int32](repeating: -1, count: 8)
        var count: Int32 = 0
        let size = bh_receive_packet(connection, &event, MemoryLayout<bh_event>.size, &descriptors, &count)
        guard size == MemoryLayout<bh_event>.size, event.magic == BH_MAGIC else { return nil }
        return (event, Array(descriptors.prefix(Int(count))))
    }

    private func deliver(_ event: bh_event, _ descriptors: [Int32]) {
        var decoded = CellEvent(event, descriptors)
        // Without its meters a worker's CPU time would go unwatched: no such worker runs.
        if case .started(_, nil, _) = decoded, features?.sharesCPU == true {
            kill(CellID(number: event.cell))
            decoded = .failed(LaunchError(stage: "meters", number: EMFILE))
        }
        var endedSilently = false
        let handler = state.withLock { state -> Handler? in
            guard var cell = state.cells[event.cell], let decoded else { return nil }
            switch decoded {
            case .started: cell.started = true
            case .failed, .exited: cell.ended = true
            case .refused, .cleared, .locked, .connected: break
            case .gone:
                state.cells[event.cell] = nil
                endedSilently = !cell.ended
                return cell.handler
            }
            state.cells[event.cell] = cell
            return cell.handler
        }
        // Whoever waits must learn of every end.
        if endedSilently { handler?(.failed(LaunchError(stage: "launcher", number: ECHILD))) }
        if let decoded { handler?(decoded) }
    }

    /// Every cell of a dead launcher is dead too: init goes with it, and the keeper removes the cgroups.
    private func loseConnection(_ connection: Connection) {
        let lost = state.withLock { state in
            state.connection = nil
            state.features = nil
            defer { state.cells = [:] }
            return state.cells
        }
        shutdown(connection.socket.number, Int32(SHUT_RDWR))  // whoever is sending gets EPIPE
        for (_, cell) in lost.sorted(by: { $0.key < $1.key }) {
            if !cell.ended { cell.handler(cell.started ? .exited(.lostWithLauncher) : .failed(.launcherDied)) }
            cell.handler(.gone)
        }
    }
}
