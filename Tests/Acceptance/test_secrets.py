"""Secrets: given to functions that name them, and shown to nobody else, wherever one looks."""

import base64
import hashlib
import io
import os
import resource
import signal
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

import system
from bulkhead_host import Host, unique_name
from conftest import BINARY
from system import eventually
from test_events import kill_supervisor
from test_posture import IS_ROOT, ORDINARY_UID

SECRET = "hunter2-" + "zq" * 12
TELL = b"#!/bin/sh\nprintf %s \"$DB\" | sha256sum\n"


def put(host, name, value):
    return host.request("PUT", f"/v1/secrets/{name}", value if isinstance(value, bytes) else value.encode())


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def shows(body):
    """Also in base64, behind whatever."""
    encoded = [base64.b64encode(b"x" * shift + SECRET.encode())[4:-4] for shift in range(3)]
    return any(form in body for form in [SECRET.encode(), *encoded])


def test_given_as_a_variable_and_changed(host):
    """A changed one is what the next invocation gets, warm workers or not."""
    name, secret = unique_name("tell"), unique_name("db")
    assert put(host, secret, SECRET).status == 201
    assert put(host, secret, SECRET).status == 200
    host.upload(name, TELL, {"secrets": f"DB={secret}", "warm": "2"})
    assert digest(SECRET) in host.invoke(name, expect="ok").body.decode()
    put(host, secret, "another")
    assert digest("another") in host.invoke(name, expect="ok").body.decode()
    listed = [one for one in host.get("/v1/secrets?limit=1000").json()["secrets"] if one["name"] == secret]
    assert set(listed[0]) == {"name", "createdAt", "updatedAt"}
    assert host.request("DELETE", f"/v1/secrets/{secret}").status == 204
    time.sleep(0.2)
    failed = host.invoke(name)
    assert failed.outcome == "launch_failed" and failed.json()["stage"] == "secrets" and failed.json()["errno"] == "ENOENT", failed
    assert host.request("DELETE", f"/v1/secrets/{secret}").status == 404


def test_reactors_get_the_new_one(host):
    name, secret = unique_name("reactor"), unique_name("db")
    put(host, secret, "first")
    source = b"import os\ndef handler(event, context):\n    return os.environ['DB']\n"
    host.request("PUT", f"/v1/functions/{name}", bundle(source, secret), {"Content-Type": "application/zip"})
    assert host.invoke(name, expect="ok").json() == "first"
    assert host.invoke(name, expect="ok")["Bulkhead-Start"] == "reused"
    put(host, secret, "second")
    assert host.invoke(name, expect="ok").json() == "second"


def bundle(source, secret):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("app.py", source)
        archive.writestr("function.yaml", f"runtime: python\nhandler: app.handler\nmode: reactor\nsecrets: {{ DB: {secret} }}\n")
    return out.getvalue()


def test_shown_nowhere(hosts):
    """Grep of the data directory, logs, metrics and every answer for its bytes: none."""
    host = hosts()
    put(host, "db", SECRET)
    leak = b"#!/bin/sh\necho \"pw=$DB\" >&2\nprintf %s \"user:$DB\" | base64 -w0 >&2\necho >&2\nexit 3\n"
    host.upload("leak", leak, {"secrets": "DB=db"})
    raised = host.invoke("leak")
    assert raised.status == 502 and "[secret]" in raised.json()["log"] and not shows(raised.body), raised
    identifier = host.invoke("leak", headers={"Prefer": "respond-async"}).json()["id"]
    eventually(lambda: len(host.logs("leak")) >= 3, 5, "it has said something")
    time.sleep(0.5)
    for path in ("/v1/secrets", "/v1/functions/leak", "/v1/functions", "/v1/functions/leak/logs", "/metrics", "/v1/audit", "/v1/usage",
                 f"/v1/invocations/{identifier}", "/v1/functions/leak/policy", "/openapi.json"):
        assert not shows(host.get(path).body), path
    for file in host.data.rglob("*"):
        if file.is_file():
            assert not shows(file.read_bytes()), file
    key = host.data / "secrets.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert host.request("POST", "/v1/secret-key/rotate").json() == {"rotated": 1}
    host.upload("tell", TELL, {"secrets": "DB=db"})
    assert digest(SECRET) in host.invoke("tell", expect="ok").body.decode()
    kill_supervisor(host)
    assert digest(SECRET) in host.invoke("tell", expect="ok").body.decode()
    assert not shows(host.log.read_bytes())


@pytest.fixture(params=["root", "user"] if IS_ROOT else ["user"])
def with_cores(request, workspace, monkeypatch):
    """A host, of root or of an ordinary user, that is started where it may write and where core files may be as large as they like."""
    data = workspace / unique_name("cores")
    data.mkdir()
    identity = {}
    if IS_ROOT and request.param == "user":
        os.chown(data, ORDINARY_UID, ORDINARY_UID)
        degraded = [part for layer in ("memory", "processes", "cpu") for part in ("--allow-degraded", layer)]
        identity = {"user": ORDINARY_UID, "options": degraded}
    monkeypatch.chdir(data)
    before = resource.getrlimit(resource.RLIMIT_CORE)
    most = resource.RLIM_INFINITY if IS_ROOT else before[1]
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    host = Host(BINARY, data, data.with_suffix(".log"), **identity)
    try:
        yield host.start()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
        if host.running:
            host.kill()


CRASH = b"""import base64, ctypes, os, sys
def handler(event, context):
    secret = os.environ["DB"]
    print(secret, base64.b64encode(secret.encode()).decode(), file=sys.stderr, flush=True)
    if event == "raise":
        raise ValueError("refused: " + secret)
    if event == "exit":
        sys.exit(secret)
    ctypes.string_at(1)
"""


def test_a_crash_leaves_nothing_either(with_cores, bulkhead, workspace):
    """Of a worker, by SIGSEGV, and of the supervisor, by SIGABRT: no core, and nothing in any file, log, answer or backup."""
    host = with_cores
    put(host, "db", SECRET)
    host.request("PUT", "/v1/functions/crash", bundle(CRASH, "db"), {"Content-Type": "application/zip"})
    host.upload("echo", b"#!/bin/sh\necho \"$DB\"; echo \"$DB\" >&2; kill -SEGV $$\n", {"secrets": "DB=db", "retries": "0"})
    places = {Path(f"/proc/{member.pid}/cwd").resolve() for member in host.members} | {host.data.parent, Path("/tmp"), Path("/")}
    before = {path for place in places for path in place.glob("core*")}
    answers = [host.invoke("crash", event) for event in ("raise", "exit", "crash")] + [host.invoke("echo")]
    assert [reply.outcome for reply in answers] == ["error", "exit", "signal", "signal"], answers
    assert answers[-1].json()["signal"] == "SIGSEGV"
    identifier = host.invoke("echo", headers={"Prefer": "respond-async"}).json()["id"]
    host.record_when_done(identifier)
    crashed = host.supervisor
    os.kill(crashed.pid, signal.SIGABRT)
    eventually(lambda: not system.still_alive([crashed]), 10, "the supervisor is gone")
    eventually(lambda: host.get("/readyz").status == 200, 10, "it is ready")
    assert "SIGABRT" in host.log.read_text()
    host.invoke("crash", "raise")
    paths = ["/metrics", "/v1/audit", "/v1/usage", "/v1/functions/crash/logs", "/v1/functions/echo/logs", f"/v1/invocations/{identifier}",
             "/v1/functions/echo/dead-letters", f"/v1/functions/echo/dead-letters/{identifier}"]
    paths += [f"/v1/invocations/{reply['Bulkhead-Invocation-Id']}" for reply in answers]
    shown = [path for path in paths if shows(host.get(path).body)] + [reply for reply in answers if shows(reply.body)]
    assert not shown, shown
    assert len(host.logs("crash")) >= 4, "it has said something"
    file = workspace / f"{unique_name('backup')}.tar.gz"
    assert bulkhead("backup", file, "--data-dir", host.data).returncode == 0
    with tarfile.open(file) as archive:
        assert not [member for member in archive.getmembers() if member.isfile() and shows(archive.extractfile(member).read())]
    time.sleep(0.5)  # logs are on the disk
    files = [path for path in host.data.rglob("*") if path.is_file()]
    cores = {path for path in files if path.name.startswith("core")} | {path for place in places for path in place.glob("core*")} - before
    shown = [path for path in {host.log, *files, *cores} if shows(path.read_bytes())]
    assert not cores and not shown, (cores, shown)


def test_whose_key_is_for_some_functions_gets_some_secrets(host):
    """Who may deploy a-* must not read others' secrets by a function of its own."""
    put(host, "a-db", "mine")
    put(host, "b-db", "not mine")
    made = host.request("POST", "/v1/keys", b'{"name": "a", "role": "deploy", "functions": ["a-*"]}', {"Content-Type": "application/json"})
    token = made.json()["token"]
    assert host.upload("a-tell", TELL, {"secrets": "DB=a-db"}, token=token).status == 201
    refused = host.upload("a-thief", TELL, {"secrets": "DB=b-db"}, token=token, expect=())
    assert refused.status == 403 and "b-db" in refused.json()["detail"], refused
    for path in ("/v1/secrets", "/v1/usage", "/v1/schedules"):
        assert host.get(path, token=token).status == 403
    host.delete("a-tell")


def test_wrong_ones(host):
    for name, value in (("a/b", "x"), ("-a", "x"), ("0.5", "x"), ("a" * 65, "x"), ("ok", ""), ("ok", "x" * 65_537)):
        assert put(host, name, value).status in (400, 404), (name, value[:10])
    missing = host.upload(unique_name("f"), TELL, {"secrets": "DB=nobody"}, expect=())
    assert missing.status == 400 and "nobody" in missing.json()["detail"]
    put(host, "bytes", b"\xff\0")
    binary = host.upload(unique_name("f"), TELL, {"secrets": "DB=bytes"}, expect=())
    assert binary.status == 400 and "base64" in binary.json()["detail"]
    for table in ("DB", "1DB=x", "BULKHEAD_X=x", "DB=a b"):
        assert host.upload(unique_name("f"), TELL, {"secrets": table}, expect=()).status == 400, table
    both = host.upload(unique_name("f"), TELL, {"secrets": "A=ok", "env": "A=1"}, expect=())
    assert both.status == 400 and "A is given by env and by secrets" in both.json()["detail"]


def test_without_its_key_nothing_starts(hosts, bulkhead):
    """Missing, another one, or one that others may read: said, and nothing is lost."""
    host = hosts()
    put(host, "db", SECRET)
    host.upload("tell", TELL, {"secrets": "DB=db"})
    assert host.stop() == 0
    key = host.data / "secrets.key"
    right = key.read_bytes()

    def refused():
        done = subprocess.run([host.binary, "serve", "--listen", "127.0.0.1:0", "--data", host.data], capture_output=True, text=True, timeout=60)
        assert done.returncode != 0, done
        return done.stderr
    owner = key.stat()
    key.unlink()
    assert "secrets.key is missing" in refused() and not key.exists()

    def write(content, mode):
        key.write_bytes(content)
        key.chmod(mode)
        os.chown(key, owner.st_uid, owner.st_gid)
    write(base64.b64encode(os.urandom(32)), 0o600)
    assert "cannot be opened" in refused()
    write(right, 0o644)
    assert "others may read it" in refused()
    write(b"short", 0o600)
    assert "32 bytes" in refused()
    write(right, 0o600)
    host.start()
    assert digest(SECRET) in host.invoke("tell", expect="ok").body.decode()


def test_a_key_of_the_operators(hosts, workspace):
    file = workspace / "own.key"
    file.write_bytes(base64.b64encode(os.urandom(32)))
    file.chmod(0o600)
    host = hosts(configuration=f"secretsKey: {file}\n")
    put(host, "db", SECRET)
    assert not (host.data / "secrets.key").exists()
    assert host.request("POST", "/v1/secret-key/rotate").status == 409
    kill_supervisor(host)
    host.upload("tell", TELL, {"secrets": "DB=db"})
    assert digest(SECRET) in host.invoke("tell", expect="ok").body.decode()
