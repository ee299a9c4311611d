package import FunctionModel

/// Why an upload was not taken, in a sentence for whoever sent it.
package struct UploadRefused: Error, Sendable, CustomStringConvertible {
    package let outcome: Outcome
    package let description: String

    package init(_ description: String, outcome: Outcome = .invalidRequest) {
        self.outcome = outcome
        self.description = description
    }
}
