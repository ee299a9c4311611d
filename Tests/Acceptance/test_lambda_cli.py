"""AWS Lambda's API by `aws`, as users type it, with handlers of AWS's own tutorials; and what one API makes, shown by the other."""

import json

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from checks import problem
from lambda_clients import REGION, ROLE, Lambda, code_zip, newer_command_line, older_command_line, refused

# https://docs.aws.amazon.com/lambda/latest/dg/getting-started.html, as it stands there
AREA = '''import json
import logging

logger = logging.getLogger()
logger.setLevel(logging.INFO)

def lambda_handler(event, context):

    # Get the length and width parameters from the event object. The
    # runtime converts the event object to a Python dictionary
    length = event['length']
    width = event['width']

    area = calculate_area(length, width)
    print(f"The area is {area}")

    logger.info(f"CloudWatch logs group: {context.log_group_name}")

    # return the calculated area as a JSON string
    data = {"area": area}
    return json.dumps(data)

def calculate_area(length, width):
    return length*width
'''

# https://docs.aws.amazon.com/lambda/latest/dg/python-context.html, as it stands there
CONTEXT = '''import time

def lambda_handler(event, context):
    print("Lambda function ARN:", context.invoked_function_arn)
    print("CloudWatch log stream name:", context.log_stream_name)
    print("CloudWatch log group name:",  context.log_group_name)
    print("Lambda Request ID:", context.aws_request_id)
    print("Lambda function memory limits in MB:", context.memory_limit_in_mb)
    # We have added a 1 second delay so you can see the time remaining in get_remaining_time_in_millis.
    time.sleep(1)
    print("Lambda time remaining in MS:", context.get_remaining_time_in_millis())
'''

SCRIPT = r'''
name=NAME
aws lambda create-function --function-name $name --runtime python3.13 --role ROLE \
    --handler lambda_function.lambda_handler --zip-file fileb://area.zip --timeout 10 > created.json
aws lambda wait function-active-v2 --function-name $name
aws lambda invoke --function-name $name {raw} --payload '{"length": 6, "width": 7}' area.json > invoked.json
aws lambda invoke --function-name $name {raw} --payload '{"length": 6}' error.json > failed.json
aws lambda publish-version --function-name $name --description first --query Version --output text
aws lambda create-alias --function-name $name --name prod --function-version 1 --query AliasArn --output text
aws lambda update-function-code --function-name $name --zip-file fileb://context.zip --query Version --output text
aws lambda wait function-updated-v2 --function-name $name
aws lambda invoke --function-name $name:prod {raw} --payload '{"length": 2, "width": 2}' prod.json --query ExecutedVersion --output text
aws lambda invoke --function-name $name --log-type Tail --query LogResult --output text context.json | base64 --decode > context.log
aws lambda list-functions --query "Functions[?FunctionName=='$name'].[Runtime,Handler]" --output text
aws lambda list-versions-by-function --function-name $name --query 'Versions[].Version' --output text
aws lambda get-alias --function-name $name --name prod --query FunctionVersion --output text
aws lambda invoke --function-name $name --qualifier nowhere none.json 2> refused.txt && echo "it was there"
aws lambda delete-function --function-name $name > deleted.txt
aws lambda get-function --function-name $name 2> gone.txt && echo "it is there still"
true
'''


@pytest.fixture(scope="module", params=["older", "newer"])
def command_line(request, workspace):
    return older_command_line(workspace) if request.param == "older" else newer_command_line()


def test_a_morning_with_the_command_line(aws, command_line, tmp_path):
    name = unique_name("typed")
    for file, code in (("area", AREA), ("context", CONTEXT)):
        (tmp_path / f"{file}.zip").write_bytes(zip_of({"lambda_function.py": code.encode()}))
    printed = command_line.run(aws.host, aws.key, tmp_path, SCRIPT.replace("NAME", name, 1).replace("ROLE", ROLE, 1))
    assert printed.splitlines() == [
        "1", f"{aws.arn(name)}:prod", "$LATEST", "1", "python3.13\tlambda_function.lambda_handler", "$LATEST\t1", "1"]

    def read(file):
        return json.loads((tmp_path / file).read_text())
    assert read("created.json")["FunctionArn"] == aws.arn(name)
    assert read("area.json") == '{"area": 42}' and read("prod.json") == '{"area": 4}' and read("context.json") is None
    assert read("invoked.json") == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert read("failed.json") == {"StatusCode": 200, "FunctionError": "Unhandled", "ExecutedVersion": "$LATEST"}
    assert (read("error.json")["errorType"], read("error.json")["errorMessage"]) == ("KeyError", "'width'")
    assert "(ResourceNotFoundException) when calling the Invoke operation" in (tmp_path / "refused.txt").read_text()
    gone = (tmp_path / "gone.txt").read_text()
    assert "(ResourceNotFoundException) when calling the GetFunction operation" in gone and f"Function not found: {aws.arn(name)}" in gone
    log = (tmp_path / "context.log").read_text()
    identifier = log.split("START RequestId: ")[1].split()[0]
    for line in (f"Lambda function ARN: {aws.arn(name)}", f"CloudWatch log group name: /aws/lambda/{name}", f"Lambda Request ID: {identifier}",
                 "Lambda function memory limits in MB: 128", "CloudWatch log stream name: 2", "Lambda time remaining in MS: ", "REPORT RequestId: "):
        assert f"\n{line}" in log, log


def test_what_is_not_there_is_told_to_a_person(aws, command_line, tmp_path):
    """And not tried again and again."""
    printed = command_line.run(aws.host, aws.key, tmp_path, "aws lambda list-code-signing-configs 2>&1 || true")
    assert "(NotImplementedException) when calling the ListCodeSigningConfigs operation" in printed
    assert "ListCodeSigningConfigs" in printed.split("operation", 1)[1]


# -- Two APIs, one host -----------------------------------------------------------------------------------------------

SAY = "def handler(event, context): return {!r}".format


def shown(host, name):
    reply = host.get(f"/v1/functions/{name}")
    assert reply.status == 200, reply
    return reply.json()


def published(host, name):
    listed = host.get(f"/v1/functions/{name}/versions").json()["versions"]
    return [one["version"] for one in listed if one["version"] is not None]


def test_a_revision_has_no_number_until_it_is_published(aws, host):
    name = aws.create(SAY("one"))
    assert shown(host, name)["version"] is None and published(host, name) == []
    assert host.invoke(name, expect="ok").json() == "one", "live follows what is not published, too"
    assert aws.client.publish_version(FunctionName=name)["Version"] == "1"
    assert shown(host, name)["version"] == 1 and published(host, name) == [1]
    aws.change(name, SAY("two"))
    assert shown(host, name)["version"] is None and published(host, name) == [1]
    assert host.invoke(name, expect="ok").json() == "two"
    assert host.invoke(name, query={"version": 1}, expect="ok").json() == "one"
    problem(host.invoke(name, query={"version": 2}), "not_found")
    assert name in {one["name"] for one in host.get("/v1/functions", query={"limit": 1000}).json()["functions"]}
    aws.client.delete_function(FunctionName=name)
    assert host.get(f"/v1/functions/{name}").status == 404


def test_an_upload_by_the_hosts_own_route_is_published_at_once(aws, host, command_line, tmp_path):
    name = unique_name("native")
    host.upload(name, b"#!/bin/sh\nexec cat\n")
    listed = [one["FunctionName"] for page in aws.client.get_paginator("list_functions").paginate() for one in page["Functions"]]
    assert listed.count(name) == 1
    shown = aws.client.get_function(FunctionName=name)["Configuration"]
    assert (shown["Version"], shown["State"], shown["FunctionArn"]) == ("$LATEST", "Active", aws.arn(name))
    assert [one["Version"] for one in aws.client.list_versions_by_function(FunctionName=name)["Versions"]] == ["$LATEST", "1"]
    assert aws.client.publish_version(FunctionName=name)["Version"] == "1", "nothing has changed"
    printed = command_line.run(aws.host, aws.key, tmp_path, f"aws lambda invoke --function-name {name} {{raw}} --payload '{{\"n\": 1}}' /dev/stdout")
    assert printed.startswith('{"n": 1}')
    host.delete(name)
    refused(lambda: aws.client.get_function(FunctionName=name), 404, "ResourceNotFoundException")


def test_an_upload_over_lambdas_revision(aws, host):
    """The number that it would have had is this one's, and what was not published is no more."""
    name = aws.create(SAY("one"), Publish=True)
    aws.change(name, SAY("two"))
    bundle = zip_of({"function.yaml": b"runtime: python\nhandler: app.handler\n", "app.py": SAY("three").encode()})
    assert host.upload(name, bundle, content_type=ZIP).json()["version"] == 2
    assert aws.result(name) == aws.result(name, Qualifier="2") == "three" and aws.result(name, Qualifier="1") == "one"
    aws.client.update_function_code(FunctionName=name, ZipFile=code_zip(SAY("four")))
    aws.wait(name, "function_updated_v2")
    assert aws.client.publish_version(FunctionName=name)["Version"] == "3" and host.invoke(name, expect="ok").json() == "four"


def test_aliases_are_the_same(aws, host):
    name = aws.create(SAY("one"), Publish=True)
    aws.change(name, SAY("two"), Publish=True)
    path = f"/v1/functions/{name}/aliases"
    aws.client.create_alias(FunctionName=name, Name="prod", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}})
    told = host.get(f"{path}/prod").json()
    assert (told["version"], told["weights"]) == (1, {"2": 0.25})
    assert host.request("PUT", f"{path}/test", b'{"version": 2}').status == 201
    assert aws.client.get_alias(FunctionName=name, Name="test")["FunctionVersion"] == "2" and aws.result(name, Qualifier="test") == "two"
    assert {"prod", "test"} <= {one["Name"] for one in aws.client.list_aliases(FunctionName=name)["Aliases"]}
    assert host.request("PUT", f"{path}/live", b'{"version": 1}').status == 200
    assert host.invoke(name, expect="ok").json() == "one" == aws.result(name, Qualifier="live")
    assert aws.result(name) == "two", "without a qualifier Lambda means $LATEST"
    aws.client.delete_alias(FunctionName=name, Name="test")
    assert host.get(f"{path}/test").status == 404


def test_an_invocation_is_the_hosts_own(aws, host):
    """One door: the record, the log and the counts know it like any other."""
    name = aws.create("def handler(event, context):\n    print('seen')\n    return event")
    reply = aws.invoke(name, [1])
    record = host.record(reply["ResponseMetadata"]["RequestId"])
    assert (record["function"], record["version"], record["outcome"]) == (name, None, "ok")
    assert "seen" in [line["text"] for line in host.logs(name, invocation=record["id"])]
    assert f'bulkhead_invocations_total{{function="{name}",outcome="ok"' in host.get("/metrics").body.decode()


def test_who_changed_what(aws):
    name = aws.create()
    aws.client.delete_function(FunctionName=name)
    entries = [one for one in aws.host.get("/v1/audit").json()["audit"] if one["target"].endswith(f":function:{name}")]
    assert [one["action"] for one in entries[:2]] == ["DeleteFunction", "CreateFunction"] and entries[0]["key"] == aws.key.access, entries


def test_everything_is_there_after_a_restart(boto, hosts):
    host = hosts()
    aws = Lambda(host)
    name = aws.create(SAY("one"), Publish=True, Tags={"a": "b"})
    aws.change(name, SAY("two"))
    aws.client.create_alias(FunctionName=name, Name="prod", FunctionVersion="1", Description="d")
    aws.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)

    def everything(aws):
        return [{key: value for key, value in answer.items() if key not in ("ResponseMetadata", "Code")} for answer in (
            aws.client.get_function(FunctionName=name), aws.client.list_versions_by_function(FunctionName=name),
            aws.client.list_aliases(FunctionName=name), aws.client.get_function_concurrency(FunctionName=name))]
    before = everything(aws)
    assert host.stop() == 0
    host.start()
    again = Lambda(host, aws.key)
    assert everything(again) == before and again.result(name) == "two" and again.result(name, Qualifier="prod") == "one"
    assert again.arn(name).split(":")[3] == REGION
