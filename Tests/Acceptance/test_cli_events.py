"""The command line of what is done later, by the clock, in secret and for money."""

import json

import pytest

from bulkhead_host import unique_name
from system import eventually
from test_events import ECHO, FAIL


@pytest.fixture
def client(bulkhead, host):
    def run(*arguments, status=0, **options):
        done = bulkhead(*arguments, "--host", host.url, "--token", host.token, **options)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout if status == 0 else done.stderr
    return run


def test_dead_letters(client, host):
    name = unique_name("fail")
    host.upload(name, FAIL, {"retries": "0"})
    for number in range(2):
        host.invoke(name, number, headers={"Prefer": "respond-async"})
    table = eventually(lambda: (text := client("dead-letters", "list", name)).count("exit") >= 2 and text, 5, "two are dead")
    assert "status 3" in table, table
    identifier = json.loads(client("dead-letters", "list", name, "--json"))["deadLetters"][0]["id"]
    assert client("dead-letters", "redrive", name, identifier) == "redriven: 1\n"
    eventually(lambda: client("dead-letters", "list", name).count("exit") >= 2, 5, "dead again")
    assert client("dead-letters", "redrive", name) == "redriven: 2\n"
    eventually(lambda: client("dead-letters", "list", name).count("exit") >= 2, 5, "and again")
    client("dead-letters", "delete", name, identifier)
    assert "--all" in client("dead-letters", "delete", name, status=2)
    client("dead-letters", "delete", name, "--all")
    assert json.loads(client("dead-letters", "list", name, "--json")) == {"deadLetters": []}
    assert "no dead letter" in client("dead-letters", "redrive", name, identifier, status=2)


def test_schedules(client, host):
    name, cron, every = unique_name("echo"), unique_name("cron"), unique_name("every")
    host.upload(name, ECHO)
    big = '{"n":12345678901234567890}'
    assert f"{cron}: {name} runs next at 20" in client("schedules", "set", cron, "0 3 * * *", name, "--timezone", "Asia/Tokyo", "--data", big)
    client("schedules", "set", every, "every 1h", name, "--disabled", "--overlap", "allow", "--missed", "once")
    assert '"event":{"n":12345678901234567890}' in client("schedules", "--json")
    table = client("schedules")
    assert f"{cron}" in table and "Asia/Tokyo" in table and "every 1h" in table and "disabled" in table, table
    invocation = client("schedules", "run", cron).split()[1]
    assert host.record_when_done(invocation)["result"] == json.loads(big)
    runs = eventually(lambda: "ok" in (text := client("schedules", "runs", cron)) and text, 5, "its outcome")
    assert "manual" in runs and invocation in runs
    for identifier in (cron, every):
        client("schedules", "delete", identifier)
    assert "no schedule" in client("schedules", "delete", cron, status=2)
    assert "never fires" in client("schedules", "set", cron, "0 0 31 2 *", name, status=2)


def test_secrets(client, host):
    name = unique_name("secret")
    assert "hunter2" not in client("secrets", "set", name, stdin="hunter2\n") + client("secrets") + client("secrets", "--json")
    function = unique_name("tell")
    host.upload(function, b"#!/bin/sh\nprintf %s \"$S\" | wc -c\n", {"secrets": f"S={name}"})
    assert host.invoke(function, expect="ok").json() == 7, "without the line break"
    assert name in client("secrets") and client("secrets", "rotate").startswith("sealed anew: ")
    client("secrets", "delete", name)
    assert "no secret" in client("secrets", "delete", name, status=2)


def test_usage(client, host):
    name = unique_name("echo")
    host.upload(name, ECHO)
    host.invoke(name)
    row = [line for line in client("usage").splitlines() if line.startswith(name)][0].split()
    assert row[1:3] == ["1", "0"], row
    assert client("usage", "--by", "day", "--csv").startswith("day,invocations,")
    assert "usage" in json.loads(client("usage", "--by", "key", "--json"))
    assert "by: function, key, day" in client("usage", "--by", "colour", status=2)
