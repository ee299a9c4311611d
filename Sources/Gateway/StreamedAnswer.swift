import FunctionModel
import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization

/// An answer that goes out while it is made. Its status is told before its outcome is known: what goes wrong after that cuts the
/// connection, so that nobody takes a part for the whole.
struct StreamedAnswer: Sendable {
    /// How the invocation has ended, and what was made of its result, where nothing of it had gone out.
    typealias Ended = (Completion, Result<HTTPEventAnswer, Failure>)

    /// The answer was cut off.
    struct CutOff: Error {}

    let stream: ResponseStream
    private let event: StreamedEvent?
    private let running: Task<Ended, Never>

    /// - Parameters:
    ///   - event: of which something is still coming.
    ///   - run: gives the one door an invocation with this stream, and waits for its end.
    init(_ stream: ResponseStream, event: StreamedEvent?, run: @escaping @Sendable () async -> Ended) {
        self.stream = stream
        self.event = event
        // It goes on while the answer is written, which is after this request's handler has returned; the invocation's limits
        // bound it, and the client's leaving ends it.
        running = Task {
            let ended = await run()
            stream.finish()
            event?.stop()
            return ended
        }
    }

    enum Beginning {
        /// Nothing has come before the end, or nobody is to see what has.
        case whole(Ended)
        case begun(Response)
        /// It has a head only, and has ended.
        case bodiless(Completion, Response)
    }

    /// How an answer is begun and ended.
    struct Manner: Sendable {
        /// How what it says of itself is read.
        var format: PayloadFormat
        /// Whether a command's way of saying status and headers is looked for.
        var looksForHead: Bool
        /// Whether the client asked for no more than the head.
        var isHeadOnly: Bool
        /// The invocation's headers, as far as they are known at its beginning.
        var fields: @Sendable (StartKind) -> [HTTPField]
        /// Once it has ended.
        var trailers: @Sendable (Completion) -> HTTPFields
    }

    /// Waits until the answer begins.
    func begin(_ manner: Manner) async -> Beginning {
        let reader = Reader(stream)
        var head: HTTPEventAnswer?, first = ByteBuffer(), search = StreamHead(), hasBegun = false, taken = 0
        while !hasBegun, let part = await stream.next() {
            taken += part.size
            do throws(Failure) {
                switch part {
                case .head(let json): (head, hasBegun) = (try HTTPEventAnswer(head: json, as: manner.format), true)
                case .body(let bytes):
                    switch manner.looksForHead ? search.take(bytes) : .body(bytes) {
                    case .unfinished: break
                    case .head(let json, let rest):
                        (head, first, hasBegun) = (try HTTPEventAnswer(head: json, as: manner.format), rest, true)
                    case .body(let bytes): (first, hasBegun) = (bytes, true)
                    }
                }
            } catch {
                stream.refuse(error)
                return .whole(await running.value)
            }
        }
        stream.accept()
        if !hasBegun {
            guard stream.hasBegun else { return .whole(await running.value) }
            // All of it was taken for the beginning of a head; or there was nothing in it. It may have failed by now.
            let ended = await running.value
            guard case .success = ended.0.result else { return .whole(ended) }
            first = search.finish()
        }
        let answer = head ?? HTTPEventAnswer(beginning: first)
        var response = Response(status: HTTPResponse.Status(code: answer.status))
        for (name, value) in answer.headers { response.headers.append(HTTPField(name: name, value: value)) }
        for field in manner.fields(stream.start) { response.headers[field.name] = field.value }
        // The framework lets go of a body that HTTP does not have: the function says all that it wants to all the same.
        if manner.isHeadOnly || [204, 205, 304].contains(answer.status) {
            stream.took(taken)
            while let part = await stream.next() { stream.took(part.size) }
            let ended = await running.value
            guard case .success = ended.0.result else { return .whole(ended) }
            return .bodiless(ended.0, response)
        }
        response.headers[.trailer] = HTTPField.Name.bulkheadOutcome.rawName
        response.body = body(first, taken: taken, reader, manner.trailers)
        return .begun(response)
    }

    /// - Parameters:
    ///   - first: what is to go out before what is still to come.
    ///   - taken: how much was taken of the stream for that and the head.
    private func body(
        _ first: ByteBuffer, taken: Int, _ reader: Reader, _ trailers: @escaping @Sendable (Completion) -> HTTPFields
    ) -> ResponseBody {
        ResponseBody { [running, event] writer in
            let stream = reader.stream
            for slice in AnswerSlices(first) { try await writer.write(slice) }
            stream.took(taken)
            while let part = await stream.next() {
                if case .body(let bytes) = part {
                    for slice in AnswerSlices(bytes) { try await writer.write(slice) }
                }
                stream.took(part.size)
            }
            let (completion, _) = await running.value
            guard case .success = completion.result else { throw CutOff() }
            await event?.end()
            try await writer.finish(trailers(completion))
            withExtendedLifetime(reader) {}
        }
    }

    /// Whoever is to write the answer. Let go of before the end, for the client has left, the invocation ends.
    private final class Reader: Sendable {
        let stream: ResponseStream

        init(_ stream: ResponseStream) { self.stream = stream }

        deinit { stream.end() }
    }
}

/// An invocation on its way to another task, which has it alone: whoever keeps a copy keeps its event, and what that is charged to.
final class Handover: Sendable {
    private let invocation: Mutex<Invocation?>
    private let withoutEvent: Invocation

    init(_ invocation: consuming Invocation) {
        withoutEvent = invocation.withoutEvent
        self.invocation = Mutex(invocation)
    }

    /// The first time with its event.
    func take() -> Invocation {
        invocation.withLock { invocation in
            defer { invocation = nil }
            return invocation ?? withoutEvent
        }
    }
}
