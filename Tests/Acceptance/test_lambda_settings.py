"""AWS Lambda's API by boto3: what is said of a function, an alias or a version: asynchronous rules, URLs, policies, provisioned concurrency."""

import json
import re
from datetime import datetime, timedelta, timezone

import pytest

from bulkhead_host import unique_name
from conftest import SLOWNESS
from lambda_clients import ACCOUNT, ISO, REGION, Lambda, new_key, refused, request_id
from system import eventually

SAY = "def handler(event, context): return {!r}".format
FAIL = "def handler(event, context): raise ValueError('no')"
TELL = "import json\ndef handler(event, context): print(json.dumps(event))"
INVALID, MISSING, CONFLICT = "InvalidParameterValueException", "ResourceNotFoundException", "ResourceConflictException"


def versioned(aws):
    """A function with the versions 1 and 2, a revision that is newer, and the alias `prod` of version 1."""
    name = aws.create(SAY("1"), Publish=True)
    aws.change(name, SAY("2"), Publish=True)
    aws.change(name, SAY("3"))
    aws.client.create_alias(FunctionName=name, Name="prod", FunctionVersion="1")
    return name


@pytest.fixture(scope="module")
def function(aws):
    """One to be asked about only; each test says what it does of qualifiers or kinds of its own."""
    return versioned(aws)


def plain(reply):
    return {key: value for key, value in reply.items() if key != "ResponseMetadata"}


def status(reply):
    return reply["ResponseMetadata"]["HTTPStatusCode"]


def listed(aws, operation, key, name):
    """The same in one page, and in as many as there are entries."""
    whole = getattr(aws.client, operation)(FunctionName=name)
    pages = list(aws.client.get_paginator(operation).paginate(FunctionName=name, PaginationConfig={"PageSize": 1}))
    entries = [one for page in pages for one in page[key]]
    assert whole[key] == entries and "NextMarker" not in whole and len(pages) == max(1, len(entries))
    return entries


# -- Asynchronous invocations -----------------------------------------------------------------------------------------


def test_event_invoke_configurations_come_and_go(aws):
    name, other = versioned(aws), aws.create()
    client = aws.client
    made = client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    assert status(made) == 200 and abs(datetime.now(timezone.utc) - made["LastModified"]) < timedelta(minutes=1)
    assert plain(made) == {"FunctionArn": f"{aws.arn(name)}:$LATEST", "LastModified": made["LastModified"], "MaximumRetryAttempts": 0,
                           "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}}}
    assert plain(client.get_function_event_invoke_config(FunctionName=name, Qualifier="$LATEST")) == plain(made)
    destinations = {"OnSuccess": {"Destination": "https://example.com/told?x=1"}, "OnFailure": {"Destination": aws.arn(other)}}
    changed = client.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60, DestinationConfig=destinations)
    assert (changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"], changed["DestinationConfig"]) == (0, 60, destinations)
    assert changed["LastModified"] > made["LastModified"]
    again = client.put_function_event_invoke_config(FunctionName=f"{name}:prod", MaximumEventAgeInSeconds=21_600)
    assert again["FunctionArn"] == f"{aws.arn(name)}:prod" and "MaximumRetryAttempts" not in again, "what is not named is not said"
    client.put_function_event_invoke_config(FunctionName=aws.arn(name), Qualifier="2", MaximumRetryAttempts=2)
    entries = listed(aws, "list_function_event_invoke_configs", "FunctionEventInvokeConfigs", name)
    assert [one["FunctionArn"].rpartition(":")[2] for one in entries] == ["$LATEST", "2", "prod"] and entries[0] == plain(changed)
    cleared = client.update_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnFailure": {"Destination": ""}})
    assert cleared["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}} and cleared["MaximumEventAgeInSeconds"] == 60
    assert status(client.delete_function_event_invoke_config(FunctionName=name, Qualifier="prod")) == 204
    says = re.escape(f"The function {aws.arn(name)}:prod doesn't have an EventInvokeConfig")
    for call in (client.get_function_event_invoke_config, client.delete_function_event_invoke_config):
        refused(lambda call=call: call(FunctionName=name, Qualifier="prod"), 404, MISSING, says)
    refused(lambda: client.update_function_event_invoke_config(FunctionName=name, Qualifier="prod", MaximumRetryAttempts=1), 404, MISSING, says)


def test_event_invoke_configurations_of_what_is_not_there(aws, function):
    for name in ("nothing-here", f"{function}:none", f"{function}:9"):
        for call in (aws.client.put_function_event_invoke_config, aws.client.update_function_event_invoke_config):
            refused(lambda: call(FunctionName=name, MaximumRetryAttempts=1), 404, MISSING, "The function doesn't exist.")
        refused(lambda: aws.client.get_function_event_invoke_config(FunctionName=name), 404, MISSING, "doesn't have an EventInvokeConfig")
    refused(lambda: aws.client.list_function_event_invoke_configs(FunctionName="nothing-here"), 404, MISSING, "The function doesn't exist.")
    refused(lambda: aws.client.put_function_event_invoke_config(FunctionName=function), 400, INVALID, "at least one")


@pytest.mark.parametrize("wanted", [{"MaximumRetryAttempts": 3}, {"MaximumRetryAttempts": -1}, {"MaximumEventAgeInSeconds": 59},
                                    {"MaximumEventAgeInSeconds": 21_601}], ids=str)
def test_event_invoke_configurations_out_of_range(aws, function, wanted):
    refused(lambda: aws.unchecked().client.put_function_event_invoke_config(FunctionName=function, **wanted), 400, "ValidationException")


LAMBDA = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"


@pytest.mark.parametrize(("destination", "says"), [
    (f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue", "Bulkhead takes the ARN of a function"), (f"arn:aws:sns:{REGION}:{ACCOUNT}:topic", "SNS"),
    (f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default", "EventBridge"), ("arn:aws:s3:::bucket", "S3"), ("kafka://topic", "https URL"),
    ("ftp://example.com/", "https URL"), ("some-function", "ARN of a function"), (LAMBDA + "nothing-here", "is invalid"),
    (LAMBDA + "No_Name", "is invalid"), (LAMBDA.replace(ACCOUNT, "999999999999") + "x", "is invalid"), (LAMBDA + "x:prod", "leave the qualifier out"),
    ("arn:aws:lambda", "ARN of a function"), ("x" * 5000, "ARN of a function"),
], ids=lambda text: text[:40])
def test_destinations_that_are_none(aws, function, destination, says):
    for side in ("OnSuccess", "OnFailure"):
        refused(lambda: aws.unchecked().client.put_function_event_invoke_config(
            FunctionName=function, Qualifier="1", DestinationConfig={side: {"Destination": destination}}), 400, INVALID, says)
    refused(lambda: aws.client.get_function_event_invoke_config(FunctionName=function, Qualifier="1"), 404, MISSING)


def test_a_function_is_not_its_own_destination(aws, function):
    refused(lambda: aws.client.put_function_event_invoke_config(
        FunctionName=function, DestinationConfig={"OnFailure": {"Destination": aws.arn(function)}}), 400, INVALID, "destination for itself")


def told(aws, name):
    """What a function has printed that is told how others ended."""
    return [json.loads(line["text"]) for line in aws.host.logs(name) if line["text"].startswith("{")]


def test_an_invocation_ends_as_its_configuration_says(aws):
    """Once, where the manifest would have it tried again in a minute; and who is to be told is told."""
    teller, failing = aws.create(TELL), aws.create(FAIL, Publish=True)
    aws.client.create_alias(FunctionName=failing, Name="prod", FunctionVersion="1")
    config = {"MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": aws.arn(teller)}}}
    aws.client.put_function_event_invoke_config(FunctionName=failing, Qualifier="prod", **config)
    accepted = aws.invoke(failing, {"n": 1}, Qualifier="prod", InvocationType="Event")
    record = aws.host.record_when_done(request_id(accepted), 20 * SLOWNESS)
    assert record["outcome"] == "error" and record["attempts"] == 1, record
    document, = eventually(lambda: told(aws, teller), 20 * SLOWNESS, "the destination is told")
    context = document["requestContext"]
    assert (context["requestId"], context["condition"], context["approximateInvokeCount"]) == (request_id(accepted), "RetriesExhausted", 1)
    assert document["requestPayload"] == {"n": 1} and document["responsePayload"]["errorType"] == "ValueError"


def test_who_is_told_of_what_went_well(aws):
    """The newest revision's configuration is the function's own."""
    teller, name = aws.create(TELL), aws.create(SAY("fine"))
    aws.client.put_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": aws.arn(teller)}})
    aws.invoke(name, 1, InvocationType="Event")
    document, = eventually(lambda: told(aws, teller), 20 * SLOWNESS, "the destination is told")
    assert document["requestContext"]["condition"] == "Success" and document["responsePayload"] == "fine"


# -- Function URLs ----------------------------------------------------------------------------------------------------

CORS = {"AllowOrigins": ["https://app.example.com"], "AllowMethods": ["GET", "POST"], "AllowHeaders": ["x-own"], "ExposeHeaders": ["x-shown"],
        "AllowCredentials": True, "MaxAge": 60}


def test_urls_come_and_go(aws):
    name = versioned(aws)
    client = aws.client
    made = client.create_function_url_config(FunctionName=name, AuthType="NONE", Cors=CORS)
    assert status(made) == 201 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made["CreationTime"])
    assert plain(made) == {"FunctionUrl": f"{aws.host.url}/fn/{name}/", "FunctionArn": aws.arn(name), "AuthType": "NONE", "Cors": CORS,
                           "InvokeMode": "BUFFERED", "CreationTime": made["CreationTime"]}
    shown = client.get_function_url_config(FunctionName=name)
    assert plain(shown) == {**plain(made), "LastModifiedTime": made["CreationTime"]}
    says = re.escape(f"Failed to create function url config for [functionArn = {aws.arn(name)}]. Error message:  FunctionUrlConfig exists for this Lambda function")
    refused(lambda: client.create_function_url_config(FunctionName=name, AuthType="NONE"), 409, CONFLICT, says)
    changed = client.update_function_url_config(FunctionName=name, AuthType="AWS_IAM", InvokeMode="RESPONSE_STREAM")
    assert (changed["AuthType"], changed["InvokeMode"], changed["Cors"]) == ("AWS_IAM", "RESPONSE_STREAM", CORS), "what is not named stays"
    assert changed["CreationTime"] == made["CreationTime"] < changed["LastModifiedTime"]
    assert "Cors" not in client.update_function_url_config(FunctionName=name, Cors={})
    own = client.create_function_url_config(FunctionName=name, Qualifier="prod", AuthType="AWS_IAM")
    assert (own["FunctionUrl"], own["FunctionArn"], own["AuthType"]) == (f"{aws.host.url}/fn/{name}:prod/", f"{aws.arn(name)}:prod", "AWS_IAM")
    entries = listed(aws, "list_function_url_configs", "FunctionUrlConfigs", name)
    assert [one["FunctionArn"] for one in entries] == [aws.arn(name), f"{aws.arn(name)}:prod"]
    assert status(client.delete_function_url_config(FunctionName=name)) == 204
    for call in (client.get_function_url_config, client.delete_function_url_config, client.update_function_url_config):
        refused(lambda call=call: call(FunctionName=name), 404, MISSING, "The resource you requested does not exist.")
    assert client.get_function_url_config(FunctionName=f"{name}:prod")["FunctionUrl"] == own["FunctionUrl"]


def test_urls_of_what_has_none(aws, function):
    client = aws.unchecked().client
    for name in ("nothing-here", f"{function}:none"):
        refused(lambda: client.create_function_url_config(FunctionName=name, AuthType="NONE"), 404, MISSING, "Function does not exist")
        refused(lambda: client.get_function_url_config(FunctionName=name), 404, MISSING, "The resource you requested does not exist.")
    refused(lambda: client.list_function_url_configs(FunctionName="nothing-here"), 404, MISSING, "Function does not exist")
    for qualifier in ("1", "$LATEST"):
        for more in ({"FunctionName": function, "Qualifier": qualifier}, {"FunctionName": f"{function}:{qualifier}"}):
            refused(lambda: client.create_function_url_config(AuthType="NONE", **more), 400, "ValidationException", "qualifier")
    for wanted in ({"AuthType": "ALL"}, {}, {"AuthType": "NONE", "InvokeMode": "FAST"}):
        refused(lambda: client.create_function_url_config(FunctionName=function, **wanted), 400, "ValidationException")


@pytest.mark.parametrize(("cors", "says"), [
    ({"AllowMethods": ["GET"]}, "AllowOrigins"), ({"AllowOrigins": ["no origin"]}, "origins"), ({"AllowOrigins": ["https://a/path"]}, "origins"),
    ({"AllowOrigins": ["*"], "AllowCredentials": True}, "credentials"), ({"AllowOrigins": ["*"], "MaxAge": 86_401}, "maxAge"),
    ({"AllowOrigins": ["*"], "MaxAge": "x"}, "MaxAge"), ({"AllowOrigins": ["*"], "AllowHeaders": ["a b"]}, "headers"),
    ({"AllowOrigins": [1]}, "AllowOrigins"), ({"AllowOrigins": ["*"] * 101}, "origins"),
    ({"AllowOrigins": ["*"], "ExposeHeaders": [f"{number:0900}" for number in range(20)]}, "bytes"),
    ({"AllowOrigins": ["*"], "AllowCredentials": 1}, "AllowCredentials"),
], ids=lambda value: json.dumps(value)[:50])
def test_rules_for_pages_that_are_none(aws, function, cors, says):
    """What could not be read again is not stored."""
    client = aws.unchecked().client
    refused(lambda: client.create_function_url_config(FunctionName=function, AuthType="NONE", Cors=cors), 400, INVALID, says)
    refused(lambda: client.get_function_url_config(FunctionName=function), 404, MISSING)


# -- Policies ---------------------------------------------------------------------------------------------------------


def permit(aws, function, **wanted):
    """AddPermission; the statement."""
    made = aws.client.add_permission(**{
        "FunctionName": function, "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*", **wanted})
    assert status(made) == 201
    return json.loads(made["Statement"])


STATEMENTS = {
    "everybody": ({"Principal": "*", "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"}, "*",
                  {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}),
    "a bucket": ({"Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::bucket", "SourceAccount": ACCOUNT}, {"Service": "s3.amazonaws.com"},
                 {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"}, "StringEquals": {"AWS:SourceAccount": ACCOUNT}}),
    "an account": ({"Principal": ACCOUNT}, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, None),
    "a role": ({"Principal": f"arn:aws:iam::{ACCOUNT}:role/x", "Action": "*"}, {"AWS": f"arn:aws:iam::{ACCOUNT}:role/x"}, None),
    "an organization": ({"PrincipalOrgID": "o-0123456789"}, "*", {"StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}}),
    "a skill": ({"Principal": "alexa-connectedhome.amazon.com", "EventSourceToken": "amzn1.ask.skill"}, {"Service": "alexa-connectedhome.amazon.com"},
                {"StringEquals": {"lambda:EventSourceToken": "amzn1.ask.skill"}}),
    "by URL": ({"InvokedViaFunctionUrl": True}, "*", {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}),
}


@pytest.mark.parametrize("case", STATEMENTS)
def test_statements(aws, function, case):
    asked, principal, condition = STATEMENTS[case]
    identifier = re.sub(r"\W", "-", case)
    made = permit(aws, function, StatementId=identifier, Qualifier="2", **asked)
    expected = {"Sid": identifier, "Effect": "Allow", "Principal": principal, "Action": asked.get("Action", "lambda:InvokeFunction"),
                "Resource": f"{aws.arn(function)}:2", **({"Condition": condition} if condition else {})}
    assert made == expected
    assert made in json.loads(aws.client.get_policy(FunctionName=function, Qualifier="2")["Policy"])["Statement"]


def test_policies_come_and_go(aws):
    name = versioned(aws)
    client = aws.client
    first, second = permit(aws, name, StatementId="first"), permit(aws, name, StatementId="second")
    shown = client.get_policy(FunctionName=name)
    assert json.loads(shown["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [first, second]}
    assert first["Resource"] == aws.arn(name) and permit(aws, name, Qualifier="prod")["Resource"] == f"{aws.arn(name)}:prod"
    says = r"The statement id \(first\) provided already exists. Please provide a new statement id, or remove the existing statement."
    refused(lambda: permit(aws, name, StatementId="first"), 409, CONFLICT, says)
    assert status(client.remove_permission(FunctionName=name, StatementId="first")) == 204
    refused(lambda: client.remove_permission(FunctionName=name, StatementId="first"), 404, MISSING, "Statement first is not found in resource policy.")
    assert json.loads(client.get_policy(FunctionName=name)["Policy"])["Statement"] == [second]
    client.remove_permission(FunctionName=name, StatementId="second")
    refused(lambda: client.get_policy(FunctionName=name), 404, MISSING, "The resource you requested does not exist.")
    refused(lambda: client.remove_permission(FunctionName=name, StatementId="second"), 404, MISSING, "No policy is associated")
    assert json.loads(client.get_policy(FunctionName=name, Qualifier="prod")["Policy"])["Statement"], "an alias has its own"


def test_a_policy_is_changed_as_it_was_meant(aws):
    """By the revision of what it is for, until there is one; then by its own."""
    name = versioned(aws)
    client = aws.client
    stale = "00000000-0000-4000-8000-000000000000"
    for qualifier, revision in ((None, client.get_function_configuration(FunctionName=name)["RevisionId"]),
                                ("prod", client.get_alias(FunctionName=name, Name="prod")["RevisionId"]),
                                ("1", client.get_function_configuration(FunctionName=name, Qualifier="1")["RevisionId"])):
        more = {"Qualifier": qualifier} if qualifier else {}
        refused(lambda: permit(aws, name, RevisionId=stale, **more), 412, "PreconditionFailedException")
        permit(aws, name, StatementId="one", RevisionId=revision, **more)
        refused(lambda: permit(aws, name, StatementId="two", RevisionId=revision, **more), 412, "PreconditionFailedException")
        now = client.get_policy(FunctionName=name, **more)["RevisionId"]
        permit(aws, name, StatementId="two", RevisionId=now, **more)
        refused(lambda: client.remove_permission(FunctionName=name, StatementId="one", RevisionId=now, **more), 412, "PreconditionFailedException")
        now = client.get_policy(FunctionName=name, **more)["RevisionId"]
        client.remove_permission(FunctionName=name, StatementId="one", RevisionId=now, **more)


def test_statements_that_are_none(aws, function):
    unchecked = aws.unchecked()
    for principal in ("somebody", "1234", "arn:aws:s3:::bucket", "amazonaws.com", "x y.amazonaws.com", "é.amazonaws.com"):
        code = "ValidationException" if " " in principal else INVALID
        refused(lambda: permit(unchecked, function, Principal=principal), 400, code, "[Pp]rincipal")
    for wrong in ({"Action": "s3:GetObject"}, {"StatementId": "a b"}, {"StatementId": "x" * 101}, {"SourceAccount": "1"}, {"SourceArn": "bucket"},
                  {"FunctionUrlAuthType": "ALL"}, {"PrincipalOrgID": "x"}, {"EventSourceToken": "a b"}, {"Principal": "x" * 2049}):
        refused(lambda: permit(unchecked, function, **wrong), 400, "ValidationException")
    refused(lambda: permit(aws, function, Qualifier="$LATEST"), 400, INVALID, r"adding policies for \$LATEST")
    refused(lambda: permit(aws, function, Qualifier="none"), 404, MISSING, re.escape(f"Cannot find alias arn: {aws.arn(function)}:none"))
    refused(lambda: permit(aws, f"{function}:9"), 404, MISSING, re.escape(f"Function not found: {aws.arn(function)}:9"))
    refused(lambda: permit(aws, "nothing-here"), 404, MISSING, re.escape(f"Function not found: {aws.arn('nothing-here')}"))
    refused(lambda: aws.client.get_policy(FunctionName="nothing-here"), 404, MISSING)
    refused(lambda: aws.client.get_policy(FunctionName=function), 404, MISSING, "The resource you requested does not exist.")


def test_a_policy_is_as_long_as_lambda_has_it(aws):
    name = aws.create()
    source = "arn:aws:s3:::" + "x" * 9000
    for identifier in ("a", "b"):
        permit(aws, name, StatementId=identifier, SourceArn=source)
    refused(lambda: permit(aws, name, StatementId="c", SourceArn=source), 400, "PolicyLengthExceededException", "20480")
    assert len(json.loads(aws.client.get_policy(FunctionName=name)["Policy"])["Statement"]) == 2


# -- Provisioned concurrency ------------------------------------------------------------------------------------------


def test_provisioned_concurrency_comes_and_goes(aws):
    name = versioned(aws)
    client = aws.client
    made = client.put_provisioned_concurrency_config(FunctionName=name, Qualifier="prod", ProvisionedConcurrentExecutions=2)
    assert status(made) == 202 and made["RequestedProvisionedConcurrentExecutions"] == 2 and re.fullmatch(ISO, made["LastModified"])
    assert made["Status"] in ("IN_PROGRESS", "READY")

    def ready():
        shown = client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="prod")
        return shown["Status"] == "READY" and shown
    shown = eventually(ready, 20 * SLOWNESS, "what was provisioned is there")
    assert [shown[f"{word}ProvisionedConcurrentExecutions"] for word in ("Requested", "Allocated", "Available")] == [2, 2, 2]
    assert aws.result(name, Qualifier="prod") == "1"
    client.put_provisioned_concurrency_config(FunctionName=f"{name}:2", Qualifier="2", ProvisionedConcurrentExecutions=1)
    entries = listed(aws, "list_provisioned_concurrency_configs", "ProvisionedConcurrencyConfigs", name)
    assert [one["FunctionArn"] for one in entries] == [f"{aws.arn(name)}:2", f"{aws.arn(name)}:prod"]
    assert [one["RequestedProvisionedConcurrentExecutions"] for one in entries] == [1, 2]
    for _ in range(2):
        assert status(client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="prod")) == 204, "also where there is none any more"
    refused(lambda: client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="prod"), 404,
            "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found for this function")


def test_provisioned_concurrency_of_what_cannot_have_any(aws):
    name = versioned(aws)
    aws.client.create_alias(FunctionName=name, Name="dev", FunctionVersion="$LATEST")

    def put(qualifier, count=1, client=aws.client):
        return client.put_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=count)
    for qualifier in ("$LATEST", "dev"):
        refused(lambda: put(qualifier), 400, INVALID, "cannot be applied to unpublished function versions")
    for call in (aws.client.get_provisioned_concurrency_config, aws.client.delete_provisioned_concurrency_config):
        refused(lambda: call(FunctionName=name, Qualifier="$LATEST"), 400, INVALID, "must be an alias or a published version")
        refused(lambda: call(FunctionName=name, Qualifier="none"), 404, MISSING, "Cannot find alias arn")
        refused(lambda: call(FunctionName="nothing-here", Qualifier="1"), 404, MISSING, "Function not found")
    refused(lambda: put("9"), 404, MISSING, re.escape(f"Function not found: {aws.arn(name)}:9"))
    refused(lambda: put("1", 0, aws.unchecked().client), 400, "ValidationException")
    refused(lambda: put("1", 1001), 400, INVALID, "unreserved concurrency")
    put("1")
    refused(lambda: put("prod"), 409, CONFLICT, "already Provisioned version")
    aws.client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="1")
    put("prod")
    refused(lambda: put("1"), 409, CONFLICT, "pointed by a Provisioned Concurrency alias")


def test_no_more_is_provisioned_than_reserved(aws):
    name = versioned(aws)
    client = aws.client
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)
    client.put_provisioned_concurrency_config(FunctionName=name, Qualifier="prod", ProvisionedConcurrentExecutions=2)
    for qualifier, count in (("2", 2), ("prod", 4)):
        refused(lambda: client.put_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=count),
                400, INVALID, "should not be greater than the reservedConcurrentExecution")
    refused(lambda: client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1), 400, INVALID, r"provisioned concurrency \[2\]")
    client.put_provisioned_concurrency_config(FunctionName=name, Qualifier="prod", ProvisionedConcurrentExecutions=3)
    shown = client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="prod")
    assert shown["RequestedProvisionedConcurrentExecutions"] == 3


# -- What they are said of --------------------------------------------------------------------------------------------


def say_all(aws, name, qualifier):
    """One setting of each kind."""
    aws.client.put_function_event_invoke_config(FunctionName=name, Qualifier=qualifier, MaximumRetryAttempts=1)
    if not qualifier.isdigit():
        aws.client.create_function_url_config(FunctionName=name, Qualifier=qualifier, AuthType="NONE", Cors=CORS)
    permit(aws, name, Qualifier=qualifier, InvokedViaFunctionUrl=True)
    aws.client.put_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=1)


READS = ("get_function_event_invoke_config", "get_function_url_config", "get_policy", "get_provisioned_concurrency_config")


def test_an_aliass_settings_go_with_it(aws):
    """By whichever API: another alias by that name begins anew."""
    name = versioned(aws)
    for delete in (lambda: aws.client.delete_alias(FunctionName=name, Name="prod"),
                   lambda: aws.host.request("DELETE", f"/v1/functions/{name}/aliases/prod")):
        say_all(aws, name, "prod")
        delete()
        for read in READS:
            refused(lambda: getattr(aws.client, read)(FunctionName=name, Qualifier="prod"), 404, MISSING)
        aws.client.create_alias(FunctionName=name, Name="prod", FunctionVersion="1")
        for read in READS:
            code = "ProvisionedConcurrencyConfigNotFoundException" if "provisioned" in read else MISSING
            refused(lambda: getattr(aws.client, read)(FunctionName=name, Qualifier="prod"), 404, code)


def test_a_versions_settings_go_with_it(aws):
    name = versioned(aws)
    for qualifier in ("2", "prod"):
        say_all(aws, name, qualifier)
    aws.client.delete_function(FunctionName=name, Qualifier="2")
    for operation, key in (("list_function_event_invoke_configs", "FunctionEventInvokeConfigs"),
                           ("list_provisioned_concurrency_configs", "ProvisionedConcurrencyConfigs")):
        assert [one["FunctionArn"] for one in listed(aws, operation, key, name)] == [f"{aws.arn(name)}:prod"]
    aws.client.delete_function(FunctionName=name)
    aws.create(name=name)
    assert listed(aws, "list_function_url_configs", "FunctionUrlConfigs", name) == []


def test_live_is_as_new_once_it_is_deleted(aws):
    """It is always there; what was said of it is not."""
    name = versioned(aws)
    aws.client.create_alias(FunctionName=name, Name="live", FunctionVersion="2")
    say_all(aws, name, "live")
    aws.client.delete_alias(FunctionName=name, Name="live")
    refused(lambda: aws.client.get_function_url_config(FunctionName=name, Qualifier="live"), 404, MISSING)
    refused(lambda: aws.client.get_policy(FunctionName=name, Qualifier="live"), 404, MISSING)


def test_all_of_it_is_there_after_a_restart(boto, hosts):
    host = hosts()
    aws = Lambda(host)
    name, teller = versioned(aws), aws.create(TELL)
    aws.client.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0, MaximumEventAgeInSeconds=60, DestinationConfig={
            "OnFailure": {"Destination": aws.arn(teller)}, "OnSuccess": {"Destination": "https://example.com/told"}})
    say_all(aws, name, "prod")

    def everything(aws):
        shown = [getattr(aws.client, read)(FunctionName=name, Qualifier="prod") for read in READS]
        shown.append(aws.client.get_function_event_invoke_config(FunctionName=name))
        # Its port is another one.
        return [{key: value for key, value in plain(one).items() if key not in ("FunctionUrl", "Status") and "Available" not in key
                 and "Allocated" not in key} for one in shown]
    before = everything(aws)
    assert host.stop() == 0
    host.start()
    again = Lambda(host, aws.key)
    assert everything(again) == before and len(before) == 5
    assert again.client.get_function_url_config(FunctionName=name, Qualifier="prod")["FunctionUrl"] == f"{host.url}/fn/{name}:prod/"


# -- Who may ----------------------------------------------------------------------------------------------------------


def test_who_may_only_invoke_says_nothing_of_a_function(aws, function):
    caller = Lambda(aws.host, new_key(aws.host, role="invoke"))
    client = caller.client
    assert client.invoke_async(FunctionName=function, InvokeArgs=b"1")["Status"] == 202
    for call in [lambda: client.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=1),
                 lambda: client.create_function_url_config(FunctionName=function, AuthType="NONE"), lambda: permit(caller, function),
                 lambda: client.get_policy(FunctionName=function), lambda: client.list_function_url_configs(FunctionName=function),
                 lambda: client.put_provisioned_concurrency_config(FunctionName=function, Qualifier="1", ProvisionedConcurrentExecutions=1),
                 client.list_event_source_mappings, client.list_layers]:
        refused(call, 403, "AccessDeniedException")


def test_a_key_for_some_functions_has_no_others_told(aws, function):
    """Who is told runs: by a key that may not run it, nothing is sent there."""
    stem = unique_name("mine")
    deployer = Lambda(aws.host, new_key(aws.host, "--function", f"{stem}-*", role="deploy"))
    own, other = deployer.create(name=f"{stem}-1"), deployer.create(name=f"{stem}-2")
    put = deployer.client.put_function_event_invoke_config
    for name in (function, "nothing-here"):
        refused(lambda: put(FunctionName=own, DestinationConfig={"OnFailure": {"Destination": aws.arn(name)}}), 403, "AccessDeniedException", stem)
        refused(lambda: put(FunctionName=name, MaximumRetryAttempts=1), 403, "AccessDeniedException")
    assert put(FunctionName=own, DestinationConfig={"OnFailure": {"Destination": aws.arn(other)}})["DestinationConfig"]["OnFailure"]


# -- What is asked of every function, and of none ---------------------------------------------------------------------


def test_invoke_async_is_an_event(aws):
    name = aws.create("def handler(event, context): print('event', event)")
    reply = aws.client.invoke_async(FunctionName=name, InvokeArgs=b'{"x": 1}')
    assert (status(reply), reply["Status"]) == (202, 202)
    assert aws.host.record_when_done(request_id(reply), 20 * SLOWNESS)["outcome"] == "ok"
    eventually(lambda: "event {'x': 1}" in [line["text"] for line in aws.host.logs(name)], 10 * SLOWNESS, "the event's own line is in the log")
    refused(lambda: aws.client.invoke_async(FunctionName=name, InvokeArgs=b"{"), 400, "InvalidRequestContentException")
    refused(lambda: aws.client.invoke_async(FunctionName=name, InvokeArgs=b'"' + b"x" * (1 << 20) + b'"'), 413, "RequestEntityTooLargeException")
    refused(lambda: aws.client.invoke_async(FunctionName="nothing-here", InvokeArgs=b"1"), 404, MISSING)


def test_what_tools_ask_of_every_function(aws, function):
    client = aws.client
    assert plain(client.get_function_code_signing_config(FunctionName=function)) == {"FunctionName": function}
    assert plain(client.get_function_recursion_config(FunctionName=function)) == {"RecursiveLoop": "Terminate"}
    shown = client.get_runtime_management_config(FunctionName=function)
    assert plain(shown) == {"UpdateRuntimeOn": "Auto", "FunctionArn": f"{aws.arn(function)}:$LATEST"}
    assert client.get_runtime_management_config(FunctionName=function, Qualifier="1")["FunctionArn"] == f"{aws.arn(function)}:1"
    for call in (client.get_function_code_signing_config, client.get_function_recursion_config, client.get_runtime_management_config):
        refused(lambda: call(FunctionName="nothing-here"), 404, MISSING, "Function not found")


def test_there_are_no_layers_and_no_mappings_of_others(aws, function):
    client = aws.client
    assert [] == client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    for call in (client.get_event_source_mapping, client.delete_event_source_mapping, client.update_event_source_mapping):
        refused(lambda: call(UUID="00000000-0000-4000-8000-000000000000"), 404, MISSING, "The resource you requested does not exist.")
    refused(lambda: aws.unchecked().client.get_event_source_mapping(UUID="x"), 400, "ValidationException")
    assert client.list_layers()["Layers"] == [] == client.list_layer_versions(LayerName="x")["LayerVersions"]


def test_settings_have_a_bound(aws):
    """All that one function has beside its versions is written at each change: it must not grow without end."""
    name = aws.create()
    origins = [f"https://{number}.{'x' * 180}.example.com" for number in range(60)]
    for number in range(40):
        aws.client.create_alias(FunctionName=name, Name=f"a{number}", FunctionVersion="$LATEST")
        try:
            aws.client.create_function_url_config(FunctionName=name, Qualifier=f"a{number}", AuthType="NONE", Cors={"AllowOrigins": origins})
        except aws.client.exceptions.ResourceConflictException as error:
            assert "128KiB" in str(error) and number > 5
            break
    else:
        pytest.fail("there is no bound")
    aws.client.delete_function_url_config(FunctionName=name, Qualifier="a0")
    aws.client.create_function_url_config(FunctionName=name, Qualifier=f"a{number}", AuthType="NONE", Cors={"AllowOrigins": origins})
