import FunctionModel
import Gateway
import NIOCore
import Testing

@Suite struct ProxyHeaderTests {
    private func read(_ bytes: some Sequence<UInt8>) -> ProxyHeader {
        ProxyHeader(ByteBuffer(bytes: bytes).readableBytesView)
    }

    /// Whatever a piece of it is, nothing is decided before the end, and the end is where it is, whatever follows.
    @Test(arguments: [
        ("PROXY TCP4 192.0.2.60 192.0.2.1 1000 443\r\n", "192.0.2.60"),
        ("PROXY TCP6 2001:470::1 ::1 1 2\r\n", "2001:470::1"),
        ("PROXY UNKNOWN\r\n", nil), ("PROXY UNKNOWN \(String(repeating: "x", count: 91))\r\n", nil),
    ])
    func lines(line: String, address: String?) {
        let bytes = Array(line.utf8)
        for count in 0..<bytes.count { #expect(read(bytes.prefix(count)) == .unfinished, "\(count)") }
        let expected = ProxyHeader.from(address.flatMap { IPAddress($0) }, length: bytes.count)
        #expect(read(bytes) == expected)
        #expect(read(bytes + Array("GET / HTTP/1.1\r\n\r\n".utf8)) == expected)
        // Where a view does not begin at its buffer's beginning.
        var buffer = ByteBuffer(bytes: [0, 0, 0] + bytes)
        buffer.moveReaderIndex(forwardBy: 3)
        #expect(ProxyHeader(buffer.readableBytesView) == expected)
    }

    @Test(arguments: [
        "G", "PROXY\r\n", "PROXY TCP4\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "proxy UNKNOWN\r\n", "PROXY TCP9 1.2.3.4 1.2.3.4 1 2\r\n", "\n", "\r\r",
        "PROXY UNKNOWN \(String(repeating: "x", count: 93))\r\n",
    ])
    func noLine(text: String) { #expect(read(text.utf8) == .malformed) }

    @Test func everyLengthOfTheSecondVersion() {
        let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
        for command in UInt8.min ... .max {
            for family in stride(from: UInt8.min, through: 0xF0, by: 0x10) {
                for length in [0, 11, 12, 35, 36, 216, 2048, 2049, 65535] {
                    let head = signature + [command, family | 1, UInt8(length >> 8), UInt8(length & 0xFF)]
                    let whole = read(head + [UInt8](repeating: 7, count: length))
                    if command & 0xF0 != 0x20 || command & 0xF > 1 || length > 2048 {
                        #expect(whole == .malformed)
                    } else if command == 0x20 || [0, 0x30].contains(family) {
                        #expect(whole == .from(nil, length: 16 + length))
                    } else if family == 0x10, length >= 12 {
                        #expect(whole == .from(IPAddress("7.7.7.7"), length: 16 + length))
                    } else if family == 0x20, length >= 36 {
                        #expect(whole == .from(IPAddress("707:707:707:707:707:707:707:707"), length: 16 + length))
                    } else {
                        #expect(whole == .malformed)
                    }
                }
            }
        }
    }
}
