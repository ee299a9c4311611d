/// Why the host cannot do what it was started for: a sentence for its operator.
package struct HostFailure: Error {
    package let message: String
    /// Whether what it was told is wrong, rather than the machine.
    package let isUsage: Bool

    package init(_ message: String, isUsage: Bool = false) {
        self.message = message
        self.isUsage = isUsage
    }
}
