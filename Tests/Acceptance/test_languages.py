"""Programs in the languages that people upload, as single files and without a word in the manifest, in the system's root."""

import json
import subprocess
import sys

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from languages import COLUMNS, LANGUAGES, judge
from runtimes import LARGE, NEWER, bundle, is_here, query_of


# A runtime of a hundred megabytes in the bundle: one column of it is enough here, Tests/Languages/table has all.
CASES = [(language, column) for language in LANGUAGES for column in COLUMNS
         if language != NEWER and (language not in LARGE or column == "temp")]


@pytest.mark.parametrize(("language", "column"), CASES, ids=lambda value: value.replace(" ", "-"))
def test_language(host, tmp_path, tmp_path_factory, language, column):
    """Its answer, and nothing on its log: what an interpreter tries at its start is nobody's affair."""
    if not is_here(language):
        assert language in ("rust", "node", "java"), f"{language} is installed by Tests/run"
        return  # not among the packages that Tests/run installs
    kind, content = bundle(language, column, tmp_path, tmp_path_factory.getbasetemp())
    name = unique_name("language")
    host.upload(name, content, {} if kind == ZIP else query_of(language, column), content_type=kind)
    reply = host.invoke(name, {"n": [1, "zwei"]})
    wrong = judge(language, column, reply, [line["text"] for line in host.logs(name)])
    assert wrong is None, wrong


def test_python_packages_of_the_index(host, tmp_path):
    """A handler with uvloop beside it, which asks for io_uring."""
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary", ":all:", "--python-version", "3.11",
                    "--implementation", "cp", "--target", str(tmp_path), "uvloop"], check=True)
    files = {str(path.relative_to(tmp_path)): (path.read_bytes(), 0o644) for path in tmp_path.rglob("*") if path.is_file()}
    files["app.py"] = (b"import uvloop\n\nasync def answer():\n    return 42\n\n"
                       b"def handler(event, context):\n    return uvloop.run(answer())\n", 0o644)
    files["function.yaml"] = b"runtime: python\nhandler: app.handler\nlimits: { wall: 30s, memory: 256MiB }\n"
    name = unique_name("uvloop")
    host.upload(name, zip_of(files), content_type=ZIP)
    assert host.invoke(name, expect="ok").json() == 42


# -- What of the host is there, and what is not -----------------------------------------------------------------------

NOTHING_OF = [
    "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/hostname", "/etc/machine-id", "/etc/ssh", "/etc/pam.d",
    "/etc/ssl/private", "/etc/resolv.conf", "/etc/fstab", "/etc/crontab", "/etc/environment", "/etc/sudoers",
    "/etc/default", "/etc/systemd", "/var", "/home", "/root", "/run", "/srv", "/opt", "/boot", "/mnt", "/media"]


@pytest.mark.parametrize("root", ["auto", "system", "minimal"])
def test_nothing_of_the_host(host, root):
    name = unique_name("root")
    host.upload(name, ("#!/bin/sh\nls -d " + " ".join(NOTHING_OF) + " 2>/dev/null\ntrue\n").encode(), {"root": root})
    assert host.invoke(name, expect="ok").body == b""
    manifest = host.get(f"/v1/functions/{name}").json()["manifest"]
    assert manifest["root"] == root


def test_system_root_is_read_only(host):
    """No file of it can be changed, no setuid program of it is one, and no lock on it is told."""
    name = unique_name("root")
    lines = ["for way in /usr /usr/bin /etc /etc/ssl/certs /usr/local; do touch $way/left 2>&1 && echo left; done",
             "chmod 777 /usr/bin/env 2>&1 && echo changed", "ln /usr/bin/env /usr/bin/left 2>&1 && echo linked",
             "mv /usr/bin/env /usr/bin/left 2>&1 && echo moved", "rm -f /etc/services 2>&1 && echo removed", "echo end"]
    host.upload(name, ("#!/bin/sh\n" + "\n".join(lines) + "\n").encode())
    told = host.invoke(name, expect="ok").body.decode().splitlines()
    assert told[-1] == "end" and not {"left", "changed", "linked", "moved", "removed"} & set(told)


def test_static_programs_see_nothing_of_it(host, compile_c, example):
    """`auto` for a static ELF is the minimal root."""
    told = host.get(f"/v1/functions/{example('echo')}/policy").json()["sentences"]
    assert told[1].startswith("It may read its own bundle at /function, and of the host ") and "/usr," not in told[1]
    assert "/usr/share/zoneinfo" in told[1] and "/usr/lib" not in told[1]


def test_policy_tells_the_root(host, bulkhead):
    name = unique_name("root")
    host.upload(name, b"#!/bin/sh\ntrue\n")
    done = bulkhead("policy", "show", name, "--host", host.url, "--token", host.token)
    assert ", and of the host /usr, /etc/ld.so.cache, " in done.stdout, done.stdout


@pytest.mark.parametrize("value", ["System", "host", "", "/", "system "])
def test_no_such_root(host, value):
    reply = host.upload(unique_name("root"), b"#!/bin/sh\ntrue\n", {"root": value}, expect=None)
    assert reply.status == 400 and "auto, minimal, system" in reply.json()["detail"]


# -- Interpreters of one's own ----------------------------------------------------------------------------------------


def test_interpreter_in_the_bundle(host, compile_c):
    """`#!/function/bin/mine`: looked for where the cell will have it."""
    program = compile_c("deeds.c").read_bytes()
    files = {"function.yaml": b"run: ./run\n", "run": (b"#!/function/bin/mine print-args\n", 0o755), "bin/mine": (program, 0o755)}
    name = unique_name("own")
    host.upload(name, zip_of(files), content_type=ZIP)
    reply = host.invoke(name)
    assert reply.outcome == "exit" and json.loads(reply.body)["exitCode"] == 64  # it ran, and knows no such deed
    del files["bin/mine"]
    refused = host.upload(unique_name("own"), zip_of(files), content_type=ZIP, expect=None)
    assert refused.status == 400 and "/function/bin/mine does not exist" in refused.json()["detail"]
