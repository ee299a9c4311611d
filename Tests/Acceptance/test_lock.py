"""`lock: true`: once a reactor or snapshot has said ready, it computes on what it has, and nothing else."""

import pytest

from bulkhead_host import OCTETS, unique_name
from checks import failed, problem

HANDLER = b"""
import json, os, sys
opened = open("/function/" + os.listdir("/function")[0])  # before it is ready, all is as ever

def handler(event, context):
    what = event["do"]
    if what == "sum": return sum(event["of"])
    if what == "read": return len(opened.read())
    if what == "log": print("a line"); return "logged"
    if what == "raise": raise ValueError("raised " + event["text"])
    if what == "open": return open("/etc/hostname").read()
    if what == "exec": os.execv("/bin/true", ["true"])
    if what == "fork": return os.fork()
    if what == "signal": os.kill(os.getppid(), 0)
    if what == "thread":
        import _thread
        return _thread.start_new_thread(print, ())
    if what == "socket":
        import socket
        return socket.socketpair()[0].fileno()
"""


@pytest.fixture(scope="module", params=["command-free reactor", "snapshot"])
def locked(request, host):
    name = unique_name("locked")
    mode = "snapshot" if request.param == "snapshot" else "reactor"
    host.upload(name, HANDLER, {"runtime": "python", "handler": "app.handler", "mode": mode, "lock": "true",
                                "processes": "4", "threads": "16"}, OCTETS)
    return name


@pytest.mark.parametrize("event, result", [
    ({"do": "sum", "of": list(range(1000))}, 499_500), ({"do": "log"}, "logged"), ({"do": "read"}, None),
])
def test_it_goes_on_computing(host, locked, event, result):
    for _ in range(3):
        reply = host.invoke(locked, event, expect="ok")
        assert result is None or reply.json() == result


def test_it_raises_as_ever(host, locked):
    """Where a traceback cannot look into its files any more, it says the lines without them."""
    told = failed(host.invoke(locked, {"do": "raise", "text": "x"}), "error")
    assert told["error"]["type"] == "ValueError" and told["error"]["message"] == "raised x"
    assert "handler" in "".join(told["error"]["stackTrace"])
    assert host.invoke(locked, {"do": "sum", "of": [1]}, expect="ok").json() == 1


@pytest.mark.parametrize("deed", ["open", "exec", "fork", "signal", "thread", "socket"])
def test_what_it_lost(host, locked, deed):
    told = failed(host.invoke(locked, {"do": deed}), "denied")
    assert told["syscall"] and "lock" in told["detail"], told
    assert host.invoke(locked, {"do": "sum", "of": [1, 2]}, expect="ok").json() == 3


def test_it_is_no_words_for_a_command(host):
    problem(host.upload(unique_name("locked"), b"#!/bin/sh\ncat\n", {"lock": "true"}, expect=None), "invalid_request")
