"""Invocations that go well: events in, results out, and what is told about each."""

import json
import re
import time
from contextlib import closing
from datetime import datetime
from functools import partial

import pytest

from bulkhead_host import ZIP, at_once, reply_on, unique_name
from bundles import zip_of
from checks import carries_all, failed, problem, server_timing, usage
from system import eventually, with_argument

MIB = 1 << 20


# -- Results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result, media_type", [
    (b'{"a":1}', "application/json"),
    (b"[1, 2]\n", "application/json"),
    (b'  "text"  ', "application/json"),
    (b"-1.5e3", "application/json"),
    (b"null", "application/json"),
    (b"plain words\n", "text/plain; charset=utf-8"),
    (b'{"a":1} and more', "text/plain; charset=utf-8"),
    (b'{"a":1,}', "text/plain; charset=utf-8"),
    (b"01", "text/plain; charset=utf-8"),
    (b"NaN", "text/plain; charset=utf-8"),
    ("naïve €\n".encode(), "text/plain; charset=utf-8"),
    (b"\xff\xfe\x00", "application/octet-stream"),
    (b'"\xff"', "application/octet-stream"),
    (b"\xc0\xaf", "application/octet-stream"),
    (b"\xed\xa0\x80", "application/octet-stream"),
    (bytes(range(256)), "application/octet-stream"),
])
def test_result_type(host, deed, result, media_type):
    """The bytes come back untouched; their type is what they are, and near misses of JSON and UTF-8 are neither."""
    reply = host.invoke(deed("emit", result.hex()).name, expect="ok")
    assert reply.status == 200
    assert reply.body == result
    assert reply["Content-Type"] == media_type
    carries_all(reply)


def test_deeply_nested_result(host):
    """JSON of any depth is measured by a checker that does not recurse: a stack overflow here would end the host."""
    name, depth = unique_name("deep"), 1_000_000
    host.upload(name, f"#!/usr/bin/python3\nprint('[' * {depth} + ']' * {depth}, end='')\n".encode(), {"wall": "10s"})
    assert len(host.invoke(name, expect="ok").body) == 2 * depth
    assert host.get("/healthz").status == 200


# -- Events -----------------------------------------------------------------------------------------------------------


def test_empty_body_is_null(host, example):
    """A function always reads JSON, also when the caller had nothing to say."""
    reply = host.invoke(example("echo"), b"", expect="ok")
    assert (reply.body, reply["Content-Type"]) == (b"null", "application/json")


@pytest.mark.parametrize("event", [
    b'{ "b":1.0,\n\t"a":"\\u00e9" }\r\n', '"é"'.encode(), b"12345678901234567890.10", b"true",
])
def test_event_arrives_as_sent(host, example, event):
    """Checked, not rewritten: key order, spaces and long numbers survive."""
    assert host.invoke(example("echo"), event, expect="ok").body == event


@pytest.mark.parametrize("event", [
    b"{", b'{"a":1,}', b"nul", b"'x'", b"NaN", b"1 2", b"[1,]", b'"\x01"', b'"\xff"', b'"\\x"', b"01", b"\x00", b"{}{}",
    b"plain", b'{"a" 1}', b'"\\ud800', b"+1", b".5", b"// x\n1",
])
def test_event_that_is_no_json(host, example, event):
    """The caller's mistake, told to the caller; the function never starts."""
    problem(host.invoke(example("echo"), event), "invalid_request")


@pytest.mark.parametrize("depth", [1000, 1_000_000])
def test_deeply_nested_event(host, example, depth):
    """Taken or refused, but survived."""
    event = b"[" * depth + b"]" * depth
    reply = host.invoke(example("echo"), event)
    assert (reply.status, reply.body) == (200, event) or problem(reply, "invalid_request")
    assert host.invoke(example("echo"), 1, expect="ok").body == b"1"


def text_event(size):
    """A JSON string of exactly `size` bytes."""
    return b'"' + b"a" * (size - 2) + b'"'


def pieces(data):
    """`data` as an iterator, which makes the client send it in chunks."""
    return (data[at:at + 65536] for at in range(0, len(data), 65536))


@pytest.mark.parametrize("framing", [lambda data: data, pieces], ids=["length", "chunks"])
def test_largest_event(host, deed, framing):
    """6 MiB are accepted, one byte more is not; how the body is framed makes no difference."""
    name = deed("length", wall="10s").name
    assert host.invoke(name, framing(text_event(6 * MIB)), expect="ok").json() == 6 * MIB
    problem(host.invoke(name, framing(text_event(6 * MIB + 1))), "payload_too_large")


def test_event_that_nobody_reads(host, deed):
    """A worker that ends without reading its event is no failure, and no broken pipe of the host's."""
    reply = host.invoke(deed("emit", "7b7d").name, text_event(4 * MIB), expect="ok")
    assert reply.body == b"{}"


# -- What is told about an invocation ---------------------------------------------------------------------------------


def test_usage_is_measured(host, deed):
    """Three workers that differ in what they use: figures that follow are measured, figures that do not are made up."""
    slept = usage(host.invoke(deed("sleep", 400).name, expect="ok"))
    spun = usage(host.invoke(deed("spin", 300).name, expect="ok"))
    touched = usage(host.invoke(deed("touch", 48).name, expect="ok"))
    assert 390 <= slept["wall-ms"] < 3000 and slept["cpu-ms"] < 200
    assert 250 <= spun["cpu-ms"] < 1500 and spun["wall-ms"] >= spun["cpu-ms"] * 0.9
    assert touched["memory-bytes"] >= 48 * MIB
    assert slept["memory-bytes"] < 24 * MIB


def test_server_timing_adds_up(host, deed):
    """queue, start and run are parts of what the client waited."""
    name = deed("sleep", 300).name
    began = time.monotonic()
    timing = server_timing(host.invoke(name, expect="ok"))
    waited = (time.monotonic() - began) * 1000
    assert timing["run"] >= 290
    assert timing["queue"] + timing["start"] + timing["run"] <= waited + 5


def test_invocation_ids_are_unique(host, example):
    """An id names one invocation for ever, also among those that run at once."""
    name = example("echo")
    replies = at_once([partial(host.invoke, name, number, expect="ok") for number in range(20)])
    assert len({reply["Bulkhead-Invocation-Id"] for reply in replies}) == 20


@pytest.mark.parametrize("deed_and_outcome", [(("emit", "7b7d"), "ok"), (("exit", 3), "exit")], ids=["ok", "exit"])
def test_record(host, deed, deed_and_outcome):
    """What a response said can be asked for again."""
    what, outcome = deed_and_outcome
    function = deed(*what)
    reply = host.invoke(function.name, expect=outcome)
    record = host.record_when_done(reply["Bulkhead-Invocation-Id"])
    assert record["id"] == reply["Bulkhead-Invocation-Id"]
    assert record["function"] == function.name
    assert str(record["version"]) == "1"
    assert record["outcome"] == outcome
    assert record["start"] == reply["Bulkhead-Start"]
    assert record["usage"]
    assert datetime.fromisoformat(record["startedAt"].replace("Z", "+00:00")).tzinfo


@pytest.mark.parametrize("identifier", ["01890a5d-ac96-774b-bcce-b302099a8057", "nothing", "..%2f..", "%00"])
def test_unknown_record(host, identifier):
    """There is no such invocation, or no such id."""
    reply = host.get(f"/v1/invocations/{identifier}")
    assert reply.status in (400, 404) and reply.media_type == "application/problem+json", reply


# -- Versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query, outcomes", [
    ({"version": 2}, ["not_found"]),
    ({"version": 99999999999999999999}, ["not_found", "invalid_request"]),
    ({"version": 0}, ["not_found", "invalid_request"]),
    ({"version": -1}, ["not_found", "invalid_request"]),
    ({"version": "one"}, ["invalid_request", "not_found"]),
    ({"alias": "nobody"}, ["not_found"]),
])
def test_version_that_is_not_there(host, deed, query, outcomes):
    """Asked for one version, another is never an answer."""
    reply = host.invoke(deed("emit", "7b7d").name, query=query)
    assert reply.media_type == "application/problem+json", reply
    problem(reply, reply.json()["outcome"])
    assert reply.json()["outcome"] in outcomes


def test_unknown_function(host):
    problem(host.invoke("no-such-function"), "not_found")


# -- Asynchronous -----------------------------------------------------------------------------------------------------


def start_async(host, name, event=b""):
    """Starts it, and returns the path where the result will be."""
    reply = host.invoke(name, event, headers={"Prefer": "respond-async"})
    assert reply.status == 202, reply
    assert re.fullmatch(r"/v1/invocations/[A-Za-z0-9._-]+", reply["Location"] or ""), reply
    return reply["Location"]


def test_async_result(host, example):
    """202 and a place to look; later the result stands there, as JSON inside JSON."""
    identifier = start_async(host, example("echo"), {"x": [1, 2]}).rsplit("/", 1)[1]
    record = host.record_when_done(identifier)
    assert (record["id"], record["outcome"], record["result"]) == (identifier, "ok", {"x": [1, 2]})


def test_async_is_seen_under_way(host, deed):
    """The answer does not wait for the function, and the record tells where it is."""
    function = deed("sleep", 1500)
    began = time.monotonic()
    identifier = start_async(host, function.name).rsplit("/", 1)[1]
    assert time.monotonic() - began < 1.4
    assert host.record(identifier)["status"] in ("queued", "running")
    eventually(lambda: with_argument(function.marker), 5, "the worker runs")
    assert host.record(identifier)["status"] == "running"
    assert host.record_when_done(identifier)["outcome"] == "ok"


def test_async_failure(host, deed):
    """A failure is found the same way: its outcome stands in the record."""
    identifier = start_async(host, deed("exit", 4, retries="0").name).rsplit("/", 1)[1]
    assert host.record_when_done(identifier)["outcome"] == "exit"


@pytest.mark.parametrize("name, event, outcome", [
    ("no-such-function", b"", "not_found"), (None, b"{", "invalid_request"),
])
def test_async_refusals_come_at_once(host, example, name, event, outcome):
    """What can be known beforehand is not hidden behind a 202."""
    problem(host.invoke(name or example("echo"), event, headers={"Prefer": "respond-async"}), outcome)


# -- The worker's surroundings ----------------------------------------------------------------------------------------


def probe(host, example_folder, **limits):
    """The probe's report under a name of its own."""
    name = unique_name("probe")
    host.upload(name, example_folder("probe") / "probe", limits)
    return name, host.invoke(name, expect="ok").json()


def test_environment_is_exactly_the_contract(host, example_folder):
    """These variables and no other: the host's environment holds secrets, and so may a forgotten LD_PRELOAD."""
    name, report = probe(host, example_folder, memory="48MiB")
    assert dict(entry.split("=", 1) for entry in report["env"]) == {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8",
        "BULKHEAD_FUNCTION": name, "BULKHEAD_VERSION": "1", "BULKHEAD_MEMORY_MIB": "48",
    }
    assert report["cwd"] == "/function"
    assert report["hostname"] == name


def test_environment_of_the_manifest(host, example):
    """The manifest's env is added, TMPDIR where there is scratch."""
    report = host.invoke(example("probe"), expect="ok").json()
    environment = dict(entry.split("=", 1) for entry in report["env"])
    assert environment["PROBE"] == "set-by-manifest"
    assert environment["TMPDIR"] == "/tmp"
    assert environment["BULKHEAD_MEMORY_MIB"] == "32"


def test_arguments(host, deed):
    """argv after argv[0], in order, also those with spaces or that look like options."""
    function = deed("args", "--help", "two words", "-", "")
    assert host.invoke(function.name, expect="ok").json() == ["--help", "two words", "-", "", function.marker]


def test_python_handler(host):
    """runtime: python, one process per invocation: a handler as Lambda calls it."""
    name = unique_name("python")
    source = b"def handle(event, context):\n    return {'sum': sum(event['numbers'])}\n"
    manifest = f"name: {name}\nruntime: python\nhandler: app.handle\n".encode()
    host.upload(name, zip_of({"function.yaml": manifest, "app.py": source}), content_type=ZIP)
    assert host.invoke(name, {"numbers": [1, 2, 3]}, expect="ok").json() == {"sum": 6}
    told = failed(host.invoke(name, {"numbers": "text"}), "error")
    assert told["error"]["type"] == "TypeError"


# -- Connections ------------------------------------------------------------------------------------------------------


def test_many_requests_on_one_connection(host, example):
    """Failures and successes in turn: each answer ends where it says, so the next one is the next one."""
    headers = {"Authorization": f"Bearer {host.token}", "Content-Type": "application/json"}
    path = f"/v1/functions/{example('echo')}/invocations"
    with closing(host.connect()) as connection:
        for number in range(20):
            connection.request("POST", path, b"{" if number % 3 == 2 else json.dumps(number).encode(), headers)
            reply = reply_on(connection)
            assert reply.status == 400 if number % 3 == 2 else reply.json() == number


def test_events_at_once_do_not_mix(host, example):
    """A hundred callers, each with its own answer."""
    name = example("echo")
    replies = at_once([partial(host.invoke, name, {"caller": number}, expect="ok") for number in range(100)])
    assert [reply.json() for reply in replies] == [{"caller": number} for number in range(100)]
