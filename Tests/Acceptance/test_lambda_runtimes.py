"""Lambda's custom runtimes by Lambda's own API, as boto3 asks for them; and AWS's own runtime for Python, as it is on PyPI."""

import base64
import json
import re
from pathlib import Path

import pytest

from bundles import read_tree, zip_of
from conftest import SLOWNESS
from lambda_clients import REGION, code_zip, install, log_lines, refused, request_id
from runtime_clients import bootstrap
from system import eventually
from test_lambda_invoke import failed

RUNTIME = "provided.al2023"
# https://github.com/aws/aws-lambda-python-runtime-interface-client: the newest that has a wheel for Debian's python3.
RIC = "awslambdaric==4.2.2"
ECHO = "serve(lambda event, headers: event)"


def provided(code, files=None):
    return zip_of({"bootstrap": bootstrap(code), **(files or {})})


def create(aws, payload, **wanted):
    """The name of a function that is ready. Starting Python takes longer than the three seconds of default when the machine is busy."""
    payload = payload if isinstance(payload, bytes) else provided(payload)
    return aws.create(payload, handler=wanted.pop("Handler", "own.handler"), **{"Runtime": RUNTIME, "Timeout": 10 * SLOWNESS, **wanted})


def again(aws, name, event=None, seconds=10):
    """The answer of a process that has answered before, by the log that comes with it: what starts anew says what that took."""
    def reused():
        reply = aws.invoke(name, event, LogType="Tail")
        return reply if "Init Duration" not in log_lines(reply)[-1] else None
    return eventually(reused, seconds * SLOWNESS, f"{name} is answered by a process that has answered before")


# -- Made, shown, changed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["provided", "provided.al2", "provided.al2023"])
def test_each_of_its_names(aws, runtime):
    """Any word is a handler, which is the runtime's to understand."""
    code = "serve(lambda event, headers: [event, os.environ['_HANDLER'], os.environ['AWS_EXECUTION_ENV']])"
    name = create(aws, code, Runtime=runtime, Handler="any/word:at-all")
    shown = aws.client.get_function_configuration(FunctionName=name)
    assert (shown["Runtime"], shown["Handler"], shown["State"]) == (runtime, "any/word:at-all", "Active")
    assert aws.result(name, {"a": 1}) == [{"a": 1}, "any/word:at-all", f"AWS_Lambda_{runtime}"]


def test_one_process_for_many(aws):
    name = create(aws, "seen = 0\nwhile True:\n    id, event, headers = following()\n    seen += 1\n    answer(id, seen)\n")
    assert aws.result(name) == 1
    assert json.loads(again(aws, name)["Payload"]) >= 2


def test_the_example(aws, example_folder):
    name = create(aws, zip_of({"bootstrap": ((example_folder("provided-c") / "bootstrap").read_bytes(), 0o755)}))
    assert aws.result(name, "a") == {"invocations": 1, "echo": "a"}
    assert json.loads(again(aws, name, {"b": 2})["Payload"])["echo"] == {"b": 2}
    large = "x" * (5 << 20)
    assert aws.result(name, large)["echo"] == large


def test_new_code_and_settings(aws):
    name = create(aws, "serve(lambda event, headers: [1, os.environ.get('WORD'), os.environ['AWS_LAMBDA_FUNCTION_VERSION']])")
    assert aws.result(name) == [1, None, "$LATEST"]
    aws.client.publish_version(FunctionName=name)
    aws.client.update_function_code(FunctionName=name, ZipFile=provided("serve(lambda event, headers: [2, os.environ.get('WORD')])"))
    aws.wait(name, "function_updated_v2")
    assert aws.result(name) == [2, None]
    aws.configure(name, Environment={"Variables": {"WORD": "said"}}, Handler="other")
    assert aws.result(name) == [2, "said"] and aws.result(name, Qualifier="1") == [1, None, "1"]
    assert aws.client.get_function_configuration(FunctionName=name)["Handler"] == "other"


def test_what_may_not_be_changed(aws):
    """What the files were found to be holds for what runs them."""
    name = create(aws, ECHO)
    refused(lambda: aws.client.update_function_configuration(FunctionName=name, Runtime="python3.13"), 400, "InvalidParameterValueException", "Runtime")
    aws.configure(name, Runtime="provided.al2")
    assert aws.client.get_function_configuration(FunctionName=name)["Runtime"] == "provided.al2" and aws.result(name, 1) == 1
    python = aws.create()
    refused(lambda: aws.client.update_function_configuration(FunctionName=python, Runtime=RUNTIME), 400, "InvalidParameterValueException", "Runtime")


# -- What a runtime is told -------------------------------------------------------------------------------------------


def test_headers_and_environment(aws):
    name = create(aws, "serve(lambda event, headers: [dict(headers.items()), dict(os.environ), time.time() * 1000])", MemorySize=192)
    said = {"custom": {"k": "\u00fc\n"}, "client": {"app_title": "shop"}}
    for qualifier, version, suffix in (("$LATEST", "$LATEST", ":$LATEST"), ("1", "1", ":1")):
        if version == "1": aws.client.publish_version(FunctionName=name)
        reply = aws.invoke(name, 1, Qualifier=qualifier, ClientContext=base64.b64encode(json.dumps(said, ensure_ascii=False).encode()).decode())
        headers, environment, now = json.loads(reply["Payload"])
        assert headers["Lambda-Runtime-Aws-Request-Id"] == request_id(reply)
        assert headers["Lambda-Runtime-Invoked-Function-Arn"] == aws.arn(name) + suffix
        assert json.loads(headers["Lambda-Runtime-Client-Context"]) == said
        assert now < int(headers["Lambda-Runtime-Deadline-Ms"]) <= now + 10_000 * SLOWNESS
        expected = {"AWS_LAMBDA_FUNCTION_VERSION": version, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "192", "AWS_REGION": REGION, "_HANDLER": "own.handler",
                    "AWS_DEFAULT_REGION": REGION, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "LAMBDA_TASK_ROOT": "/var/task"}
        assert {key: environment.get(key) for key in expected} == expected
    assert "Lambda-Runtime-Client-Context" not in aws.result(name)[0]


# -- Its log ----------------------------------------------------------------------------------------------------------


def test_log_tail(aws):
    """Both of its streams, between what Lambda says of each invocation."""
    name = create(aws, "def handle(event, headers):\n    print('out', event)\n    print('err', event, file=sys.stderr)\nserve(handle)\n")
    for number in (1, 2):
        reply = aws.invoke(name, number, LogType="Tail")
        start, *said, end, report = log_lines(reply)
        assert start == f"START RequestId: {request_id(reply)} Version: $LATEST" and end == f"END RequestId: {request_id(reply)}"
        assert sorted(said) == [f"err {number}", f"out {number}"] and report.startswith(f"REPORT RequestId: {request_id(reply)}\t")


# -- How it ends ------------------------------------------------------------------------------------------------------


NO_BOOTSTRAP = {"nothing of the kind": {"main.sh": b"#!/bin/sh\n"}, "in a folder": {"bin/bootstrap": (b"#!/bin/sh\n", 0o755)}}


@pytest.mark.parametrize("case", NO_BOOTSTRAP)
def test_no_bootstrap(aws, case):
    """Taken at the upload, as Lambda does, and told to everyone who invokes it; until there is one."""
    name = create(aws, zip_of(NO_BOOTSTRAP[case]))
    for _ in range(2):
        told = failed(aws.invoke(name, LogType="Tail"), "Runtime.InvalidEntrypoint")
        assert "bootstrap" in told["errorMessage"], told
    aws.client.update_function_code(FunctionName=name, ZipFile=provided(ECHO))
    aws.wait(name, "function_updated_v2")
    assert aws.result(name, 1) == 1


def test_no_bootstrap_any_more(aws):
    name = create(aws, ECHO)
    aws.client.update_function_code(FunctionName=name, ZipFile=code_zip("pass"))
    aws.wait(name, "function_updated_v2")
    failed(aws.invoke(name, LogType="Tail"), "Runtime.InvalidEntrypoint")


ERROR = """
    while True:
        id, event, headers = following()
        if event: ask("POST", f"invocation/{id}/error", json.dumps(event).encode(), {"Lambda-Runtime-Function-Error-Type": "Unhandled"})
        else: answer(id, "fine")
    """


def test_an_error_is_told_as_the_runtime_tells_it(aws):
    name = create(aws, ERROR)
    said = {"errorMessage": "no \u20ac", "errorType": "Own.Error", "stackTrace": ["main.c:1", "  main.c:2\n"]}
    reply = aws.invoke(name, said, LogType="Tail")
    told = failed(reply, "Own.Error")
    assert {key: told[key] for key in said} == said
    assert aws.host.record(request_id(reply))["outcome"] == "error"
    assert json.loads(again(aws, name)["Payload"]) == "fine"


def test_an_error_of_its_start(aws):
    name = create(aws, "ask('POST', 'init/error', b'{\"errorMessage\":\"no luck\",\"errorType\":\"Own.Init\"}')\nsys.exit(1)\n")
    for _ in range(2):
        assert failed(aws.invoke(name, LogType="Tail"), "Own.Init")["errorMessage"] == "no luck"


# What a runtime does: (errorType, errorMessage after "RequestId: <id> Error: ").
ENDS = {
    "timeout": ("time.sleep(30)", "Sandbox.Timedout", f"Task timed out after {SLOWNESS}.00 seconds"),
    "exit 3": ("os._exit(3)", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
    "exit 0": ("os._exit(0)", "Runtime.ExitError", "Runtime exited without providing a reason"),
    "signal": ("os.kill(os.getpid(), 11)", "Runtime.ExitError", "Runtime exited with error: signal: segmentation fault"),
    "memory": ("len(bytearray(1 << 30))", "Runtime.ExitError", "Runtime exited with error: signal: killed"),
    "exit 4 at first": (None, "Runtime.ExitError", "Runtime exited with error: exit status 4"),
}


@pytest.mark.parametrize("end", ENDS)
def test_ends(aws, end):
    deed, kind, message = ENDS[end]
    code = "sys.exit(4)" if deed is None else f"while True:\n    id, event, headers = following()\n    if event: {deed}\n    answer(id, event)\n"
    name = create(aws, code, Timeout=SLOWNESS if end == "timeout" else 30)
    reply = aws.invoke(name, 1, LogType="Tail")
    assert failed(reply, kind) == {"errorType": kind, "errorMessage": f"RequestId: {request_id(reply)} Error: {message}"}
    assert deed is None or aws.result(name, 0) == 0


def test_a_result_that_is_too_large(aws):
    name = create(aws, "serve(lambda event, headers: 'x' * event)", MemorySize=256, Timeout=30)
    told = failed(aws.invoke(name, 6_291_556, LogType="Tail"), "Function.ResponseSizeTooLarge")
    assert told["errorMessage"] == "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
    assert len(aws.result(name, 6_291_000)) == 6_291_000


# -- AWS's own runtime for Python -------------------------------------------------------------------------------------

START = b'#!/bin/sh\nexec /usr/bin/python3 -m awslambdaric "$_HANDLER"\n'
HANDLERS = b"""
import json
import logging
import os
import sys

logging.getLogger().setLevel(logging.INFO)
seen = 0

class Late(Exception):
    pass

def tell(event, context):
    global seen
    seen += 1
    client = context.client_context
    return {
        "event": event, "seen": seen, "id": context.aws_request_id, "arn": context.invoked_function_arn, "left": context.get_remaining_time_in_millis(),
        "name": context.function_name, "version": context.function_version, "memory": context.memory_limit_in_mb, "group": context.log_group_name,
        "stream": context.log_stream_name, "custom": client and client.custom, "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "cwd": os.getcwd(), "root": os.environ["LAMBDA_TASK_ROOT"]}

def log(event, context):
    print("printed", event)
    print("complained", event, file=sys.stderr)
    logging.getLogger().info("logged %s", event)

def fail(event, context):
    if event:
        raise Late("by " + event)
    return "fine"

def leave(event, context):
    if event is not None:
        sys.exit(event)
    return "here"

def unwritable(event, context):
    return {1, 2}

def large(event, context):
    return event + event
"""


@pytest.fixture(scope="session")
def ric(workspace, aws):
    """`ric("app.tell")`: the name of a function that AWS's own runtime client runs."""
    folder = install(workspace / "awslambdaric", RIC)
    files = {name: content for name, content in read_tree(folder).items() if "__pycache__" not in name and ".dist-info/" not in name}
    payload = zip_of({**files, "bootstrap": (START, 0o755), "app.py": HANDLERS, "broken.py": b"import nothing_of_the_kind\n", "wrong.py": b"def (\n"})
    made = {}

    def deploy(handler, **wanted):
        if handler not in made:
            made[handler] = create(aws, payload, Handler=handler, **wanted)
        return made[handler]
    return deploy


def test_awslambdaric(aws, ric):
    """A handler has from it all that it has on AWS, and its process lives on."""
    name = ric("app.tell", MemorySize=160)
    reply = aws.invoke(name, {"\u00fc": [1, None]}, ClientContext=base64.b64encode(b'{"custom":{"k":"v"}}').decode())
    told = json.loads(reply["Payload"])
    assert "FunctionError" not in reply and told["event"] == {"\u00fc": [1, None]} and told["custom"] == {"k": "v"}
    assert (told["id"], told["arn"], told["name"], told["version"]) == (request_id(reply), aws.arn(name), name, "$LATEST")
    assert 0 < told["left"] <= 10_000 * SLOWNESS and str(told["memory"]) == "160" and told["group"] == f"/aws/lambda/{name}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", told["stream"]), told
    assert (told["cwd"], told["root"]) == ("/function", "/var/task")
    second = json.loads(again(aws, name, 2)["Payload"])
    assert second["seen"] >= 2 and second["event"] == 2 and second["custom"] is None and second["id"] != told["id"]


def test_awslambdaric_by_bulkheads_own_api(aws, ric):
    """The same function, invoked and traced there."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    reply = aws.host.invoke(ric("app.tell", MemorySize=160), [1], headers={"traceparent": parent}, expect="ok")
    told = reply.json()
    assert told["event"] == [1] and told["id"] == reply["Bulkhead-Invocation-Id"]
    assert told["trace"].startswith("Root=1-0af76519-16cd43dd8448eb211c80319c;Parent="), told


def test_awslambdaric_logs(aws, ric):
    name = ric("app.log")
    for number in (1, 2):
        reply = aws.invoke(name, number, LogType="Tail")
        lines = log_lines(reply)
        assert f"printed {number}" in lines and f"complained {number}" in lines and f"printed {3 - number}" not in lines
        logged, = [line for line in lines if "logged" in line]
        assert re.fullmatch(rf"\[INFO\]\t\S+Z\t{request_id(reply)}\tlogged {number}", logged)


def test_awslambdaric_raises(aws, ric):
    name = ric("app.fail")
    reply = aws.invoke(name, "a day", LogType="Tail")
    told = failed(reply, "Late")
    assert (told["errorMessage"], told["requestId"]) == ("by a day", request_id(reply))
    frame, = told["stackTrace"]
    assert re.fullmatch(r'  File "\S+/app\.py", line \d+, in fail\n    raise Late\("by " \+ event\)\n', frame), frame
    assert any("[ERROR] Late: by a day" in line for line in log_lines(reply))
    assert json.loads(again(aws, name, "")["Payload"]) == "fine"


@pytest.mark.parametrize(("handler", "kind", "says"), [
    ("broken.handler", "Runtime.ImportModuleError", "No module named 'nothing_of_the_kind'"), ("absent.handler", "Runtime.ImportModuleError", "absent"),
    ("app.absent", "Runtime.HandlerNotFound", "Handler 'absent' missing on module 'app'"), ("wrong.handler", "Runtime.UserCodeSyntaxError", "wrong"),
    ("nothing", "Runtime.MalformedHandlerName", "nothing"),
])
def test_awslambdaric_cannot_start(aws, ric, handler, kind, says):
    """It says why, by init/error, and leaves."""
    for _ in range(2):
        told = failed(aws.invoke(ric(handler), LogType="Tail"), kind)
        assert says in told["errorMessage"], told


def test_awslambdaric_other_ends(aws, ric):
    assert failed(aws.invoke(ric("app.unwritable"), LogType="Tail"), "Runtime.MarshalError")
    name = ric("app.leave")
    told = failed(aws.invoke(name, 3, LogType="Tail"), "Runtime.ExitError")
    assert "exit status 3" in told["errorMessage"] and aws.result(name) == "here"


def test_awslambdaric_large(aws, ric):
    name = ric("app.large", MemorySize=256, Timeout=30)
    text = "\u00e4" * 500_000  # six letters each, as JSON in ASCII has it
    assert aws.result(name, text) == text + text


# -- A handler that brings AWS's own library --------------------------------------------------------------------------


def test_a_handler_with_boto3_in_its_zip(aws):
    """As a tutorial has it: some 15 MB of other people's modules, which a client is made of while the handler is loaded. What it asks AWS
    for fails, for there is no way out of a cell; what needs no network works."""
    import boto3
    folder = Path(boto3.__file__).parent.parent
    needed = ("boto3/", "botocore/", "s3transfer/", "jmespath/", "dateutil/", "urllib3/", "six.py", "certifi/")
    files = {name: content for name, content in read_tree(folder).items() if name.startswith(needed) and "__pycache__" not in name}
    code = b"""
import boto3

s3 = boto3.client("s3", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")

def handler(event, context):
    if event.get("list"):
        return s3.list_buckets()
    return s3.generate_presigned_url("get_object", Params={"Bucket": event["bucket"], "Key": "k"})
"""
    name = aws.create(zip_of({**files, "app.py": code}), handler="app.handler", Timeout=30 * SLOWNESS, MemorySize=512)
    url = json.loads(aws.invoke(name, {"bucket": "mine"})["Payload"])
    assert url.startswith("https://mine.s3.") and "Signature=" in url, url
    reply = aws.invoke(name, {"list": True})
    error = json.loads(reply["Payload"])
    assert reply["FunctionError"] == "Unhandled" and error["errorType"] == "EndpointConnectionError", error
