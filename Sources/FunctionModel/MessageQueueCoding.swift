import WireText

/// As the API takes and shows it, and the store keeps it, every default written out.
extension MessageQueue: Codable {
    private enum Keys: String, CodingKey, CaseIterable {
        case name, visibility, retention, maxReceives, deadLetters, updatedAt
    }

    /// - Throws: `Failure` invalid_request.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.members(
            Keys.self, taken: "a queue has visibility, retention, maxReceives and deadLetters")
        self.init(name: try members.text(.name) ?? "")
        visibility = try members.time(.visibility, in: Self.visibilities, "1s to 12h") ?? visibility
        retention = try members.time(.retention, in: Self.retentions, "1m to 336h (14 days)") ?? retention
        maxReceives = try members.number(.maxReceives, in: Self.receives)
        deadLetters = try members.text(.deadLetters)
        if let deadLetters {
            guard Self.isName(deadLetters) else {
                throw Failure(.invalidRequest, "deadLetters: the name of a queue, \(Self.nameRule)")
            }
            guard maxReceives != nil else {
                throw Failure(
                    .invalidRequest,
                    "deadLetters: say with maxReceives how often a message is tried before it goes to \"\(deadLetters)\""
                )
            }
        }
        updatedAt = try members.text(.updatedAt) ?? ""
    }

    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Keys.self)
        try members.encode(name, forKey: .name)
        try members.encode("\(visibility)", forKey: .visibility)
        try members.encode("\(retention)", forKey: .retention)
        try members.encodeIfPresent(maxReceives, forKey: .maxReceives)
        try members.encodeIfPresent(deadLetters, forKey: .deadLetters)
        try members.encode(updatedAt, forKey: .updatedAt)
    }
}

/// As `MessageQueue`.
extension EventSourceMapping: Codable {
    private enum Keys: String, CodingKey, CaseIterable {
        case id, queue, function, alias, batchSize, window, enabled, reportsFailures, maxConcurrency, updatedAt
    }

    /// - Throws: `Failure` invalid_request.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.members(
            Keys.self, taken: "a mapping has alias, batchSize, window, enabled, reportsFailures and maxConcurrency")
        // A request says both in its path.
        let function = try members.text(.function).flatMap { FunctionName($0) }
        self.init(
            id: try members.text(.id) ?? "", queue: try members.text(.queue) ?? "",
            function: function ?? Self.nobody)
        qualifier = try members.text(.alias) ?? Alias.live
        let isNumber = qualifier.utf8.allSatisfy { (0x30...0x39).contains($0) } && Int(qualifier).map { $0 > 0 } == true
        guard qualifier == Alias.latest || Alias.isName(qualifier) || isNumber else {
            throw Failure(.invalidRequest, "alias: \(Alias.nameRule); or a version's number")
        }
        batchSize = try members.number(.batchSize, in: Self.batchSizes) ?? batchSize
        window = try members.time(.window, in: Self.windows, "0s to 5m") ?? window
        isEnabled = try members.flag(.enabled) ?? true
        reportsFailures = try members.flag(.reportsFailures) ?? false
        maxConcurrency = try members.number(.maxConcurrency, in: Self.concurrencies)
        updatedAt = try members.text(.updatedAt) ?? ""
        guard batchSize <= Self.maxQuickBatch || window.milliseconds > 0 else {
            throw Failure(
                .invalidRequest,
                "batchSize: more than \(Self.maxQuickBatch) come together only where somebody waits for them; set window, such as 1s"
            )
        }
    }

    /// Stands for no function's name until the path's is known.
    private static let nobody: FunctionName = {
        guard let name = FunctionName("x") else { preconditionFailure("one letter is a name") }
        return name
    }()

    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Keys.self)
        try members.encode(id, forKey: .id)
        try members.encode(queue, forKey: .queue)
        try members.encode(function.text, forKey: .function)
        try members.encode(qualifier, forKey: .alias)
        try members.encode(batchSize, forKey: .batchSize)
        try members.encode("\(window)", forKey: .window)
        try members.encode(isEnabled, forKey: .enabled)
        try members.encode(reportsFailures, forKey: .reportsFailures)
        try members.encodeIfPresent(maxConcurrency, forKey: .maxConcurrency)
        try members.encode(updatedAt, forKey: .updatedAt)
    }
}

extension KeyedDecodingContainer {
    /// - Parameters:
    ///   - range: in milliseconds.
    ///   - bounds: the same in words.
    /// - Throws: `Failure` invalid_request.
    fileprivate func time(_ key: Key, in range: ClosedRange<Int>, _ bounds: String) throws -> TimeLimit? {
        guard let text = try text(key) else { return nil }
        guard let time = TimeLimit(text), range.contains(time.milliseconds) else {
            throw Failure(.invalidRequest, "\(key.stringValue): \(TimeLimit.rule), from \(bounds)")
        }
        return time
    }

    /// - Throws: `Failure` invalid_request.
    fileprivate func number(_ key: Key, in range: ClosedRange<Int>) throws -> Int? {
        guard has(key) else { return nil }
        guard let number = try? decode(Int.self, forKey: key), range.contains(number) else {
            throw Failure(
                .invalidRequest, "\(key.stringValue): a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// - Throws: `Failure` invalid_request.
    fileprivate func flag(_ key: Key) throws -> Bool? {
        guard has(key) else { return nil }
        guard let flag = try? decode(Bool.self, forKey: key) else {
            throw Failure(.invalidRequest, "\(key.stringValue): true or false")
        }
        return flag
    }
}
