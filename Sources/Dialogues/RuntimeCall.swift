package import NIOCore

/// What a client of Lambda's Runtime API does, and on which of its connections.
package struct RuntimeCall: Sendable {
    package enum Act: Sendable {
        /// It asks for its next event, whole.
        case next
        /// It begins to answer the invocation with this id.
        case answer(id: String, isStreamed: Bool)
        /// It begins to say that the invocation with this id failed, or, without an id, that it cannot start.
        case error(id: String?, type: String?)
        /// Of what it began.
        case body(ByteBuffer)
        /// All of it has come; or, in a streamed answer, what went wrong.
        case end(failure: (type: String, body: String)?)
        /// It asks for something that is not there, whole.
        case unknown
        case hungUp
        /// Its event could not be sent to it: the connection was gone.
        case unsent
    }

    package let connection: Int
    package let act: Act

    package init(_ act: Act, on connection: Int) { (self.act, self.connection) = (act, connection) }
}

/// What it is answered.
package struct RuntimeReply: Sendable, Equatable {
    package struct Header: Sendable, Equatable {
        package let name: String
        package let value: String
    }

    package let status: Int
    package var headers: [Header] = []
    package let body: ByteBuffer

    init(status: Int, body: ByteBuffer) { (self.status, self.body) = (status, body) }

    /// - Parameters:
    ///   - type: as Lambda calls it; our own word.
    ///   - message: likewise.
    static func refused(_ status: Int, _ type: String, _ message: String) -> RuntimeReply {
        RuntimeReply(
            status: status,
            body: ByteBuffer(string: #"{"errorMessage":"\#(message)","errorType":"\#(type)"}"#))
    }

    static let accepted = RuntimeReply(status: 202, body: ByteBuffer(string: #"{"status":"OK"}"#))
    static let wrongID = refused(400, "InvalidRequestID", "Invalid request ID")
    static let outOfTurn = refused(
        403, "InvalidStateTransition", "it is not the time for this: an event is asked for, and then answered once")
    static let tooLarge = refused(413, "RequestEntityTooLarge", "the answer is longer than the function may answer")
    static let nothingThere = refused(404, "NotFound", "the Runtime API of 2018-06-01 has nothing here")
}
