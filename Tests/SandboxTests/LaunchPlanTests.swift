import CLauncherABI
import FunctionModel
import SandboxProfiles
import Testing

@testable import Sandbox

@Suite struct LaunchPlanTests {
    private func plan(secrets: [UInt8] = []) throws -> LaunchPlan {
        let profile = try SeccompProfile(
            text: SandboxProfiles.base, SeccompProfile.Traits(singleProcess: true, hasLoopback: false))
        var plan = LaunchPlan(
            hostname: "a", executable: "/function/a", arguments: ["a"], environment: ["A=b"], mounts: [],
            limits: Manifest.Limits(), filter: try SeccompFilter(profile))
        plan.secrets = secrets
        return plan
    }

    private func header(of bytes: [UInt8]) -> bh_plan {
        var header = bh_plan()
        withUnsafeMutableBytes(of: &header) { $0.copyBytes(from: bytes.prefix($0.count)) }
        return header
    }

    @Test func secretsStandBehindAllElse() throws {
        let secrets = Array(#"{"DB_URL":"hunter2"}"#.utf8)
        let bytes = try plan(secrets: secrets).encode(), header = header(of: bytes)
        #expect(header.version == BH_ABI_VERSION && Int(header.size) == bytes.count)
        #expect(header.secrets_offset == header.strings_offset + header.strings_size)
        #expect(Int(header.secrets_size) == secrets.count)
        #expect(Array(bytes.suffix(from: Int(header.secrets_offset))) == secrets)
        // And the worker is told where.
        #expect(header.env_count == 2)
        let strings = bytes[Int(header.strings_offset)..<Int(header.secrets_offset)]
        #expect(strings.split(separator: 0).contains { $0.elementsEqual("BULKHEAD_SECRETS_FD=3".utf8) })
    }

    @Test func withoutSecretsNothingIsSaidOfThem() throws {
        let bytes = try plan().encode(), header = header(of: bytes)
        #expect(header.secrets_offset == 0 && header.secrets_size == 0 && header.env_count == 1)
        #expect(Int(header.strings_offset + header.strings_size) == bytes.count)
        #expect(!String(decoding: bytes, as: UTF8.self).contains("BULKHEAD_SECRETS_FD"))
    }

    @Test func asManyAsFitAndNoMore() throws {
        let most = Int(BH_SECRETS_MAX)
        let bytes = try plan(secrets: [UInt8](repeating: 65, count: most)).encode()
        #expect(header(of: bytes).secrets_size == BH_SECRETS_MAX)
        #expect(throws: LaunchPlan.TooLarge.self) {
            try plan(secrets: [UInt8](repeating: 65, count: most + 1)).encode()
        }
        var crowded = try plan(secrets: [UInt8](repeating: 65, count: most))
        crowded.environment = (0..<5).map { "A\($0)=" + String(repeating: "x", count: 32_000) }
        #expect(throws: LaunchPlan.TooLarge.self) { try crowded.encode() }
    }
}
