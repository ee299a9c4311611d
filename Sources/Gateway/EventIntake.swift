import FunctionModel
import HTTPTypes
import Hummingbird
import Invoker
import NIOCore
import NIOHTTP1
import WireText

/// Takes events in as they arrive: looks at each piece once, charges it, and bounds how long all of it may take. Clients may be
/// as hostile as functions, and for a function that is open to all they need no token.
struct EventIntake: Sendable {
    private let budget: MemoryBudget
    /// In bytes.
    private let largest: Int
    /// A client that sends the largest event must reach 100 KiB/s.
    private let longest: Duration

    init(budget: MemoryBudget, maxEvent: Int) {
        self.budget = budget
        largest = maxEvent
        longest = .seconds(max(60, maxEvent / (100 << 10)))
    }

    /// - Parameters:
    ///   - function: the function's name, which shares what it may hold.
    ///   - isJSON: whether the event has to be JSON.
    func begin(for function: String?, isJSON: Bool = true) -> EventReader {
        EventReader(charge: budget.charge(of: function), largest: largest, longest: longest, isJSON: isJSON)
    }

    /// The event of a function that takes answers in parts: one that is larger than the limit goes on coming while it runs.
    /// - Parameter failed: told why the rest cannot come.
    func streamedEvent(
        of request: Request, _ context: GatewayContext, for function: String,
        failed: @escaping @Sendable (Failure) -> Void
    ) async throws -> (ArrivedEvent, StreamedEvent?) {
        context.askForBody(of: request)
        let declared = request.headers[.contentLength].map(Self.length), channel = context.channel
        return try await StreamedEvent.begin(
            request, begin(for: function, isJSON: false), largest: largest,
            isComplete: { (declared == nil || declared == $0) && channel.isActive }, failed: failed)
    }

    /// The event, up to the limit.
    /// - Parameters:
    ///   - function: the name of the function that it is for.
    ///   - isJSON: whether it has to be JSON.
    func event(
        of request: Request, _ context: GatewayContext, for function: String?, isJSON: Bool
    ) async throws -> ArrivedEvent {
        if Self.length(request.headers) > largest { throw Self.tooLarge(largest) }
        context.askForBody(of: request)
        var reader = begin(for: function, isJSON: isJSON)
        do {
            for try await chunk in request.body { try reader.add(chunk) }
        } catch let error as HTTPParserError {
            // Its head was sound, so the parser says it only here.
            throw Self.notFramed(error)
        }
        return reader.finish()
    }

    /// What a head says of its body's length, in bytes: what is beyond all numbers is larger than any limit.
    static func length(_ headers: HTTPFields) -> Int { headers[.contentLength].map(length) ?? 0 }

    /// What `Content-Length` says; more than anybody may send where it is no number that there is.
    static func length(_ header: String) -> Int { Int(header) ?? .max }

    static func tooLarge(_ limit: Int) -> Failure {
        Failure(.payloadTooLarge, "the event is larger than \(ByteSize(bytes: limit)), this host's limit")
    }

    static func notFramed(_ error: HTTPParserError) -> Failure {
        Failure(.invalidRequest, "the event's bytes are not framed as HTTP has it: \(error)")
    }
}

/// One event on its way in.
struct EventReader {
    private let charge: MemoryBudget.Charge
    private let largest: Int
    private let longest: Duration
    private let isJSON: Bool
    private let began = ContinuousClock.now
    private var bytes = ByteBuffer()
    private var json = JSONScanner()
    private var text = UTF8Scanner()

    fileprivate init(charge: MemoryBudget.Charge, largest: Int, longest: Duration, isJSON: Bool) {
        self.charge = charge
        self.largest = largest
        self.longest = longest
        self.isJSON = isJSON
    }

    /// - Throws: `Failure` payload_too_large; overloaded when the host holds too much for others already; invalid_request
    ///   when this one takes too long.
    mutating func add(_ part: ByteBuffer) throws(Failure) {
        guard bytes.readableBytes + part.readableBytes <= largest else { throw EventIntake.tooLarge(largest) }
        guard .now - began <= longest else {
            throw Failure(.invalidRequest, "the event took more than \(longest.components.seconds) s to arrive")
        }
        guard charge.add(part.readableBytes) else { throw Failure.crowded }
        if isJSON {
            part.withUnsafeReadableBytes {
                json.read($0)
                text.read($0)
            }
        }
        if bytes.readableBytes == 0 { bytes = part } else { bytes.writeImmutableBuffer(part) }
    }

    /// The event is complete.
    mutating func finish() -> ArrivedEvent {
        guard isJSON else { return ArrivedEvent(bytes, charge: charge, problem: nil, isRaw: true) }
        return ArrivedEvent(
            bytes, charge: charge, problem: json.finish() ?? (text.isValid ? nil : "it is not UTF-8"))
    }
}
