"""Other sandboxes, each as the command that runs the same echo.

Each is given the least that still makes a private root (or as near to it as it has), own namespaces and no network:
whatever it does beyond that, it does on its own account. None of them limits memory here; Bulkhead does.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from programs import BUILT, ECHO, Failed, run

BUNDLE = f"{BUILT}/bundle"
ROOT = f"{BUNDLE}/rootfs"
NOT_INSTALLED = Path(BUILT, "not-installed.tsv")  # `run --peers` notes here what apt-get would not give
OCI = {
    "ociVersion": "1.0.0",
    "root": {"path": "rootfs", "readonly": True},
    "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["/echo"], "env": [], "cwd": "/",
                "noNewPrivileges": True},
    "mounts": [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],  # it will put devices there
    "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]},
}


@dataclass(frozen=True)
class Peer:
    name: str
    program: str
    words: Callable[[str], list[str]]  # the command, given where the program is
    around: Callable[[], list[str]] = list  # what the whole measurement has to run in
    prepare: Callable[[], None] = lambda: None
    tidy: Callable[[], None] = lambda: None


def _without_hybrid_cgroups():
    """crun refuses a machine with cgroup v1 beside a v2 that has controllers: then it is shown one without the v2."""
    unified = "/sys/fs/cgroup/unified"
    if os.geteuid() != 0 or not os.path.ismount(unified):
        return []
    return ["unshare", "--mount", "sh", "-c", f'umount {unified} && exec "$@"', "sh"]


def _prepare_root():
    os.makedirs(f"{ROOT}/dev", exist_ok=True)
    shutil.copy(ECHO, f"{ROOT}/echo")
    Path(BUNDLE, "config.json").write_text(json.dumps(OCI))


def _prepare_isolate():
    box = run(["isolate", "--init"], 10).strip()
    shutil.copy(ECHO, f"{box}/box/echo")


ALL = [
    Peer("bwrap", "bwrap", lambda program: [
        program, "--unshare-all", "--new-session", "--die-with-parent", "--ro-bind", ROOT, "/", "--", "/echo"]),
    Peer("firejail", "firejail", lambda program: [
        program, "--quiet", "--noprofile", "--net=none", "--caps.drop=all", "--nonewprivs", "--seccomp", "--",
        os.path.abspath(ECHO)]),
    # Its cgroups are left aside, as with the others: that also spares it where there is no systemd.
    Peer("crun", "crun", lambda program: [
        program, "--cgroup-manager=disabled", "run", f"--bundle={BUNDLE}", "bulkhead-bench"],
         around=_without_hybrid_cgroups),
    Peer("runsc", "runsc", lambda program: [
        program, "--network=none", "--ignore-cgroups", *([] if os.geteuid() == 0 else ["--rootless"]), "do",
        os.path.abspath(ECHO)]),
    Peer("nsjail", "nsjail", lambda program: [
        program, "-Mo", "--really_quiet", "--disable_proc", "--chroot", os.path.abspath(ROOT), "--", "/echo"]),
    Peer("isolate", "isolate", lambda program: [program, "--silent", "--run", "--", "./echo"],
         prepare=_prepare_isolate, tidy=lambda: run(["isolate", "--cleanup"], 10)),
]


def _why_missing(program):
    if NOT_INSTALLED.exists():
        for line in NOT_INSTALLED.read_text().splitlines():
            name, _, reason = line.partition("\t")
            if name == program:
                return f"not installed: {reason}"
    return "not installed (run --peers installs those that Debian has)"


def measured(peer, measure):
    """`measure(command, around)` of one peer, or why there is nothing to measure: never left out without a word."""
    program = shutil.which(peer.program)
    if program is None:
        return {"missing": _why_missing(peer.program)}
    try:
        _prepare_root()
        peer.prepare()
        try:
            return measure(peer.words(program), peer.around())
        finally:
            peer.tidy()
    except (Failed, OSError) as error:
        return {"missing": str(error)}
