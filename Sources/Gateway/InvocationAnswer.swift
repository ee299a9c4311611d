import FunctionModel
import HTTPTypes
import LambdaAPI
import NIOCore

/// What a direct invocation is answered with.
struct InvocationAnswer {
    let status: HTTPResponse.Status
    var headers: HTTPFields
    let body: ByteBuffer
    /// What the body is charged to until the client has it.
    private(set) var charge: MemoryBudget.Charge?

    init(_ completion: Completion, id: String, version: FunctionVersion) {
        switch completion.result {
        case .success(let output):
            self.init(status: .ok, headers: [.contentType: output.kind.rawValue], body: output.body)
        case .failure(let failure): self.init(failure, id: id)
        }
        charge = completion.charge
        // None of them is there yet: to look for each costs more than to write it.
        for field in InvocationHeaders.fields(of: completion, id: id, version: version) { headers.append(field) }
    }

    init(_ answer: LambdaAnswer) {
        self.init(status: .init(code: answer.status), headers: HTTPFields(answer), body: answer.body)
        charge = answer.charge
    }

    private init(status: HTTPResponse.Status, headers: HTTPFields, body: ByteBuffer) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A refusal, before or after there was an invocation.
    init(_ failure: Failure, status: Int? = nil, id: String? = nil) {
        let problem = Problem(failure, status: status, invocationID: id)
        self.status = HTTPResponse.Status(code: problem.status)
        headers = problem.headers
        // Strings and numbers: there is nothing in it that cannot be encoded. The status says the most of it, should that change.
        body = (try? problem.encoded()) ?? ByteBuffer()
    }
}
