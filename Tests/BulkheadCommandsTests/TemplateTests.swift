import FunctionModel
import Testing

@testable import BulkheadCommands

/// A template with these resources, each two spaces deep.
private func template(_ resources: String, more: String = "") -> String {
    "Transform: AWS::Serverless-2016-10-31\n\(more)Resources:\n\(resources)\n"
}

/// A function that is sound, and more of it.
private func function(_ more: String = "", name: String = "Fn") -> String {
    """
      \(name):
        Type: AWS::Serverless::Function
        Properties:
          Runtime: python3.12
          Handler: app.handler
          CodeUri: src
    \(more)
    """
}

private func reading(_ text: String, parameters: [String: String] = [:]) throws -> SAMTemplate {
    try #require(try SAMTemplate(text, .init(folder: "/t", parameters: parameters)))
}

private func manifest(of read: SAMTemplate) throws -> Manifest {
    let function = try #require(read.project.functions.first, "\(read.complaints)")
    return try Manifest(yaml: try #require(function.bundle?.manifest))
}

extension SAMTemplate {
    /// What stands against it.
    fileprivate var problems: [String] { complaints.filter { $0.kind != .note }.map(\.text) }
}

private let arn = "arn:aws:lambda:us-east-1:123456789012:function:fn"

/// Nil: it cannot be told.
private let writtenIntrinsics: [(String, String?)] = [
    ("!Ref Stage", "dev"), ("!Ref Fn", "fn"), ("!Ref AWS::AccountId", "123456789012"),
    ("!Sub 'a${Stage}b'", "adevb"), ("!Sub ['${x}-${Stage}', {x: !Ref Fn}]", "fn-dev"),
    ("!Sub '${!Stage} $ ${Fn.Arn}'", "${Stage} $ \(arn)"), ("!GetAtt Fn.Arn", arn),
    ("!Join ['-', [a, !Ref Stage, !Sub 'x']]", "a-dev-x"), ("!Join [',', !Ref List]", "1,2"),
    ("{'Fn::Sub': '${AWS::Partition}'}", "aws"), ("{Ref: AWS::StackName}", "bulkhead"), ("!Ref Stage2", nil),
    ("!Ref Nothing", nil), ("!Sub '${Nothing}'", nil), ("!GetAtt Fn.Version", nil), ("!If [a, b, c]", nil),
    ("!ImportValue x", nil), ("!Sub '${List}'", nil), ("!Sub {}", nil), ("!Join [a]", nil), ("!Ref [a]", nil),
    ("!GetAtt Fn", nil), ("!Foo x", nil),
]

@Suite struct TemplateTests {
    @Test func aFunctionIsAsLambdasAPIMakesThem() throws {
        let text = template(
            function(
                """
                      Timeout: 20
                      MemorySize: 256
                      EphemeralStorage: { Size: 1024 }
                      Description: does it
                      Role: arn:aws:iam::123456789012:role/any
                      Architectures: [x86_64]
                      ReservedConcurrentExecutions: 7
                      ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 2 }
                      AutoPublishAlias: prod
                      Environment: { Variables: { A: 1, B: !Sub "${AWS::Region}/${Fn}" } }
                      FunctionUrlConfig: { AuthType: NONE, InvokeMode: RESPONSE_STREAM }
                """))
        let read = try reading(text)
        #expect(read.problems == [])
        let made = try manifest(of: read)
        #expect(made.name?.text == "fn" && made.runtime == .python && made.handler == "app.handler")
        #expect(made.mode == .reactor && made.report && made.stream && made.auth == .none)
        #expect(made.limits.processes == 64 && made.limits.threads == 256)
        #expect(made.limits.wall == .seconds(20) && made.limits.memory == .mebibytes(256))
        #expect(made.limits.scratch == .mebibytes(1024) && made.about == "does it")
        #expect(made.concurrency.max == 7 && made.concurrency.warm == 2)
        #expect(made.env == ["A": "1", "B": "us-east-1/fn"])
        #expect(
            made.labels == [
                LambdaLabel.runtime: "python3.12", LambdaLabel.region: "us-east-1",
                LambdaLabel.role: "arn:aws:iam::123456789012:role/any", LambdaLabel.ephemeralStorage: "1024",
            ])
        #expect(read.project.functions.map(\.bundle?.code) == [.path("/t/src")])
        #expect(read.project.aliases.map(\.name) == ["prod"])
        #expect(read.complaints.contains { $0.kind == .note && $0.what.contains("/fn/fn") })
    }

    @Test func aCustomRuntime() throws {
        let text = function().replacing("python3.12", with: "provided.al2023").replacing("app.handler", with: "any")
        let read = try reading(template(text))
        #expect(read.problems == [])
        let made = try manifest(of: read)
        #expect(made.runtime == .provided && made.run == "bootstrap" && made.handler == "any")
    }

    @Test func codeInTheTemplate() throws {
        let read = try reading(template(function("      InlineCode: |\n        def handler(e, c): return 1")))
        #expect(read.project.functions.map(\.bundle?.code) == [.inline("def handler(e, c): return 1\n")])
    }

    @Test(arguments: [
        ("ListItemsHTTP", "list-items-http"), ("HTTPApi", "http-api"), ("HTTP2Api", "http2-api"), ("fn", "fn"),
        ("A", "a"),
    ])
    func namesAreMadeOfLogicalIDs(id: String, name: String) throws {
        #expect(TemplateOutline.functionName(of: id) == name)
        #expect(try reading(template(function(name: id))).project.functions.map(\.name) == [name])
    }

    @Test func globalsAreMerged() throws {
        let globals = """
            Globals:
              Function:
                Timeout: 9
                MemorySize: 512
                Layers: [x]
                Environment: { Variables: { A: global, B: global } }
              SimpleTable: {}

            """
        let own = function("      MemorySize: 256\n      Environment: { Variables: { B: own } }")
        let read = try reading(template(own, more: globals))
        let made = try manifest(of: read)
        #expect(made.limits.wall == .seconds(9) && made.limits.memory == .mebibytes(256))
        #expect(made.env == ["A": "global", "B": "own"])
        #expect(
            read.problems == [
                "line 6: Globals.Function.Layers: it is not supported",
                "line 8: Globals.SimpleTable: it is not supported",
            ])
    }

    @Test func jsonIsATemplateToo() throws {
        let text = """
            {"Transform": ["AWS::Serverless-2016-10-31"], "Description": "\\ud83d\\ude00 \\/",
             "Resources": {"Fn": {"Type": "AWS::Serverless::Function", "Properties": {"Runtime": "python3.11",
               "Handler": "app.handler", "CodeUri": ".", "Description": "\\ud83d\\ude00",
               "Environment": {"Variables": {"ME": {"Ref": "Fn"}, "ARN": {"Fn::GetAtt": ["Fn", "Arn"]}}}}}}}
            """
        let read = try reading(text)
        #expect(read.problems == [])
        let made = try manifest(of: read)
        #expect(made.about == "😀" && made.env == ["ME": "fn", "ARN": arn])
    }

    @Test(arguments: [
        "functions: {}", "Resources: {}", "Transform: AWS::Serverless-2016-10-31", "", "[]", "Transform: x",
    ])
    func whatIsNoTemplate(text: String) throws {
        let isOne = try SAMTemplate(text, .init()) != nil
        #expect(!isOne)
    }

    @Test(arguments: writtenIntrinsics)
    func intrinsics(written: String, value: String?) throws {
        let parameters = """
            Parameters:
              Stage: { Type: String, Default: dev, AllowedValues: [dev, prod] }
              List: { Type: CommaDelimitedList, Default: "1, 2" }

            """
        let own = function("      Environment: { Variables: { V: \(written) } }")
        let read = try reading(template(own, more: parameters))
        #expect(try manifest(of: read).env["V"] == value)
        #expect(read.problems.isEmpty == (value != nil), "\(read.problems)")
    }

    @Test func parameters() throws {
        let text = template(
            function("      Environment: { Variables: { V: !Ref Stage } }"),
            more: "Parameters: { Stage: { Type: String, AllowedValues: [dev, prod] } }\n")
        #expect(try reading(text).problems.first?.contains("--parameter") == true)
        let given = try reading(text, parameters: ["Stage": "prod"])
        #expect(given.problems == [])
        #expect(try manifest(of: given).env["V"] == "prod")
        #expect(try reading(text, parameters: ["Stage": "x"]).problems.first?.contains("AllowedValues") == true)
        let more = try reading(text, parameters: ["Stage": "dev", "Stag": "x"])
        #expect(more.problems.first?.contains("no such parameter") == true)
    }

    @Test func destinations() throws {
        let one = function(
            """
                  EventInvokeConfig:
                    MaximumRetryAttempts: 1
                    MaximumEventAgeInSeconds: 600
                    DestinationConfig:
                      OnSuccess: { Type: Lambda, Destination: !GetAtt Other.Arn }
                      OnFailure: { Destination: "https://example.com/hook" }

            """)
        let read = try reading(template(one + function(name: "Other")))
        #expect(read.problems == [])
        let rules = try manifest(of: read).async
        #expect(rules.retries == 1 && rules.maxAge == .seconds(600))
        #expect(rules.onSuccess?.text == "other" && rules.onFailure?.text == "https://example.com/hook")
    }
}

// MARK: - What is not taken

@Suite struct RefusedTemplateTests {
    /// All that is not supported, each with its line.
    @Test(arguments: [
        ("      Policies: [x]", "line 9: Fn.Policies"), ("      Layers: [x]", "line 9: Fn.Layers"),
        ("      VpcConfig: {}", "line 9"), ("      Architectures: [arm64]", "line 9: Fn.Architectures"),
        ("      PackageType: Image", "Image is not supported"),
        ("      Environment: { Variables: {}, More: 1 }", "Fn.Environment.More"),
        ("      EventInvokeConfig: { DestinationConfig: { OnFailure: { Type: SQS } } }", "SQS is not supported"),
        (
            "      EventInvokeConfig: { DestinationConfig: { OnFailure: { Type: Lambda, Destination: other } } }",
            "\"other\" is no function of this template"
        ),
        ("      Events: { E: { Type: SQS, Properties: {} } }", "type SQS"),
        ("      Events: { E: { Type: HttpApi, Properties: { Path: /v1/a, Method: get } } }", "/v1 is the host's own"),
        ("      FunctionName: Not_A_Name", "is no name here"),
        ("      ReservedConcurrentExecutions: 0", "lets nothing run"),
        ("    Condition: IsProd", "conditions are not supported"), ("    DeletionPolicy: Retain", "Fn.DeletionPolicy"),
        ("  Table:\n    Type: AWS::DynamoDB::Table", "line 9: Table: AWS::DynamoDB::Table is not supported"),
        ("Mappings: {}", "Mappings"), ("Conditions: {}", "line 9: Conditions"),
    ])
    func unsupported(more: String, says: String) throws {
        let read = try reading(template(function(more)))
        #expect(
            read.complaints.contains { $0.kind == .unsupported && $0.text.contains(says) }, "\(read.complaints)")
        #expect(!read.complaints.contains { $0.kind == .wrong }, "\(read.complaints)")
    }

    @Test(arguments: ["Runtime: nodejs22.x", "Handler: !If [a, b, c]", "CodeUri: s3://a/b", "CodeUri: { Bucket: a }"])
    func leftOutWhole(line: String) throws {
        let key = String(line.prefix { $0 != ":" })
        let lines = function().split(separator: "\n").map { one in
            one.contains("  \(key):") ? "      \(line)" : String(one)
        }
        let read = try reading(template(lines.joined(separator: "\n")))
        #expect(read.project.functions.isEmpty && read.problems.count == 1, "\(read.problems)")
        #expect(read.complaints.allSatisfy { $0.kind == .unsupported && $0.place == "Fn.\(key)" })
    }

    @Test(arguments: [
        "      Timeout: 0", "      Timeout: []", "      Timeout: -1", "      Timeout: 99999999999999999999",
        "      Timeout: {a: b}", "      MemorySize: big", "      Environment: []",
        "      Environment: { Variables: [a] }", "      Events: [a]", "      Environment: { Variables: { 1A: b } }",
        "      Environment: { Variables: { A: [b] } }", "      Environment: { Variables: { BULKHEAD_X: b } }",
        "      Events: { E: x }", "      Events: { 'a b': {} }",
        "      Events: { E: { Type: HttpApi, Properties: { Path: /a } } }", "      Events: { E: {} }",
        "      AutoPublishAlias: a b", "      Description: \"a\\nb\"", "      Events: { E: { Type: Schedule } }",
        "      ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 200 }", "  'a b': {}", "  X: {}",
        "  X: []",
        "  FN:\n    Type: AWS::Serverless::Function\n    Properties: { Runtime: python3.1, Handler: a.b, CodeUri: c }",
    ])
    func wrong(more: String) throws {
        let read = try reading(template(function(more)))
        #expect(read.complaints.contains { $0.kind == .wrong }, "\(read.complaints)")
    }

    @Test(arguments: ["../other", "a/../../b", "/etc", ""])
    func codeStaysBesideTheTemplate(path: String) throws {
        let read = try reading(template(function().replacing("CodeUri: src", with: "CodeUri: '\(path)'")))
        #expect(
            read.complaints.contains { $0.kind == .wrong && $0.place == "Fn.CodeUri" }, "\(read.complaints)")
    }
}

// MARK: - Hostile

/// Each level ten times the one below.
private let laughs = (1...9).map { level in
    let below = level == 1 ? "x" : "*a\(level - 1)"
    return "a\(level): &a\(level) [" + Array(repeating: below, count: 10).joined(separator: ",") + "]\n"
}.joined()
/// Twice, where keys are compared.
private let keys = (1...40).map { level in
    let below = level == 1 ? "x" : "*k\(level - 1)"
    return "a\(level): &k\(level) { ? [\(below), \(below)] : y }\n"
}.joined()
private func nested(_ open: String, _ close: String, _ count: Int) -> String {
    "a: " + String(repeating: open, count: count) + String(repeating: close, count: count) + "\n"
}

private let hostileTexts: [(String, String)] = [
    (laughs, "anchors"), (keys, "anchors"), (String(repeating: "[", count: 100_000), "YAML"),
    (nested("[", "]", 500), "deeper than 100"), (nested("{a: ", "}", 300), "deeper than 100"),
    (String(repeating: "#\n", count: 600_000), "larger than 1MiB"), ("? [a, b]\n: c\n", "a key must be a text"),
    ("? \"\(String(repeating: "\\u0301", count: 30_000))\"\n: x\n", "backslashes"),
    ("? \"a\(String(repeating: "\u{301}", count: 2000))\"\n: x\n", "marks"), ("a: 1\na: 2\n", "YAML"),
    ("a: !!timestamp 2001-01-01\n", "tag"), ("a: \u{1}\n", "YAML"), ("a: *b\n", "YAML"),
]

@Suite struct HostileTemplateTests {
    @Test(.timeLimit(.minutes(1)), arguments: hostileTexts.indices)
    func texts(index: Int) {
        let (text, says) = hostileTexts[index]
        let complaint = #expect(throws: TemplateComplaint.self) {
            _ = try SAMTemplate(template("  X: {}") + text, .init())
        }
        #expect(complaint?.text.contains(says) == true, "\(complaint?.text ?? "")")
    }

    /// `${P}` is shorter than what it stands for.
    @Test(.timeLimit(.minutes(1))) func substitutions() throws {
        let many = String(repeating: "${P}", count: 1000), long = String(repeating: "x", count: 4096)
        let text = template(
            function("      Environment: { Variables: { V: !Sub '\(many)' } }"),
            more: "Parameters: { P: { Type: String, Default: \(long) } }\n")
        #expect(try reading(text).problems.first?.contains("longer than 256KiB") == true)
        let open = String(repeating: "${", count: 100_000)
        let read = try reading(template(function("      Environment: { Variables: { V: !Sub '\(open)' } }")))
        #expect(read.complaints.contains { $0.kind == .wrong })
    }

    /// Names that are made of each other.
    @Test func circles() throws {
        let one = function("      FunctionName: !Sub '${B}-a'\n", name: "A")
        let read = try reading(template(one + function("      FunctionName: !Sub '${A}-b'", name: "B")))
        #expect(read.problems.count == 2 && read.project.functions.map(\.name) == ["a", "b"], "\(read.problems)")
    }

    @Test func moreThanThereMayBe() throws {
        let many = (0...500).map { "  R\($0): { Type: X }\n" }.joined()
        #expect(try reading(template(many)).problems == ["line 3: Resources: there are more than 500"])
        let members = (0..<20_000).map { "V\($0)/: 1" }.joined(separator: ", ")
        let read = try reading(template(function("      EventInvokeConfig: { \(members) }")))
        #expect(read.complaints.count == 1000 && read.unsaid == 19_000)
        let globals = "Globals: { Function: { Environment: { Variables: { \(members) } } } }\n"
        let problems = try reading(template(function(), more: globals)).problems
        #expect(problems.count == 1 && problems[0].contains("more than 1000 values"), "\(problems)")
    }
}
