"""Accepted to be run later: each item has its turn whatever others do, ends as what it was, and is found again."""

import base64
import http.client
import json
import socket
import threading
import time

import pytest

from bulkhead_host import unique_name
from conftest import SLOWNESS
from supervising import bundle
from system import eventually

ECHO = b"#!/bin/sh\nexec cat\n"


def later(host, name, event=None):
    """The id of an accepted item."""
    reply = host.invoke(name, event, headers={"Prefer": "respond-async"})
    assert reply.status == 202, reply
    return reply["Location"].rsplit("/", 1)[1]


def sleeper(host, seconds, most):
    name = unique_name("slow")
    host.upload(name, f"#!/bin/sh\nsleep {seconds}\necho 1\n".encode(), {"max": most, "wall": "20s"})
    return name


@pytest.mark.parametrize("most, count", [(2, 40), (1, 100), (100, 40)])
def test_a_slow_function_holds_nobody_else_up(hosts, most, count):
    """However many of one function wait, another's single item is done in its own time."""
    host = hosts()
    slow, quick = sleeper(host, 1, most), unique_name("quick")
    host.upload(quick, ECHO)
    waiting = [later(host, slow) for _ in range(count)]
    began = time.monotonic()
    assert host.record_when_done(later(host, quick, 5), 30)["outcome"] == "ok"
    assert time.monotonic() - began < 2 * SLOWNESS
    # Nor a second one, nor a synchronous one.
    assert host.record_when_done(later(host, quick, 6), 30)["result"] == 6
    assert host.invoke(quick, 7, expect="ok").json() == 7
    assert time.monotonic() - began < 3 * SLOWNESS
    assert len(waiting) == count


def test_what_is_accepted_is_never_throttled(hosts):
    """It meets a full house again and again, waits, is run once, and is counted once, as what it was in the end."""
    host = hosts()
    name = sleeper(host, 0.2, 1)
    over = threading.Event()

    def crowd():
        while not over.is_set():
            host.invoke(name, timeout=60)
    callers = [threading.Thread(target=crowd) for _ in range(3)]
    for caller in callers:
        caller.start()
    items = [later(host, name) for _ in range(20)]
    time.sleep(2)
    over.set()
    for caller in callers:
        caller.join()
    records = [host.record_when_done(identifier, 60) for identifier in items]
    assert {record["outcome"] for record in records} == {"ok"}, [record["outcome"] for record in records]
    assert {record["result"] for record in records} == {1}
    assert all(record.get("attempts", 1) == 1 for record in records), "waiting is no attempt"


def test_each_item_is_counted_once(hosts):
    """Without anybody else: twenty items of a function that takes one at a time are twenty invocations."""
    host = hosts()
    name = sleeper(host, 0.1, 1)
    items = [later(host, name) for _ in range(20)]
    assert {host.record_when_done(identifier, 60)["outcome"] for identifier in items} == {"ok"}
    lines = [line for line in host.get("/metrics").body.decode().splitlines()
             if line.startswith("bulkhead_invocations_total") and f'"{name}"' in line]
    counted = {line: float(line.rsplit(" ", 1)[1]) for line in lines}
    assert sum(counted.values()) == 20 and not any("throttled" in line for line in lines), counted


def many_requests(host, name, count):
    """So many synchronous invocations, as fast as they go: pipelined, a hundred at a time."""
    one = (f"POST /v1/functions/{name}/invocations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {host.token}\r\n"
           "Content-Length: 1\r\n\r\n1").encode()
    with socket.create_connection((host.address, host.port), timeout=60) as connection:
        file = connection.makefile("rb")
        for _ in range(count // 100):
            connection.sendall(one * 100)
            for _ in range(100):
                assert file.readline().split()[1] == b"200"
                headers = http.client.parse_headers(file)
                file.read(int(headers["Content-Length"]))


def test_a_crowd_does_not_push_out_what_was_accepted(hosts, mirror_source):
    """10,000 synchronous records are kept, and 10,500 more than that are forgotten first."""
    host = hosts()
    host.upload("quick", mirror_source, {"mode": "reactor", "reuse": "100000"})
    host.upload("echo", ECHO)
    done, waiting = later(host, "echo", {"kept": 1}), later(host, sleeper(host, 15, 1))
    assert host.record_when_done(done)["result"] == {"kept": 1}
    first = host.invoke("quick", 1, expect="ok")["Bulkhead-Invocation-Id"]
    many_requests(host, "quick", 10_500)
    record = host.record(done)
    assert (record["status"], record["result"]) == ("done", {"kept": 1})
    assert host.record(waiting)["status"] in ("queued", "running", "done")
    assert host.get(f"/v1/invocations/{first}").status == 404, "memory would grow without end"


RESULTS = [
    (b'{"a": [1, 2]}', "json", {"a": [1, 2]}), (b'"text"', "json", "text"), (b"null", "json", None), (b"12", "json", 12),
    (b"plain", "text", "plain"), ("naïve €".encode(), "text", "naïve €"), (b"", "text", ""), (b"{not json", "text", "{not json"),
    (b"\x00\xff\x80", "base64", None), (bytes(range(256)), "base64", None), (b"aGVsbG8=", "text", "aGVsbG8="),
]


@pytest.mark.parametrize("content, encoding, result", RESULTS, ids=[repr(content[:12]) for content, _, _ in RESULTS])
def test_how_a_result_is_written(host, content, encoding, result):
    """`resultEncoding` tells text that looks like base64 from bytes that had to be."""
    name = bundle(host, "run: ./run\n", {"run": "#!/bin/sh\nexec cat /function/content\n", "content": content})
    record = host.record_when_done(later(host, name))
    assert record["outcome"] == "ok"
    assert record["resultEncoding"] == encoding, record
    if encoding == "base64":
        assert base64.b64decode(record["result"], validate=True) == content
    else:
        assert record["result"] == result, record


def test_a_failure_has_no_result(host):
    name = unique_name("failing")
    host.upload(name, b"#!/bin/sh\necho '{\"a\":1}'\nexit 3\n", {"wall": "5s", "retries": "0"})
    record = host.record_when_done(later(host, name), 60)
    assert record["outcome"] == "exit" and "resultEncoding" not in record and record.get("result") is None, record


def test_a_large_crowd_of_items_is_taken_or_refused(hosts):
    """Five hundred items: each 202 is kept and done, each refusal is `overloaded` or `throttled`."""
    host = hosts()
    host.upload("echo", ECHO, {"max": "4"})
    accepted = []
    for number in range(500):
        reply = host.invoke("echo", number, headers={"Prefer": "respond-async"})
        if reply.status == 202:
            accepted.append((number, reply["Location"].rsplit("/", 1)[1]))
        else:
            assert reply.status in (429, 503) and json.loads(reply.body)["outcome"] in ("throttled", "overloaded")
    assert accepted
    eventually(lambda: all(host.record(identifier)["status"] == "done" for _, identifier in accepted[-5:]), 60, "all done")
    for number, identifier in accepted:
        assert host.record_when_done(identifier)["result"] == number
