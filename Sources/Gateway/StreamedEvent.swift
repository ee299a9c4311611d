import Foundation
import FunctionModel
import Hummingbird
import Invoker
import NIOCore
import NIOHTTP1

/// A request's body on its way into an event: as a whole, or, where it is larger than what is held of one, in base64 as it comes.
struct StreamedEvent: Sendable {
    /// What has come when it was whole, or too large to be waited for.
    let body: ArrivedEvent
    /// The rest of the body, already as it stands in the event; nil: there is none.
    let rest: EventStream?
    private let reading: Task<Void, Never>

    /// - Parameters:
    ///   - largest: bytes that are waited for.
    ///   - failed: told why the rest cannot come, once it was begun.
    /// - Throws: what keeps it from coming at all.
    init(
        _ request: Request, _ reader: EventReader, largest: Int, failed: @escaping @Sendable (Failure) -> Void
    ) async throws {
        let (arrivals, handoff) = AsyncThrowingStream<(ArrivedEvent, EventStream?), any Error>.makeStream()
        // The body has one reader, which goes on when this has returned.
        let reading = Task {
            var reader = reader
            var rest: EventStream?
            do {
                var encoder = Base64Pieces(), count = 0
                for try await part in request.body {
                    count += part.readableBytes
                    if rest == nil, count > largest {
                        rest = EventStream()
                        let whole = reader.finish()
                        handoff.yield(
                            (ArrivedEvent(encoder.encode(whole.bytes), charge: whole.charge, problem: nil), rest))
                        handoff.finish()
                    }
                    if let rest {
                        guard await rest.write(encoder.encode(part)) else { return }
                    } else {
                        try reader.add(part)
                    }
                }
                if let rest {
                    var last = encoder.finish()
                    last.writeImmutableBuffer(HTTPEvent.end)
                    _ = await rest.write(last)
                    return rest.finish()
                }
                handoff.yield((reader.finish(), nil))
                handoff.finish()
            } catch {
                let framing = (error as? HTTPParserError).map(EventIntake.notFramed)
                guard rest != nil else { return handoff.finish(throwing: framing ?? error) }
                // Broken off, for nobody reads it any more, it has failed nobody.
                guard !Task.isCancelled else { return }
                failed(framing ?? Failure(.invalidRequest, "the request's body broke off: \(error)"))
            }
        }
        var first: (ArrivedEvent, EventStream?)?
        for try await arrival in arrivals { first = arrival }
        guard let first else {
            reading.cancel()
            throw Failure(.cancelled, "the client left before its event had come")
        }
        (body, rest, self.reading) = (first.0, first.1, reading)
        // A client that dawdles must not hold up the answer of a function that has read enough.
        rest?.onEnd { reading.cancel() }
    }

    /// The invocation is over: nothing more is read. Returns when that is so, for then somebody else may read.
    func end() async {
        rest?.end()
        await reading.value
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
