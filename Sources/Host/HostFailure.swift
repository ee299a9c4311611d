/// Why the host cannot do what it was started for: a sentence for its operator.
package struct HostFailure: Error {
    package let message: String
    /// Whether what it was told is wrong, rather than the machine.
    package let isUsage: Bool

    /// Of a command that the host's own failure ends, as the contract has it.
    package static let exitStatus: Int32 = 3

    package init(_ message: String, isUsage: Bool = false) {
        self.message = message
        self.isUsage = isUsage
    }
}
