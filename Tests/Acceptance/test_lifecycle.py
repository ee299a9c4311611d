"""Starting, stopping and dying: what survives is what was promised, and what must go is gone."""

import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import threading
import time
from functools import partial
from http.client import HTTPException

import pytest

from bulkhead_host import at_once, unique_name
from checks import failed, problem
from conftest import BINARY, SLOWNESS
from system import LAUNCHER, eventually, family, processes, still_alive, with_argument, zombies


class InFlight:
    """An invocation in a thread of its own, whose answer may never come."""

    def __init__(self, host, function, **options):
        self.reply = None

        def call():
            try:
                self.reply = host.invoke(function.name, timeout=60, **options)
            except (OSError, HTTPException):
                pass  # the host is gone, as these tests want it
        self.thread = threading.Thread(target=call)
        self.thread.start()

    def end(self):
        self.thread.join(60)
        return self.reply


def in_flight(host, function, count=1):
    """`count` invocations, once all of their workers run."""
    calls = [InFlight(host, function) for _ in range(count)]
    eventually(lambda: len(with_argument(function.marker)) >= count, 20, f"{count} workers run")
    return calls


# -- Killed -----------------------------------------------------------------------------------------------------------


def test_kill_leaves_nothing(hosts, deploy_deed):
    """kill -9 of a busy host: within a second no process, no cgroup and no mount is left, with nobody to tidy up."""
    host = hosts()
    function = deploy_deed(host, "sleep", 60_000, wall="60s")
    calls = in_flight(host, function, 20)
    members = host.members
    assert len(members) > 20
    host.kill()
    host.traces.assert_gone(members, 1)
    for call in calls:
        assert call.end() is None, "an answer from a dead host"


def test_kill_leaves_no_stubborn_worker(hosts, deploy_deed):
    """The same with workers that ignore every signal, and with children of theirs."""
    host = hosts()
    functions = [deploy_deed(host, "stubborn", wall="60s"), deploy_deed(host, "orphan", wall="60s", processes="4")]
    calls = [InFlight(host, function) for function in functions]
    eventually(lambda: with_argument(functions[0].marker), 10, "the worker runs")
    members = host.members
    host.kill()
    host.traces.assert_gone(members, 1)
    for call in calls:
        call.end()


def test_restart_after_kill(hosts, deploy_deed):
    """Functions, versions and the token are still there; numbers go on where they were."""
    host = hosts()
    name = deploy_deed(host, "length").name
    host.upload(name, b"#!/bin/sh\necho two\n", expect=[201])
    token, before = host.token, host.get(f"/v1/functions/{name}").json()
    host.kill()
    again = hosts(host.data)
    assert again.token == token
    assert again.get(f"/v1/functions/{name}").json() == before
    assert again.invoke(name, expect="ok").body == b"two\n"
    assert again.invoke(name, 123, query={"version": 1}, expect="ok").body == b"3"
    assert again.upload(name, b"#!/bin/sh\necho three\n", expect=[201]).json()["version"] == 3


def test_upload_answered_is_upload_kept(hosts):
    """201 is a promise: a kill right behind it changes nothing."""
    host, names = hosts(), [unique_name("kept") for _ in range(5)]
    for name in names:
        host.upload(name, f"#!/bin/sh\nprintf {name}\n".encode(), expect=[201])
    host.kill()
    again = hosts(host.data)
    for name in names:
        assert again.invoke(name, expect="ok").body == name.encode()


def test_kill_during_upload(hosts, compile_c):
    """What was not answered is there as a whole or not at all."""
    host, name, program = hosts(), unique_name("half"), compile_c("deeds.c")

    def upload_for_ever():
        try:
            for number in range(10_000):
                host.upload(name, program, {"args": ["emit", f"{number:04d}".encode().hex()]})
        except (OSError, HTTPException):
            pass
    thread = threading.Thread(target=upload_for_ever)
    thread.start()
    eventually(lambda: host.get(f"/v1/functions/{name}").status == 200, 10, "the first upload is through")
    time.sleep(0.3)
    host.kill()
    thread.join()
    again = hosts(host.data)
    newest = again.get(f"/v1/functions/{name}").json()["version"]
    for version in {1, newest}:
        assert again.invoke(name, query={"version": version}, expect="ok").body == f"{version - 1:04d}".encode()


# -- Asked to stop ----------------------------------------------------------------------------------------------------


def test_sigterm_finishes_what_runs(hosts, deploy_deed):
    """A deployment of the host itself costs no caller an answer."""
    host = hosts()
    function = deploy_deed(host, "sleep", 1500)
    call, = in_flight(host, function)
    members = host.members
    began = time.monotonic()
    assert host.stop() == 0, host.log_tail()
    reply = call.end()
    assert reply and reply.outcome == "ok" and reply.json() == {"slept": 1500}
    assert time.monotonic() - began < 10
    host.traces.assert_gone(members, 1)


def test_draining_takes_no_more(hosts, deploy_deed):
    """While it drains it is not ready, and a new caller is sent elsewhere."""
    host = hosts()
    function = deploy_deed(host, "sleep", 2000)
    call, = in_flight(host, function)
    host.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    for path, answer in (("/readyz", None), (f"/v1/functions/{function.name}/invocations", "overloaded")):
        try:
            reply = host.request("POST" if answer else "GET", path, b"" if answer else None, timeout=5)
        except (OSError, HTTPException):
            continue  # no longer listening is as good
        assert reply.status == 503, reply
        if answer:
            problem(reply, answer)
    assert call.end().outcome == "ok"
    assert host.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_host_stops_at_once(hosts, number):
    """With nothing to finish there is nothing to wait for."""
    host = hosts()
    members = host.members
    began = time.monotonic()
    host.process.send_signal(number)
    assert host.wait() == 0
    assert time.monotonic() - began < 3
    host.traces.assert_gone(members, 1)


def test_restart_after_stop(hosts, deploy_deed):
    """The same data, a new start: also the listening line and the endpoint are new."""
    host = hosts()
    name = deploy_deed(host, "emit", "7b7d").name
    assert host.stop() == 0
    again = hosts(host.data)
    assert (again.data / "endpoint").read_text().strip() == again.url
    assert stat.S_IMODE((again.data / "admin.token").stat().st_mode) == 0o600
    assert again.invoke(name, expect="ok").body == b"{}"


def test_many_invocations_leave_no_zombies(hosts, deploy_deed):
    """A host that runs for months must reap what it starts."""
    host = hosts()
    name = deploy_deed(host, "emit", "7b7d").name
    host.invoke(name, expect="ok")
    before = len(host.members)
    for _ in range(10):
        at_once([partial(host.invoke, name, expect="ok")] * 10)
    eventually(lambda: len(host.members) <= before + 8, 5, "the host is as small as before")
    eventually(lambda: not zombies(host.members), 2, "every process that ended was waited for")


# -- The launcher dies ------------------------------------------------------------------------------------------------


def launcher_of(host):
    """The process that starts cells: of the chain below the server, the one whose parent only keeps it alive."""
    named = [process for process in host.members if process.name == LAUNCHER]
    assert named, f"no process named {LAUNCHER} below the server"
    keeper = next(process for process in named if process.parent == host.supervisor.pid)
    return next((process for process in named if process.parent == keeper.pid), keeper)


def test_launcher_killed(hosts, deploy_deed):
    """Its invocations end as the host's failure, not the guest's; the next one finds a new launcher."""
    host = hosts()
    function = deploy_deed(host, "sleep", 60_000, wall="60s")
    quick = deploy_deed(host, "length")
    host.invoke(quick.name, 1, expect="ok")
    call, = in_flight(host, function)
    launcher = launcher_of(host)
    killed = time.monotonic()
    os.kill(launcher.pid, signal.SIGKILL)
    reply = call.end()
    assert time.monotonic() - killed < 5
    failed_by_host = problem(reply, "launch_failed")
    assert failed_by_host["stage"] and failed_by_host["retryable"] is True
    assert host.invoke(quick.name, 123, expect="ok").body == b"3"
    eventually(lambda: not with_argument(function.marker), 1, "the old launcher's workers are gone")
    members = host.members
    assert host.stop() == 0
    host.traces.assert_gone(members, 1)


def test_worker_killed_from_outside(hosts, deploy_deed):
    """Somebody on the host kills a worker: a signal, and nothing else is claimed."""
    host = hosts()
    function = deploy_deed(host, "sleep", 60_000, wall="60s")
    call, = in_flight(host, function)
    os.kill(with_argument(function.marker)[0].pid, signal.SIGKILL)
    assert failed(call.end(), "signal")["signal"] == "SIGKILL"


# -- Starting ---------------------------------------------------------------------------------------------------------


def test_one_listening_line(hosts):
    """Scripts wait for exactly this line."""
    host = hosts()
    lines = [line for line in host.lines if line.startswith("bulkhead: listening")]
    assert len(lines) == 1 and re.fullmatch(r"bulkhead: listening on http://127\.0\.0\.1:[1-9][0-9]*", lines[0])


@pytest.mark.parametrize("options", [["--listen", "nowhere"], ["--listen", "127.0.0.1:99999"], ["--no-such-option"]])
def test_start_refused_for_usage(workspace, options):
    """A wrong option is told on stderr, with the exit code for it."""
    done = subprocess.run([BINARY, "serve", "--data", workspace / "usage", *options],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 2, done
    assert done.stderr.strip() and "listening on" not in done.stdout


def test_start_refused_for_a_taken_port(hosts, workspace):
    """The host's trouble, not the caller's mistake: another exit code, and the address in the message."""
    host = hosts()
    done = subprocess.run([BINARY, "serve", "--listen", f"127.0.0.1:{host.port}", "--data", workspace / "taken"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode not in (0, 2), done
    assert str(host.port) in done.stderr


def test_keeper_killed(hosts, deploy_deed):
    """The launcher dies with it whatever it has done before, its cells too, and another supervisor takes over.

    Opening a function's files is done with another uid, and a change of that undoes what ties a process to its parent.
    """
    host = hosts()
    reading = deploy_deed(host, "length", root="system")
    host.invoke(reading.name, 1, expect="ok")
    function = deploy_deed(host, "sleep", 60_000, wall="60s")
    in_flight(host, function)
    keeper = next(one for one in host.members if one.name == LAUNCHER and one.parent == host.supervisor.pid)
    below = [keeper, *family(keeper.pid)]
    assert with_argument(function.marker)
    os.kill(keeper.pid, signal.SIGKILL)
    eventually(lambda: not still_alive(below), 2 * SLOWNESS, "all that it kept is gone")

    def serves():
        try:
            return host.invoke(reading.name, 123, timeout=5).outcome == "ok"
        except (OSError, HTTPException):
            return False

    eventually(serves, 10 * SLOWNESS, "another supervisor serves")
    assert not with_argument(function.marker)


@pytest.mark.parametrize("moment", ["at first sight", "while the function runs"])
def test_a_command_whose_launcher_is_gone_says_so(tmp_path, moment):
    """Not only `serve`: whoever runs a function by itself leaves with the host's status and a sentence, and no trap."""
    marker = f"{30_000 + os.getpid() % 10_000}.{secrets.randbelow(10**6):06}"
    script = tmp_path / "slow.sh"
    script.write_text(f"#!/bin/sh\nsleep {marker}\n")
    script.chmod(0o755)
    running = subprocess.Popen([str(BINARY), "run", str(script), "--data", "null", "--set", "wall=60s"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def keeper():
        return [one for one in processes() if one.parent == running.pid and one.name == LAUNCHER]

    try:
        found = eventually(keeper, 10 * SLOWNESS, "its launcher is there")
        if moment != "at first sight":
            eventually(lambda: with_argument(marker), 10 * SLOWNESS, "the function runs")
        os.kill(found[0].pid, signal.SIGKILL)
        _, said = running.communicate(timeout=20 * SLOWNESS)
    finally:
        running.kill()
    sentences = ["keeper has died", "launcher cannot be started", "launcher died at once"]
    assert running.returncode == 3 and any(one in said for one in sentences[:1 if "runs" in moment else 3]), (
        running.returncode, said)


@pytest.mark.parametrize("end", ["exit 0", "kill -KILL $$", "read -r _ <&3; exit 1", "sleep 0.2; exit 7"])
@pytest.mark.parametrize("command", ["run", "doctor"])
def test_a_launcher_that_ends_before_it_greets_is_told_of(tmp_path, command, end):
    """However early it goes: nobody waits for the greeting of one that is dead."""
    for resources in BINARY.parent.glob("*.resources"):
        (tmp_path / resources.name).symlink_to(resources)
    # A copy, for its helpers are looked for beside the file that a link leads to.
    program = tmp_path / BINARY.name
    shutil.copy(BINARY, program)
    launcher = tmp_path / "bulkhead-launcher"
    launcher.write_text(f"#!/bin/sh\n{end}\n")
    launcher.chmod(0o755)
    function = tmp_path / "one.sh"
    function.write_text("#!/bin/sh\necho 1\n")
    function.chmod(0o755)
    given = [str(function), "--data", "null"] if command == "run" else []
    done = subprocess.run([program, command, *given], capture_output=True, text=True, timeout=20 * SLOWNESS)
    assert done.returncode == 3 and "the launcher cannot be started" in done.stderr, done
