package import FunctionModel
import NIOCore

/// An Invoke for which nobody has to wait but for its function: its event is short, and here. It can be taken on a connection's own
/// event loop.
package struct PlainInvoke: Sendable {
    /// With its event.
    package private(set) var invocation: Invocation
    private let lambda: Lambda
    private var call: LambdaCall
    private let qualifier: String?

    package enum Begun: Sendable {
        case runs(PlainInvoke)
        case answered(LambdaAnswer)
    }

    fileprivate init(_ lambda: Lambda, _ request: LambdaRequest, _ event: ArrivedEvent) throws {
        let (operation, call) = try lambda.identified(request)
        guard operation == .invoke else {
            throw LambdaError(.methodNotAllowed, "this is no Invoke")  // not reached: whoever brings it has looked
        }
        if let problem = event.problem {
            throw LambdaError(.invalidContent, "Could not parse request body into json: \(problem)")
        }
        let operations = InvokeOperation(services: lambda.services)
        (invocation, qualifier) = try operations.invocation(call, "RequestResponse", event)
        (self.lambda, self.call) = (lambda, call)
    }

    /// What is left to answer by: whoever keeps the event keeps what it is charged to.
    package var withoutEvent: PlainInvoke {
        var left = self
        left.invocation = invocation.withoutEvent
        left.call = call.withoutBody
        return left
    }

    /// How it is answered.
    package func answer(to completion: Completion) -> LambdaAnswer {
        do {
            let operations = InvokeOperation(services: lambda.services)
            let answer = try operations.answer(to: completion, of: invocation, call, qualifier)
            return lambda.tagged(answer, call.request)
        } catch {
            return lambda.refusal(error, call.request)
        }
    }
}

extension Lambda {
    /// - Parameter event: the request's body, looked at while it came.
    package func begin(_ request: LambdaRequest, _ event: ArrivedEvent) -> PlainInvoke.Begun {
        var event = event
        if event.bytes.readableBytes == 0 {
            event = ArrivedEvent(ByteBuffer(string: "{}"), charge: event.charge, problem: nil)
        }
        do {
            return .runs(try PlainInvoke(self, request, event))
        } catch {
            return .answered(refusal(error, request))
        }
    }

    func refusal(_ error: any Error, _ request: LambdaRequest) -> LambdaAnswer {
        tagged(LambdaError(error, logger: services.logger, request).answer, request)
    }
}
