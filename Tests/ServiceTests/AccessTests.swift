import Access
import FunctionModel
import Store
import Testing

@Suite struct AccessTests {
    private func outcome(_ access: Access, _ header: String?, needing role: Principal.Role) -> Outcome? {
        do throws(Failure) {
            _ = try access.principal(header.map(Bearer.init), needing: role)
            return nil
        } catch {
            return error.outcome
        }
    }

    @Test func aKeyIsWhoItIs() async throws {
        let store = MemoryStore()
        let access = try Access(store: store)
        let (key, token) = try await access.makeKey(name: "ci", role: .invoke)
        let principal = try access.principal(Bearer("Bearer \(token)"), needing: .invoke)
        #expect(principal == .key(id: key.id, name: "ci", role: .invoke) && principal.keyID == key.id)
        #expect(principal.isHolder && !Principal.anonymous.isHolder)
        #expect(outcome(access, "Bearer \(token)", needing: .admin) == .forbidden)
        #expect(outcome(access, "bearer  \(token) ", needing: .invoke) == nil, "RFC 9110: any case, any spaces")
        #expect(try Access(store: store).key(for: token) == key, "it is there after a restart")
    }

    @Test(arguments: [
        nil, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer x", "Bearer \u{e9}",
        "Bearer " + String(repeating: "a", count: 2000),
    ])
    func othersAreNobody(_ header: String?) async throws {
        let access = try Access(store: MemoryStore())
        _ = try await access.makeKey(name: "a", role: .admin)
        #expect(outcome(access, header, needing: .invoke) == .unauthorized)
    }

    @Test func whatIsRevokedIsGone() async throws {
        let access = try Access(store: MemoryStore())
        let (key, token) = try await access.makeKey(name: "a", role: .admin)
        #expect(outcome(access, "Bearer \(token)", needing: .admin) == nil)
        #expect(try await access.removeKey(id: key.id))
        #expect(outcome(access, "Bearer \(token)", needing: .admin) == .unauthorized, "also where it was remembered")
        #expect(try await access.removeKey(id: key.id) == false)
    }

    @Test func whatCannotBeStoredIsNoKey() async throws {
        let store = MemoryStore()
        let access = try Access(store: store)
        store.fails = true
        await #expect(throws: MemoryStore.Failed.self) { try await access.enter("t", name: "a", role: .admin) }
        #expect(access.key(for: "t") == nil)
    }
}
