import Access
import Foundation
import FunctionModel
import NIOCore
import WireText

/// A request that has come to an operation, read and checked by the operation's rules.
struct LambdaCall: Sendable {
    let operation: Lambda.Operation
    private(set) var request: LambdaRequest
    let input: Input
    /// Who asks. Known once it is signed.
    private(set) var principal = Principal.anonymous
    /// The function that it names.
    private(set) var function: FunctionARN?

    /// What it brings, by the model's names.
    struct Input: Sendable {
        private let values: [String: LambdaValue]
        /// A function's code, as it stands in the body: in base64.
        let code: ByteBuffer?

        init(_ values: [String: LambdaValue], code: ByteBuffer?) { (self.values, self.code) = (values, code) }

        subscript(_ name: String) -> LambdaValue? { values[name].flatMap { $0 == .null ? nil : $0 } }
        func text(_ name: String) -> String? { self[name]?.text }
        func whole(_ name: String) -> Int? { self[name]?.whole }
        func flag(_ name: String) -> Bool { self[name]?.flag ?? false }
    }

    /// Beside a function's code, in bytes.
    private static let maxInput = 256 << 10

    /// - Throws: `LambdaError`.
    init(_ operation: Lambda.Operation, _ request: LambdaRequest, _ path: [String: String]) throws {
        self.operation = operation
        self.request = request
        let rules = (inputRules[operation.rawValue] ?? []).filter { $0.place != .body || !operation.takesEvent }
        var body: [String: LambdaValue] = [:], code: ByteBuffer?
        if rules.contains(where: { $0.place == .body }), request.body.readableBytes > 0 {
            (body, code) = try Self.members(of: request.body)
        }
        let query = request.signed.query.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1).map {
                String($0).removingPercentEncoding ?? String($0)
            }
            return (parts.first ?? "", parts.count > 1 ? parts[1] : "")
        }
        var values: [String: LambdaValue] = [:]
        for rule in rules {
            let text: String?
            switch rule.place {
            case .body:
                values[rule.name] = body[rule.sent]
                continue
            case .uri: text = path[rule.sent]
            case .querystring:
                let all = query.filter { $0.0 == rule.sent }.map(\.1)
                if rule.kind == .list {
                    values[rule.name] = .list(all.map { .text($0) })
                    continue
                }
                text = all.first
            case .header: text = request.header(rule.sent.lowercased())
            }
            guard let text else { continue }
            values[rule.name] =
                switch rule.kind {
                case .whole: Int(text).map { .whole($0) } ?? .text(text)
                case .flag: text == "true" || text == "false" ? .flag(text == "true") : .text(text)
                case .string, .list, .map, .structure, .other: .text(text)
                }
        }
        input = Input(values, code: code)
        try InputRule.check(rules) { [input] in input[$0.name] }
    }

    func by(_ principal: Principal, _ function: FunctionARN?) -> LambdaCall {
        var call = self
        (call.principal, call.function) = (principal, function)
        return call
    }

    /// Without what came with it.
    var withoutBody: LambdaCall {
        var call = self
        (call.request.body, call.request.charge) = (ByteBuffer(), nil)
        return call
    }

    /// As the credential says it.
    var region: String { request.claim?.region ?? "us-east-1" }

    /// - Throws: `LambdaError`; it is always there where the model requires it.
    var named: FunctionARN {
        get throws {
            guard let function else { throw LambdaError(.invalidParameter, "FunctionName is missing") }
            return function
        }
    }

    func arn(_ name: FunctionName, _ qualifier: String? = nil) -> String {
        FunctionARN.text(name.text, region, qualifier)
    }

    // MARK: - The body

    /// - Throws: `LambdaError`.
    private static func members(of body: ByteBuffer) throws -> ([String: LambdaValue], code: ByteBuffer?) {
        var rest = body, code: ByteBuffer?
        // What is large is taken out before anything is decoded: it stands in memory once.
        if let place = zipFile(in: body) {
            code = body.getSlice(at: body.readerIndex + place.lowerBound + 1, length: max(0, place.count - 2))
            rest = ByteBuffer()
            rest.writeImmutableBuffer(body.getSlice(at: body.readerIndex, length: place.lowerBound) ?? ByteBuffer())
            rest.writeString("\"\"")
            let end = body.readerIndex + place.upperBound
            rest.writeImmutableBuffer(body.getSlice(at: end, length: body.writerIndex - end) ?? ByteBuffer())
        }
        guard rest.readableBytes <= maxInput else {
            throw LambdaError(.requestTooLarge, "Request must be smaller than \(maxInput) bytes for this operation")
        }
        let problem = rest.withUnsafeReadableBytes { JSONText.problem(in: $0) }
        guard problem == nil,
            let value = try? JSONDecoder().decode(LambdaValue.self, from: Data(rest.readableBytesView)),
            let members = value.members
        else {
            throw LambdaError(
                .invalidContent, "Could not parse request body into json: \(problem ?? "it is no object")")
        }
        return (members, code)
    }

    /// Where the code stands: in `Code.ZipFile`, or in `ZipFile` of an update.
    private static func zipFile(in body: ByteBuffer) -> Range<Int>? {
        body.withUnsafeReadableBytes { bytes -> Range<Int>? in
            guard let outer = JSONText.members(of: bytes) else { return nil }
            func isText(_ range: Range<Int>) -> Bool { bytes[range.lowerBound] == UInt8(ascii: "\"") }
            if let own = outer["ZipFile"] { return isText(own) ? own : nil }
            guard let code = outer["Code"],
                let inner = JSONText.members(of: UnsafeRawBufferPointer(rebasing: bytes[code])),
                let own = inner["ZipFile"]
            else { return nil }
            let range = (own.lowerBound + code.lowerBound)..<(own.upperBound + code.lowerBound)
            return isText(range) ? range : nil
        }
    }
}
