"""AWS Lambda's API, asked wrongly: signatures, roles, parameters, and operations that are not there."""

import base64
import json
import re
import subprocess
from hashlib import sha256
from datetime import datetime, timedelta, timezone

import pytest

from bulkhead_host import unique_name
from conftest import REPOSITORY
from lambda_clients import ACCOUNT, ECHO, ROLE, RUNTIME, Key, Lambda, code_zip, new_key, presigned, refused, rejected, signature

LIST, LAYERS = "/2015-03-31/functions/", "/2018-10-31/layers"
LATER, EARLIER = timedelta(minutes=6), timedelta(minutes=-6)


def now():
    return datetime.now(timezone.utc)


@pytest.fixture(scope="module")
def function(aws):
    return aws.create()


@pytest.fixture(scope="module")
def unchecked(aws):
    return aws.unchecked()


# -- Signatures -------------------------------------------------------------------------------------------------------


def test_a_wrong_secret_and_an_unknown_key(aws):
    wrong = Lambda(aws.host, Key(aws.key.access, aws.key.secret[::-1]))
    refused(lambda: wrong.client.list_functions(), 403, "InvalidSignatureException", "signature we calculated does not match")
    unknown = Lambda(aws.host, Key("AKIAIOSFODNN7EXAMPLE", aws.key.secret))
    refused(lambda: unknown.client.list_functions(), 403, "UnrecognizedClientException", "security token included in the request is invalid")


def test_what_was_signed_is_what_is_done(aws, function):
    """Body, query, path, method and signed headers: none of them may be another."""
    path = f"/2015-03-31/functions/{function}/invocations"
    body, headers = b'{"amount": 1}', {"Content-Type": "application/json", "X-Amz-Invocation-Type": "RequestResponse"}
    signed = signature(aws.host, aws.key, "POST", path, body, headers)
    assert aws.host.request("POST", path, body, signed, token=None).json() == {"amount": 1}
    other_path = "/2015-03-31/functions/other/invocations"
    for method, other, content, changed in [
            ("POST", path, b'{"amount": 9}', {}), ("POST", path, None, {}), ("POST", path + "?Qualifier=1", body, {}),
            ("POST", other_path, body, {}), ("PUT", path, body, {}), ("POST", path, body, {"X-Amz-Invocation-Type": "Event"})]:
        rejected(aws.host.request(method, other, content, signed | changed, token=None), 403, "InvalidSignatureException")


def test_a_body_is_not_what_a_header_says_of_it(aws, function):
    """Who signs the hash of one body and sends another is found out too."""
    path, body = f"/2015-03-31/functions/{function}/invocations", b'{"amount": 1}'
    for said in (sha256(body).hexdigest(), "UNSIGNED-PAYLOAD"):
        signed = signature(aws.host, aws.key, "POST", path, body, {"X-Amz-Content-SHA256": said})
        rejected(aws.host.request("POST", path, b'{"amount": 9}', signed, token=None), 403, "InvalidSignatureException")


def test_an_hour_that_is_not_now(aws):
    for moment, says in ((now() + EARLIER, "Signature expired: "), (now() + LATER, "Signature not yet current: ")):
        signed = signature(aws.host, aws.key, "GET", LIST, moment=moment)
        rejected(aws.host.get(LIST, headers=signed, token=None), 403, "InvalidSignatureException", says)
    for nearly in (now() - timedelta(minutes=4), now() + timedelta(minutes=4)):
        signed = signature(aws.host, aws.key, "GET", LIST, moment=nearly)
        assert aws.host.get(LIST, headers=signed, token=None).status == 200


def test_a_signature_in_the_query(aws, function):
    path = f"/2015-03-31/functions/{function}/configuration"
    reply = aws.host.get(presigned(aws.host, aws.key, path), token=None)
    assert reply.status == 200 and reply.json()["FunctionName"] == function
    old = presigned(aws.host, aws.key, path, moment=now() - timedelta(minutes=2), seconds=60)
    rejected(aws.host.get(old, token=None), 403, "InvalidSignatureException", "Signature expired: ")
    other = presigned(aws.host, aws.key, path).replace("configuration", "concurrency")
    rejected(aws.host.get(other, token=None), 403, "InvalidSignatureException")


def test_another_service_is_not_this_one(aws):
    signed = signature(aws.host, aws.key, "GET", LIST, service="s3")
    rejected(aws.host.get(LIST, headers=signed, token=None), 403, "InvalidSignatureException", "scoped to correct service: 'lambda'")


@pytest.mark.parametrize("path", [LIST, LAYERS, "/2015-03-31/functions/x/invocations"])
def test_no_signature_at_all(aws, path):
    """Also where nothing is there: who may not ask learns nothing."""
    rejected(aws.host.get(path, token=None), 403, "MissingAuthenticationTokenException", "Missing Authentication Token")


@pytest.mark.parametrize("said", ["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 nonsense", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=",
                                  "AWS4-HMAC-SHA256 Credential=, Credential=, Signature=é", "AWS4-HMAC-SHA256 " + "Credential=/," * 100],
                         ids=["bare", "nonsense", "empty", "twice", "often"])
def test_half_a_signature(aws, said):
    reply = aws.host.get(LIST, headers={"Authorization": said.encode(), "X-Amz-Date": now().strftime("%Y%m%dT%H%M%SZ")}, token=None)
    assert reply["x-amzn-ErrorType"] in ("IncompleteSignatureException", "InvalidSignatureException", "UnrecognizedClientException",
                                         "MissingAuthenticationTokenException"), reply
    rejected(reply, 403, reply["x-amzn-ErrorType"])


def test_a_revoked_key(aws, bulkhead):
    key = new_key(aws.host)
    client = Lambda(aws.host, key).client
    assert client.get_account_settings()
    listed = next(one for one in aws.host.get("/v1/keys").json()["keys"] if one["id"] == key.access)
    assert listed["role"] == "admin" and key.secret not in json.dumps(listed)
    done = bulkhead("keys", "revoke", key.access, "--host", aws.host.url, "--token", aws.host.token)
    assert done.returncode == 0, done.stderr
    refused(client.get_account_settings, 403, "UnrecognizedClientException")


def test_a_secret_is_nowhere_in_clear(aws):
    """It has to be known to check a signature, but neither the catalogue nor the log shows it."""
    done = subprocess.run(["grep", "-rlF", "--", aws.key.secret, aws.host.data, aws.host.log], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == "", done


# -- Roles ------------------------------------------------------------------------------------------------------------


def test_who_may_only_invoke(aws, function):
    caller = Lambda(aws.host, new_key(aws.host, role="invoke"))
    assert caller.result(function, 1) == 1
    for call in [lambda: caller.ask(), lambda: caller.client.list_functions(), lambda: caller.client.get_function(FunctionName=function),
                 lambda: caller.client.update_function_configuration(FunctionName=function, Timeout=1),
                 lambda: caller.client.delete_function(FunctionName=function), lambda: caller.client.publish_version(FunctionName=function)]:
        refused(call, 403, "AccessDeniedException")
    assert aws.client.get_function_configuration(FunctionName=function)["Timeout"] == 3


def test_a_key_for_some_functions(aws, function):
    stem = unique_name("mine")
    deployer = Lambda(aws.host, new_key(aws.host, "--function", f"{stem}-*", role="deploy"))
    own = deployer.create(name=f"{stem}-1")
    assert deployer.result(own, 1) == 1
    for call in [lambda: deployer.invoke(function), lambda: deployer.client.get_function(FunctionName=function), lambda: deployer.invoke("nothing-here"),
                 lambda: deployer.ask(), lambda: deployer.client.delete_function(FunctionName=function)]:
        refused(call, 403, "AccessDeniedException")
    assert [one["FunctionName"] for one in deployer.client.list_functions()["Functions"]] == [own]


# -- Parameters -------------------------------------------------------------------------------------------------------


def invalid(call, says=""):
    """Refused by either of the two names that Lambda has for it."""
    from botocore.exceptions import ClientError
    with pytest.raises(ClientError) as caught:
        call()
    code, message = caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]
    assert code in ("ValidationException", "InvalidParameterValueException"), caught.value.response
    refused(call, 400, code, says)
    if code == "ValidationException":
        assert message.startswith("1 validation error detected: ") and "Type" not in caught.value.response, message


# What is asked beside what is right, and what the answer must name.
WRONG = {
    "role": ({"Role": "admin"}, "role"), "role of a user": ({"Role": f"arn:aws:iam::{ACCOUNT}:user/x"}, "role"), "no role": ({"Role": None}, "role"),
    "runtime": ({"Runtime": "python99"}, "python99"), "no such language": ({"Runtime": "cobol8"}, "cobol8"),
    "no runtime": ({"Runtime": None}, "Runtime"), "no handler": ({"Handler": None}, "[Hh]andler"), "handler": ({"Handler": "a b"}, "[Hh]andler"),
    "timeout 0": ({"Timeout": 0}, "timeout"), "timeout 901": ({"Timeout": 901}, "timeout"),
    "memory 127": ({"MemorySize": 127}, "memorySize"), "memory": ({"MemorySize": 10241}, "memorySize"),
    "package": ({"PackageType": "Jar"}, "packageType"),
    "image": ({"PackageType": "Image", "Code": {"ImageUri": "x"}, "Runtime": None, "Handler": None}, "Image"),
    "no code": ({"Code": {}}, ""), "bucket": ({"Code": {"S3Bucket": "b", "S3Key": "k"}}, "S3"), "bad zip": ({"Code": {"ZipFile": b"not a zip"}}, "[Uu]nzip|zip"),
    "empty zip": ({"Code": {"ZipFile": b""}}, ""), "half a zip": ({"Code": {"ZipFile": code_zip(ECHO)[:-30]}}, "zip"),
    "climbing zip": ({"Code": {"ZipFile": code_zip(ECHO, files={"../../up.py": b""})}}, r"\.\."),
    "variable": ({"Environment": {"Variables": {"A=B": "x"}}}, ""), "description": ({"Description": "x" * 257}, "description"),
    "architecture": ({"Architectures": ["vax"]}, "architectures"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_wishes(unchecked, case):
    wanted, says = WRONG[case]
    name = unique_name("wrong")
    asked = {"FunctionName": name, "Runtime": RUNTIME, "Role": ROLE, "Handler": "app.handler", "Code": {"ZipFile": code_zip(ECHO)}, **wanted}
    asked = {key: value for key, value in asked.items() if value is not None}
    invalid(lambda: unchecked.client.create_function(**asked), says)
    refused(lambda: unchecked.client.get_function(FunctionName=name), 404, "ResourceNotFoundException")


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "dash-", "x" * 64])
def test_names_are_the_hosts_too(unchecked, name):
    """Lambda would take them; the answer says what is taken here."""
    refused(lambda: unchecked.ask(name=name), 400, "InvalidParameterValueException", "a-z")


@pytest.mark.parametrize("name", ["a b", "x" * 200, "é", "a/b", "a:b:c:d:e:f:g:h:i", "%2e%2e", "a\0"])
def test_names_that_are_none(unchecked, name):
    for call in (lambda: unchecked.ask(name=name), lambda: unchecked.client.get_function(FunctionName=name), lambda: unchecked.invoke(name)):
        invalid(call)


def test_wrong_calls(unchecked, function):
    client = unchecked.client
    for call in [lambda: client.list_functions(MaxItems=0), lambda: client.list_functions(MaxItems=10_001), lambda: client.list_functions(FunctionVersion="SOME"),
                 lambda: client.list_functions(Marker="nonsense"), lambda: client.invoke(FunctionName=function, InvocationType="Later"),
                 lambda: client.invoke(FunctionName=function, Qualifier="a b"),
                 lambda: client.create_alias(FunctionName=function, Name="123", FunctionVersion="$LATEST"),
                 lambda: client.create_alias(FunctionName=function, Name="a", FunctionVersion="newest"),
                 lambda: client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=-1),
                 lambda: client.tag_resource(Resource="no-arn", Tags={"a": "b"}),
                 lambda: client.update_function_code(FunctionName=function, ZipFile=b"not a zip"),
                 lambda: client.update_function_configuration(FunctionName=function, Timeout=0)]:
        invalid(call)
    assert unchecked.result(function, 1) == 1


@pytest.mark.parametrize("weights", [{"9": 0.5}, {"1": 1.5}, {"1": -0.5}, {"1": 0.1, "2": 0.1}, {"$LATEST": 0.5}], ids=json.dumps)
def test_wrong_shares(unchecked, weights):
    name = unchecked.create(Publish=True)
    unchecked.change(name, "def handler(event, context): return 2", Publish=True)
    from botocore.exceptions import ClientError
    with pytest.raises(ClientError) as caught:
        unchecked.client.create_alias(FunctionName=name, Name="canary", FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": weights})
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in ((404,) if "9" in weights else (400,)), caught.value.response


def test_what_is_there_already(aws, function):
    refused(lambda: aws.ask(name=function), 409, "ResourceConflictException", f"Function already exist: {function}")


def test_an_event_that_is_no_json(aws, function):
    for kind in ("RequestResponse", "Event"):
        for payload in (b"{", b"nonsense", b"\xff", b"1 2"):
            refused(lambda: aws.invoke(function, Payload=payload, InvocationType=kind), 400, "InvalidRequestContentException", "Could not parse request body into json")


def test_a_client_context_that_is_none(aws, function):
    for said in ("no base64 {", base64.b64encode(b"{").decode()):
        refused(lambda: aws.invoke(function, ClientContext=said), 400, "InvalidRequestContentException", "[Cc]lient context")


def test_an_event_of_six_megabytes_and_of_one_byte_more(aws):
    name = aws.create("def handler(event, context): return len(event)", MemorySize=256, Timeout=30)
    limit = 6 << 20
    assert json.loads(aws.invoke(name, Payload=b'"' + b"x" * (limit - 2) + b'"')["Payload"]) == limit - 2
    refused(lambda: aws.invoke(name, Payload=b'"' + b"x" * (limit - 1) + b'"'), 413, "RequestEntityTooLargeException", "6291456")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b'{"FunctionName": 1}', b'{"Code": []}', b'{"Timeout": "soon"}', b"[" * 100_000],
                         ids=lambda body: body[:20].decode())
def test_bodies_that_are_no_wish(aws, body):
    path = "/2015-03-31/functions"
    signed = signature(aws.host, aws.key, "POST", path, body, {"Content-Type": "application/json"})
    reply = aws.host.request("POST", path, body, signed, token=None)
    assert reply["x-amzn-ErrorType"] in ("SerializationException", "InvalidRequestContentException", "ValidationException",
                                         "InvalidParameterValueException"), reply
    rejected(reply, 400, reply["x-amzn-ErrorType"])


# -- Operations that are not there ------------------------------------------------------------------------------------

THERE = """CreateFunction GetFunction GetFunctionConfiguration UpdateFunctionCode UpdateFunctionConfiguration DeleteFunction ListFunctions
    Invoke PublishVersion ListVersionsByFunction CreateAlias GetAlias UpdateAlias DeleteAlias ListAliases PutFunctionConcurrency
    GetFunctionConcurrency DeleteFunctionConcurrency TagResource UntagResource ListTags GetAccountSettings InvokeAsync InvokeWithResponseStream
    PutFunctionEventInvokeConfig UpdateFunctionEventInvokeConfig GetFunctionEventInvokeConfig DeleteFunctionEventInvokeConfig
    ListFunctionEventInvokeConfigs CreateFunctionUrlConfig GetFunctionUrlConfig UpdateFunctionUrlConfig DeleteFunctionUrlConfig
    ListFunctionUrlConfigs AddPermission GetPolicy RemovePermission PutProvisionedConcurrencyConfig GetProvisionedConcurrencyConfig
    DeleteProvisionedConcurrencyConfig ListProvisionedConcurrencyConfigs CreateEventSourceMapping ListEventSourceMappings GetEventSourceMapping
    UpdateEventSourceMapping DeleteEventSourceMapping GetFunctionCodeSigningConfig GetFunctionRecursionConfig GetRuntimeManagementConfig
    ListLayers ListLayerVersions""".split()


def test_what_is_said_to_be_served(aws):
    """The table in the docs, made from botocore's model, is that model's and the server's."""
    table = (REPOSITORY / "Sources/LambdaAPI/OPERATIONS.md").read_text()
    rows = dict(re.findall(r"^\| (\w+) \| \w+ `[^`]+` \| (served|501) \|$", table, re.MULTILINE))
    assert {name for name, state in rows.items() if state == "served"} == set(THERE)
    assert set(rows) == set(aws.client.meta.service_model.operation_names)


def least(shape, known, name=""):
    """The smallest value that has a shape of botocore's: what it requires, and no more."""
    kind = shape.type_name
    if kind == "structure":
        return {member: least(inner, known, member) for member, inner in shape.members.items() if member in shape.required_members}
    if kind == "list":
        return [least(shape.member, known)]
    if kind == "map":
        return {"k": least(shape.value, known)}
    if kind == "string":
        return known.get(name) or (getattr(shape, "enum", None) or ["x"])[0]
    return {"blob": b"x", "boolean": True, "timestamp": 1, "double": 0.5, "float": 0.5}.get(kind, 1)


def test_every_operation_of_the_model_is_there_or_says_that_it_is_not(aws, unchecked):
    """By whatever method, path and date: none is unknown, and none is a crash."""
    from botocore import xform_name
    from botocore.exceptions import ClientError
    model = aws.client.meta.service_model
    known = {"FunctionName": aws.create(Publish=True), "Role": ROLE, "Qualifier": "1", "FunctionVersion": "1"}
    known |= {"Resource": aws.arn(known["FunctionName"]), "ResourceArn": aws.arn(known["FunctionName"])}
    wrong, seen = {}, set()
    for operation in sorted(model.operation_names, key=lambda name: (name.startswith("Delete"), name)):
        shape = model.operation_model(operation).input_shape
        try:
            getattr(unchecked.client, xform_name(operation))(**(least(shape, known) if shape else {}))
            status, code, message, kind = 200, "", "", "application/json"
        except ClientError as error:
            status, code, message = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"], error.response["Error"]["Message"]
            kind = error.response["ResponseMetadata"]["HTTPHeaders"].get("content-type", "")
        is_sound = kind.startswith("application/json") and (
            status < 500 and (status == 200 or code.endswith("Exception")) if operation in THERE
            else (status, code) == (501, "NotImplementedException") and operation in message)
        seen.add(operation)
        if not is_sound:
            wrong[operation] = status, code, message, kind
    assert wrong == {} and set(THERE) <= seen and len(seen) > 80


def test_what_is_not_there_says_so_in_either_spelling(aws):
    """Clients read `message` or `Message`."""
    for method, path, operation, body in [
            ("POST", LAYERS + "/x/versions", "PublishLayerVersion", b"{}"), ("POST", "/2020-04-22/code-signing-configs", "CreateCodeSigningConfig", b"{}")]:
        reply = aws.host.request(method, path, body, signature(aws.host, aws.key, method, path, body or b""), token=None)
        rejected(reply, 501, "NotImplementedException", operation)
        assert reply.json()["message"] == reply.json()["Message"]
