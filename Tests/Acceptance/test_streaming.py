"""Answers that go out while they are made: by commands, reactors and Python; what cuts them off, and who is held up by whom."""

import base64
import http.client
import json
import os
import socket
import subprocess
import time

import pytest

import system
from bulkhead_host import unique_name
from bundles import zip_of
from checks import failed, problem
from conftest import SLOWNESS
from system import eventually, with_argument

MIB = 1 << 20
PRELUDE = b"\\0" * 8
REACTOR = """#!/usr/bin/env python3
import base64, json, os, sys, time
print('{"jsonrpc":"2.0","method":"ready"}', flush=True)
for line in sys.stdin:
    request = json.loads(line)
    event, own = request["params"]["event"], request["id"]
    plan = event
    if isinstance(event, dict):
        plan = json.loads(base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"])
    for step in plan:
        if "sleep" in step:
            time.sleep(step["sleep"])
        elif "die" in step:
            os.kill(os.getpid(), step["die"])
        elif "raw" in step:
            print(step["raw"].replace("ID", str(own)), flush=True)
        elif "result" in step:
            print(json.dumps({"jsonrpc": "2.0", "id": own, "result": step["result"]}), flush=True)
        elif "error" in step:
            print(json.dumps({"jsonrpc": "2.0", "id": own, "error": {"code": -32000, "message": step["error"]}}), flush=True)
        else:
            print(json.dumps({"jsonrpc": "2.0", "method": "chunk", "params": {"id": own} | step}), flush=True)
"""


def script(text):
    return b"#!/bin/bash\n" + text.encode()


@pytest.fixture
def upload(host):
    made = []

    def make(payload, **query):
        name = unique_name("stream")
        query = {"stream": "true", "auth": "none", "wall": "60s"} | query
        host.upload(name, payload, query=list(query.items()))
        made.append(name)
        return name
    yield make
    for name in made:
        host.delete(name)


def opened(host, name, body=None, method=None, version=None, path=""):
    """An answer of which only the head was read, and its connection."""
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=60)
    connection.request(method or ("POST" if body is not None else "GET"), f"/fn/{name}{path}", body, {"Content-Type": "application/json"} if body else {})
    return connection.getresponse(), connection


def pieces(reply):
    """What came together, and when."""
    began = time.monotonic()
    while part := reply.read1(1 << 20):
        yield time.monotonic() - began, part


def play(host, name, *steps):
    return opened(host, name, json.dumps(steps).encode())[0]


def test_a_command_streams(host, upload):
    """What it writes is there when it has written it, not when it ends; how it ended is in the trailer."""
    name = upload(script("echo one; sleep 0.6; echo two; sleep 0.6; echo three"))
    reply, _ = opened(host, name)
    assert reply.status == 200 and reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["Transfer-Encoding"] == "chunked" and reply.headers["Bulkhead-Start"] == "cold"
    assert reply.headers["Trailer"] == "Bulkhead-Outcome" and reply.headers["Bulkhead-Outcome"] is None
    got = list(pieces(reply))
    assert b"".join(part for _, part in got) == b"one\ntwo\nthree\n" and len(got) >= 3
    assert got[-1][0] - got[0][0] > 0.9
    record = host.get(f"/v1/invocations/{reply.headers['Bulkhead-Invocation-Id']}").json()
    assert record["outcome"] == "ok" and record["usage"]["wall-ms"] > 1000, record
    raw = subprocess.run(["curl", "-sS", "--raw", f"{host.url}/fn/{name}"], capture_output=True, timeout=30).stdout
    assert raw.endswith(b"0\r\nBulkhead-Outcome: ok\r\n\r\n"), raw
    priced = subprocess.run(["curl", "-sS", "--raw", "-H", f"Authorization: Bearer {host.token}", f"{host.url}/fn/{name}"],
                            capture_output=True, timeout=30).stdout
    assert b"\r\nBulkhead-Usage: wall-ms=" in priced


def test_status_and_headers(host, upload):
    """As in Lambda's response streaming: an object, eight NUL bytes, the body."""
    head = '{"statusCode":201,"headers":{"content-type":"text/event-stream","x-a":"}\\"{"},"cookies":["a=1","b=2"]}'
    name = upload(script(f"""printf '%s' '{head}'; sleep 0.2; printf '\\0\\0\\0'; sleep 0.2; printf '\\0\\0\\0\\0\\0data: 1\\n\\n'; sleep 0.5; printf 'data: 2\\n\\n'"""))
    reply, _ = opened(host, name)
    assert reply.status == 201 and reply.headers["content-type"] == "text/event-stream" and reply.headers["x-a"] == '}"{'
    assert reply.headers.get_all("set-cookie") == ["a=1", "b=2"]
    got = list(pieces(reply))
    assert b"".join(part for _, part in got) == b"data: 1\n\ndata: 2\n\n" and got[-1][0] - got[0][0] > 0.3
    # A browser's way of reading it, and through a route.
    path = f"/{unique_name('events')}"
    host.request("PUT", f"/v1/routes{path}", json.dumps({"route": f"GET {path}", "function": name, "auth": "none",
                                                           "cors": {"origins": ["https://a.example"]}}).encode(), {"Content-Type": "application/json"})
    reply = subprocess.run(["curl", "-sSi", "-N", "-H", "Origin: https://a.example", f"{host.url}{path}"], capture_output=True, timeout=30).stdout
    assert reply.startswith(b"HTTP/1.1 201 ") and b"access-control-allow-origin: https://a.example" in reply.lower()
    assert b"data: 1\n\ndata: 2\n\n" in reply
    host.request("DELETE", f"/v1/routes{path}")


@pytest.mark.parametrize("output, body, kind", [
    ('{"a":1}\\n{"b":2}\\n', b'{"a":1}\n{"b":2}\n', "text/plain; charset=utf-8"),
    ('{"statusCode":201}', b'{"statusCode":201}', "text/plain; charset=utf-8"),
    ('{"statusCode":201}\\0\\0\\0', b'{"statusCode":201}\0\0\0', "text/plain; charset=utf-8"),
    ('{"a":', b'{"a":', "text/plain; charset=utf-8"), ("", b"", "text/plain; charset=utf-8"),
    ("\\377\\376", b"\xff\xfe", "application/octet-stream"),
    ('{}\\0\\0\\0\\0\\0\\0\\0\\0x', b"x", "application/octet-stream"),
])
def test_what_is_no_head_is_the_body(host, upload, output, body, kind):
    name = upload(script(f"printf '{output}'"))
    reply, _ = opened(host, name)
    assert (reply.status, reply.headers["Content-Type"], reply.read()) == (200, kind, body)


def test_lines_of_json_do_not_wait(host, upload):
    name = upload(script("""echo '{"n":1}'; sleep 0.6; echo '{"n":2}'; sleep 0.6; echo '{"n":3}'"""))
    got = list(pieces(opened(host, name)[0]))
    assert len(got) >= 3 and got[-1][0] - got[0][0] > 0.9


@pytest.mark.parametrize("head", ['{"statusCode":99}', '{"statusCode":"x"}', '{"headers":{"a\\\\nb":"c"}}', '{"headers":7}', '{"cookies":7}', '{"statusCode":1e99}'])
def test_a_head_that_is_none(host, upload, head):
    """Nothing has gone out yet: the outcome is told as ever, and the worker is gone."""
    marker = f"{40_000 + os.getpid() % 10_000}.{time.monotonic_ns() % 10**6:06}"
    name = upload(script(f"printf '%s\\0\\0\\0\\0\\0\\0\\0\\0x' '{head}'; sleep {marker}"))
    reply = host.get(f"/fn/{name}")
    failed(reply, "protocol_error")
    eventually(lambda: not with_argument(marker), 2 * SLOWNESS, "the worker is gone")
    assert host.get(f"/v1/invocations/{reply['Bulkhead-Invocation-Id']}").json()["outcome"] == "protocol_error"


@pytest.mark.parametrize("end, outcome", [("exit 3", "exit"), ("kill -SEGV $$", "signal"), ("sleep 60", "timeout"), ("head -c 3000000 /dev/zero", "output_exceeded")])
def test_a_failure_is_no_whole_answer(host, upload, end, outcome):
    """Its status has gone out: the connection is cut, so that nobody takes a part for the whole; the record says why."""
    name = upload(script(f"echo beginning; sleep 0.3; {end}"), wall="1s", output="2MiB")
    reply, _ = opened(host, name)
    assert reply.status == 200
    with pytest.raises(http.client.IncompleteRead):
        reply.read()
    record = host.get(f"/v1/invocations/{reply.headers['Bulkhead-Invocation-Id']}").json()
    assert record["outcome"] == outcome, record
    done = subprocess.run(["curl", "-sS", f"{host.url}/fn/{name}"], capture_output=True, timeout=30)
    assert done.returncode == 18, done
    early = upload(script(f"sleep 0.1; {end}" if outcome != "output_exceeded" else "head -c 3000000 /dev/zero >&2; exit 3"), wall="1s")
    assert host.get(f"/fn/{early}").status >= 500


def test_a_hundred_megabytes(host, upload):
    """Far beyond what is held of an answer, in steady memory."""
    name = upload(script("head -c 104857600 /dev/zero"))
    host.get("/healthz")
    before = system._process(host.supervisor.pid).status()["VmHWM"]
    done = subprocess.run(["curl", "-sS", f"{host.url}/fn/{name}", "-o", "/dev/null", "-w", "%{size_download}"], capture_output=True, text=True, timeout=60)
    assert done.stdout == str(100 * MIB), done
    after = system._process(host.supervisor.pid).status()["VmHWM"]
    assert int(after.split()[0]) - int(before.split()[0]) < 40_000, (before, after)
    whole = upload(script("head -c 104857600 /dev/zero"))
    refused = problem(host.invoke(whole, 1, timeout=60), "output_exceeded")
    assert "64MiB" in refused["limit"] and "/fn/" in refused["detail"]


def test_the_limit_of_a_stream(host, upload):
    assert problem(host.upload(unique_name("x"), script(":"), query=[("output", "65MiB")], expect=None), "invalid_request")["detail"].count("stream: true")
    name = upload(script("head -c 3145728 /dev/zero"), output="3MiB")
    assert len(host.get(f"/fn/{name}").body) == 3 * MIB
    shown = host.get(f"/v1/functions/{upload(script(':'))}").json()["manifest"]
    assert shown["stream"] is True and shown["limits"]["output"] == "200MiB"


def test_who_reads_slowly_holds_up_the_writer(host, upload):
    """A few pieces are kept for a client, and no more; others go on; one that leaves ends its invocation."""
    marker = f"{50_000 + os.getpid() % 10_000}.{time.monotonic_ns() % 10**6:06}"
    name = upload(script(f"echo start; head -c 104857600 /dev/zero; exec sleep {marker}"))
    other = upload(script("echo here"))
    used = []
    clients = []
    for _ in range(4):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", host.port))
        client.sendall(f"GET /fn/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        clients.append(client)
    time.sleep(1)
    used = int(system._process(host.supervisor.pid).status()["VmRSS"].split()[0])
    time.sleep(1)
    assert abs(int(system._process(host.supervisor.pid).status()["VmRSS"].split()[0]) - used) < 30_000
    assert not with_argument(marker), "nobody has written all of it"
    assert host.get(f"/fn/{other}").body == b"here\n"
    for client in clients:
        client.close()

    def running():
        return [one for one in host.get("/metrics").body.decode().splitlines() if one.startswith("bulkhead_running ")]
    eventually(lambda: running() in ([], ["bulkhead_running 0"], ["bulkhead_running 0.0"]), 5 * SLOWNESS, "all have ended")


def test_a_client_that_leaves_ends_it(host, upload):
    marker = f"{60_000 + os.getpid() % 10_000}.{time.monotonic_ns() % 10**6:06}"
    name = upload(script(f"echo here; exec sleep {marker}"))
    reply, connection = opened(host, name)
    assert reply.read1(100) == b"here\n"
    eventually(lambda: with_argument(marker), 5 * SLOWNESS, "it runs")
    reply.close()
    connection.close()
    eventually(lambda: not with_argument(marker), 3 * SLOWNESS, "it has ended")
    record = host.get(f"/v1/invocations/{reply.headers['Bulkhead-Invocation-Id']}").json()
    assert record["outcome"] == "cancelled"


def test_a_reactor_answers_in_chunks(host, upload):
    name = upload(REACTOR.encode(), mode="reactor")
    reply = play(host, name, {"head": {"statusCode": 203, "headers": {"x-a": "b"}}}, {"sleep": 0.4}, {"data": "one\n"}, {"sleep": 0.4},
                 {"data": base64.b64encode(b"\xff\x00two").decode(), "isBase64Encoded": True}, {"result": None})
    assert reply.status == 203 and reply.headers["x-a"] == "b"
    got = list(pieces(reply))
    assert b"".join(part for _, part in got) == b"one\n\xff\x00two" and got[-1][0] > 0.5
    # The same worker goes on.
    again = play(host, name, {"data": "again"}, {"data": ""}, {"data": "\u00e4\"\n"}, {"result": None})
    assert again.headers["Bulkhead-Start"] == "reused" and again.read() == 'again\u00e4"\n'.encode()
    # What is not asked for in parts comes as a whole; a plain answer as ever.
    whole = host.invoke(name, [{"data": "a"}, {"data": "b"}, {"result": None}], expect="ok")
    assert whole.body == b"ab" and whole["Content-Type"] == "text/plain; charset=utf-8"
    plain = play(host, name, {"result": {"statusCode": 418, "body": "tea"}})
    assert plain.status == 418 and plain.read() == b"tea" and plain.headers["Bulkhead-Outcome"] == "ok"


def test_chunks_without_a_stream_are_gathered(host, upload):
    name = upload(REACTOR.encode(), mode="reactor", stream="false")
    reply = play(host, name, {"data": "one "}, {"data": "two"}, {"result": None})
    assert reply.status == 200 and reply.headers["Content-Length"] == "7" and reply.read() == b"one two"


CHUNK = '{"jsonrpc":"2.0","method":"chunk","params":{"id":ID,"data":"x"%s}}'


@pytest.mark.parametrize("step", [
    {"raw": '{"jsonrpc":"2.0","method":"chunk","params":{"id":1,"data":"x"}}'}, {"raw": '{"jsonrpc":"2.0","method":"chunk"}'},
    {"raw": '{"jsonrpc":"2.0","method":"other","params":{"id":ID,"data":"x"}}'}, {"raw": '{"jsonrpc":"2.0","method":"chunk","params":[ID]}'},
    {"data": 7}, {"data": "?", "isBase64Encoded": True}, {"head": 7}, {"raw": '{"method":"chunk","params":{"id":ID,"data":"x"}}'},
    {"data": "x" * (2 * MIB)},
])
@pytest.mark.parametrize("before", [[], [{"data": "before"}, {"sleep": 0.3}]], ids=["at first", "later"])
def test_a_chunk_that_is_none(host, upload, step, before):
    """Is what breaks the protocol ever was: that worker's end. Where parts have gone out, the connection is cut."""
    name = upload(REACTOR.encode(), mode="reactor")
    reply = play(host, name, *before, step, {"result": None})
    if before:
        assert reply.status == 200
        with pytest.raises(http.client.IncompleteRead):
            reply.read()
        record = host.get(f"/v1/invocations/{reply.headers['Bulkhead-Invocation-Id']}").json()
        assert record["outcome"] == "protocol_error"
    else:
        assert reply.status == 502, reply.read()
    assert play(host, name, {"data": "next"}, {"result": None}).read() == b"next"


@pytest.mark.parametrize("steps, outcome", [
    ([{"result": 7}], "protocol_error"), ([{"error": "no"}], "error"), ([{"die": 9}], "signal"), ([{"head": {}}], "protocol_error"),
    ([{"data": "y"}, {"sleep": 9}], "timeout"), ([{"raw": "x"}], "protocol_error"), ([{"data": "z" * MIB}] * 4, "output_exceeded"),
])
def test_how_chunks_may_end(host, upload, steps, outcome):
    name = upload(REACTOR.encode(), mode="reactor", wall="1s", output="3MiB")
    reply = play(host, name, {"data": "before"}, {"sleep": 0.2}, *steps)
    assert reply.status == 200
    with pytest.raises(http.client.IncompleteRead):
        reply.read()
    record = host.get(f"/v1/invocations/{reply.headers['Bulkhead-Invocation-Id']}").json()
    assert record["outcome"] == outcome, record


def test_a_flood_of_little_chunks(host, upload):
    """Lines by the hundred thousand cost little more than their bytes, and hold nobody up."""
    program = REACTOR.replace("    for step in plan:", """    if plan == "flood":
        line = json.dumps({"jsonrpc": "2.0", "method": "chunk", "params": {"id": own, "data": "x"}}) + "\\n"
        for _ in range(100):
            sys.stdout.write(line * 2000)
        print(json.dumps({"jsonrpc": "2.0", "id": own, "result": None}), flush=True)
        continue
    for step in plan:""")
    name = upload(program.encode(), mode="reactor")
    other = upload(script("echo here"))
    reply, _ = opened(host, name, b'"flood"')
    began = time.monotonic()
    assert host.get(f"/fn/{other}").body == b"here\n"
    assert time.monotonic() - began < 2 * SLOWNESS
    assert reply.read() == b"x" * 200_000


def test_python_yields(host):
    """A handler that yields streams: a dictionary with statusCode first, then strings and bytes."""
    source = b"""
import time

def handler(event, context):
    plan = event.get("rawQueryString")
    if plan != "plain":
        yield {"statusCode": 202, "headers": {"Content-Type": "text/event-stream"}}
    for number in range(3):
        yield "data: %d\\n\\n" % number
        time.sleep(0.3)
    if plan == "fails":
        raise ValueError("half way")
    yield b"\\xff"
    yield "\\u00e4" * 500000
    yield bytearray(3 << 20)
"""
    for mode in ("reactor", "snapshot", "command"):
        name = unique_name("yields")
        manifest = f"name: {name}\nruntime: python\nhandler: app.handler\nmode: {mode}\nstream: true\nauth: none\n"
        host.upload(name, zip_of({"function.yaml": manifest.encode(), "app.py": source}), content_type="application/zip")
        reply, _ = opened(host, name)
        assert reply.status == 202 and reply.headers["Content-Type"] == "text/event-stream"
        got = list(pieces(reply))
        assert b"".join(part for _, part in got) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n\xff" + "\u00e4".encode() * 500_000 + bytes(3 * MIB) and got[-1][0] - got[0][0] > 0.5
        assert opened(host, name, path="?plain")[0].status == 200
        cut = opened(host, name, path="?fails")[0]
        with pytest.raises(http.client.IncompleteRead):
            cut.read()
        record = host.get(f"/v1/invocations/{cut.headers['Bulkhead-Invocation-Id']}").json()
        assert record["outcome"] == "error", record
        assert "half way" in json.dumps(host.get(f"/v1/functions/{name}/logs").json())
        host.delete(name)


def test_older_and_newer_http(host, upload):
    """HTTP/1.0 knows no chunks: its answer ends with the connection. HEAD gets the head."""
    name = upload(script("""printf '{"statusCode":201}\\0\\0\\0\\0\\0\\0\\0\\0one'; sleep 0.2; printf two"""))
    with socket.create_connection(("127.0.0.1", host.port), timeout=20) as connection:
        connection.sendall(f"GET /fn/{name} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b"onetwo" and b"transfer-encoding" not in head.lower() and b" 201 " in head
    only = host.request("HEAD", f"/fn/{name}")
    assert only.status == 201 and only["Bulkhead-Outcome"] == "ok"
    fails = upload(script("echo one; sleep 0.2; exit 3"))
    with socket.create_connection(("127.0.0.1", host.port), timeout=20) as connection:
        connection.sendall(f"GET /fn/{fails} HTTP/1.0\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):  # an end would say that this was all
            while connection.recv(65536):
                pass
    assert host.request("HEAD", f"/fn/{fails}").status == 502


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(host, upload, status):
    """What the function goes on to say is read, and nobody sees it; the connection serves the next one."""
    name = upload(script(f"""printf '{{"statusCode":{status},"headers":{{"x-a":"b"}}}}\\0\\0\\0\\0\\0\\0\\0\\0one'; sleep 0.2; head -c 1000000 /dev/zero"""))
    reply, connection = opened(host, name)
    assert (reply.status, reply.read(), reply.headers["x-a"], reply.headers["Bulkhead-Outcome"]) == (status, b"", "b", "ok")
    marker = f"{70_000 + os.getpid() % 10_000}.{time.monotonic_ns() % 10**6:06}"
    long = upload(script(f"echo here; exec sleep {marker}"))
    connection.request("GET", f"/fn/{long}")
    assert connection.getresponse().read1(100) == b"here\n"
    connection.close()
    eventually(lambda: not with_argument(marker), 3 * SLOWNESS, "its leaving is noticed")


def together(*lines):
    """All in one write, so that the end is known when the beginning is read."""
    text = "\\n".join(line.replace('"', '\\"') for line in lines)
    return f"""#!/usr/bin/env python3
import sys
print('{{"jsonrpc":"2.0","method":"ready"}}', flush=True)
for line in sys.stdin:
    own = line.split('"id":', 1)[1].split(",")[0]
    sys.stdout.write("{text}\\n".replace("ID", own))
    sys.stdout.flush()
""".encode()


RESULT = '{"jsonrpc":"2.0","id":ID,"result":null}'


def test_a_bad_head_with_its_end(host, upload):
    name = upload(together('{"jsonrpc":"2.0","method":"chunk","params":{"id":ID,"head":{"statusCode":999},"data":"x"}}', RESULT), mode="reactor")
    for _ in range(20):
        reply = host.get(f"/fn/{name}")
        failed(reply, "protocol_error")
        assert host.get(f"/v1/invocations/{reply['Bulkhead-Invocation-Id']}").json()["outcome"] == "protocol_error"


def test_data_is_never_a_head(host, upload):
    """What a reactor hands on may be a user's: only its own `head` says status and headers."""
    data = '{\\"statusCode\\":201,\\"headers\\":{\\"set-cookie\\":\\"a=1\\"}}' + "\\u0000" * 8 + "x"
    line = '{"jsonrpc":"2.0","method":"chunk","params":{"id":ID,"data":"%s"}}' % data
    name = upload(f"""#!/usr/bin/env python3
import sys
print('{{"jsonrpc":"2.0","method":"ready"}}', flush=True)
for line in sys.stdin:
    own = line.split('"id":', 1)[1].split(",")[0]
    print({line!r}.replace("ID", own), flush=True)
    print({RESULT!r}.replace("ID", own), flush=True)
""".encode(), mode="reactor")
    reply, _ = opened(host, name)
    assert reply.status == 200 and reply.headers["set-cookie"] is None
    assert reply.read() == b'{"statusCode":201,"headers":{"set-cookie":"a=1"}}' + bytes(8) + b"x"


def test_what_finds_no_room_is_no_whole_answer(hosts):
    """Chunks and end in one write, and a budget that the chunks do not fit into: never a shorter answer that says ok."""
    host = hosts(configuration="maxBuffered: 1MiB\n")
    program = b"""#!/usr/bin/env python3
import json, sys
print('{"jsonrpc":"2.0","method":"ready"}', flush=True)
for line in sys.stdin:
    own = json.loads(line)["id"]
    chunk = json.dumps({"jsonrpc": "2.0", "method": "chunk", "params": {"id": own, "data": "x" * 400_000}}) + "\\n"
    sys.stdout.write(chunk * 3 + json.dumps({"jsonrpc": "2.0", "id": own, "result": None}) + "\\n")
    sys.stdout.flush()
"""
    host.upload("large", program, query=[("mode", "reactor"), ("stream", "true"), ("auth", "none")])
    seen = set()
    for _ in range(20):
        reply, connection = opened(host, "large")
        try:
            body = reply.read()
            seen.add(reply.status)
            assert reply.status == 503 or len(body) == 1_200_000
        except http.client.IncompleteRead:
            seen.add("cut")
        connection.close()
    assert seen & {503, "cut"}, seen


# -- Requests ---------------------------------------------------------------------------------------------------------


def posted(host, name, file, *options):
    """By curl, which sends while it reads."""
    done = subprocess.run(["curl", "-sS", "-X", "POST", "-H", "Content-Type: application/octet-stream", "--data-binary", f"@{file}", *options,
                           "-w", "\n%{http_code}", f"{host.url}/fn/{name}"], capture_output=True, timeout=90)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status or 0), body, done


@pytest.fixture
def large(tmp_path):
    file = tmp_path / "large"
    file.write_bytes(os.urandom(30 * MIB + 1))
    return file


@pytest.mark.parametrize("options", [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"], ["--http1.0"]], ids=["length", "chunked", "asked", "1.0"])
def test_a_request_beyond_what_is_held(host, upload, large, options):
    """30 MiB through a function that copies, both ways at once, in steady memory."""
    name = upload(script("exec cat"))
    before = int(system._process(host.supervisor.pid).status()["VmHWM"].split()[0])
    status, body, done = posted(host, name, large, *options)
    assert status == 200, done.stderr
    event = json.loads(body)
    assert event["isBase64Encoded"] is True and base64.b64decode(event["body"]) == large.read_bytes()
    assert event["requestContext"]["http"]["method"] == "POST"
    assert int(system._process(host.supervisor.pid).status()["VmHWM"].split()[0]) - before < 80_000


@pytest.mark.parametrize("size", [6 * MIB - 1, 6 * MIB, 6 * MIB + 1, 6 * MIB + 2, 6 * MIB + 3, 9 * MIB])
def test_sizes_around_the_limit(host, upload, tmp_path, size):
    file = tmp_path / "file"
    file.write_bytes(os.urandom(size))
    status, body, _ = posted(host, upload(script("exec cat")), file)
    assert status == 200 and base64.b64decode(json.loads(body)["body"]) == file.read_bytes()


def test_who_is_held_up_by_a_slow_reader(host, upload, large):
    """What the function does not read is not taken of the client either."""
    name = upload(script("sleep 1.5; exec wc -c"))
    before = int(system._process(host.supervisor.pid).status()["VmRSS"].split()[0])
    sending = [subprocess.Popen(["curl", "-sS", "--data-binary", f"@{large}", f"{host.url}/fn/{name}"], stdout=subprocess.PIPE) for _ in range(3)]
    time.sleep(1)
    assert int(system._process(host.supervisor.pid).status()["VmRSS"].split()[0]) - before < 120_000
    for one in sending:
        assert int(one.communicate(timeout=60)[0]) > 40 * MIB


def test_a_function_that_has_read_enough(host, upload, large):
    """Its answer does not wait for the rest of the request, and reaches clients that send all of it before they read."""
    name = upload(script("head -c 20; exit 0"))
    fails = upload(script("head -c 20 >/dev/null; exit 3"))
    for function, expected in ((name, 200), (fails, 502)):
        status, body, done = posted(host, function, large)
        assert status == expected and (expected != 200 or len(body) == 20), done
        reply = host.request("POST", f"/fn/{function}", large.read_bytes(), timeout=60)
        assert reply.status == expected, reply
    # A client that stops sending is not waited for either.
    with socket.create_connection(("127.0.0.1", host.port), timeout=20) as connection:
        connection.sendall(f"POST /fn/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {40 * MIB}\r\n\r\n".encode() + bytes(7 * MIB))
        began = time.monotonic()
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ") and time.monotonic() - began < 5 * SLOWNESS
    assert host.get(f"/fn/{upload(script('echo here'))}").body == b"here\n"


def sent_slowly(host, name, size, pause):
    """A body a quarter of a MiB at a time; what a client that reads nothing before it has sent all is answered."""
    with socket.create_connection(("127.0.0.1", host.port), timeout=20) as connection:
        connection.sendall(f"POST /fn/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size * 4 // MIB):
            connection.sendall(bytes(MIB // 4))
            time.sleep(pause)
        answer = b""
        while part := connection.recv(1 << 20):
            answer += part
    return answer


@pytest.mark.parametrize("ending", ["exec <&-; sleep 1; echo answer", "exec cat <&- ; :", "trap '' PIPE; exec <&-; sleep 1; echo answer"])
def test_a_function_that_closes_its_input(host, upload, ending):
    """What it writes after that is its answer all the same, however much is still sent to it."""
    name = upload(script(f"head -c 100 >/dev/null; {ending}"))
    answer = sent_slowly(host, name, 9 * MIB, 0.06)
    assert answer.startswith(b"HTTP/1.1 200 ") == ("answer" in ending) and (b"answer" in answer) == ("answer" in ending), answer


def test_a_large_answer_while_the_request_goes_on(host, upload):
    """It is all there, though the function has ended and the client has read nothing yet."""
    name = upload(script("head -c 8000000 >/dev/null; head -c 3000000 /dev/zero; exit 0"))
    answer = sent_slowly(host, name, 12 * MIB, 0.05)
    assert answer.count(b"\0") >= 3_000_000 and b"Bulkhead-Outcome: ok" in answer


def test_a_client_that_breaks_off(host, upload):
    """Half an event is no event: the invocation ends, and the function with it."""
    marker = f"{80_000 + os.getpid() % 10_000}.{time.monotonic_ns() % 10**6:06}"
    name = upload(script(f"sleep {marker} & exec cat >/dev/null"))
    for end in ("close", "malformed"):
        with socket.create_connection(("127.0.0.1", host.port), timeout=20) as connection:
            connection.sendall(f"POST /fn/{name} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            for _ in range(7):
                connection.sendall(b"100000\r\n" + bytes(MIB) + b"\r\n")
            eventually(lambda: with_argument(marker), 10 * SLOWNESS, "it runs")
            if end == "malformed":
                connection.sendall(b"no number\r\n")
                eventually(lambda: not with_argument(marker), 5 * SLOWNESS, "it has ended")
        eventually(lambda: not with_argument(marker), 5 * SLOWNESS, "it has ended")


def test_what_is_held_as_a_whole_stays_bounded(host, upload, large):
    """Functions that do not stream, those that speak JSON-RPC, and signed bodies take what is held of an event, and no more."""
    for name in (upload(script("exec cat"), stream="false"), upload(REACTOR.encode(), mode="reactor")):
        assert posted(host, name, large)[0] == 413
