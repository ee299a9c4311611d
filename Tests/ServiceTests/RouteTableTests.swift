import Catalogue
import FunctionModel
import Testing

@Suite struct RouteTableTests {
    private func catalogue(_ routes: [(String, String?)]) async throws -> Catalogue {
        let catalogue = try Catalogue(store: MemoryStore())
        _ = try await catalogue.add(try draft("a", sha256: "1"))
        for (text, host) in routes {
            let id = "r\(catalogue.snapshot.routes.count)"
            let route = Route(id: id, pattern: try RoutePattern(text), host: host, function: try functionName("a"))
            _ = try await catalogue.put(route, now: "t")
        }
        return catalogue
    }

    private func found(_ table: RouteTable, _ request: String, host: String = "h") -> String {
        let parts = request.split(separator: " ", maxSplits: 1)
        switch table.match(method: String(parts[0]), host: host, path: String(parts[1])) {
        case .nothing: return "nothing"
        case .wrongMethod(let methods): return methods.joined(separator: ",")
        case .route(let entry, let parameters):
            let route = entry.route
            let said = parameters.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }
            return "\(route.pattern)" + said.joined()
        }
    }

    @Test func theMostSpecificAnswers() async throws {
        let table = try await catalogue(
            [
                "GET /", "ANY /{all+}", "GET /users/{id}", "ANY /users/{id}", "GET /users/me",
                "PUT /users/{id}/{rest+}",
                "GET /users/{id}/posts", "GET /users/{id}/posts/", "POST /only", "GET /caf%C3%A9",
            ].map { ($0, nil) }
        ).snapshot.routes
        for (request, answer) in [
            ("GET /", "GET /"), ("POST /", "GET,HEAD"), ("HEAD /", "GET /"), ("GET /x", "ANY /{all+} all=x"),
            ("GET /x/", "ANY /{all+} all=x/"), ("GET /users/me", "GET /users/me"),
            ("PUT /users/me", "ANY /users/{id} id=me"),
            ("GET /users/7", "GET /users/{id} id=7"), ("HEAD /users/7", "GET /users/{id} id=7"),
            ("PUT /users/7", "ANY /users/{id} id=7"), ("GET /users/a%20b%2Fc", "GET /users/{id} id=a b/c"),
            ("GET /users/7/posts", "GET /users/{id}/posts id=7"),
            ("GET /users/7/posts/", "GET /users/{id}/posts/ id=7"),
            ("PUT /users/7/posts/3", "PUT /users/{id}/{rest+} id=7 rest=posts/3"),
            // The literal one does not take it, the wider one does.
            ("GET /only", "ANY /{all+} all=only"), ("GET /users/", "ANY /{all+} all=users/"),
            ("GET /café", "GET /caf%C3%A9"),
            ("GET /caf%c3%A9", "GET /caf%C3%A9"), ("GET /users/7/../me", "nothing"), ("GET /%2e%2E/a", "nothing"),
            ("GET x", "nothing"),
            ("GET /%zz", "ANY /{all+} all=%zz"), ("GET //", "ANY /{all+} all=/"),
        ] { #expect(found(table, request) == answer, "\(request)") }
    }

    @Test func wrongMethodsAreTold() async throws {
        let table = try await catalogue(
            ["GET /a/{x}", "PUT /a/b", "DELETE /a/{rest+}"].map { ($0, nil) }
        ).snapshot.routes
        #expect(found(table, "POST /a/b") == "DELETE,GET,HEAD,PUT" && found(table, "POST /a/c") == "DELETE,GET,HEAD")
        #expect(found(table, "POST /b") == "nothing" && found(table, "GET /a/") == "nothing")
    }

    @Test func hosts() async throws {
        let catalogue = try await catalogue([
            ("GET /a", nil), ("GET /a", "x.example.com"), ("GET /{b}", "*.example.com"), ("GET /c", "y.example.com"),
        ])
        let table = catalogue.snapshot.routes
        func id(_ host: String, _ path: String) -> String? {
            if case .route(let entry, _) = table.match(method: "GET", host: host, path: path) {
                entry.route.id
            } else {
                nil
            }
        }
        #expect(id("x.example.com", "/a") == "r1" && id("y.example.com", "/a") == "r2" && id("z", "/a") == "r0")
        #expect(id("x.example.com", "/q") == "r2" && id("y.example.com", "/c") == "r3" && id("z", "/c") == nil)
        #expect(table.answers(for: "x.example.com") && table.answers(for: "q.example.com"))
        #expect(!table.answers(for: "example.com") && !table.answers(for: "") && !table.answers(for: "a.b.example.com"))
    }

    @Test func changedAndDeleted() async throws {
        let store = MemoryStore()
        let catalogue = try Catalogue(store: store), name = try functionName("a")
        let route = Route(id: "r", pattern: try RoutePattern("GET /a"), function: name)
        // Its function must be there, and its alias.
        await #expect(throws: Failure.self) { try await catalogue.put(route, now: "t") }
        _ = try await catalogue.add(try draft("a", sha256: "1"))
        var other = route
        other.alias = "b"
        await #expect(throws: Failure.self) { try await catalogue.put(other, now: "t") }
        #expect(try await catalogue.put(route, now: "t").isNew)
        var moved = route
        moved.pattern = try RoutePattern("GET /b")
        #expect(try await catalogue.put(moved, now: "u").isNew == false)
        #expect(
            found(catalogue.snapshot.routes, "GET /a") == "nothing"
                && found(catalogue.snapshot.routes, "GET /b") == "GET /b")
        var twin = moved
        twin.id = "s"
        await #expect(throws: Failure.self) { try await catalogue.put(twin, now: "v") }
        #expect(found(try Catalogue(store: store).snapshot.routes, "GET /b") == "GET /b")
        #expect(try await catalogue.removeRoute("r"))
        #expect(try await catalogue.removeRoute("r") == false && catalogue.snapshot.routes.all.isEmpty)
        #expect(found(catalogue.snapshot.routes, "GET /b") == "nothing")
    }
}
