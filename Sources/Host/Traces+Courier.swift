import Courier
import FunctionModel
import Journal

extension Supervisor {
    /// Sends spans by the courier; without one, nobody takes them.
    static func sending(traces url: OutgoingURL?, by courier: Courier?) -> Traces.Send {
        { body in
            guard let url else { return }
            guard let courier else { throw Errand.Failed("this process has no courier, which makes outgoing requests") }
            var errand = Errand("POST", url)
            errand.headers = [("Content-Type", "application/json"), ("User-Agent", "bulkhead")]
            errand.body = body
            errand.maxBytes = 64 << 10  // nobody reads it
            errand.isOperators = true
            let answer = try await courier.run(errand)
            guard (200..<300).contains(answer.status) else {
                throw Errand.Failed("\(url.host) answered with status \(answer.status)")
            }
        }
    }
}
