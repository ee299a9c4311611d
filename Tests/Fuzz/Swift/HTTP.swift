import Dialogues
import Foundation
import FunctionModel
import HTTPTypes
import NIOCore
import WireText

@testable import Gateway

/// What a function returns on the /fn/ route: an HTTP response that says nothing but what it may.
@Sendable func fuzzHTTPAnswer(_ input: UnsafeRawBufferPointer) {
    let result = ByteBuffer(bytes: input)
    for format in PayloadFormat.allCases {
        if let answer = try? HTTPEventAnswer(result: result, kind: ResultKind(of: result), as: format) { check(answer) }
    }
}

private func check(_ answer: HTTPEventAnswer) {
    require((200...599).contains(answer.status), "status \(answer.status)")
    for (name, value) in answer.headers {
        require(!value.utf8.contains { $0 == 13 || $0 == 10 || $0 == 0 }, "a line end in a header's value")
        require(!name.canonicalName.isEmpty, "a header without a name")
        for byte in name.canonicalName.utf8 { require(byte > 32 && byte < 127 && byte != 58, "a header's name") }
        let reserved = ["content-length", "transfer-encoding", "connection"].contains(name.canonicalName)
        require(!reserved && !name.canonicalName.hasPrefix("bulkhead-"), "the server's own header \(name)")
    }
}

/// A request to the /fn/ route, out of lines: becomes JSON that says what the request said.
@Sendable func fuzzHTTPEvent(_ input: UnsafeRawBufferPointer) {
    let lines = String(decoding: input, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count > 3, let function = FunctionName("f") else { return }
    var headers = HTTPFields()
    for line in lines[3...] {
        let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
        guard parts.count == 2, let name = HTTPField.Name(parts[0]), HTTPField.isValidValue(parts[1]) else { continue }
        headers.append(HTTPField(name: name, value: parts[1]))
    }
    let source = HTTPEvent.Source(
        method: String(lines[0]), path: String(lines[1]), query: String(lines[2]),
        parameters: lines[2].split(separator: "&").map { (name: String($0), value: String($0)) },
        authority: "localhost", headers: headers,
        connection: .init(peer: "127.0.0.1", clientAddress: "127.0.0.1", isProxy: true, port: 80, scheme: "http"),
        invocationID: "i", function: function, now: Date(timeIntervalSince1970: 0))
    let type = headers[.contentType] ?? ""
    for format in PayloadFormat.allCases {
        let encoded = RequestEvent(source, as: format).encoded(body: ByteBuffer(bytes: input), type: type)
        let problem = encoded.withUnsafeReadableBytes { JSONText.problem(in: $0) }
        require(problem == nil, "the event is not JSON: \(problem ?? "")")
        require(!encoded.readableBytesView.contains(10), "a line end in the event")
        // Format 1.0 says headers and parameters twice.
        let most = format == .v1 ? 16 : 8
        require(encoded.readableBytes < 16_384 + most * input.count, "an event that multiplies its request")
    }
}
