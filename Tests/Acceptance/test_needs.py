"""No rule that nobody needs: every call that the profile lets through is one that some real program makes.

The programs of guests/needs are traced outside any cell, by strace. They are the shells, libraries and runtimes that
functions are written with, not programs written to make system calls.
"""

import os
import re
import subprocess

from conftest import HERE
from test_prober import RULES

# Allowed calls that the programs of guests/needs do not make here, and who does.
ELSEWHERE = {
    "capget": "libcap's cap_get_proc",
    "clock_gettime": "libc, where the clock cannot be read in user space (Xen, hpet)",
    "gettimeofday": "libc, where the clock cannot be read in user space (Xen, hpet)",
    "time": "libc, where the clock cannot be read in user space (Xen, hpet)",
    "getcpu": "sched_getcpu of static programs, which have no vDSO in musl",
    "faccessat": "musl's access and faccessat",
    "fork": "musl's fork",
    "get_robust_list": "musl's pthread_mutexattr_setrobust, to see whether there are such locks",
    "lstat": "musl; glibc up to 2.32",
    "stat": "musl; glibc up to 2.32",
    "membarrier": "musl, when it loads a library while threads run; liburcu",
    "mknod": "musl's mknod and mkfifo",
    "open": "musl's open; glibc up to 2.25",
    "pipe": "musl's pipe",
    "restart_syscall": "the kernel's own way to go on with a sleep after SIGSTOP and SIGCONT",
    "select": "musl's select",
    "tkill": "musl's raise and abort",
    # Nobody of today: newer calls came in their place, and no libc falls back while those are there. Should be dropped.
    **dict.fromkeys(("eventfd", "signalfd", "utime", "utimes", "futimesat", "getdents"), "static programs before 2020"),
}


def calls_made(command, folder):
    """The names of all system calls that a program and its children make."""
    trace = folder / "trace"
    done = subprocess.run(["strace", "-f", "-qq", "-o", trace, *command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=90)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE))


def test_every_allowed_call_is_needed(compile_c, tmp_path):
    """Each call that the profile lets through is made by some real program, or stands in a table with who makes it."""
    needs = HERE / "guests/needs"
    go = tmp_path / "static"
    subprocess.run(["go", "build", "-o", go, needs / "static.go"], check=True, timeout=180, cwd=tmp_path,
                   env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"})
    programs = [["python3", needs / "standard.py"], ["bash", needs / "shell.sh"], [compile_c("needs/posix.c")], [go]]
    made = set().union(*(calls_made(program, tmp_path) for program in programs))
    assert {"execve", "clone3", "socketpair", "sigaltstack", "exit_group"} <= made, "strace was not understood"
    allowed = {rule.name for rules in RULES.values() for rule in rules if rule.action == "allow"}
    assert allowed - made - set(ELSEWHERE) == set(), "allowed, and needed by nobody known"
    assert set(ELSEWHERE) <= allowed, "the table names what the profile no longer allows"
