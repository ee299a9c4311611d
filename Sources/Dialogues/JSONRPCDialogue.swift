import Foundation
import FunctionModel
import HostSystem
package import NIOCore
import WireText

/// The host's side of the reactor protocol: JSON-RPC 2.0, one message a line, one invocation at a time.
/// A value without I/O: bytes in, events out. Whatever the worker writes out of turn ends it.
package struct JSONRPCDialogue: Sendable {
    private enum State: Equatable {
        case starting
        case idle
        case busy(id: Int)
        case broken
    }

    private var state = State.starting
    /// For tests; else ids are random.
    private var nextID: Int?
    /// The line that is being read, and what is known of it so far: a line of any length costs no more at its end than a
    /// short one.
    private var pending = ByteBuffer()
    private var scanner = Self.lineScanner
    private var text = UTF8Scanner()
    private let longestResult: Int
    /// Bytes of the answer that have come in chunks; nil: none has.
    private var chunked: Int?
    /// What those may be.
    private var longestChunked = 0
    /// Of a chunk's line.
    private static let longestChunk = 2 << 20
    /// What an answer needs around its result.
    private static let envelope = 256
    private static var lineScanner: JSONScanner { JSONScanner(maxMembers: 16) }

    /// - Parameters:
    ///   - longestResult: in bytes.
    ///   - firstID: for tests: ids count up from here. Otherwise nobody can tell the next one, so that an answer that a
    ///     worker writes ahead of its request never fits, however late it is read.
    package init(longestResult: Int, firstID: Int? = nil) {
        self.longestResult = longestResult
        nextID = firstID
    }

    package var isIdle: Bool { state == .idle }

    var held: Int { pending.readableBytes }

    /// The line that asks for an invocation; nil when the worker cannot be asked now. Raw newlines of the event, white space
    /// in JSON, become spaces.
    package mutating func begin(_ request: DialogueRequest) -> DialogueOpening? {
        guard isIdle else { return nil }
        // As large as every language's int, and never 0.
        let id = nextID ?? max(1, Int(BufferedRandom.next() & UInt64(Int32.max)))
        nextID? += 1
        state = .busy(id: id)
        chunked = nil
        longestChunked = request.streams ? longestResult : longestWhole
        let context = Self.context(request)
        var line = ByteBuffer()
        line.reserveCapacity(request.event.readableBytes + context.utf8.count + 96)
        line.writeString(#"{"jsonrpc":"2.0","id":\#(id),"method":"invoke","params":{"event":"#)
        let start = line.readableBytes
        line.writeImmutableBuffer(request.event)
        line.writeString(#","context":\#(context)}}"#)
        line.withUnsafeMutableReadableBytes { bytes in
            for index in start..<bytes.count where bytes[index] == newline || bytes[index] == carriageReturn {
                bytes[index] = space
            }
        }
        line.writeInteger(newline)
        return .input(line, isLast: false)
    }

    private static func context(_ request: DialogueRequest) -> String {
        let trace = request.traceparent.map { "\"\($0)\"" } ?? "null"
        let version = request.version == 0 ? "null" : "\(request.version)"
        return
            #"{"invocationId":"\#(request.invocationID)","function":"\#(request.function)","version":\#(version),"#
            + #""deadlineMs":\#(request.deadline),"memoryLimitMiB":\#(request.memoryLimit),"traceparent":\#(trace)\#(lambda(request))}"#
    }

    /// What only Lambda's API knows of it; names and numbers of ours, but for what was found to be JSON.
    private static func lambda(_ request: DialogueRequest) -> String {
        guard let lambda = request.lambda else { return "" }
        let client = lambda.clientContext.map { #","clientContext":\#($0)"# } ?? ""
        return #","invokedFunctionArn":"\#(lambda.arn)","functionVersion":"\#(lambda.version)"\#(client)"#
    }

    package func ended() -> DialogueEvent { .violation("the worker exited without answering", wrote: "") }

    /// Takes all that the worker wrote up to now.
    /// - Returns: what it amounts to. What breaks the protocol comes alone: whatever was read with it is not to be trusted.
    package mutating func receive(_ bytes: ByteBuffer) -> [DialogueEvent] {
        guard state != .broken else { return [] }
        var rest = bytes
        var events: [DialogueEvent] = []
        while state != .broken {
            let end = rest.readableBytesView.firstIndex(of: newline)
            let part = rest.readSlice(length: (end ?? rest.writerIndex) - rest.readerIndex) ?? ByteBuffer()
            part.withUnsafeReadableBytes {
                scanner.read($0)
                text.read($0)
            }
            if pending.readableBytes == 0 { pending = part } else { pending.writeImmutableBuffer(part) }
            // Behind chunks nothing comes that is longer than they are.
            let longest = chunked == nil ? longestWhole : min(longestWhole, Self.longestChunk)
            let isTooLong = pending.readableBytes > longest + Self.envelope
            guard end != nil else {
                // A little of much that was read would keep all of that.
                if pending.readableBytes == 0 {
                    pending = ByteBuffer()
                } else if pending.readableBytes * 2 < pending.storageCapacity {
                    pending = ByteBuffer(bytes: pending.readableBytesView)
                }
                if state == .idle, pending.readableBytes > 0 {
                    events.append(violation("the worker wrote without being asked", pending))
                } else if isTooLong {
                    events.append(breakOff(.tooLong))
                }
                break
            }
            rest.moveReaderIndex(forwardBy: 1)
            for event in isTooLong ? [breakOff(.tooLong)] : readLine() { Self.add(event, to: &events) }
        }
        return state == .broken ? events.suffix(1) : events
    }

    /// Of an answer that is held until its end.
    private var longestWhole: Int { min(longestResult, Manifest.longestWhole.bytes) }

    /// Parts that came together go on together: each has its price.
    private static func add(_ event: DialogueEvent, to events: inout [DialogueEvent]) {
        guard case .part(.body(let more)) = event, case .part(.body(var bytes))? = events.last else {
            return events.append(event)
        }
        events.removeLast()
        bytes.writeImmutableBuffer(more)
        events.append(.part(.body(bytes)))
    }

    private mutating func readLine() -> [DialogueEvent] {
        let line = pending
        let isObject = scanner.finish() == nil && scanner.isOutermostObject && text.isValid
        let members = isObject ? scanner.members : nil
        pending = ByteBuffer()
        scanner = Self.lineScanner
        text = UTF8Scanner()
        return read(line, members)
    }

    private mutating func violation(_ what: String, _ line: ByteBuffer) -> DialogueEvent {
        let wrote = excerpt(line)
        return breakOff(.violation(what, wrote: wrote))
    }

    private mutating func breakOff(_ event: DialogueEvent) -> DialogueEvent {
        state = .broken
        pending = ByteBuffer()
        return event
    }

    private mutating func read(_ line: ByteBuffer, _ members: [MemberName: Range<Int>]?) -> [DialogueEvent] {
        guard let members else { return [violation("the worker wrote a line that is no JSON object", line)] }
        func slice(_ name: MemberName) -> ByteBuffer? {
            members[name].flatMap { line.getSlice(at: line.readerIndex + $0.lowerBound, length: $0.count) }
        }
        func says(_ name: MemberName, _ text: String) -> Bool {
            slice(name).map { $0.readableBytesView.elementsEqual(text.utf8) } ?? false
        }
        guard says("jsonrpc", "\"2.0\"") else {
            return [violation("the worker wrote a line that is not JSON-RPC 2.0", line)]
        }
        switch state {
        case .starting:
            guard says("method", "\"ready\""), members["id"] == nil else {
                return [violation("the worker's first line must be the ready notification", line)]
            }
            state = .idle
            return [.ready]
        case .busy(let id):
            if members["method"] != nil { return readChunk(line, slice("params"), says("method", "\"chunk\""), id) }
            guard says("id", String(id)) else {
                return [violation("the worker answered another id than \(id), which was asked", line)]
            }
            guard (members["result"] != nil) != (members["error"] != nil) else {
                return [violation("an answer has either a result or an error", line)]
            }
            state = .idle
            if let result = slice("result") {
                guard chunked != nil else { return [.result(result, .json)] }
                guard says("result", "null") else {
                    return [violation("an answer that came in chunks ends with the result null", line)]
                }
                return [.result(ByteBuffer(), .bytes)]
            }
            guard let error = slice("error").flatMap({ $0.withUnsafeReadableBytes(Failure.HandlerError.init(json:)) })
            else { return [violation("the worker's error needs code and message", line)] }
            return [.error(error)]
        case .idle:
            return [violation("the worker wrote without being asked", line)]
        case .broken:
            return []  // not reached: nothing is read of a broken worker
        }
    }

    /// `{"jsonrpc":"2.0","method":"chunk","params":{"id":7,"data":"…"}}`: a part of the answer to that request.
    private mutating func readChunk(
        _ line: ByteBuffer, _ params: ByteBuffer?, _ isChunk: Bool, _ id: Int
    ) -> [DialogueEvent] {
        guard isChunk, line.readableBytes <= Self.longestChunk, let params,
            let members = params.withUnsafeReadableBytes({ JSONText.members(of: $0, most: 16) })
        else {
            return [
                violation("a notification in an answer must be chunk, with params, and no longer than 2 MiB", line)
            ]
        }
        func slice(_ name: MemberName) -> ByteBuffer? {
            members[name].flatMap { params.getSlice(at: params.readerIndex + $0.lowerBound, length: $0.count) }
        }
        func says(_ name: MemberName, _ text: String) -> Bool {
            slice(name).map { $0.readableBytesView.elementsEqual(text.utf8) } ?? false
        }
        guard says("id", String(id)) else { return [violation("a chunk is of another id than \(id)", line)] }
        var events: [DialogueEvent] = []
        if let head = slice("head") {
            guard chunked == nil, head.readableBytesView.first == UInt8(ascii: "{") else {
                return [violation("head is an object, in an answer's first chunk", line)]
            }
            events.append(.part(.head(head)))
        }
        var bytes = ByteBuffer()
        if let data = slice("data") {
            guard let text = JSONString.text(of: data) else { return [violation("a chunk's data is a string", line)] }
            bytes = text
        }
        if says("isBase64Encoded", "true") {
            guard let decoded = Data(base64Encoded: Data(bytes.readableBytesView)) else {
                return [violation("a chunk's data is not base64, though isBase64Encoded says so", line)]
            }
            bytes = ByteBuffer(bytes: decoded)
        }
        chunked = (chunked ?? 0) + bytes.readableBytes
        guard chunked ?? 0 <= longestChunked else { return [breakOff(.tooLong)] }
        return events + [.part(.body(bytes))]
    }

    private func excerpt(_ line: ByteBuffer) -> String {
        let bytes = line.getBytes(at: line.readerIndex, length: min(line.readableBytes, 120)) ?? []
        return printable(String(decoding: bytes, as: UTF8.self)) + (line.readableBytes > 120 ? "…" : "")
    }
}

private let newline = UInt8(ascii: "\n")
private let carriageReturn = UInt8(ascii: "\r")
private let space = UInt8(ascii: " ")
