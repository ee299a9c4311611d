"""AWS Lambda's API by boto3: functions, versions, aliases, tags and limits, made, shown, changed and taken away."""

import base64
import hashlib
import json
import re

import pytest

from bulkhead_host import at_once
from conftest import SLOWNESS
from lambda_clients import ACCOUNT, ECHO, ISO, REGION, ROLE, RUNTIME, Lambda, code_zip, refused, request_id

SAY = "def handler(event, context): return {!r}".format


def digest(payload):
    return base64.b64encode(hashlib.sha256(payload).digest()).decode()


# -- Functions --------------------------------------------------------------------------------------------------------


def test_a_new_function_shows_what_was_asked_and_what_lambda_takes_for_granted(aws):
    code = code_zip(ECHO)
    made = aws.ask(code)
    name = made["FunctionName"]
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201 and made["State"] in ("Pending", "Active")
    aws.wait(name, "function_active_v2")
    shown = aws.client.get_function(FunctionName=name)
    configuration = shown["Configuration"]
    expected = {
        "FunctionName": name, "FunctionArn": aws.arn(name), "Runtime": RUNTIME, "Role": ROLE, "Handler": "app.handler", "CodeSize": len(code),
        "CodeSha256": digest(code), "Description": "", "Timeout": 3, "MemorySize": 128, "Version": "$LATEST", "PackageType": "Zip",
        "Architectures": ["x86_64"], "EphemeralStorage": {"Size": 512}, "TracingConfig": {"Mode": "PassThrough"},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}, "State": "Active", "LastUpdateStatus": "Successful"}
    assert {key: configuration.get(key) for key in expected} == expected
    assert re.fullmatch(ISO, configuration["LastModified"]) and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", configuration["RevisionId"])
    assert not {"Environment", "Layers", "VpcConfig", "DeadLetterConfig", "KMSKeyArn", "StateReasonCode"} & set(configuration)
    assert shown["Code"]["RepositoryType"] == "S3" and shown["Code"]["Location"]
    assert not {"Tags", "Concurrency"} & set(shown)
    again = aws.client.get_function_configuration(FunctionName=name)
    assert {key: value for key, value in again.items() if key != "ResponseMetadata"} == configuration


def test_all_waiters_end(aws):
    name = aws.ask()["FunctionName"]
    for waiter in ("function_exists", "function_active", "function_active_v2", "function_updated", "function_updated_v2", "published_version_active"):
        aws.wait(name, waiter)


def test_what_is_configured_is_shown_and_works(aws):
    code = "import os\ndef other(event, context): return [os.environ.get('GREETING'), context.memory_limit_in_mb]"
    name = aws.create(code, Handler="app.other", Timeout=7, MemorySize=256, Description="greets", Environment={"Variables": {"GREETING": "hello é"}},
                      EphemeralStorage={"Size": 512}, Tags={"team": "a"}, Publish=True)
    shown = aws.client.get_function(FunctionName=name)
    configuration = shown["Configuration"]
    assert (configuration["Timeout"], configuration["MemorySize"], configuration["Description"]) == (7, 256, "greets")
    assert configuration["Environment"] == {"Variables": {"GREETING": "hello é"}} and shown["Tags"] == {"team": "a"}
    greeting, memory = aws.result(name)
    assert greeting == "hello é" and int(memory) == 256


@pytest.mark.parametrize("runtime", ["python3.9", "python3.12", "python3.14"])
def test_every_python_is_taken_and_shown_as_asked(aws, runtime):
    name = aws.create(Runtime=runtime)
    assert aws.client.get_function_configuration(FunctionName=name)["Runtime"] == runtime and aws.result(name, [1]) == [1]


def test_new_code(aws):
    name = aws.create(SAY("old"))
    before = aws.client.get_function_configuration(FunctionName=name)
    tried = aws.change(name, SAY("new"), DryRun=True)
    assert tried["CodeSha256"] == digest(code_zip(SAY("new"))) and aws.result(name) == "old"
    after = aws.client.get_function_configuration(FunctionName=name)
    assert (after["CodeSha256"], after["RevisionId"]) == (before["CodeSha256"], before["RevisionId"])
    changed = aws.change(name, SAY("new"))
    assert changed["Version"] == "$LATEST" and changed["CodeSha256"] == tried["CodeSha256"] and changed["RevisionId"] != before["RevisionId"]
    assert aws.result(name) == "new"
    assert aws.change(name, SAY("newer"), Publish=True)["Version"] == "1"
    refused(lambda: aws.change(name, SAY("x"), RevisionId=before["RevisionId"]), 412, "PreconditionFailedException")
    current = aws.client.get_function_configuration(FunctionName=name)["RevisionId"]
    aws.change(name, SAY("newest"), RevisionId=current)
    assert aws.result(name) == "newest"


def test_new_configuration(aws):
    code = "import os\ndef handler(event, context): return os.environ.get('A')\ndef other(event, context): return 'other'"
    name = aws.create(code, Environment={"Variables": {"A": "1"}})
    before = aws.client.get_function_configuration(FunctionName=name)
    aws.configure(name, Environment={"Variables": {"A": "2"}}, Timeout=10, MemorySize=192, Description="changed")
    after = aws.client.get_function_configuration(FunctionName=name)
    assert (after["Timeout"], after["MemorySize"], after["Description"], after["Handler"]) == (10, 192, "changed", "app.handler")
    assert after["RevisionId"] != before["RevisionId"] and after["CodeSha256"] == before["CodeSha256"]
    assert aws.result(name) == "2"
    aws.configure(name, Handler="app.other")
    assert aws.result(name) == "other"
    assert aws.client.get_function_configuration(FunctionName=name)["Environment"] == {"Variables": {"A": "2"}}, "what is not named stays"
    aws.configure(name, Environment={"Variables": {}}, Handler="app.handler")
    assert aws.result(name) is None
    refused(lambda: aws.configure(name, Timeout=5, RevisionId=before["RevisionId"]), 412, "PreconditionFailedException")


def test_a_deleted_function_is_gone_and_its_numbers_are_not_used_again(aws):
    name = aws.create(Publish=True)
    assert aws.client.delete_function(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    for call in (aws.client.get_function, aws.client.get_function_configuration, aws.client.delete_function, aws.client.list_versions_by_function):
        told = refused(lambda call=call: call(FunctionName=name), 404, "ResourceNotFoundException", re.escape(f"Function not found: {aws.arn(name)}"))
        assert told["Type"] == "User" and told["Message"] == told["Error"]["Message"]
    assert aws.ask(name=name, Publish=True)["Version"] == "2"


def test_lists_in_pages(boto, hosts):
    """On a host of its own, where nothing else is listed."""
    aws = Lambda(hosts())
    names = sorted(aws.create(name=f"listed-{number}") for number in (3, 1, 2))
    aws.client.publish_version(FunctionName="listed-2")
    first = aws.client.list_functions(MaxItems=2)
    assert len(first["Functions"]) == 2 and first["NextMarker"]
    rest = aws.client.list_functions(MaxItems=2, Marker=first["NextMarker"])
    listed = first["Functions"] + rest["Functions"]
    assert "NextMarker" not in rest and sorted(one["FunctionName"] for one in listed) == names
    assert all(one["Version"] == "$LATEST" and one["FunctionArn"] == aws.arn(one["FunctionName"]) and one["CodeSha256"] for one in listed)
    pages = list(aws.client.get_paginator("list_functions").paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": 1}))
    everything = {(one["FunctionName"], one["Version"]) for page in pages for one in page["Functions"]}
    assert everything == {(name, "$LATEST") for name in names} | {("listed-2", "1")} and len(pages) >= 4
    settings = aws.client.get_account_settings()
    assert settings["AccountUsage"]["FunctionCount"] == 3 and settings["AccountUsage"]["TotalCodeSize"] > 0
    limit = settings["AccountLimit"]
    assert limit["UnreservedConcurrentExecutions"] <= limit["ConcurrentExecutions"] and limit["CodeSizeZipped"] <= limit["CodeSizeUnzipped"]


# -- Versions ---------------------------------------------------------------------------------------------------------


def versions(aws, name, **more):
    pages = aws.client.get_paginator("list_versions_by_function").paginate(FunctionName=name, **more)
    return [one["Version"] for page in pages for one in page["Versions"]]


def test_versions_stay_as_they_were(aws):
    name = aws.create(SAY("one"))
    made = aws.client.publish_version(FunctionName=name, Description="the first")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (made["Version"], made["Description"], made["FunctionArn"]) == ("1", "the first", f"{aws.arn(name)}:1")
    assert aws.client.publish_version(FunctionName=name)["Version"] == "1", "nothing has changed"
    aws.change(name, SAY("two"))
    assert versions(aws, name) == ["$LATEST", "1"]
    assert aws.client.publish_version(FunctionName=name)["Version"] == "2"
    assert versions(aws, name) == versions(aws, name, PaginationConfig={"PageSize": 1}) == ["$LATEST", "1", "2"]
    aws.change(name, SAY("three"))
    assert [aws.result(name, Qualifier=one) for one in ("1", "2", "$LATEST")] == ["one", "two", "three"]
    shown = aws.client.get_function(FunctionName=name, Qualifier="1")["Configuration"]
    assert (shown["Version"], shown["CodeSha256"], shown["Description"]) == ("1", digest(code_zip(SAY("one"))), "the first")
    refused(lambda: aws.client.get_function(FunctionName=name, Qualifier="9"), 404, "ResourceNotFoundException", f":{name}:9")


def test_what_is_published_is_what_was_meant(aws):
    name = aws.create(SAY("one"))
    now = aws.client.get_function_configuration(FunctionName=name)
    refused(lambda: aws.client.publish_version(FunctionName=name, CodeSha256=digest(b"")), 400, "InvalidParameterValueException")
    refused(lambda: aws.client.publish_version(FunctionName=name, RevisionId=request_id(now)), 412, "PreconditionFailedException")
    assert aws.client.publish_version(FunctionName=name, CodeSha256=now["CodeSha256"], RevisionId=now["RevisionId"])["Version"] == "1"


def test_a_version_is_deleted_alone(aws):
    name = aws.create(SAY("one"), Publish=True)
    aws.change(name, SAY("two"), Publish=True)
    aws.client.create_alias(FunctionName=name, Name="prod", FunctionVersion="2")
    aws.client.delete_function(FunctionName=name, Qualifier="1")
    assert versions(aws, name) == ["$LATEST", "2"]
    refused(lambda: aws.invoke(name, Qualifier="1"), 404, "ResourceNotFoundException")
    refused(lambda: aws.client.delete_function(FunctionName=name, Qualifier="2"), 409, "ResourceConflictException")
    refused(lambda: aws.client.delete_function(FunctionName=name, Qualifier="$LATEST"), 400, "InvalidParameterValueException")
    assert aws.result(name) == aws.result(name, Qualifier="prod") == "two"


# -- Aliases ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twice(aws):
    """A function with the versions 1 and 2, which answer with their numbers."""
    name = aws.create(SAY("1"), Publish=True)
    aws.change(name, SAY("2"), Publish=True)
    return name


def own_aliases(aws, name, **more):
    """All but the host's own, `live`."""
    listed = aws.client.list_aliases(FunctionName=name, **more)["Aliases"]
    return [one["Name"] for one in listed if one["Name"] != "live"]


def test_aliases_come_and_go(aws, twice):
    made = aws.client.create_alias(FunctionName=twice, Name="prod", FunctionVersion="1", Description="what is sold")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201 and made["RevisionId"]
    assert (made["Name"], made["AliasArn"], made["FunctionVersion"], made["Description"]) == ("prod", f"{aws.arn(twice)}:prod", "1", "what is sold")
    assert aws.result(twice, Qualifier="prod") == "1"
    refused(lambda: aws.client.create_alias(FunctionName=twice, Name="prod", FunctionVersion="1"), 409, "ResourceConflictException")
    refused(lambda: aws.client.create_alias(FunctionName=twice, Name="none", FunctionVersion="9"), 404, "ResourceNotFoundException")
    changed = aws.client.update_alias(FunctionName=twice, Name="prod", FunctionVersion="2", RevisionId=made["RevisionId"])
    assert changed["FunctionVersion"] == "2" and changed["RevisionId"] != made["RevisionId"] and aws.result(twice, Qualifier="prod") == "2"
    assert changed["Description"] == "what is sold", "what is not named stays"
    refused(lambda: aws.client.update_alias(FunctionName=twice, Name="prod", FunctionVersion="1", RevisionId=made["RevisionId"]), 412,
            "PreconditionFailedException")
    aws.client.create_alias(FunctionName=twice, Name="test", FunctionVersion="1")
    assert own_aliases(aws, twice) == ["prod", "test"] and own_aliases(aws, twice, FunctionVersion="1") == ["test"]
    shown = aws.client.get_alias(FunctionName=twice, Name="prod")
    assert {key: shown[key] for key in changed if key != "ResponseMetadata"} == {key: changed[key] for key in changed if key != "ResponseMetadata"}
    for name in ("prod", "test"):
        assert aws.client.delete_alias(FunctionName=twice, Name=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert own_aliases(aws, twice) == []
    refused(lambda: aws.client.get_alias(FunctionName=twice, Name="prod"), 404, "ResourceNotFoundException")
    refused(lambda: aws.invoke(twice, Qualifier="prod"), 404, "ResourceNotFoundException", f":{twice}:prod")


def test_an_alias_shares_between_two_versions(aws, twice):
    shares = {"AdditionalVersionWeights": {"2": 0.5}}
    made = aws.client.create_alias(FunctionName=twice, Name="canary", FunctionVersion="1", RoutingConfig=shares)
    assert made["RoutingConfig"] == shares == aws.client.get_alias(FunctionName=twice, Name="canary")["RoutingConfig"]
    replies = [aws.invoke(twice, Qualifier="canary") for _ in range(40)]
    assert {(reply["ExecutedVersion"], json.loads(reply["Payload"])) for reply in replies} == {("1", "1"), ("2", "2")}
    aws.client.update_alias(FunctionName=twice, Name="canary", RoutingConfig={"AdditionalVersionWeights": {}})
    assert not aws.client.get_alias(FunctionName=twice, Name="canary").get("RoutingConfig", {}).get("AdditionalVersionWeights")
    assert {aws.result(twice, Qualifier="canary") for _ in range(10)} == {"1"}
    aws.client.delete_alias(FunctionName=twice, Name="canary")


def test_an_alias_may_follow_the_newest_revision(aws):
    name = aws.create(SAY("one"))
    aws.client.create_alias(FunctionName=name, Name="dev", FunctionVersion="$LATEST")
    aws.change(name, SAY("two"))
    assert aws.result(name, Qualifier="dev") == "two" and aws.client.get_alias(FunctionName=name, Name="dev")["FunctionVersion"] == "$LATEST"


# -- Tags and concurrency ---------------------------------------------------------------------------------------------


def test_tags(aws):
    name = aws.create(Tags={"team": "a"})
    arn = aws.arn(name)
    assert aws.client.tag_resource(Resource=arn, Tags={"team": "b", "cost/centre": "ü 1"})["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert aws.client.list_tags(Resource=arn)["Tags"] == {"team": "b", "cost/centre": "ü 1"} == aws.client.get_function(FunctionName=name)["Tags"]
    aws.client.untag_resource(Resource=arn, TagKeys=["team", "cost/centre", "none"])
    assert aws.client.list_tags(Resource=arn)["Tags"] == {}
    for call in (lambda arn: aws.client.list_tags(Resource=arn), lambda arn: aws.client.tag_resource(Resource=arn, Tags={"a": "b"}),
                 lambda arn: aws.client.untag_resource(Resource=arn, TagKeys=["a"])):
        refused(lambda: call(aws.arn("nothing-here")), 404, "ResourceNotFoundException")


def throttled(call):
    told = refused(call, 429, "TooManyRequestsException", "Rate Exceeded")
    assert told["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded", told


def test_reserved_concurrency_is_kept_and_shown(aws):
    """Of five at once two run, and three are refused."""
    name = aws.create("import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'slept'", Timeout=60)
    assert aws.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)["ReservedConcurrentExecutions"] == 2
    assert aws.client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 2
    assert aws.client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 2}

    def one():
        from botocore.exceptions import ClientError
        try:
            return aws.result(name, 1 * SLOWNESS)
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"]
    assert sorted(at_once([one] * 5), key=str) == [429, 429, 429, "slept", "slept"]


def test_a_function_without_any_concurrency_is_off(aws):
    name = aws.create()
    aws.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert aws.client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 0
    throttled(lambda: aws.invoke(name, 1))
    assert aws.client.delete_function_concurrency(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "ReservedConcurrentExecutions" not in aws.client.get_function_concurrency(FunctionName=name)
    assert aws.result(name, 1) == 1


def test_the_region_is_the_signatures(aws):
    """There is one account, and a host has no region of its own."""
    name = aws.create()
    other = Lambda(aws.host, aws.key, region="ap-southeast-2")
    shown = other.client.get_function_configuration(FunctionName=name)
    assert shown["FunctionArn"] == f"arn:aws:lambda:ap-southeast-2:{ACCOUNT}:function:{name}"
    assert aws.arn(name).split(":")[3] == REGION and aws.result(name, 1) == other.result(name, 1) == 1
