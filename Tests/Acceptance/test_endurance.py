"""Thousands of hostile invocations in a row: the host and its launcher end as they began.

BULKHEAD_ENDURANCE  how many invocations; default 10,000
"""

import itertools
import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import system
from conftest import FUNCTIONS, SLOWNESS
from system import eventually
from test_hostile import ATTACKS, cells

COUNT = int(os.environ.get("BULKHEAD_ENDURANCE", "10000"))
AT_ONCE = 8
# Those that wait for a limit of seconds would make this a test of patience.
SLOW = {"timeout", "cpu_exceeded"}
HEAVY = {"deep-directory", "inode-bomb", "stderr-flood", "reached", "kill-others", "extra-fds", "cpu-split-forks"}
FUNCTION, CELL = re.compile(r"cells/f\d+"), re.compile(r"cells/f\d+/c\d+-\d+")
KEPT = 32  # directories without a cell, at most: FREE_MAX of the launcher
QUICK = [name for name, (outcomes, _) in ATTACKS.items() if not outcomes & SLOW and name not in HEAVY]


def inventory(host):
    """What the host holds of the machine, in numbers that should not grow. None while a cell that nobody needs any more ends."""
    try:
        return counted(host)
    except (FileNotFoundError, ProcessLookupError):
        return None


def counted(host):
    found = {"processes": 0, "threads": 0, "descriptors": Counter(), "resident KiB": 0}
    for process in host.members:
        status = process.status()
        found["processes"] += 1
        found["threads"] += int(status["Threads"])
        folder = f"/proc/{process.pid}/fd"
        found["descriptors"].update(os.readlink(f"{folder}/{number}").split("[")[0] for number in os.listdir(folder))
        found["resident KiB"] += int(status.get("VmRSS", "0 kB").split()[0])
    # Its own: the tests' shared host lets go of idle workers meanwhile.
    own = {f"bulkhead-{process.pid}" for process in host.members}
    folders = [(os.path.relpath(folder, place), folder) for place in system.cgroups() if os.path.basename(place) in own
               for folder, _, _ in os.walk(place)]
    # A few of those that were functions' are kept for the next ones: how many depends on how many there were at once. Those of
    # cells in which nothing lives are kept for some seconds.
    functions = {name for name, _ in folders if FUNCTION.fullmatch(name)}
    empty = [name for name, folder in folders if CELL.fullmatch(name) and not Path(folder, "cgroup.procs").read_text()]
    return found | {"cgroups": sum(not FUNCTION.fullmatch(name) for name, _ in folders) - len(empty), "functions": len(functions),
                    "kept cells": len(set(empty)), "mounts": len(system.mounts())}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look at the launcher's descriptors")
def test_nothing_grows(hosts):
    """A mix of all attacks that are over quickly. Memory may settle; it may not keep growing."""
    host = hosts()
    host.upload("attacks", FUNCTIONS / "hostile/attacks/attacks",
                [("processes", 32), ("threads", 64), ("scratch", "4MiB"), ("wall", "3s"), ("cpu", "1s"), ("memory", "64MiB")])
    host.upload("echo", FUNCTIONS / "echo/echo")

    def run(count):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda name: host.invoke("attacks", {"attack": name}, timeout=60 * SLOWNESS),
                          itertools.islice(itertools.cycle(QUICK), count)))
        eventually(lambda: cells(host) == 0, 10 * SLOWNESS, "no cell is left")
        # The ready cells are built anew one by one; until then there is less than there was.
        steady = None

        def is_steady():
            nonlocal steady
            before, steady = steady, inventory(host)
            keys = ("processes", "cgroups", "descriptors")
            # Cells that wait for their version once more hold a worker each, and go by themselves after two seconds.
            waits = steady and steady["descriptors"]["anon_inode:seccomp notify"]
            return before and steady and not waits and all(before[key] == steady[key] for key in keys)
        eventually(is_steady, 20 * SLOWNESS, "it has come to rest")
        return steady

    def is_known():
        """What is kept of a version that has run is kept by now. One that ended too soon may have left nothing to keep."""
        host.invoke("echo", 1, expect="ok")
        now = inventory(host)
        # By its path in a cell's copy of the mount table, or without one once that is gone.
        return now and (now["descriptors"]["/function/echo"] or now["descriptors"]["/echo"])
    eventually(is_known, 10 * SLOWNESS, "the launcher keeps echo's root")
    run(len(QUICK) * 2)  # warm: allocators, thread pools, the newest invocations' records
    before = run(COUNT // 2)
    after = run(COUNT - COUNT // 2)
    print(before, after, sep="\n")
    assert host.invoke("echo", {"x": 1}, expect="ok").json() == {"x": 1}
    # A client's connection may take a moment to be closed.
    counts = ("processes", "descriptors", "cgroups", "mounts")
    now = None

    def is_as_before():
        nonlocal now
        now = inventory(host)
        return now and all(now[key] == before[key] for key in counts)
    try:
        eventually(is_as_before, 20 * SLOWNESS, "it is as before")
    except AssertionError:
        raise AssertionError({key: (before[key], now and now[key]) for key in counts if not now or now[key] != before[key]}) from None
    assert now["functions"] <= now["processes"] + KEPT, now
    eventually(lambda: (inventory(host) or {"kept cells": 1})["kept cells"] == 0, 10 * SLOWNESS, "no cell's cgroups are kept")
    assert after["threads"] <= before["threads"] + 4, (before, after)
    # The newest 10,000 invocations are kept, with what went wrong in each: some KiB, and no more of them after that.
    assert after["resident KiB"] <= before["resident KiB"] + 4096 + COUNT // 2 * 6, (before, after)
    assert int(Path(f"/proc/{host.supervisor.pid}/status").read_text().split("VmRSS:")[1].split()[0]) < 400_000
