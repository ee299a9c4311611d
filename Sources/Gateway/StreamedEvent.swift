import Foundation
import FunctionModel
import Hummingbird
import Invoker
import NIOCore
import NIOHTTP1

/// A request's body that is larger than what is held of an event: it goes on coming, in base64, while its function runs.
final class StreamedEvent: Sendable {
    /// The rest of the body, as it stands in the event.
    let rest: EventStream
    private let reading: Task<Void, Never>

    private init(_ rest: EventStream, _ reading: Task<Void, Never>) {
        self.rest = rest
        self.reading = reading
    }

    /// What is read past of a body that nobody wants any more, in bytes and for how long: a client that sends all of it before it
    /// reads gets its answer all the same.
    private static let longestPassedOver = 64 << 20
    static let patience: Duration = .seconds(5)

    private typealias Arrived = (ArrivedEvent, rest: EventStream?)

    /// Takes a body in until it is complete, or too large to be waited for.
    /// - Parameters:
    ///   - largest: bytes that are waited for.
    ///   - isComplete: whether so many bytes are all of it, and the client is there still.
    ///   - failed: told why the rest cannot come, once it was begun.
    /// - Returns: what has come, in letters of base64 where it is not all; what goes on.
    /// - Throws: what keeps it from coming at all.
    static func begin(
        _ request: Request, _ reader: EventReader, largest: Int, isComplete: @escaping @Sendable (Int) -> Bool,
        failed: @escaping @Sendable (Failure) -> Void
    ) async throws -> (ArrivedEvent, StreamedEvent?) {
        let (arrivals, handoff) = AsyncThrowingStream<Arrived, any Error>.makeStream()
        // The body has one reader, which goes on when this has returned.
        let reading = Task {
            var reader = reader, encoder = Base64Pieces(), count = 0, passedOver = 0
            var rest: EventStream?
            do {
                for try await part in request.body {
                    count += part.readableBytes
                    if rest == nil, count > largest {
                        rest = EventStream()
                        let begun = reader.finish()
                        handoff.yield(
                            (ArrivedEvent(encoder.encode(begun.bytes), charge: begun.charge, problem: nil), rest))
                        handoff.finish()
                    }
                    guard let rest else {
                        try reader.add(part)
                        continue
                    }
                    guard await !rest.write(encoder.encode(part)) else { continue }
                    passedOver += part.readableBytes
                    if passedOver > longestPassedOver { return }
                }
                guard let rest else {
                    handoff.yield((reader.finish(), nil))
                    return handoff.finish()
                }
                // Half an event must not look like a whole one.
                guard isComplete(count) else { return failed(broken("it ended early")) }
                var last = encoder.finish()
                last.writeImmutableBuffer(RequestEvent.end)
                _ = await rest.write(last)
                rest.finish()
            } catch {
                let framing = (error as? HTTPParserError).map(EventIntake.notFramed)
                guard rest != nil else { return handoff.finish(throwing: framing ?? error) }
                failed(framing ?? broken("\(error)"))
            }
        }
        var first: Arrived?
        for try await arrival in arrivals { first = arrival }
        guard let first else {
            reading.cancel()
            throw Failure(.cancelled, "the client left before its event had come")
        }
        return (first.0, first.rest.map { StreamedEvent($0, reading) })
    }

    private static func broken(_ why: String) -> Failure {
        Failure(.invalidRequest, "the request's body broke off: \(why)")
    }

    /// The invocation is over: what still comes is passed by.
    func stop() { rest.end() }

    /// The invocation is over. Returns when nobody reads of the body any more, for then somebody else may: at its end, or after so
    /// long, which costs the connection. To be waited for before the answer's end: on a stream of HTTP/2 nothing is read behind it.
    func end(within patience: Duration = StreamedEvent.patience) async {
        stop()
        let reading = reading
        let late = Task {
            try await Task.sleep(for: patience)
            reading.cancel()
        }
        await reading.value
        late.cancel()
    }
}

/// Base64 (RFC 4648) of bytes that come in pieces.
struct Base64Pieces {
    /// What does not make four letters yet.
    private var left = ByteBuffer()

    mutating func encode(_ bytes: ByteBuffer) -> ByteBuffer {
        left.writeImmutableBuffer(bytes)
        return letters(left.readSlice(length: left.readableBytes / 3 * 3))
    }

    mutating func finish() -> ByteBuffer { letters(left.readSlice(length: left.readableBytes)) }

    private mutating func letters(_ bytes: ByteBuffer?) -> ByteBuffer {
        left.discardReadBytes()
        return ByteBuffer(string: Data((bytes ?? ByteBuffer()).readableBytesView).base64EncodedString())
    }
}
