"""A live worker as the kernel has it, against what its manifest says: equal, field by field, with nothing left over.

Looked at from outside, through /proc: the one witness that no worker can lie to. For each kind of function and both
modes, under a host that runs as root and under one that runs as an ordinary user.
"""

import os
import re
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest

import system
from bulkhead_host import SERVE_OPTIONS, ZIP, Host, unique_name
from bundles import zip_of
from conftest import BINARY, CANARY, HERE, REPOSITORY, SLOWNESS
from system import eventually, family

IS_ROOT = os.geteuid() == 0
ORDINARY_UID = 61_234
ID_IN_USER_NAMESPACE = 65_532
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
DEVICES = ("full", "null", "random", "urandom", "zero")
MIB = 1 << 20
SECONDS = 1.5 + SLOWNESS / 2  # that a worker stays to be looked at

STATIC, DYNAMIC, SCRIPT, PYTHON = "static", "dynamic", "script", "python"
SIGPIPE_AND_SIGXFSZ = 1 << 12 | 1 << 24  # CPython ignores both


@dataclass(frozen=True)
class Manifest:
    """What a function asks for, and nothing that it leaves to the defaults."""
    kind: str
    mode: str
    memory: int = 64 * MIB
    threads: int = 7
    scratch: int = 0
    cpu: int = 3
    root: str = "auto"
    env: dict = field(default_factory=lambda: {"COLOUR": "green"})


MANIFESTS = [
    Manifest(STATIC, "command"),
    Manifest(STATIC, "command", memory=33 * MIB, threads=1, scratch=3 * MIB, cpu=2, root="system", env={}),
    Manifest(STATIC, "reactor"),
    Manifest(DYNAMIC, "command"),
    Manifest(DYNAMIC, "reactor", scratch=MIB, root="minimal"),
    Manifest(SCRIPT, "command"),
    Manifest(SCRIPT, "reactor", root="minimal"),
    Manifest(PYTHON, "command", root="minimal"),
    Manifest(PYTHON, "reactor", scratch=MIB),
]


# -- Hosts and workers ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", params=["root", "user"] if IS_ROOT else ["user"])
def posture_host(request, workspace):
    """A host as root, and one as an ordinary user."""
    environment, data, log = {"BULKHEAD_TEST_CANARY": CANARY}, workspace / f"posture-{request.param}", workspace / "p.log"
    if IS_ROOT and request.param == "user":
        data.mkdir()
        os.chown(data, ORDINARY_UID, ORDINARY_UID)
        options = [part for layer in ("memory", "processes", "cpu") for part in ("--allow-degraded", layer)]
        host = Host(BINARY, data, log, environment, user=ORDINARY_UID, options=options)
    else:
        host = Host(BINARY, data, log, environment)
    host.is_root = request.param == "root"
    host.has_cgroups = "--allow-degraded" not in host.options
    host.start(30 * SLOWNESS)
    yield host
    members = host.members
    assert host.stop() == 0, host.log_tail()
    host.traces.assert_gone(members, SLOWNESS)


def deploy(host, manifest, compile_c):
    """Uploads a function of this kind; returns its name and the argument that tells its workers from others."""
    name, marker = unique_name("posture"), "m" + uuid.uuid4().hex
    lines = [f"name: {name}", f"mode: {manifest.mode}", f"root: {manifest.root}"]
    files = {}
    if manifest.kind == PYTHON:
        lines += ["runtime: python", f"handler: {marker}.handler"]
        files[f"{marker}.py"] = (b"import time\ndef handler(event, context):\n    time.sleep(event or 0)\n", 0o644)
    else:
        lines += ["run: ./main", f"args: [sleep, '{int(1000 * SECONDS)}', {marker}]"]
        if manifest.kind == SCRIPT and manifest.mode == "reactor":
            files["main"] = ((HERE / "guests/mirror.py").read_bytes(), 0o755)
        elif manifest.kind == SCRIPT:
            files["main"] = (b"#!/usr/bin/python3\nimport sys, time\ntime.sleep(float(sys.stdin.read()))\n", 0o755)
        else:
            source = "deeds.c" if manifest.mode == "command" else "minimal_reactor.c"
            options = ("-static",) if manifest.kind == STATIC else ("-fPIE", "-pie")
            files["main"] = (compile_c(source, *options).read_bytes(), 0o755)
    lines += [f"env: {{ {', '.join(f'{key}: {value}' for key, value in manifest.env.items())} }}", "limits:",
              f"  memory: {manifest.memory}", f"  threads: {manifest.threads}", f"  wall: {30 * SLOWNESS}s",
              f"  cpu: {manifest.cpu}s", f"  scratch: {manifest.scratch}", "  processes: 1"]
    files["function.yaml"] = ("\n".join(lines) + "\n").encode()
    host.upload(name, zip_of(files), content_type=ZIP)
    return name, marker


def is_at_rest(pid):
    """It has used no CPU time for a while. What it holds meanwhile says nothing: between two modules it has none open."""
    def used():
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    before = used()
    time.sleep(0.3 * SLOWNESS)
    return used() == before


@pytest.fixture(scope="module", params=MANIFESTS, ids=lambda manifest: f"{manifest.kind}-{manifest.mode}-{manifest.memory // MIB}MiB")
def worker(request, posture_host, compile_c):
    """A worker of a function: in the middle of an invocation, or, of a reactor, between two."""
    manifest = request.param
    name, marker = deploy(posture_host, manifest, compile_c)
    caller = Thread(target=posture_host.invoke, args=[name, 0 if manifest.mode == "reactor" else SECONDS])

    def running():
        found = [process for process in family(posture_host.process.pid)
                 if any(marker in argument for argument in process.args)]
        return found[0] if found else None

    if manifest.mode == "command":
        # The version's first cell is as those of reactors are; it is the next that one init holds for several workers.
        posture_host.invoke(name, 0)
        time.sleep(0.5 * SLOWNESS)
    caller.start()
    if manifest.mode == "reactor":
        caller.join()
    process = eventually(running, 10 * SLOWNESS, "the worker runs")
    if "python3" in process.args[0]:  # an interpreter that has just started has yet to ignore what it ignores
        eventually(lambda: int(process.status()["SigIgn"], 16) == SIGPIPE_AND_SIGXFSZ, 10 * SLOWNESS, "CPython has started")
        eventually(lambda: is_at_rest(process.pid), 10 * SLOWNESS, "its modules are read, and it waits")
    yield posture_host, name, manifest, process
    posture_host.delete(name)
    caller.join()


# -- What it must be --------------------------------------------------------------------------------------------------


def inherited(name):
    """A field of this process's own status: what everything here has, whoever started it."""
    return re.search(rf"^{name}:\s*(\S+)", Path("/proc/self/status").read_text(), re.MULTILINE)[1]


def expected_mounts(host, manifest):
    """{target: (what it is, flags)}. Of host folders only what stands in roots.profile."""
    plain = {"ro", "nosuid", "nodev"}
    nothing = {"ro", "nosuid", "nodev", "noexec"}
    mounts = {"/": ("tmpfs", nothing), "/function": ("bind", plain), "/proc": ("proc", nothing)}
    mounts |= {f"/proc/{name}": ("bind", nothing) for name in ("cpuinfo", "meminfo", "stat", "loadavg", "cgroups")}
    mounts["/etc/bulkhead"] = ("tmpfs", {"rw", "nosuid", "nodev"} if manifest.scratch else nothing)
    if manifest.kind != STATIC and host.has_cgroups:
        names = ("memory", "pids", "cpu", "cpuacct", "cpuset/cpuset.cpus")
        is_v1 = os.path.isdir("/sys/fs/cgroup/memory")
        mounts |= {f"/sys/fs/cgroup/{name}": ("cgroup", nothing) for name in names} if is_v1 else {"/sys/fs/cgroup": ("cgroup2", nothing)}
    if manifest.kind == PYTHON:
        mounts["/runtime"] = ("bind", plain)
    is_minimal = manifest.root == "minimal" or (manifest.root == "auto" and manifest.kind == STATIC)
    expected, view = manifest.kind if is_minimal else "system", None
    for line in (REPOSITORY / "sandbox/profiles/roots.profile").read_text().splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["view"]:
            view = words[1]
        elif words and view in (expected, "every") and os.path.exists(words[1]):
            if not (words[0] == "mirror" and os.path.islink(words[1])):
                mounts[words[1]] = ("bind", plain)
    if manifest.scratch:
        mounts["/tmp"] = ("bind", {"rw", "nosuid", "nodev"})
    # As root all cells see one; in a user namespace there are the host's own devices.
    devices = ["/dev"] if host.is_root else [f"/dev/{name}" for name in DEVICES]
    mounts |= {path: ("bind", {"ro", "nosuid", "noexec"}) for path in devices}
    return mounts


def expected_limits(host, manifest):
    """{name in /proc/PID/limits: soft and hard limit}. None: as the host's."""
    reactor = manifest.mode == "reactor"
    return {
        "Max cpu time": None if reactor else manifest.cpu + 1,
        "Max file size": manifest.scratch + MIB,
        "Max data size": None if host.has_cgroups else manifest.memory,
        "Max stack size": 8 * MIB,
        "Max core file size": 0,
        "Max resident set": None,
        "Max processes": manifest.threads + 1,
        "Max open files": 1024,
        "Max locked memory": 64 << 10,
        "Max address space": None,
        "Max file locks": None,
        "Max pending signals": 1024,
        "Max msgqueue size": 0,
        "Max nice priority": 0,
        "Max realtime priority": 0,
        "Max realtime timeout": None,
    }


def expected_environment(name, manifest):
    scratch = {"HOME": "/tmp", "TMPDIR": "/tmp"} if manifest.scratch else {}
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8",
            "BULKHEAD_FUNCTION": name, "BULKHEAD_VERSION": "1", "BULKHEAD_MEMORY_MIB": str(manifest.memory >> 20)} | scratch | manifest.env


# -- What it is -------------------------------------------------------------------------------------------------------


def mounts_of(pid):
    mounts = {}
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        target, options = fields.split(" ")[4:6]
        root = fields.split(" ")[3]
        assert target not in mounts, f"two mounts on {target}"
        system = rest.split(" ")[0]
        kind = system if system in ("proc", "cgroup", "cgroup2") or (system == "tmpfs" and root == "/") else "bind"
        mounts[target] = (kind, set(options.split(",")) - {"relatime", "noatime", "nodiratime"})
    return mounts


def limits_of(pid):
    found = {}
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]:
        name, soft, hard = re.match(r"(.{25}) (\S+) +(\S+)", line).groups()
        found[name.strip()] = (soft, hard)
    return found


def cgroup_folders(pid):
    """{controller, or "" for v2: the folder that holds the process} of those that are the host's."""
    found = {}
    places = {}
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        if re.fullmatch(r"bulkhead-\d+", os.path.basename(folder)):
            places.setdefault(os.path.basename(folder), []).append(folder)
            names.clear()
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if match := re.search(r"/(bulkhead-\d+)/(cells/f\d+/c\d+-\d+)$", path):
            for controller in controllers.split(","):
                controller = controller.removeprefix("name=")
                folders = [Path(place, match[2]) for place in places[match[1]]
                           if not controllers or controller in re.split("[/,]", place)]
                found[controller] = next(folder for folder in folders if folder.exists())
    return found


# -- Equal ------------------------------------------------------------------------------------------------------------


def test_worker(worker):
    """One test for all of it: starting a worker costs more than looking at it."""
    host, name, manifest, process = worker
    pid, status = process.pid, process.status()
    proc = Path(f"/proc/{pid}")

    # Identity
    ids = status["Uid"].split()
    assert len(set(ids)) == 1 and status["Gid"].split() == ids
    if host.is_root:
        assert int(ids[0]) > 700_000_000
        assert status["Groups"] == ""
        maps = {"0": ("0", "4294967295")}
    else:
        own = ORDINARY_UID if IS_ROOT else os.geteuid()
        assert ids == [str(own)] * 4
        maps = {str(ID_IN_USER_NAMESPACE): (str(own), "1")}
        assert (proc / "setgroups").read_text().strip() == "deny"
    for kind in ("uid_map", "gid_map"):
        rows = [line.split() for line in (proc / kind).read_text().splitlines()]
        assert {row[0]: (row[1], row[2]) for row in rows} == maps, kind
    assert {key: status[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == dict.fromkeys(
        ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16)

    # Filters: one of ours, on top of what this test stands under itself
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert int(status["Seccomp_filters"]) == int(inherited("Seccomp_filters")) + 1

    # Namespaces
    same = {kind for kind in NAMESPACES if os.readlink(proc / "ns" / kind) == os.readlink(f"/proc/self/ns/{kind}")}
    assert same == ({"user"} if host.is_root else set())
    inner = status["NSpid"].split()
    own = "3" if host.is_root else "2"  # as root as if there were always a watcher beside init
    assert len(inner) == len(inherited_pids()) + 1 and inner[-1] == own
    assert status["NSsid"].split()[-1] == own and status["NSpgid"].split()[-1] == own

    # What it holds
    kept = {"0", "1", "2"} | ({"3", "4"} if manifest.kind == PYTHON else set())
    assert set(os.listdir(proc / "fd")) == kept
    kinds = {number: os.readlink(proc / "fd" / number).split(":")[0] for number in kept}
    device = {"0": "/dev/null"} if manifest.kind == PYTHON else {}
    assert {number: kind for number, kind in kinds.items() if kind not in ("pipe", "socket")} == device
    assert os.readlink(proc / "cwd") == "/function" and os.readlink(proc / "root") == "/"
    assert mounts_of(pid) == expected_mounts(host, manifest)
    environment = dict(entry.split("=", 1) for entry in (proc / "environ").read_text().split("\0") if entry)
    assert environment == expected_environment(name, manifest)

    # What it may use
    limits = {key: values for key, values in limits_of(pid).items() if expected_limits(host, manifest)[key] is not None}
    assert limits == {key: (str(value),) * 2 for key, value in expected_limits(host, manifest).items()
                      if value is not None}
    assert (proc / "oom_score_adj").read_text().strip() == "1000"
    assert status["Umask"] == "0077" and status["Threads"] == "1"
    assert int(status["SigBlk"], 16) == 0
    assert int(status["SigIgn"], 16) == (SIGPIPE_AND_SIGXFSZ if "python3" in process.args[0] else 0)
    stat = (proc / "stat").read_text().rpartition(")")[2].split()
    terminal, nice, policy = stat[4], stat[16], stat[38]
    assert (terminal, nice, policy) == ("0", "0", "0")

    check_cgroups(host, manifest, process)


def is_kept(host, manifest):
    """Whether its cell's init stays for the next worker. A handler's process is ended once it has answered: no cell is as new then."""
    return host.is_root and manifest.mode == "command" and manifest.kind != PYTHON and os.path.isdir("/sys/fs/cgroup/memory")


def watcher_of(host, manifest, process):
    """Who watches the worker: its init or, where that stays, another child of that."""
    if not is_kept(host, manifest):
        return next(one for one in family(host.process.pid) if one.pid == process.parent)
    return next(one for one in family(host.process.pid) if one.parent == process.parent and one.pid != process.pid)


def inherited_pids():
    return re.search(r"^NSpid:\s*(.*)$", Path("/proc/self/status").read_text(), re.MULTILINE)[1].split()


def check_cgroups(host, manifest, process):
    folders = cgroup_folders(process.pid)
    assert bool(folders) == host.has_cgroups
    if not folders:
        return
    members = {process.pid, process.parent, watcher_of(host, manifest, process).pid}
    for folder in folders.values():
        assert set(map(int, (folder / "cgroup.procs").read_text().split())) == members, folder
    tasks = manifest.threads + (2 if is_kept(host, manifest) else 1)  # init, and a watcher

    def numbers(controller, **files):
        folder = folders[controller if controller in folders else ""]

        def read():
            return {key: (folder / key.replace("__", ".")).read_text().strip() for key in files}
        # A worker's first tenth of a second has a higher CPU weight.
        wanted = {key: str(value) for key, value in files.items()}
        eventually(lambda: read() == wanted, SLOWNESS, f"{controller} of the cell is {wanted}; it is {read()}")

    if "" in folders and "memory" not in folders:
        numbers("", memory__max=manifest.memory, memory__oom__group=1, pids__max=tasks, cpu__weight=100)
        swap = folders[""] / "memory.swap.max"
        assert not swap.exists() or swap.read_text().strip() == "0"
    else:
        assert {"memory", "pids", "cpu"} <= set(folders)
        numbers("memory", memory__limit_in_bytes=manifest.memory)
        swap = folders["memory"] / "memory.memsw.limit_in_bytes"
        assert not swap.exists() or swap.read_text().strip() == str(manifest.memory)
        numbers("pids", pids__max=tasks)
        numbers("cpu", cpu__shares=1024)


INIT_KEEPS = {"SETUID", "SETGID", "SETPCAP", "SYS_RESOURCE", "KILL", "CHECKPOINT_RESTORE"}
CAPABILITY = {"KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8, "SYS_RESOURCE": 24, "CHECKPOINT_RESTORE": 40}


def test_init(worker):
    """PID 1 of a cell that serves again and again keeps what starting and ending another worker needs, and no namespace, mount,
    network or file of anybody's can be had with that. It neither watches nor is seen."""
    host, _, manifest, process = worker
    init = next(one for one in family(host.process.pid) if one.pid == process.parent)
    status = init.status()
    assert status["NSpid"].split()[-1] == "1"
    if not is_kept(host, manifest):
        return  # it is its own watcher
    kept = sum(1 << CAPABILITY[name] for name in INIT_KEEPS) & int(inherited("CapPrm"), 16)
    assert {key: int(status[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {
        "CapInh": 0, "CapPrm": kept, "CapEff": kept, "CapBnd": 0, "CapAmb": 0}
    for kind in NAMESPACES:
        assert os.readlink(f"/proc/{init.pid}/ns/{kind}") == os.readlink(f"/proc/{process.pid}/ns/{kind}"), kind
    held = Path(f"/proc/{init.pid}/fd")
    targets = [os.readlink(held / number) for number in os.listdir(held)]
    assert not [target for target in targets if target.startswith("pipe:")], "a worker's stream would never end"


def test_watcher(worker):
    """Who looks at what the worker does keeps nothing that watching does not need."""
    host, _, manifest, process = worker
    init = watcher_of(host, manifest, process)
    status = init.status()
    assert status["NSpid"].split()[-1] == ("2" if is_kept(host, manifest) else "1")
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert status[kind] == "0" * 16, kind
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert int(status["Seccomp_filters"]) == int(inherited("Seccomp_filters")) + 1
    held = Path(f"/proc/{init.pid}/fd")
    if os.access(held, os.R_OK):  # it is not dumpable: root alone may look
        kinds = sorted(os.readlink(held / number).split("[")[0].split(":")[0] for number in os.listdir(held))
        # The signals, the filter's questions; and contexts and folders of file systems, with which it can do nothing.
        assert kinds.count("socket") == 1 and "pipe" not in kinds, kinds
    for kind in NAMESPACES:
        if os.access(f"/proc/{init.pid}/ns/{kind}", os.R_OK):
            assert os.readlink(f"/proc/{init.pid}/ns/{kind}") == os.readlink(f"/proc/{process.pid}/ns/{kind}"), kind


def test_supervisor(posture_host):
    """The process that reads what clients and tenants send is confined itself."""
    host = posture_host
    status = host.supervisor.status()
    assert "0" not in status["Uid"].split() and "0" not in status["Gid"].split()
    if host.is_root:
        assert status["Groups"] == ""
    assert status["CapEff"] == status["CapPrm"] == status["CapAmb"] == "0" * 16
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    seen = 0
    for task in os.listdir(f"/proc/{host.supervisor.pid}/task"):
        try:
            text = Path(f"/proc/{host.supervisor.pid}/task/{task}/status").read_text()
        except FileNotFoundError:
            continue  # a thread that has ended since it was listed
        seen += 1
        assert re.search(r"^Seccomp:\s*2$", text, re.MULTILINE), f"thread {task} is not filtered"
        assert re.search(r"^NoNewPrivs:\s*1$", text, re.MULTILINE)
    assert seen >= 3


def test_supervisor_confines_itself_first(workspace):
    """By its own calls: no file rule and no filter shows in /proc, so they are watched as they are made. All of it is done
    before it listens, and before there is a second thread that would not be bound."""
    trace, data = workspace / "confinement", workspace / "confined"
    command = ["strace", "-ff", "-ttt", "-o", trace, "-e",
               "trace=landlock_restrict_self,seccomp,listen,clone,clone3,execve", BINARY, "serve", "--listen",
               "127.0.0.1:0", "--data", data, *SERVE_OPTIONS]
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True) as tracer:
        assert tracer.stdout.readline().startswith("bulkhead: listening on ")
        guardian, = [one.pid for one in family(tracer.pid) if one.name.startswith("bulkhead-guard")]
        supervisor, = [one.pid for one in family(guardian) if one.parent == guardian]
        os.kill(guardian, signal.SIGTERM)
        tracer.wait(30 * SLOWNESS)

    def calls(path):
        """[(when, call)] that went well, in order: libseccomp asks the kernel some questions that must not."""
        rows = [line.split(maxsplit=1) for line in path.read_text().splitlines()]
        return [(float(when), call) for when, call in rows if not re.search(r"= -1 E\w+ \(", call)]

    own = calls(Path(f"{trace}.{supervisor}"))
    # The guardian's socket listened before: the supervisor takes it over when it serves.
    others = [path for path in workspace.glob("confinement.*") if path != Path(f"{trace}.{guardian}")]
    listening = min(when for path in others for when, call in calls(path) if call.startswith("listen("))
    first_thread = min(when for when, call in own if "CLONE_THREAD" in call)
    for name in ("landlock_restrict_self(", "seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC"):
        when, = [when for when, call in own if call.startswith(name)]
        assert when < first_thread and when < listening, name
    assert not [call for when, call in own if when > first_thread and call.startswith("execve(")]


def test_launcher(posture_host):
    """Keeper and launcher hold no descriptor but their own, and listen nowhere."""
    helpers = [one for one in posture_host.members if one.name == system.LAUNCHER]
    assert helpers
    for helper in helpers:
        if not os.access(f"/proc/{helper.pid}/fd", os.R_OK):
            continue
        targets = [os.readlink(f"/proc/{helper.pid}/fd/{number}") for number in os.listdir(f"/proc/{helper.pid}/fd")]
        assert not [target for target in targets if "catalogue.db" in target or "admin.token" in target]
        assert Path(f"/proc/{helper.pid}/status").read_text().count("Threads:\t1\n") == 1
