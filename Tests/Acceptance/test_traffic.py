"""Versions, aliases and shares: which version an invocation goes to, and that changing it fails nobody."""

import json
import threading
import time
from contextlib import closing

import pytest

from bulkhead_host import ADMIN, unique_name
from checks import problem
from conftest import new_host
from system import eventually

OPEN = [("auth", "none")]


def script(word):
    return f"#!/bin/sh\necho '\"{word}\"'\n".encode()


@pytest.fixture
def function(host):
    """One with three versions, which answer with their numbers."""
    name = unique_name("traffic")
    for number in (1, 2, 3):
        assert host.upload(name, script(number), query=OPEN).json()["version"] == number
    yield name
    host.delete(name)


def aliases(name, alias=""):
    return f"/v1/functions/{name}/aliases" + (f"/{alias}" if alias else "")


def put(host, name, alias, body, **options):
    return host.request("PUT", aliases(name, alias), json.dumps(body).encode(), {"Content-Type": "application/json", **options})


def answer(host, name, **query):
    reply = host.invoke(name, None, query=list(query.items()), expect="ok")
    assert reply["Bulkhead-Version"] == reply.json()
    return int(reply.json())


def both(host, name):
    """By the invocation's route, and by HTTP."""
    via = host.get(f"/fn/{name}", token=None)
    assert via.status == 200 and via["Bulkhead-Version"] == str(via.json())
    direct = answer(host, name)
    assert direct == int(via.json())
    return direct


def test_live_follows_and_is_pinned(host, function):
    listed = host.get(aliases(function)).json()["aliases"]
    assert [(one["alias"], one["version"], one["weights"]) for one in listed] == [("live", "latest", {})]
    assert both(host, function) == 3
    reply = put(host, function, "live", {"version": 2})
    assert reply.status == 200 and reply.json()["version"] == 2 and reply["ETag"]
    assert both(host, function) == 2
    host.upload(function, script(4), query=OPEN)
    assert both(host, function) == 2 and answer(host, function, alias="latest") == 4 and answer(host, function, version=1) == 1
    assert put(host, function, "live", {"version": "latest"}).status == 200
    assert both(host, function) == 4
    assert host.request("DELETE", aliases(function, "live")).status == 409


def test_aliases_come_and_go(host, function):
    assert put(host, function, "stable", {"version": 1}).status == 201
    assert answer(host, function, alias="stable") == 1 and both(host, function) == 3
    assert host.get(aliases(function, "stable")).json() == {
        "alias": "stable", "version": 1, "weights": {}, "updatedAt": host.get(aliases(function, "stable")).json()["updatedAt"]}
    problem(host.request("DELETE", f"/v1/functions/{function}/versions/1"), "conflict")
    assert host.request("DELETE", f"/v1/functions/{function}/versions/2").status == 204
    problem(host.invoke(function, None, query=[("version", 2)]), "not_found")
    assert host.request("DELETE", aliases(function, "stable")).status == 204
    problem(host.invoke(function, None, query=[("alias", "stable")]), "not_found")
    assert host.request("DELETE", f"/v1/functions/{function}/versions/1").status == 204
    problem(host.request("DELETE", f"/v1/functions/{function}/versions/3"), "conflict")
    assert [one["version"] for one in host.get(f"/v1/functions/{function}/versions").json()["versions"]] == [3]
    assert host.upload(function, script(1), query=OPEN).json()["version"] == 4, "a number is never used again"


def test_rollback(host, function):
    def roll_back(body=b""):
        return host.request("POST", f"/v1/functions/{function}/rollback", body, {"Content-Type": "application/json"})

    assert roll_back().json()["version"] == 2 and both(host, function) == 2
    assert roll_back().json()["version"] == 3 and both(host, function) == 3, "to what it served before"
    assert roll_back(b'{"to": 1}').json()["version"] == 1 and both(host, function) == 1
    problem(roll_back(b'{"to": 9}'), "not_found")
    for wrong in (b'{"to": "x"}', b"[]", b"1", b'{"to": 1e99}'):
        problem(roll_back(wrong), "invalid_request")
    name = unique_name("traffic")
    host.upload(name, script(1))
    problem(host.request("POST", f"/v1/functions/{name}/rollback"), "conflict")
    problem(host.request("POST", f"/v1/functions/{unique_name('none')}/rollback"), "not_found")


def test_shares(host, function):
    """20,000 invocations are counted where that is cheap (TrafficTests); here it is seen that the host goes by it."""
    assert put(host, function, "live", {"version": 2, "weights": {"3": 0.3}}).json()["weights"] == {"3": 0.3}
    seen = [answer(host, function) for _ in range(300)]
    assert set(seen) == {2, 3} and 50 <= seen.count(3) <= 130
    assert {int(host.get(f"/fn/{function}", token=None).json()) for _ in range(60)} == {2, 3}


def test_whoever_has_a_header_stays(host, function):
    put(host, function, "live", {"version": 2, "weights": {"3": 0.5}, "header": "X-User"})
    seen = set()
    for user in range(12):
        headers = {"X-User": f"user-{user}"}
        own = {host.invoke(function, None, headers=headers).json() for _ in range(5)}
        own |= {str(host.get(f"/fn/{function}", token=None, headers=headers).json()) for _ in range(5)}
        assert len(own) == 1, "one user, two versions"
        seen |= own
    assert seen == {"2", "3"}


WRONG = [
    {}, {"version": 0}, {"version": -1}, {"version": 9}, {"version": 1e300}, {"version": "newest"}, {"version": None}, {"version": [1]},
    {"version": 1, "weights": {"2": 0.6, "3": 0.5}}, {"version": 1, "weights": {"2": 0}}, {"version": 1, "weights": {"2": -1}},
    {"version": 1, "weights": {"2": 2}}, {"version": 1, "weights": {"9": 0.1}}, {"version": 1, "weights": {"1": 0.1}},
    {"version": 1, "weights": {"x": 0.1}}, {"version": 1, "weights": {"02": 0.1}}, {"version": 1, "weights": [0.1]},
    {"version": 1, "weights": {"2": "0.1"}}, {"version": 1, "weights": {str(n): 0.001 for n in range(100)}},
    {"version": 1, "header": "a b"}, {"version": 1, "header": ""}, {"version": 1, "header": 7}, {"version": 1, "unknown": 1}, [], 1, None, "x",
]


@pytest.mark.parametrize("body", WRONG, ids=json.dumps)
def test_wrong_bodies(host, function, body):
    problem(put(host, function, "a", body), "invalid_request")
    assert [one["alias"] for one in host.get(aliases(function)).json()["aliases"]] == ["live"]


def test_wrong_names(host, function):
    for name in ("1", "a.b", "a%20b", "%2e%2e", "x" * 129, "%24LATEST", "a%00"):
        problem(put(host, function, name, {"version": 1}), "invalid_request")
    problem(put(host, function, "latest", {"version": 1}), "conflict")
    problem(put(host, unique_name("none"), "a", {"version": 1}), "not_found")
    problem(host.get(aliases(function, "none")), "not_found")
    problem(host.get(aliases(unique_name("none"))), "not_found")


def test_etags(host, function):
    """Whoever decides by what was read is told when that is no more."""
    tag = put(host, function, "a", {"version": 1})["ETag"]
    assert host.get(aliases(function, "a"))["ETag"] == tag
    again = put(host, function, "a", {"version": 2}, **{"If-Match": tag})
    assert again.status == 200 and again["ETag"] != tag
    late = put(host, function, "a", {"version": 3}, **{"If-Match": tag})
    assert late.status == 412 and late.json()["outcome"] == "conflict" and again["ETag"].strip('"') in late.json()["detail"]
    assert answer(host, function, alias="a") == 2
    assert put(host, function, "new", {"version": 1}, **{"If-Match": "*"}).status == 412
    assert host.request("DELETE", aliases(function, "a"), headers={"If-Match": tag}).status == 412
    tag = host.get(f"/v1/functions/{function}")["ETag"]
    reply = host.upload(function, script(4), query=OPEN, expect=None)
    assert reply["ETag"] != tag
    for late in (host.request("PUT", f"/v1/functions/{function}?auth=none", script(5), {"Content-Type": "application/octet-stream", "If-Match": tag}),
                 host.request("DELETE", f"/v1/functions/{function}", headers={"If-Match": tag})):
        assert late.status == 412
    assert both(host, function) == 4
    assert host.request("DELETE", f"/v1/functions/{function}", headers={"If-Match": reply["ETag"]}).status == 204


def test_as_many_old_ones_as_are_to_be_kept(host):
    name = unique_name("traffic")
    for number in range(1, 5):
        host.upload(name, script(number))
    put(host, name, "stable", {"version": 1})
    host.upload(name, script(5), query=[("keep", 1)])

    def there():
        return [one["version"] for one in host.get(f"/v1/functions/{name}/versions").json()["versions"]]

    assert there() == [1, 4, 5]
    host.upload(name, script(6))
    assert there() == [1, 5, 6], "it stays said"
    for wrong in ("-1", "x", "1001"):
        problem(host.upload(name, script(7), query=[("keep", wrong)], expect=(400,)), "invalid_request")


def test_they_survive(workspace):
    """Aliases are there again after a restart, and with them where traffic goes."""
    own = new_host(workspace, "traffic")
    own.start()
    for number in (1, 2, 3):
        own.upload("f", script(number))
    put(own, "f", "live", {"version": 1})
    put(own, "f", "stable", {"version": 2, "weights": {"3": 1}})
    before = own.get(aliases("f")).json()
    own.stop()
    own.start()
    try:
        assert own.get(aliases("f")).json() == before
        assert answer(own, "f") == 1 and answer(own, "f", alias="stable") == 3
    finally:
        own.stop()


REACTOR = r"""#!/usr/bin/python3
import json, sys, time
time.sleep(0.3)
print('{"jsonrpc":"2.0","method":"ready"}', flush=True)
for line in sys.stdin:
    print(json.dumps({"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": "%s"}), flush=True)
"""


def test_nobody_notices(host):
    """Redeployed and rolled back under load: none fails, none is slow for it, and none goes to the wrong version after the answer."""
    name = unique_name("traffic")
    settings = [("mode", "reactor"), ("warm", 2), ("auth", "none"), ("threads", 8)]
    host.upload(name, (REACTOR % "1").encode(), query=settings)
    eventually(lambda: host.invoke(name, None)["Bulkhead-Start"] == "reused", 10, "a warm worker")
    stop, failed, seen = threading.Event(), [], []
    current = {"at": time.monotonic(), "allowed": {"1"}}

    def ask(path):
        while not stop.is_set():
            begun = time.monotonic()
            allowed = set(current["allowed"]) if begun > current["at"] else None
            reply = host.invoke(name, None) if path else host.get(f"/fn/{name}", token=None)
            if reply.status != 200 or (allowed and str(reply.json()) not in allowed | set(current["allowed"])):
                failed.append((allowed, reply))
            seen.append((str(reply.json()) if reply.status == 200 else None, time.monotonic() - begun, reply["Bulkhead-Start"]))

    threads = [threading.Thread(target=ask, args=(index % 2,), daemon=True) for index in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(2, 8):
            before = current["allowed"]
            current["allowed"] = before | {str(number)}
            host.upload(name, (REACTOR % number).encode(), query=settings)
            current["at"], current["allowed"] = time.monotonic(), {str(number)}
            time.sleep(0.2)
        for _ in range(6):
            before = current["allowed"]
            current["allowed"] = before | {"6", "7"}
            to = host.request("POST", f"/v1/functions/{name}/rollback", b"", {"Content-Type": "application/json"}).json()["version"]
            current["at"], current["allowed"] = time.monotonic(), {str(to)}
            time.sleep(0.2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed, failed[:3]
    assert {word for word, _, _ in seen} >= {"1", "6", "7"}
    cold = [one for one in seen if one[2] == "cold"]
    assert len(cold) <= len(seen) / 50, f"{len(cold)} of {len(seen)} waited for a worker to start"


def test_fifty_moves_under_load(hosts):
    """500 requests a second, half at /fn/ and half at a route, while it is redeployed or rolled back fifty times: none fails, and none
    that was begun after the answer to a change is served by another version than that."""
    host = hosts()
    settings = [("mode", "reactor"), ("warm", 2), ("auth", "none"), ("threads", 8), ("max", 32)]
    host.upload("f", (REACTOR % "1").encode(), query=settings)
    assert host.request("PUT", "/v1/routes/r", json.dumps({"route": "GET /r", "function": "f", "auth": "none"}).encode()).status == 201
    eventually(lambda: host.invoke("f", None)["Bulkhead-Start"] == "reused", 10, "a warm worker")
    stop, lock, seen, moves = threading.Event(), threading.Lock(), [], [(True, "1")]

    def ask(index, pace=0.016):
        """62.5 a second, eight of them: due at fixed times, whatever the answers take."""
        with closing(host.connect()) as connection:
            due = time.monotonic() + index * pace / 8
            while not stop.is_set():
                time.sleep(max(0, due - time.monotonic()))
                due += pace
                with lock:
                    since = max(place for place, (answered, _) in enumerate(moves) if answered)
                begun = time.monotonic()
                connection.request("GET", "/r" if index % 2 else "/fn/f")
                reply = connection.getresponse()
                body = reply.read()
                with lock:
                    # The last change that was answered when it began, and whatever was asked for since.
                    allowed = {version for _, version in moves[since:]}
                seen.append((reply.status, body.decode(), allowed, time.monotonic() - begun))

    def move(make, version):
        with lock:
            moves.append((False, version))  # it may be served from now on
        make()
        with lock:
            moves.append((True, version))  # and nothing else from now on
        time.sleep(0.15)
    threads = [threading.Thread(target=ask, args=(index,), daemon=True) for index in range(8)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        for number in range(2, 27):
            move(lambda: host.upload("f", (REACTOR % number).encode(), query=[*settings, ("keep", 100)]), str(number))
        for number in range(25, 0, -1):
            body = json.dumps({"to": number}).encode()
            move(lambda: host.request("POST", "/v1/functions/f/rollback", body, {"Content-Type": "application/json"}), str(number))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    rate = len(seen) / (time.monotonic() - began)
    wrong = [one for one in seen if one[0] != 200 or one[1].strip('"') not in one[2]]
    assert not wrong, (len(wrong), len(seen), wrong[:3])
    assert rate > 400, f"{rate:.0f} requests a second were sent"
    assert len({body for _, body, _, _ in seen}) >= 26


def test_commands(bulkhead, host, function):
    def run(*arguments):
        return bulkhead(*arguments, "--host", host.url, "--token", host.token)

    assert run("alias", "set", function, "live", "2", "--weight", "3=0.1").stdout == f"{function} live is version 2, 10 % to 3\n"
    assert run("alias", "set", function, "stable", "1").returncode == 0
    assert run("invoke", function, "--alias", "stable").stdout.strip() == '"1"'
    table = run("alias", function).stdout
    assert "ALIAS" in table and "2, 10 % to 3" in table and "stable" in table
    assert {one["alias"] for one in json.loads(run("alias", "list", function, "--json").stdout)["aliases"]} == {"live", "stable"}
    assert run("rollback", function).stdout.startswith(f"{function} live is version ")
    assert run("rollback", function, "--to", "1", "--json").stdout.startswith('{"alias":"live"')
    assert run("alias", "delete", function, "stable").returncode == 0
    for wrong in (("alias", "set", function, "a", "9"), ("alias", "set", function, "a", "1", "--weight", "x"),
                  ("alias", "delete", function, "live"), ("rollback", function, "--to", "99"), ("rollback", "none-such")):
        done = run(*wrong)
        assert done.returncode == 2 and done.stdout == "" and done.stderr, wrong
