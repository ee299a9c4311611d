/// A function and which of its versions is meant: what edges, schedules and queues name, and the catalogue resolves.
package struct FunctionReference: Sendable, Hashable {
    package enum Qualifier: Sendable, Hashable {
        /// None was given.
        case unqualified
        case version(Int)
        case alias(String)
    }

    package let name: FunctionName
    package let qualifier: Qualifier

    package init(_ name: FunctionName, _ qualifier: Qualifier = .unqualified) {
        self.name = name
        self.qualifier = qualifier
    }

    /// - Parameters:
    ///   - version: its number; it wins over `alias`, where both are given.
    ///   - alias: nil where none was given.
    package init(_ name: FunctionName, version: Int?, alias: String?) {
        self.init(name, version.map { .version($0) } ?? alias.map { .alias($0) } ?? .unqualified)
    }
}
