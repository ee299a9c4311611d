"""Uses of Python's standard library that reach the kernel, for test_needs.py: run under strace, outside any cell."""

import asyncio
import mmap
import multiprocessing
import os
import pathlib
import resource
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time


def contents(fd):
    os.preadv(fd, [bytearray(9)], 0, os.RWF_HIPRI)
    os.pwritev(fd, [b"z"], 0, os.RWF_SYNC)
    os.pread(fd, 9, 0), os.pwrite(fd, b"y", 1), os.readv(fd, [bytearray(9)]), os.writev(fd, [b"a"])
    os.fsync(fd), os.fdatasync(fd), os.ftruncate(fd, 100), os.posix_fallocate(fd, 0, 200)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    os.fchmod(fd, 0o600), os.fchown(fd, -1, -1), os.fstatvfs(fd), os.isatty(fd), os.set_blocking(fd, True)
    os.dup(fd), os.dup2(fd, 50), os.dup2(fd, 51, False)
    with mmap.mmap(fd, 0) as memory:
        memory.madvise(mmap.MADV_WILLNEED)
        memory.flush()
        memory.resize(8192)


def files():
    os.truncate("one", 50), os.chmod("one", 0o644), os.chown("one", -1, -1), os.lchown("one", -1, -1), os.utime("one")
    os.umask(0o22), os.access("one", os.R_OK), os.access("one", os.R_OK, effective_ids=True)
    os.link("one", "two"), os.symlink("one", "three"), os.readlink("three"), os.rename("two", "four")
    os.remove("four"), os.mkfifo("fifo"), os.mknod("regular"), os.mkdir("d"), os.rmdir("d"), os.statvfs(".")
    here = os.open(".", os.O_RDONLY)
    os.mkdir("e", dir_fd=here), os.rename("e", "f", src_dir_fd=here, dst_dir_fd=here), os.rmdir("f", dir_fd=here)
    os.link("one", "l", src_dir_fd=here), os.symlink("one", "s", dir_fd=here), os.readlink("s", dir_fd=here)
    os.unlink("s", dir_fd=here), os.chmod("one", 0o644, dir_fd=here), os.chown("one", -1, -1, dir_fd=here)
    os.mknod("n", dir_fd=here), os.listdir(here), os.fchdir(here), os.closerange(60, 70)
    shutil.copytree(".", "../copied", ignore=shutil.ignore_patterns("fifo"))
    database = sqlite3.connect("database")
    database.execute("create table numbers (number)")
    database.commit()


def child(act):
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(0)
    return pid


def processes():
    subprocess.run(["true"], check=True)
    subprocess.run("true | cat", shell=True, start_new_session=True, check=True)
    os.posix_spawn("/bin/true", ["true"], {})
    os.wait()
    sleeper = subprocess.Popen(["sleep", "9"])
    sleeper.terminate()
    sleeper.wait()
    pid = child(lambda: os.setpgid(0, 0))
    signal.pidfd_send_signal(os.pidfd_open(pid), 0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    os.waitpid(pid, 0)
    os.wait4(child(lambda: os.execve(os.open("/bin/true", os.O_RDONLY), ["true"], {})), 0)
    os.waitpid(child(os.setsid), 0)
    with multiprocessing.Pool(2) as pool:
        pool.map(abs, [1, -1])


async def waiting():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    await (await asyncio.create_subprocess_exec("true")).wait()
    await asyncio.sleep(0.01)
    await loop.run_in_executor(None, time.sleep, 0)


def descriptors():
    left, right = socket.socketpair()
    left.send(b"x"), right.recv(9), left.sendmsg([b"x"]), right.recvmsg(9)
    left.getsockname(), left.getpeername(), left.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), left.settimeout(1)
    left.shutdown(socket.SHUT_RDWR)
    _, end = os.pipe()
    select.select([], [end], [], 0)
    poll, epoll = select.poll(), select.epoll()
    poll.register(end), poll.poll(0), epoll.register(end), epoll.poll(0)
    os.eventfd_read(os.eventfd(1))


def signals():
    for number in (signal.SIGALRM, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    signal.pause()
    signal.getitimer(signal.ITIMER_REAL), signal.alarm(0)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    signal.raise_signal(signal.SIGUSR2), signal.sigpending(), signal.sigtimedwait([signal.SIGUSR2], 0)


def questions():
    resource.getrusage(resource.RUSAGE_SELF), resource.prlimit(0, resource.RLIMIT_CORE), os.cpu_count()
    os.sched_setaffinity(0, os.sched_getaffinity(0)), os.sched_yield(), os.sched_getparam(0), os.sched_getscheduler(0)
    os.sched_get_priority_max(1), os.sched_get_priority_min(1), os.getpriority(os.PRIO_PROCESS, 0), os.nice(1)
    os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getresuid(), os.getresgid(), os.getgroups(), os.getpid()
    os.getppid(), os.getpgid(0), os.getpgrp(), os.getsid(0), os.uname(), os.urandom(9), os.getloadavg(), os.getcwd()
    time.process_time(), os.times(), threading.get_native_id()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/work")
        os.chdir(f"{folder}/work")
        pathlib.Path("one").write_bytes(bytes(9000))
        with open("one", "r+b") as file:
            contents(file.fileno())
        files()
        processes()
        asyncio.run(waiting())
        descriptors()
        signals()
        questions()
        thread = threading.Thread(target=time.sleep, args=(0.01,))
        thread.start()
        thread.join()
        os.chdir("/")
