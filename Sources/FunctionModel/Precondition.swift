import WireText

/// `If-Match` of a request: whoever changes something may say which state of it is meant (RFC 9110, 13.1.1).
package struct Precondition: Sendable, Hashable {
    /// Without their quotes; nil for `*`: anything that is there.
    private let tags: Set<String>?
    private let wantsNothing: Bool

    /// That there is nothing yet (`If-None-Match: *`).
    package static let nothing = Precondition()

    private init() { (tags, wantsNothing) = (nil, true) }

    /// - Parameter header: nil where the request has none; then nothing is asked.
    package init?(ifMatch header: String?) {
        guard let header else { return nil }
        wantsNothing = false
        let parts = header.prefix(bytes: 4096).split(separator: ",").map { $0.filter { $0 != " " } }
        guard parts != ["*"] else {
            tags = nil
            return
        }
        // A weak tag never matches where strong comparison is asked for.
        tags = Set(
            parts.filter { $0.count >= 2 && $0.first == "\"" && $0.last == "\"" }.map {
                String($0.dropFirst().dropLast())
            })
    }

    /// - Parameter tag: what is there; nil: nothing.
    /// - Throws: when something else is meant.
    package func check(_ tag: String?) throws(PreconditionFailed) {
        if wantsNothing {
            guard tag == nil else { throw PreconditionFailed(tag: tag) }
            return
        }
        guard let tag else { throw PreconditionFailed(tag: nil) }
        if let tags, !tags.contains(tag) { throw PreconditionFailed(tag: tag) }
    }
}

/// What is there is not what a request meant.
package struct PreconditionFailed: Error, Sendable, Hashable {
    /// Of what is there; nil: nothing is.
    package let tag: String?
}
