"""The guardian: keeps the listening socket, and starts another supervisor when one dies.

First the program alone, with a supervisor that does what a test tells it (guests/fake_supervisor.py); it is the one beside
BULKHEAD_BIN, or else compiled here. Then, from «The host» on, a real `bulkhead serve`.
"""

import fcntl
import http.client
import json
import os
import pty
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest

import system
from bulkhead_host import unique_name
from conftest import BINARY, HERE, REPOSITORY, SLOWNESS
from system import eventually

SOURCE = REPOSITORY / "sandbox/guardian"
FAKE = HERE / "guests/fake_supervisor.py"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}"
DIED = re.compile(rf"^{STAMP} critical bulkhead : \[guardian\] supervisor died: (.*?) after [0-9.]+ s; (.*)$", re.M)
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into a process that is not dumpable")


def compiled(source, target):
    options = ["-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-static"]
    subprocess.run(["gcc", *options, "-o", target, *sorted(source.glob("*.c"))], check=True, timeout=120)
    return target


@pytest.fixture(scope="session")
def program(workspace):
    built = BINARY.parent / "bulkhead-guardian"
    return built if built.exists() else compiled(SOURCE, workspace / "bulkhead-guardian")


class Guardian:
    def __init__(self, program, folder, plan=("first=serve", "later=serve"), listen="127.0.0.1:0", command=None, through=(),
                 options=(), **popen):
        self.log = folder / (uuid.uuid4().hex + ".log")
        command = command or [sys.executable, "-S", "-E", FAKE, *plan]
        address = ["--listen", listen] if listen else []
        popen.setdefault("stderr", open(self.log, "wb"))
        popen.setdefault("stdin", subprocess.DEVNULL)
        self.process = subprocess.Popen(
            [str(part) for part in (*through, program, *address, *options, "--", *command)], stdout=subprocess.PIPE, text=True,
            start_new_session=True, **popen)
        if hasattr(popen["stderr"], "close"):
            popen["stderr"].close()
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    @property
    def port(self):
        def listening():
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.text()}"
            return [line for line in self.lines if line.startswith("listening ")]
        return int(eventually(listening, 10 * SLOWNESS, "a supervisor listens")[-1].split()[1])

    def get(self, path, timeout=10):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SLOWNESS)
        with closing(connection):
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())

    def end_it(self, path):
        """Has the supervisor end; there is no answer."""
        with pytest.raises((http.client.HTTPException, OSError)):
            self.get(path)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def deaths(self):
        return DIED.findall(self.text())

    def supervisors(self):
        return [process for process in system.processes() if process.parent == self.process.pid]

    def supervisor(self):
        return eventually(self.supervisors, 10 * SLOWNESS, "a supervisor runs")[0]

    def kill_supervisor(self):
        """Returns when it is dead: until then it may take one more connection, and answer nothing."""
        supervisor = self.supervisor()
        os.kill(supervisor.pid, signal.SIGKILL)
        eventually(lambda: not system.still_alive([supervisor]), 5 * SLOWNESS, "the supervisor is gone")
        return supervisor

    def end(self, number=signal.SIGTERM, seconds=10):
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds=10):
        code = self.process.wait(seconds * SLOWNESS)
        self._reader.join(5)
        return code


@pytest.fixture
def guardian(program, tmp_path):
    made = []

    def make(*plan, **options):
        if plan:
            options["plan"] = plan
        made.append(Guardian(program, tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(10)
        one.process.stdout.close()


def refused(program, *arguments, **options):
    """A guardian that does not start: its exit status, and what it says."""
    done = subprocess.run([str(part) for part in (program, *arguments)], capture_output=True, text=True,
                          timeout=10 * SLOWNESS, **options)
    assert done.stdout == ""
    return done.returncode, done.stderr


# -- The socket -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [
    [], ["--listen"], ["--listen", "127.0.0.1:0"], ["--listen", "127.0.0.1:0", "--"], ["--", "/bin/true"],
    ["--wrong", "--", "/bin/true"], ["--listen", "127.0.0.1:0", "--backlog", "0", "--", "/bin/true"],
    ["--listen", "127.0.0.1:0", "--backlog", "x", "--", "/bin/true"],
])
def test_program_wrong_usage(program, arguments):
    code, said = refused(program, *arguments)
    assert code == 2 and "usage: bulkhead-guardian" in said


@pytest.mark.parametrize("listen, family, host", [
    ("127.0.0.1:0", socket.AF_INET, "127.0.0.1"), ("localhost:0", socket.AF_INET, "127.0.0.1"),
    (":0", socket.AF_INET, "127.0.0.1"),
    ("0.0.0.0:0", socket.AF_INET, "127.0.0.1"), ("[::1]:0", socket.AF_INET6, "::1"), ("::1:0", socket.AF_INET6, "::1"),
    ("[::1%lo]:0", socket.AF_INET6, "::1"), ("[::]:0", socket.AF_INET6, "::1"),
])
def test_program_addresses(guardian, listen, family, host):
    port = guardian(listen=listen).port
    with socket.socket(family) as client:
        client.connect((host, port))


@pytest.mark.parametrize("listen", [
    "example.org:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:8x", "127.0.0.1:-1", "[::1%nosuch]:0", "[::1:0",
    "256.0.0.1:0", "x" * 500 + ":1", "127.0.0.1:99999999999999999999",
])
def test_program_no_address(program, listen):
    code, said = refused(program, "--listen", listen, "--", "/bin/true")
    assert code == 2 and said.startswith(f"bulkhead: {listen} cannot be listened on: ") and said.count("\n") == 1


def test_program_port_in_use(program):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = "127.0.0.1:%d" % taken.getsockname()[1]
        assert refused(program, "--listen", listen, "--", "/bin/true") == (
            3, f"bulkhead: {listen} cannot be listened on: Address already in use\n")


def test_program_address_of_another_machine(program):
    code, said = refused(program, "--listen", "192.0.2.1:0", "--", "/bin/true")
    assert code == 3 and said == "bulkhead: 192.0.2.1:0 cannot be listened on: Cannot assign requested address\n"


def test_program_same_port_again(guardian):
    """Connections of the last one in TIME_WAIT hold nobody up."""
    first = guardian()
    port = first.port
    first.get("/")
    assert first.end() == 0
    assert guardian(listen=f"127.0.0.1:{port}").port == port


# -- An inherited socket ----------------------------------------------------------------------------------------------

PASS_ON = ["/bin/sh", "-c", 'exec env LISTEN_PID="$$" "$@"', "sh"]  # its pid is to be the guardian's


def passing(*descriptors):
    """Puts `descriptors` where sd_listen_fds(3) has them."""
    high = [os.dup(number) for number in descriptors]
    high = [os.dup2(number, 100 + i) for i, number in enumerate(high)]

    def place():
        for i, number in enumerate(high):
            os.dup2(number, 3 + i)
    return {"preexec_fn": place, "pass_fds": [3 + i for i in range(len(high))],
            "env": os.environ | {"LISTEN_FDS": str(len(high)), "LISTEN_FDNAMES": "web"}}


@pytest.mark.parametrize("family, host", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_program_inherited_socket(guardian, family, host):
    """It is used, whatever --listen says, and outlives the guardian with its queue."""
    with socket.create_server((host, 0), family=family) as listening:
        port = listening.getsockname()[1]
        one = guardian(listen="192.0.2.1:1", through=PASS_ON, **passing(listening.fileno()))
        assert one.port == port
        with socket.create_connection((host, port), 10) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            seen = json.loads(b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")[2])
        assert seen["environment"]["LISTEN_PID"] == str(seen["pid"]) != str(one.process.pid)
        assert seen["environment"]["LISTEN_FDS"] == "1" and "LISTEN_FDNAMES" not in seen["environment"]
        assert one.end() == 0
        with socket.create_connection((host, port), 10):
            pass


def test_program_inherited_by_somebody_else(guardian):
    """The pid is another's: what lies at 3 is none of ours, and it does not stay open."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        options = passing(listening.fileno())
        options["env"] |= {"LISTEN_PID": "1"}
        one = guardian(**options)
        assert one.port != listening.getsockname()[1]
        assert one.get("/")["descriptors"] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("count", ["0", "x", "", "-1"])
def test_program_nothing_inherited(guardian, count):
    assert guardian(through=PASS_ON, env=os.environ | {"LISTEN_FDS": count}).get("/")


def test_program_more_than_one_inherited(program):
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        passed = passing(one.fileno(), other.fileno())
        code, said = refused(*PASS_ON, program, "--listen", "127.0.0.1:0", "--", "/bin/true", **passed)
    assert code == 2 and said == "bulkhead: 2 sockets are passed (LISTEN_FDS); one can be served: give one ListenStream=\n"


def bound(family, kind):
    made = socket.socket(family, kind)
    if family != socket.AF_UNIX:
        made.bind(("127.0.0.1", 0))
    return made


@pytest.mark.parametrize("make, why", [
    (lambda: open("/dev/null"), "it is no socket"),
    (lambda: bound(socket.AF_INET, socket.SOCK_DGRAM), "it is not for TCP"),
    (lambda: bound(socket.AF_UNIX, socket.SOCK_STREAM), "it is not for TCP"),
    (lambda: bound(socket.AF_INET, socket.SOCK_STREAM), "it does not listen (Accept=yes is not supported)"),
])
def test_program_inherited_something_else(program, make, why):
    with closing(make()) as passed:
        code, said = refused(*PASS_ON, program, "--", "/bin/true", **passing(passed.fileno()))
    assert (code, said) == (2, f"bulkhead: the socket passed as descriptor 3 (LISTEN_FDS) cannot be served: {why}\n")


def test_program_inherited_nothing_there(program):
    code, said = refused(*PASS_ON, program, "--", "/bin/true", env=os.environ | {"LISTEN_FDS": "1"})
    assert code == 2 and said == "bulkhead: the socket passed as descriptor 3 (LISTEN_FDS) cannot be served: there is none\n"


# -- What a supervisor finds ------------------------------------------------------------------------------------------


def test_program_surroundings(guardian, tmp_path):
    one = guardian(cwd=tmp_path, env=os.environ | {"OWN": "kept", "BULKHEAD_RESTARTS": "7", "BULKHEAD_GUARDIAN": "1"})
    seen = one.get("/")
    environment = seen["environment"]
    assert seen["parent"] == one.process.pid and environment["BULKHEAD_GUARDIAN"] == str(one.process.pid)
    assert environment["LISTEN_PID"] == str(seen["pid"]) and environment["LISTEN_FDS"] == "1"
    assert environment["BULKHEAD_NOTIFY_FD"] == "4" and environment["BULKHEAD_RESTARTS"] == "0"
    assert environment["SWIFT_BACKTRACE"] == "enable=no" and environment["OWN"] == "kept"
    assert seen["descriptors"] == [0, 1, 2, 3, 4, 5] and seen["cwd"] == str(tmp_path)
    assert seen["args"] == ["first=serve", "later=serve"]
    one.end_it("/die?signal=9")
    assert one.get("/")["environment"]["BULKHEAD_RESTARTS"] == "1"


def test_program_backtraces_are_the_users_to_say(guardian):
    assert guardian(env=os.environ | {"SWIFT_BACKTRACE": "color=no"}).get("/")["environment"]["SWIFT_BACKTRACE"] == "color=no"


@pytest.mark.parametrize("ignored, blocked", [((), ()), ((signal.SIGHUP, signal.SIGCHLD), (signal.SIGUSR1,))])
def test_program_signals_as_they_were(program, ignored, blocked):
    """But for SIGPIPE, which is a default."""
    def prepare():
        for number in range(1, 32):
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_IGN if number in ignored or number == signal.SIGPIPE else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    done = subprocess.run([program, "--listen", "127.0.0.1:0", "--", "/bin/cat", "/proc/self/status"], capture_output=True,
                          text=True, timeout=10 * SLOWNESS, preexec_fn=prepare, restore_signals=False)
    assert done.returncode == 0, done.stderr
    status = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)

    def bits(numbers):
        return sum(1 << number - 1 for number in numbers)
    assert int(status["SigIgn"], 16) & 0x7fffffff == bits(ignored) and int(status["SigBlk"], 16) == bits(blocked)


def test_program_closed_streams(program):
    """Nothing of the guardian's comes to lie where a supervisor has its own streams."""
    done = subprocess.run(["/bin/sh", "-c", f"exec {program} --listen 127.0.0.1:0 -- /bin/ls -l /proc/self/fd <&- 2>&-"],
                          capture_output=True, text=True, timeout=10 * SLOWNESS)
    assert done.returncode == 0
    found = dict(re.findall(r"(\d+) -> (.*)", done.stdout))
    assert found["0"] == "/dev/null" and found["2"].startswith("pipe:") and found["3"].startswith("socket:")


def test_program_cannot_be_started(program):
    assert refused(program, "--listen", "127.0.0.1:0", "--", "/no/such/program") == (
        3, "bulkhead: /no/such/program cannot be started: No such file or directory\n")


@ROOT_ONLY
def test_program_holds_little(guardian):
    one = guardian()
    one.get("/")
    folder = f"/proc/{one.process.pid}/fd"
    held = sorted(os.readlink(f"{folder}/{number}").split(":")[0] for number in os.listdir(folder))
    assert held == sorted(["/dev/null", "pipe", str(one.log), "socket", "anon_inode", "pipe", "pipe", "socket", "socket"])
    status = system._process(one.process.pid).status()
    assert status["Threads"] == "1" and int(status["VmRSS"].split()[0]) < 2000
    assert os.stat(f"/proc/{one.process.pid}/environ").st_uid == 0


# -- Deaths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how, told", [
    ("/die?signal=9", "SIGKILL (signal 9)"), ("/die?signal=11", "SIGSEGV (signal 11)"), ("/die?signal=6", "SIGABRT (signal 6)"),
    ("/die?signal=31", "SIGSYS (signal 31)"), ("/die?signal=40", "real-time (signal 40)"), ("/exit?code=3", "exit status 3"),
    ("/die?signal=15", "SIGTERM (signal 15)"),
])
def test_program_death(guardian, how, told):
    """Another serves on the same port within a second, and the log says what happened."""
    one = guardian(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    before = one.get("/")
    port = one.port
    one.end_it(how)
    began = time.monotonic()
    after = one.get("/")
    assert time.monotonic() - began < 1 * SLOWNESS
    assert after["pid"] != before["pid"] and one.port == port and after["descriptors"] == [0, 1, 2, 3, 4, 5]
    assert one.deaths() == [(told, "starting another")]
    text = eventually(lambda: "supervisor serves" in one.text() and one.text(), 5, "it is told that another one serves")
    assert re.search(rf"^{STAMP} notice bulkhead : \[guardian\] another supervisor serves, [0-9.]+ s after the last one died$",
                     text, re.M)


def test_program_clean_end(guardian):
    """Status 0 is meant, with or without a SIGTERM that went to it directly."""
    one = guardian()
    one.end_it("/exit?code=0")
    assert one.wait() == 0 and one.text() == ""
    other = guardian()
    other.get("/")
    os.kill(other.supervisor().pid, signal.SIGTERM)
    assert other.wait() == 0 and other.text() == ""


@pytest.mark.parametrize("code", [1, 2, 3, 77])
def test_program_ends_before_it_serves(guardian, code):
    one = guardian(f"first=say:wrong%20usage%0a+exit:{code}", "later=serve")
    assert one.wait() == code and one.text() == "wrong usage\n"


def test_program_status_once_one_has_served(guardian):
    """It served and died, and its successor fails at its start: that may pass, and is tried again."""
    one = guardian("first=notify+exit:1", "later=exit:2")
    eventually(lambda: len(one.deaths()) >= 3, 10 * SLOWNESS, "three deaths")
    assert [death for death, _ in one.deaths()][:3] == ["exit status 1", "exit status 2", "exit status 2"]
    assert one.process.poll() is None and one.end() == 0


def test_program_killed_before_it_serves(guardian):
    one = guardian("first=say:why%0a+signal:11", "later=signal:11",
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    assert one.wait() == 3
    told = [what for death, what in one.deaths() if death == "SIGSEGV (signal 11)"]
    assert len(told) == 5 and told[0] == "starting another; its last lines:"
    waits = [re.fullmatch(r"(\d) deaths within \d s: the next start waits ([0-9.]+) s", what).groups() for what in told[1:4]]
    assert waits == [("2", "0.1"), ("3", "0.2"), ("4", "0.4")]
    assert told[4] == "5 were started and none has served: giving up"


def test_program_killed_and_then_ends_before_it_serves(guardian):
    one = guardian("first=signal:9", "later=exit:7")
    assert one.wait() == 7


def test_program_byte_and_death_at_once(guardian):
    """A supervisor that served for an instant has served."""
    one = guardian("first=notify+exit:9", "later=serve")
    assert one.get("/") and one.deaths() == [("exit status 9", "starting another")]


def test_program_backoff(guardian):
    """Ever slower, as is said, and never so that a death is not told."""
    one = guardian("first=notify+signal:9", "later=notify+signal:9")
    eventually(lambda: len(one.deaths()) >= 6, 20 * SLOWNESS, "six deaths")
    deaths = one.deaths()
    assert deaths[0] == ("SIGKILL (signal 9)", "starting another")
    for i, wait in enumerate(["0.1", "0.2", "0.4", "0.8", "1.6"], 2):
        assert re.fullmatch(rf"{i} deaths within \d+ s: the next start waits {wait} s", deaths[i - 1][1]), deaths
    before = len(one.deaths())
    time.sleep(1)
    assert len(one.deaths()) == before, "it does not wait as long as it says"


def test_program_served_well(guardian):
    """A second of service, and the next one starts at once, whatever was before and however often."""
    one = guardian("first=notify+exit:1", "later=serve")
    for _ in range(5):
        one.get("/")
        time.sleep(1.1)
        one.end_it("/die?signal=9")
    assert one.get("/")
    assert [what for _, what in one.deaths()] == ["starting another"] * 6


def test_program_clients_wait_for_the_next(guardian):
    """They come while nobody runs, and are all served."""
    one = guardian("first=serve", "later=sleep:0.7+serve")
    one.get("/")
    port = one.port
    one.end_it("/die?signal=9")
    clients = [socket.create_connection(("127.0.0.1", port), 10 * SLOWNESS) for _ in range(200)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    for client in clients:
        with client:
            assert client.recv(65536).startswith(b"HTTP/1.0 200")
    assert len(one.deaths()) == 1


def test_program_queue_is_as_long_as_asked_for(guardian):
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    one, other = guardian(), guardian(options=["--backlog", "77"])
    for guarded, backlog in ((one, min(1024, most)), (other, min(77, most))):
        shown = subprocess.run(["ss", "-Hltn", f"sport = :{guarded.port}"], capture_output=True, text=True, check=True).stdout
        assert shown.split()[2] == str(backlog), shown


@ROOT_ONLY
def test_program_nothing_grows(tmp_path):
    """Fifty deaths: no descriptor more, no zombie, no memory. With all pauses 20 ms, or it would take minutes."""
    source = tmp_path / "guardian"
    shutil.copytree(SOURCE, source)
    text, changes = re.subn(r"(#define (?:SHORTEST|LONGEST)_WAIT) \d+", r"\1 20", (source / "guard.c").read_text())
    assert changes == 2
    (source / "guard.c").write_text(text)
    one = Guardian(compiled(source, tmp_path / "bulkhead-guardian"), tmp_path,
                   command=["/bin/sh", "-c", "printf 1 >&4; echo dying >&2; sleep 0.02; kill -9 $$"])
    folder = f"/proc/{one.process.pid}"

    def held():
        return len(os.listdir(f"{folder}/fd")), system._process(one.process.pid).status()["VmData"]
    try:
        eventually(lambda: len(one.deaths()) >= 3, 10 * SLOWNESS, "three deaths")
        before = [held() for _ in range(50)]
        eventually(lambda: len(one.deaths()) >= 53, 30 * SLOWNESS, "fifty deaths")
        after = [held() for _ in range(50)]
        # At its least: one descriptor comes and goes, where the supervisor says that it serves.
        assert min(after) == min(before), (before, after)
        one.process.send_signal(signal.SIGSTOP)  # at some moment
        assert len(system.zombies([system._process(one.process.pid)])) <= 1
        one.process.send_signal(signal.SIGCONT)
        assert one.end() in (0, 128 + signal.SIGKILL, 128 + signal.SIGTERM)
        assert one.text().count("  | dying\n") >= 50
    finally:
        one.process.kill()
        one.process.wait(10)
        one.process.stdout.close()


def test_program_waits_for_strangers_too(guardian):
    """Children that serve had before it became the guardian are no zombies once they end."""
    one = guardian(through=["/bin/sh", "-c", 'sleep 0.3 & exec "$@"', "sh"])
    one.get("/")
    time.sleep(0.6)
    assert not system.zombies([system._process(one.process.pid)]) and one.process.poll() is None and not one.deaths()


# -- Its stderr -------------------------------------------------------------------------------------------------------


def test_program_stderr_byte_for_byte(guardian):
    noise = bytes(range(256)) * 3 + b"no newline"
    text = "".join(f"%{byte:02x}" for byte in noise)
    one = guardian(f"first=say:{text}+exit:4", "later=serve")
    assert one.wait() == 4 and one.log.read_bytes() == noise


def test_program_flood(guardian):
    """Megabytes, in order and complete."""
    one = guardian()
    lines = 500_000
    one.get(f"/flood?lines={lines}", timeout=60)
    assert one.end() == 0
    assert one.log.read_bytes() == b"".join(b"%07d\n" % number for number in range(lines))


def test_program_flood_and_death(guardian):
    """The last words are there in full before the death is told, and the last twenty lines once more below it."""
    one = guardian()
    one.get("/flood?lines=20000", timeout=60)
    one.end_it("/die?signal=9&say=" + "last%20words")
    one.get("/")
    before, _, after = one.text().partition("last words\n")
    assert before == "".join(f"{number:07d}\n" for number in range(20000))
    head, *lines = after.splitlines()
    assert DIED.match(head)[2] == "starting another; its last lines:"
    assert lines[:20] == [f"  | {number:07d}" for number in range(20000 - 19, 20000)] + ["  | last words"]


def test_program_last_lines_are_harmless(guardian):
    """No control character, no torn one, in what is told again."""
    said = b"\x1b[31mred\x07\ttab\r\n\x80\xc2\x9b\x7f\x00 caf\xc3\xa9 \xe2\x82\xac\n"
    text = "".join(f"%{byte:02x}" for byte in said)
    one = guardian(f"first=notify+say:{text}+signal:9", "later=serve")
    one.get("/")
    told = one.log.read_bytes().partition(b"its last lines:\n")[2].split(b"\n")
    assert told[:2] == [b"  | ?[31mred?\ttab?", b"  | ?\xc2??? caf\xc3\xa9 \xe2\x82\xac"]


def test_program_long_last_lines(guardian):
    """A line without end is cut, from the front."""
    one = guardian("first=notify+say:" + "x" * 9000 + "END+signal:9", "later=serve")
    one.get("/")
    told = one.text().partition("its last lines:\n")[2].split("\n")[0]
    assert told == "  | " + "x" * 4093 + "END"


def test_program_spoken_after_its_death(guardian):
    """What a dead supervisor's children still say is carried on, and they are not ended for it."""
    one = guardian()
    one.end_it("/leave-child")
    one.get("/")
    eventually(lambda: "spoken later\n" in one.text(), 5, "the child has spoken")


def test_program_spoken_after_the_end(guardian):
    """The same once the guardian itself is to end: it waits for a second at most."""
    one = guardian(command=["/bin/sh", "-c", "(sleep 0.3; echo late >&2) & exit 5"])
    assert one.wait() == 5 and one.text() == "late\n"
    other = guardian(command=["/bin/sh", "-c", "sleep 3 >/dev/null & exit 5"])
    began = time.monotonic()
    assert other.wait() == 5 and 0.9 < time.monotonic() - began < 2 * SLOWNESS


def fill(descriptor):
    os.set_blocking(descriptor, False)
    try:
        while True:
            os.write(descriptor, b"-" * 4096)
    except BlockingIOError:
        os.set_blocking(descriptor, True)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_program_stderr_that_takes_nothing(guardian, kind, full):
    """A stuck stderr holds up who writes to it; never the guardian: deaths are noticed, the next one serves, SIGTERM ends it.
    When it is not `full` at first, a piece goes there that does not fit any more."""
    if kind == "pipe":
        reader, writer = os.pipe()
    elif kind == "socket":
        reader, writer = (end.detach() for end in socket.socketpair())
    else:
        reader, writer = pty.openpty()
        attributes = termios.tcgetattr(writer)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(writer, termios.TCSANOW, attributes)
    try:
        one = guardian(stderr=writer)
        one.get("/")
        if full:
            fill(writer)
        with socket.create_connection(("127.0.0.1", one.port), 10) as client:
            client.sendall(b"GET /flood?lines=100000 HTTP/1.0\r\n\r\n")
            supervisor = one.supervisor()
            time.sleep(0.5)
            # It waits in its write: 800 kB are more than the pipe and the buffer take.
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.recv(1)
            one.kill_supervisor()
        began = time.monotonic()
        assert one.get("/")["pid"] != supervisor.pid
        assert time.monotonic() - began < 1 * SLOWNESS
        # No flag was set for those who share the stream.
        assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK
        got = bytearray()
        os.set_blocking(reader, False)

        def told():
            try:
                got.extend(os.read(reader, 65536))
            except BlockingIOError:
                pass
            return b"SIGKILL (signal 9)" in got and b"another supervisor serves" in got
        eventually(told, 10 * SLOWNESS, "once there is room, the death is told")
        fill(writer)
        began = time.monotonic()
        one.process.send_signal(signal.SIGTERM)
        assert one.wait() == 0 and time.monotonic() - began < 3 * SLOWNESS
    finally:
        os.close(reader)
        os.close(writer)


def test_program_stderr_shared_with_others_who_fill_it(guardian):
    """Whoever else writes there may take the room that a look has found: the guardian still goes on."""
    reader, writer = os.pipe()
    one = guardian("first=serve", "later=serve", stderr=writer)
    one.get("/")
    stop = threading.Event()

    def compete():
        os.set_blocking(writer, False)
        while not stop.is_set():
            try:
                os.write(writer, b"+" * 4096)
            except BlockingIOError:
                pass

    def slowly():
        while not stop.is_set():
            os.read(reader, 4096)
            time.sleep(0.001)
    threads = [threading.Thread(target=work, daemon=True) for work in (compete, slowly)]
    other = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY)
    os.close(writer)
    writer = other
    for thread in threads:
        thread.start()
    try:
        with socket.create_connection(("127.0.0.1", one.port), 10) as client:
            client.sendall(b"GET /flood?lines=100000 HTTP/1.0\r\n\r\n")
            time.sleep(0.5)
            one.kill_supervisor()
        began = time.monotonic()
        assert one.get("/")
        assert time.monotonic() - began < 2 * SLOWNESS
        assert one.end() == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join(5)
        os.close(reader)
        os.close(writer)


def test_program_stderr_without_reader(guardian):
    """The bytes are lost; nobody ends for it, and nobody waits."""
    reader, writer = os.pipe()
    one = guardian(stderr=writer)
    os.close(writer)
    one.get("/")
    os.close(reader)
    one.get("/flood?lines=100000")
    one.end_it("/die?signal=9")
    one.get("/flood?lines=100000")
    assert one.end() == 0


# -- Signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_program_end(guardian, number):
    # Also where the tests themselves run under nohup, which has SIGHUP ignored: that is inherited.
    one = guardian(preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    one.get("/")
    supervisor = one.supervisor()
    assert one.end(number) == 0
    assert not system.still_alive([supervisor]) and one.text() == ""


@pytest.mark.parametrize("has_terminal", [True, False])
def test_program_hangup(guardian, has_terminal):
    """The terminal has gone, which is the end. A daemon has none: what it guards reads its files again."""
    controlling, terminal = pty.openpty()

    def place():
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        if has_terminal:
            os.close(os.open(os.ttyname(terminal), os.O_RDWR))  # whoever leads a session and opens one has it from then on
    try:
        one = guardian(preexec_fn=place, pass_fds=[terminal])
        before = one.get("/")["pid"]
        one.process.send_signal(signal.SIGHUP)
        if has_terminal:
            assert one.wait() == 0
        else:
            eventually(lambda: "hangup" in one.lines, 5 * SLOWNESS, "it is told")
            assert one.get("/")["pid"] == before and one.end() == 0
    finally:
        os.close(controlling)
        os.close(terminal)


def test_program_two_sockets(guardian):
    """Both are there for whoever serves, in the order in which they were named."""
    one = guardian(options=["--listen", "127.0.0.1:0"])
    seen = one.get("/")
    assert seen["environment"]["LISTEN_FDS"] == "2" and seen["environment"]["BULKHEAD_NOTIFY_FD"] == "5"
    assert seen["descriptors"] == [0, 1, 2, 3, 4, 5, 6]


def test_program_end_with_its_status(guardian):
    one = guardian("first=status:5+serve", "later=serve")
    one.get("/")
    assert one.end() == 5 and len(one.lines) == 1


def test_program_killed_while_it_is_to_end(guardian):
    """No other one starts; 128 and the signal."""
    one = guardian("first=deaf+notify+sleep:60", "later=serve")
    supervisor = one.supervisor()
    eventually(lambda: int(supervisor.status()["SigIgn"], 16) & 1 << signal.SIGTERM - 1, 5 * SLOWNESS, "it is deaf")
    one.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert one.process.poll() is None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert one.wait() == 128 + 9
    assert not one.deaths() and re.search(r"SIGKILL \(signal 9\) after [0-9.]+ s, when it was to end$", one.text(), re.M)


def test_program_nobody_queues_at_the_end(guardian):
    """Told to end, the guardian lets the socket go: clients are refused as soon as the supervisor closes it too."""
    one = guardian(command=[sys.executable, "-S", "-E", "-c", """
import os, signal, socket, time
listening = socket.socket(fileno=3)
print("listening", listening.getsockname()[1], flush=True)
def drain(*_):
    listening.close()
    print("closed", flush=True)
signal.signal(signal.SIGTERM, drain)
os.write(4, b"1")
while True: time.sleep(0.05)
"""])
    port = one.port
    one.process.send_signal(signal.SIGTERM)
    eventually(lambda: "closed" in one.lines, 5 * SLOWNESS, "it drains")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    assert one.process.poll() is None


def test_program_hangup_under_nohup(guardian):
    one = guardian(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    before = one.get("/")
    one.process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert one.get("/")["pid"] == before["pid"]


def test_program_terminal(guardian):
    """A Ctrl-C reaches both, whichever sees it first: the end, and never another start."""
    for _ in range(20):
        one = guardian(command=["/bin/sh", "-c", "printf 1 >&4; echo listening 0; exec sleep 60"])
        assert one.port == 0
        os.killpg(one.process.pid, signal.SIGINT)
        assert one.wait() in (128 + 2, 128 + 15) and len(one.lines) == 1


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_program_other_signals_pass_through(guardian, number):
    """They do not end the guardian; what they mean is the supervisor's to say."""
    one = guardian()
    one.get("/")
    one.process.send_signal(number)
    eventually(one.deaths, 5 * SLOWNESS, "the supervisor took it")
    assert one.get("/") and one.deaths()[0][0] == f"{number.name} (signal {number.value})"


def test_program_end_between_two(guardian):
    """A SIGTERM while no supervisor runs."""
    one = guardian("first=notify+exit:1", "later=notify+exit:1")
    eventually(lambda: len(one.deaths()) >= 5, 10 * SLOWNESS, "the pauses have become long")
    began = time.monotonic()
    assert one.end() == 0 and time.monotonic() - began < 0.5 * SLOWNESS
    assert not one.supervisors()


def test_program_killed_itself(guardian):
    """Nothing outlives it: neither its supervisor nor the socket."""
    one = guardian()
    one.get("/")
    port, supervisor = one.port, one.supervisor()
    one.process.kill()
    one.process.wait(5)
    eventually(lambda: not system.still_alive([supervisor]), 1, "the supervisor is gone")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_program_killed_right_at_a_start(guardian):
    """At whatever moment of its supervisor's start."""
    for pause in range(10):
        one = guardian()
        time.sleep(pause * 0.002)
        children = one.supervisors()
        one.process.kill()
        one.process.wait(5)
        eventually(lambda: not system.still_alive(children), 1, "the supervisor is gone")


# -- The host ---------------------------------------------------------------------------------------------------------
# From here on `bulkhead serve` itself. `host.process` is the guardian: serve became it.


def supervisor_of(host):
    """The guardian's one child."""
    def one():
        return [process for process in system.processes() if process.parent == host.process.pid]
    found = eventually(one, 10 * SLOWNESS, "a supervisor runs")
    assert len(found) == 1, found
    return found[0]


def kill_supervisor(host, number=signal.SIGKILL):
    """Kills it, and returns when it did."""
    supervisor = supervisor_of(host)
    os.kill(supervisor.pid, number)
    killed = time.monotonic()
    eventually(lambda: not system.still_alive([supervisor]), 5, "the supervisor is gone")
    return killed


def answer(host, path, seconds=10, **options):
    """The first answer, however many connections are cut before."""
    def one():
        try:
            return host.get(path, **options)
        except (OSError, http.client.HTTPException):
            return None
    return eventually(one, seconds * SLOWNESS, f"an answer to {path}")


def test_serve_is_its_guardian(hosts):
    """serve's pid is the guardian's, which holds no more than it needs; the supervisor is below it, and not root."""
    host = hosts()
    guardian = system._process(host.process.pid)
    supervisor = supervisor_of(host)
    assert guardian.name == "bulkhead-guard"
    assert guardian.status()["Threads"] == "1"
    if os.geteuid() == 0:
        assert supervisor.status()["Uid"].split()[1] != "0"
    assert host.stop() == 0


def test_serve_survives_its_supervisor(hosts):
    """kill -9: the same port answers within a second, and what was answered 201 is still there."""
    host = hosts()
    name = unique_name("kept")
    host.upload(name, b"#!/bin/sh\nprintf kept\n", expect=[201])
    made = host.request("POST", "/v1/keys", b'{"name":"kept","role":"invoke"}', {"Content-Type": "application/json"})
    assert made.status == 201, made
    key, before, url = made.json()["token"], supervisor_of(host), host.url
    killed = kill_supervisor(host)
    reply = answer(host, "/healthz", token=None)
    took = time.monotonic() - killed
    assert reply.status == 200 and took < 1 * SLOWNESS, f"{took:.2f} s"
    assert supervisor_of(host).pid != before.pid and host.url == url and host.running
    assert (host.data / "endpoint").read_text().strip() == url
    assert host.invoke(name, token=key, expect="ok").body == b"kept"
    assert host.get(f"/v1/functions/{name}").json()["version"] == 1
    assert host.upload(name, b"#!/bin/sh\nprintf again\n", expect=[201]).json()["version"] == 2
    assert host.stop() == 0


def test_serve_tells_of_the_death(hosts):
    host = hosts()
    kill_supervisor(host)
    answer(host, "/healthz", token=None)
    text = host.log.read_text(errors="replace")
    assert "SIGKILL (signal 9)" in [how for how, _ in DIED.findall(text)]
    eventually(lambda: "another supervisor serves" in host.log.read_text(errors="replace"), 5, "the next one's start is told")


def test_serve_is_ready_when_it_can_invoke(hosts):
    """After a death: no 200 from /readyz that the next invocation does not bear out."""
    host = hosts()
    name = unique_name("ready")
    host.upload(name, b"#!/bin/sh\nprintf ready\n", [("warm", 1)], expect=[201])
    kill_supervisor(host)
    eventually(lambda: answer(host, "/readyz", token=None).status == 200, 10 * SLOWNESS, "it is ready")
    assert host.invoke(name, expect="ok").body == b"ready"


def test_serve_answers_who_came_meanwhile(hosts):
    """Clients that connect while no supervisor runs are served by the next one."""
    host = hosts()
    kill_supervisor(host)
    clients = [host.connect() for _ in range(50)]
    for client in clients:
        client.request("GET", "/healthz")
    for client in clients:
        with closing(client):
            assert client.getresponse().status == 200


def test_serve_leaves_no_cells_of_the_dead(hosts, deploy_deed):
    """A supervisor's workers and cgroups go with it, while its guardian lives."""
    host = hosts()
    function = deploy_deed(host, "sleep", 60_000, wall="60s")
    thread = threading.Thread(target=lambda: _ignore(lambda: host.invoke(function.name)), daemon=True)
    thread.start()
    eventually(lambda: system.with_argument(function.marker), 10 * SLOWNESS, "the worker runs")
    old = system.family(supervisor_of(host).pid)
    kill_supervisor(host)
    answer(host, "/healthz", token=None)
    eventually(lambda: not system.still_alive(old), 2 * SLOWNESS, "all below the dead supervisor is gone")
    keepers = {f"bulkhead-{process.pid}" for process in system.family(host.process.pid) if process.name == system.LAUNCHER}

    def only_its_own():
        return {os.path.basename(place) for place in system.cgroups() - host.traces.cgroups} <= keepers
    eventually(only_its_own, 2 * SLOWNESS, "no cgroup of the dead one is left")
    members = host.members
    assert host.stop() == 0
    host.traces.assert_gone(members, 1)


def _ignore(call):
    try:
        call()
    except (OSError, http.client.HTTPException):
        pass


def test_serve_dies_again_and_again(hosts):
    """Three deaths: nothing is lost, and each is told."""
    host = hosts()
    names = []
    for _ in range(3):
        names.append(unique_name("kept"))
        host.upload(names[-1], f"#!/bin/sh\nprintf {names[-1]}\n".encode(), expect=[201])
        kill_supervisor(host)
        answer(host, "/healthz", token=None)
    for name in names:
        assert host.invoke(name, expect="ok").body == name.encode()
    assert host.log.read_text(errors="replace").count("supervisor died: SIGKILL") == 3
    members = host.members
    assert host.stop() == 0
    host.traces.assert_gone(members, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_when_told(hosts, number):
    host = hosts()
    members = host.members
    host.process.send_signal(number)
    assert host.wait() == 0
    host.traces.assert_gone(members, 1)
    assert "supervisor died" not in host.log.read_text(errors="replace")


def test_serve_killed_guardian_leaves_nothing(hosts, deploy_deed):
    """kill -9 of the guardian is one of everything: processes, cgroups, mounts."""
    host = hosts()
    function = deploy_deed(host, "sleep", 60_000, wall="60s")
    threading.Thread(target=lambda: _ignore(lambda: host.invoke(function.name)), daemon=True).start()
    eventually(lambda: system.with_argument(function.marker), 10 * SLOWNESS, "the worker runs")
    members = host.members
    host.kill()
    host.traces.assert_gone(members, 1)


def test_serve_wrong_usage_is_told_once(bulkhead, workspace):
    """What another start would not change ends at once, with the status that it always had."""
    done = bulkhead("serve", "--listen", "127.0.0.1:0", "--data", workspace / "unused", "--log-level", "loud")
    assert done.returncode == 2 and "supervisor died" not in done.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = bulkhead("serve", "--listen", "127.0.0.1:%d" % taken.getsockname()[1], "--data", workspace / "unused")
    assert done.returncode == 3 and "cannot be listened on: Address already in use" in done.stderr


def test_serve_on_an_inherited_socket(workspace):
    """As systemd passes it. The socket stays whoever passed it's own."""
    data = workspace / unique_name("inherited")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        options = os.environ.get("BULKHEAD_SERVE_OPTIONS", "").split()
        process = subprocess.Popen(
            [*PASS_ON, str(BINARY), "serve", "--data", str(data), *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, start_new_session=True, **passing(listening.fileno()))
        try:
            assert process.stdout.readline() == f"bulkhead: listening on http://127.0.0.1:{port}\n"
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10 * SLOWNESS)) as client:
                client.request("GET", "/healthz")
                assert client.getresponse().status == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(20 * SLOWNESS) == 0
        finally:
            process.kill()
            process.wait(10)
            process.stdout.close()


# -- The courier ------------------------------------------------------------------------------------------------------

ERRANDS = """
import os, socket, sys, time
folder, do = sys.argv[1:]
if "BULKHEAD_ERRANDS_FD" in os.environ:
    own = socket.socket(fileno=int(os.environ["BULKHEAD_ERRANDS_FD"]))
    with open(folder + "/couriers", "a") as file:
        print(time.monotonic(), sorted(name for name in os.environ if name.startswith(("BULKHEAD_", "LISTEN_")) and name != "BULKHEAD_BIN"), file=file)
    if do == "die":
        os.kill(os.getpid(), 9)
    own.send(own.recv(100) + b" done")
    if do == "leave":
        sys.exit(0)
    if do == "hang up":
        own.shutdown(socket.SHUT_RDWR)
        sys.exit(0)
    time.sleep(600)
over = socket.socket(fileno=int(os.environ["BULKHEAD_COURIER_FD"]))
os.write(int(os.environ["BULKHEAD_NOTIFY_FD"]), b"1")
while not os.path.exists(folder + "/end"):
    if os.path.exists(folder + "/ask"):
        os.remove(folder + "/ask")
        over.send(b"errand")
        if do != "die":
            print("answer", over.recv(100).decode(), flush=True)
    time.sleep(0.02)
"""


@pytest.fixture
def errands(guardian, tmp_path):
    script = tmp_path / "errands.py"
    script.write_text(ERRANDS)

    def start(do):
        return guardian(command=[sys.executable, "-S", "-E", script, tmp_path, do])

    def couriers():
        file = tmp_path / "couriers"
        return [line.split(" ", 1) for line in file.read_text().splitlines()] if file.exists() else []
    start.couriers = couriers
    start.ask = lambda: (tmp_path / "ask").touch()
    start.end = lambda: (tmp_path / "end").touch()
    return start


def test_program_courier_when_asked(errands):
    """One is there from the first errand on, finds its socket, and goes with the guardian."""
    one = errands("stay")
    time.sleep(0.3)
    assert errands.couriers() == []
    errands.ask()
    eventually(lambda: "answer errand done" in one.lines, 5 * SLOWNESS, "an answer came")
    (_, seen), = errands.couriers()
    assert seen == str(["BULKHEAD_ERRANDS_FD", "BULKHEAD_GUARDIAN"])
    courier, = [process for process in one.supervisors() if process.pid != one.supervisor().pid]
    errands.end()
    assert one.wait() == 0 and not system.still_alive([courier])


def test_program_courier_goes_with_a_killed_guardian(errands):
    one = errands("stay")
    errands.ask()
    eventually(lambda: "answer errand done" in one.lines, 5 * SLOWNESS, "an answer came")
    below = one.supervisors()
    assert len(below) == 2
    one.end(signal.SIGKILL)
    eventually(lambda: not system.still_alive(below), 2 * SLOWNESS, "nothing is left")


def test_program_courier_that_leaves(errands):
    """It has nothing to do: that is no death, and the next errand has another, within a second."""
    one = errands("leave")
    for count in (1, 2, 3):
        errands.ask()
        eventually(lambda: one.lines.count("answer errand done") == count, 4 * SLOWNESS, "an answer came")
    assert len(errands.couriers()) == 3 and "courier" not in one.text()
    errands.end()
    assert one.wait() == 0


def test_program_courier_that_hangs_up(errands):
    """For both sides, and for good: none is started over and over; another supervisor has another pair."""
    one = errands("hang up")
    errands.ask()
    eventually(lambda: "answer errand done" in one.lines, 5 * SLOWNESS, "an answer came")
    time.sleep(2.5)
    assert len(errands.couriers()) == 1
    first = one.supervisor()
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: [process for process in one.supervisors() if process.pid != first.pid], 5 * SLOWNESS, "another supervisor")
    errands.ask()
    eventually(lambda: one.lines.count("answer errand done") == 2, 5 * SLOWNESS, "another courier")
    errands.end()
    assert one.wait() == 0


def test_program_courier_that_dies(errands):
    """Ever more seldom, with nobody else held up."""
    one = errands("die")
    errands.ask()
    eventually(lambda: len(errands.couriers()) == 3, 10 * SLOWNESS, "two others were started")
    first, second, third = (float(at) for at, _ in errands.couriers())
    assert 0.9 < second - first < 2 * SLOWNESS and 1.8 < third - second < 4 * SLOWNESS
    told = "courier died: SIGKILL (signal 9); the next errand starts another"
    eventually(lambda: one.text().count(told) == 3, 2 * SLOWNESS, "each death is told")
    assert one.deaths() == []
    errands.end()
    assert one.wait() == 0
