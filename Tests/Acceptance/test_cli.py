"""The command line: results on stdout, the rest on stderr, and an exit code that scripts can rely on.

0 only for `ok`, 1 for a guest's failure, 2 for usage, 3 for the host's.
"""

import json
import re
import socket

import pytest

from bulkhead_host import unique_name
from bundles import make_folder
from system import Traces, eventually


@pytest.fixture
def folder(workspace):
    """`folder(script)`: a folder with a function of its own name, which runs that shell script."""
    def make(script, manifest=""):
        name = unique_name("cli")
        manifest = f"name: {name}\nrun: ./run\n{manifest}"
        program = f"#!/bin/sh\n{script}\n".encode(), 0o755
        return name, make_folder(workspace / name, {"function.yaml": manifest.encode(), "run": program})
    return make


@pytest.fixture
def client(bulkhead, host):
    """The command line with the shared host's address."""
    def run(command, *arguments, **options):
        return bulkhead(command, *arguments, "--host", host.url, "--token", host.token, **options)
    return run


def succeeded(done):
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def json_of(text):
    """One document, or one a line: either suits a script."""
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]


# -- run: one invocation without a server -----------------------------------------------------------------------------


def test_run_file(bulkhead, example_folder):
    """The shortest way from a program to a result."""
    done = bulkhead("run", example_folder("echo") / "echo", "--data", '{"x":1}')
    assert succeeded(done) == '{"x":1}'


def test_run_folder(bulkhead, example_folder):
    """A folder with its manifest: the same limits as it will have when deployed."""
    done = bulkhead("run", example_folder("auth"), "--data", '{"request": {"type": "Create"}}')
    assert json.loads(succeeded(done)) == {"statusCode": 200, "body": "User authenticated successfully"}


def test_run_reads_stdin(bulkhead, example_folder):
    assert succeeded(bulkhead("run", example_folder("echo"), stdin='{"from": "stdin"}')) == '{"from": "stdin"}'


def test_run_keeps_stdout_clean(bulkhead, folder):
    """What the function logs goes to stderr, so that the result can be piped on."""
    _, path = folder("echo words for the log >&2; printf '{}'")
    done = bulkhead("run", path, "--data", "null")
    assert succeeded(done) == "{}"
    assert "words for the log" in done.stderr


@pytest.mark.parametrize("script, manifest, says", [
    ("exit 7", "", "7"),
    ("kill -SEGV $$", "", "SIGSEGV"),
    ("sleep 60", "limits: { wall: 1s }\n", "wall|timeout|too long"),
])
def test_run_guest_failure(bulkhead, folder, script, manifest, says):
    """1, the reason on stderr, and nothing on stdout that could pass for a result."""
    _, path = folder("echo no result; " + script, manifest)
    done = bulkhead("run", path, "--data", "null")
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert re.search(says, done.stderr)


def test_run_leaves_nothing(bulkhead, example_folder):
    """Without a server nobody tidies up later."""
    traces = Traces()
    succeeded(bulkhead("run", example_folder("echo"), "--data", "1"))
    traces.assert_gone([], 1)


@pytest.mark.parametrize("arguments", [
    ["run"], ["run", "--no-such-option", "x"], ["no-such-command"], ["invoke"], ["deploy"], ["delete"], ["show"],
    ["logs"], ["list", "--host"],
])
def test_usage(bulkhead, arguments):
    """2, and what would have been right."""
    done = bulkhead(*arguments)
    assert done.returncode == 2, done
    assert done.stdout == "" and "sage" in done.stderr


@pytest.mark.parametrize("content", [None, b"neither ELF nor script"])
def test_run_what_cannot_run(bulkhead, workspace, content):
    """No such file, or one that is no program: not 0, and not the guest's failure, for no guest ran."""
    path = workspace / unique_name("thing")
    if content is not None:
        path.write_bytes(content)
    done = bulkhead("run", path, "--data", "null")
    assert done.returncode in (2, 3), done
    assert "thing" in done.stderr and done.stdout == ""


# -- Against a server -------------------------------------------------------------------------------------------------


def test_from_deploy_to_delete(client, folder, host):
    """A function's whole life by the command line, in tables for people and in JSON for scripts."""
    name, path = folder("echo logged >&2; cat")
    succeeded(client("deploy", path))
    assert host.get(f"/v1/functions/{name}").json()["version"] == 1
    assert succeeded(client("invoke", name, "--data", '{"x":1}')) == '{"x":1}'
    assert name in succeeded(client("list"))
    listed = json.loads(succeeded(client("list", "--json")))
    assert name in [entry["name"] for entry in (listed["functions"] if isinstance(listed, dict) else listed)]
    assert name in succeeded(client("show", name))
    assert json.loads(succeeded(client("show", name, "--json")))["name"] == name
    eventually(lambda: "logged" in succeeded(client("logs", name)), 10, "its log")
    assert "logged" in json.dumps(json_of(succeeded(client("logs", name, "--json"))))
    succeeded(client("delete", name))
    assert host.get(f"/v1/functions/{name}").status == 404


def test_deploy_twice(client, folder, host):
    """Nothing changed is no failure and no version."""
    name, path = folder("cat")
    succeeded(client("deploy", path))
    succeeded(client("deploy", path))
    assert host.get(f"/v1/functions/{name}").json()["version"] == 1


def test_deploy_refusal(client, folder):
    """The server's reason reaches the person who can mend it."""
    _, path = folder("cat", "colour: red\n")
    done = client("deploy", path)
    assert done.returncode == 2 and "colour" in done.stderr, done


@pytest.mark.parametrize("script, code, says", [("exit 7", 1, "7"), ("kill -SEGV $$", 1, "SIGSEGV")])
def test_invoke_guest_failure(client, folder, script, code, says):
    name, path = folder(script)
    succeeded(client("deploy", path))
    done = client("invoke", name, "--data", "null")
    assert (done.returncode, done.stdout) == (code, "") and says in done.stderr, done


@pytest.mark.parametrize("arguments", [
    ["invoke", "no-such-function", "--data", "null"], ["show", "no-such-function"], ["delete", "no-such-function"],
    ["logs", "no-such-function"],
])
def test_unknown_function(client, arguments):
    """The caller's mistake: no result, and the name in the message."""
    done = client(*arguments)
    assert done.returncode not in (0, 1), done
    assert done.stdout == "" and "no-such-function" in done.stderr


def test_wrong_token(bulkhead, host):
    done = bulkhead("list", "--host", host.url, "--token", "wrong")
    assert done.returncode not in (0, 1) and done.stdout == "" and done.stderr, done


def test_no_host_there(bulkhead):
    """Nobody listens: the host's failure, and the address that was tried."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        done = bulkhead("list", "--host", f"http://127.0.0.1:{port}", "--token", "x")
    assert done.returncode == 3 and done.stdout == "", done
    assert str(port) in done.stderr


# -- Finding the host -------------------------------------------------------------------------------------------------


def test_host_and_token_from_environment(bulkhead, host, example):
    name = example("echo")
    done = bulkhead("list", environment={"BULKHEAD_HOST": host.url, "BULKHEAD_TOKEN": host.token})
    assert name in succeeded(done)


def test_options_come_before_environment(bulkhead, host, example):
    """What was typed counts more than what was set once."""
    name = example("echo")
    done = bulkhead("list", "--host", host.url, "--token", host.token,
                    environment={"BULKHEAD_HOST": "http://127.0.0.1:9", "BULKHEAD_TOKEN": "wrong"})
    assert name in succeeded(done)


def test_host_found_by_its_data_directory(bulkhead, host, example):
    """On the host's own machine neither address nor token need be typed. How the folder is named is left open here."""
    name = example("echo")
    by_option = bulkhead("list", "--data", host.data)
    by_environment = bulkhead("list", environment={"BULKHEAD_DATA": str(host.data)})
    assert name in by_option.stdout or name in by_environment.stdout, (by_option, by_environment)


# -- The rest ---------------------------------------------------------------------------------------------------------

COMMANDS = ["serve", "run", "deploy", "invoke", "list", "show", "delete", "logs", "keys", "doctor"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(bulkhead, command):
    """Every command explains itself, on stdout, since that is what was asked for."""
    done = bulkhead(command, "--help")
    assert command in succeeded(done)


def test_help_lists_the_commands(bulkhead):
    text = succeeded(bulkhead("--help"))
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", text), command


def test_doctor(bulkhead):
    """One line a layer, each with one of three words; on a machine where these tests pass, most are enforced."""
    done = bulkhead("doctor")
    lines = [line for line in done.stdout.splitlines() if re.search(r"\b(enforced|degraded: .+|missing: .+)", line)]
    enforced = [line for line in lines if re.search(r"\benforced\b", line)]
    assert len(enforced) >= 5, done
    for layer in ("seccomp", "namespace", "capabilit", "cgroup|memory", "landlock"):
        assert any(re.search(layer, line, re.IGNORECASE) for line in lines), f"nothing about {layer}: {lines}"
    assert done.returncode == 0, done


def test_doctor_leaves_nothing(bulkhead):
    """It builds a real cell, and takes it down again."""
    traces = Traces()
    bulkhead("doctor")
    traces.assert_gone([], 1)
