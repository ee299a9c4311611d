import Access
import FunctionModel
import Store
import Testing

@Suite struct AccessTests {
    private func outcome(_ access: Access, _ header: String?, needing role: Principal.Role) -> Outcome? {
        do throws(Failure) {
            _ = try access.principal(header.map { Bearer($0) }, needing: role)
            return nil
        } catch {
            return error.outcome
        }
    }

    private func draft(_ name: String, _ role: Principal.Role) -> KeyDraft {
        var draft = KeyDraft(name: name)
        draft.role = role
        return draft
    }

    @Test func rolesInclude() {
        let includes: [Principal.Role: Set<Principal.Role>] = [
            .admin: [.admin, .deploy, .invoke], .deploy: [.deploy, .invoke], .invoke: [.invoke],
        ]
        for (role, others) in includes {
            #expect(Set(Principal.Role.allCases.filter(role.includes)) == others)
        }
    }

    @Test func aKeyIsForSomeFunctionsAndForSomeTime() async throws {
        let access = try Access(store: MemoryStore())
        var wanted = draft("some", .deploy)
        wanted.functions = FunctionScope(patterns: ["a-*", "b"])
        let (_, token) = try await access.makeKey(wanted)
        func outcome(_ name: String) throws -> Outcome? {
            let function = try functionName(name)
            do throws(Failure) {
                _ = try access.principal(Bearer("Bearer \(token)"), needing: .invoke, on: function)
                return nil
            } catch { return error.outcome }
        }
        for name in ["a-1", "a-b-c", "b"] { #expect(try outcome(name) == nil, "\(name)") }
        for name in ["a", "ab", "b1", "x-a-1"] { #expect(try outcome(name) == .forbidden, "\(name)") }
        var old = draft("old", .admin)
        old.expiresAt = 1
        let (_, expired) = try await access.makeKey(old)
        #expect(self.outcome(access, "Bearer \(expired)", needing: .invoke) == .unauthorized)
    }

    @Test func patterns() throws {
        let cases: [(String, String, Bool)] = [
            ("*", "a", true), ("a*", "a", true), ("*a", "ba", true), ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("**", "x", true), ("a-*-b", "a--b", true), ("a", "ab", false), ("*b*", "aba", true), ("*ab", "aab", true),
        ]
        for (pattern, name, matches) in cases {
            #expect(
                try FunctionScope(patterns: [pattern]).includes(functionName(name)) == matches, "\(pattern) \(name)")
        }
        for wrong in ["", "A", "a b", "a/b", "é", String(repeating: "a", count: 64)] {
            #expect(FunctionScope(checking: [wrong]) == nil, "\(wrong)")
        }
    }

    @Test func ratesHold() async throws {
        for wrong in [
            "", "10", "/s", "0/s", "-1/s", "1.5/s", "10/w", "10/s/s", "01/s", "1000001/s", "99999999999999999999/s",
        ] {
            #expect(Rate(wrong) == nil, "\(wrong)")
        }
        let start = ContinuousClock.now
        var bucket = TokenBucket(try #require(Rate("2/m")), now: start)
        let first = [bucket.take(start), bucket.take(start)]
        #expect(first == [nil, nil])
        let refused = bucket.take(start)
        #expect(refused?.secondsToNext == 30 && refused?.policy == "\"default\";q=2;w=60")
        // Half a minute gives one; a clock that goes back gives nothing.
        let later = [29, 31, 10].map { bucket.take(start + .seconds($0)) == nil }
        #expect(later == [false, true, false])
        let access = try Access(store: MemoryStore())
        var wanted = draft("slow", .invoke)
        wanted.rate = Rate("3/h")
        let (_, token) = try await access.makeKey(wanted)
        let outcomes = (0..<5).map { _ in outcome(access, "Bearer \(token)", needing: .invoke) }
        #expect(outcomes == [nil, nil, nil, .throttled, .throttled])
    }

    /// A quota outlives the process that counts.
    @Test func quotasHold() async throws {
        let store = MemoryStore()
        let access = try Access(store: store)
        var wanted = draft("some", .invoke)
        wanted.quota = Rate("3/d")
        let (_, token) = try await access.makeKey(wanted)
        #expect(outcome(access, "Bearer \(token)", needing: .invoke) == nil)
        #expect(outcome(access, "Bearer \(token)", needing: .admin) == .forbidden, "which costs nothing")
        store.fails = true
        await #expect(throws: MemoryStore.Failed.self) { try await access.writeUses() }
        store.fails = false
        try await access.writeUses()
        let again = try Access(store: store)
        let outcomes = (0..<3).map { _ in outcome(again, "Bearer \(token)", needing: .invoke) }
        #expect(outcomes == [nil, nil, .throttled])
        do throws(Failure) {
            _ = try again.principal(Bearer("Bearer \(token)"), needing: .invoke)
        } catch {
            #expect(error.rate?.policy == "\"default\";q=3;w=86400" && (1...86_400).contains(error.retryAfter ?? 0))
        }
    }

    @Test func changesAreNoted() async throws {
        let access = try Access(store: MemoryStore())
        let ci = Principal.key(.init(id: "1", name: "ci", role: .deploy))
        try await access.note("putFunction", to: "/v1/functions/a", by: ci, from: "127.0.0.1")
        try await access.note("putFunction", to: "/v1/functions/b", by: .anonymous, from: "127.0.0.1")
        let entries = try await access.audit(before: nil, limit: 10)
        #expect(entries.map(\.target) == ["/v1/functions/a"] && entries.first?.name == "ci")
    }

    @Test func aKeyIsWhoItIs() async throws {
        let store = MemoryStore()
        let access = try Access(store: store)
        let (key, token) = try await access.makeKey(draft("ci", .invoke))
        let principal = try access.principal(Bearer("Bearer \(token)"), needing: .invoke)
        #expect(principal == .key(.init(id: key.id, name: "ci", role: .invoke)) && principal.keyID == key.id)
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
        _ = try await access.makeKey(draft("a", .admin))
        #expect(outcome(access, header, needing: .invoke) == .unauthorized)
    }

    @Test func whatIsRevokedIsGone() async throws {
        let access = try Access(store: MemoryStore())
        let (key, token) = try await access.makeKey(draft("a", .admin))
        #expect(outcome(access, "Bearer \(token)", needing: .admin) == nil)
        #expect(try await access.removeKey(id: key.id))
        #expect(outcome(access, "Bearer \(token)", needing: .admin) == .unauthorized, "also where it was remembered")
        #expect(try await access.removeKey(id: key.id) == false)
    }

    @Test func whatCannotBeStoredIsNoKey() async throws {
        let store = MemoryStore()
        let access = try Access(store: store)
        store.fails = true
        await #expect(throws: MemoryStore.Failed.self) { try await access.enter("t", draft("a", .admin)) }
        #expect(access.key(for: "t") == nil)
    }
}
