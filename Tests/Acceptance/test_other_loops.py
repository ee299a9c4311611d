"""Work that grows with a tenant's bytes is done beside the event loops: others' answers and deadlines do not wait for it.

While each of these goes on, a warm reactor of somebody else answers as quickly as ever, and a function at its `wall` is
ended then. The attackers' clients are processes of their own, so that only the host's time is measured.
"""

import json
import subprocess
import threading
import time
from contextlib import closing

import pytest

from bulkhead_host import unique_name
from checks import failed
from conftest import SLOWNESS
from supervising import Lasting, bundle, echo
from system import eventually

SECONDS = 8
SLOWEST = 0.25 * SLOWNESS  # of a hundred of the other function's answers, all but one
LATE = 1.5 * SLOWNESS  # a `wall: 1s` ends by then

# Writes its line in pieces, so that it takes little memory itself. «#» stands for the request's id.
REACTOR = """#!/usr/bin/python3
import json, os, sys
os.write(1, b'{"jsonrpc":"2.0","method":"ready"}\\n')
def say(text):
    while text:
        text = text[os.write(1, text):]
for line in sys.stdin:
    begin, piece, end = json.loads(open("/function/line").read())
    say(begin.replace("#", json.dumps(json.loads(line)["id"])).encode())
    for _ in range(60):
        say((piece * ((1 << 20) // len(piece) + 1)).encode()[:1 << 20 if len(piece) == 1 else None])
    say((end + "\\n").encode())
"""
ERROR = '{"jsonrpc":"2.0","id":#,"error":{"code":1,"message":"m","data":{"type":"E","stackTrace":["x"'
LARGE = {
    "a stackTrace of 60 MiB": [ERROR, ',"  at f (x.py:1)"', "]}}}"],
    "a stackTrace of 15 million lines": [ERROR, ',""', "]}}}"],
    "a stackTrace of one line": [ERROR + ',"', "x", '"]}}}'],
    "an error's message of 60 MiB": ['{"jsonrpc":"2.0","id":#,"error":{"code":1,"message":"', "\\u00e9", '"}}'],
    "an error's data of 60 MiB": ['{"jsonrpc":"2.0","id":#,"error":{"code":1,"message":"m","data":{"a":[0', ",1", "]}}}"],
    "a result of 60 MiB": ['{"jsonrpc":"2.0","id":#,"result":[0', ",1", "]}"],
    "a result of objects": ['{"jsonrpc":"2.0","id":#,"result":[0', ',{"a":{}}', "]}"],
    "members of 60 MiB": ['{"jsonrpc":"2.0","id":#,"x":[0', ",1", '],"result":1}'],
    "nothing but blanks": ['{"jsonrpc":"2.0","id":#,', " ", '"result":1}'],
    "a line that never ends": ["", "x", "x"],
}
SHELL = {
    "millions of newlines on stderr": ("yes '' | head -c 60000000 >&2", {"log": "64MiB"}),
    "millions of newlines beyond the limit": ("yes '' | head -c 60000000 >&2", {}),
    "lines of one byte": ("yes a | head -c 60000000 >&2", {"log": "64MiB"}),
    "a log line of 60 MB": ("head -c 60000000 /dev/zero | tr '\\0' a >&2", {"log": "64MiB"}),
    "a log that is no text": ("head -c 60000000 /dev/zero | tr '\\0' '\\377' >&2", {"log": "64MiB"}),
    "a JSON result of 60 MB": ("printf '[1'; yes ',1' | tr -d '\\n' | head -c 60000000; printf ']'", {}),
    "a JSON string of 60 MB": ("printf '\"'; head -c 60000000 /dev/zero | tr '\\0' a; printf '\"'", {}),
    "text of 60 MB": ("head -c 60000000 /dev/zero | tr '\\0' a", {}),
    "JSON that ends badly": ("printf '['; yes '[],' | tr -d '\\n' | head -c 60000000", {}),
    "a page of 60 MB": ("printf '{\"statusCode\":200,\"body\":\"'; yes '\\u00e9' | tr -d '\\n' | head -c 60000000; printf '\"}'", {}),
    "a page in base64": ("printf '{\"statusCode\":200,\"isBase64Encoded\":true,\"body\":\"';"
                         "head -c 60000000 /dev/zero | tr '\\0' A; printf '\"}'", {}),
}


def attacker(host, case):
    """Uploads it, open to all."""
    if case in SHELL:
        script, limits = SHELL[case]
        name = unique_name("loud")
        host.upload(name, f"#!/bin/sh\n{script}\n".encode(), {
            "auth": "none", "output": "64MiB", "wall": "60s", "memory": "64MiB", **limits})
        return name
    manifest = "run: ./run\nmode: reactor\nauth: none\nlimits: { output: 64MiB, wall: 60s, memory: 64MiB }\n"
    return bundle(host, manifest, {"run": REACTOR, "line": json.dumps(LARGE[case])})


class Crowd:
    """Two clients that ask for it over and over, by both ways in."""

    def __init__(self, host, name):
        self.paths = [f"/fn/{name}", f"/v1/functions/{name}/invocations"]
        self.host, self.count, self.over = host, 0, False
        self.threads = [threading.Thread(target=self._run, args=[path]) for path in self.paths]

    def _run(self, path):
        while not self.over:
            subprocess.run(["curl", "-s", "-o", "/dev/null", "-m", "60", "-H", f"Authorization: Bearer {self.host.token}",
                            "-H", "Content-Type: application/json", "-d", "{}", self.host.url + path], check=False)
            self.count += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for thread in self.threads:
            thread.join()


def latencies(host, name, seconds):
    """How long the warm reactor's answers took, one after the other on one connection."""
    path, headers = f"/v1/functions/{name}/invocations", {"Authorization": f"Bearer {host.token}"}
    found, until = [], time.monotonic() + seconds
    with closing(host.connect()) as connection:
        while time.monotonic() < until:
            began = time.monotonic()
            connection.request("POST", path, b"{}", headers)
            response = connection.getresponse()
            response.read()
            found.append(time.monotonic() - began)
            assert response.headers["Bulkhead-Outcome"] == "ok", dict(response.headers)
            time.sleep(0.005)
    return sorted(found)


@pytest.fixture(scope="module")
def loops(workspace, mirror_source):
    from conftest import new_host
    host = new_host(workspace, unique_name("loops")).start()
    host.upload("warm", mirror_source, {"mode": "reactor"})
    host.upload("sleeper", b"#!/bin/sh\nsleep 30\n", {"wall": "1s"})
    host.other = echo(host)
    host.invoke("warm", {}, expect="ok")
    yield host
    host.stop()


@pytest.mark.parametrize("case", [*LARGE, *SHELL])
def test_others_do_not_wait(loops, case):
    name = attacker(loops, case)
    ended = []

    def deadline():
        for _ in range(3):
            began = time.monotonic()
            failed(loops.invoke("sleeper", {}), "timeout")
            ended.append(time.monotonic() - began)
    with Lasting(loops, loops.other), Crowd(loops, name) as crowd:
        at_their_wall = threading.Thread(target=deadline)
        at_their_wall.start()
        found = latencies(loops, "warm", SECONDS)
        at_their_wall.join()
    print(f"p99 {found[len(found) * 99 // 100] * 1000:.0f} ms of {len(found)}, most {found[-1] * 1000:.0f} ms, "
          f"ended {[round(took, 2) for took in ended]}, attacks {crowd.count}")
    assert crowd.count, "there was no attack"
    assert len(ended) == 3 and max(ended) < LATE, ended
    assert found[len(found) * 99 // 100] < SLOWEST, found[-20:]
    assert found[-1] < 4 * SLOWEST, found[-5:]
    loops.delete(name)


def test_a_large_error_is_told_shortly(loops):
    """What is kept of it is bounded, as is what is told, and it is still an error with its type."""
    name = attacker(loops, "a stackTrace of 60 MiB")
    reply = loops.invoke(name, {}, timeout=60)
    if reply.outcome != "protocol_error":
        told = failed(reply, "error")["error"]
        assert told["type"] == "E" and 1 <= len(told["stackTrace"]) <= 1000, str(told)[:300]
    assert len(reply.body) < 100_000
    identifier = reply["Bulkhead-Invocation-Id"]
    assert len(loops.get(f"/v1/invocations/{identifier}").body) < 100_000


def test_a_log_of_newlines_is_kept_within_bounds(loops):
    """Asked for again it is no flood either."""
    name = attacker(loops, "millions of newlines on stderr")
    loops.invoke(name, {}, timeout=60)
    began = time.monotonic()
    lines = eventually(lambda: loops.logs(name), 10 * SLOWNESS, "some of it is there")
    assert len(lines) <= 10_000 and time.monotonic() - began < 5 * SLOWNESS
