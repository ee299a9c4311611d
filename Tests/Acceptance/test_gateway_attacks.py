"""Attacks on the host from its clients' side: requests that are cut off, malformed or slow, and uploads under way.

Uploads that are malformed stand in test_bad_uploads.py, clients that leave in test_limits.py, answers that would break
HTTP in test_http_event.py and test_regressions.py.
"""

import json
import socket
import threading
import time
from pathlib import Path

import pytest

from bulkhead_host import at_once, unique_name
from system import eventually

HEAD = "POST /v1/functions/{name}/invocations HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
MIB = 1 << 20


def raw(host, data, patience=5, close_after=False):
    """What comes back for these bytes until the host closes, or until it has nothing to say for a while."""
    with socket.create_connection((host.address, host.port), timeout=patience) as connection:
        answer = b""
        try:
            connection.sendall(data)
            if close_after:
                return answer
            connection.settimeout(0.5 if data else patience)
            while chunk := connection.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionResetError, BrokenPipeError):
            pass
        return answer


def memory(host):
    """The supervisor's resident MiB."""
    return int(Path(f"/proc/{host.supervisor.pid}/status").read_text().split("VmRSS:")[1].split()[0]) >> 10


@pytest.fixture
def counted(host, compile_c):
    """A function, and how many invocations of it the host has begun."""
    name = unique_name("counted")
    host.upload(name, compile_c("deeds.c"), [("args", "length")])

    def begun():
        lines = host.get("/metrics", token=None).body.decode().splitlines()
        found = [line for line in lines if line.startswith("bulkhead_invocations_total") and f'"{name}"' in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)
    return name, begun


# -- Truncated and malformed ------------------------------------------------------------------------------------------

MALFORMED = {
    "no head at all": b"\r\n\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "an unknown version": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "a bare line feed": b"GET /healthz HTTP/1.1\nHost: a\n\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "NUL in a header": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "NUL in the path": b"GET /v1/functions/a\0b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a head without an end": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200_000,
    "thousands of headers": b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 5000 + b"\r\n",
    "a path without an end": b"GET /" + b"a" * 300_000,
}
WITH_BODY = {
    "a negative length": "Content-Length: -1\r\n\r\n{}",
    "a length that is no number": "Content-Length: 0x2\r\n\r\n{}",
    "a length beyond 64 bits": f"Content-Length: {10 ** 30}\r\n\r\n{{}}",
    "two lengths": "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a chunk that is none": "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}",
    "an encoding that is none": "Transfer-Encoding: cow\r\n\r\n{}",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_head(host, case):
    """Refused or cut off; never served as something else, never the end of the host."""
    answer = raw(host, MALFORMED[case])
    assert answer == b"" or answer.split(b" ")[1][:1] == b"4", answer[:300]
    assert host.get("/healthz", token=None).status == 200


@pytest.mark.parametrize("case", WITH_BODY)
def test_malformed_body(host, counted, case):
    """An event whose end is not certain never reaches a function, and nothing behind it is taken for a request."""
    name, begun = counted
    hidden = "GET /v1/functions HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = raw(host, (HEAD.format(name=name, token=host.token) + WITH_BODY[case] + hidden).encode())
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    assert answer == b"" or answer.split(b" ")[1][:1] == b"4", answer[:300]
    assert begun() == 0
    assert host.get("/healthz", token=None).status == 200


@pytest.mark.parametrize("sent", [0, 1, 40, 99])
def test_truncated_body(host, counted, sent):
    """A client that leaves in the middle of its event: no invocation, nothing that waits for the rest."""
    name, begun = counted
    head = HEAD.format(name=name, token=host.token) + "Content-Length: 100\r\n\r\n"
    for _ in range(20):
        raw(host, head.encode() + b"1" * sent, close_after=True)
    host.invoke(name, 1, expect="ok")
    eventually(lambda: begun() == 1, 5, "only the whole one is counted")


def test_pipelined_requests_are_answered_in_order(host, example):
    """Fifty at once on one connection, as no client of today does."""
    echo = example("echo")
    requests = b"".join(
        (HEAD.format(name=echo, token=host.token) + f"Content-Length: {len(str(n))}\r\n\r\n{n}").encode()
        for n in range(100, 150))
    answer = raw(host, requests, patience=20)
    deadline = time.monotonic() + 20
    assert answer.count(b"HTTP/1.1 200") >= 1 and time.monotonic() < deadline
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert bodies == [str(n).encode() for n in range(100, 100 + len(bodies))]


# -- Slow, and very many ----------------------------------------------------------------------------------------------


def test_events_that_never_end(host, example):
    """Clients without a token fill what may be held of unfinished events, to the bound and not beyond it; the small events
    of others are taken all the same."""
    name = unique_name("open")
    host.upload(name, (Path(__file__).parent / "guests/mirror.py").read_bytes(), [("auth", "none"), ("mode", "reactor")])
    echo, before = example("echo"), memory(host)
    connections = []
    piece = b"1" * (64 << 10)
    refused = 0
    try:
        for _ in range(70):
            connection = socket.create_connection((host.address, host.port), timeout=10)
            connections.append(connection)
            connection.sendall(f"POST /fn/{name} HTTP/1.1\r\nHost: a\r\nContent-Length: {6 * MIB - 10}\r\n\r\n".encode())
            try:
                for _ in range(94):
                    connection.sendall(piece)
            except (ConnectionResetError, BrokenPipeError, TimeoutError):
                refused += 1
        assert host.invoke(echo, {"x": 1}, expect="ok", timeout=10).json() == {"x": 1}
        for connection in connections:
            connection.settimeout(0.05)
            try:
                refused += connection.recv(4096).startswith(b"HTTP/1.1 503")
            except (TimeoutError, ConnectionResetError):
                pass
        assert refused >= 20, refused
        assert memory(host) - before < 600
    finally:
        for connection in connections:
            connection.close()
    body = json.dumps("x" * MIB).encode()
    eventually(lambda: host.invoke(echo, body).outcome == "ok", 10, "what they held is given back")


def test_many_silent_connections(host, example):
    """Three hundred clients that connect and say nothing."""
    echo = example("echo")
    silent = [socket.create_connection((host.address, host.port), timeout=10) for _ in range(300)]
    try:
        replies = at_once(lambda: host.invoke(echo, {"x": 1}) for _ in range(8))
        assert {reply.outcome for reply in replies} == {"ok"}
    finally:
        for connection in silent:
            connection.close()


# -- While something else happens -------------------------------------------------------------------------------------


def test_invoking_during_uploads(host):
    """Each answer comes from the version that it names, whole, however fast new ones come."""
    name, over, wrong = unique_name("moving"), threading.Event(), []

    def upload(number):
        host.upload(name, f"#!/bin/sh\necho {number}\n".encode())

    def invoke():
        while not over.is_set():
            reply = host.invoke(name)
            if reply.outcome != "ok" or reply.body.strip() != reply["Bulkhead-Version"].encode():
                wrong.append(reply)

    upload(1)
    callers = [threading.Thread(target=invoke) for _ in range(4)]
    for caller in callers:
        caller.start()
    for number in range(2, 40):
        upload(number)
    over.set()
    for caller in callers:
        caller.join()
    assert not wrong, wrong[:2]


def test_upload_cut_off(host):
    """A new version of which half arrives is no version."""
    name = unique_name("cut")
    host.upload(name, b"#!/bin/sh\necho old\n")
    head = (f"PUT /v1/functions/{name} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {host.token}\r\n"
            "Content-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\n#!/bin/sh\necho new\n")
    for _ in range(10):
        raw(host, head.encode(), close_after=True)
    reply = host.invoke(name, expect="ok")
    assert reply.body == b"old\n" and reply["Bulkhead-Version"] == "1"
    assert len(host.get(f"/v1/functions/{name}/versions").json()["versions"]) == 1
