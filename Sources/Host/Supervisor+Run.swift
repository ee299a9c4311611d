package import FunctionModel
import Invoker
package import NIOCore

extension Supervisor {
    /// Runs a version once, for a command of this process.
    package func run(_ version: FunctionVersion, event: ByteBuffer) async -> Completion {
        await invoker.invoke(
            Invocation(
                id: RandomUUID().text, version: version, principal: .host, source: .direct,
                event: ArrivedEvent(event)))
    }
}
