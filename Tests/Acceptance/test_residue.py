"""From one invocation to the next, and from one tenant to another: nothing.

A guest leaves something in every way it can think of; another run of it looks. The same function's next invocation, and
another function that was made of the very same bytes and so shares every page of its file, afterwards and meanwhile.
"""

import hashlib
import json
import time
import uuid
from threading import Thread

import pytest

import system
from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from conftest import SLOWNESS
from system import eventually

# What needs no wall, because it is the worker's own and ends with it. All else must have been refused.
OWN = {"scratch", "scratch-folder", "posix-shm", "flock", "record-lock", "environment", "nice", "rlimit", "memory", "child"}


@pytest.fixture
def residue(host, compile_c):
    """`residue()`: a function of the guest. All of them have the same bundle but for their names."""
    program = compile_c("residue.c")

    def deploy():
        name = unique_name("residue")
        manifest = (f"name: {name}\nrun: ./main\nlimits: {{ scratch: 1MiB, processes: 4, memory: 64MiB, "
                    f"wall: {20 * SLOWNESS}s }}\n")
        host.upload(name, zip_of({"function.yaml": manifest.encode(), "main": (program.read_bytes(), 0o755)}),
                    content_type=ZIP)
        return name
    return deploy


def leave(host, name, do="leave"):
    """What could be left. The event goes on for longer than the guest reads."""
    reply = host.invoke(name, {"do": do, "rest": "secret" * 20_000}, expect="ok", timeout=30 * SLOWNESS)
    text, end, late = reply.body.decode().partition("}")
    # What the child writes while its cell is being ended is still this invocation's; nobody else gets it.
    assert end and set(late) <= set("LATE")
    return json.loads(text + end)


def look(host, name):
    event = json.dumps({"do": "look"}).encode()
    found = host.invoke(name, event, expect="ok", timeout=30 * SLOWNESS).json()
    assert found.pop("length") == len(event), "not its own event alone"
    return {way: what for way, what in found.items() if what != "nothing"}


def test_all_ways_are_tried(host, residue):
    """What can be left is the worker's own; what is not the worker's own is refused."""
    ways = leave(host, residue())
    assert {way for way, what in ways.items() if what == "left"} == OWN, ways


def test_next_invocation_of_the_same_function(host, residue):
    name = residue()
    for _ in range(3):
        leave(host, name)
        assert look(host, name) == {}


def test_another_function(host, residue):
    """Afterwards, and while the one that leaves things is still there."""
    leaver, other = residue(), residue()
    leave(host, leaver)
    assert look(host, other) == {}
    caller = Thread(target=leave, args=[host, leaver, "hold"])
    caller.start()
    eventually(lambda: [one for one in system.family(host.process.pid) if one.args[:1] == ("/function/main",)],
               10 * SLOWNESS, "it holds on")
    while caller.is_alive():
        assert look(host, other) == {}
        assert look(host, leaver) == {}
    caller.join()


def test_bundle_is_as_it_was(host, residue, compile_c):
    """The file that all of them share, on the host's disk and as the next worker reads it."""
    name = residue()
    before = hashlib.sha256(compile_c("residue.c").read_bytes()).hexdigest()
    leave(host, name)
    stored = [path for path in (host.data / "bundles").glob("*/main")]
    assert any(hashlib.sha256(path.read_bytes()).hexdigest() == before for path in stored)
    assert all(path.stat().st_nlink == 1 and path.stat().st_mode & 0o022 == 0 for path in stored if path.exists())


REACTOR = b"""
import os
memory = []

def handler(event, context):
    before = {"memory": list(memory), "files": sorted(os.listdir("/tmp")), "environment": os.environ.get("LEFT")}
    memory.append(event)
    open("/tmp/" + event, "w").close()
    os.environ["LEFT"] = event
    return before
"""


def reactor(host, reuse):
    name = unique_name("residue-reactor")
    manifest = (f"name: {name}\nruntime: python\nhandler: app.handler\nmode: reactor\n"
                f"limits: {{ scratch: 1MiB, memory: 64MiB, init: {10 * SLOWNESS}s }}\nconcurrency: {{ reuse: {reuse} }}\n")
    host.upload(name, zip_of({"function.yaml": manifest.encode(), "app.py": REACTOR}), content_type=ZIP)
    return name


def test_reactor_keeps_its_own_memory_and_scratch(host):
    """That is what a reactor is for, and documented; another function sees none of it, nor does the next process."""
    name, nothing = reactor(host, reuse=2), {"memory": [], "files": [], "environment": None}
    mark = "a" + uuid.uuid4().hex
    assert host.invoke(name, mark, expect="ok").json() == nothing
    assert host.invoke(name, "b", expect="ok").json() == {"memory": [mark], "files": [mark], "environment": mark}
    assert host.invoke(name, "c", expect="ok").json() == nothing, "a new process after `reuse` invocations"
    assert host.invoke(reactor(host, reuse=2), "d", expect="ok").json() == nothing


LATE = b"""#!/usr/bin/python3
import json, os, sys, threading, time
os.write(1, b'{"jsonrpc":"2.0","method":"ready"}\\n')
def late(identifier):
    time.sleep(0.05)
    os.write(1, b'{"jsonrpc":"2.0","id":%d,"result":"forged"}\\n' % identifier)
for line in sys.stdin:
    identifier = json.loads(line)["id"]
    threading.Thread(target=late, args=[identifier + 1]).start()
    os.write(1, b'{"jsonrpc":"2.0","id":%d,"result":"own"}\\n' % identifier)
"""


def test_late_output_is_nobodys(host):
    """A second answer that comes when nobody asked ends the worker; the next invocation never gets it."""
    name = unique_name("late")
    manifest = f"name: {name}\nrun: ./run\nmode: reactor\nlimits: {{ processes: 1, threads: 8 }}\n"
    host.upload(name, zip_of({"function.yaml": manifest.encode(), "run": (LATE, 0o755)}), content_type=ZIP)
    for pause in (0, 0.02, 0.049, 0.05, 0.051, 0.2):
        reply = host.invoke(name, 1)
        time.sleep(pause)  # before, while and after the forged answer is on its way
        again = host.invoke(name, 2)
        for one in (reply, again):
            assert one.outcome == "protocol_error" or one.json() == "own", one
