import CLauncherABI
import Glibc
import HostSystem

// What the launcher sends, as what it means.

extension CellEvent {
    /// Takes ownership of `descriptors`. Nil for an event that concerns no cell.
    init?(_ event: bh_event, _ descriptors: [Int32]) {
        switch bh_event_kind(rawValue: event.kind) {
        case BH_EVENT_STARTED:
            self = .started(event, descriptors)
            return
        case BH_EVENT_CONNECTED:
            self = .connected(event, descriptors)
            return
        case BH_EVENT_FAILED:
            self = .failed(LaunchError(stage: String(cString: bh_stage_name(event.stage)), number: event.error))
        case BH_EVENT_REFUSED: self = .refused(RefusedCall(event))
        case BH_EVENT_CLEARED:
            self = .cleared(threads: event.error == 0 ? Int(event.status) : nil)
        case BH_EVENT_LOCKED: self = .locked
        case BH_EVENT_EXITED: self = .exited(CellExit(event))
        case BH_EVENT_GONE: self = .gone
        default: return nil
        }
        for number in descriptors { close(number) }
    }
}

extension CellEvent {
    private static func started(_ event: bh_event, _ descriptors: [Int32]) -> CellEvent {
        var left = descriptors
        var listener: CellSocket?
        if event.flags & BH_FLAG_LISTENER != 0, let number = left.popLast() {
            listener = CellSocket(OwnedDescriptor(owning: number))
        }
        var meters: CellMeters?
        if left.count == 2 {
            meters = CellMeters(
                cpuFile: OwnedDescriptor(owning: left[0]), memoryFile: OwnedDescriptor(owning: left[1]))
        } else {
            for number in left { close(number) }
        }
        return .started(pid: event.pid, meters: meters, listener: listener)
    }

    private static func connected(_ event: bh_event, _ descriptors: [Int32]) -> CellEvent {
        let port = UInt16(truncatingIfNeeded: event.args.0)
        for number in descriptors.dropFirst() { close(number) }
        guard event.error == 0, let number = descriptors.first else {
            if let number = descriptors.first { close(number) }
            let error = SystemError("connect to port \(port) of a cell", event.error == 0 ? EBADF : event.error)
            return .connected(port: port, .failure(error))
        }
        return .connected(port: port, .success(CellSocket(OwnedDescriptor(owning: number))))
    }
}

extension RefusedCall {
    init(_ event: bh_event) {
        let name = event.syscall < 0 ? "other" : syscallName(number: event.syscall, architecture: event.arch)
        self.init(name: name, errnoText: errnoName(event.error), count: event.args.0)
    }
}

extension CellExit {
    init(_ event: bh_event) {
        var denied: DeniedCall?
        if event.flags & BH_FLAG_DENIED != 0 {
            let arguments = withUnsafeBytes(of: event.args) { Array($0.bindMemory(to: UInt64.self)) }
            denied = DeniedCall(
                name: syscallName(number: event.syscall, architecture: event.arch), arguments: arguments)
        }
        self.init(
            status: event.status, wasOutOfMemory: event.flags & BH_FLAG_OOM != 0, denied: denied,
            wasKilled: event.flags & BH_FLAG_KILLED != 0, cpu: .nanoseconds(Int64(clamping: event.cpu_ns)),
            memoryPeak: Int(clamping: event.memory_peak))
    }
}
