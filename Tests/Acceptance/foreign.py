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

# Why a test that passes in the container does not in a cell: by a word of what came of it, or of its name, in any case of letters.
KINDS = {
    "no socket of any family is granted, not even a pair or one of the loopback's (Node has the loopback's: TCP, but no UDP, Unix or netlink)": [
        "socket", "Address family", "forkserver", "test_audit", "interface_addresses", "listen", "SCMCredentials",
        "HTTPDecoding", "EAFNOSUPPORT", "dgram", "udp", "cluster-eaccess", "test-net-", "test-pipe-", "test-dns"],
    "sendfile, splice, copy_file_range: refused, pages of files in pipes were a way to write them; libraries copy by themselves": [
        "sendfile", "splice", "copy_file_range"],
    "no System V IPC: what it makes outlives processes": ["msg.t", "sem.t", "shm.t", "shmget"],
    "/proc/sys is empty": ["/proc/sys", "ftruncate03", "test_fs_", "ReadFileProc"],
    "no other processes than its own": ["/proc/1/"],
    "the kernel's configuration is not told": ["kconfig"],
    "leases and O_ASYNC: signals about others' files": ["SETLEASE", "O_ASYNC"],
    "no locks of open files (OFD): those of processes and flock(2) are kept": [",38,"],
    "a command that fcntl(2) does not know is ENOSYS": ["F_BADCMD", "F_CREATED_QUERY"],
    "a lock is seen as released when its file is closed altogether, not with the first of several descriptors": [
        "fcntl14", "fcntl15"],
    "futex_waitv is not there; libraries take futex": ["waitv"],
    "limits are the manifest's": ["fork() failed", "kill11", "walbig", "too many open files", "EMFILE", "spawnsync-validation", "node-options", "init-failure", "env-var-no-warnings", "timeout-agent", "prlimit", "fsize", "setrusage"],
    "no inotify: it tells of what others read in the same files": [
        "test-fs-watch", "'watch'", "options-immutable", "promises-watch"],
    "no terminals": ["Pty", "openpt", "tcsetpgrp"],
    "a file is no larger than scratch": ["test_mmap", "test-fs-readfile.js", "large"],
    "no extended attributes": ["open13", "ExtendedAttribute"],
    "O_DIRECT is refused: each read would be one of the disk's": ["16384"],
    "no debugger: who asks for ptrace is ended as denied": ["ptrace", "gdb"],
    "what only an administrator does ends a function as denied": ["unshare", "chroot", "clock_settime"],
    "the root is read-only": ["AtSlash"],
    "ids cannot be set, not even to what they are": ["setres", "setreg", "setreu", "resetids"],
    "no memfd: files that no limit of the scratch counts": ["memfd"],
    "priorities are the host's": ["sched", "riority"],
    "pipes keep their size: kernel memory": ["pipesize", "F_SETPIPE"],
    "F_NOTIFY: signals about others' files": ["fcntl_64_bit"],
    "answered 0 without doing it: the host's disk is not a tenant's to flush": ["fsync", "fdatasync", "flush", "test-fs-error-messages"],
    "preadv2 and pwritev2 are not there; preadv is": ["preadv_flags"],
}


def reason_of(test, what):
    told = f"{what} {test}".lower()
    return next((why for why, words in KINDS.items() if any(word.lower() in told for word in words)), "not explained")


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
