import FunctionModel
import NIOCore

@testable import Access
@testable import LambdaAPI

/// A request of Lambda's API, out of lines: method, path, query, then headers, an empty line, and a body. It is read, or refused.
@Sendable func fuzzLambda(_ input: UnsafeRawBufferPointer) {
    let halves = String(decoding: input, as: UTF8.self).split(
        separator: "\n\n", maxSplits: 1, omittingEmptySubsequences: false)
    let lines = halves[0].split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard lines.count > 2 else { return }
    let headers = lines[3...].compactMap { line -> (name: String, value: String)? in
        let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
        return parts.count == 2 ? (parts[0].lowercased(), parts[1]) : nil
    }
    let body = ByteBuffer(string: halves.count > 1 ? String(halves[1]) : "")
    let signed = SignedRequest(
        method: lines[0], path: lines[1], query: lines[2], headers: headers, bodyHash: SignedRequest.hash(of: input))
    if let signature = try? SignatureV4(of: signed) {
        let key = SigningKeys().key(of: signature.scope, secret: Array("secret".utf8))
        require((try? signature.check(signed, with: key, now: 1_800_000_000)) == nil, "a signature that nobody made")
    }
    let request = LambdaRequest(
        id: "i", signed: signed, client: "", body: body, charge: nil, watching: { await $0(Cancellation()) })
    guard case .known(let found)? = OperationMatch(lines[0], lines[1], query: lines[2]),
        let operation = Lambda.Operation(rawValue: found.name),
        let call = try? LambdaCall(operation, request, found.parameters)
    else { return }
    var manifest = Manifest()
    try? FunctionConfiguration(call).create(&manifest)
    if let name = call.input.text("FunctionName"), let arn = try? FunctionARN(name, call) {
        require(
            !call.arn(arn.name, arn.qualifier).utf8.contains { $0 < 0x21 || $0 == 0x22 || $0 == 0x5C },
            "an ARN that is none")
    }
    if let code = call.input.code { try? Base64Pieces.decode(code) { _ in } }
}
