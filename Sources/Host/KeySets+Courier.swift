import Access
import Courier
import FunctionModel

extension KeySets {
    /// Fetches by the courier; without one, nothing can be had.
    static func fetching(by courier: Courier?) -> Fetch {
        { url in
            guard let courier else { throw Errand.Failed("this process has no courier, which makes outgoing requests") }
            var errand = Errand("GET", url)
            errand.headers = [("Accept", "application/jwk-set+json, application/json"), ("User-Agent", "bulkhead")]
            errand.maxBytes = maxBytes
            errand.maxRedirects = 3
            let answer = try await courier.run(errand)
            guard answer.status == 200 else {
                throw Errand.Failed("\(url.host) answered with status \(answer.status)")
            }
            return Document(body: answer.body, age: answer.header("cache-control").flatMap(age))
        }
    }

    /// `max-age` (RFC 9111, 5.2.2.1).
    private static func age(_ text: String) -> Duration? {
        guard text.utf8.count <= 500 else { return nil }
        for part in text.split(separator: ",") {
            let pair = part.split(separator: "=", maxSplits: 1).map { $0.filter { $0 != " " }.lowercased() }
            if pair.count == 2, pair[0] == "max-age", let seconds = UInt32(pair[1]) { return .seconds(Int64(seconds)) }
        }
        return nil
    }
}
