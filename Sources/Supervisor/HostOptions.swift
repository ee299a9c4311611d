import Glibc
package import Sandbox

extension FunctionHost {
    package struct Options: Sendable {
        /// Workers at once, of all functions.
        package var mostWorkers = 1000
        /// Bytes of memory that all workers together are expected to use at most, and all cells get. Default: three quarters of
        /// the machine's.
        package var memoryBudget = Options.standardMemory
        /// Synchronous invocations that may wait for a worker, and for how long.
        package var mostWaiting = 1000
        package var longestWait = Duration.seconds(10)
        /// Asynchronous invocations that may wait.
        package var mostQueued = 1000
        /// Bytes of an upload.
        package var largestUpload = 64 << 20
        /// Bytes of an event.
        package var largestEvent = 6 << 20
        /// Bytes that this process holds for others at once: events, output, answers.
        package var mostBuffered = 192 << 20
        package var quota = StorageQuota()
        /// What the operator has prepared for functions beside the host's own programs.
        package var roots = Roots()

        package init() {}

        package static var standardMemory: Int {
            Int(sysconf(Int32(_SC_PHYS_PAGES)) / 4 * 3 * sysconf(Int32(_SC_PAGESIZE)))
        }
    }
}
