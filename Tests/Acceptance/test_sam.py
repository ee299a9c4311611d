"""Templates of AWS SAM by `apply`: the example, used over HTTP; what is not supported, listed and left out; hostile ones."""

import json
import time

import pytest

from bundles import zip_of
from conftest import REPOSITORY, SLOWNESS
from lambda_clients import Lambda
from system import eventually

SHOP = REPOSITORY / "functions/shop/template.yaml"
TRANSFORM = "Transform: AWS::Serverless-2016-10-31\n"
ECHO = "def handler(event, context):\n    return event\n"
HTTP_ECHO = "import json\ndef handler(event, context):\n    return {'statusCode': 200, 'body': json.dumps(event)}\n"


@pytest.fixture
def apply(bulkhead, hosts):
    """`apply(file, …)` on a host of its own; what it printed on stdout and stderr."""
    host = hosts()

    def run(*arguments, status=0):
        done = bulkhead("apply", *arguments, "--host", host.url, "--token", host.token, environment={"AWS_REGION": "us-east-1"})
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done.stdout, done.stderr
    run.host = host
    return run


@pytest.fixture
def refused(bulkhead):
    """`refused(file, …)`: what is said of it. There is no host: whoever asked one would end with 3."""
    def run(*arguments):
        done = bulkhead("apply", *arguments, "--host", "http://127.0.0.1:1", "--token", "none")
        assert done.returncode == 2 and not done.stdout and "Fatal" not in done.stderr, (done.returncode, done.stdout, done.stderr[:4000])
        return done.stderr
    return run


def functions(host):
    return {one["name"]: one for one in host.get("/v1/functions").json()["functions"]}


def listed(host, kind):
    return {one["id"]: one for one in host.get(f"/v1/{kind}").json()[kind]}


def changes(apply, *arguments):
    """What would change, by what it is."""
    told = json.loads(apply(*arguments, "--json")[0])["changes"]
    return {f'{one["kind"]} {one["name"]}': one["change"] for one in told}


def written(folder, resources, more="", name="template.yaml", code=ECHO):
    """A template of these resources, with a folder `src` of code beside it."""
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "src" / "app.py").write_text(code)
    file = folder / name
    file.write_text(TRANSFORM + more + "Resources:\n" + resources)
    return file


def function(name="Fn", more=""):
    return (f"  {name}:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: python3.12\n      Handler: app.handler\n"
            f"      CodeUri: src\n{more}")


# -- The example ------------------------------------------------------------------------------------------------------

def test_the_shop(apply):
    host = apply.host
    plan, said = apply(SHOP)
    assert plan.splitlines()[:-1] == [
        "+ function catalog", "+ function orders", "+ function mailer", "+ route catalog.List", "+ route catalog.Show",
        "+ route orders.Quote"], plan
    assert "open to everybody" in said and "GET /items/{id}" in said and not functions(host), "a plan changes nothing"
    assert "applied: 6 new" in apply(SHOP, "--yes")[0]
    assert set(changes(apply, SHOP, "--yes").values()) == {"none"}
    assert {one["version"] for one in functions(host).values()} == {1}

    items = host.get("/items", token=None)
    assert items.status == 200 and [one["id"] for one in items.json()["items"]] == ["lamp", "mug", "pen"], items
    assert host.get("/items/mug", token=None).json() == {"id": "mug", "price": 900, "currency": "EUR"}
    assert host.get("/items/car", token=None).status == 404
    order = {"item": "mug", "count": 2, "email": "ada@example.com"}
    quote = host.request("POST", "/orders/quote", json.dumps(order).encode(), {"Content-Type": "application/json"}, token=None)
    assert quote.status == 200 and quote.json()["total"] == 1800, quote
    assert host.request("POST", "/orders/quote", b'{"item": "car"}', token=None).status == 400
    assert host.get("/orders/quote", token=None).status == 405

    # An order is placed asynchronously, and the mailer is told of it.
    placed = host.invoke("orders", order, headers={"Prefer": "respond-async"})
    assert placed.status == 202, placed

    def mails():
        return [line["text"] for line in host.logs("mailer") if line["text"].startswith("mail")]
    eventually(mails, 20 * SLOWNESS, "the mailer is told")
    assert mails() == ["mail to ada@example.com: Your order: 2 x mug, 18.00 EUR."], mails()


def test_a_parameter(apply):
    apply(SHOP, "--yes")
    changed = changes(apply, SHOP, "--parameter", "Currency=USD")
    assert {key for key, change in changed.items() if change == "changed"} == {"function catalog", "function orders", "function mailer"}
    apply(SHOP, "--yes", "--parameter", "Currency=USD")
    assert apply.host.get("/items/pen", token=None).json()["currency"] == "USD"
    for given, says in [("Currency=GBP", "AllowedValues"), ("Curency=USD", "no such parameter"), ("Currency", "NAME=VALUE")]:
        assert says in apply(SHOP, "--parameter", given, status=2)[1], given
    assert "NAME=VALUE, each name once" in apply(SHOP, "--parameter", "Currency=USD", "--parameter", "Currency=EUR", status=2)[1]


def test_they_are_as_lambdas_api_makes_them(boto, apply, workspace):
    """Seen by AWS's own client: the same but for what differs between two functions."""
    file = written(workspace / "twins", function(more="      Timeout: 9\n      MemorySize: 256\n      Role: arn:aws:iam::123456789012:role/any\n"))
    apply(file, "--yes")
    aws = Lambda(apply.host, region="us-east-1")
    aws.create(zip_of({"app.py": ECHO.encode()}), "twin", Runtime="python3.12", Timeout=9, MemorySize=256,
               Role="arn:aws:iam::123456789012:role/any")
    one, other = (aws.client.get_function_configuration(FunctionName=name) for name in ("fn", "twin"))
    for answer in (one, other):
        for key in ("FunctionName", "FunctionArn", "CodeSize", "CodeSha256", "LastModified", "RevisionId", "ResponseMetadata",
                    "LoggingConfig", "Version"):
            answer.pop(key, None)
    assert one == other
    manifests = [apply.host.get(f"/v1/functions/{name}").json()["manifest"] for name in ("fn", "twin")]
    for manifest in manifests:
        manifest.pop("name")
    assert manifests[0] == manifests[1]
    assert aws.result("fn", {"x": 1}) == {"x": 1}
    eventually(lambda: any(line["text"].startswith("REPORT RequestId: ") for line in apply.host.logs("fn")), 5, "it is reported")


# -- What becomes of what ---------------------------------------------------------------------------------------------

def test_json_zips_and_code_in_the_template(apply, workspace):
    folder = workspace / "json"
    folder.mkdir()
    (folder / "code.zip").write_bytes(zip_of({
        "pkg/app.py": b"def handler(e, c): return open('pkg/gr\xc3\xb6\xc3\x9fe.txt').read()", "pkg/größe.txt": "zip".encode(),
        "function.yaml": b"run: ./never"}))
    both = {"Runtime": "python3.12", "Environment": {"Variables": {"WHO": {"Ref": "AWS::StackName"}}}}
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Transform": ["AWS::Serverless-2016-10-31"], "Description": "\U0001f600",
                "Outputs": {"Any": {"Value": {"Fn::If": ["a", "b", "c"]}}}, "Metadata": {"a": []}, "Resources": {
                    "Zipped": {"Type": "AWS::Serverless::Function", "Properties": {**both, "Handler": "pkg/app.handler", "CodeUri": "code.zip"}},
                    "Inline": {"Type": "AWS::Serverless::Function", "Properties": {
                        **both, "Handler": "index.handler",
                        "InlineCode": "import os\ndef handler(e, c): return os.environ['WHO'] + ' \U0001f600'\n"}}}}
    file = folder / "any-name"
    file.write_text(json.dumps(template))
    assert "applied: 2 new" in apply(file, "--yes")[0]
    assert apply.host.invoke("zipped", expect="ok").json() == "zip"
    assert apply.host.invoke("inline", expect="ok").json() == "json \U0001f600"
    assert set(changes(apply, file).values()) == {"none"}
    file.write_text(json.dumps(template | {"Resources": {"Zipped": {**template["Resources"]["Zipped"]}}}, indent=4))
    assert changes(apply, file) == {"function zipped": "none"}, "what is not named any more stays"


def test_aliases_rest_apis_and_schedules(apply, workspace):
    host, folder = apply.host, workspace / "events"
    events = """      Events:
        Rest: { Type: Api, Properties: { Path: "/rest/{id}", Method: any } }
        All: { Type: HttpApi }
        Often: { Type: Schedule, Properties: { Schedule: rate(2 hours), Input: '{"days": 30}' } }
        Nightly:
          Type: ScheduleV2
          Properties: { ScheduleExpression: "cron(30 3 ? * 2-6 *)", ScheduleExpressionTimezone: Europe/Berlin, State: DISABLED }
        Monthly: { Type: Schedule, Properties: { Schedule: "cron(0 12 L * ? *)", Enabled: false } }
"""
    apply(written(folder, function(more=events), code=HTTP_ECHO), "--yes")
    there = listed(host, "schedules")
    assert there["fn.Often"]["every"] == "2h" and there["fn.Often"]["event"] == {"days": 30} and there["fn.Often"]["overlap"] == "allow"
    nightly = there["fn.Nightly"]
    assert (nightly["cron"], nightly["timezone"], nightly["enabled"]) == ("30 3 * * 1-5", "Europe/Berlin", False), nightly
    assert there["fn.Monthly"]["cron"] == "0 12 L * *" and there["fn.Monthly"]["enabled"] is False
    assert host.get("/rest/7", token=None).json()["version"] == "1.0"
    assert {host.get(path, token=None).json()["version"] for path in ("/", "/a/b")} == {"2.0"}

    # An alias comes later: the routes follow it, though the function stays as it is.
    file = written(folder, function(more="      AutoPublishAlias: prod\n" + events), code=HTTP_ECHO)
    changed = changes(apply, file)
    assert changed["function fn"] == "none" and changed["alias prod of fn"] == "new" and changed["route fn.All"] != "none", changed
    apply(file, "--yes")
    assert set(changes(apply, file).values()) == {"none"}
    assert {route["alias"] for route in listed(host, "routes").values()} == {"prod"}
    assert host.get("/rest/7", token=None).status == 200


GUARDED = """  Guarded:
    Type: AWS::Serverless::HttpApi
    Properties:
      StageName: prod
      CorsConfiguration: { AllowOrigins: ["https://a.com"], AllowHeaders: [X-A] }
      Auth:
        DefaultAuthorizer: Users
        Authorizers:
          Users: { JwtConfiguration: { issuer: "https://id.example.com/", audience: [shop] } }
          Own: { FunctionArn: !GetAtt Fn.Arn }
"""
GUARDED_EVENTS = """      Events:
        Mine: { Type: HttpApi, Properties: { ApiId: !Ref Guarded, Path: /mine, Method: get } }
        Own: { Type: HttpApi, Properties: { ApiId: !Ref Guarded, Path: /own, Method: get, Auth: { Authorizer: Own } } }
        Key: { Type: Api, Properties: { Path: /key, Method: get, Auth: { ApiKeyRequired: true } } }
"""


def test_what_cannot_be_guarded_is_not_open(apply, workspace):
    file = written(workspace / "guarded", function(more=GUARDED_EVENTS) + GUARDED)
    _, said = apply(file, "--yes", status=2)
    assert all(word in said for word in ("Own.FunctionArn", "Fn.Events.Own", "Fn.Events.Key.Auth.ApiKeyRequired")), said
    assert not functions(apply.host)
    said = apply(file, "--yes", "--skip-unsupported")[1]
    assert "leaves out line" in said and "open to everybody" not in said, said
    routes = listed(apply.host, "routes")
    assert set(routes) == {"fn.Mine"}
    jwt = routes["fn.Mine"]["auth"]["jwt"]
    assert (jwt["issuer"], jwt["audience"], jwt["jwks"]) == (
        "https://id.example.com/", ["shop"], "https://id.example.com/.well-known/jwks.json")
    assert routes["fn.Mine"]["cors"]["origins"] == ["https://a.com"] and routes["fn.Mine"]["cors"]["headers"] == ["x-a"]
    assert [apply.host.get(path, token=None).status for path in ("/mine", "/own", "/key")] == [401, 404, 404]


# -- What is not supported --------------------------------------------------------------------------------------------

MIXED = """  Plain:
    Type: AWS::Serverless::Function
    Metadata: { BuildMethod: any }
    DependsOn: Table
    Properties:
      Runtime: python3.12
      Handler: app.handler
      CodeUri: src
      Policies: [AWSLambdaBasicExecutionRole]
      Environment: { Variables: { TABLE: !Ref Table, PLAIN: x, WHICH: !If [IsProd, a, b] } }
      Tags: { a: b }
      Events:
        Queue: { Type: SQS, Properties: { Queue: any } }
        Get: { Type: HttpApi, Properties: { Path: /plain, Method: get } }
        Taken: { Type: HttpApi, Properties: { Path: /v1/plain, Method: get } }
  Node:
    Type: AWS::Serverless::Function
    Properties: { Runtime: nodejs22.x, Handler: index.handler, CodeUri: src }
  Table: { Type: AWS::DynamoDB::Table }
"""


def test_all_of_it_is_listed_before_anything_is_done(apply, workspace):
    file = written(workspace / "mixed", MIXED, more="Conditions: { IsProd: x }\n")
    wanted = [
        (2, "Conditions"), (12, "Plain.Policies"), (13, "Plain.Environment.Variables.TABLE"), (13, "Plain.Environment.Variables.WHICH"),
        (16, "Plain.Events.Queue"), (18, "Plain.Events.Taken"), (21, "Node.Runtime"), (22, "Table")]
    for options in ([], ["--yes"], ["--yes", "--json"]):
        out, said = apply(file, *options, status=2)
        found = [line.removeprefix(f"{file} line ").split(": ") for line in said.splitlines() if line.startswith(f"{file} line ")]
        assert [(int(line), place) for line, place, *_ in found] == wanted, said
        assert not out and "8 is not supported (--skip-unsupported leaves that out)" in said, (out, said)
    assert not functions(apply.host) and not listed(apply.host, "routes"), "nothing is done"

    plan, said = apply(file, "--skip-unsupported")
    assert plan.splitlines()[:-1] == ["+ function plain", "+ route plain.Get"] and said.count("leaves out") == 8, (plan, said)
    assert "Plain.Tags: tags are not carried over" in said and "open to everybody" in said
    assert "applied: 2 new" in apply(file, "--skip-unsupported", "--yes")[0]
    assert functions(apply.host)["plain"]["manifest"]["env"] == {"PLAIN": "x"}
    assert apply.host.get("/plain", token=None).status == 200 and apply.host.get("/v1/plain").status == 404


def test_what_is_wrong_is_never_left_out(apply, workspace):
    file = written(workspace / "wrong", function(more="      Timeout: never\n      Policies: []\n") + function("Fine"))
    said = apply(file, "--yes", "--skip-unsupported", status=2)[1]
    assert "line 9: Fn.Timeout: a whole number from 1 to 900 is wanted" in said and "1 of it is wrong" in said, said
    # What is not there is told of its function, before anything is done.
    for path, says in [("nothing", "does not exist"), ("src/app.py", "neither a folder nor a .zip"),
                       ("../", "leads out of the template's folder"), ("/etc", "leads out of the template's folder")]:
        file = written(workspace / "wrong", function() + function("Fine").replace("CodeUri: src", f"CodeUri: {path}"))
        assert says in apply(file, "--yes", status=2)[1], path
        assert not functions(apply.host), path


def test_options_of_templates(refused, workspace):
    file = workspace / "plain-project.yaml"
    file.write_text("functions: {}\n")
    for options in (["--skip-unsupported"], ["--parameter", "A=b"]):
        assert "no template of AWS SAM" in refused(file, *options)


# -- Hostile ----------------------------------------------------------------------------------------------------------

def laughs(levels, width, shape):
    """Each level so many times the one below."""
    lines = ["a0: &a0 x"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} " + shape(", ".join([f"*a{level - 1}"] * width)))
    return "\n".join(lines) + "\n"


MANY = 1_000_000
HOSTILE = {
    "aliases": (lambda: "Resources: {}\n" + laughs(30, 10, lambda below: f"[{below}]"), "anchors and aliases"),
    "aliases as keys": (lambda: "Resources: {}\n" + laughs(60, 2, lambda below: f"{{ ? [{below}] : x }}"), "anchors and aliases"),
    "a million resources": (lambda: "Resources:\n" + "".join(f"  R{n}: {{ Type: X }}\n" for n in range(MANY)), "larger than 1MiB"),
    "thousands of resources": (lambda: "Resources:\n" + "".join(f"  R{n}: {{ Type: X }}\n" for n in range(30_000)), "more than 500"),
    "lists in lists": (lambda: "Resources: " + "[" * 400_000, "not YAML"),
    "mappings in mappings": (lambda: "Resources: " + "{a: " * 900 + "}" * 900 + "\n", "deeper than 100"),
    "lines in lines": (lambda: "Resources:\n" + "".join(" " * n + "a:\n" for n in range(1, 1200)), "not YAML"),
    "calls in calls": (lambda: "Resources: " + "!Sub [a, {b: " * 200 + "x" + "}]" * 200 + "\n", "deeper than 100"),
    "names of each other": (lambda: "Resources:\n" + function("A", "      FunctionName: !Sub '${B}'\n") + function("B", "      FunctionName: !Sub '${A}'\n"),
                            "made of another's"),
    "a name of itself": (lambda: "Resources:\n" + function("A", "      FunctionName: !Ref A\n"), "made of another's"),
    "texts that grow": (lambda: "Parameters: { P: { Type: String, Default: " + "x" * 4096 + " } }\nResources:\n"
                        + function("A", "      Environment: { Variables: { V: !Sub '" + "${P}" * 100_000 + "' } }\n"), "longer than 256KiB"),
    "braces without end": (lambda: "Resources:\n" + function("A", "      Environment: { Variables: { V: !Sub '" + "${" * 100_000 + "' } }\n"), "wrong"),
    "marks": (lambda: "? \"a" + "\u0301" * 200_000 + "\"\n: x\nResources: {}\n", "marks"),
    "bytes": (lambda: b"\xff\xfe\x00", "not UTF-8"),
    "resources that are a list": (lambda: "Resources: []\n", "a mapping is wanted"),
    "resources that are a text": (lambda: "Resources: x\n", "a mapping is wanted"),
    "a resource that is a text": (lambda: "Resources: { A: x }\n", "a mapping is wanted"),
    "a type that is a list": (lambda: "Resources: { A: { Type: [a] } }\n", "a text is wanted"),
    "properties that are a list": (lambda: "Resources: { A: { Type: AWS::Serverless::Function, Properties: [a] } }\n", "a mapping is wanted"),
    "globals that are a list": (lambda: "Globals: [a]\nResources: {}\n", "a mapping is wanted"),
    "parameters that are a text": (lambda: "Parameters: x\nResources: {}\n", "a mapping is wanted"),
    "two of a key": (lambda: "Resources: {}\nResources: {}\n", "not YAML"),
    "a key that is a list": (lambda: "Resources: { [a]: b }\n", "a key must be a text"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile(refused, workspace, kind):
    make, says = HOSTILE[kind]
    text = make()
    file = workspace / "hostile.yaml"
    file.write_bytes(TRANSFORM.encode() + (text if isinstance(text, bytes) else text.encode()))
    began = time.monotonic()
    said = refused(file, "--yes")
    assert time.monotonic() - began < 15 * SLOWNESS
    assert says in said and len(said) < 200_000, said[:2000]


@pytest.mark.parametrize("value", ["[]", "{}", "[[[]]]", "{a: {b: c}}", "!Sub []", "!Ref {}", "!Join x", "!GetAtt [a]", "!X x", "''",
                                   "99999999999999999999999", "-1", "1e400", "\"\\0\"", "\"\\u202e\""])
def test_wrong_types_everywhere(refused, workspace, value):
    """Each property in turn: a sentence, and never a trap."""
    names = ["Runtime", "Handler", "CodeUri", "InlineCode", "FunctionName", "Timeout", "MemorySize", "EphemeralStorage", "Environment",
             "Description", "ReservedConcurrentExecutions", "AutoPublishAlias", "ProvisionedConcurrencyConfig", "EventInvokeConfig",
             "FunctionUrlConfig", "Events", "Architectures", "PackageType", "Role", "Tags"]
    # All at once, each in a function of its own.
    lines = []
    for number, name in enumerate(names):
        sound = {"Runtime": "python3.12", "Handler": "app.handler", "CodeUri": "src"} | {name: value}
        lines.append(f"  F{number}:\n    Type: AWS::Serverless::Function\n    Properties:\n"
                     + "".join(f"      {key}: {text}\n" for key, text in sound.items()))
    for number, properties in enumerate([f"Path: {value}, Method: get", f"Path: /a, Method: {value}", f"ApiId: {value}", f"Auth: {value}",
                                         f"TimeoutInMillis: {value}", f"PayloadFormatVersion: {value}"]):
        lines.append(function(f"E{number}", f"      Events: {{ E: {{ Type: HttpApi, Properties: {{ {properties} }} }} }}\n"))
    for number, key in enumerate(["ScheduleExpression", "ScheduleExpressionTimezone", "State", "Input", "FlexibleTimeWindow"]):
        lines.append(function(f"S{number}", f"      Events: {{ E: {{ Type: ScheduleV2, Properties: {{ {key}: {value} }} }} }}\n"))
    for number, key in enumerate(["StageName", "CorsConfiguration", "Auth"]):
        lines.append(f"  A{number}: {{ Type: AWS::Serverless::HttpApi, Properties: {{ {key}: {value} }} }}\n")
    file = written(workspace / "types", "".join(lines), more=f"Parameters: {{ P: {{ Default: {value} }} }}\n")
    said = refused(file, "--yes", "--skip-unsupported")
    assert " line " in said and " of it is wrong" in said, said


@pytest.mark.parametrize("way", ["the folder", "a folder on the way", "a zip"])
def test_links_out_of_the_templates_folder(refused, workspace, way):
    """A stranger's template must not publish its reader's files."""
    outside, folder = workspace / "outside", workspace / f"links-{way.replace(' ', '-')}"
    outside.mkdir(exist_ok=True)
    (outside / "app.py").write_text("def handler(event, context): return 'private'\n")
    (outside / "private.zip").write_bytes(zip_of({"app.py": b"def handler(event, context): return 'private'\n"}))
    place = {"the folder": "linked", "a folder on the way": "up/outside", "a zip": "code.zip"}[way]
    file = written(folder, f"""
  One:
    Type: AWS::Serverless::Function
    Properties: {{ CodeUri: {place}, Handler: app.handler, Runtime: python3.12 }}
""")
    (folder / "linked").symlink_to(outside)
    (folder / "up").symlink_to(workspace)
    (folder / "code.zip").symlink_to(outside / "private.zip")
    assert "is a link" in refused(file)
