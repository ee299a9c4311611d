"""Invocations that go wrong: each ends in the one outcome that names its first cause, and the next is right again."""

import socket
import time
from functools import partial

import pytest

from bulkhead_host import at_once
from checks import failed, problem, usage
from system import eventually, with_argument


def assert_nobody_left(function):
    eventually(lambda: not with_argument(function.marker), 2, "no process of the function is left")


# -- Ends of the guest's own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1, 3, 127, 255])
def test_exit(host, deed, code):
    """A status other than 0, with the status; what it printed is no result, and is told beside it."""
    told = failed(host.invoke(deed("exit", code).name), "exit")
    assert told["exitCode"] == code
    assert "must not be taken" in told["stdout"] and "log" in told


@pytest.mark.parametrize("what, signal", [
    (("segv",), "SIGSEGV"), (("abort",), "SIGABRT"), (("kill", 8), "SIGFPE"), (("kill", 15), "SIGTERM"),
    (("kill", 9), "SIGKILL"),
])
def test_signal(host, deed, what, signal):
    """The signal by its name. A SIGKILL that the guest sent itself is a signal, and no guess at memory or time."""
    assert failed(host.invoke(deed(*what).name), "signal")["signal"] == signal


@pytest.mark.parametrize("syscall", ["ptrace", "unshare", "setns", "bpf", "keyctl", "mount"])
def test_denied(host, deed, syscall):
    """A system call that no honest function makes ends the worker, and the answer names the call."""
    assert failed(host.invoke(deed("call", syscall).name), "denied")["syscall"] == syscall


# -- Limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [("sleep", 60_000), ("stubborn",)], ids=["asleep", "ignores signals"])
def test_wall(host, deed, what):
    """Time is up when the manifest says so, whatever the worker thinks of signals, and nothing of it stays."""
    function = deed(*what, wall="1s")
    began = time.monotonic()
    told = failed(host.invoke(function.name), "timeout")
    assert told["limit"] == "wall"
    assert 0.95 <= time.monotonic() - began < 3
    assert_nobody_left(function)


def test_default_wall_is_three_seconds(host, deed):
    """Without a word in the manifest there is a limit all the same."""
    began = time.monotonic()
    assert failed(host.invoke(deed("sleep", 60_000).name), "timeout")["limit"] == "wall"
    assert 2.9 <= time.monotonic() - began < 5


def test_cpu(host, deed):
    """Computing ends at the CPU limit, long before the wall, and is told apart from it."""
    function = deed("spin", 60_000, cpu="1s", wall="20s")
    began = time.monotonic()
    reply = host.invoke(function.name)
    assert "limit" in failed(reply, "cpu_exceeded")
    assert time.monotonic() - began < 8
    assert usage(reply)["cpu-ms"] >= 900
    assert_nobody_left(function)


def test_memory(host, deed):
    """More than the limit, touched: found by the kernel's counter, not guessed from a SIGKILL."""
    function = deed("touch", 256, memory="32MiB")
    reply = host.invoke(function.name)
    failed(reply, "memory_exceeded")
    assert usage(reply)["memory-bytes"] <= 40 << 20
    assert host.invoke(deed("touch", 16, memory="32MiB").name, expect="ok")


def test_scratch_counts_as_memory(host, deed):
    """A tmpfs is memory too: what is written there is charged to the cell, not to the host."""
    reply = host.invoke(deed("fill", 256, memory="32MiB", scratch="64MiB").name)
    if reply.outcome == "ok":  # the write may fail instead of the worker
        assert reply.json()["written"] < 32 << 20
    else:
        failed(reply, "memory_exceeded")


def test_output(host, deed):
    """A worker that prints without end is stopped at the limit; a result of exactly that size is a result."""
    failed(host.invoke(deed("flood", 1, 1 << 30, output="64KiB").name), "output_exceeded")
    failed(host.invoke(deed("flood", 1, 64 * 1024 + 64, output="64KiB").name), "output_exceeded")
    assert len(host.invoke(deed("flood", 1, 64 * 1024, output="64KiB").name, expect="ok").body) == 64 * 1024


def test_default_output_is_six_mebibytes(host, deed):
    assert len(host.invoke(deed("flood", 1, 6 << 20, wall="10s").name, expect="ok").body) == 6 << 20
    failed(host.invoke(deed("flood", 1, 7 << 20, wall="10s").name), "output_exceeded")


def test_one_process_by_default(host, deed):
    """processes: 1 means that there is no second one; with more granted there is."""
    assert host.invoke(deed("fork").name).body != b'"forked"'
    assert host.invoke(deed("fork", processes="4").name, expect="ok").json() == "forked"


def test_child_that_stays_behind(host, deed):
    """A child that outlives the worker and keeps its output open holds nobody up, and dies with the invocation."""
    function = deed("orphan", processes="4", wall="5s")
    began = time.monotonic()
    reply = host.invoke(function.name)
    assert reply.outcome in ("ok", "timeout"), reply
    assert time.monotonic() - began < 7
    assert_nobody_left(function)


# -- Too many ---------------------------------------------------------------------------------------------------------


def test_throttled(host, deed):
    """Over concurrency.max the answer comes at once and says when to come again; afterwards there is room again."""
    function = deed("sleep", 1500, manifest="concurrency: { max: 2 }")
    began = time.monotonic()
    replies = at_once([partial(host.invoke, function.name)] * 6)
    assert sorted(reply.status for reply in replies) == [200, 200, 429, 429, 429, 429]
    for reply in replies:
        if reply.status == 429:
            assert problem(reply, "throttled")["retryable"] is True
    assert time.monotonic() - began < 10
    assert host.invoke(function.name, expect="ok")


def test_throttled_is_not_for_the_neighbour(host, deed, example):
    """One function at its limit leaves the others alone."""
    function = deed("sleep", 1500, manifest="concurrency: { max: 1 }")
    busy = [partial(host.invoke, function.name), partial(host.invoke, function.name)]
    replies = at_once(busy + [partial(host.invoke, example("echo"), 1)] * 4)
    assert sorted(reply.status for reply in replies[:2]) == [200, 429]
    assert all(reply.status == 200 for reply in replies[2:])


# -- A client that leaves ---------------------------------------------------------------------------------------------


def send_and_wait_for_worker(host, function):
    """A connection on which an invocation of `function` runs."""
    connection = socket.create_connection((host.address, host.port), timeout=10)
    connection.sendall((
        f"POST /v1/functions/{function.name}/invocations HTTP/1.1\r\nHost: {host.address}\r\n"
        f"Authorization: Bearer {host.token}\r\nContent-Length: 0\r\n\r\n").encode())
    eventually(lambda: with_argument(function.marker), 5, "the worker runs")
    return connection


def test_client_leaves(host, deed):
    """Nobody waits for the answer: the worker is ended at once, and the record says why."""
    function = deed("sleep", 60_000, wall="60s")
    send_and_wait_for_worker(host, function).close()
    assert_nobody_left(function)

    def line():
        return [line for line in host.logs(function.name) if line["text"] == "sleeping"]
    identifier = eventually(line, 5, "its log line")[0]["invocationId"]
    assert host.record_when_done(identifier)["outcome"] == "cancelled"


def test_client_that_leaves_frees_its_place(host, deed):
    """A cancelled invocation no longer counts against concurrency.max."""
    function = deed("sleep", 2500, manifest="concurrency: { max: 1 }")
    send_and_wait_for_worker(host, function).close()
    left = time.monotonic()

    def admitted_after():
        began = time.monotonic()
        return host.invoke(function.name).outcome == "ok" and began - left
    assert eventually(admitted_after, 6, "there is room again") < 1, "the place was free only when the worker had ended"
