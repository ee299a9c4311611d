"""`runtime: provided` against who sends more than a runtime has to say: many requests, many bytes behind one, answers without an end in
pieces of a byte, and work behind an answer.

Each was once the end of a host, or of its patience. After each the host is the same process, holds no more memory, and serves others.
"""

import base64
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from checks import failed
from conftest import SLOWNESS, new_host
from runtime_clients import deploy, fresh, goes_on, lives, mischief
from system import eventually
from test_gateway_attacks import memory

MIB = 1 << 20
LONG_WALL = {"wall": f"{20 * SLOWNESS}s"}


@pytest.fixture(scope="module")
def host(workspace, example_folder):
    host = new_host(workspace, "runtime-floods").start()
    host.upload("echo", example_folder("echo") / "echo")
    host.invoke("echo", 1, expect="ok")
    yield host
    code = host.stop()
    assert code == 0, host.log_tail()


@pytest.fixture(autouse=True)
def outlived(host):
    """After each: the same host serves others, at once, and is not much larger."""
    before = memory(host)
    with lives(host, "echo"):
        yield
    assert memory(host) - before < 48, (before, memory(host))


class Watched:
    """What others see of a host while something goes on in it: how long the slowest answer took, and how large it became."""

    def __init__(self, host):
        self.host, self.slowest, self.largest = host, 0.0, memory(host)
        self.before = self.largest

    def during(self, call):
        with ThreadPoolExecutor(1) as pool:
            going = pool.submit(call)
            while not going.done():
                began = time.monotonic()
                assert self.host.invoke("echo", 1, expect="ok").json() == 1
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.largest = max(self.largest, memory(self.host))
            assert self.slowest < SLOWNESS and self.largest - self.before < 96, vars(self)
            return going.result()


# -- More than one request --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 3500, 100_000])
@pytest.mark.parametrize("first", ["invocation/next", "nothing"])
def test_requests_behind_one_that_is_not_answered(host, first, count):
    """Each was answered from within the one before, until the stack was used up."""
    name = mischief(host, """
        def misbehave(id, event):
            first, count = event
            connection = socket.create_connection(PLACE, 10)
            raw = f"GET {ROOT}{first} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n".encode() + b"GET / HTTP/1.1\\r\\n\\r\\n" * count
            told = b""
            try:
                connection.sendall(raw)
                while part := connection.recv(65536): told += part
            except OSError: pass
            answer(id, told.count(b"HTTP/1.1 "))
        """, limits=LONG_WALL)
    watched = Watched(host)
    assert watched.during(lambda: host.invoke(name, [first, count], expect="ok", timeout=60)).json() <= 2
    goes_on(host, name)


def test_a_first_question_with_thousands_behind_it(host):
    """Before there is any event: whoever waits for its next one says nothing."""
    name = deploy(host, r"""
        connection = socket.create_connection(PLACE)
        connection.sendall(f"GET {ROOT}invocation/next HTTP/1.1\r\n\r\n".encode() + b"GET / HTTP/1.1\r\n\r\n" * 3500)
        time.sleep(60)
        """, limits={"wall": f"{2 * SLOWNESS}s"})
    failed(host.invoke(name), "protocol_error")


@pytest.mark.parametrize("head", [
    "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
])
def test_bytes_behind_another_protocol(host, head):
    """They are nobody's, and were all kept."""
    name = mischief(host, """
        def misbehave(id, event):
            head, count = event
            sent = 0
            with socket.create_connection(PLACE, 5) as connection:
                try:
                    connection.sendall(head.encode())
                    while sent < count: sent += connection.send(bytes(65536))
                except OSError: pass
            answer(id, sent)
        """, limits=LONG_WALL)
    watched = Watched(host)
    assert watched.during(lambda: host.invoke(name, [head, 300 * MIB], expect="ok", timeout=60)).json() < 16 * MIB
    goes_on(host, name)


def test_a_client_that_would_rather_speak_another_protocol(host):
    """Java's asks for HTTP/2 with each request: it is answered by HTTP/1.1, as a server may."""
    name = deploy(host, """
        ASKS = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"}
        while True:
            status, headers, event = ask("GET", "invocation/next", headers=ASKS, on=opened())
            assert status == 200, status
            id = headers["Lambda-Runtime-Aws-Request-Id"]
            assert ask("POST", f"invocation/{id}/response", event, ASKS, on=opened())[0] == 202
        """)
    for number in range(3):
        assert host.invoke(name, {"number": number}, expect="ok").json() == {"number": number}


@pytest.mark.parametrize("end", ["close", "shutdown"])
def test_connections_that_are_closed_full(host, end):
    """What stands in the kernel is read when a connection ends, whoever has room for it."""
    name = mischief(host, """
        def misbehave(id, event):
            raw, held = b"GET / HTTP/1.1\\r\\nX: " + b"a" * 900 + b"\\r\\n\\r\\n", []
            for number in range(14):
                try: one = socket.create_connection(PLACE, 5)
                except OSError: break
                one.setblocking(False)
                try:
                    one.send(f"GET {ROOT}invocation/next HTTP/1.1\\r\\n\\r\\n".encode())
                    while True: one.send(raw * 1000)
                except OSError: pass
                held.append(one)
            for one in held:
                if event == "shutdown":
                    try: one.shutdown(socket.SHUT_WR)
                    except OSError: pass
            for one in held: one.close()
            answer(id, "done")
        """, limits=LONG_WALL)
    watched = Watched(host)
    for _ in range(3):
        assert watched.during(lambda: host.invoke(name, end, expect="ok", timeout=60)).json() == "done"
    goes_on(host, name)


def test_a_flood_of_little_requests(host):
    """One at a time on each connection, as fast as they are answered: others do not feel it, and there is an end to it."""
    name = mischief(host, """
        def misbehave(id, event):
            def ask_on():
                try:
                    with socket.create_connection(PLACE, 10) as connection:
                        while True:
                            connection.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
                            if not connection.recv(1000): return
                except OSError: pass
            threads = [threading.Thread(target=ask_on) for _ in range(7)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            time.sleep(60)
        """, limits=LONG_WALL)
    failed(Watched(host).during(lambda: host.invoke(name, 1, timeout=60)), "protocol_error")
    assert any("was refused 1000 calls" in line["text"] for line in host.logs(name))
    fresh(host, name)


@pytest.mark.parametrize("place", ["a header", "the target", "a type", "an error's text"])
def test_combining_marks(host, place):
    """Compared as text, a run of them takes time by its length's square."""
    name = mischief(host, r"""
        def misbehave(id, event):
            marks = ("a" + "\u0301\u0316" * 3500).encode()
            head = {
                "a header": b"Expect: 100-continue" + marks + b"\r\nConnection: " + marks[:1500], "the target": b"X: y",
                "a type": b"Lambda-Runtime-Function-Error-Type: " + marks,
                "an error's text": b"Lambda-Runtime-Function-Response-Mode: streaming",
            }[event]
            what = marks if event == "the target" else b"error" if event == "a type" else b"response"
            with socket.create_connection(PLACE, 60) as connection:
                connection.sendall(b"POST " + ROOT.encode() + b"invocation/" + id.encode() + b"/" + what + b" HTTP/1.1\r\n" + head
                    + b"\r\nContent-Length: 2\r\n\r\n{}")
                connection.recv(1000)
            answer(id, "done")
        """, limits=LONG_WALL)
    watched = Watched(host)
    watched.during(lambda: host.invoke(name, place, timeout=60))
    assert watched.slowest < SLOWNESS / 2, watched.slowest
    goes_on(host, name)


# -- More than an answer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["reactor", "command"])
def test_parts_that_nobody_takes(host, mode):
    """An answer in parts, to who asks for it whole, is held as any other: to 64 MiB, and charged."""
    name = mischief(host, """
        def misbehave(id, event):
            part = bytes(MIB := 1 << 20)
            try: stream(id, (part for _ in range(event)))
            except OSError: time.sleep(60)
        """, f"mode: {mode}\nstream: true\n", limits={**LONG_WALL, "output": "256MiB"})
    before = memory(host)
    failed(host.invoke(name, 100, timeout=60), "output_exceeded")
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda _: host.invoke(name, 60, timeout=120), range(12)))
    assert {reply.outcome for reply in replies} <= {"ok", "overloaded"}, [reply.outcome for reply in replies]
    assert all(len(reply.body) == 60 * MIB for reply in replies if reply.outcome == "ok")
    assert any(reply.outcome == "overloaded" for reply in replies), "720 MiB at once are more than a host holds"
    eventually(lambda: memory(host) - before < 48, 10 * SLOWNESS, "it is given back")


def test_little_parts_of_a_great_answer(host):
    """A byte at a time: it is gathered before anybody is told, and costs no more than its bytes."""
    name = mischief(host, """
        def misbehave(id, event):
            with socket.create_connection(PLACE, 60) as connection:
                connection.sendall(beginning(id, "Transfer-Encoding: chunked", "Lambda-Runtime-Function-Response-Mode: streaming"))
                for _ in range(20): connection.sendall(chunk(b"x") * 10_000)
                connection.sendall(b"0\\r\\n\\r\\n")
                connection.recv(1000)
        """, "mode: reactor\nstream: true\n", limits=LONG_WALL)
    watched = Watched(host)
    reply = watched.during(lambda: host.request("POST", f"/fn/{name}", b"1", timeout=60))
    assert reply.status == 200 and len(reply.body) == 200_000, (reply.status, len(reply.body))


@pytest.mark.parametrize("where", ["ID/response", "none/response", "ID/error", "nothing"])
def test_little_chunks_without_an_end(host, where):
    """Of what is refused 64 KiB are read past; of what is taken each byte counts. Others do not feel it."""
    name = mischief(host, """
        def misbehave(id, event):
            path = event.replace("ID", id)
            with socket.create_connection(PLACE, 10) as connection:
                connection.sendall(f"POST {ROOT}invocation/{path} HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n".encode())
                try:
                    while True: connection.sendall(chunk(b"x") * 10_000)
                except OSError: pass
            answer(id, "done")
        """, limits={"wall": f"{3 * SLOWNESS}s", "output": "1MiB"})
    Watched(host).during(lambda: host.invoke(name, where, timeout=60))
    eventually(lambda: host.invoke(name).outcome == "ok", 5 * SLOWNESS, "it is served again")


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1\r\nConnection: close"])
def test_a_great_event_for_who_closes(host, version):
    """All of it comes before the end of its connection."""
    name = deploy(host, f"""
        VERSION = {version!r}
        while True:
            with socket.create_connection(PLACE, 60) as connection:
                connection.sendall(f"GET {{ROOT}}invocation/next {{VERSION}}\\r\\n\\r\\n".encode())
                told = b""
                while part := connection.recv(4096):
                    told += part
                    if len(told) < 200_000: time.sleep(0.001)
            head, _, event = told.partition(b"\\r\\n\\r\\n")
            id = [line.split(b": ")[1] for line in head.split(b"\\r\\n") if line.lower().startswith(b"lambda-runtime-aws-request-id")][0]
            answer(id.decode(), len(event), on=opened())
        """, limits={"memory": "256MiB", **LONG_WALL})
    for size in (10, 5 * MIB, 5 * MIB, 10):
        assert host.invoke(name, "a" * size, expect="ok", timeout=60).json() == size + 2


ENDLESS = {
    "chunks of what is refused": (b"POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "requests behind what is refused": (
        b"POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000, b"GET / HTTP/1.1\r\n\r\n"),
    "chunks of an error": (b"POST /2018-06-01/runtime/invocation/ID/error HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "line ends": (b"", b"\r\n"),
    "a chunk's extension": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"aaaa"),
    "extensions of chunks": (
        b"POST /2018-06-01/runtime/invocation/ID/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"a" * 5000 + b"\r\nx\r\n"),
}


def processor_time(pid):
    """Of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("case", ENDLESS)
def test_what_costs_the_host_more_than_its_sender(host, case):
    """On all its connections and on new ones, as fast as it can: the host's own processor time is a small part of what has passed."""
    head, rest = (base64.b64encode(part).decode() for part in ENDLESS[case])
    name = mischief(host, """
        import base64
        def misbehave(id, event):
            head, rest = (base64.b64decode(part).replace(b"ID", id.encode()) for part in event)
            rest *= 200_000 // len(rest)
            end = time.monotonic() + 4
            def send_on():
                while time.monotonic() < end:
                    try:
                        with socket.create_connection(PLACE, 5) as connection:
                            connection.sendall(head)
                            while time.monotonic() < end: connection.sendall(rest)
                    except OSError: pass
            threads = [threading.Thread(target=send_on) for _ in range(7)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            answer(id, "done")
        """, limits=LONG_WALL)
    host.invoke(name, expect="ok")
    pid = host.supervisor.pid
    before, began = processor_time(pid), time.monotonic()
    host.invoke(name, [head, rest], timeout=60)
    spent, passed = processor_time(pid) - before, time.monotonic() - began
    assert spent < 0.3 * passed + 0.3, (spent, passed)


# -- Honest clients ---------------------------------------------------------------------------------------------------


def test_an_error_with_a_long_cause(host):
    """AWS's own clients send the whole trace in a header, too: 80 KB after a recursion without an end."""
    name = mischief(host, """
        def misbehave(id, event):
            headers = {"Lambda-Runtime-Function-Error-Type": "RecursionError", "Lambda-Runtime-Function-XRay-Error-Cause": "x" * event}
            ask("POST", f"invocation/{id}/error", b'{"errorType":"RecursionError","errorMessage":"too deep","stackTrace":[]}', headers)
        """)
    for length in (10, 20_000, 80_000, 120_000):
        told = failed(host.invoke(name, length), "error")
        assert told["error"]["type"] == "RecursionError" and told["error"]["message"] == "too deep", told
    goes_on(host, name)


def test_head_and_expect(host):
    """HEAD has no body, and who asks whether to go on is told so, wherever he sends it."""
    name = mischief(host, """
        def misbehave(id, event):
            connection = opened()
            connection.request("HEAD", "/")
            first = connection.getresponse()
            told = [first.status, len(first.read())]
            connection.request("GET", "/")
            told.append(connection.getresponse().status)
            raw = said(b"POST / HTTP/1.1\\r\\nExpect: 100-Continue\\r\\nContent-Length: 2\\r\\n\\r\\n")
            answer(id, told + [raw.decode()])
        """)
    *told, raw = host.invoke(name, 1, expect="ok").json()
    assert told == [404, 0, 404] and raw.startswith("HTTP/1.1 100 "), (told, raw)


# -- Behind an answer -------------------------------------------------------------------------------------------------


ANSWERS_AND_GOES_ON = """
    while True:
        id, event, headers = following()
        answer(id, os.getpid())
        while event == "burn": pass
        while event == "sleep": time.sleep(1)
"""


def test_who_does_not_ask_again_has_its_place_still(host):
    """It counts as much as one at work: one function has no more processes than it may."""
    name = deploy(host, ANSWERS_AND_GOES_ON, "mode: reactor\nconcurrency: {max: 2}\n", limits={"wall": f"{4 * SLOWNESS}s"})

    def workers():
        lines = host.get("/metrics", token=None).body.decode().splitlines()
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith("bulkhead_workers "))

    before = workers()
    for _ in range(2):
        host.invoke(name, "sleep", expect="ok")
    most, stop = before, threading.Event()

    def look():
        nonlocal most
        while not stop.is_set():
            most = max(most, workers())

    looking = threading.Thread(target=look)
    looking.start()
    # They wait for a place, which comes with the end of those that have answered.
    replies = [host.invoke(name, "sleep", timeout=60) for _ in range(3)]
    stop.set()
    looking.join()
    assert {reply.outcome for reply in replies} <= {"ok", "overloaded"} and "ok" in {reply.outcome for reply in replies}, replies
    assert most - before <= 2, (before, most)


def test_who_burns_behind_its_answer_ends(host):
    """Its CPU time is the invocation's, whose limit holds."""
    name = deploy(host, ANSWERS_AND_GOES_ON, limits={"wall": f"{30 * SLOWNESS}s", "cpu": "1s"})
    host.invoke(name, "burn", expect="ok")
    eventually(
        lambda: any("computed for longer than the CPU time" in line["text"] for line in host.logs(name)), 5 * SLOWNESS,
        "it is ended, and its log says why")


def test_work_behind_an_answer_is_on_the_functions_bill(host):
    """What a reused process computed since its last answer is told with its next, and is of no limit of that one's."""
    name = deploy(host, """
        while True:
            id, event, headers = following()
            answer(id, os.getpid())
            end = time.process_time() + 0.4
            while time.process_time() < end: pass
        """, "mode: reactor\nconcurrency: {max: 1}\n", limits={"wall": f"{30 * SLOWNESS}s", "cpu": "500ms"})
    first = host.invoke(name, expect="ok")
    for _ in range(3):
        reply = host.invoke(name, expect="ok")
        assert reply.json() == first.json() and float(reply["Bulkhead-Usage"].split("cpu-ms=")[1].split(",")[0]) > 300, reply


def test_who_does_not_ask_again_is_nobody_elses_trouble(host, example_folder):
    """Whoever waits for its place waits alone: others' workers are kept warm meanwhile, and it is told whose fault it is."""
    warm, stuck = deploy(host, "serve(lambda event, headers: event)", "concurrency: {warm: 2}\n"), deploy(
        host, ANSWERS_AND_GOES_ON, "mode: reactor\nconcurrency: {max: 1}\n", limits={"wall": "60s"})
    host.invoke(stuck, "sleep", expect="ok")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(host.invoke, stuck, "sleep", timeout=60)
        starts = []
        while not waiting.done():
            starts.append(host.invoke(warm, 1, expect="ok")["Bulkhead-Start"])
            time.sleep(0.5)
        assert starts[-5:].count("prewarmed") >= 3, starts
        assert waiting.result().outcome == "throttled", waiting.result()
    host.delete(stuck)
