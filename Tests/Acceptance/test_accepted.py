"""What was answered 202 is run, whoever dies in between."""

import os
import signal
import time

from system import eventually

SLOW = b"#!/bin/sh\nread -r event\nsleep 0.5\necho \"$event\"\n"


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
    os.kill(host.supervisor.pid, signal.SIGKILL)
    eventually(lambda: host.get("/readyz").status == 200, 5, "it is ready")
    time.sleep(1)
    assert 'bulkhead_invocations_total{function="slow"' not in host.get("/metrics").body.decode()


def test_accepted_goes_with_its_function(hosts):
    """What waits for a function that is gone, is not run by another one of that name."""
    host = hosts()
    host.upload("slow", SLOW, {"max": "1"})
    for number in range(3):
        assert host.invoke("slow", number, headers={"Prefer": "respond-async"}).status == 202
    assert host.delete("slow").status == 204
    os.kill(host.supervisor.pid, signal.SIGKILL)
    eventually(lambda: host.get("/readyz").status == 200, 5, "it is ready")
    host.upload("slow", b"#!/bin/sh\necho never\n")
    time.sleep(1)
    assert 'bulkhead_invocations_total{function="slow"' not in host.get("/metrics").body.decode()
