"""What a function may do, told and counted: `bulkhead policy show`, refused calls, and answers to denied ones."""

import json
import re
import threading
import time
from functools import partial

import pytest

from bulkhead_host import ADMIN, ZIP, unique_name
from bundles import zip_of
from checks import failed, problem
from system import eventually
from test_prober import NUMBERS, prober  # noqa: F401, a fixture

NONE_SUCH = 2000  # a number that no kernel has


@pytest.fixture
def client(bulkhead, host):
    return lambda *arguments: bulkhead(*arguments, "--host", host.url, "--token", host.token)


def succeeded(done):
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# -- policy show ------------------------------------------------------------------------------------------------------

NATIVE, PYTHON = "run: ./run\n", "runtime: python\nhandler: app.handler\n"


@pytest.mark.parametrize("manifest, says, says_not", [
    (NATIVE, ["a script for /bin/sh", "16 processes", "64MiB of files in /tmp", "fresh process"], ["files.read"]),
    (NATIVE + "limits: { scratch: 0 }", ["/dev/null."], ["/tmp", "files.read"]),
    (NATIVE + "limits: { scratch: 4MiB }", ["4MiB of files in /tmp"], []),
    (NATIVE + "allow: { files.read: [/usr/share/zoneinfo] }", ["files.read grants: /usr/share/zoneinfo"], []),
    (NATIVE + "limits: { processes: 3 }", ["3 processes, threads counted"], []),
    (NATIVE + "limits: { processes: 1, threads: 5 }", ["one process with 5 threads"], []),
    (NATIVE + "limits: { wall: 7s, cpu: 2s, memory: 48MiB, output: 3MiB, log: 9KiB }\nconcurrency: { max: 4 }",
     ["take 7s", "2s of CPU", "48MiB of memory", "answer 3MiB", "log 9KiB", "4 may run at once"], []),
    (NATIVE + "env: { COLOUR: unspoken }", ["COLOUR"], ["unspoken"]),  # the value may be a secret
    (NATIVE + "mode: reactor\nconcurrency: { reuse: 7 }", ["serves up to 7 invocations", "in memory and in /tmp is seen"], []),
    (PYTHON, ["app.handler in the host's python3", "one process", "/runtime"], ["run"]),
])
def test_sentences(client, host, manifest, says, says_not):
    """A person reads what the manifest comes to, first who runs and last that this is all."""
    name = unique_name("told")
    files = {"function.yaml": f"name: {name}\n{manifest}\n".encode(), "run": (b"#!/bin/sh\ncat\n", 0o755),
             "app.py": b"def handler(event, context): return event\n"}
    host.upload(name, zip_of(files), content_type=ZIP)
    lines = succeeded(client("policy", "show", name)).splitlines()
    assert lines[0].startswith(f"{name} version 1 runs ") and lines[-1] == "Nothing else."
    assert all(line.endswith(".") for line in lines)
    text = "\n".join(lines)
    for part in says:
        assert part in text
    for part in says_not:
        assert not re.search(rf"(?<![\w/]){part}\b", text.replace("runs", "").replace("may run", "")), part


def test_policy_as_json(client, host, deed):
    """The same as the route's, for scripts; a version can be named, and one that is not there cannot."""
    name = deed("fork").name
    host.upload(name, b"#!/bin/sh\ncat\n")
    route = f"/v1/functions/{name}/policy"
    for version in (1, 2):
        told = json.loads(succeeded(client("policy", "show", name, "--json", "--version", version)))
        assert told == host.get(route, query={"version": version}).json()
        assert (told["function"], told["version"]) == (name, version)
        assert told["sentences"][0].startswith(f"{name} version {version} ")
        assert {call["action"] for call in told["systemCalls"]} == {"allow", "refuse", "quiet", "pretend", "deny"}
    assert json.loads(succeeded(client("policy", "show", name, "--json"))) == told == host.get(route).json()
    missing = client("policy", "show", name, "--version", "3")
    assert missing.returncode == 2 and missing.stdout == "" and "3" in missing.stderr


def test_policy_of_no_function(client, host):
    done = client("policy", "show", "no-such-function")
    assert done.returncode == 2 and done.stdout == ""
    assert "no-such-function" in done.stderr and "/v1/functions" in done.stderr
    problem(host.get("/v1/functions/no-such-function/policy"), "not_found")


def test_policy_route(host, example):
    """It needs the token, and stands in the host's own document with all that it answers."""
    path = f"/v1/functions/{example('echo')}/policy"
    problem(host.get(path, token=None), "unauthorized")
    problem(host.get(path, token="wrong"), "unauthorized")
    told = host.get(path, token=ADMIN).json()
    document = host.get("/openapi.json").json()
    described = document["paths"]["/v1/functions/{name}/policy"]["get"]
    assert described["security"] and {"200", "401", "404"} <= set(described["responses"])
    assert described["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Policy"}
    schema = document["components"]["schemas"]["Policy"]
    assert set(schema["required"]) <= set(told) <= set(schema["properties"])


# -- Refused calls ----------------------------------------------------------------------------------------------------


@pytest.fixture
def spam(host, compile_c):
    """`spam(first, kinds, count)`: a function that makes so many calls that no policy names."""
    def deploy(*arguments, name=None, **query):
        name = name or unique_name("spam")
        host.upload(name, compile_c("spam.c"), [*(("args", argument) for argument in arguments), *query.items()])
        return name
    return deploy


def refused(host, name):
    """{(name, errno): row}."""
    return {(row["syscall"], row["errno"]): row for row in host.get(f"/v1/functions/{name}").json()["refused"]}


def metric(host, name):
    """What /metrics says of refused calls of a function, in {(call, errno): count}."""
    line = rf'^bulkhead_refused_calls_total{{function="{name}",syscall="([^"]+)",errno="([^"]+)"}} ([0-9.]+)$'
    found = re.findall(line, host.get("/metrics", token=None).body.decode(), re.MULTILINE)
    return {(call, errno): float(count) for call, errno, count in found}


def notices(host, name):
    return [line for line in host.logs(name, limit=1000) if line["text"].startswith("[bulkhead: system call ")]


def test_refused_calls_are_counted(client, host, spam):
    """A thousand of one kind, then a thousand again: exact in all three places; the log of what went well stays empty."""
    name, kind = spam(NONE_SUCH, 1, 1000), (str(NONE_SUCH), "ENOSYS")
    assert host.get(f"/v1/functions/{name}").json()["refused"] == []
    for total in (1000, 2000):
        host.invoke(name, expect="ok")
        assert {kind: row["count"] for kind, row in refused(host, name).items()} == {kind: total}
        assert metric(host, name) == {kind: total}
    shown = json.loads(succeeded(client("show", name, "--json")))
    assert [(row["syscall"], row["count"]) for row in shown["refused"]] == [(kind[0], 2000)]
    assert re.search(r"\b2000\b", succeeded(client("show", name)))
    assert notices(host, name) == []
    assert "refused" not in host.get("/v1/functions", query={"limit": 1}).json()["functions"][0]


def test_refusal_names_its_grant(host, deed):
    """What in the manifest would let it through, where something would, in the list and on the log."""
    name = deed("fork").name
    host.invoke(name)
    (kind, row), = refused(host, name).items()
    assert kind[1] == "EAGAIN" and row["grant"] == "limits.processes" and row["count"] == 1


def test_refusal_before_a_failure(host):
    """The invocation's own log and the failure's sentence name what was refused, once a kind, and what would allow it."""
    name = unique_name("refused")
    code = "import os\ndef handler(e, c):\n  for n in range(3):\n    try: os.fork()\n    except OSError: pass\n  os._exit(e)"
    host.upload(name, code.encode(), {"runtime": "python", "handler": "app.handler"})
    for event in (7, 7):
        told = failed(host.invoke(name, event), "exit")
        assert told["exitCode"] == 7 and "was refused: EAGAIN; limits.processes would allow it" in told["detail"]
        line, = [line for line in notices(host, name) if line.get("invocationId") == told["invocationId"]]
        assert line["text"].endswith(" was refused: EAGAIN; limits.processes would allow it]") and line["source"] == "host"


def test_counts_go_with_their_function(host, spam):
    """A function of the same name later is another one."""
    name = spam(NONE_SUCH, 1, 1000)
    host.invoke(name, expect="ok")
    assert refused(host, name)
    assert host.delete(name).status == 204
    host.upload(name, b"#!/bin/sh\ncat\n")
    assert refused(host, name) == {}


def test_counts_do_not_come_back(host, spam):
    """A worker that outlives its function by a little is refused on, and that is nobody's count any more."""
    name = spam(NONE_SUCH, 1, 0, wall="2s")
    caller = threading.Thread(target=partial(host.invoke, name))
    caller.start()
    eventually(lambda: refused(host, name), 5, "something was refused")
    assert host.delete(name).status == 204
    caller.join()
    host.upload(name, b"#!/bin/sh\ncat\n")
    assert refused(host, name) == {}


def test_spam_until_the_time_is_up(host, example, spam):
    """Two at once that do nothing else: at least half is counted, none that was not made, and others are served."""
    echo, names = example("echo"), [spam(NONE_SUCH, 1, 0, wall="3s", cpu="3s") for _ in range(2)]
    spammers = [threading.Thread(target=partial(host.invoke, name)) for name in names]
    for spammer in spammers:
        spammer.start()
    times = []
    while any(spammer.is_alive() for spammer in spammers):
        began = time.monotonic()
        host.invoke(echo, {"x": 1}, expect="ok")
        times.append(time.monotonic() - began)
    assert len(times) >= 10 and sorted(times)[len(times) // 2] < 0.5 and max(times) < 2, times
    for name in names:
        said = [int(line["text"].split()[1]) for line in host.logs(name, limit=1000) if line["text"].startswith("made ")]
        row, = refused(host, name).values()
        assert said and max(said) / 2 <= row["count"] <= max(said) + 1024


def test_no_tenant_makes_the_ledger_grow(host, spam):
    """100,000 different numbers: a bounded list, with the rest as "other", and not one of them lost."""
    name, total = None, 0
    for first, count, bound in ((NONE_SUCH, 100_000, 65), (200_000, 3000, 129), (300_000, 3000, 129)):
        name = spam(first, count, count, name=name, wall="60s", cpu="60s", log="1MiB")  # a new version of the same one
        host.invoke(name, expect="ok", timeout=70)
        total += count
        rows = refused(host, name)
        assert len(rows) <= bound and sum(row["count"] for row in rows.values()) == total
        assert any(call == "other" for call, _ in rows)
        assert {kind: row["count"] for kind, row in rows.items()} == metric(host, name)
    assert len(notices(host, name)) <= bound


# -- Denied calls -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call, values, words, why", [
    ("ptrace", [0], ["PTRACE_TRACEME", "0", "NULL", "NULL"], "other processes"),
    ("ptrace", [16, 1, 0, 4096], ["PTRACE_ATTACH", "1", "NULL", "0x1000"], "other processes"),
    ("unshare", [0x10000000], ["CLONE_NEWUSER"], "namespaces"),
    ("unshare", [0x60020000], ["CLONE_NEWNS|CLONE_NEWPID|CLONE_NEWNET"], "namespaces"),
    ("setns", [3, 0x40000000], ["3", "CLONE_NEWNET"], "namespaces"),
    ("clone", [0x10000011], ["SIGCHLD|CLONE_NEWUSER", "NULL"], "namespaces"),
    ("mount", [0, 0, 0, 0x1021], ["NULL", "NULL", "NULL", "MS_RDONLY|MS_REMOUNT|MS_BIND", "NULL"], "file tree"),
    ("bpf", [0, 0, 72], ["BPF_MAP_CREATE", "NULL", "72"], "kernel programs"),
    ("bpf", [0xDEAD_BEEF_0000_0005, 0, 72], ["BPF_PROG_LOAD", "NULL", "72"], "kernel programs"),
    ("keyctl", [1, 0], ["KEYCTL_JOIN_SESSION_KEYRING", "0", "0", "0", "0"], "keyrings"),
    ("seccomp", [1, 9, 0], ["SECCOMP_SET_MODE_FILTER", "SECCOMP_FILTER_FLAG_TSYNC|SECCOMP_FILTER_FLAG_NEW_LISTENER",
                            "NULL"], "listener"),
])
def test_denied_call_in_words(host, prober, call, values, words, why):  # noqa: F811
    """Which call, with what, and why not: enough to find the line of code that made it."""
    name = prober()
    reply = host.invoke(name, {"direct": 1, "calls": [[NUMBERS[call], *values]]})
    told = failed(reply, "denied")
    assert (told["syscall"], told["arguments"]) == (call, words)
    assert f"{call}({', '.join(words)})" in told["detail"] and why in told["detail"]
    assert "grant" not in told or told["grant"]
