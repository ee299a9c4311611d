/// JSON that is there as a whole: checked, and its outermost members found, without building anything.
package enum JSONText {
    /// Why `bytes` is not one JSON value in UTF-8, or nil when it is.
    package static func problem(in bytes: UnsafeRawBufferPointer) -> String? {
        var scanner = JSONScanner()
        scanner.read(bytes)
        return scanner.finish() ?? (isUTF8(bytes) ? nil : "it is not UTF-8")
    }

    /// The members of a JSON object with the byte range of each value, or nil when it is no object, malformed, has a key
    /// twice or more than `most` members. Keys with escapes are returned as they stand.
    package static func members(of bytes: UnsafeRawBufferPointer, most: Int = 10_000) -> [MemberName: Range<Int>]? {
        var scanner = JSONScanner(maxMembers: most)
        scanner.read(bytes)
        guard scanner.finish() == nil, scanner.isOutermostObject, isUTF8(bytes) else { return nil }
        return scanner.members
    }
}
