"""Secrets: given to functions that name them, and shown to nobody else, wherever one looks."""

import base64
import errno
import hashlib
import io
import json
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
from bulkhead_host import ZIP, Host, unique_name
from bundles import zip_of
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


# -- Behind a descriptor ----------------------------------------------------------------------------------------------

# What a program finds, and what it may do with it.
LOOK = b"""#!/usr/bin/python3
import errno, fcntl, json, os
fd = int(os.environ["BULKHEAD_SECRETS_FD"])

def refused(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]

told = {"fd": fd, "seals": fcntl.fcntl(fd, 1034), "variables": sorted(os.environ)}
told["refused"] = [refused(lambda: os.write(fd, b"x")), refused(lambda: os.ftruncate(fd, 0)), refused(lambda: open("/dev/fd/3", "r+b"))]
told["document"] = os.read(fd, 1 << 20).decode()
told["again"] = open("/dev/fd/3").read() == told["document"] == os.pread(fd, 1 << 20, 0).decode()
told["given"] = [part.decode() for part in open("/proc/self/environ", "rb").read().split(b"\\0")]
os.close(fd)
told["closed"] = refused(lambda: os.fstat(fd))
print(json.dumps(told))
"""
SEALS = 0xF  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE
DESCRIPTOR = {"secretsAs": "descriptor"}


def behind_a_descriptor(host, source, mode, secret):
    """A Python function that is given the secret as DB."""
    name = unique_name("behind")
    manifest = f"runtime: python\nhandler: app.handler\nmode: {mode}\nsecrets: {{ DB: {secret} }}\nsecretsAs: descriptor\n"
    host.upload(name, zip_of({"function.yaml": manifest.encode(), "app.py": source}), content_type=ZIP)
    return name


def test_behind_a_descriptor(host):
    """Sealed, from its beginning on in each process, closable; and in no environment."""
    name, secret = unique_name("look"), unique_name("db")
    put(host, secret, SECRET)
    host.upload(name, LOOK, {"secrets": f"DB={secret}", "warm": "1", **DESCRIPTOR})
    assert host.get(f"/v1/functions/{name}").json()["manifest"]["secretsAs"] == "descriptor"
    for _ in range(4):  # in a new cell, in one started ahead, in those that serve again
        told = host.invoke(name, expect="ok").json()
        assert json.loads(told["document"]) == {"DB": SECRET} and told["again"], told
        assert told["fd"] == 3 and told["seals"] & SEALS == SEALS, told
        assert told["refused"] == ["EPERM", "EPERM", "EACCES"] and told["closed"] == "EBADF", told
        assert "DB" not in told["variables"] and not shows("\0".join(told["given"]).encode()), told


def test_without_it_there_is_no_descriptor(host):
    name, secret = unique_name("look"), unique_name("db")
    put(host, secret, SECRET)
    host.upload(name, b"#!/bin/sh\necho \"${BULKHEAD_SECRETS_FD-none} $DB\"; if (: <&3) 2>/dev/null; then echo open; fi\n",
                {"secrets": f"DB={secret}"})
    assert "secretsAs" not in host.get(f"/v1/functions/{name}").json()["manifest"]
    assert host.invoke(name, expect="ok").body.decode() == f"none {SECRET}\n"


def test_a_shell_reads_its_descriptor(host):
    """A changed one is what the next invocation gets, warm workers or not; without it nothing starts."""
    name, secret = unique_name("cat"), unique_name("db")
    put(host, secret, "first")
    host.upload(name, b"#!/bin/sh\ncat <&3\n", {"secrets": f"DB={secret}", "warm": "2", **DESCRIPTOR})
    assert host.invoke(name, expect="ok").json() == {"DB": "first"}
    put(host, secret, "second")
    assert host.invoke(name, expect="ok").json() == {"DB": "second"}
    assert host.request("DELETE", f"/v1/secrets/{secret}").status == 204
    failed = eventually(lambda: (reply := host.invoke(name)).outcome == "launch_failed" and reply, 5, "it cannot start any more")
    assert (failed.json()["stage"], failed.json()["errno"]) == ("secrets", "ENOENT"), failed


def test_bytes_that_no_variable_can_carry(host):
    """NUL bytes, and such as are no text."""
    secrets = {"NUL": b"a\0b", "BYTES": b"\xff\0\xfe", "TEXT": 'say "\u00e4"\n'.encode(), "LONG": bytes(range(256)) * 256}
    names = {variable: unique_name(variable.lower()) for variable in secrets}
    for variable, value in secrets.items():
        assert put(host, names[variable], value).status == 201
    function = unique_name("cat")
    tables = [f"{variable}={name}" for variable, name in names.items()]
    host.upload(function, b"#!/bin/sh\ncat <&3\n", {"secrets": tables, **DESCRIPTOR})
    told = host.invoke(function, expect="ok").json()
    assert told["NUL"] == "a\0b" and told["TEXT"] == 'say "\u00e4"\n', told
    for variable in ("BYTES", "LONG"):
        assert set(told[variable]) == {"base64"} and base64.b64decode(told[variable]["base64"]) == secrets[variable]
    # Another of the longest is more than a cell takes.
    refused = host.upload(function, b"#!/bin/sh\ncat <&3\n", {"secrets": [*tables, f"AGAIN={names['LONG']}"], **DESCRIPTOR}, expect=())
    assert refused.status == 400 and "descriptor" in refused.json()["detail"], refused


def test_a_reactor_reads_it_once(host):
    """As its module loads, for all of its invocations; with another secret, another reactor."""
    secret = unique_name("db")
    put(host, secret, "first")
    source = b"import json, os\nGIVEN = json.loads(os.read(3, 1 << 20))\nos.close(3)\ndef handler(event, context):\n    return [GIVEN, 'DB' in os.environ]\n"
    name = behind_a_descriptor(host, source, "reactor", secret)
    for start in ("cold", "reused"):
        reply = host.invoke(name, expect="ok")
        assert reply.json() == [{"DB": "first"}, False] and reply["Bulkhead-Start"] == start, reply
    put(host, secret, "second")
    assert host.invoke(name, expect="ok").json() == [{"DB": "second"}, False]


def test_forks_of_a_snapshot_share_it(host):
    """Before it is ready, and in each fork: whose bytes none of them can change."""
    secret = unique_name("db")
    put(host, secret, "first")
    source = b"""import json, os
LOADED = json.loads(os.pread(3, 1 << 20, 0))

def handler(event, context):
    try:
        os.pwrite(3, b"x" * 8, 0)
    except OSError as error:
        return [LOADED, json.loads(os.pread(3, 1 << 20, 0)), error.errno, "DB" in os.environ]
"""
    name = behind_a_descriptor(host, source, "snapshot", secret)
    for start in ("cold", "forked", "forked"):
        reply = host.invoke(name, expect="ok")
        assert reply.json() == [{"DB": "first"}, {"DB": "first"}, errno.EPERM, False], reply
        assert reply["Bulkhead-Start"] == start
    put(host, secret, "second")
    assert host.invoke(name, expect="ok").json()[:2] == [{"DB": "second"}] * 2


def test_what_is_read_there_is_hidden_too(host):
    """In logs and failures, also as it stands in the document."""
    name, secret = unique_name("leak"), unique_name("db")
    put(host, secret, f'{SECRET}"\\ and\nmore of it')
    host.upload(name, b"#!/bin/sh\ncat <&3 >&2\necho >&2\nbase64 -w0 /dev/fd/3 >&2\nexit 3\n", {"secrets": f"DB={secret}", **DESCRIPTOR})
    reply = host.invoke(name, expect="exit")
    assert '{"DB":"[secret]"}' in reply.json()["log"] and not shows(reply.body), reply
    lines = eventually(lambda: host.logs(name), 5, "it has said something")
    assert not shows(json.dumps(lines).encode()), lines


def test_its_policy_says_so(host):
    name, secret = unique_name("look"), unique_name("db")
    put(host, secret, SECRET)
    told = []
    for how in ({}, DESCRIPTOR):
        host.upload(name, LOOK, {"secrets": f"DB={secret}", **how})
        told.append(" ".join(host.get(f"/v1/functions/{name}/policy").json()["sentences"]))
    assert "variables and DB." in told[0] and "BULKHEAD_SECRETS_FD" not in told[0], told[0]
    assert "variables only. Its secrets (DB) are not in there" in told[1] and "BULKHEAD_SECRETS_FD" in told[1], told[1]


def test_descriptors_that_cannot_be(host, bulkhead, workspace):
    """A word that is none, nothing to stand there; and `run`, which knows no secrets, says so instead of running without."""
    secret = unique_name("db")
    put(host, secret, SECRET)
    for query, said in (({"secrets": f"DB={secret}", "secretsAs": "file"}, "environment, descriptor"), (DESCRIPTOR, "without secrets")):
        refused = host.upload(unique_name("f"), TELL, query, expect=())
        assert refused.status == 400 and said in refused.json()["detail"], refused
    program = workspace / unique_name("run")
    program.write_bytes(LOOK)
    program.chmod(0o755)
    done = bulkhead("run", program, "--set", f"secrets=DB={secret}", "--set", "secretsAs=descriptor", "--data", "null")
    assert done.returncode == 2 and f'no secret "{secret}"' in done.stderr and done.stdout == "", done
