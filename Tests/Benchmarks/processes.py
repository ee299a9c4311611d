"""The host's processes and what else it holds of the machine, as the kernel tells it."""

import os
from dataclasses import dataclass
from pathlib import Path

SUPERVISOR = "bulkhead"
LAUNCHER = "bulkhead-launch"  # as /proc/PID/comm shows it: the kernel keeps 15 bytes


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    name: str


def _process(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:  # ended while we looked
        return None
    # The name stands in parentheses and may contain anything, also parentheses and spaces.
    opening, closing = stat.index("("), stat.rindex(")")
    state, parent = stat[closing + 2:].split(maxsplit=2)[:2]
    return None if state in "ZX" else Process(pid, int(parent), stat[opening + 1:closing])


def family(root):
    """The process `root` and all below it, parents first."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (process := _process(int(entry))):
            children.setdefault(process.parent, []).append(process)
    own = _process(root)
    found = [own] if own else []
    for parent in found:
        found.extend(children.get(parent.pid, []))
    return found


def keepers(members):
    """Of a host's family those that stay: guardian, supervisor, keeper and launcher, by name. The rest are cells."""
    if not members:
        return {}
    # Where there is no guardian (before there was one, or with LISTEN_FDS from elsewhere), the supervisor is the first.
    found = {"supervisor" if members[0].name == SUPERVISOR else "guardian": members[0]}
    parent = members[0].pid
    for role, name in (("supervisor", SUPERVISOR), ("keeper", LAUNCHER), ("launcher", LAUNCHER)):
        if role in found:
            continue
        below = [process for process in members if process.parent == parent and process.name == name]
        if not below:
            break
        found[role] = below[0]
        parent = below[0].pid
    return found


def status(pid):
    """The numbers of /proc/PID/status; sizes in KiB."""
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if (words := value.split()) and words[0].isdigit():
            found[key] = int(words[0])
    return found


def cgroups():
    """Topmost cgroup directories named bulkhead-*, in every hierarchy."""
    found = []
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        own = [name for name in names if name.startswith("bulkhead-")]
        found.extend(Path(folder, name) for name in own)
        names[:] = [name for name in names if name not in own]
    return found


def inventory(root):
    """What a host holds that must not grow while it serves. Of cells only their number counts: they come and go."""
    members = family(root)
    found = {"processes": len(members)}
    mounts = 0
    for role, process in keepers(members).items():
        numbers = status(process.pid)
        found[f"{role}_rss_kib"] = numbers["VmRSS"]
        found[f"{role}_threads"] = numbers["Threads"]
        found[f"{role}_descriptors"] = len(os.listdir(f"/proc/{process.pid}/fd"))
        mounts += len(Path(f"/proc/{process.pid}/mountinfo").read_text().splitlines())
    folders = sum(1 for place in cgroups() for _ in os.walk(place))
    return found | {"cgroup_directories": folders, "mounts": mounts}
