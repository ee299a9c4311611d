package import Deployment
package import FunctionModel
import Glibc
import Store

extension Supervisor {
    package struct Options: Sendable {
        /// Workers at once, of all functions.
        package var maxWorkers = 1000
        /// Synchronous invocations that may wait for a worker, and for how long.
        package var maxWaiting = 1000
        package var maxWait = Duration.seconds(10)
        /// Asynchronous invocations that may wait.
        package var maxQueued = 100_000
        /// Of those that have ended.
        package var maxResults = ResultRetention().count
        package var maxResultAge = ResultRetention().age
        /// Bytes of an event.
        package var maxEvent = 6 << 20
        /// Bytes that this process holds for others at once: events, output, answers.
        package var maxBuffered = 192 << 20
        /// What who reads metrics must show; nil: nothing.
        package var metricsToken: String?
        /// Where traces go; nil: nowhere.
        package var traces: OutgoingURL?
        /// Of uploads. Its memory budget: bytes that all workers together are expected to use at most, and all cells get; by
        /// default three quarters of the machine's.
        package var deployment = Deployment.Limits()

        var results: ResultRetention { ResultRetention(count: maxResults, age: maxResultAge) }

        package init() { deployment.memoryBudget = Self.standardMemory }

        package static var standardMemory: Int {
            Int(sysconf(Int32(_SC_PHYS_PAGES)) / 4 * 3 * sysconf(Int32(_SC_PAGESIZE)))
        }
    }
}
