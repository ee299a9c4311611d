package import FunctionModel

/// Why an upload was not taken, in a sentence for whoever sent it.
package struct UploadRefused: Error, Sendable, CustomStringConvertible {
    /// What it is answered as.
    package let cause: Failure.Cause
    package let description: String

    package init(_ description: String, as cause: Failure.Cause = .invalidRequest) {
        self.cause = cause
        self.description = description
    }
}
