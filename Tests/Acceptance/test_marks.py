"""Combining marks: text that looks short, and that Unicode would have sorted before anybody compares it.

The time for that grows with the square of the run: 120 KB take more than a second, what a function may answer takes the host
half an hour. And a "/" or ";" with a mark behind it, or a character that is canonically the same, must be what its bytes are.
"""

import json
import time

import pytest

from bulkhead_host import ZIP, at_once, unique_name
from bundles import script_bundle, zip_of
from checks import failed, problem
from conftest import SLOWNESS
from test_gateway_attacks import memory, raw

PATIENCE = 5 * SLOWNESS


def marks(count):
    """The worst order there is: everything has to move past everything."""
    return "\u0301" * (count // 2) + "\u0316" * (count // 2)


def in_time(host, deeds):
    """Does all of it at once, and says what came back; another function answers meanwhile, and soon after."""
    began = time.monotonic()
    replies = at_once([*deeds, lambda: host.get("/healthz", token=None)])
    assert time.monotonic() - began < PATIENCE
    assert replies.pop().status == 200
    return replies


# -- From functions ---------------------------------------------------------------------------------------------------

REACTOR = """#!/usr/bin/python3
import sys
def write(text):
    sys.stdout.buffer.write(text.encode() + b"\\n")
    sys.stdout.flush()
marks = "\\u0301" * 500_000 + "\\u0316" * 500_000
{before}
write('{{"jsonrpc":"2.0","method":"ready"}}')
for line in sys.stdin:
    write({answer})
"""


@pytest.mark.parametrize("before, answer", [
    ("""write('{"' + marks + '":0}')""", "''"),
    ("""write('{"jsonrpc":"' + marks + '"}')""", "''"),
    ("", """'{"jsonrpc":"2.0","id":"' + marks + '","result":0}'"""),
    ("", """'{"jsonrpc":"2.0","' + marks + '":1,"id":1,"result":0}'"""),
], ids=["name", "version", "id", "name in an answer"])
def test_a_reactors_line(host, before, answer):
    name = unique_name("marks")
    program = REACTOR.format(before=before, answer=answer).encode()
    host.upload(name, program, {"mode": "reactor", "wall": "20s", "init": "20s"})
    for reply in in_time(host, [lambda: host.invoke(name, timeout=60)] * 3):
        failed(reply, "protocol_error")


def test_an_error_is_kept_short(host):
    """Records of failures stay in memory: they are cut by bytes, not by what a person would call a character."""
    name = unique_name("marks")
    files = {"function.yaml": b"runtime: python\nhandler: app.handle\nmode: reactor\nlimits: { wall: 20s }\n",
             "app.py": b"def handle(event, context):\n    raise type('E' + '\\u0301' * 4000, (Exception,), {})("
                       b"'a' + '\\u0301' * 600_000)\n"}
    host.upload(name, zip_of(files), content_type=ZIP)
    for reply in in_time(host, [lambda: host.invoke(name, timeout=60)] * 3):
        error = failed(reply, "error")["error"]
        assert len(reply.body) < 32_000
        assert len(error["message"].encode()) <= 8192 + 3 and len(error["type"].encode()) <= 256 + 3


def test_many_errors_fill_no_memory(host):
    """Ten thousand records are kept, but not all that was raised."""
    name = unique_name("raiser")
    error = {"code": -32000, "message": "m" * 8000, "data": {"type": "T", "stackTrace": ["s" * 1000] * 64}}
    answer = '"jsonrpc":"2.0","error":' + json.dumps(error) + "}"
    host.upload(name, f"""#!/usr/bin/python3
import json, sys
print('{{"jsonrpc":"2.0","method":"ready"}}', flush=True)
for line in sys.stdin:
    print('{{"id":%d,' % json.loads(line)["id"] + {answer!r}, flush=True)
""".encode(), {"mode": "reactor", "cpu": "3s", "max": 4})

    def many():
        for _ in range(750):
            last = host.invoke(name, timeout=60)
        return last
    failed(host.invoke(name), "error")
    before = memory(host)
    for last in at_once([many] * 4):  # some 220 MB of errors
        assert failed(last, "error")["error"]["stackTrace"] == error["data"]["stackTrace"], "the caller is told all of it"
    assert memory(host) < before + 120
    record = host.get(f"/v1/invocations/{last['Bulkhead-Invocation-Id']}").json()
    assert record["outcome"] == "error"


@pytest.mark.parametrize("result", [
    {marks(1_000_000): 0}, {"statusCode": 200, marks(1_000_000): 0}, {"statusCode": marks(1_000_000)},
    {"statusCode": 200, "headers": {marks(1_000_000): "x"}}, {"statusCode": 200, "body": marks(1_000_000)},
    {"statusCode": 200, "headers": {"x": {marks(1_000_000): 0}}}, {"statusCode": 200, "isBase64Encoded": marks(1_000_000)},
], ids=["name", "other name", "status", "header", "body", "value", "encoding"])
def test_an_answer_over_http(host, result):
    name = unique_name("marks")
    body = json.dumps(result, ensure_ascii=False).encode()
    files = {"answer.json": body, "run": (b"#!/bin/sh\ncat answer.json\n", 0o755),
             "function.yaml": f"name: {name}\nrun: ./run\nauth: none\nlimits: {{ wall: 20s }}\n".encode()}
    host.upload(name, zip_of(files), content_type=ZIP)
    for reply in in_time(host, [lambda: host.get(f"/fn/{name}", token=None, timeout=60)] * 3):
        assert reply.status in (200, 502) and len(reply.body) < 3_000_000


# -- From clients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [
    "Authorization: Bearer {token}{marks}", "Authorization: Bearer x{marks}", "Authorization: x{marks} {token}",
    "Authorization: Bearer {token}\r\ntraceparent: 00-{marks}-1-01", "Authorization: Bearer {token}\r\nPrefer: x{marks}",
    "Authorization: Bearer {token}\r\nContent-Type: x{marks}", "Cookie: x{marks}", "Accept: text/{marks}",
    "Connection: x{marks}", "Expect: x{marks}", "If-None-Match: x{marks}",
], ids=["token", "no token", "scheme", "trace", "preference", "type", "cookie", "accept", "connection", "expect", "tag"])
@pytest.mark.parametrize("count", [2_000, 36_000])
@pytest.mark.parametrize("route", ["POST /v1/functions/{name}/invocations", "GET /healthz"])
def test_a_header(host, example, route, count, header):
    """Those that are not too long are looked at, and answered as ever."""
    name = example("echo")
    host.invoke(name, 1, expect="ok")  # a token that is known is looked up first
    head = f"{route} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n{header}\r\n\r\n1"
    request = head.format(name=name, token=host.token, marks=marks(count)).encode()
    for answer in in_time(host, [lambda: raw(host, request, PATIENCE)] * 8):
        assert int(answer.split(b" ")[1]) in ((400,) if count > 2_000 else (200, 401, 417)), answer[:200]


def test_a_long_query(host):
    """What is decoded from a path or query is bounded, also of functions that are open to all."""
    name = unique_name("open")
    host.upload(name, b"#!/bin/sh\ncat\n", {"auth": "none"})
    encoded = "".join(f"%{byte:02X}" for byte in marks(2_400).encode())
    for reply in in_time(host, [lambda: host.get(f"/fn/{name}?{encoded}=1", token=None)] * 8):
        assert reply.json()["queryStringParameters"] == {marks(2_400): "1"}
    detail = problem(host.get(f"/fn/{name}?{encoded}{encoded}=1", token=None), "invalid_request")["detail"]
    assert "16384" in detail
    assert host.get("/healthz", token=None).status == 200


# -- What only looks the same -----------------------------------------------------------------------------------------


def test_a_cookie_is_what_its_bytes_are(host):
    """U+037E is canonically a semicolon; a semicolon with a mark behind it is one still."""
    name = unique_name("open")
    host.upload(name, b"#!/bin/sh\ncat\n", {"auth": "none"})
    head = f"GET /fn/{name} HTTP/1.1\r\nHost: a\r\nCookie: a=1\u037eb=2;\u0301c=3 ; d=4\r\n\r\n"
    answer = raw(host, head.encode()).partition(b"\r\n\r\n")[2]
    assert json.loads(answer)["cookies"] == ["a=1\u037eb=2", "\u0301c=3", "d=4"]


def test_arguments_are_told_apart(host):
    name = unique_name("args")
    program = b"#!/bin/sh\nprintf %s \"$1\" | wc -c\n"
    host.upload(name, program, {"args": "\u00e9"}, expect=[201])
    host.upload(name, program, {"args": "e\u0301"}, expect=[201])
    assert host.invoke(name, expect="ok").json() == 3


def test_grants_are_told_apart(host, workspace):
    folder = workspace / unique_name("granted")
    folder.mkdir()
    names = [folder / "\u00e9", folder / "e\u0301"]
    for path in names:
        path.write_text(str(len(path.name)))
    bundle = script_bundle(
        f"run: ./run\nallow:\n  files.read: ['{names[0]}', '{names[1]}']\n",
        f"#!/bin/sh\ncat '{names[0]}' '{names[1]}'\n".encode())
    name = unique_name("grants")
    host.upload(name, bundle, content_type=ZIP)
    assert host.invoke(name, expect="ok").body == b"12"
