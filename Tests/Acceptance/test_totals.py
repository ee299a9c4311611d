"""What all cells take together, and how they share it: functions first, and then the cells of one function.

The launcher's options for it are tried on a launcher alone, started by a process that does of a supervisor's work only that.
"""

import os
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median

import pytest

import system
from bulkhead_host import SERVE_OPTIONS, at_once
from conftest import BINARY, SLOWNESS
from system import LAUNCHER, eventually, with_argument
from test_lifecycle import InFlight, in_flight

MIB = 1 << 20
HAS_CGROUPS = "--allow-degraded" not in SERVE_OPTIONS
BUSY = 40      # invocations of one function
SLOWER = 4     # times its time alone that another's may take then: processors are two, and what else runs here is unknown


def seconds(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


def places(pid):
    """{controller, or "" for v2: the path below an instance's directory} of a process that is in one."""
    found = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if match := re.search(r"/bulkhead-\d+/(.*)$", path):
            found |= {controller: match[1] for controller in controllers.split(",")}
    return found


def function_of(worker):
    """The directory of the worker's function, which is the same in all hierarchies."""
    functions = set()
    for controller, path in places(worker.pid).items():
        wanted = r"cells/(f\d+)" if controller == "blkio" else r"cells(?:/)?" if controller == "hugetlb" else \
            r"cells/(f\d+)/c\d+-\d+"
        match = re.fullmatch(wanted, path)
        assert match, (controller, path)
        functions |= set(match.groups())
    function, = functions
    return function


def setting(own, folder, v1, v2):
    """What stands in a file below whichever of the directories `own` has it: by its name on v1, or on v2."""
    for instance in own:
        for file in (Path(instance, folder, name) for name in (v1, v2)):
            if file.exists():
                return int(file.read_text())
    raise AssertionError(f"no {v1} or {v2} in {folder} of {own}")


def directories(keeper):
    """Those of one launcher, whose keeper has that pid: others may be at work on this machine."""
    return [place for place in system.cgroups() if os.path.basename(place) == f"bulkhead-{keeper}"]


def directories_of(host):
    keeper, = [process.pid for process in host.members if process.name == LAUNCHER and process.parent == host.supervisor.pid]
    return directories(keeper)


def is_gone(keeper, limit=2):
    eventually(lambda: not directories(keeper), limit, f"of bulkhead-{keeper} nothing is left")


# -- Shares -----------------------------------------------------------------------------------------------------------


def test_many_of_one_function_slow_another_no_more_than_one_would(hosts, deploy_deed):
    host = hosts()
    single = deploy_deed(host, "spin", 300, wall="60s", cpu="10s", memory="16MiB")
    crowd = deploy_deed(host, "spin", 600_000, wall="120s", memory="16MiB")
    alone = median(seconds(partial(host.invoke, single.name, expect="ok", timeout=60)) for _ in range(3))
    calls = in_flight(host, crowd, BUSY)
    time.sleep(0.5 * SLOWNESS)  # none has its head start any more
    beside = median(seconds(partial(host.invoke, single.name, expect="ok", timeout=120)) for _ in range(3))
    host.kill()
    for call in calls:
        call.end()
    print(f"alone {alone:.2f} s, beside {BUSY} {beside:.2f} s")
    # Without a cgroup all processes of the machine are equal.
    assert beside <= SLOWER * alone or not HAS_CGROUPS, (alone, beside)


# -- Directories ------------------------------------------------------------------------------------------------------


def test_a_function_has_one_directory(hosts, deploy_deed, compile_c):
    """However many cells and versions it has; and the same share as any other."""
    host = hosts()
    many, one = (deploy_deed(host, "sleep", 60_000, wall="60s", memory="32MiB") for _ in range(2))
    calls = in_flight(host, many, 7) + in_flight(host, one)
    # Another version of the same function, beside the first.
    arguments = [("args", argument) for argument in ("sleep", "60001", many.marker)]
    host.upload(many.name, compile_c("deeds.c"), [*arguments, ("wall", "60s"), ("memory", "32MiB")], expect=[201])
    calls.append(InFlight(host, many))
    eventually(lambda: len(with_argument(many.marker)) == 8, 20, "the other version runs")
    workers = with_argument(many.marker)
    if HAS_CGROUPS:
        assert workers and all(places(worker.pid) for worker in workers)
        crowd, = {function_of(worker) for worker in workers}
        single, = {function_of(worker) for worker in with_argument(one.marker)}
        assert crowd != single
        own = directories_of(host)
        for function in (crowd, single):
            # Until they have run for a tenth of a second they go before others.
            def weight(function=function):
                shares = setting(own, f"cells/{function}", "cpu.shares", "cpu.weight")
                return shares in (1024, 100)
            eventually(weight, SLOWNESS, f"{function} has everybody's share")
            # What `concurrency.max`, 100, comes to, twice for two versions, and some: a bound that the pool's own rules never reach.
            most = 2 * 100 + 16
            assert setting(own, f"cells/{function}", "memory.limit_in_bytes", "memory.max") == most * 32 * MIB
            assert setting(own, f"cells/{function}", "pids.max", "pids.max") == most * 66
        for worker in workers:
            path = places(worker.pid)
            cell = path.get("memory", path.get(""))
            assert setting(own, cell, "memory.limit_in_bytes", "memory.max") == 32 * MIB
            assert setting(own, cell, "pids.max", "pids.max") in (65, 66)  # init, and of a kept cell the watcher
    else:
        assert not any(places(worker.pid) for worker in workers) and not directories_of(host)
    host.kill()
    for call in calls:
        call.end()


def test_directories_do_not_pile_up(hosts, deploy_deed):
    """A tenant may choose hundreds of names: what is kept for each is gone when its cells are."""
    host = hosts()
    names = [deploy_deed(host, "emit", "7b7d").name for _ in range(60)]
    for _ in range(2):
        at_once([partial(host.invoke, name, expect="ok") for name in names])

    def functions():
        return max((len([name for name in os.listdir(Path(own, "cells")) if re.fullmatch(r"f\d+", name)])
                    for own in directories_of(host)), default=0)
    # Those of ready cells, and some without any that are kept for the next.
    eventually(lambda: functions() <= 16 + 32, 10 * SLOWNESS, "few are left")
    assert host.stop() == 0


# -- The launcher's options -------------------------------------------------------------------------------------------

SUPERVISOR = """
import fcntl, os, socket, subprocess, sys
control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in (theirs.fileno(), os.open(sys.argv[1], os.O_RDONLY))]
def arrange():
    os.dup2(high[0], 3)
    os.dup2(high[1], 4)
first = ["--first-uid", "710000001"] if os.geteuid() == 0 else []
keeper = subprocess.Popen([*sys.argv[2:], "--ready", "2", *first], preexec_fn=arrange, close_fds=False)
for fd in high:
    os.close(fd)
theirs.close()
ours, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
socket.send_fds(control, [b"x"], [end.fileno()])
end.close()
hello = ours.recv(4096)
print("ready" if hello else "refused", keeper.pid, flush=True)
sys.stdin.read()
ours.close()
control.close()
status = keeper.wait()
print(open("/proc/self/cgroup").read(), flush=True)
sys.exit(status)
"""


@pytest.fixture
def supervisors(tmp_path):
    """`supervisors("--total-tasks", "7")`: starts a launcher, and who is its supervisor."""
    made = []

    def start(*options):
        process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, tmp_path, BINARY.parent / "bulkhead-launcher", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        made.append(process)
        word, keeper = process.stdout.readline().split()
        assert word == "ready"
        return process, int(keeper)
    yield start
    for process in made:
        process.kill()
        process.communicate()


OPTIONS = ["--total-memory", str(256 * MIB), "--total-tasks", "500", "--host-memory", str(64 * MIB)]


def test_totals_are_set(supervisors):
    """And at the end the supervisor, which lives on, is where it was, with nothing left of its launcher."""
    before = Path("/proc/self/cgroup").read_text()
    supervisor, keeper = supervisors(*OPTIONS)
    own = directories(keeper)
    if HAS_CGROUPS:
        assert setting(own, "cells", "memory.limit_in_bytes", "memory.max") == 256 * MIB
        assert setting(own, "cells", "pids.max", "pids.max") == 500
        assert setting(own, "host", "memory.limit_in_bytes", "memory.max") == 64 * MIB
        where = places(supervisor.pid)
        assert where.get("memory", where.get("")) == "host"
        assert [path for controller, path in where.items() if controller not in ("memory", "")] == []
    else:
        assert own == []
    out, _ = supervisor.communicate(timeout=20)
    assert supervisor.returncode == 0
    home = out.strip()
    # With v2 both of us may have been moved to "bulkhead-host" meanwhile.
    assert home == before.strip() or home == Path("/proc/self/cgroup").read_text().strip() or "bulkhead-host" in home, home
    is_gone(keeper)


def test_totals_may_be_left_out(supervisors):
    supervisor, keeper = supervisors()
    for own in directories(keeper):
        assert [name for name in os.listdir(own) if Path(own, name).is_dir()] == ["cells"]
    assert not places(supervisor.pid)
    supervisor.communicate(timeout=20)
    assert supervisor.returncode == 0
    is_gone(keeper)


def test_killed_supervisor_leaves_nothing(supervisors):
    supervisor, keeper = supervisors(*OPTIONS)
    members = system.family(supervisor.pid)
    supervisor.kill()
    supervisor.wait()
    is_gone(keeper)
    eventually(lambda: not system.still_alive(members), 2, "no process is left")


def test_killed_keeper_leaves_its_supervisor_alive(supervisors):
    """The next launcher removes what it left, but never ends whom it finds in a supervisor's cgroup."""
    supervisor, keeper = supervisors(*OPTIONS)
    os.kill(keeper, 9)
    eventually(lambda: not [process for process in system.processes() if process.pid == keeper], 5, "the keeper is gone")
    other, _ = supervisors(*OPTIONS)
    assert supervisor.poll() is None
    other.communicate(timeout=20)
    supervisor.communicate(timeout=20)
    supervisors()[0].communicate(timeout=20)
    is_gone(keeper)


@pytest.mark.parametrize("option", ["--total-memory", "--total-tasks", "--host-memory", "--ready", "--first-uid"])
@pytest.mark.parametrize("value", ["", "x", "-1", "+1", " 1", "1M", "0x10", "1.5", "99999999999999999999"])
def test_numbers_are_numbers(option, value):
    done = subprocess.run([BINARY.parent / "bulkhead-launcher", option, value], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and option in done.stderr, done


def test_all_cells_together_stay_below_the_total(supervisors):
    """The total is the kernel's own: a process in a cell's place cannot get past it, whatever that cell's own limit is."""
    if not HAS_CGROUPS or os.geteuid() != 0:
        return  # who may put a process there is root only
    _, keeper = supervisors("--total-memory", str(64 * MIB))
    memory = next(own for own in directories(keeper)
                  if Path(own, "cells/memory.limit_in_bytes").exists() or Path(own, "cells/memory.max").exists())
    group = Path(memory, "cells/f99/c99-1")
    group.parent.mkdir(exist_ok=True)
    control = group.parent / "cgroup.subtree_control"
    if control.exists():
        control.write_text("+memory")
    group.mkdir()
    code = f"import os; open('{group}/cgroup.procs', 'w').write(str(os.getpid())); held = bytearray(200 << 20); print('held')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == -9 and "held" not in done.stdout, done


def test_who_counts_processes_anew_takes_nobody_elses(hosts, tmp_path):
    """Containers on one machine may share a cgroup tree: each has a process with the other's number, or none."""
    host = hosts()
    host.upload("slow", b"#!/bin/sh\nsleep 3\necho 1\n", {"wall": "20s"})
    identifier = host.invoke("slow", headers={"Prefer": "respond-async"}).json()["id"]
    eventually(lambda: host.record(identifier)["status"] == "running", 5, "it runs")
    program = tmp_path / "echo"
    program.write_text("#!/bin/sh\ncat\n")
    program.chmod(0o755)
    command = ["unshare", "--pid", "--fork", "--mount-proc", BINARY, "run", "--data", "7", program]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout.strip()) == (0, "7"), ran
    assert host.record_when_done(identifier, 10)["outcome"] == "ok"
