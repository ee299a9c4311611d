/// What a request would do, told to whoever asks before it is done (`?dryRun=true`).
package enum Change: String, Sendable, Hashable, Codable, CaseIterable {
    /// What is there is the same already.
    case none
    case new
    case changed
}
