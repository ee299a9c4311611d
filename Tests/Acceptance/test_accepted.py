"""What was answered 202 is run, whoever dies in between."""

import os
import signal
import time

import system
from system import eventually

SLOW = b"#!/bin/sh\nread -r event\nsleep 0.5\necho \"$event\"\n"


def kill_supervisor(host):
    supervisor = host.supervisor
    os.kill(supervisor.pid, signal.SIGKILL)
    eventually(lambda: not system.still_alive([supervisor]), 5, "the supervisor is gone")
    eventually(lambda: host.get("/readyz").status == 200, 5, "it is ready")


def test_accepted_outlives_the_supervisor(hosts):
    """Killed with one running and others waiting: the next one runs them all, and knows their ids."""
    host = hosts()
    host.upload("slow", SLOW, {"max": "1"})
    events = [{"n": number} for number in range(5)]
    replies = [host.invoke("slow", event, headers={"Prefer": "respond-async"}) for event in events]
    assert [reply.status for reply in replies] == [202] * 5, replies
    ids = [reply.json()["id"] for reply in replies]
    time.sleep(0.2)
    killed = host.supervisor
    os.kill(killed.pid, signal.SIGKILL)
    eventually(lambda: [one for one in host.members if one.parent == host.process.pid and one.pid != killed.pid], 5, "another")
    eventually(lambda: host.get("/readyz").status == 200, 5, "it is ready")
    for identifier, event in zip(ids, events):
        record = host.record_when_done(identifier, 20)
        assert record["outcome"] == "ok" and record["result"] == event, record
    # And none of them once more.
    kill_supervisor(host)
    time.sleep(1)
    assert 'bulkhead_invocations_total{function="slow"' not in host.get("/metrics").body.decode()


def test_what_became_of_accepted_ones_outlives_the_supervisor(hosts):
    """Each way to end, each kind of result; and a whole restart as well."""
    host = hosts()
    host.upload("kinds", b"#!/bin/sh\nread -r event\ncase $event in *fail*) echo why >&2; exit 3;; *text*) echo plain;; "
                         b"*bytes*) printf '\\377\\376';; *) printf %s \"$event\";; esac\n", {"retries": "0"})
    events = ["fail", "text", "bytes", {"n": 1}]
    ids = [host.invoke("kinds", event, headers={"Prefer": "respond-async"}).json()["id"] for event in events]
    before = [host.record_when_done(identifier) for identifier in ids]
    assert [one["outcome"] for one in before] == ["exit", "ok", "ok", "ok"], before
    assert [one.get("resultEncoding") for one in before] == [None, "text", "base64", "json"], before
    assert before[0]["problem"]["exitCode"] == 3 and before[0]["problem"]["log"] == "why\n", before
    time.sleep(0.3)  # a record may say so a moment before it is written
    kill_supervisor(host)
    assert [host.record(identifier) for identifier in ids] == before
    assert host.stop() == 0
    host.start()
    assert [host.record(identifier) for identifier in ids] == before


def test_results_grow_old(hosts):
    """As the operator has said; whether this process or an earlier one has run them."""
    host = hosts(configuration="maxResultAge: 3s\n")
    host.upload("echo", b"#!/bin/sh\ncat\n")
    identifier = host.invoke("echo", 1, headers={"Prefer": "respond-async"}).json()["id"]
    assert host.record_when_done(identifier)["result"] == 1
    eventually(lambda: host.get(f"/v1/invocations/{identifier}").status == 404, 6, "it is forgotten")


def test_large_results_make_room(hosts):
    """The newest stay, whatever they weigh; of older ones it is still told how they ended."""
    host = hosts()
    host.upload("large", b"#!/bin/sh\nhead -c 5000000 /dev/zero | tr '\\0' a\n", {"output": "6MiB"})
    ids = []
    for _ in range(15):
        ids.append(host.invoke("large", headers={"Prefer": "respond-async"}).json()["id"])
        host.record_when_done(ids[-1], 30)
    time.sleep(0.5)
    kill_supervisor(host)
    records = [host.record(identifier) for identifier in ids]
    assert {one["outcome"] for one in records} == {"ok"}
    there = [len(one["result"]) for one in records if "result" in one]
    assert 5 <= len(there) <= 13 and set(there) == {5_000_000} and "result" in records[-1] and "result" not in records[0], there
    assert sum(path.stat().st_size for path in host.data.glob("catalogue.db*")) < 200 << 20


def test_accepted_goes_with_its_function(hosts):
    """What waits for a function that is gone, is not run by another one of that name."""
    host = hosts()
    host.upload("slow", SLOW, {"max": "1"})
    for number in range(3):
        assert host.invoke("slow", number, headers={"Prefer": "respond-async"}).status == 202
    assert host.delete("slow").status == 204
    kill_supervisor(host)
    host.upload("slow", b"#!/bin/sh\necho never\n")
    time.sleep(1)
    assert 'bulkhead_invocations_total{function="slow"' not in host.get("/metrics").body.decode()
