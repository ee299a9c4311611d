import Courier
import FunctionModel
import Testing

@Suite("Which addresses may be connected to")
struct AddressRulesTests {
    private func verdict(_ text: String, allowing: [String] = []) throws -> AddressRules.Verdict {
        let rules = AddressRules(allowing: try #require(AddressRanges(allowing)))
        return rules.verdict(on: try #require(IPAddress(text)))
    }

    @Test(
        "The world's",
        arguments: [
            "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1",
            "223.1.1.1",
            "2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8",
        ])
    func world(text: String) throws { #expect(try verdict(text) == .anybodys) }

    @Test(
        "This machine, its neighbours, and what stands for them",
        arguments: [
            "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254", "100.64.0.1", "100.127.255.255", "224.0.0.1", "239.255.255.255", "255.255.255.255",
            "240.0.0.1",
            "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1",
            "::1", "::", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "fe80::1", "fec0::1", "fc00::1",
            "fd00:ec2::254", "ff02::1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1", "2001:db8::1", "100::1", "3fff::1", "4000::1", "8000::1",
        ])
    func others(text: String) throws {
        guard case .refused(let why) = try verdict(text) else {
            Issue.record("\(text) may be connected to")
            return
        }
        #expect(!why.isEmpty)
    }

    @Test("What the operator names is named, and nothing beside it")
    func named() throws {
        #expect(try verdict("10.1.2.3", allowing: ["10.1.0.0/16"]) == .named)
        #expect(try verdict("8.8.8.8", allowing: ["8.8.8.8"]) == .named)
        #expect(try verdict("::ffff:10.1.2.3", allowing: ["10.1.0.0/16"]) == .named)
        #expect(try verdict("fd00::5", allowing: ["fd00::/64"]) == .named)
        #expect(try verdict("10.2.2.3", allowing: ["10.1.0.0/16"]) != .named)
        #expect(try verdict("127.0.0.1", allowing: ["::/0"]) != .named)
        #expect(try verdict("10.1.2.3", allowing: ["0.0.0.0/0"]) == .named)
    }

    @Test(
        "URLs that may go out",
        arguments: ["https://a.example/x?y=1", "HTTPS://A.example:8443/", "http://10.0.0.1/", "https://[::1]/k"])
    func urls(text: String) throws {
        let url = try #require(OutgoingURL(text))
        #expect(!url.host.contains("["))
    }

    @Test(
        "And those that may not",
        arguments: [
            "", "x", "ftp://a/", "file:///etc/passwd", "https://", "https:///x", "https://user@a/", "https://u:p@a/",
            "https://a/#f",
            "https://a b/", "https://ä.example/", "https://a/\n", "https://a:0/", "https://a:65536/",
            "http+unix://%2Frun%2Fx/",
            "https://a%2eb/", "https://[fe80::1%25eth0]/", "unix:///x", "https://a\\b/",
            "https://" + String(repeating: "a", count: 254) + "/",
            "https://a/" + String(repeating: "x", count: 2000),
        ])
    func refusedURLs(text: String) { #expect(OutgoingURL(text) == nil) }
}
