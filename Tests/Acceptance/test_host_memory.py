"""One budget for all bytes that the supervisor holds for others: 512 MiB, whoever sends, answers or reads nothing.

Each attack is what once took more, alone and then all of them at once; small requests are served meanwhile.
"""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from bulkhead_host import unique_name
from conftest import SLOWNESS
from supervising import Lasting, Sampler, echo, memory_mib, supervisor
from system import eventually

BOUND = 512
MIB = 1 << 20
CONTROLS = bytes(range(1, 9)) * (6 * MIB // 8 - 1)  # each is six characters in JSON
SECONDS = 8  # an attack goes on for so long

# How many bytes the event has, said late: all events are held at the same time.
COUNTER = b"#!/bin/sh\nsleep 1\nexec wc -c\n"


def talker(host, mebibytes, before="", behind=""):
    """A function, open to all, that answers with so many MiB."""
    name = unique_name("talker")
    script = f"#!/bin/sh\nprintf '{before}'\nhead -c {mebibytes * MIB - 100} /dev/zero | tr '\\0' a\nprintf '{behind}'\n"
    host.upload(name, script.encode(), {"auth": "none", "output": f"{mebibytes + 1}MiB", "memory": "64MiB", "wall": "60s",
                                        "max": "1000"})
    return name


def send(host, data, stack, patience=60):
    connection = stack.enter_context(socket.create_connection((host.address, host.port), timeout=patience))
    try:
        connection.sendall(data)
    except (BrokenPipeError, ConnectionResetError, TimeoutError):
        pass  # refused in the middle, or the host reads no more for now
    return connection


def request(name, body=b"", method="GET", more=""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} /fn/{name} HTTP/1.1\r\nHost: localhost\r\n{length}{more}\r\n".encode() + body


def first_line(connection, patience=60):
    connection.settimeout(patience)
    try:
        return connection.recv(12)
    except (TimeoutError, ConnectionResetError):
        return b""


# -- The attacks: each returns when it is over, and what clients were told --------------------------------------------


class Attacks:
    """Prepared beforehand, so that all can begin at the same moment. Each yields the statuses that its clients saw."""

    def __init__(self, host):
        self.host, self.stack = host, ExitStack()
        self.counter = unique_name("counter")
        host.upload(self.counter, COUNTER, {"auth": "none", "wall": "20s", "max": "100"})
        page = '{"statusCode":200,"body":"', '"}'
        self.talkers = [talker(host, 16, *(page if number % 2 else ())) for number in range(10)]
        self.modest = talker(host, 5)

    def controls(self):
        """16 clients without a token: 6 MiB each that JSON makes six times as many."""
        def one(_):
            headers = "Content-Type: text/plain\r\n"
            return first_line(send(self.host, request(self.counter, CONTROLS, "POST", headers), self.stack))
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(one, range(16)))

    def answers(self):
        """Ten functions that answer 16 MiB each, to clients that take their time."""
        def one(name):
            connection = send(self.host, request(name), self.stack)
            line, size = first_line(connection), 0
            began = time.monotonic()
            while line and time.monotonic() - began < SECONDS and size < 16 * MIB:
                try:
                    got = connection.recv(MIB)
                except (TimeoutError, ConnectionResetError):
                    break
                size += len(got)
                if not got:
                    break
                time.sleep(0.02)
            return line
        with ThreadPoolExecutor(10) as pool:
            return list(pool.map(one, self.talkers))

    def pipeline(self):
        """One client asks two hundred times on one connection, and reads nothing; for each way in."""
        direct = (f"POST /v1/functions/{self.modest}/invocations HTTP/1.1\r\nHost: localhost\r\n"
                  f"Authorization: Bearer {self.host.token}\r\nContent-Length: 2\r\n\r\n{{}}").encode()
        connections = [send(self.host, one * 200, self.stack) for one in (request(self.modest), direct)]
        time.sleep(SECONDS)
        return [first_line(connection) for connection in connections]

    def deaf(self):
        """Sixty clients ask once and read nothing."""
        connections = []
        for _ in range(60):
            connections.append(send(self.host, request(self.modest), self.stack))
            connections[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        time.sleep(SECONDS)
        return [first_line(connection, 1) for connection in connections]

    def arriving(self):
        """A hundred uploads of events that stop before their end, in chunks and with a length."""
        piece = b"20000\r\n" + b"\1" * 0x20000 + b"\r\n"

        def one(number):
            chunked = number % 2
            more = "Transfer-Encoding: chunked\r\n" if chunked else f"Content-Length: {6 * MIB - 10}\r\n"
            send(self.host, request(self.counter, b"", "POST", more) + (piece * 44 if chunked else b"\1" * (5 * MIB)),
                 self.stack, 5)
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(one, range(100)))
        return []

    def pipelined_events(self):
        """Forty events of 5 MiB one behind the other on each of four connections."""
        event = request(self.counter, b"\1" * (5 * MIB), "POST", "Content-Type: text/plain\r\n")

        def one(_):
            return first_line(send(self.host, event * 40, self.stack, SECONDS))
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(one, range(4)))


KINDS = ["controls", "answers", "pipeline", "deaf", "arriving", "pipelined_events"]


def under(host, kinds):
    """Runs these attacks together; what they were told, the supervisor's peak, and the slowest small request."""
    other = echo(host)
    attacks = Attacks(host)
    serving = supervisor(host)
    before = memory_mib(serving.pid)
    slowest, over = [0], threading.Event()

    def bystander():
        while not over.is_set():
            began = time.monotonic()
            host.invoke(other, {"n": 1}, expect="ok", timeout=30)
            slowest[0] = max(slowest[0], time.monotonic() - began)
            time.sleep(0.1)
    with attacks.stack, Lasting(host, other), Sampler(lambda: serving.pid) as sampler, ThreadPoolExecutor(9) as pool:
        beside = pool.submit(bystander)
        running = {kind: pool.submit(getattr(attacks, kind)) for kind in kinds}
        told = {kind: [line for line in future.result()] for kind, future in running.items()}
        over.set()
        beside.result()
        peak = max(sampler.most, memory_mib(serving.pid, "VmHWM"))
    return told, before, peak, slowest[0], serving


def check(told, peak, slowest):
    print(f"peak {peak} MiB, slowest small request {slowest:.2f} s, told {told}")
    for kind, lines in told.items():
        # A request beyond the budget waits or is `overloaded`; nobody is told anything else.
        assert {line[9:12] for line in lines if line} <= {b"200", b"503", b"413", b"408"}, (kind, lines)
    assert peak <= BOUND, f"{peak} MiB"
    assert slowest < 5 * SLOWNESS, f"a small request took {slowest:.1f} s"


@pytest.mark.parametrize("kind", KINDS)
def test_attack(hosts, kind):
    told, _, peak, slowest, _ = under(hosts(), [kind])
    check(told, peak, slowest)
    if kind in ("controls", "answers"):
        assert sum(line.startswith(b"HTTP/1.1 200") for line in told[kind]) >= len(told[kind]) // 4, "most are refused"


def test_all_at_once(hosts):
    told, _, peak, slowest, _ = under(hosts(), KINDS)
    check(told, peak, slowest)


def test_what_was_held_is_given_back(hosts):
    """When everybody has left: the next crowd finds as much room as the first did, three times over."""
    host = hosts()
    peaks = []
    for _ in range(3):
        told, _, peak, slowest, serving = under(host, ["controls", "deaf"])
        check(told, peak, slowest)
        served = sum(line.startswith(b"HTTP/1.1 200") for line in told["controls"])
        peaks.append((served, memory_mib(serving.pid)))
    assert peaks[-1][0] >= peaks[0][0] // 2, peaks
    eventually(lambda: memory_mib(serving.pid) < BOUND, 10, "its memory falls")
