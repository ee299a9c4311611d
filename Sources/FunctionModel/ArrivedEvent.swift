package import NIOCore
import WireText

/// An event that has come, as a whole or but for its `rest`: looked at while it came, and charged for as long as somebody holds it.
package struct ArrivedEvent: Sendable {
    /// Empty stands for `null`, unless it is raw.
    package var bytes: ByteBuffer
    /// Let go of once the worker has it.
    package var charge: MemoryBudget.Charge?
    /// What is still to come of it; for a command.
    package var rest: EventStream?
    /// Why it is not JSON; nil when it is.
    package let problem: String?
    /// Of a content type that is not JSON's: the function gets the bytes as they are.
    package let isRaw: Bool
    /// As it came, in bytes.
    package let size: Int
    /// How Lambda's API was asked for it.
    package var lambda: LambdaAsking?

    /// - Parameter problem: what whoever took it in has found out.
    package init(_ bytes: ByteBuffer, charge: MemoryBudget.Charge?, problem: String?, isRaw: Bool = false) {
        self.bytes = bytes
        self.charge = charge
        self.isRaw = isRaw
        size = bytes.readableBytes
        self.problem = bytes.readableBytes == 0 ? nil : problem
    }

    /// What is known of it, without itself.
    var withoutBytes: ArrivedEvent {
        var copy = self
        copy.bytes = ByteBuffer()
        copy.charge = nil
        copy.rest = nil
        copy.lambda = nil
        return copy
    }

    /// One that is there at once; looks at it here and now.
    package init(_ bytes: ByteBuffer) {
        self.init(bytes, charge: nil, problem: bytes.withUnsafeReadableBytes { JSONText.problem(in: $0) })
    }
}
