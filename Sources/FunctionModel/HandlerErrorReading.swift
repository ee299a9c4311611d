import WireText

extension Failure.HandlerError {
    /// Records of failures are kept: a handler that raises megabytes must not fill the host's memory with them.
    private static let longestType = 256, longestMessage = 8192, longestFrame = 1024, maxFrames = 64
    /// Of an error this much is looked at.
    private static let longestRead = 256 << 10

    /// Reads the protocol's error object (`code`, `message`, `data` {`type`, `stackTrace`}), as much of it as is kept. What
    /// stands behind the first 256 KiB is not looked at: whoever writes a trace of 64 MiB has said enough.
    /// - Parameter json: known to be an object.
    /// - Returns: nil when it has no `code` or no `message`.
    package init?(json: UnsafeRawBufferPointer) {
        guard json.count > Self.longestRead else {
            guard let members = JSONText.members(of: json), let code = members["code"], let text = members["message"],
                Self.isInteger(json[code]), let message = Self.string(json[text], longest: Self.longestMessage)
            else { return nil }
            self.init(type: "Error", message: message, stackTrace: [])
            if let data = members["data"] { readDetails(UnsafeRawBufferPointer(rebasing: json[data])) }
            return
        }
        var reader = PartialJSON(UnsafeRawBufferPointer(rebasing: json[..<Self.longestRead]))
        self.init(type: "Error", message: "", stackTrace: [])
        reader.members { name, reader in
            switch name {
            case "message": message = reader.string(longest: Self.longestMessage) ?? ""
            case "data":
                reader.members { name, reader in
                    switch name {
                    case "type": type = reader.string(longest: Self.longestType) ?? "Error"
                    case "stackTrace":
                        stackTrace = reader.strings(most: Self.maxFrames, longest: Self.longestFrame)
                    default: reader.skip()
                    }
                }
            default: reader.skip()
            }
        }
        if message.isEmpty { message = "(the error's message stands behind more than 256 KiB of other things)" }
    }

    /// Reads what Lambda's runtimes say of an error (`errorType`, `errorMessage`, `stackTrace` or `trace`), as much of it as is kept.
    /// - Parameters:
    ///   - json: of any kind; looked at as far as the first 256 KiB.
    ///   - type: what it is where that does not say it; a tenant's word.
    package init(lambda json: UnsafeRawBufferPointer, type: String?) {
        let fallback = type.map { printable($0.prefix(bytes: Self.longestType)) } ?? "Runtime.Unknown"
        self.init(type: fallback, message: "", stackTrace: [])
        let looked = UnsafeRawBufferPointer(rebasing: json.prefix(Self.longestRead))
        // Walked without regard to nesting: of what is no JSON nothing is known but its type.
        guard JSONText.problem(in: looked) == nil else { return }
        var reader = PartialJSON(looked)
        reader.members { name, reader in
            switch name {
            case "errorMessage": message = reader.string(longest: Self.longestMessage) ?? message
            case "errorType": self.type = reader.string(longest: Self.longestType) ?? self.type
            case "stackTrace", "trace":
                stackTrace = reader.strings(most: Self.maxFrames, longest: Self.longestFrame)
            default: reader.skip()
            }
        }
    }

    private mutating func readDetails(_ json: UnsafeRawBufferPointer) {
        guard let members = JSONText.members(of: json) else { return }
        if let range = members["type"], let text = Self.string(json[range], longest: Self.longestType) { type = text }
        if let range = members["stackTrace"] {
            var reader = PartialJSON(UnsafeRawBufferPointer(rebasing: json[range]))
            stackTrace = reader.strings(most: Self.maxFrames, longest: Self.longestFrame)
        }
    }

    private static func isInteger(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        bytes.count <= 20 && Int(String(decoding: bytes, as: UTF8.self)) != nil
    }

    private static func string(_ bytes: Slice<UnsafeRawBufferPointer>, longest: Int) -> String? {
        var reader = PartialJSON(UnsafeRawBufferPointer(rebasing: bytes))
        return reader.string(longest: longest)
    }
}
