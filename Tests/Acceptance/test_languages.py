"""Programs in the languages that people upload, as single files and without a word in the manifest, in the system's root."""

import json
import shutil

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of

# language: (interpreter, hello, JSON in and out, a module or a data file of the system's)
LANGUAGES = {
    "sh": ("/bin/sh", "echo hello", "cat", "test -e /usr/share/zoneinfo/Asia/Tokyo && TZ=Asia/Tokyo date +%Z"),
    "bash": ("/bin/bash", "echo hello", "cat", "IFS=: read -r a b <<< 'x:JST'; echo $b"),
    "awk": ("/usr/bin/awk -f", 'BEGIN { print "hello" }', "{ print }",
            'BEGIN { "TZ=Asia/Tokyo date +%Z" | getline zone; print zone }'),
    "perl": ("/usr/bin/perl", 'print "hello\\n"',
             "use JSON::PP; print JSON::PP->new->canonical->encode(decode_json(join '', <STDIN>))",
             "use POSIX; $ENV{TZ} = 'Asia/Tokyo'; print strftime('%Z', localtime), qq(\\n)"),
    "python3": ("/usr/bin/python3", "print('hello')", "import json, sys; json.dump(json.load(sys.stdin), sys.stdout)",
                "import datetime as d, zoneinfo as z; print(d.datetime(2026, 1, 1, tzinfo=z.ZoneInfo('Asia/Tokyo')).tzname())"),
    "tcl": ("/usr/bin/tclsh", "puts hello", "puts -nonewline [read stdin]",
            "puts [clock format 0 -timezone :Asia/Tokyo -format %Z]"),
    "node": ("/usr/bin/node", "console.log('hello')",
             "let t = ''; process.stdin.on('data', d => t += d).on('end', () => console.log(JSON.stringify(JSON.parse(t))))",
             "console.log(new Date(0).toLocaleString('en', {timeZone: 'Asia/Tokyo', hour: 'numeric'}) == '9 AM' ? 'JST' : 'no')"),
}


@pytest.fixture
def script(host):
    """`script(language, text)`: uploads it, and returns the function's name."""
    def deploy(language, text, **query):
        interpreter = LANGUAGES[language][0]
        if not shutil.which(interpreter.split()[0]):
            return None  # this distribution's image is without it
        name = unique_name(language)
        memory = {"memory": "512MiB"} if language == "node" else {}
        host.upload(name, f"#!{interpreter}\n{text}\n".encode(), {**memory, **query})
        return name
    return deploy


@pytest.mark.parametrize("language", LANGUAGES)
def test_hello(host, script, language):
    """Its output, and nothing on its log: what an interpreter tries at its start is nobody's affair."""
    if name := script(language, LANGUAGES[language][1]):
        assert host.invoke(name, expect="ok").body == b"hello\n"
        assert host.logs(name) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_json(host, script, language):
    if name := script(language, LANGUAGES[language][2]):
        assert host.invoke(name, {"n": [1, "zwei"]}, expect="ok").json() == {"n": [1, "zwei"]}


@pytest.mark.parametrize("language", LANGUAGES)
def test_system_data(host, script, language):
    """Modules, zone files: what packages have put into /usr is there."""
    if name := script(language, LANGUAGES[language][3]):
        assert host.invoke(name, expect="ok").body == b"JST\n"


# -- What of the host is there, and what is not -----------------------------------------------------------------------

NOTHING_OF = [
    "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/hosts", "/etc/hostname", "/etc/machine-id", "/etc/ssh",
    "/etc/ssl/private", "/etc/resolv.conf", "/etc/fstab", "/etc/crontab", "/etc/environment", "/etc/timezone",
    "/etc/default", "/etc/systemd", "/var", "/home", "/root", "/run", "/srv", "/opt", "/boot", "/sys", "/mnt", "/media"]


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
    assert told[1] == "It may read its own bundle at /function."


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
