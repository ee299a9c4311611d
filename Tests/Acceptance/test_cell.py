"""The cell, seen from both sides: what the worker finds when it looks around, and what the kernel says of the worker.

The outside view is the stronger witness. A worker can be lied to, or ask the wrong question; /proc cannot.
"""

import os
import uuid
from pathlib import Path
from threading import Thread

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from checks import failed
from conftest import CANARY
from system import eventually, with_argument

NO_CAPABILITIES = "0000000000000000"


@pytest.fixture(scope="module")
def report(host, example):
    """What the probe says of its cell: no network, scratch of 1 MiB."""
    return host.invoke(example("probe"), expect="ok").json()


@pytest.fixture
def worker(host, deed):
    """A worker that sleeps, as the host's kernel sees it."""
    function = deed("sleep", 2500, scratch=0)
    caller = Thread(target=host.invoke, args=[function.name])
    caller.start()
    yield eventually(lambda: with_argument(function.marker), 5, "the worker runs")[0]
    caller.join()


# -- From inside ------------------------------------------------------------------------------------------------------


def test_identity(report):
    """Nobody of the host: no root by any of its names, no group besides its own."""
    assert 0 not in (report["uid"], report["euid"], report["suid"])
    assert 0 not in (report["gid"], report["egid"], report["sgid"])
    assert report["groups"] in ([], [report["gid"]])


@pytest.mark.parametrize("kind", ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"])
def test_no_capabilities(report, kind):
    """None now, and none to be had later. Where the question itself is refused, the outside view answers it."""
    assert report[kind] in (NO_CAPABILITIES, "EPERM", "ENOSYS")


def test_descriptors(report):
    """0, 1 and 2, and they are the worker's own: anything else would be the host's, or another tenant's."""
    assert report["fds"] == [0, 1, 2]
    assert set(report["fdKinds"]) <= {"pipe", "socket"}


def test_flags(report):
    """No program it starts can gain privileges, and every call it makes is filtered."""
    assert report["noNewPrivs"] == 1
    assert report["seccomp"] == 2


def test_pid_namespace(report):
    """Few have been born here before it."""
    assert 1 < report["pid"] < 10 and report["ppid"] in (0, 1)


def test_names(report):
    assert report["hostname"] == "probe"
    assert report["cwd"] == "/function"
    assert not any(CANARY in entry for entry in report["env"])


@pytest.mark.parametrize("folder", ["/", "/dev", "/function"])
def test_read_only(report, folder):
    """Nothing can be put where a later invocation, or anybody else, would find it."""
    assert report["write"][folder] in ("EROFS", "EACCES", "EPERM")


def test_root_is_bare(report):
    """No host files beyond what programs need to run."""
    assert "function" in report["entries"]["/"]
    assert not {"home", "root", "var", "sys", "boot", "mnt", "run", "srv", "work"} & set(report["entries"]["/"])
    harmless = {"null", "zero", "full", "random", "urandom", "stdin", "stdout", "stderr", "fd", "shm"}
    assert set(report["entries"]["/dev"]) == harmless


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET", "AF_ALG", "AF_VSOCK"])
def test_no_sockets(report, family):
    """Nothing was granted, so there is no network: neither the world's nor the host's own."""
    assert report["sockets"][family] != "ok"


def test_limits(report):
    """No core dumps, and a bound on descriptors."""
    assert report["rlimits"]["core"] == [0, 0]
    assert report["rlimits"]["nofile"][1] <= 65536


@pytest.mark.parametrize("path", [
    "/etc/shadow", "/etc/gshadow", "/proc/1/environ", "/proc/sysrq-trigger", "/proc/kcore", "/sys/kernel/notes",
    "/root/.bashrc", "/dev/kmsg", "/dev/mem", "/var/log",
])
def test_host_files_cannot_be_read(host, deed, path):
    """What was not granted is not there, or not to be read."""
    assert host.invoke(deed("read", path, "--").name, expect="ok").json()[path] != "ok"


def test_hosts_own_files_cannot_be_read(host, deed):
    """Above all not the token that governs everything."""
    token = str(host.data / "admin.token")
    paths = [token, str(host.data / "endpoint"), f"/function/..{token}", f"/proc/1/root{token}"]
    result = host.invoke(deed("read", *paths, "--").name, expect="ok").json()
    assert "ok" not in result.values()


def test_granted_file(host, compile_c):
    """A line under allow: opens exactly that path."""
    granted, beside = "/usr/share/common-licenses/BSD", "/etc/debian_version"
    assert os.path.exists(granted) and os.path.exists(beside)
    results = {}
    for allow in ("", "allow:\n  files.read: [/usr/share/common-licenses]\n"):
        name = unique_name("granted")
        manifest = f"name: {name}\nrun: ./deeds\nargs: [read, {granted}, {beside}]\n{allow}"
        files = {"function.yaml": manifest.encode(), "deeds": (compile_c("deeds.c").read_bytes(), 0o755)}
        host.upload(name, zip_of(files), content_type=ZIP)
        result = host.invoke(name, expect="ok").json()
        results[bool(allow)] = result[granted] == "ok", result[beside] == "ok"
    assert results == {False: (False, False), True: (True, False)}


# -- From outside -----------------------------------------------------------------------------------------------------


def test_status_as_the_kernel_has_it(worker):
    """The same claims, from the side that cannot be fooled."""
    status = worker.status()
    assert "0" not in status["Uid"].split() or os.geteuid() != 0
    assert "0" not in status["Gid"].split() or os.geteuid() != 0
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert status[kind] == NO_CAPABILITIES, kind
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert len(status["NSpid"].split()) >= 2 and int(status["NSpid"].split()[-1]) < 10


def test_two_workers_are_two_users(host, deed):
    """A uid of its own each: the kernel's oldest wall between tenants. As a plain user the host has but one to give."""
    if os.geteuid() == 0:
        functions = [deed("sleep", 1500), deed("sleep", 1500)]
        callers = [Thread(target=host.invoke, args=[function.name]) for function in functions]
        for caller in callers:
            caller.start()
        workers = [eventually(lambda: with_argument(function.marker), 5, "it runs")[0] for function in functions]
        uids = {worker.status()["Uid"] for worker in workers}
        for caller in callers:
            caller.join()
        assert len(uids) == 2


@pytest.mark.parametrize("kind", ["mnt", "pid", "net", "ipc", "uts", "cgroup"])
def test_namespaces(worker, kind):
    """Not one namespace is the host's."""
    assert os.readlink(f"/proc/{worker.pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")


def test_descriptors_from_outside(worker):
    assert sorted(map(int, os.listdir(f"/proc/{worker.pid}/fd"))) == [0, 1, 2]


def test_mounts_from_outside(worker):
    """Without scratch nothing is writable, and no setuid program works anywhere."""
    for line in Path(f"/proc/{worker.pid}/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        options = fields[5].split(",")
        assert "ro" in options and "nosuid" in options, line


def test_memory_is_limited_by_a_cgroup(worker):
    """A limit of the kernel's, not of somebody who polls. Any of v1's hierarchies or v2's one may hold it."""
    groups = Path(f"/proc/{worker.pid}/cgroup").read_text()
    assert "/bulkhead-" in groups, groups


def test_killed_first_when_memory_is_short(worker):
    """The host must survive its guests."""
    mine, its = (int(Path(f"/proc/{who}/oom_score_adj").read_text()) for who in ("self", worker.pid))
    assert its > mine


# -- From one invocation to the next ----------------------------------------------------------------------------------


def test_scratch_is_fresh(host, deed):
    """What one invocation leaves in /tmp, the next does not find."""
    function = deed("scratch", scratch="1MiB")
    for _ in range(3):
        assert host.invoke(function.name, expect="ok").json() == {"before": False, "made": "ok"}


def test_scratch_is_bounded(host, deed):
    """As large as the manifest says, and not there without."""
    filled = host.invoke(deed("fill", 4, scratch="1MiB").name, expect="ok").json()
    assert filled["stopped"] == "ENOSPC" and filled["written"] <= 1 << 20
    assert host.invoke(deed("scratch", scratch=0).name, expect="ok").json()["made"] != "ok"
    assert host.invoke(deed("fill", 100).name, expect="ok").json()["written"] == 64 << 20  # the default


def test_functions_do_not_see_each_other(host, example_folder):
    """Two functions, each with only its own bundle."""
    name = unique_name("alone")
    host.upload(name, example_folder("probe") / "probe")
    report = host.invoke(name, expect="ok").json()
    assert len(report["entries"]["/function"]) == 1


def test_script_finds_its_tools_and_no_more(host):
    """A shell has the usual commands; what it starts is under the same rules."""
    name = unique_name("shell")
    commands = ["id -u", "echo $(ls /)", "cat /etc/shadow || echo refused", "unshare -r true || echo refused"]
    host.upload(name, ("#!/bin/sh\n" + "\n".join(commands) + "\n").encode())
    reply = host.invoke(name)
    if reply.outcome == "denied":
        assert failed(reply, "denied")["syscall"] == "unshare"
    else:
        lines = reply.body.decode().splitlines()
        assert lines[0] != "0" and lines[2:] == ["refused", "refused"]


def test_marker_is_seen_nowhere_else(host, deed):
    """A function's arguments are visible to no other function: there is no /proc of the host's to read them from."""
    secret = uuid.uuid4().hex
    function = deed("sleep", 1500, secret)
    caller = Thread(target=host.invoke, args=[function.name])
    caller.start()
    eventually(lambda: with_argument(secret), 5, "the worker runs")
    name = unique_name("spy")
    host.upload(name, b"#!/bin/sh\ncat /proc/*/cmdline /proc/*/environ 2>/dev/null; echo done\n")
    assert secret.encode() not in host.invoke(name).body
    caller.join()


def test_scratch_may_run_what_it_holds(host):
    """As PyInstaller and many a test runner want it."""
    name = unique_name("run")
    host.upload(name, b"#!/bin/sh\nprintf '#!/bin/sh\\necho ran\\n' > $TMPDIR/tool && chmod +x $HOME/tool && /tmp/tool\n")
    assert host.invoke(name, expect="ok").body == b"ran\n"


def cell_of(marker):
    worker, = eventually(lambda: with_argument(marker), 5, "the worker runs")
    return Path(f"/proc/{worker.pid}/cgroup").read_text()


def test_scratch_costs_no_renewal(host, deed):
    """A cell with a /tmp is used again as one without: it has a new /tmp each time. With cgroup v2 no cell is."""
    function = deed("sleep", 400, scratch="1MiB")
    cells = set()
    for _ in range(4):
        caller = Thread(target=host.invoke, args=[function.name])
        caller.start()
        cells.add(cell_of(function.marker))
        caller.join()
    is_v2 = all(cell.startswith("0::") for cell in cells)
    assert len(cells) <= 2 or is_v2, cells
