"""CPython's own tests, in a container and in a cell, compared. For Tests/Foreign/run and test_foreign_suites.py."""

import json
import subprocess
from pathlib import Path

SUITE = Path(__file__).resolve().parent.parent / "Foreign/cpython.py"

# Modules that are run in neither place.
REASONS = {
    "test_asyncio": "a folder of tests of networks",
    "test_socket": "the network that neither has",
    **dict.fromkeys(["test_ssl", "test_httpservers", "test_imaplib", "test_ftplib", "test_smtplib", "test_poplib", "test_nntplib",
                     "test_telnetlib", "test_urllib2_localnet", "test_xmlrpc", "test_socketserver", "test_asyncore", "test_asynchat",
                     "test_smtpd", "test_docxmlrpc", "test_smtpnet", "test_robotparser", "test_urllibnet", "test_urllib2net",
                     "test_httplib", "test_logging"], "the same"),
    "test_gdb": "a debugger",
    "test_regrtest": "runs the runner of the suite within itself, for minutes",
    "test_faulthandler": "crashes on purpose, hundreds of times",
    "test_concurrent_futures": "takes longer than a cell may",
    "test_multiprocessing_fork": "the same", "test_multiprocessing_forkserver": "the same", "test_multiprocessing_spawn": "the same",
    "test_peg_generator": "a C compiler", "test_distutils": "the same", "test_tools": "the interpreter's source",
    "test_idle": "a screen", "test_tk": "the same", "test_ttk_guionly": "the same", "test_tix": "the same",
}

# Why a test that passes in the container does not in a cell: by a word of what came of it, or of its name.
KINDS = [
    ("socket", "no socket of any family is granted, not even a pair or one of the loopback's"),
    ("Address family", "no socket of any family is granted, not even a pair or one of the loopback's"),
    ("sendfile", "sendfile, splice, copy_file_range: refused, pages of files in pipes were a way to write them; libraries copy by themselves"),
    ("splice", "sendfile, splice, copy_file_range: refused, pages of files in pipes were a way to write them; libraries copy by themselves"),
    ("copy_file_range", "sendfile, splice, copy_file_range: refused, pages of files in pipes were a way to write them; libraries copy by themselves"),
    ("msg.t", "no System V IPC: what it makes outlives processes"), ("sem.t", "no System V IPC: what it makes outlives processes"),
    ("shm.t", "no System V IPC: what it makes outlives processes"),
    ("/proc/sys", "/proc/sys is empty"), ("ftruncate03", "/proc/sys is empty"), ("/proc/1/", "no other processes than its own"),
    ("kconfig", "the kernel's configuration is not told"), ("SETLEASE", "leases and O_ASYNC: signals about others' files"),
    ("O_ASYNC", "leases and O_ASYNC: signals about others' files"),
    (",38,", "no locks of open files (OFD): those of processes and flock(2) are kept"),
    ("F_BADCMD", "a command that fcntl(2) does not know is ENOSYS"), ("F_CREATED_QUERY", "a command that fcntl(2) does not know is ENOSYS"),
    ("fcntl14", "a lock is seen as released when its file is closed altogether, not with the first of several descriptors"),
    ("fcntl15", "a lock is seen as released when its file is closed altogether, not with the first of several descriptors"),
    ("shmget", "no System V IPC: what it makes outlives processes"), ("waitv", "futex_waitv is not there; libraries take futex"),
    ("fork() failed", "limits are the manifest's"), ("kill11", "limits are the manifest's"),
    ("test-fs-watch", "no inotify: it tells of what others read in the same files"), ("'watch'", "no inotify: it tells of what others read in the same files"),
    ("options-immutable", "no inotify: it tells of what others read in the same files"),
    ("promises-watch", "no inotify: it tells of what others read in the same files"),
    ("walbig", "limits are the manifest's"), ("forkserver", "no socket of any family is granted, not even a pair or one of the loopback's"),
    ("test_audit", "no socket of any family is granted, not even a pair or one of the loopback's"),
    ("test_fs_", "/proc/sys is empty"), ("Pty", "no terminals"), ("test_mmap", "a file is no larger than scratch"),
    ("interface_addresses", "no socket of any family is granted, not even a pair or one of the loopback's"),
    ("open13", "no extended attributes"), ("16384", "O_DIRECT is refused: each read would be one of the disk's"),
    ("test-fs-readfile.js", "a file is no larger than scratch"),
    ("listen", "no socket of any family is granted, not even a pair or one of the loopback's"),
    ("SCMCredentials", "no socket of any family is granted, not even a pair or one of the loopback's"),
    ("ptrace", "no debugger: who asks for ptrace is ended as denied"), ("gdb", "no debugger: who asks for ptrace is ended as denied"),
    ("unshare", "what only an administrator does ends a function as denied"),
    ("HTTPDecoding", "no socket of any family is granted, not even a pair or one of the loopback's"),
    ("too many open files", "limits are the manifest's"),
    ("ReadFileProc", "/proc/sys is empty"), ("AtSlash", "the root is read-only"),
    ("pty", "no terminals"), ("openpt", "no terminals"), ("tcsetpgrp", "no terminals"),
    ("chroot", "what only an administrator does ends a function as denied"),
    ("clock_settime", "what only an administrator does ends a function as denied"),
    ("setres", "ids cannot be set, not even to what they are"), ("setreg", "ids cannot be set, not even to what they are"),
    ("setreu", "ids cannot be set, not even to what they are"), ("resetids", "ids cannot be set, not even to what they are"),
    ("memfd", "no memfd: files that no limit of the scratch counts"),
    ("ExtendedAttribute", "no extended attributes"),
    ("sched", "priorities are the host's"), ("riority", "priorities are the host's"),
    ("pipesize", "pipes keep their size: kernel memory"), ("F_SETPIPE", "pipes keep their size: kernel memory"),
    ("fcntl_64_bit", "F_NOTIFY: signals about others' files"),
    ("large", "a file is no larger than scratch"), ("Large", "a file is no larger than scratch"),
    ("fsync", "answered 0 without doing it: the host's disk is not a tenant's to flush"),
    ("fdatasync", "answered 0 without doing it: the host's disk is not a tenant's to flush"),
    ("flush", "answered 0 without doing it: the host's disk is not a tenant's to flush"),
    ("prlimit", "limits are the manifest's"), ("fsize", "limits are the manifest's"), ("setrusage", "limits are the manifest's"),
    ("preadv_flags", "preadv2 and pwritev2 are not there; preadv is"),
]


def reason_of(test, what):
    for word, why in KINDS:
        if word.lower() in what.lower() or word.lower() in test.lower():
            return why
    return "not explained"


def cpython_event(module):
    return {"module": module}


def contained(event, files, uid=65_533):
    """{test: outcome} in bubblewrap; None when there is none. `files`: {name below /function: path}, the first of them is run."""
    binds = [word for name, path in files.items() for word in ("--ro-bind", str(path), f"/function/{name}")]
    command = ["bwrap", "--unshare-all", "--uid", str(uid), "--gid", str(uid), "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin",
               "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--ro-bind", "/etc/ld.so.cache", "/etc/ld.so.cache",
               "--ro-bind", "/etc/alternatives", "/etc/alternatives", "--ro-bind", "/etc/ssl/certs", "/etc/ssl/certs",
               "--ro-bind", "/etc/python3.11", "/etc/python3.11", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
               *binds, "--clearenv", "--setenv", "HOME", "/tmp", "--setenv", "TMPDIR", "/tmp",
               "--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8", "--chdir", "/function",
               "/usr/bin/python3", f"/function/{next(iter(files))}"]
    try:
        done = subprocess.run(command, input=json.dumps({**event, "without": []}), capture_output=True, text=True, timeout=900)
        return json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None


def in_a_cell(host, function, event):
    """{test: outcome} in a cell. Who ends the process, by a denied call or a signal, is told so, and the others run without it."""
    ended = {}
    while len(ended) < 40:
        reply = host.invoke(function, {**event, "without": sorted(ended)}, timeout=930)
        if reply.outcome == "ok":
            return {**reply.json(), **ended}
        lines = host.logs(function, invocation=reply.headers["Bulkhead-Invocation-Id"])
        # "test.MODULE.NAME" or "test NAME", as the programs write them.
        last = next((line["text"] for line in reversed(lines) if line["text"].startswith(("test.", "test "))), None)
        last = last and last.removeprefix("test ")
        if last is None or last in ended:
            break
        problem = reply.json()
        ended[last] = f"{reply.outcome} {problem.get('syscall') or problem.get('signal') or problem.get('limit') or ''}".strip()
    return ended


def compare(outside, inside):
    """How many tests pass in the container, and {test: what came of it} of those that do not in the cell. A test within a test
    that ended the process is told as that one's end."""
    def fate(test):
        wider = [test.split("/")[0].split(" ")[0].split(":")[0], ".".join(test.split(".")[:2])]
        return next((inside[name] for name in (test, *wider) if name in inside), "no outcome")
    passed = [test for test, what in outside.items() if what == "ok"]
    return len(passed), {test: fate(test) for test in passed if inside.get(test) != "ok"}
