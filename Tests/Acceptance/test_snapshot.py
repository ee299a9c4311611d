"""`mode: snapshot`: each invocation in a fork of a process that has said ready, and nothing of one in the next."""

import pytest

from bulkhead_host import ZIP, at_once, unique_name
from bundles import zip_of
from checks import carries_all, failed, problem, usage
from conftest import SLOWNESS
from system import eventually, with_argument

HANDLER = '''
import os, random, signal, sys, threading, time
seen = 0
shared_list = []

def handler(event, context):
    global seen
    seen += 1
    do = event.get("do")
    if do == "raise": raise ValueError("no")
    if do == "exit": os._exit(3)
    if do == "system-exit": sys.exit(4)
    if do == "vanish": os._exit(0)
    if do == "segv": os.kill(os.getpid(), signal.SIGSEGV)
    if do == "sleep": time.sleep(60)
    if do == "burn":
        while True: pass
    if do == "eat":
        x = [bytearray(1 << 20) for _ in range(400)]
    if do == "kill-template": os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)
    if do == "thread":
        box = []
        thread = threading.Thread(target=lambda: box.append(7)); thread.start(); thread.join()
        return box[0]
    if do == "leave":
        if os.fork() == 0:
            os.setsid()
            while True: time.sleep(1)
    if do == "thief":
        # A child that stays, to read the next event in the next invocation's place, and to answer it.
        if os.fork() == 0:
            os.setsid()
            while True:
                os.write(protocol, b'{"jsonrpc":"2.0","id":1,"result":"forged"}\\n')
                time.sleep(0.001)
    return {"seen": seen, "pid": os.getpid(), "random": random.random(), "event": event}
'''


def deploy(host, code=HANDLER, **manifest):
    name = unique_name("snapshot")
    lines = [f"name: {name}", "runtime: python", f"handler: {name}.handler", "mode: snapshot"]
    limits = {"memory": "128MiB"} | manifest
    lines += ["limits: { " + ", ".join(f"{key}: {value}" for key, value in limits.items() if key != "warm") + " }"]
    if "warm" in manifest:
        lines += [f"concurrency: {{ warm: {manifest['warm']} }}"]
    host.upload(name, zip_of({"function.yaml": "\n".join(lines).encode(), f"{name}.py": code.encode()}), content_type=ZIP)
    return name


def processes_of(name):
    """Those of one function: its template, and what is forked from it. Others' come and go meanwhile."""
    return with_argument(f"{name}.handler")


def test_each_is_a_fresh_fork(host):
    name = deploy(host)
    replies = [host.invoke(name, {"n": number}, expect="ok") for number in range(6)]
    assert [reply["Bulkhead-Start"] for reply in replies] == ["cold"] + ["forked"] * 5
    told = [reply.json() for reply in replies]
    assert {each["seen"] for each in told} == {1}, "what one remembers, no other knows"
    assert [each["event"]["n"] for each in told] == list(range(6))
    assert len({each["pid"] for each in told}) == len({each["random"] for each in told}) == 6
    for reply in replies:
        carries_all(reply)


@pytest.mark.parametrize("name", ["snapshot-python", "snapshot-c", "snapshot-swift"])
def test_examples(host, example, name):
    example(name)
    first, second = host.invoke(name, {}, expect="ok"), host.invoke(name, {}, expect="ok")
    assert second["Bulkhead-Start"] == "forked"
    if name != "snapshot-python":
        assert first.json() == second.json()


def test_kept_warm_the_first_is_a_fork_as_well(host):
    name = deploy(host, warm=1)
    eventually(lambda: host.invoke(name, {}, expect="ok")["Bulkhead-Start"] == "forked", 15 * SLOWNESS, "it is there")


@pytest.mark.parametrize("deed, outcome, member", [
    ("raise", "error", ("error", "type", "ValueError")), ("exit", "exit", ("exitCode", 3)),
    ("system-exit", "exit", ("exitCode", 4)), ("vanish", "protocol_error", None), ("segv", "signal", ("signal", "SIGSEGV")),
    ("sleep", "timeout", ("limit", "wall")), ("burn", "cpu_exceeded", None), ("eat", "memory_exceeded", None),
    ("kill-template", "signal", ("signal", "SIGKILL")),
])
def test_how_it_ends_is_told_and_the_next_one_is_well(host, deed, outcome, member):
    name = deploy(host, wall="4s", cpu="1s" if deed == "burn" else "4s")
    for _ in range(2):
        assert host.invoke(name, {}, expect="ok").json()["seen"] == 1
        told = failed(host.invoke(name, {"do": deed}, timeout=60), outcome)
        if member:
            value = told[member[0]]
            assert (value[member[1]] if len(member) == 3 else value) == member[-1]
    reply = host.invoke(name, {}, expect="ok")
    assert reply.json()["seen"] == 1
    # An error is an answer like another; whatever ends out of turn takes its template with it.
    assert reply["Bulkhead-Start"] == ("forked" if deed == "raise" else "cold")


def test_nothing_stays_behind_but_the_template(host):
    """A child that would outlive its invocation is gone before the next one begins."""
    name = deploy(host, processes=8)
    for number in range(5):
        assert host.invoke(name, {"do": "leave"}, expect="ok").json()["event"] == {"do": "leave"}
        assert host.invoke(name, {"n": number}, expect="ok")["Bulkhead-Start"] == "forked"
    eventually(lambda: len(processes_of(name)) == 1, 5 * SLOWNESS, "only the template is left")


def test_a_thief_gets_nothing(host):
    """A descendant that stays to answer in the next one's place: nobody ever sees what it wrote."""
    code = "import os\nprotocol = os.dup(1)\n" + HANDLER  # while the module loads, 1 is the log already
    name = deploy(host, code, processes=8)
    for number in range(10):
        reply = host.invoke(name, {"do": "thief"} if number % 2 else {"n": number})
        assert b"forged" not in reply.body
        if number % 2 == 0:
            assert reply.json()["event"] == {"n": number}, reply


def test_a_handler_may_have_threads(host):
    assert host.invoke(deploy(host), {"do": "thread"}, expect="ok").json() == 7


def test_a_template_may_not(host):
    code = "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n" + HANDLER
    name = deploy(host, code)
    told = failed(host.invoke(name, {}), "error")
    assert told["error"]["type"] == "SnapshotError"
    assert "2 threads" in told["detail"] and "mode: reactor" in told["detail"]


def test_a_module_that_does_not_load_says_why(host):
    told = failed(host.invoke(deploy(host, "import nothing_of_that_name\n"), {}), "error")
    assert told["error"]["type"] == "ModuleNotFoundError"


def test_at_once(host):
    """Each invocation needs a template of its own while it runs."""
    name = deploy(host, wall="20s")
    replies = at_once(lambda number=number: host.invoke(name, {"n": number}, timeout=60) for number in range(6))
    assert sorted(reply.json()["event"]["n"] for reply in replies) == list(range(6))
    assert {reply.json()["seen"] for reply in replies} == {1}


def test_no_scratch(host):
    """Its invocations share one cell, and would find each other's files."""
    manifest = b"name: x\nruntime: python\nhandler: app.handler\nmode: snapshot\nlimits: { scratch: 1MiB }\n"
    reply = host.upload(unique_name(), zip_of({"function.yaml": manifest, "app.py": HANDLER.encode()}), content_type=ZIP,
                        expect=None)
    assert "scratch" in problem(reply, "invalid_request")["detail"]


def test_usage_is_the_invocations_own(host):
    name = deploy(host)
    host.invoke(name, {}, expect="ok")
    reply = host.invoke(name, {}, expect="ok")
    assert "init-ms" not in usage(reply)
    assert usage(reply)["cpu-ms"] < 40 * SLOWNESS, "not the interpreter's start"
    assert not with_argument("never")
