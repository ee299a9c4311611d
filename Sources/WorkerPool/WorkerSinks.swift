package import FunctionModel
package import Sandbox

/// Who is told what workers do.
package struct WorkerSinks: Sendable {
    /// Lines of a function's log; the invocation is nil for what a worker writes between two.
    package var log:
        @Sendable (_ version: FunctionVersion, _ invocation: String?, _ source: LogSource, _ lines: [String]) -> Void
    /// A kind of system call was refused `count` times more.
    package var refused: @Sendable (_ version: FunctionVersion, _ call: RefusedCall) -> Void
    /// A worker that was to wait for an invocation could not be started.
    package var lost: @Sendable (_ version: FunctionVersion, _ error: LaunchError) -> Void

    package init(
        log: @escaping @Sendable (FunctionVersion, String?, LogSource, [String]) -> Void,
        refused: @escaping @Sendable (FunctionVersion, RefusedCall) -> Void,
        lost: @escaping @Sendable (FunctionVersion, LaunchError) -> Void
    ) {
        self.log = log
        self.refused = refused
        self.lost = lost
    }
}

extension WorkerRunner {
    /// What the pool is told.
    enum Event {
        /// Its process is there, but is not ready yet.
        case launched
        /// It is ready, so long after its launch.
        case ready(Duration)
        /// It waits for an invocation. Its memory is told now and then.
        case idle(memory: Int?)
        case ended
        /// It wants a tick by then.
        case deadline(Instant)
    }
}
