"""Reactors: one process, many invocations, one JSON-RPC message a line, and no forgiveness for any other line.

A reactor's output is a stranger's. A line too many could be taken for the answer to the next invocation, which may be
another caller's: so the first anomaly ends the worker, and what it wrote is never seen again.
"""

import json
import time
import uuid
from functools import partial

import pytest

from bulkhead_host import ZIP, at_once, unique_name
from bundles import zip_of
from checks import carries_all, failed, usage
from system import eventually, with_argument


@pytest.fixture
def mirror(host, mirror_source):
    """Deploys guests/mirror.py as a reactor of its own, with further manifest fields as the query."""
    def deploy(**query):
        name = unique_name("mirror")
        host.upload(name, mirror_source, {"mode": "reactor", "init": "5s"} | query)
        return name
    return deploy


def fresh(host, name):
    """Asserts that the next invocation is right, and answered by a process that saw none before it."""
    reply = host.invoke(name, {"n": 1}, expect="ok")
    assert reply.json() == {"seen": 1}, f"not a fresh worker's own answer: {reply}"
    assert reply["Bulkhead-Start"] != "reused"
    carries_all(reply)


# -- As it should be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["counter-c", "counter-python"])
def test_example_is_reused(host, example, name):
    """State lives on between invocations, which is what a reactor is for."""
    example(name)
    replies = [host.invoke(name, {"n": number}, expect="ok") for number in range(5)]
    counts = [reply.json()["count"] for reply in replies]
    assert counts == list(range(counts[0], counts[0] + 5))
    assert [reply["Bulkhead-Start"] for reply in replies[1:]] == ["reused"] * 4
    assert all(reply["Content-Type"] == "application/json" for reply in replies)
    for reply in replies:
        carries_all(reply)


def test_reuse_is_faster_than_a_start(host, mirror):
    """The wait for an interpreter's start is paid once."""
    name = mirror()
    first = host.invoke(name, expect="ok")
    assert usage(first)["init-ms"] > 0
    began = time.monotonic()
    for _ in range(20):
        host.invoke(name, expect="ok")
    assert time.monotonic() - began < 2


def test_request_line(host, mirror):
    """What the worker is sent is the contract's message, on one line, however the event was laid out."""
    name = mirror(memory="96MiB", wall="7s")
    event = b'{\r\n  "do":\t"show",\n\n  "text": "a\\nb"\n}'
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    before = time.time() * 1000
    reply = host.invoke(name, event, headers={"traceparent": traceparent}, expect="ok")
    line = reply.json()["line"]
    assert line.endswith("\n") and line.count("\n") == 1
    request = json.loads(line)
    assert (request["jsonrpc"], request["method"]) == ("2.0", "invoke")
    assert isinstance(request["id"], int)
    assert request["params"]["event"] == {"do": "show", "text": "a\nb"}
    context = request["params"]["context"]
    assert context["invocationId"] == reply["Bulkhead-Invocation-Id"]
    assert context["function"] == name
    assert str(context["version"]) == "1"
    assert context["memoryLimitMiB"] == 96
    deadline = context["deadlineMs"]
    assert 0 < deadline <= 7000 or before <= deadline <= before + 7000 + 5000, "neither a remainder nor a time"
    assert context["traceparent"].split("-")[1] == traceparent.split("-")[1]


@pytest.mark.parametrize("event", [
    None, 0, "text\u2028\u2029", [1, [2, [3]]], {"id": 99, "jsonrpc": "1.0", "result": 1},
])
def test_event_of_any_shape(host, mirror, event):
    """Events that look like messages, or hold what some take for a line's end, stay events."""
    name = mirror()
    assert host.invoke(name, event, expect="ok").json() == {"seen": 1}
    assert host.invoke(name, event, expect="ok").json() == {"seen": 2}


def test_one_at_a_time(host, mirror):
    """Callers at once get workers of their own: no worker is sent a second event before it answered the first."""
    name = mirror()
    replies = at_once([partial(host.invoke, name, {"n": number}, expect="ok", timeout=60) for number in range(8)])
    seen = [reply.json()["seen"] for reply in replies]
    assert seen.count(1) == sum(reply["Bulkhead-Start"] != "reused" for reply in replies)


def test_log_goes_to_its_invocation(host, mirror):
    """stderr of a process that lives long is split by invocation."""
    name = mirror()
    texts = "one", "two"
    replies = [host.invoke(name, {"do": "log", "text": text}, expect="ok") for text in texts]
    for reply, text in zip(replies, texts):
        identifier = reply["Bulkhead-Invocation-Id"]
        lines = eventually(lambda: host.logs(name, invocation=identifier), 5, "its log line")
        assert [line["text"] for line in lines] == [text]


def bundle(manifest, name, files):
    return zip_of({"function.yaml": f"name: {name}\n{manifest}\n".encode()} | files)


def test_replaced_after_reuse(host, mirror_source):
    """concurrency.reuse: a worker serves that many and is then replaced."""
    name = unique_name("reuse")
    manifest = "run: ./run\nmode: reactor\nconcurrency: { reuse: 3 }"
    host.upload(name, bundle(manifest, name, {"run": (mirror_source, 0o755)}), content_type=ZIP)
    assert [host.invoke(name, expect="ok").json()["seen"] for _ in range(7)] == [1, 2, 3, 1, 2, 3, 1]


def test_ends_when_idle(host, mirror_source):
    """concurrency.idle: a worker that nobody needs gives its memory back."""
    name, marker = unique_name("idle"), uuid.uuid4().hex
    manifest = f"run: ./run\nargs: [{marker}]\nmode: reactor\nconcurrency: {{ idle: 1s }}"
    host.upload(name, bundle(manifest, name, {"run": (mirror_source, 0o755)}), content_type=ZIP)
    assert host.invoke(name, expect="ok").json() == {"seen": 1}
    assert with_argument(marker), "a reactor waits for more"
    eventually(lambda: not with_argument(marker), 5, "the idle worker is gone")
    fresh(host, name)


def test_new_version_gets_new_workers(host, mirror_source, mirror):
    """After an upload no old process answers for the new version."""
    name = mirror()
    assert host.invoke(name, expect="ok").json() == {"seen": 1}
    host.upload(name, mirror_source + b"# changed\n", {"mode": "reactor"}, expect=[201])
    reply = host.invoke(name, expect="ok")
    assert (reply.json(), reply["Bulkhead-Version"]) == ({"seen": 1}, "2")


# -- Errors of the handler --------------------------------------------------------------------------------------------

RAISER = b"""
class Custom(Exception):
    pass

def deep(event):
    if event == "custom":
        raise Custom("my own \\u20ac")
    return {}[event]

def handle(event, context):
    return deep(event) if event else "fine"
"""


@pytest.mark.parametrize("mode", ["command", "reactor"])
@pytest.mark.parametrize("event, kind, message", [("custom", "Custom", "my own €"), ("absent", "KeyError", "absent")])
def test_python_error(host, mode, event, kind, message):
    """What the handler raised is told by type, message and trace: a stranger's bug must be found from the answer."""
    name = unique_name("raiser")
    manifest = f"runtime: python\nhandler: app.handle\nmode: {mode}\nlimits: {{ init: 5s, wall: 5s }}"
    host.upload(name, bundle(manifest, name, {"app.py": RAISER}), content_type=ZIP)
    error = failed(host.invoke(name, event), "error")["error"]
    assert error["type"].rsplit(".", 1)[-1] == kind
    assert message in error["message"]
    assert any("deep" in frame for frame in map(str, error["stackTrace"])), error
    assert host.invoke(name, None, expect="ok").json() == "fine"


def test_error_message_of_any_reactor(host, example):
    """-32000 and its data, from a worker that is no Python."""
    name = example("hostile/unruly-reactor")
    error = failed(host.invoke(name, {"do": "error"}), "error")["error"]
    assert error == {"type": "ValueError", "message": "as asked", "stackTrace": ["main.c"]}


# -- Protocol errors --------------------------------------------------------------------------------------------------

INSTEAD = ["not json", "wrong id", "no id", "id as text", "ready again", "neither result nor error"]
BEHIND = ["answer twice", "answer ahead", "garbage behind", "half a line behind"]


@pytest.mark.parametrize("deed", INSTEAD)
def test_wrong_line_instead_of_an_answer(host, mirror, deed):
    """Any line but the answer is a protocol error, and the worker's last."""
    name = mirror()
    assert host.invoke(name, expect="ok").json() == {"seen": 1}
    reply = host.invoke(name, {"do": deed})
    failed(reply, "protocol_error")
    assert b"forged" not in reply.body
    fresh(host, name)


@pytest.mark.parametrize("deed", BEHIND)
def test_more_behind_the_answer(host, mirror, deed):
    """A sound answer with something behind it: whoever reads it, the next caller never does."""
    name = mirror()
    assert host.invoke(name, expect="ok").json() == {"seen": 1}
    reply = host.invoke(name, {"do": deed})
    if reply.outcome == "ok":  # the answer was complete before the rest was read
        assert reply.json() == {"seen": 2}
    else:
        failed(reply, "protocol_error")
    fresh(host, name)


@pytest.mark.parametrize("pause", [0, 0.5], ids=["at once", "later"])
@pytest.mark.parametrize("deed", ["second-answer", "late", "early"])
def test_unruly_example(host, example, deed, pause):
    """The same from a worker that writes in pieces and takes its time, so that the next request may be under way."""
    name = example("hostile/unruly-reactor")
    for _ in range(2):  # a warm worker, so that a stale answer would not look like a new worker's
        host.invoke(name, {}, expect="ok")
    host.invoke(name, {"do": deed})
    time.sleep(pause)
    reply = host.invoke(name, {})
    if pause == 0 and reply.outcome == "protocol_error":
        failed(reply, "protocol_error")  # it was the worker's next request when the stale line came
        reply = host.invoke(name, {})
    assert reply.outcome == "ok" and reply.json() == {"ok": True, "seen": 1}, reply


@pytest.mark.parametrize("deed, outcome", [
    ("garbage-line", "protocol_error"), ("wrong-id", "protocol_error"), ("half", "timeout"), ("silent", "timeout"),
    ("huge", "output_exceeded"), ("exit", "exit"), ("segv", "signal"), ("spin", "cpu_exceeded"),
])
def test_unruly_end(host, example, deed, outcome):
    """Every other way to fail an invocation has its own name, and costs only this worker."""
    name = example("hostile/unruly-reactor")
    host.invoke(name, {}, expect="ok")
    told = failed(host.invoke(name, {"do": deed}), outcome)
    if outcome == "timeout":
        assert told["limit"] == "wall"
    if outcome == "exit":
        assert told["exitCode"] == 3
    if outcome == "signal":
        assert told["signal"] == "SIGSEGV"
    assert host.invoke(name, {}, expect="ok").json() == {"ok": True, "seen": 1}


@pytest.mark.parametrize("start, outcome, says", [
    ("never-ready", "timeout", {"limit": "init"}),
    ("exit-before-ready", "exit", {"exitCode": 3}),
    ("answer-before-ready", "protocol_error", {}),
    ("ready-twice", "protocol_error", {}),
])
def test_before_the_first_event(host, example_folder, start, outcome, says):
    """A worker that never becomes ready has its own limit; one that answers before it was asked is not asked."""
    name = unique_name("start")
    program = next(example_folder("hostile/unruly-reactor").glob("unruly-reactor"))
    host.upload(name, program, {"mode": "reactor", "init": "1s", "args": start})
    began = time.monotonic()
    reply = host.invoke(name, {})
    assert time.monotonic() - began < 4
    told = failed(reply, outcome)
    assert {key: told[key] for key in says} == says


def test_client_leaves_a_reactor(host, example):
    """A worker whose caller has left is in the middle of something: it is ended, not handed to the next caller."""
    name = example("hostile/unruly-reactor")
    host.invoke(name, {}, expect="ok")
    with pytest.raises(TimeoutError):
        host.invoke(name, {"do": "silent"}, timeout=0.5)
    assert host.invoke(name, {}, expect="ok").json() == {"ok": True, "seen": 1}
