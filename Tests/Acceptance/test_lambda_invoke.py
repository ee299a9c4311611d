"""AWS Lambda's API by boto3: Invoke, what a handler is told, how its ends are told, and the log that comes with an answer."""

import base64
import json
import re

import pytest

from lambda_clients import ACCOUNT, REGION, log_lines, refused, request_id
from system import eventually

WHO = """
    def handler(event, context):
        return {"version": context.function_version, "arn": context.invoked_function_arn, "id": context.aws_request_id, "event": event}
    """


@pytest.fixture(scope="module")
def who(aws):
    """A function that says as what it was invoked, with a version and an alias of it."""
    name = aws.create(WHO, Publish=True)
    aws.client.create_alias(FunctionName=name, Name="prod", FunctionVersion="1")
    return name


# -- How it is asked --------------------------------------------------------------------------------------------------


def test_an_answer_is_the_handlers_own_bytes(aws, who):
    reply = aws.invoke(who, {"ü": [1, None]})
    assert (reply["StatusCode"], reply["ExecutedVersion"]) == (200, "$LATEST") and not {"FunctionError", "LogResult"} & set(reply)
    answer = json.loads(reply["Payload"])
    assert answer == {"version": "$LATEST", "arn": aws.arn(who), "id": request_id(reply), "event": {"ü": [1, None]}}
    headers = reply["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/json" and not [header for header in headers if header.startswith("bulkhead-")]


def test_no_payload_is_an_empty_object(aws, who):
    reply = aws.client.invoke(FunctionName=who)
    assert json.loads(reply["Payload"].read())["event"] == {}


def test_an_event_is_answered_before_it_runs(aws):
    name = aws.create("def handler(event, context): print('event', event)")
    reply = aws.invoke(name, 42, InvocationType="Event", LogType="Tail")
    assert reply["StatusCode"] == 202 and reply["Payload"] == b"" and not {"ExecutedVersion", "LogResult"} & set(reply)

    def texts():
        return [line["text"] for line in aws.host.logs(name, invocation=request_id(reply))]
    eventually(lambda: "event 42" in texts(), 10, "the event's own line is in the log")
    assert aws.host.record_when_done(request_id(reply))["outcome"] == "ok"


def test_a_dry_run_runs_nothing(aws):
    name = aws.create("def handler(event, context): print('ran')")
    reply = aws.invoke(name, 1, InvocationType="DryRun")
    assert reply["StatusCode"] == 204 and reply["Payload"] == b""
    assert aws.host.logs(name) == []
    refused(lambda: aws.invoke("nothing-here", InvocationType="DryRun"), 404, "ResourceNotFoundException")


NAMES = ["{name}", ACCOUNT + ":function:{name}", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:" + "{name}"]


@pytest.mark.parametrize("form", NAMES, ids=["name", "partial ARN", "ARN"])
@pytest.mark.parametrize(("qualifier", "version", "suffix"), [
    (None, "$LATEST", ""), ("$LATEST", "$LATEST", ":$LATEST"), ("1", "1", ":1"), ("prod", "1", ":prod")])
def test_every_way_to_name_one(aws, who, form, qualifier, version, suffix):
    """Within the name, beside it, or both. The handler is told how it was named."""
    plain = form.format(name=who)
    ways = [(plain, {})] if qualifier is None else [
        (plain, {"Qualifier": qualifier}), (f"{plain}:{qualifier}", {}), (f"{plain}:{qualifier}", {"Qualifier": qualifier})]
    for function, more in ways:
        reply = aws.invoke(function, **more)
        answer = json.loads(reply["Payload"])
        assert (reply["ExecutedVersion"], answer["version"]) == (version, version)
        assert answer["arn"] == aws.arn(who) + suffix


@pytest.mark.parametrize("form", NAMES, ids=["name", "partial ARN", "ARN"])
def test_two_qualifiers_that_differ(aws, who, form):
    says = "derived qualifier from the function name does not match the specified qualifier"
    function = form.format(name=who) + ":1"
    refused(lambda: aws.invoke(function, Qualifier="prod"), 400, "InvalidParameterValueException", says)
    refused(lambda: aws.client.get_function(FunctionName=function, Qualifier="$LATEST"), 400, "InvalidParameterValueException", says)


@pytest.mark.parametrize("form", NAMES, ids=["name", "partial ARN", "ARN"])
def test_who_is_not_there(aws, form):
    says = re.escape(f"Function not found: {aws.arn('nothing-here')}")
    told = refused(lambda: aws.invoke(form.format(name="nothing-here")), 404, "ResourceNotFoundException", says)
    assert told["Type"] == "User" and told["Message"] == told["Error"]["Message"]


def test_other_names_for_it_hold_everywhere(aws, who):
    for form in NAMES[1:]:
        assert aws.client.get_function_configuration(FunctionName=form.format(name=who) + ":prod")["Version"] == "1"
        assert aws.client.list_versions_by_function(FunctionName=form.format(name=who))["Versions"][0]["Version"] == "$LATEST"
        assert aws.client.get_alias(FunctionName=form.format(name=who), Name="prod")["FunctionVersion"] == "1"


# -- What a handler is told -------------------------------------------------------------------------------------------


def test_context(aws):
    name = aws.create("""
        def handler(event, context):
            return [context.function_name, str(context.memory_limit_in_mb), context.log_group_name, context.log_stream_name,
                    context.get_remaining_time_in_millis(), context.identity is None or context.identity.cognito_identity_id]
        """, Timeout=20, MemorySize=192, Publish=True)
    function, memory, group, stream, left, identity = aws.result(name)
    assert (function, memory, group) == (name, "192", f"/aws/lambda/{name}") and 0 < left <= 20_000 and identity in (True, None)
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream), stream
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[1\][0-9a-f]{32}", aws.result(name, Qualifier="1")[3])


def test_client_context(aws):
    name = aws.create("""
        def handler(event, context):
            given = context.client_context
            return given and [given.custom, given.env, given.client.app_title]
        """)
    said = {"custom": {"k": "ü"}, "env": {"locale": "de"}, "client": {"app_title": "shop", "installation_id": "1"}}
    encoded = base64.b64encode(json.dumps(said).encode()).decode()
    assert aws.result(name, ClientContext=encoded) == [{"k": "ü"}, {"locale": "de"}, "shop"]
    assert aws.result(name) is None, "of the invocation before nothing is left"


def test_environment(aws):
    """What handlers read of Lambda's own variables."""
    wanted = ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_LOG_GROUP_NAME",
              "AWS_REGION", "AWS_DEFAULT_REGION", "_HANDLER", "LAMBDA_TASK_ROOT"]
    name = aws.create(f"import os\ndef handler(event, context): return [os.environ.get(name) for name in {wanted}] + [os.getcwd()]")
    *told, root, folder = aws.result(name)
    assert told == [name, "$LATEST", "128", f"/aws/lambda/{name}", REGION, REGION, "app.handler"] and root == folder
    aws.client.publish_version(FunctionName=name)
    assert aws.result(name, Qualifier="1")[1] == "1"


# -- The log that comes with an answer --------------------------------------------------------------------------------

REPORT = (r"REPORT RequestId: {id}\tDuration: (\d+\.\d\d) ms\tBilled Duration: (\d+) ms\tMemory Size: 128 MB\tMax Memory Used: (\d+) MB\t"
          r"(?P<init>Init Duration: \d+\.\d\d ms\t)?")


def test_log_tail(aws):
    name = aws.create("""
        import logging
        logging.getLogger().setLevel(logging.INFO)
        def handler(event, context):
            print("plain", event)
            logging.getLogger().info("logged")
        """)
    first, second = aws.invoke(name, 1, LogType="Tail"), aws.invoke(name, 2, LogType="Tail")
    for number, reply in ((1, first), (2, second)):
        start, plain, logged, end, report = log_lines(reply)
        identifier = request_id(reply)
        assert (start, plain, end) == (f"START RequestId: {identifier} Version: $LATEST", f"plain {number}", f"END RequestId: {identifier}")
        assert re.fullmatch(rf"\[INFO\]\t\S+Z\t{identifier}\tlogged", logged)
        found = re.fullmatch(REPORT.format(id=identifier), report)
        assert found and float(found[1]) <= int(found[2]) and 0 < int(found[3]) <= 128, report
        assert found["init"] or number == 2, "a first invocation says what its start took"
    assert "LogResult" not in aws.invoke(name, 3) and "LogResult" not in aws.invoke(name, 3, LogType="None")


def test_only_the_tail_of_a_long_log(aws):
    name = aws.create("def handler(event, context):\n    for number in range(2000): print('line', number)")
    reply = aws.invoke(name, LogType="Tail")
    lines = log_lines(reply)
    assert len(base64.b64decode(reply["LogResult"])) <= 4096 and lines[-1].startswith("REPORT ") and lines[-3] == "line 1999"
    assert len(lines) > 100


# -- How it ends ------------------------------------------------------------------------------------------------------


def failed(reply, kind):
    """The payload of a function error, which is an answer like any other for HTTP."""
    assert (reply["StatusCode"], reply["FunctionError"], reply["ExecutedVersion"]) == (200, "Unhandled", "$LATEST"), reply
    told = json.loads(reply["Payload"])
    assert told["errorType"] == kind, told
    lines = log_lines(reply)
    assert [line.split(" ")[0] for line in (lines[0], *lines[-2:])] == ["START", "END", "REPORT"], lines
    return told


def test_an_exception(aws):
    name = aws.create("class Late(Exception): pass\ndef handler(event, context):\n    raise Late('by ' + event)")
    reply = aws.invoke(name, "a day", LogType="Tail")
    told = failed(reply, "Late")
    assert set(told) == {"errorMessage", "errorType", "requestId", "stackTrace"}
    assert (told["errorMessage"], told["requestId"]) == ("by a day", request_id(reply))
    frame, = told["stackTrace"]
    assert re.match(r'  File "\S+/app\.py", line 3, in handler\n    raise Late', frame)
    assert aws.host.record(request_id(reply))["outcome"] == "error"


def test_nothing_of_one_invocation_is_in_the_next(aws):
    name = aws.create("def handler(event, context): return 1 // event")
    assert failed(aws.invoke(name, 0, LogType="Tail"), "ZeroDivisionError") and aws.result(name, 1) == 1


# What a handler does: (errorType, errorMessage after "RequestId: <id> Error: ").
ENDS = {
    "timeout": ("import time; time.sleep(30)", "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
    "exit 3": ("import os; os._exit(3)", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
    "exit 0": ("import os; os._exit(0)", "Runtime.ExitError", "Runtime exited without providing a reason"),
    "signal": ("import os; os.kill(os.getpid(), 11)", "Runtime.ExitError", "Runtime exited with error: signal: segmentation fault"),
    "memory": ("return len(bytearray(1 << 30))", "Runtime.ExitError", "Runtime exited with error: signal: killed"),
}


@pytest.mark.parametrize("end", ENDS)
def test_ends(aws, end):
    deed, kind, message = ENDS[end]
    # With room for what brings a worker up under load; the time that is said is the manifest's.
    name = aws.create(f"def handler(event, context):\n    {deed}\n", Timeout=1 if end == "timeout" else 30)
    reply = aws.invoke(name, LogType="Tail")
    assert failed(reply, kind) == {"errorType": kind, "errorMessage": f"RequestId: {request_id(reply)} Error: {message}"}


def test_a_result_that_is_too_large(aws):
    name = aws.create("def handler(event, context): return 'x' * event", MemorySize=256, Timeout=30)
    told = failed(aws.invoke(name, 6_291_556, LogType="Tail"), "Function.ResponseSizeTooLarge")
    assert told["errorMessage"] == "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
    assert len(aws.result(name, 6_291_000)) == 6_291_000


@pytest.mark.parametrize(("code", "kind", "message"), [
    ("import nothing_of_the_kind\ndef handler(event, context): pass", "Runtime.ImportModuleError",
     "Unable to import module 'app': No module named 'nothing_of_the_kind'"),
    ("def other(event, context): pass", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
], ids=["import", "handler"])
def test_a_handler_that_cannot_be_loaded(aws, code, kind, message):
    """Taken at the upload, as Lambda does, and told to everyone who invokes it."""
    name = aws.create(code)
    for _ in range(2):
        told = failed(aws.invoke(name, LogType="Tail"), kind)
        assert told["errorMessage"] == message
