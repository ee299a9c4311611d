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
        var reader = PartialObject(UnsafeRawBufferPointer(rebasing: json[..<Self.longestRead]))
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
        var reader = PartialObject(looked)
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
            var reader = PartialObject(UnsafeRawBufferPointer(rebasing: json[range]))
            stackTrace = reader.strings(most: Self.maxFrames, longest: Self.longestFrame)
        }
    }

    private static func isInteger(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        bytes.count <= 20 && Int(String(decoding: bytes, as: UTF8.self)) != nil
    }

    private static func string(_ bytes: Slice<UnsafeRawBufferPointer>, longest: Int) -> String? {
        var reader = PartialObject(UnsafeRawBufferPointer(rebasing: bytes))
        return reader.string(longest: longest)
    }
}

/// Walks the beginning of a JSON text that is known to be sound as a whole; where it is cut off, the walk ends.
private struct PartialObject {
    private let bytes: UnsafeRawBufferPointer
    private var at = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private mutating func next() -> UInt8? {
        while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
        return at < bytes.count ? bytes[at] : nil
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next() == byte else { return false }
        at += 1
        return true
    }

    /// The range of a string, quotes and all; nil when it is none or cut off.
    private mutating func stringRange() -> Range<Int>? {
        guard next() == UInt8(ascii: "\"") else { return nil }
        let start = at
        at += 1
        while at < bytes.count {
            switch bytes[at] {
            case UInt8(ascii: "\\"): at += 2
            case UInt8(ascii: "\""):
                at += 1
                return start..<at
            default: at += 1
            }
        }
        at = bytes.count
        return nil
    }

    /// A string's text, cut to `longest` bytes; nil for any other value, which is skipped.
    mutating func string(longest: Int) -> String? {
        guard next() == UInt8(ascii: "\"") else {
            skip()
            return nil
        }
        guard let range = stringRange() else { return nil }
        var text: [UInt8] = []
        let inside = UnsafeRawBufferPointer(rebasing: bytes[(range.lowerBound + 1)..<(range.upperBound - 1)])
        // Six bytes for one at most.
        let looked = UnsafeRawBufferPointer(rebasing: inside.prefix(longest * 6 + 12))
        JSONEscapes.undo(in: looked, isEnough: { text.count > longest }) { text += $0 }
        return String(decoding: text.prefix(longest), as: UTF8.self)
    }

    /// An array's strings; what is no string is left out.
    mutating func strings(most: Int, longest: Int) -> [String] {
        var list: [String] = []
        guard take(UInt8(ascii: "[")) else {
            skip()
            return list
        }
        while list.count < most, let byte = next(), byte != UInt8(ascii: "]") {
            if let text = string(longest: longest) { list.append(text) }
            if !take(UInt8(ascii: ",")) { break }
        }
        while at < bytes.count, !take(UInt8(ascii: "]")) {
            let before = at
            skip()
            _ = take(UInt8(ascii: ","))
            if at == before { break }
        }
        return list
    }

    /// Calls `body` at the value of each member; it must read the value, or skip it.
    mutating func members(_ body: (String, inout PartialObject) -> Void) {
        guard take(UInt8(ascii: "{")) else { return skip() }
        while next() == UInt8(ascii: "\"") {
            guard let name = string(longest: 64), take(UInt8(ascii: ":")) else { return }
            body(name, &self)
            if !take(UInt8(ascii: ",")) { break }
        }
        _ = take(UInt8(ascii: "}"))
    }

    /// Passes over one value.
    mutating func skip() {
        var depth = 0
        while let byte = next() {
            switch byte {
            case UInt8(ascii: "\""): if stringRange() == nil { return }
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                at += 1
                continue
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else { return }
                depth -= 1
                at += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"):
                guard depth > 0 else { return }
                at += 1
                continue
            default: at += 1
            }
            if depth == 0, at < bytes.count,
                [UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]")].contains(bytes[at])
            {
                return
            }
        }
    }
}
