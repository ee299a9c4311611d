import FunctionModel
import HTTPTypes
import Hummingbird
import NIOCore

/// An answer that goes out while it is made. Its status is told before its outcome is known: what goes wrong after that cuts the
/// connection, so that nobody takes a part for the whole.
struct StreamedAnswer: Sendable {
    /// How the invocation has ended, and what was made of its result, where nothing of it had gone out.
    typealias Ended = (Completion, Result<HTTPEventAnswer, Failure>)

    /// The answer was cut off.
    struct CutOff: Error {}

    let stream: ResponseStream
    let running: Task<Ended, Never>

    /// - Parameter run: gives the one door an invocation with this stream, and waits for its end.
    init(_ stream: ResponseStream, run: @escaping @Sendable (ResponseStream) async -> Ended) {
        self.stream = stream
        // It goes on while the answer is written, which is after this request's handler has returned; the invocation's limits
        // bound it, and the client's leaving ends it.
        running = Task {
            let ended = await run(stream)
            stream.finish()
            return ended
        }
    }

    enum Beginning {
        /// Nothing has come before the end.
        case whole(Ended)
        case begun(Response)
    }

    /// Waits until the answer begins.
    /// - Parameters:
    ///   - fields: of the invocation, as far as they are known then.
    ///   - trailers: once it has ended.
    func begin(
        _ fields: (StartKind) -> [HTTPField], trailers: @escaping @Sendable (Completion) -> HTTPFields
    ) async -> Beginning {
        let reader = Reader(stream)
        var head: HTTPEventAnswer?, first = ByteBuffer(), search = StreamHead(), hasBegun = false
        while !hasBegun, let part = await stream.next() {
            do throws(Failure) {
                switch part {
                case .head(let json): (head, hasBegun) = (try HTTPEventAnswer(head: json), true)
                case .body(let bytes):
                    switch search.take(bytes) {
                    case .unfinished: break
                    case .head(let json, let rest):
                        (head, first, hasBegun) = (try HTTPEventAnswer(head: json), rest, true)
                    case .body(let bytes): (first, hasBegun) = (bytes, true)
                    }
                }
            } catch {
                stream.refuse(error)
                return .whole(await running.value)
            }
            stream.took(part)
        }
        if !hasBegun {
            guard stream.hasBegun else { return .whole(await running.value) }
            // All of it was taken for the beginning of a head; or there was nothing in it. It may have failed by now.
            let ended = await running.value
            guard case .success = ended.0.result else { return .whole(ended) }
            first = search.finish()
        }
        return .begun(
            response(head ?? HTTPEventAnswer(beginning: first), first, reader, fields(stream.start), trailers))
    }

    private func response(
        _ head: HTTPEventAnswer, _ first: ByteBuffer, _ reader: Reader, _ fields: [HTTPField],
        _ trailers: @escaping @Sendable (Completion) -> HTTPFields
    ) -> Response {
        let body = ResponseBody { [running] writer in
            let stream = reader.stream
            if first.readableBytes > 0 { try await writer.write(first) }
            while let part = await stream.next() {
                if case .body(let bytes) = part, bytes.readableBytes > 0 { try await writer.write(bytes) }
                stream.took(part)
            }
            let (completion, _) = await running.value
            guard case .success = completion.result else { throw CutOff() }
            try await writer.finish(trailers(completion))
            withExtendedLifetime(reader) {}
        }
        var response = Response(status: HTTPResponse.Status(code: head.status), body: body)
        for (name, value) in head.headers { response.headers.append(HTTPField(name: name, value: value)) }
        for field in fields { response.headers[field.name] = field.value }
        response.headers[.trailer] = HTTPField.Name.bulkheadOutcome.rawName
        return response
    }

    /// Whoever is to write the answer. Let go of before the end (a client has left, or has asked for the head only), the
    /// invocation ends.
    private final class Reader: Sendable {
        let stream: ResponseStream

        init(_ stream: ResponseStream) { self.stream = stream }

        deinit { stream.end() }
    }
}
