import FunctionModel
import Testing

@testable import BulkheadCommands

private func reading(_ events: String, apis: String = "", function: String = "") throws -> SAMTemplate {
    let text = """
        Transform: AWS::Serverless-2016-10-31
        Resources:
          Shop:
            Type: AWS::Serverless::Function
            Properties:
              Runtime: python3.12
              Handler: app.handler
              CodeUri: src
              Events:
        \(events)
        \(function)
        \(apis)
        """
    return try #require(try SAMTemplate(text, .init()))
}

extension SAMTemplate {
    fileprivate var problems: [String] { complaints.filter { $0.kind != .note }.map(\.text) }
}

@Suite struct TemplateEventTests {
    @Test func routes() throws {
        let read = try reading(
            """
                    List: { Type: HttpApi, Properties: { Path: /items, Method: get, TimeoutInMillis: 5000 } }
                    Old: { Type: HttpApi, Properties: { Path: /old, Method: ANY, PayloadFormatVersion: "1.0" } }
                    Rest: { Type: Api, Properties: { Path: "/rest/{id+}", Method: x-amazon-apigateway-any-method } }
                    All: { Type: HttpApi }
            """, function: "      AutoPublishAlias: prod")
        #expect(read.problems == [])
        let routes = read.project.routes
        #expect(routes.map(\.id) == ["shop.List", "shop.Old", "shop.Rest", "shop.All", "shop.All-2"])
        #expect(
            routes.map { $0.body["route"] as? String } == [
                "GET /items", "ANY /old", "ANY /rest/{id+}", "ANY /{proxy+}", "ANY /",
            ])
        #expect(routes.map { $0.body["payload"] as? String } == [nil, "1.0", "1.0", nil, nil])
        #expect(routes.allSatisfy { $0.body["auth"] as? String == "none" && $0.body["alias"] as? String == "prod" })
        #expect(routes[0].body["timeout"] as? String == "5000ms" && routes[0].function == "shop")
        // That they are open is said.
        #expect(read.complaints.contains { $0.kind == .note && $0.what.contains("GET /items, ANY /old") })
    }

    private static let guarded = """
          Guarded:
            Type: AWS::Serverless::HttpApi
            Properties:
              StageName: prod
              CorsConfiguration: { AllowOrigins: ["https://a.com"], AllowMethods: [get], MaxAge: 60 }
              Auth:
                DefaultAuthorizer: Users
                Authorizers:
                  Users: { JwtConfiguration: { issuer: "https://id.example.com/", audience: [shop] } }
                  Own: { FunctionArn: x }
        """

    @Test func authorizers() throws {
        let read = try reading(
            """
                    Mine: { Type: HttpApi, Properties: { ApiId: !Ref Guarded, Path: /mine, Method: get } }
                    Free:
                      Type: HttpApi
                      Properties: { ApiId: !Ref Guarded, Path: /free, Method: get, Auth: { Authorizer: NONE } }
                    Scoped:
                      Type: HttpApi
                      Properties:
                        { ApiId: !Ref Guarded, Path: /scoped, Method: get, Auth: { AuthorizationScopes: [a] } }
                    Several:
                      Type: HttpApi
                      Properties:
                        { ApiId: !Ref Guarded, Path: /several, Method: get, Auth: { AuthorizationScopes: [a, b] } }
                    Own:
                      Type: HttpApi
                      Properties: { ApiId: !Ref Guarded, Path: /own, Method: get, Auth: { Authorizer: Own } }
            """, apis: Self.guarded)
        func rule(_ index: Int) -> [String: Any]? {
            (read.project.routes[index].body["auth"] as? [String: Any])?["jwt"] as? [String: Any]
        }
        // What is guarded by what is not supported is not made, and never open.
        try #require(read.project.routes.map(\.id) == ["shop.Mine", "shop.Free", "shop.Scoped"])
        #expect(rule(0)?["issuer"] as? String == "https://id.example.com/")
        #expect(rule(0)?["audience"] as? [String] == ["shop"])
        #expect(rule(0)?["jwks"] as? String == "https://id.example.com/.well-known/jwks.json")
        #expect(read.project.routes[1].body["auth"] as? String == "none")
        #expect(rule(2)?["scopes"] as? [String] == ["a"])
        let cors = read.project.routes[0].body["cors"] as? [String: Any]
        #expect(cors?["origins"] as? [String] == ["https://a.com"] && cors?["methods"] as? [String] == ["GET"])
        #expect(cors?["maxAge"] as? Int == 60)
        #expect(read.problems.count == 3, "\(read.problems)")
    }

    @Test(arguments: [
        ("AWS::Serverless::Api", "RestApiId", "Api", "Auth: { ApiKeyRequired: true }"),
        ("AWS::Serverless::Api", "RestApiId", "Api", "Auth: { DefaultAuthorizer: AWS_IAM }"),
        ("AWS::Serverless::HttpApi", "ApiId", "HttpApi", "Auth: { EnableIamAuthorizer: true }"),
        ("AWS::Serverless::HttpApi", "ApiId", "HttpApi", "Auth: { DefaultAuthorizer: Nobody }"),
        ("AWS::Serverless::HttpApi", "ApiId", "HttpApi", "Auth: { DefaultAuthorizer: !If [a, b, c] }"),
        ("AWS::Serverless::HttpApi", "ApiId", "HttpApi", "Auth: !If [a, b, c]"),
        ("AWS::Serverless::HttpApi", "ApiId", "HttpApi", "DefinitionBody: {}"),
        ("AWS::Serverless::Api", "RestApiId", "Api", "EndpointConfiguration: { Type: PRIVATE }"),
        ("AWS::Serverless::Api", "RestApiId", "Api", "Auth: { ResourcePolicy: {} }"),
    ])
    func whatCannotBeGuardedIsNotMade(type: String, key: String, kind: String, auth: String) throws {
        let read = try reading(
            "            E: { Type: \(kind), Properties: { \(key): !Ref G, Path: /a, Method: get } }",
            apis: "  G:\n    Type: \(type)\n    Properties: { StageName: a, \(auth) }")
        #expect(read.project.routes.isEmpty && !read.problems.isEmpty)
    }

    @Test(arguments: [
        "Properties: !If [a, b, c]", "Properties: { Path: /a, Method: get, Auth: !If [a, b, c] }",
        "Properties: { Path: /a, Method: get, Auth: { InvokeRole: x } }",
        "Properties: { Path: /a, Method: get, Auth: { Authorizer: Nobody } }",
        "Properties: { Path: /a, Method: !If [a, b, c] }", "Properties: { ApiId: !ImportValue x }",
        "Properties: { Path: /a, Method: get, PayloadFormatVersion: !If [a, b, c] }",
    ])
    func whatIsNotKnownOfARoute(properties: String) throws {
        let read = try reading("            E: { Type: HttpApi, \(properties) }")
        #expect(read.project.routes.isEmpty && !read.problems.isEmpty)
        #expect(read.complaints.allSatisfy { $0.kind == .unsupported }, "\(read.complaints)")
    }

    @Test(arguments: [
        "Globals: !If [a, b, c]", "Globals: { HttpApi: !If [a, b, c] }",
        "Globals: { HttpApi: { 'Fn::Transform': x, Auth: {} } }",
    ])
    func globalsAreWrittenOut(globals: String) throws {
        let read = try reading("            E: { Type: HttpApi, Properties: {} }", apis: globals)
        #expect(read.complaints.contains { $0.kind == .wrong }, "\(read.complaints)")
    }

    @Test func schedules() throws {
        let read = try reading(
            """
                    Often: { Type: Schedule, Properties: { Schedule: rate(1 minute), Input: '{"a": "b"}' } }
                    Nightly:
                      Type: ScheduleV2
                      Properties:
                        ScheduleExpression: cron(0 3 ? * 2-6 *)
                        ScheduleExpressionTimezone: Europe/Berlin
                        State: DISABLED
                        FlexibleTimeWindow: { Mode: "OFF" }
                    Late: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 day), EndDate: "2030-01-01" } }
                    Odd: { Type: Schedule, Properties: { Schedule: "cron(0 3 * * ? 2030)" } }
            """)
        let schedules = read.project.schedules
        try #require(schedules.map(\.id) == ["shop.Often", "shop.Nightly"])
        #expect(schedules[0].body["every"] as? String == "1m")
        #expect((schedules[0].body["event"] as? [String: Any])?["a"] as? String == "b")
        #expect(schedules[1].body["cron"] as? String == "0 3 * * 1-5")
        #expect(schedules[1].body["timezone"] as? String == "Europe/Berlin")
        #expect(schedules[1].body["enabled"] as? Bool == false && schedules[1].body["overlap"] as? String == "allow")
        #expect(read.problems.contains { $0.contains("EndDate") } && read.problems.contains { $0.contains("years") })
    }

    @Test func longIDsStayApart() {
        let name = String(repeating: "a", count: 40), event = String(repeating: "E", count: 40)
        let ids = Set(["1", "2"].map { TemplateEventReader.entryID(name, event + $0) })
        #expect(ids.count == 2 && ids.allSatisfy { Route.isID($0) })
        #expect(TemplateEventReader.entryID("shop", "List") == "shop.List")
    }
}

@Suite struct AWSScheduleTests {
    @Test(arguments: [
        ("rate(5 minutes)", "5m"), ("rate(1 hour)", "1h"), ("rate(7 days)", "168h"),
        ("cron(0 12 * * ? *)", "0 12 * * *"), ("cron(15 10 ? * 6L *)", "15 10 * * 5L"),
        ("cron(0/15 8-18 ? * MON-FRI *)", "0/15 8-18 * * 1-5"), ("cron(0 9 1,15 JAN-JUN ? *)", "0 9 1,15 JAN-JUN *"),
        ("cron(0 0 ? * 1 *)", "0 0 * * 0"), ("cron(0 0 ? * 7 *)", "0 0 * * 6"), ("cron(0 0 ? * L *)", "0 0 * * 6"),
        ("cron(0 0 ? * 2#1 *)", "0 0 * * 1#1"), ("cron(0 0 ? * 2,4,sat *)", "0 0 * * 1,3,6"),
        ("cron(0 0 ? * 2/3 *)", "0 0 * * 1-6/3"), ("cron(0 0 ? * */2 *)", "0 0 * * 0-6/2"),
        ("cron(0 0 ? * FRI-MON *)", "0 0 * * 5-6,0-1"), ("cron(0 0 L * ? *)", "0 0 L * *"),
    ])
    func become(text: String, said: String) throws {
        let schedule = try AWSSchedule(text)
        #expect(schedule == (text.hasPrefix("rate") ? .every(said) : .cron(said)))
    }

    @Test(arguments: [
        "", "rate()", "rate(0 minutes)", "rate(5)", "rate(5 weeks)", "rate(-1 hours)", "rate(400 days)",
        "rate(99999999999999999999 days)", "cron(0 12 * * ?)", "cron(0 12 * * ? 2030)", "cron(0 12 * * * *)",
        "cron(0 12 1 * 2 *)", "cron(0 12 15W * ? *)", "cron(0 12 ? * 8 *)", "cron(0 12 ? * 0 *)",
        "cron(0 12 ? * 1-2-3 *)", "cron(0 12 ? * /2 *)", "cron(0 12 ? * 5-2/2 *)", "cron(99 12 * * ? *)",
        "cron(0 0 31 2 ? *)", "at(2030-01-01T00:00:00)", "5 minutes", "cron(0 12 ? * , *)", "cron(0 12 ? * # *)",
    ])
    func cannotBeSaid(text: String) {
        #expect(throws: AWSSchedule.Refused.self) { _ = try AWSSchedule(text) }
    }
}
