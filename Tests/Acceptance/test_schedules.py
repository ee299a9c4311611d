"""Functions by the clock: each due time once, whoever dies; odd ones refused."""

import json
import time
from datetime import datetime

import pytest

from bulkhead_host import unique_name
from conftest import SLOWNESS
from system import eventually
from test_events import ECHO, kill_supervisor

TELL = b"#!/bin/sh\ncat >&2\n"


def put(host, identifier, **body):
    return put_with(host, f"/v1/schedules/{identifier}", body)


def put_with(host, path, body, **headers):
    return host.request("PUT", path, json.dumps(body).encode(), {"Content-Type": "application/json"} | headers.get("headers", {}))


def runs(host, identifier):
    return host.get(f"/v1/schedules/{identifier}/runs?limit=1000").json()["runs"]


def when(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_it_runs_each_second_with_its_event(host):
    name, identifier = unique_name("tell"), unique_name("tick")
    host.upload(name, TELL)
    event = {"days": 30, "big": 12345678901234567890}
    made = put(host, identifier, every="1s", function=name, event=event)
    assert made.status == 201 and made.json()["event"] == event and made.json()["nextAt"], made
    assert put(host, identifier, every="1s", function=name, event=event).status == 200
    done = eventually(lambda: (found := runs(host, identifier)) and len(found) >= 3 and found, 8, "three runs")
    assert {one["status"] for one in done} == {"fired"}
    dues = sorted(when(one["due"]) for one in done)
    assert all(abs(b - a - 1) < 0.002 for a, b in zip(dues, dues[1:])), dues
    assert all(0 <= when(one["at"]) - when(one["due"]) < 0.5 * SLOWNESS for one in done), done
    eventually(lambda: runs(host, identifier)[-1].get("outcome") == "ok", 5, "its outcome is told")
    assert host.logs(name)[0]["fields"] == event
    assert host.request("DELETE", f"/v1/schedules/{identifier}").status == 204
    assert host.get(f"/v1/schedules/{identifier}").status == 404 == host.get(f"/v1/schedules/{identifier}/runs").status
    count = len(host.logs(name))
    time.sleep(1.5)
    assert len(host.logs(name)) <= count + 1


def test_run_now(host):
    name, identifier = unique_name("echo"), unique_name("yearly")
    host.upload(name, ECHO)
    put(host, identifier, cron="@yearly", timezone="Europe/Berlin", function=name, event=[1], enabled=False)
    answer = host.request("POST", f"/v1/schedules/{identifier}/run")
    assert answer.status == 202, answer
    record = host.record_when_done(answer.json()["invocationId"])
    assert record["outcome"] == "ok" and record["result"] == [1], record
    assert [one["status"] for one in runs(host, identifier)] == ["manual"]
    assert host.get(f"/v1/schedules/{identifier}").json()["nextAt"] is None


def test_what_has_not_ended_is_not_run_over(host):
    name = unique_name("slow")
    host.upload(name, b"#!/bin/sh\nsleep 2.5\n")
    skipping, allowing = unique_name("skip"), unique_name("allow")
    put(host, skipping, every="1s", function=name)
    put(host, allowing, every="1s", function=name, overlap="allow")
    eventually(lambda: len(runs(host, skipping)) >= 3, 8, "three times")
    assert "skipped" in [one["status"] for one in runs(host, skipping)]
    assert {one["status"] for one in runs(host, allowing)} == {"fired"}
    for identifier in (skipping, allowing):
        host.request("DELETE", f"/v1/schedules/{identifier}")


def test_missed_ones(hosts):
    """A host that was not there: left out, or made up for once."""
    host = hosts()
    host.upload("echo", ECHO)
    put(host, "skip", every="1s", function="echo")
    put(host, "once", every="1s", function="echo", missed="once")
    eventually(lambda: runs(host, "once"), 5, "it runs")
    assert host.stop() == 0
    gone = time.time()
    time.sleep(7)
    host.start()
    back = time.time()
    time.sleep(2.5)
    for identifier, missed in (("skip", 0), ("once", 1)):
        found = runs(host, identifier)
        assert [one["status"] for one in found].count("missed") == missed, found
        assert not [one for one in found if one["status"] == "fired" and gone + 0.5 < when(one["due"]) < back - 4], found


def test_each_time_once_whoever_dies(hosts):
    host = hosts()
    host.upload("echo", ECHO)
    put(host, "tick", every="1s", function="echo", overlap="allow")
    for _ in range(4):
        time.sleep(2.3)
        kill_supervisor(host)
    time.sleep(1.5)
    found = runs(host, "tick")
    dues = sorted(round(when(one["due"])) for one in found)
    assert dues == list(range(dues[0], dues[0] + len(dues))) and len(dues) >= 9, "none twice, none left out"
    ids = [one["invocationId"] for one in found]
    assert len(set(ids)) == len(ids)
    for identifier in ids:
        assert host.record_when_done(identifier)["outcome"] == "ok"
    assert "event=" not in str(found)


def test_what_changed_is_told(host):
    name, identifier = unique_name("echo"), unique_name("s")
    host.upload(name, ECHO)
    assert put_with(host, f"/v1/schedules/{identifier}?dryRun=true", {"every": "1h", "function": name}).json() == {"change": "new"}
    tag = put(host, identifier, every="1h", function=name)["ETag"]
    assert host.get(f"/v1/schedules/{identifier}")["ETag"] == tag
    path = f"/v1/schedules/{identifier}"
    assert put_with(host, path, {"every": "2h", "function": name}, headers={"If-Match": '"other"'}).status == 412
    assert put_with(host, path, {"every": "2h", "function": name}, headers={"If-Match": tag}).status == 200
    assert host.get(path)["ETag"] != tag
    assert identifier in [one["id"] for one in host.get("/v1/schedules?limit=1000").json()["schedules"]]


@pytest.mark.parametrize("wrong, said", [
    ({"cron": "0 0 31 2 *"}, "never fires"), ({"cron": "* * * *"}, "4 fields"), ({"cron": "61 * * * *"}, "minute"),
    ({"cron": "* * 15W * *"}, "W"), ({"cron": "@reboot"}, "none of the names"), ({"cron": "@daily", "timezone": "Mars/Base"}, "Mars/Base"),
    ({"every": "0s"}, "every"), ({"every": "1y"}, "every"), ({"cron": "@daily", "every": "1s"}, "only one"), ({}, "cron or every"),
    ({"every": "1s", "colour": 1}, "colour"), ({"every": "1s", "overlap": "queue"}, "overlap"), ({"every": "1s", "event": "x" * 300_000}, "event"),
    ({"cron": ["@daily"]}, "string"), ({"cron": "9" * 5000 + " * * * *"}, "200 bytes"), ({"every": "1s", "alias": "no such alias"}, "alias"),
])
def test_wrong_ones_are_refused(host, wrong, said):
    name = unique_name("echo")
    host.upload(name, ECHO)
    reply = put(host, unique_name("s"), function=name, **wrong)
    assert reply.status == 400 and said in reply.json()["detail"], reply


def test_of_no_function(host):
    assert put(host, unique_name("s"), every="1s", function="nobody").status == 404
    name, identifier = unique_name("echo"), unique_name("s")
    host.upload(name, ECHO)
    put(host, identifier, every="1s", function=name)
    host.delete(name)
    failed = eventually(lambda: [one for one in runs(host, identifier) if one["status"] == "failed"], 5, "it cannot run")
    assert name in failed[0]["reason"]
    assert host.request("POST", f"/v1/schedules/{identifier}/run").status == 409
    host.request("DELETE", f"/v1/schedules/{identifier}")
