"""Uploads, deletions and asynchronous work at the same time: what was answered is true, then and afterwards."""

import json
import shutil
import threading
import time
from contextlib import closing
from functools import partial

import pytest

from bulkhead_host import GZIP, ZIP, at_once, unique_name
from bundles import script_bundle, tar_entry, tar_gz
from checks import failed, problem
from supervising import bundle
from system import eventually

ECHO = b"#!/bin/sh\nexec cat\n"


def saying(text):
    return f"#!/bin/sh\necho {text}\n".encode()


def versions(host, name):
    return [version["version"] for version in host.get(f"/v1/functions/{name}/versions").json()["versions"]]


# -- Versions ---------------------------------------------------------------------------------------------------------


def upload_together(host, name, contents):
    """Uploads all at once: {number: content}, as they were answered."""
    replies = at_once(partial(host.upload, name, content) for content in contents)
    handed_out = {reply.json()["version"]: content for reply, content in zip(replies, contents)}
    assert len(handed_out) == len(contents), f"a number was handed out twice: {[reply.json() for reply in replies]}"
    return handed_out


@pytest.mark.parametrize("count, times", [(3, 60), (8, 10)])
def test_uploads_at_once(host, count, times):
    """`latest` is the highest number that was handed out, at once and for all who ask."""
    name, known = unique_name("together"), {}
    for turn in range(times):
        known |= upload_together(host, name, [saying(f"{turn}-{number}") for number in range(count)])
        newest = max(known)
        assert host.get(f"/v1/functions/{name}").json()["version"] == newest
        reply = host.invoke(name, expect="ok")
        assert (reply["Bulkhead-Version"], reply.body.decode().strip()) == (
            str(newest), known[newest].decode().split()[-1]), turn
        listed = {each["name"]: each["version"] for each in host.get("/v1/functions?limit=1000").json()["functions"]}
        assert listed.get(name, newest) == newest
    assert sorted(versions(host, name), reverse=True)[0] == max(known)


def test_an_upload_and_a_deletion_at_once(host):
    """Either order, but one of them: what is listed can be invoked, what is not cannot."""
    name = unique_name("undecided")
    for turn in range(25):
        host.upload(name, saying(f"before-{turn}"))
        replies = at_once([partial(host.upload, name, saying(f"after-{turn}")), partial(host.delete, name)])
        assert replies[1].status in (204, 404)
        there = host.get(f"/v1/functions/{name}")
        reply = host.invoke(name)
        if there.status == 404:
            problem(reply, "not_found")
        else:
            assert (there.json()["version"], reply.body.decode().strip()) == (replies[0].json()["version"], f"after-{turn}")


def test_numbers_are_never_used_again(hosts):
    """Not after a deletion, not after a restart, and not for the same bytes."""
    host, given = hosts(), []
    for turn in range(4):
        for content in (ECHO, saying(turn), ECHO):
            given.append(host.upload("phoenix", content, expect=[201]).json()["version"])
        assert host.delete("phoenix").status == 204
        if turn == 1:
            assert host.stop() == 0
            host = hosts(host.data)
    assert given == sorted(set(given)), given
    newest = host.upload("phoenix", ECHO, expect=[201]).json()["version"]
    assert newest > given[-1] and versions(host, "phoenix") == [newest]
    problem(host.invoke("phoenix", query={"version": given[0]}), "not_found")


@pytest.mark.parametrize("content_type", ["file", "zip", "tar", "manifest in another order"])
def test_the_same_bytes_make_no_version(host, content_type):
    name, manifest = unique_name("same"), b"run: ./run\nargs: [a]\nenv: { A: b, B: c }\n"
    body, kind = {
        "file": (ECHO, "application/octet-stream"), "zip": (script_bundle(manifest.decode()), ZIP),
        "tar": (tar_gz([tar_entry("function.yaml", manifest), tar_entry("run", ECHO, 0o755)]), GZIP),
        "manifest in another order": (script_bundle("env: { B: c, A: b }\nrun: ./run\nargs: [a]\n"), ZIP),
    }[content_type]
    first = host.upload(name, body, content_type=kind, expect=[201]).json()
    replies = at_once(partial(host.upload, name, body, content_type=kind, expect=[200]) for _ in range(4))
    assert {reply.json()["version"] for reply in replies} == {first["version"]}
    assert {reply.json()["sha256"] for reply in replies} == {first["sha256"]}
    assert len(versions(host, name)) == 1


@pytest.mark.parametrize("first", ["native", "python"])
def test_runtimes_do_not_share_a_bundle(host, first):
    """The same bytes as a script and as a Python file are two bundles, whichever came first: each runs as itself."""
    source = f'#!/bin/sh\n""":"\nexec cat\n":"""\n# {first}\ndef handler(event, context):\n    return "python"\n'.encode()
    names = {"native": unique_name("plain"), "python": unique_name("python")}
    queries = {"native": {}, "python": {"runtime": "python", "handler": "app.handler"}}
    for runtime in sorted(names, key=lambda runtime: runtime != first):
        host.upload(names[runtime], source, queries[runtime], expect=[201])
    assert host.invoke(names["native"], 1, expect="ok").json() == 1
    assert host.invoke(names["python"], 1, expect="ok").json() == "python"
    assert host.delete(names[first]).status == 204  # and neither goes with the other
    other = next(runtime for runtime in names if runtime != first)
    host.invoke(names[other], 1, expect="ok")


# -- Who may, while it changes ----------------------------------------------------------------------------------------


def test_new_code_never_under_old_auth(host):
    """Redeployed from `auth: none` to `token`: without a token nobody ever sees what the new one says."""
    name, seen, over = unique_name("closing"), [], threading.Event()

    def strangers():
        with closing(host.connect()) as connection:
            while not over.is_set():
                connection.request("GET", f"/fn/{name}")
                response = connection.getresponse()
                body = response.read()
                if response.status == 200 and body != b"public\n":
                    seen.append((response.status, dict(response.headers), body))
    host.upload(name, saying("public"), {"auth": "none"})
    crowd = [threading.Thread(target=strangers) for _ in range(4)]
    for thread in crowd:
        thread.start()
    for turn in range(30):
        host.upload(name, saying(f"secret-{turn}"), {"auth": "token"})
        host.upload(name, saying("public"), {"auth": "none"})
    over.set()
    for thread in crowd:
        thread.join()
    assert not seen, seen[:2]


# -- What cannot be launched ------------------------------------------------------------------------------------------


def entries(count, size=1):
    return ", ".join(f"A{number}: '{'b' * size}'" for number in range(count))


@pytest.mark.parametrize("manifest", [
    "args: [" + "a, " * 299 + "a]", "env: { " + entries(300) + " }", "args: [" + ", ".join(["'" + "a" * 30_000 + "'"] * 100) + "]",
    "env: { " + entries(128, 30_000) + " }", "allow:\n  files.read: [" + ", ".join(f"/usr/share/x{n}" for n in range(300)) + "]",
    # By YAML's aliases a short manifest says much.
    "args: [&a '" + "a" * 30_000 + "'" + ", *a" * 20 + "]",
    "env: { A: &a '" + "b" * 30_000 + "', " + ", ".join(f"A{number}: *a" for number in range(20)) + " }",
    "args: [&a '" + "a" * 30_000 + "', *a, *a, *a, *a]\nenv: { " + ", ".join(f"A{number}: *a" for number in range(5)) + " }",
    "args: [&a '" + "a" * 30_000 + "', *a, *a, *a]\nallow:\n  files.read: [&b '/usr/share" + "/xyz" * 980 + "'" + ", *b" * 31 + "]",
    "args: [&a '" + "a" * 30_000 + "', *a, *a, *a]\nallow:\n  files.read: [&b '/usr/" + "x/" * 12_000 + "x'" + ", *b" * 31 + "]",
], ids=["300 arguments", "300 variables", "long arguments", "long variables", "300 grants", "one argument 21 times",
        "one variable 21 times", "both", "both and grants", "both and deep grants"])
def test_a_plan_that_cannot_be_made(host, manifest):
    """Refused at upload as the uploader's, and the version before goes on serving."""
    name = unique_name("unplanned")
    host.upload(name, saying("before"))
    reply = host.upload(name, script_bundle(f"run: ./run\n{manifest}\n"), content_type=ZIP, expect=None)
    print(problem(reply, "invalid_request")["detail"])
    assert versions(host, name) == [1]
    reply = host.invoke(name, expect="ok")
    assert (reply["Bulkhead-Version"], reply.body) == ("1", b"before\n")


@pytest.mark.parametrize("mode", ["command", "reactor", "snapshot"])
@pytest.mark.parametrize("warm", [0, 1])
def test_a_launch_failure_says_where(hosts, tmp_path_factory, mode, warm):
    """Also when the worker was to be started ahead. What was granted is gone since the host's last start."""
    granted = tmp_path_factory.mktemp("grant") / "granted"
    granted.mkdir()
    for folder in (granted, *granted.parents[:3]):
        folder.chmod(0o755)
    host = hosts()
    manifest = (f"run: ./run\nmode: {mode}\nlimits: {{ init: 2s }}\nconcurrency: {{ warm: {warm} }}\n"
                f"allow:\n  files.read: ['{granted}']\n")
    bundle(host, manifest, {"run": ECHO}, "grantee")
    assert host.stop() == 0
    granted.rmdir()
    host = hosts(host.data)
    time.sleep(1)
    for _ in range(2):
        told = failed(host.invoke("grantee", {}, timeout=20), "launch_failed")
        assert told["stage"] and told["errno"] == "ENOENT", told


# -- Metrics, lists ---------------------------------------------------------------------------------------------------


def test_metrics_of_a_deleted_function(host):
    """Its series end with it, also when an invocation of it ends afterwards or somebody asks for it again."""
    name = unique_name("mortal")
    host.upload(name, b"#!/bin/sh\nsleep 1\n")
    late = threading.Thread(target=host.invoke, args=[name])
    late.start()
    time.sleep(0.4)
    assert host.delete(name).status == 204
    late.join()
    for ask in (lambda: host.invoke(name), lambda: host.get(f"/fn/{name}", token=None), lambda: host.delete(name)):
        ask()
    time.sleep(0.5)
    lines = [line for line in host.get("/metrics").body.decode().splitlines() if f'"{name}"' in line]
    assert not lines, lines


def test_list_goes_beyond_a_thousand(hosts, bulkhead):
    """Page by page, each function once; the command line shows all."""
    host = hosts()
    names = {f"many-{number:04}" for number in range(1005)}
    with closing(host.connect()) as connection:
        for name in names:
            connection.request("PUT", f"/v1/functions/{name}", ECHO, {
                "Authorization": f"Bearer {host.token}", "Content-Type": "application/octet-stream"})
            response = connection.getresponse()
            response.read()
            assert response.status == 201
    found, path = [], "/v1/functions?limit=100"
    while path:
        page = host.get(path).json()
        found += [each["name"] for each in page["functions"]]
        path = f"/v1/functions?limit=100&cursor={page['next']}" if page.get("next") else None
    assert sorted(found) == sorted(names)
    listed = bulkhead("list", "--json", "--host", host.url, "--token", host.token)
    told = json.loads(listed.stdout)
    assert {each["name"] for each in (told["functions"] if isinstance(told, dict) else told)} == names
    shown = bulkhead("list", "--host", host.url, "--token", host.token).stdout
    assert all(name in shown for name in names)


def test_an_error_of_the_hosts_own(hosts):
    """It is no outcome of anybody's invocation: a problem that says so, its reason in the host's log, and the host goes on."""
    host = hosts()
    shutil.rmtree(host.data / "incoming")
    reply = host.upload("f", b"#!/bin/sh\ntrue\n", expect=None)
    told = reply.json()
    assert reply.status == 500 and reply.media_type == "application/problem+json"
    assert (told["type"], told["blame"]) == ("about:blank", "host") and "log" in told["detail"] and "outcome" not in told
    assert "request failed" in host.log.read_text()
    assert host.get("/readyz", token=None).status == 200
