"""`runtime: provided` against who means no good: a cell's own port of the host is sent what is no HTTP, or no end of it.

Whatever comes there, the invocation ends in its outcome, the host lives, another function answers, and what was held for it is given
back. Who asks what he may not ask then: test_runtime_api_turns.py.
"""

import base64
import contextlib
import os
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from checks import failed
from conftest import SLOWNESS, new_host
from runtime_clients import deploy, fresh, goes_on, lives, mischief
from system import eventually
from test_gateway_attacks import memory
from test_streaming import opened

MIB = 1 << 20
WALL = {"wall": f"{SLOWNESS}s"}
LONG_WALL = {"wall": f"{20 * SLOWNESS}s"}
SMALL = {"output": "1MiB"}


def held(host):
    """What the supervisor holds for workers: its sockets, pipes and the like, by kind. Files of the store are as many as it needs."""
    folder, found = f"/proc/{host.supervisor.pid}/fd", Counter()
    for number in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            kind = os.readlink(f"{folder}/{number}").partition("[")[0]
            if not kind.startswith("/"):
                found[kind] += 1
    return found


def forget(host):
    """Only echo is left, and has answered."""
    for function in host.get("/v1/functions?limit=1000").json()["functions"]:
        if function["name"] != "echo":
            host.delete(function["name"])
    host.invoke("echo", 1, expect="ok")


@pytest.fixture(scope="module")
def host(workspace, example_folder):
    """One of this file's own, so that what it holds can be counted. At its end that is no more than it was."""
    host = new_host(workspace, "runtime-attacks").start()
    host.upload("echo", example_folder("echo") / "echo")
    for mode in ("command", "reactor"):
        host.invoke(mischief(host, "", f"mode: {mode}\n"), expect="ok")
    forget(host)
    before = held(host)
    yield host
    try:
        forget(host)
        eventually(lambda: not held(host) - before, 20 * SLOWNESS, f"it holds no more than {before}, and not {held(host)}")
    finally:
        members = host.members
        code = host.stop()
    host.traces.assert_gone(members, SLOWNESS)
    assert code == 0, host.log_tail()


@pytest.fixture(autouse=True)
def outlived(host):
    """After each: the same host serves others, and at once."""
    with lives(host, "echo"):
        yield


# -- What is no HTTP, or too much of it -------------------------------------------------------------------------------

NEXT = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\n"
ANSWER = "POST /2018-06-01/runtime/invocation/ID/response HTTP/1.1\r\nHost: a\r\n"
HIDDEN = ANSWER + 'Content-Length: 8\r\n\r\n"forged"'
# ID stands for the invocation's; (text, how many times).
GARBAGE = {
    "zeros": ("\0" * 5000, 1),
    "noise": ("".join(chr((n * 7919) % 256) for n in range(5000)), 1),
    "TLS": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\0" * 300, 1),
    "HTTP/2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 1),
    "line ends": ("\r\n", 10_000),
    "no version": ("GET /2018-06-01/runtime/invocation/next\r\n\r\n", 1),
    "an unknown version": (NEXT.replace("1.1", "9.9") + "\r\n", 1),
    "a space before the colon": (NEXT + "X : a\r\n\r\n", 1),
    "NUL in a header": (NEXT + "X: a\0b\r\n\r\n", 1),
    "NUL in the path": (NEXT.replace("next", "ne\0xt") + "\r\n", 1),
    "a path without an end": ("GET /" + "a" * MIB, 1),
    "a head of a mebibyte": (ANSWER + "X: " + "a" * MIB + '\r\nContent-Length: 8\r\n\r\n"forged"', 1),
    "100,000 headers": (ANSWER + "X: a\r\n" * 100_000 + 'Content-Length: 8\r\n\r\n"forged"', 1),
    "headers without an end": (ANSWER + "X: a\r\n" * 200_000, 1),
    "trailers without an end": (ANSWER + "Transfer-Encoding: chunked\r\n\r\n8\r\n\"forged\"\r\n0\r\n" + "X: a\r\n" * 200_000, 1),
    "a chunk's extension without an end": (ANSWER + "Transfer-Encoding: chunked\r\n\r\n8;" + "a" * MIB, 1),
    "a negative length": (ANSWER + 'Content-Length: -8\r\n\r\n"forged"' + HIDDEN, 1),
    "a length that is no number": (ANSWER + 'Content-Length: 0x8\r\n\r\n"forged"' + HIDDEN, 1),
    "a length with a sign": (ANSWER + 'Content-Length: +8\r\n\r\n"forged"' + HIDDEN, 1),
    "a length beyond 64 bits": (ANSWER + f'Content-Length: {10 ** 30}\r\n\r\n"forged"', 1),
    "two lengths": (ANSWER + 'Content-Length: 8\r\nContent-Length: 9\r\n\r\n"forged" ', 1),
    "length and chunks": (ANSWER + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN, 1),
    "chunks and length": (ANSWER + f"Transfer-Encoding: chunked\r\nContent-Length: {len(HIDDEN) + 5}\r\n\r\n0\r\n\r\n" + HIDDEN, 1),
    "chunks that are not the last encoding": (ANSWER + 'Transfer-Encoding: chunked, identity\r\n\r\n8\r\n"forged"\r\n0\r\n\r\n', 1),
    "a chunk that is none": (ANSWER + 'Transfer-Encoding: chunked\r\n\r\nzz\r\n"forged"\r\n0\r\n\r\n', 1),
    "a chunk beyond 64 bits": (ANSWER + 'Transfer-Encoding: chunked\r\n\r\n10000000000000008\r\n"forged"\r\n0\r\n\r\n', 1),
    "a chunk that is longer than it says": (ANSWER + 'Transfer-Encoding: chunked\r\n\r\n4\r\n"forged"\r\n0\r\n\r\n', 1),
    "an encoding that is none": (ANSWER + 'Transfer-Encoding: cow\r\n\r\n"forged"', 1),
    "neither length nor chunks": (ANSWER + '\r\n"forged"', 1),
    "a method that is none": (HIDDEN.replace("POST", "FORGE"), 1),
    "another method": (HIDDEN.replace("POST", "PUT"), 1),
    "a tunnel": ("CONNECT 1.1.1.1:443 HTTP/1.1\r\nHost: 1.1.1.1\r\n\r\n", 1),
    "another protocol": (NEXT + "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", 1),
    "another place": (HIDDEN.replace("/2018-06-01/", "/2018-06-01/../2018-06-01/"), 1),
    "two slashes": (HIDDEN.replace("/runtime/", "//runtime//"), 1),
    "another date": (HIDDEN.replace("2018-06-01", "2020-01-01"), 1),
    "a thousand questions at once": (NEXT + "\r\n", 1000),
}
# What may be answered to whoever asks for his event again; no other question here has a good answer. "Neither length nor chunks" is an
# answer of no bytes, with something behind it.
EMPTY = {"neither length nor chunks"}


@pytest.fixture(scope="module")
def sender(host):
    """Sends what the event says on a connection of its own, and answers what came back for it."""
    return mischief(host, """
        import base64
        def misbehave(id, event):
            raw = base64.b64decode(event["raw"]).replace(b"ID", id.encode())
            answer(id, said(raw * event["times"], 0.15).decode("latin-1"))
        """, limits=LONG_WALL)


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage(host, sender, case):
    """Refused or cut off on its own connection; the invocation has the answer that its worker gives on another."""
    raw, times = GARBAGE[case]
    reply = host.invoke(sender, {"raw": base64.b64encode(raw.encode("latin-1")).decode(), "times": times}, expect="ok", timeout=60)
    if case not in EMPTY or reply.body:
        told = reply.json()
        assert told != "forged" and "HTTP/1.1 2" not in told, told[:500]
        for answer in told.split("HTTP/1.1 ")[1:]:
            assert answer[0] in "45", told[:500]
    goes_on(host, sender)


def test_noise_on_all_connections(host):
    """As many as there may be, and more: each byte is read or refused, and the worker answers."""
    name = mischief(host, """
        def misbehave(id, event):
            noise = os.urandom(event)
            threads = [threading.Thread(target=said, args=[noise, 0.1]) for _ in range(40)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            answer(id, "done")
        """)
    assert host.invoke(name, 100_000, expect="ok").json() == "done"
    goes_on(host, name)


# Who is answered, or has been closed, has been accepted, and so have all before: the kernel's own line of them is short.
ACCEPTED = r"""
    def accepted(one):
        try:
            one.sendall(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
            return one.recv(1000) != b""
        except OSError:
            return False
    """


def test_a_thousand_connections(host):
    """Those beyond a few are closed, and the first goes on working."""
    name = mischief(host, ACCEPTED + """
    def misbehave(id, event):
        held = []
        for number in range(event):
            try: held.append(socket.create_connection(PLACE, 5))
            except OSError: break  # a cell with a network has few descriptors
            if number % 8 == 0: accepted(held[-1])
        assert len(held) > 20, len(held)
        answer(id, sum(map(accepted, held)))
        """, limits=LONG_WALL)
    assert 0 < host.invoke(name, 1000, expect="ok", timeout=60).json() <= 15
    goes_on(host, name)


def test_connections_that_come_and_go(host):
    """Thousands, one after another: each is forgotten with its end."""
    name = mischief(host, ACCEPTED + """
    def misbehave(id, event):
        for number in range(event):
            one = socket.create_connection(PLACE, 5)
            if number % 8 == 0: accepted(one)
            elif number % 3: one.sendall(b"GET /" if number % 2 else beginning(id, "Content-Length: 10") + b"12345")
            one.close()
        while answer(id, "done")[0] == 403: pass  # one that was broken off is not over yet
        """, limits=LONG_WALL)
    before = held(host)
    assert host.invoke(name, 3000, expect="ok", timeout=60).json() == "done"
    eventually(lambda: sum((held(host) - before).values()) < 32, 5 * SLOWNESS, "they are closed")
    goes_on(host, name)


FLOOD = """
    def misbehave(id, event):
        raw = b"GET /nothing HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n" * 100 + (beginning("x", "Content-Length: 1") + b"1") * 100
        sent = 0
        while sent < event["bytes"]:
            with socket.create_connection(PLACE) as connection:
                connection.settimeout(0.5)
                try:
                    while sent < event["bytes"]:
                        sent += connection.send(raw)
                        if event["reads"] and not connection.recv(1 << 20): break
                except OSError: pass
            if not event["reads"]: break
        answer(id, sent)
    """


def test_a_flood_of_wrong_requests(host):
    """As fast as one can, for as long as one may: others are served meanwhile."""
    name = mischief(host, FLOOD, limits={"wall": f"{2 * SLOWNESS}s", "cpu": f"{2 * SLOWNESS}s"})
    host.invoke(name, expect="ok")
    with ThreadPoolExecutor(1) as pool:
        flood = pool.submit(host.invoke, name, {"bytes": 1 << 40, "reads": True}, timeout=60)
        asked = 0
        while not flood.done():
            began = time.monotonic()
            assert host.invoke("echo", 1, expect="ok").json() == 1
            assert time.monotonic() - began < SLOWNESS
            asked += 1
        assert asked > 3 and flood.result().outcome in ("timeout", "cpu_exceeded", "protocol_error"), flood.result()
    fresh(host, name)


def test_refusals_that_are_not_read(host):
    """What nobody takes fills no memory of the host's: there is an end to what it reads then."""
    name, before = mischief(host, FLOOD, limits=LONG_WALL), memory(host)
    sent = host.invoke(name, {"bytes": 32 * MIB, "reads": False}, expect="ok", timeout=60).json()
    assert sent < 16 * MIB and memory(host) - before < 64, (sent, memory(host) - before)
    goes_on(host, name)


# -- Answers without an end -------------------------------------------------------------------------------------------

ENDLESS = {
    "chunks": 'connection.sendall(beginning(id, "Transfer-Encoding: chunked"))\n        while True: connection.sendall(chunk(bytes(65536)))',
    "a great chunk": 'connection.sendall(beginning(id, "Transfer-Encoding: chunked") + b"ffffffffff\\r\\n")\n        while True: connection.sendall(bytes(65536))',
    "streamed": 'connection.sendall(beginning(id, "Transfer-Encoding: chunked", "Lambda-Runtime-Function-Response-Mode: streaming"))\n'
                '        while True: connection.sendall(chunk(bytes(65536)))',
    "little chunks": 'connection.sendall(beginning(id, "Transfer-Encoding: chunked"))\n        while True: connection.sendall(chunk(b"x") * 10000)',
    "a length": 'connection.sendall(beginning(id, "Content-Length: %d" % 10 ** 15))\n        while True: connection.sendall(bytes(65536))',
    "a byte more": 'connection.sendall(beginning(id, "Content-Length: 1048577") + bytes(1048577))\n        connection.recv(1000)',
}


@pytest.mark.parametrize("way", ENDLESS)
@pytest.mark.parametrize("mode", ["command", "reactor"])
def test_an_answer_that_is_too_long(host, way, mode):
    name = mischief(host, f"""
def misbehave(id, event):
    with socket.create_connection(PLACE, 10) as connection:
        {ENDLESS[way]}
    time.sleep(60)
""", f"mode: {mode}\n", SMALL)
    # Byte by byte it is read slowly, for that costs the host more than its sender: its time may be over first.
    ends = {"output_exceeded", "timeout"} if way == "little chunks" else {"output_exceeded"}
    reply = host.invoke(name, 1, timeout=60)
    assert reply.outcome in ends, reply
    failed(reply, reply.outcome)
    fresh(host, name)


def test_as_much_as_it_may(host):
    name = mischief(host, "def misbehave(id, event): answer(id, bytes(event))", limits=SMALL)
    assert len(host.invoke(name, MIB, expect="ok").body) == MIB
    failed(host.invoke(name, MIB + 1), "output_exceeded")
    fresh(host, name)


def test_an_error_without_an_end(host):
    """Of an error little is kept, however much is sent: it ends with the invocation's time, or is cut off."""
    name = mischief(host, """
        def misbehave(id, event):
            with socket.create_connection(PLACE, 10) as connection:
                connection.sendall(beginning(id, "Transfer-Encoding: chunked", what="error"))
                while True: connection.sendall(chunk(bytes(65536)))
        """, limits=WALL)
    assert host.invoke(name, 1, timeout=60).outcome in ("timeout", "output_exceeded", "error", "exit")
    fresh(host, name)


LONG = "x" * MIB
HUGE_ERRORS = {
    "a long message": '{"errorType":"T","errorMessage":"%s"}' % LONG, "a long type": '{"errorType":"%s","errorMessage":"m"}' % LONG,
    "a long trace": '{"errorType":"T","errorMessage":"m","stackTrace":[%s"x"]}' % ('"x",' * 250_000), "deep": "[" * 200_000,
    "deep in an object": '{"errorType":"T","stackTrace":' + '{"a":' * 100_000, "many members": "{" + '"a":1,' * 100_000 + '"errorType":"T"}',
}


@pytest.mark.parametrize("case", HUGE_ERRORS)
def test_a_huge_error(host, case):
    """It is an error still, and what is told of it is of a reasonable length."""
    name = mischief(host, """
        def misbehave(id, event):
            ask("POST", f"invocation/{id}/error", event.encode(), {"Lambda-Runtime-Function-Error-Type": "T" * 10_000})
        """)
    reply = host.invoke(name, HUGE_ERRORS[case], timeout=60)
    failed(reply, "error")
    assert len(reply.body) < 200_000
    goes_on(host, name)


@pytest.mark.parametrize("end, outcome", [("os._exit(0)", "protocol_error"), ("os._exit(3)", "exit"), ("os.kill(os.getpid(), 9)", "signal")])
@pytest.mark.parametrize("way", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_half_an_answer_and_the_end(host, way, end, outcome):
    name = mischief(host, f"""
def misbehave(id, event):
    connection = socket.create_connection(PLACE, 5)
    connection.sendall(beginning(id, "{way}") + chunk(b"forged"))
    {end}
""")
    reply = host.invoke(name, 1)
    failed(reply, outcome)
    assert b"forged" not in reply.body
    fresh(host, name)


def test_half_an_answer_and_another(host):
    """Of one that was broken off nothing is left: the next one is whole."""
    name = mischief(host, """
        def misbehave(id, event):
            for _ in range(20):
                with socket.create_connection(PLACE, 5) as connection: connection.sendall(beginning(id, "Content-Length: 100") + b"forged")
            while (told := answer(id, "honest")) != [202, None]:
                assert told[0] == 403, told  # the last of them is not over yet
        """)
    assert host.invoke(name, 1, expect="ok").json() == "honest"
    goes_on(host, name)


# -- Slow -------------------------------------------------------------------------------------------------------------

SLOW = {
    "a head": "for byte in beginning(id, 'Content-Length: 1000') * 10",
    "headers": "for byte in [beginning(id)[:-2]] + [b'X: a\\r\\n'] * 1000",
    "a body": "for byte in [beginning(id, 'Content-Length: 1000')] + [b'1'] * 999",
    "chunks": "for byte in [beginning(id, 'Transfer-Encoding: chunked')] + [chunk(b'1')] * 1000",
    "a stream": "for byte in [beginning(id, 'Transfer-Encoding: chunked', 'Lambda-Runtime-Function-Response-Mode: streaming')] + [chunk(b'1')] * 1000",
}


@pytest.mark.parametrize("what", SLOW)
def test_slow_writers(host, what):
    """Have the invocation's time, and no more."""
    name = mischief(host, f"""
def misbehave(id, event):
    connection = socket.create_connection(PLACE, 5)
    {SLOW[what]}:
        connection.sendall(byte if isinstance(byte, bytes) else bytes([byte]))
        time.sleep(0.05)
""", limits=WALL)
    began = time.monotonic()
    assert failed(host.invoke(name, 1), "timeout")["limit"] == "wall"
    assert time.monotonic() - began < 6 * SLOWNESS
    fresh(host, name)


def test_an_event_that_is_not_read(host):
    """What does not fit into its socket waits there for as long as the invocation has."""
    name = deploy(host, """
        connection = socket.create_connection(PLACE)
        connection.sendall(f"GET {ROOT}invocation/next HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n".encode())
        time.sleep(60)
        """, limits=WALL)
    assert failed(host.invoke(name, "x" * (5 * MIB), timeout=60), "timeout")["limit"] == "wall"


# -- What it reaches --------------------------------------------------------------------------------------------------


def test_nothing_else_is_reached(host):
    """Neither another port of its own loopback, nor the host's, nor another machine; and the port is not to be taken over."""
    server = socket.create_server(("127.0.0.1", 0))
    everywhere = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    name = mischief(host, """
        import errno
        def attempt(act):
            try:
                act()
                return "ok"
            except OSError as error:
                return errno.errorcode.get(error.errno, str(error))
        def connect(address, port, family=socket.AF_INET):
            def act():
                with socket.socket(family, socket.SOCK_STREAM) as one:
                    one.settimeout(3)
                    one.connect((address, port))
            return attempt(act)
        def take(address, shared):
            def act():
                with socket.socket() as one:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if shared: one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    one.bind((address, 9001))
                    one.listen()
            return attempt(act)
        def misbehave(id, event):
            answer(id, {
                "open": [port for port in range(1, 12_000) if connect("127.0.0.1", port) == "ok"],
                "host": [connect("127.0.0.1", port) for port in event],
                "v6": connect("::1", event[1], socket.AF_INET6),
                "elsewhere": [connect(address, 80) for address in ("1.1.1.1", "169.254.169.254", "10.0.0.1", "192.168.0.1")],
                "elsewhere, v6": connect("2606:4700:4700::1111", 80, socket.AF_INET6),
                "taken": [take(address, shared) for address in ("127.0.0.1", "0.0.0.0") for shared in (False, True)],
            })
        """, limits={"wall": f"{30 * SLOWNESS}s"})
    ports = [server.getsockname()[1], everywhere.getsockname()[1], host.port]
    told = host.invoke(name, ports, expect="ok", timeout=60).json()
    assert told["open"] == [9001]
    assert told["host"] == ["ECONNREFUSED"] * 3 and told["v6"] != "ok", told
    assert set(told["elsewhere"]) | {told["elsewhere, v6"]} <= {"ENETUNREACH", "EADDRNOTAVAIL"}, told
    assert "ok" not in told["taken"], told
    for one in (server, everywhere):
        one.setblocking(False)
        with pytest.raises(BlockingIOError):
            one.accept()
        one.close()
    goes_on(host, name)


# -- Answers that would break HTTP ------------------------------------------------------------------------------------

HEADS = ['{"statusCode":99}', '{"statusCode":"x"}', '{"headers":{"a\\\\nb":"c"}}', '{"headers":{"a":"b\\\\r\\\\nx: y"}}', '{"headers":7}', '{"statusCode":1e99}']


@pytest.mark.parametrize("head", HEADS)
def test_a_head_that_is_none(host, head):
    """Before an answer that is streamed: nothing has gone out, and the outcome is told."""
    name = deploy(host, f"""
while True:
    id, event, headers = following()
    stream(id, [b'{head}' + bytes(8) + b'body'], "Content-Type: application/vnd.awslambda.http-integration-response")
""", "mode: reactor\nstream: true\nauth: none\n")
    reply, _ = opened(host, name)
    assert reply.status == 502, reply.read()
    identifier = reply.headers["Bulkhead-Invocation-Id"]
    assert host.record_when_done(identifier)["outcome"] == "protocol_error"
