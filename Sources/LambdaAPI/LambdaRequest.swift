package import Access
package import FunctionModel
package import NIOCore

/// A request as the server took it in, whole.
package struct LambdaRequest: Sendable {
    /// What it and its invocation are called.
    package var id: String
    package var signed: SignedRequest
    /// What it says of its signature, once that was read.
    var claim: SignatureClaim?
    /// The client's address; empty where nobody knows.
    package var client: String
    /// How it came: `http` or `https`.
    package var scheme = "http"
    package var body: ByteBuffer
    /// What its body is charged to.
    package var charge: MemoryBudget.Charge?
    /// Waits for the end of what it is given, and has it cancelled when the client leaves.
    package var watching: Watching

    package typealias Watching =
        @Sendable (_ run: @escaping @Sendable (Cancellation) async -> Completion) async -> Completion

    package init(
        id: String, signed: SignedRequest, client: String, body: ByteBuffer, charge: MemoryBudget.Charge?,
        watching: @escaping Watching
    ) {
        self.client = client
        self.id = id
        self.signed = signed
        self.body = body
        self.charge = charge
        self.watching = watching
    }

    var method: String { signed.method }
    var path: String { signed.path }
    /// Where the client found this host.
    var origin: String { "\(scheme)://\(header("host") ?? "")" }

    func header(_ name: String) -> String? { signed.headers.first { $0.name == name }?.value }
}

/// What is answered.
package struct LambdaAnswer: Sendable {
    package var status: Int
    /// In lower case.
    package var headers: [(name: String, value: String)] = []
    package var body = ByteBuffer()
    package var charge: MemoryBudget.Charge?
    /// Gives what goes out one after another, in the body's place; nil at the end.
    package var next: (@Sendable () async -> ByteBuffer?)?

    init(status: Int, headers: [(name: String, value: String)] = [], body: ByteBuffer = ByteBuffer()) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    init(status: Int, _ value: LambdaValue) {
        self.init(status: status, headers: [("content-type", "application/json")], body: value.encoded)
    }
}
