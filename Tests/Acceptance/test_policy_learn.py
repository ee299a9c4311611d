"""`bulkhead policy learn`: the printed manifest works where it is deployed, and nothing in it can be left out."""

import json
import os
import shutil
import subprocess
import tempfile
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from bulkhead_host import ZIP, unique_name
from bundles import make_folder, read_tree, zip_of

HANDLER = b"""
import os, subprocess

def handler(event, context):
    with open("/etc/hostname") as file:
        line = file.readline()
    with open("/tmp/line", "w") as file:
        file.write(line)
    child = os.fork()
    if child == 0:
        os._exit(3)
    return {"line": line, "code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}
"""
GO = b"""
package main

import (
	"fmt"
	"os"
)

func main() {
	name, err := os.ReadFile("/etc/hostname")
	if err != nil {
		panic(err)
	}
	fmt.Printf("%q", name)
}
"""
RUST = b"""
fn main() {
    print!("{:?}", std::fs::read_to_string("/etc/hostname").unwrap());
}
"""
# Reads the file that its first argument names; with a second one it does not mind when it cannot.
READER = b"""
#include <stdio.h>

int main(int argc, char **argv) {
    char first;
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    int read = file && fread(&first, 1, 1, file) == 1;
    fputs(read ? "\\"read\\"" : "\\"not read\\"", stdout);
    return read || argc > 2 ? 0 : 7;
}
"""
COMPILERS = {
    "go": ("main.go", GO, ["go", "build", "-o"]),
    "rust": ("main.rs", RUST, ["rustc", "-O", "-o"]),
    "c": ("main.c", READER, ["cc", "-O2", "-static", "-o"]),
}


@pytest.fixture(scope="module")
def build(workspace):
    """`build("go")`: a program in a folder of its own, which is a bundle but for the manifest."""
    def make(language):
        source, text, command = COMPILERS[language]
        folder = workspace / f"learn-{language}"
        if not folder.exists():
            sources = make_folder(workspace / f"learn-{language}-source", {source: text})
            folder.mkdir()
            subprocess.run([*command, folder / "program", sources / source], check=True, timeout=180, cwd=sources,
                           env=os.environ | {"CGO_ENABLED": "0"})
        return folder / "program"
    return make


def learn(bulkhead, path, *options, event="null"):
    """The manifest that was learned. What comes on stdout is YAML and nothing else."""
    done = bulkhead("policy", "learn", path, "--data", event, *options)
    assert done.returncode == 0, done
    assert "runs" in done.stderr
    return yaml.safe_load(done.stdout)


def result(host, folder, manifest):
    """What a bundle of `folder` with this manifest answers, where a server runs it; None when it fails."""
    name = unique_name("learned")
    text = yaml.safe_dump(manifest | {"name": name}).encode()
    host.upload(name, zip_of(read_tree(folder) | {"function.yaml": text}), content_type=ZIP)
    reply = host.invoke(name, {})
    return reply.body if reply.outcome == "ok" else None


def less(manifest):
    """The same manifest with one grant or limit fewer, each in turn."""
    for path in manifest.get("allow", {}).get("files.read", []):
        without = deepcopy(manifest)
        without["allow"]["files.read"].remove(path)
        yield f"without {path}", without
    for limit, value in manifest["limits"].items():
        without = deepcopy(manifest)
        if limit == "processes" and value > 1:
            without["limits"]["processes"] = value - 1
        elif limit == "processes" or limit == "memory" or value == 0:
            continue  # one process, no scratch are the least; memory is the step above the peak, and its default is more
        elif limit == "scratch":
            without["limits"]["scratch"] = 0
        else:
            del without["limits"][limit]
        yield f"less {limit}", without


def assert_sufficient_and_tight(host, folder, manifest, expected):
    assert json.loads(result(host, folder, manifest)) == expected
    for what, without in less(manifest):
        assert result(host, folder, without) is None, what


def first_line(path):
    with open(path) as file:
        return file.readline()


def test_python(bulkhead, host, workspace):
    """A file to read, one to write, and a child: three needs, of which the manifest names each and no fourth."""
    folder = make_folder(workspace / unique_name("learn"), {"app.py": HANDLER})
    start = b"name: learned\nruntime: python\nhandler: app.handler\nlimits: { scratch: 64MiB, processes: 50 }\n"
    given = make_folder(workspace / unique_name("learn"), {"app.py": HANDLER, "function.yaml": start})
    manifest = learn(bulkhead, given, event="{}")
    assert (manifest["runtime"], manifest["handler"]) == ("python", "app.handler")
    assert manifest["allow"] == {"files.read": ["/etc/hostname"]}
    assert manifest["limits"]["processes"] == 2 and set(manifest["limits"]) == {"memory", "processes", "scratch"}
    expected = {"line": first_line("/etc/hostname"), "code": 3}
    assert json.loads(result(host, folder, manifest)) == expected
    for what, without in less(manifest):
        # A fork that fails, a file that is not there: the handler raises.
        assert result(host, folder, without) is None, what


@pytest.mark.parametrize("language", ["go"] + ["rust"] * bool(shutil.which("rustc")))
def test_compiled(bulkhead, host, build, language):
    """A program alone, without a manifest: the one file that it opens, and not what its runtime only looks for."""
    program = build(language)
    manifest = learn(bulkhead, program)
    assert manifest["allow"] == {"files.read": ["/etc/hostname"]}
    assert set(manifest["limits"]) == {"memory", "processes", "scratch"} and manifest["limits"]["scratch"] == 0
    assert manifest["limits"]["processes"] == 1 and manifest["run"] == "./program"
    assert_sufficient_and_tight(host, program.parent, manifest, first_line("/etc/hostname"))


def test_pipes(bulkhead, host, workspace):
    """A shell and two commands at once: no thread may count for a process."""
    folder = make_folder(workspace / unique_name("learn"), {"report.sh": (b"#!/bin/sh\ncat /etc/hostname | tr a-z A-Z\n", 0o755)})
    manifest = learn(bulkhead, folder / "report.sh")
    assert manifest["limits"]["processes"] == 3 and manifest["allow"] == {"files.read": ["/etc/hostname"]}


def test_nothing_needed(bulkhead, example_folder):
    """No need, no grant."""
    manifest = learn(bulkhead, example_folder("echo") / "echo", event='{"x": 1}')
    assert "allow" not in manifest and manifest["limits"]["processes"] == 1 and manifest["limits"]["scratch"] == 0


@pytest.mark.parametrize("script, says", [
    (b"exit 7", "7"), (b"kill -SEGV $$", "SIGSEGV"), (b"cat /no/such/file", "1"),
])
def test_function_that_fails_anyway(bulkhead, workspace, script, says):
    """No manifest would help, so none is printed, and the guest's failure is told."""
    path = make_folder(workspace / unique_name("learn"), {"run.sh": (b"#!/bin/sh\n" + script + b"\n", 0o755)}) / "run.sh"
    done = bulkhead("policy", "learn", path, "--data", "null")
    assert (done.returncode, done.stdout) == (1, "") and says in done.stderr, done


def test_function_that_must_be_denied(bulkhead, workspace, compile_c, example_folder):
    """What no grant allows is not let pass while learning either, and the call is named."""
    program = example_folder("hostile/prober") / "prober"
    done = bulkhead("policy", "learn", program, "--data", '{"direct": 1, "calls": [[101]]}')
    assert (done.returncode, done.stdout) == (1, "") and "ptrace" in done.stderr, done


@pytest.fixture
def files():
    """Two files outside /tmp, which a cell has of its own: one that all may read, and one behind a closed door."""
    folder = Path(tempfile.mkdtemp(prefix="learn-", dir="/var/tmp"))
    folder.chmod(0o755)
    make_folder(folder, {"open": b"open", "closed/inside": b"secret"})
    (folder / "link").symlink_to("/etc/shadow")
    (folder / "closed").chmod(0o700)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("secret", ["/etc/shadow", "closed/inside", "link"])
def test_secrets_stay_secret(bulkhead, build, files, secret):
    """The host can read what other users may not; the function that asks for it cannot, and gets no grant for it."""
    path, program = files / secret, build("c")
    assert path.stat().st_size > 0, "the test must run as root, as the host does"
    manifest = learn(bulkhead, program, "--set", f"args={files / 'open'}")
    assert manifest["allow"] == {"files.read": [str(files / "open")]}, "what all may read is granted"
    done = bulkhead("policy", "learn", program, "--set", f"args={path}")
    assert (done.returncode, done.stdout) == (1, "") and "7" in done.stderr, done
    content = learn(bulkhead, program, "--set", f"args={path}", "--set", "args=anyway")
    assert "allow" not in content


def test_refusals_that_no_grant_allows_are_told(bulkhead, tmp_path):
    """A program that asks for a socket learns that there is none, and so does who runs it."""
    script = tmp_path / "asks.py"
    script.write_text("#!/usr/bin/python3\nimport socket\ntry:\n    socket.socket()\nexcept OSError:\n    print(1)\n")
    done = bulkhead("policy", "learn", script, "--data", "null", timeout=120)
    assert done.returncode == 0, done.stderr
    assert "socket (EAFNOSUPPORT)" in done.stderr
    assert 'run: "./asks.py"' in done.stdout
