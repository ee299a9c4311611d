import FunctionModel
import HTTPTypes
import HostSystem

enum InvocationID {
    static func make() -> String { RandomUUID(BufferedRandom.next(), BufferedRandom.next()).text }
}

enum TraceContext {
    /// The caller's W3C trace context, if it sent a sound one.
    static func parent(_ headers: HTTPFields) -> String? { headers[.traceparent].flatMap(parent) }

    static func parent(_ text: String) -> String? { TraceParent(text) == nil ? nil : text }
}
