"""What the kernel says about processes, cgroups and mounts: the one witness that a host under test cannot influence."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = "bulkhead-launch"  # as /proc/PID/comm shows it: the kernel keeps 15 bytes


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    name: str
    state: str
    started: int  # in clock ticks since boot; with the pid this names a process for ever
    args: tuple

    @property
    def identity(self):
        return self.pid, self.started

    def status(self):
        """The fields of /proc/PID/status."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _process(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # ended while we looked
        return None
    # The name stands in parentheses and may contain anything, also parentheses and spaces.
    opening, closing = stat.index("("), stat.rindex(")")
    fields = stat[closing + 2:].split()
    args = tuple(part.decode(errors="replace") for part in command.split(b"\0")[:-1])
    return Process(pid, int(fields[1]), stat[opening + 1:closing], fields[0], int(fields[19]), args)


def _everything():
    found = (_process(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())
    return [process for process in found if process]


def processes():
    """All processes that are alive. A zombie is none: who adopts an orphan here may never wait for it."""
    return [process for process in _everything() if process.state not in "ZX"]


def zombies(parents):
    """Processes that ended and that none of `parents` has waited for."""
    pids = {parent.pid for parent in parents}
    return [process for process in _everything() if process.state == "Z" and process.parent in pids]


def with_argument(marker):
    """Processes that have `marker` as a whole argument: how a test recognises its own workers from outside."""
    return [process for process in processes() if marker in process.args]


def family(root):
    """`root` and everything below it."""
    everything = processes()
    found = [process for process in everything if process.pid == root]
    for parent in found:
        found.extend(process for process in everything if process.parent == parent.pid)
    return found


def still_alive(before):
    """Those of `before` that still run; a pid that was given to somebody else does not count."""
    now = {process.identity for process in processes()}
    return [process for process in before if process.identity in now]


def cgroups():
    """Topmost cgroup directories named bulkhead-*, in every hierarchy."""
    found = set()
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        for name in [name for name in names if name.startswith("bulkhead-")]:
            names.remove(name)
            # A delegated v2 cgroup's own processes, this one perhaps, were moved there and still are there.
            if name != "bulkhead-host":
                found.add(os.path.join(folder, name))
    return found


def mounts():
    return set(Path("/proc/self/mountinfo").read_text().splitlines())


def eventually(look, seconds, what):
    """The first true answer of `look`; fails when there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


class Traces:
    """The machine as it was before a host started on it, to tell what that host left behind."""

    def __init__(self):
        self.cgroups = cgroups()
        self.mounts = mounts()

    def left(self, members):
        """What is still there of a host whose processes were `members`."""
        own = {process.pid for process in members}
        others = {process.pid for process in processes() if process.name == LAUNCHER} - own
        # Another host that runs beside this one has its keeper's pid in the name.
        found = {path for path in cgroups() if int(path.rpartition("-")[2]) not in others}
        return {
            "processes": still_alive(members),
            "cgroups": sorted(found - self.cgroups),
            "mounts": sorted(mounts() - self.mounts),
        }

    def assert_gone(self, members, seconds):
        deadline = time.monotonic() + seconds
        while any((left := self.left(members)).values()):
            assert time.monotonic() < deadline, f"left behind {seconds} s after the host's end: {left}"
            time.sleep(0.01)
