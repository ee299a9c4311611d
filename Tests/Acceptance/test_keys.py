"""Keys: what each role may do, to which functions, until when, and how often."""

import hashlib
import json
import sqlite3
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest

from bulkhead_host import unique_name
from checks import problem
from conftest import new_host

SCRIPT = b"#!/bin/sh\necho 1\n"


def ask(host, **wanted):
    return host.request("POST", "/v1/keys", json.dumps(wanted).encode(), {"Content-Type": "application/json"})


def make(host, **wanted):
    reply = ask(host, name="test", **wanted)
    assert reply.status == 201, reply
    return reply.json()


def token(host, **wanted):
    return make(host, **wanted)["token"]


# What is done, and the least role that may do it.
DEEDS = {
    "list functions": ("deploy", lambda host, name, key: host.get("/v1/functions", token=key)),
    "upload": ("deploy", lambda host, name, key: host.upload(name, SCRIPT, token=key, expect=None)),
    "show": ("deploy", lambda host, name, key: host.get(f"/v1/functions/{name}", token=key)),
    "versions": ("deploy", lambda host, name, key: host.get(f"/v1/functions/{name}/versions", token=key)),
    "policy": ("deploy", lambda host, name, key: host.get(f"/v1/functions/{name}/policy", token=key)),
    "logs": ("deploy", lambda host, name, key: host.get(f"/v1/functions/{name}/logs", token=key)),
    "aliases": ("deploy", lambda host, name, key: host.get(f"/v1/functions/{name}/aliases", token=key)),
    "point an alias": ("deploy", lambda host, name, key: host.request("PUT", f"/v1/functions/{name}/aliases/a", b'{"version":1}', token=key)),
    "roll back": ("deploy", lambda host, name, key: host.request("POST", f"/v1/functions/{name}/rollback", b'{"to":1}', token=key)),
    "invoke": ("invoke", lambda host, name, key: host.invoke(name, None, token=key)),
    "invoke by HTTP": ("invoke", lambda host, name, key: host.get(f"/fn/{name}", token=key)),
    "invoke later": ("invoke", lambda host, name, key: host.invoke(name, None, headers={"Prefer": "respond-async"}, token=key)),
    "list keys": ("admin", lambda host, name, key: host.get("/v1/keys", token=key)),
    "make keys": ("admin", lambda host, name, key: host.request("POST", "/v1/keys", b'{"name":"x"}', token=key)),
    "revoke keys": ("admin", lambda host, name, key: host.request("DELETE", "/v1/keys/none", token=key)),
}
RANKS = ["invoke", "deploy", "admin"]


@pytest.mark.parametrize("role", RANKS)
def test_roles(host, role):
    name, key = unique_name("key"), token(host, role=role)
    host.upload(name, SCRIPT)
    for deed, (least, act) in DEEDS.items():
        reply = act(host, name, key)
        if RANKS.index(role) >= RANKS.index(least):
            assert reply.status in (200, 201, 202, 404) and (reply.status != 404 or deed == "revoke keys"), (deed, reply)
        else:
            assert role in problem(reply, "forbidden")["detail"], deed
    host.delete(name)


def test_functions(host):
    """For some functions only: of others it learns nothing, not even that they are there."""
    stem = unique_name("key")
    mine, other = f"{stem}-mine-1", f"{stem}-other"
    for role in ("deploy", "invoke"):
        key = token(host, role=role, functions=[f"{stem}-mine-*", f"{stem}-x"])
        host.upload(mine, SCRIPT)
        host.upload(other, SCRIPT)
        for deed, (least, act) in DEEDS.items():
            if least == "admin" or (role == "invoke" and least == "deploy") or deed == "list functions":
                continue
            assert act(host, mine, key).status in (200, 201, 202), deed
            problem(act(host, other, key), "forbidden")
            problem(act(host, unique_name("nothing"), key), "forbidden")
        theirs = host.invoke(other, None)["Bulkhead-Invocation-Id"]
        problem(host.get(f"/v1/invocations/{theirs}", token=key), "not_found")
        own = host.invoke(mine, None, token=key)["Bulkhead-Invocation-Id"]
        assert host.get(f"/v1/invocations/{own}", token=key).status == 200
    listed = host.get("/v1/functions", token=token(host, role="deploy", functions=[f"{stem}-*"])).json()["functions"]
    assert {one["name"] for one in listed} == {mine, other}
    made = make(host, role="deploy", functions=[f"{stem}-*"])
    assert made["functions"] == [f"{stem}-*"] and made["role"] == "deploy"
    assert next(one for one in host.get("/v1/keys").json()["keys"] if one["id"] == made["id"]) == {
        key: value for key, value in made.items() if key != "token"}
    for name in (mine, other):
        host.delete(name)


def test_expiry(host):
    name = unique_name("key")
    host.upload(name, SCRIPT)
    until = datetime.now(timezone.utc) + timedelta(seconds=1.5)
    made = make(host, expiresAt=until.isoformat().replace("+00:00", "Z"))
    assert abs(datetime.fromisoformat(made["expiresAt"]) - until) < timedelta(milliseconds=2)
    assert host.invoke(name, None, token=made["token"]).status == 200
    time.sleep(2)
    assert "expired" in problem(host.invoke(name, None, token=made["token"]), "unauthorized")["detail"]
    problem(host.get(f"/fn/{name}", token=made["token"]), "unauthorized")


def test_rate(host):
    """Beyond its rate a key is told when it may be used again, and others go on."""
    name = unique_name("key")
    host.upload(name, SCRIPT)
    key = token(host, rate="5/m")
    replies = [host.invoke(name, None, token=key) for _ in range(7)]
    assert [reply.status for reply in replies] == [200] * 5 + [429] * 2
    told = problem(replies[-1], "throttled")
    assert "5/m" in told["detail"]
    assert replies[-1]["RateLimit-Policy"] == '"default";q=5;w=60' and replies[-1]["RateLimit"].startswith('"default";r=0;t=')
    assert 1 <= int(replies[-1]["Retry-After"]) <= 13
    via = host.get(f"/fn/{name}", token=key)
    assert via.status == 429 and via["RateLimit-Policy"]
    assert host.invoke(name, None).status == 200 and host.invoke(name, None, token=token(host, rate="5/m")).status == 200
    quick = token(host, rate="20/s")
    begun = time.monotonic()
    statuses = []
    while time.monotonic() - begun < 2:
        statuses.append(host.get(f"/v1/invocations/{unique_name('none')}", token=quick).status)
    assert 40 <= statuses.count(404) <= 62 and statuses.count(429) > 0, statuses.count(404)


def test_quota(workspace):
    """Counted for a whole day of UTC, by whatever route, and over a restart."""
    own = new_host(workspace, "quota")
    own.start()
    own.upload("f", SCRIPT)
    key = token(own, quota="4/d")
    assert own.invoke("f", None, token=key).status == own.get("/fn/f", token=key).status == 200
    problem(own.get("/v1/keys", token=key), "forbidden")  # what is refused costs nothing
    time.sleep(1.2)
    own.kill()
    own.start()
    try:
        replies = [own.invoke("f", None, token=key) for _ in range(4)]
        assert [reply.status for reply in replies] == [200, 200, 429, 429]
        told = problem(replies[-1], "throttled")
        assert "4/d" in told["detail"] and replies[-1]["RateLimit-Policy"] == '"default";q=4;w=86400'
        now = datetime.now(timezone.utc)
        until = (now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now).total_seconds()
        assert abs(int(replies[-1]["Retry-After"]) - until) < 5
        assert own.invoke("f", None).status == 200
    finally:
        own.stop()


def test_audit(host):
    """Who changed what, when, from where; what is only asked, refused or invoked stands not there."""
    name = unique_name("audit")
    made = make(host, role="deploy", functions=[name])
    key = made["token"]

    def mine():
        entries = host.get("/v1/audit", query=[("limit", 1000)]).json()["audit"]
        return [entry for entry in entries if entry["key"] == made["id"]]

    host.upload(name, SCRIPT, token=key)
    host.request("PUT", f"/v1/functions/{name}/aliases/a", b'{"version":1}', token=key)
    problem(host.request("PUT", f"/v1/functions/{name}/aliases/b", b'{"version":9}', token=key), "invalid_request")
    problem(host.request("DELETE", f"/v1/functions/{unique_name('other')}", token=key), "forbidden")
    host.invoke(name, None, token=key)
    host.get(f"/v1/functions/{name}", token=key)
    assert host.request("DELETE", f"/v1/functions/{name}", token=key).status == 204
    entries = mine()
    assert [(entry["action"], entry["target"]) for entry in entries] == [
        ("deleteFunction", f"/v1/functions/{name}"), ("putAlias", f"/v1/functions/{name}/aliases/a"), ("putFunction", f"/v1/functions/{name}")]
    assert all(entry["name"] == "test" and entry["from"] == "127.0.0.1" for entry in entries)
    assert [entry["time"] for entry in entries] == sorted((entry["time"] for entry in entries), reverse=True)
    first = host.get("/v1/audit", query=[("limit", 2)]).json()
    rest = host.get("/v1/audit", query=[("limit", 1), ("cursor", first["next"])]).json()
    assert len(first["audit"]) == 2 and rest["audit"][0] == entries[2]
    assert entries[0] == first["audit"][0]
    assert key not in json.dumps(entries)
    problem(host.get("/v1/audit", token=key), "forbidden")
    problem(host.get("/v1/audit", query=[("limit", 0)]), "invalid_request")
    problem(host.get("/v1/audit", token=None), "unauthorized")


@pytest.mark.parametrize("wanted", [
    {"role": "root"}, {"role": 1}, {"role": "invoke", "functions": []}, {"functions": "a"}, {"functions": ["A"]}, {"functions": ["a/b"]},
    {"functions": [1]}, {"functions": ["a"] * 101}, {"role": "admin", "functions": ["a"]}, {"rate": "10"}, {"rate": "0/s"}, {"rate": "1/w"},
    {"rate": 10}, {"rate": "99999999999999999999/s"}, {"expiresAt": "yesterday"}, {"expiresAt": "2020-01-01T00:00:00Z"}, {"expiresAt": 1},
    {"expiresAt": "99999-01-01T00:00:00Z"}, {"expiresAt": "2030-02-30T00:00:00Z" * 9}, {"quota": "1"}, {"quota": 1}, {"quota": "1/y"}, {"unknown": 1},
], ids=json.dumps)
def test_wrong_wishes(host, wanted):
    before = len(host.get("/v1/keys").json()["keys"])
    problem(ask(host, name="wrong", **wanted), "invalid_request")
    assert len(host.get("/v1/keys").json()["keys"]) == before


@pytest.mark.parametrize("name", [None, "", 1, "x" * 101, [], {}], ids=json.dumps)
def test_wrong_names(host, name):
    problem(ask(host, name=name), "invalid_request")


def test_older_word(host):
    """`scope`, as it was called when there were two of them."""
    assert make(host, scope="admin")["role"] == "admin" and make(host)["role"] == "invoke"


def test_commands(bulkhead, host):
    def run(*arguments):
        return bulkhead(*arguments, "--host", host.url, "--token", host.token)

    made = json.loads(run("keys", "create", "ci", "--role", "deploy", "--function", "ci-*", "--rate", "10/s",
                          "--expires", "2040-01-01T00:00:00Z", "--json").stdout)
    assert (made["role"], made["functions"], made["rate"], made["expiresAt"]) == ("deploy", ["ci-*"], "10/s", "2040-01-01T00:00:00.000Z")
    row = next(line for line in run("keys").stdout.splitlines() if line.startswith(made["id"]))
    assert row.split()[1:4] == ["ci", "deploy", "ci-*"]
    assert run("keys", "create", "x", "--rate", "often").returncode == 2
    assert run("keys", "revoke", made["id"]).returncode == 0


def test_a_hundred_thousand(hosts, bulkhead):
    """Started with, used, listed in pages, revoked: none of it is slow for whoever asks for something else."""
    host = hosts()
    host.upload("echo", b"#!/bin/sh\nexec cat\n")
    assert host.stop() == 0
    tokens = [f"bh_{number:064x}" for number in range(100_000)]
    with closing(sqlite3.connect(host.data / "catalogue.db")) as database:
        database.executemany(
            "INSERT INTO key (id, name, scope, createdAt, hash) VALUES (?, ?, 'invoke', ?, ?)",
            ((f"k{number}", f"key {number}", f"2030-01-01T00:00:{number // 2000:02}.000Z", hashlib.sha256(token.encode()).hexdigest())
             for number, token in enumerate(tokens)))
        database.commit()
    began = time.monotonic()
    host.start()
    assert time.monotonic() - began < 20
    for token in tokens[::9973]:
        assert host.invoke("echo", 1, token=token, expect="ok").json() == 1
    first = host.get("/v1/keys").json()
    assert len(first["keys"]) == 1000 and first["next"]
    second = host.get("/v1/keys", query={"cursor": first["next"], "limit": 10}).json()
    assert len(second["keys"]) == 10 and not {key["id"] for key in second["keys"]} & {key["id"] for key in first["keys"]}
    assert host.request("DELETE", "/v1/keys/k99730").status == 204
    assert host.invoke("echo", 1, token=tokens[99730]).status == 401
    done = bulkhead("keys", "list", "--json", "--host", host.url, "--token", host.token, timeout=120)
    assert len(json.loads(done.stdout)["keys"]) == 100_000  # and the admin's own
