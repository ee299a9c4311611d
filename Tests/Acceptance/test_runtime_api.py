"""`runtime: provided`: what is written for Lambda's custom runtimes runs as it is, and asks for its events at 127.0.0.1:9001.

How else it may be asked: test_runtime_api_clients.py; who means no good: test_runtime_api_attacks.py; by Lambda's own API, and with
AWS's own runtime: test_lambda_runtimes.py.
"""

import http.client
import json
import re
import time
from functools import partial

import pytest

from bulkhead_host import ZIP, at_once, unique_name
from bundles import tar_entry, tar_gz, zip_of
from checks import carries_all, failed, problem
from conftest import CANARY, SLOWNESS
from runtime_clients import again, bootstrap, deploy, mischief, texts
from system import eventually
from test_streaming import opened, pieces

STREAMED = "mode: reactor\nstream: true\nauth: none\n"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def plain(host, example_folder):
    """`plain(mode="command")`: uploads the example's program alone, with manifest fields as the query; its name."""
    def upload(**query):
        name = unique_name("provided")
        host.upload(name, example_folder("provided-c") / "bootstrap", {"runtime": "provided", **query})
        return name
    return upload


def record_of(host, reply):
    return host.record_when_done(reply["Bulkhead-Invocation-Id"])


# -- The example ------------------------------------------------------------------------------------------------------


def test_one_process_for_many(host, example):
    name = example("provided-c")
    for event in [None, 0, {"a": [1, {"b": "\u2028"}]}, "text", []]:
        reply = again(host, name, event)
        assert reply.json()["echo"] == event and reply.json()["invocations"] >= 2
        assert reply["Content-Type"] == "application/json"
        carries_all(reply)


def test_who_calls_in_a_row_is_answered_by_one(host, plain):
    """It asks for the next event long before its caller can come again; on a busy machine that may be otherwise now and then."""
    name = plain(mode="reactor")
    replies = [host.invoke(name, number, expect="ok") for number in range(20)]
    assert [reply.json()["echo"] for reply in replies] == list(range(20))
    assert sum(reply["Bulkhead-Start"] == "reused" for reply in replies) >= 16
    for reply in replies:
        assert (reply.json()["invocations"] > 1) == (reply["Bulkhead-Start"] == "reused")


def test_a_process_for_each(host, plain):
    """By default, and of a program that was uploaded alone."""
    name = plain()
    manifest = host.get(f"/v1/functions/{name}").json()["manifest"]
    assert (manifest["runtime"], manifest["run"]) == ("provided", "./bootstrap") and manifest.get("mode", "command") == "command"
    for number in range(3):
        reply = host.invoke(name, number, expect="ok")
        assert reply.json() == {"invocations": 1, "echo": number} and reply["Bulkhead-Start"] != "reused"


@pytest.mark.parametrize("mode", ["command", "reactor"])
def test_by_http(host, plain, mode):
    """As a web address: the event is a request, and a result without `statusCode` is the body."""
    name = plain(mode=mode, auth="none")
    for number in (1, 2):
        reply = host.request("POST", f"/fn/{name}/some/path?x=1", b"body", {"Content-Type": "text/plain"}, token=None)
        assert reply.status == 200 and reply.media_type == "application/json", reply
        told = reply.json()
        assert 1 <= told["invocations"] <= (number if mode == "reactor" else 1), reply
        assert told["echo"]["rawPath"].endswith("/some/path") and told["echo"]["body"] == "body"


def test_one_at_a_time(host, plain):
    """Who calls at once is answered by processes of their own."""
    name = plain(mode="reactor")
    replies = at_once([partial(host.invoke, name, number, expect="ok", timeout=60) for number in range(8)])
    assert [reply.json()["echo"] for reply in replies] == list(range(8))
    counts = [reply.json()["invocations"] for reply in replies]
    assert counts.count(1) == sum(reply["Bulkhead-Start"] != "reused" for reply in replies)


@pytest.mark.parametrize("mode", ["command", "reactor"])
def test_a_large_event_and_a_large_answer(host, plain, mode):
    name = plain(mode=mode, memory="64MiB", wall=f"{20 * SLOWNESS}s")
    event = {"text": "\u00e4" * (5 << 19)}
    for _ in range(2):
        reply = host.invoke(name, json.dumps(event, ensure_ascii=False).encode(), expect="ok", timeout=60)
        assert len(reply.body) > 5 << 20 and reply.json()["echo"] == event


def test_later(host, plain):
    reply = host.invoke(plain(), {"x": 1}, headers={"Prefer": "respond-async"})
    assert reply.status == 202, reply
    record = host.record_when_done(reply.json()["id"])
    assert record["outcome"] == "ok" and record["result"] == {"invocations": 1, "echo": {"x": 1}}


def test_without_a_server(bulkhead, example_folder):
    done = bulkhead("run", example_folder("provided-c"), "--data", '{"a":1}')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"invocations": 1, "echo": {"a": 1}}


# -- What is uploaded -------------------------------------------------------------------------------------------------

ECHO = "serve(lambda event, headers: event)"


def test_archives(host):
    """As zip and tar, and with another name for what runs."""
    content, mode = bootstrap(ECHO)
    manifest = b"runtime: provided\n"
    as_tar = tar_gz([tar_entry("function.yaml", manifest), tar_entry("bootstrap", content, mode)])
    renamed = zip_of({"function.yaml": manifest + b"run: ./bin/own\n", "bin/own": (content, mode)})
    for payload, kind in ((as_tar, "application/gzip"), (renamed, ZIP)):
        name = unique_name("archive")
        host.upload(name, payload, content_type=kind)
        assert host.invoke(name, 7, expect="ok").json() == 7


NO_BOOTSTRAP = {
    "nothing that runs": ({"bootstrap.sh": b"#!/bin/sh\n"}, "", "bootstrap"),
    "something else": ({"bootstrap": b"#!/bin/sh\n"}, "run: ./other\n", "other"),
    "in a folder": ({"bin/bootstrap": (b"#!/bin/sh\n", 0o755)}, "", "bootstrap"),
    "text": ({"bootstrap": (b"hello\n", 0o755)}, "", "bootstrap"),
    "empty": ({"bootstrap": (b"", 0o755)}, "", "bootstrap"),
    "half an ELF": ({"bootstrap": (b"\x7fELF\2\1\1", 0o755)}, "", "bootstrap"),
    "no such interpreter": ({"bootstrap": (b"#!/opt/nothing/here\n", 0o755)}, "", "/opt/nothing/here"),
    "a snapshot": ({"bootstrap": (b"#!/bin/sh\n", 0o755)}, "mode: snapshot\n", "mode: snapshot"),
    "a handler of two lines": ({"bootstrap": (b"#!/bin/sh\n", 0o755)}, 'handler: "a\\nb"\n', "handler"),
}


@pytest.mark.parametrize("case", NO_BOOTSTRAP)
def test_refused_at_the_upload(host, case):
    files, manifest, says = NO_BOOTSTRAP[case]
    name = unique_name("refused")
    payload = zip_of({"function.yaml": f"runtime: provided\n{manifest}".encode(), **files})
    told = problem(host.upload(name, payload, content_type=ZIP, expect=None), "invalid_request")
    assert says in told["detail"], told
    assert host.get(f"/v1/functions/{name}").status == 404


@pytest.mark.parametrize("payload", [b"hello\n", b"", b"#!/opt/nothing/here\n"])
def test_refused_alone(host, payload):
    reply = host.upload(unique_name("refused"), payload, {"runtime": "provided"}, expect=None)
    problem(reply, "invalid_request")


# -- What a runtime is told -------------------------------------------------------------------------------------------


def test_headers(host):
    """Each invocation's own, with its event."""
    name = deploy(host, "serve(lambda event, headers: [event, list(headers.items())])", "mode: reactor\n", {"wall": "7s"})
    ids = set()
    for event in ({"a": 1}, "two"):
        before = time.time() * 1000
        reply = host.invoke(name, event, headers={"traceparent": TRACEPARENT}, expect="ok")
        same, pairs = reply.json()
        headers = {key.lower(): value for key, value in pairs}
        assert same == event and len(headers) == len(pairs)
        assert headers["content-type"] == "application/json"
        assert headers["lambda-runtime-aws-request-id"] == reply["Bulkhead-Invocation-Id"]
        assert before + 6000 < int(headers["lambda-runtime-deadline-ms"]) < time.time() * 1000 + 8000
        assert headers["lambda-runtime-invoked-function-arn"] == f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
        trace = headers["lambda-runtime-trace-id"]
        assert re.fullmatch("Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=[0-9a-f]{16};Sampled=1", trace), trace
        assert "lambda-runtime-client-context" not in headers and "lambda-runtime-cognito-identity" not in headers
        ids.add(reply["Bulkhead-Invocation-Id"])
    assert len(ids) == 2


def test_no_trace_without_one(host):
    name = deploy(host, "serve(lambda event, headers: headers['Lambda-Runtime-Trace-Id'])")
    assert host.invoke(name, expect="ok").json() is None
    told = host.invoke(name, headers={"traceparent": TRACEPARENT[:-2] + "00"}, expect="ok").json()
    assert told is None or re.fullmatch("Root=1-0af76519-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", told), told


def test_environment(host):
    """What Lambda's runtimes read; its own variables, and nothing of the host's."""
    code = "serve(lambda event, headers: [dict(os.environ), os.getcwd(), os.path.realpath('/var/task'), os.listdir('/var/task/')])"
    name = deploy(host, code, "mode: reactor\nhandler: own.handler\nenv: { OWN: mine }\n", {"memory": "160MiB"})
    environment, folder, root, files = host.invoke(name, expect="ok").json()
    expected = {
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "_HANDLER": "own.handler", "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "160",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "TZ": ":UTC", "OWN": "mine",
        "BULKHEAD_FUNCTION": name, "BULKHEAD_VERSION": "1", "BULKHEAD_MEMORY_MIB": "160", "HOME": "/tmp", "LANG": "C.UTF-8"}
    assert {key: environment.get(key) for key in expected} == expected
    assert environment["AWS_EXECUTION_ENV"].startswith("AWS_Lambda_provided")
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[1\][0-9a-f]{32}", environment["AWS_LAMBDA_LOG_STREAM_NAME"]), environment
    assert CANARY not in environment.values() and not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & set(environment)
    assert (folder, root) == ("/function", "/function") and {"bootstrap", "function.yaml"} <= set(files)


def test_log(host):
    """What it writes anywhere is its log, and none of it is the answer."""
    name = deploy(host, """
        print("starts", flush=True)
        def handle(event, headers):
            print("out", event)
            print("err", event, file=sys.stderr)
            return event
        serve(handle)
        """)
    for number in (1, 2):
        reply = host.invoke(name, number, expect="ok")
        assert reply.body == b"%d" % number
        identifier = reply["Bulkhead-Invocation-Id"]
        expected = {f"out {number}", f"err {number}"}
        eventually(lambda: expected <= set(texts(host, name, invocation=identifier)), 5, "both lines are its own")
        assert f"out {3 - number}" not in texts(host, name, invocation=identifier)
    assert texts(host, name).count("starts") == 1


# -- Answers ----------------------------------------------------------------------------------------------------------

RESULTS = {
    "JSON": (b'{"a": [1, null]}', "application/json"),
    "JSON with spaces": (b'\n {"a":1} \n', "application/json"),
    "text": ("na\u00efve \u20ac".encode(), "text/plain; charset=utf-8"),
    "bytes": (bytes(range(256)) * 100, "application/octet-stream"),
    "a NUL": (b"\0", None),
    "nothing": (b"", None),
}


@pytest.fixture(scope="module")
def answering(host):
    return deploy(host, """
        while True:
            id, event, headers = following()
            body = bytes.fromhex(event["body"])
            parts = [body[:5], body[5:]] if len(body) > 5 else [body] if body else []
            if event["way"] == "streamed":
                stream(id, parts, "Content-Type: image/png")
            elif event["way"] == "whole":
                answer(id, body)
            else:
                api.request("POST", f"{ROOT}invocation/{id}/response", iter(parts), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
                api.getresponse().read()
        """)


@pytest.mark.parametrize("case", RESULTS)
@pytest.mark.parametrize("way", ["whole", "in chunks", "streamed"])
def test_results(host, answering, case, way):
    """The bytes are the result, whatever its client called them and however it sent them."""
    body, kind = RESULTS[case]
    reply = host.invoke(answering, {"body": body.hex(), "way": way}, expect="ok")
    assert reply.body == body and (kind is None or reply["Content-Type"] == kind), reply
    carries_all(reply)


def test_the_host_says_that_it_was_taken(host):
    name = deploy(host, """
        told = None
        while True:
            id, event, headers = following()
            status, headers, body = ask("POST", f"invocation/{id}/response", json.dumps(told).encode())
            told = status, json.loads(body)
        """)
    assert host.invoke(name, expect="ok").json() is None
    assert host.invoke(name, expect="ok").json() == [202, {"status": "OK"}]


def test_a_large_answer_in_parts(host):
    name = deploy(host, """
        while True:
            id, event, headers = following()
            stream(id, (bytes([n]) * 65536 for n in range(event)))
        """, limits={"memory": "64MiB"})
    reply = host.invoke(name, 80, expect="ok", timeout=60)
    assert reply.body == b"".join(bytes([n]) * 65536 for n in range(80))


# -- Answers that go out while they are made --------------------------------------------------------------------------

SLOW_PARTS = """
    def parts(*given):
        for part in given:
            yield part
            time.sleep(0.4)
    while True:
        id, event, headers = following()
        stream(id, parts(%s), %s)
    """


def test_parts_arrive_when_they_are_sent(host):
    """By HTTP, of a function that streams; a caller of the API gets the whole."""
    name = deploy(host, SLOW_PARTS % ('b"one ", b"two ", b"three"', '"Content-Type: text/plain"'), STREAMED)
    for _ in range(2):
        reply, _ = opened(host, name)
        assert reply.status == 200 and reply.headers["Transfer-Encoding"] == "chunked"
        got = list(pieces(reply))
        assert b"".join(part for _, part in got) == b"one two three" and len(got) >= 3
        assert got[-1][0] - got[0][0] > 0.6
        assert record_of(host, reply.headers)["outcome"] == "ok"
    whole = host.invoke(name, expect="ok")
    assert whole.body == b"one two three" and whole["Content-Type"] == "text/plain; charset=utf-8"


def test_status_and_headers_before_the_parts(host):
    """application/vnd.awslambda.http-integration-response: an object, eight NUL bytes, the body."""
    head = '{"statusCode":201,"headers":{"Content-Type":"text/event-stream","x-a":"b"},"cookies":["a=1","b=2"]}'
    given = rf"""b'{head[:20]}', b'{head[20:]}\0\0\0', b'\0\0\0\0\0data: 1\n\n', b'data: 2\n\n'"""
    name = deploy(host, SLOW_PARTS % (given, '"Content-Type: application/vnd.awslambda.http-integration-response"'), STREAMED)
    reply, _ = opened(host, name)
    assert reply.status == 201 and reply.headers["content-type"] == "text/event-stream" and reply.headers["x-a"] == "b"
    assert reply.headers.get_all("set-cookie") == ["a=1", "b=2"]
    got = list(pieces(reply))
    assert b"".join(part for _, part in got) == b"data: 1\n\ndata: 2\n\n" and got[-1][0] - got[0][0] > 0.2


def test_a_plain_answer_of_a_function_that_streams(host):
    name = deploy(host, ECHO, STREAMED)
    reply = host.request("POST", f"/fn/{name}", b"hello", {"Content-Type": "text/plain"}, token=None)
    assert reply.status == 200 and reply.json()["body"] == "hello"


BROKEN_STREAM = """
    import base64
    while True:
        id, event, headers = following()
        if event is None:
            answer(id, "fine")
            continue
        told = base64.b64encode(json.dumps({"errorMessage": "half way", "errorType": "Own.Late", "stackTrace": ["a:1"]}).encode())
        def parts():
            yield b"beginning"
            time.sleep(0.3)
        stream(id, parts(), "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
               trailers=b"Lambda-Runtime-Function-Error-Type: Own.Late\\r\\nLambda-Runtime-Function-Error-Body: " + told + b"\\r\\n")
    """


def test_what_goes_wrong_half_way(host):
    """Is told in trailers: who has a part of the answer is cut off, who waits for the whole is told of the error."""
    name = deploy(host, BROKEN_STREAM, STREAMED)
    reply, _ = opened(host, name)
    assert reply.status == 200
    with pytest.raises(http.client.IncompleteRead):
        reply.read()
    assert record_of(host, reply.headers)["outcome"] == "error"
    error = failed(host.invoke(name, 1), "error")["error"]
    assert error["type"] == "Own.Late" and error["message"] == "half way"
    assert again(host, name).json() == "fine"


# -- Errors -----------------------------------------------------------------------------------------------------------

ERROR = """
    def misbehave(id, event):
        status, _, body = ask("POST", f"invocation/{id}/error", event["body"].encode("latin-1"), event.get("headers", {}))
        print(status, body.decode())
    """
TOLD = {"errorMessage": "no \u20ac", "errorType": "Own.Error", "stackTrace": ["main.c:1", "main.c:2"]}
# A body and headers: the type and the message that come of them.
ERRORS = {
    "as it should be": (json.dumps(TOLD), {"Lambda-Runtime-Function-Error-Type": "Unhandled"}, "Own.Error", "no \u20ac"),
    "type in the header alone": ('{"errorMessage":"m"}', {"Lambda-Runtime-Function-Error-Type": "Own.Header"}, "Own.Header", "m"),
    "nothing but the header": ("", {"Lambda-Runtime-Function-Error-Type": "Own.Header"}, "Own.Header", ""),
    "nothing": ("", {}, None, ""),
    "no JSON": ("it broke", {}, None, None),
    "other kinds": ('{"errorMessage":7,"errorType":[],"stackTrace":"x"}', {}, None, None),
    "no object": ("[1]", {}, None, None),
    "half a character": ('{"errorMessage":"\\ud800","errorType":"A"}', {}, None, None),
    "not UTF-8": ('{"errorMessage":"\xff"}', {}, None, None),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error(host, case):
    """Whatever it is told by, it is one, and the runtime goes on."""
    body, headers, kind, message = ERRORS[case]
    name = mischief(host, ERROR)
    reply = host.invoke(name, {"body": body.encode().decode("latin-1") if case == "as it should be" else body, "headers": headers})
    error = failed(reply, "error")["error"]
    assert error["type"] and (kind is None or error["type"] == kind) and (message is None or error["message"] == message), error
    assert case != "as it should be" or error["stackTrace"] == TOLD["stackTrace"]
    assert again(host, name).json()["seen"] >= 2
    eventually(lambda: texts(host, name) == ['202 {"status":"OK"}'], 5, "it was taken")


def test_an_error_of_a_command(host):
    name = mischief(host, ERROR, "mode: command\n")
    error = failed(host.invoke(name, {"body": '{"errorType":"T","errorMessage":"m"}'}), "error")["error"]
    assert (error["type"], error["message"]) == ("T", "m")
    assert host.invoke(name, expect="ok").json() == {"seen": 1}


@pytest.mark.parametrize("mode", ["command", "reactor"])
def test_an_error_before_the_first_event(host, mode):
    """What it could not start for is everyone's answer."""
    name = deploy(host, """
        status, _, body = ask("POST", "init/error", b'{"errorMessage":"no luck","errorType":"Own.Init","stackTrace":["x"]}',
                              {"Lambda-Runtime-Function-Error-Type": "Own.Init"})
        print(status, flush=True)
        sys.exit(1)
        """, f"mode: {mode}\n")
    for _ in range(2):
        error = failed(host.invoke(name), "error")["error"]
        assert (error["type"], error["message"], error["stackTrace"]) == ("Own.Init", "no luck", ["x"])


@pytest.mark.parametrize("mode", ["command", "reactor"])
@pytest.mark.parametrize("end, outcome, says", [
    ("sys.exit(3)", "exit", {"exitCode": 3}), ("os._exit(0)", "protocol_error", {}), ("os.kill(os.getpid(), 11)", "signal", {"signal": "SIGSEGV"}),
    ("raise ValueError('lost')", "exit", {"exitCode": 1}), ("time.sleep(60)", "timeout", {"limit": "wall"}),
])
def test_an_end_without_an_answer(host, mode, end, outcome, says):
    name = mischief(host, f"def misbehave(id, event):\n    {end}\n", f"mode: {mode}\n", {"wall": f"{SLOWNESS}s"})
    told = failed(host.invoke(name, 1), outcome)
    assert {key: told[key] for key in says} == says
    assert outcome != "protocol_error" or "exited without answering" in told["detail"]
    after = host.invoke(name, expect="ok")
    assert after.json() == {"seen": 1} and after["Bulkhead-Start"] != "reused"


@pytest.mark.parametrize("end, outcome, says", [
    ("sys.exit(3)", "exit", {"exitCode": 3}), ("sys.exit(0)", "protocol_error", {}), ("time.sleep(60)", "timeout", {"limit": "init"})])
def test_an_end_before_it_asks(host, end, outcome, says):
    name = deploy(host, end, limits={"init": f"{SLOWNESS if outcome == 'timeout' else 10 * SLOWNESS}s"})
    began = time.monotonic()
    told = failed(host.invoke(name), outcome)
    assert time.monotonic() - began < 5 * SLOWNESS and {key: told[key] for key in says} == says
