"""What a program finds in its cell: /proc of its own, names, devices, zone files, shared memory, locks; and nothing of the host's."""

import json
import os
import re
from pathlib import Path

import pytest

from bulkhead_host import ZIP, at_once, unique_name
from bundles import zip_of
from conftest import HERE

HOST_CPUS = len(os.sched_getaffinity(0))


@pytest.fixture
def sh(host):
    """`sh(text, interpreter, **manifest)`: what a script of this text answers."""
    def run(text, interpreter="/bin/sh", event=None, expect="ok", **query):
        name = unique_name("program")
        host.upload(name, f"#!{interpreter}\n{text}\n".encode(), query)
        return host.invoke(name, event, expect=expect).body.decode()
    return run


@pytest.fixture
def read(host, deed):
    """`read(path, **manifest)`: what a static program, in the smallest root, reads there."""
    def run(*paths, **query):
        return host.invoke(deed("cat", *paths, **query).name, expect="ok").body.decode()
    return run


# -- /proc ------------------------------------------------------------------------------------------------------------


def test_only_its_own_processes(sh):
    listed = sh("sleep 5 & ls /proc; cat /proc/[0-9]*/comm; ls -l /proc/self/exe | sed 's/.*-> //'").split("\n")
    numbers = [name for name in listed if name.isdigit()]
    assert len(numbers) == 3 and "1" not in numbers and "2" not in numbers  # the shell, sleep, ls
    assert {"sleep", "self", "thread-self"} <= set(listed)
    assert not {"sys", "kallsyms", "keys", "interrupts", "kcore", "version", "bulkhead-launch"} & set(listed)


@pytest.mark.parametrize("memory", ["64MiB", "200MiB"])
def test_memory_is_the_cells(sh, memory):
    told = sh("cat /proc/meminfo", memory=memory)
    assert int(re.search(r"^MemTotal: +(\d+) kB$", told, re.MULTILINE)[1]) == int(memory[:-3]) << 10
    assert re.search(r"^SwapTotal: +0 kB$", told, re.MULTILINE) and re.search(r"^MemAvailable: +[1-9]", told, re.MULTILINE)


def test_processors_are_those_it_may_use(sh):
    told = sh("grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat; nproc; nproc --all").split()
    assert told == [str(HOST_CPUS)] * 4
    assert "microcode" not in sh("cat /proc/cpuinfo") and "model name" in sh("cat /proc/cpuinfo")


def test_of_the_machine_it_tells_nothing(sh):
    """Nobody's load, nobody's CPU time."""
    assert sh("cat /proc/loadavg") == "0.00 0.00 0.00 1/1 1\n"
    assert re.search(r"^cpu +0 0 0 0 0", sh("cat /proc/stat"), re.MULTILINE)
    assert float(sh("cut -d' ' -f1 /proc/uptime")) > 0


def test_tools_of_every_day(sh):
    told = sh("ps -o pid,user,comm | tail -n +2; free -m | grep Mem; df /tmp | tail -1; mount | grep -c tmpfs; uptime >/dev/null && echo up")
    assert " function " in told and "Mem: " in told and "/tmp" in told and told.endswith("up\n")


def test_static_programs_find_the_same(host, compile_c):
    """In the smallest root, where nothing of /usr is."""
    program = compile_c("finds.c").read_bytes()
    name = unique_name("finds")
    host.upload(name, program, {"memory": "64MiB"})
    found = host.invoke(name, expect="ok").json()
    assert found["exe"] == f"/function/{name}" or found["exe"].startswith("/function/")
    assert found["user"] == "function" and found["home"] == "/tmp"
    assert found["memtotal"] == 64 << 10 and found["pages"] << 2 <= 64 << 10 and found["cpus"] == HOST_CPUS
    assert found["shm"] == "ok" and found["zone"] == "JST" and found["stdin"] == "null"


# -- Names, zones, devices --------------------------------------------------------------------------------------------


def test_its_user_has_a_name(sh):
    assert sh("whoami; id -un; id -gn; echo ~; getent passwd nobody | cut -d: -f1; getent hosts localhost | wc -l").split() == [
        "function", "function", "function", "/tmp", "nobody", "1"]
    assert sh("getent hosts $(hostname) | cut -d' ' -f1") == "127.0.1.1\n"
    assert sh("import socket; print(socket.gethostbyname(socket.gethostname()))", "/usr/bin/python3") == "127.0.1.1\n"
    assert sh("import getpass, pwd, os; print(getpass.getuser(), pwd.getpwuid(os.getuid()).pw_dir)", "/usr/bin/python3").split() == [
        "function", "/tmp"]


def test_nobody_of_the_hosts(sh):
    names = {line.split(":")[0] for line in sh("cat /etc/passwd /etc/group").splitlines()}
    assert names == {"root", "function", "nobody", "nogroup"}


def test_its_zone_is_utc(sh):
    assert sh("date +%Z; cat /etc/timezone; TZ=Asia/Tokyo date +%Z").split() == ["UTC", "Etc/UTC", "JST"]


def test_streams_have_names(sh, host):
    name = unique_name("streams")
    host.upload(name, b"#!/bin/sh\ncat /dev/stdin >/dev/stderr\necho out >/dev/stdout\necho three >/dev/fd/1\n")
    assert host.invoke(name, {"n": 1}, expect="ok").body == b"out\nthree\n"
    assert [line["text"] for line in host.logs(name)] == ['{"n": 1}']


def test_process_substitution(sh):
    assert sh("n=$(wc -l < <(printf 'a\\nb\\n')); echo $n; diff <(echo x) <(echo x) && echo same", "/bin/bash") == "2\nsame\n"
    assert sh("cat <<< $(head -c 80000 /dev/zero | tr '\\0' x) | wc -c", "/bin/bash") == "80001\n"


def test_shared_memory(sh):
    assert sh("from multiprocessing import shared_memory as s\n"
              "m = s.SharedMemory(create=True, size=4096); m.buf[0] = 7\n"
              "n = s.SharedMemory(name=m.name); print(n.buf[0]); n.close(); m.close(); m.unlink()", "/usr/bin/python3").split()[0] == "7"
    assert sh("import multiprocessing as m\nif __name__ == '__main__':\n with m.Pool(2) as p: print(p.map(abs, [-1, -2, -3]))",
              "/usr/bin/python3") == "[1, 2, 3]\n"


# -- cgroups ----------------------------------------------------------------------------------------------------------

FILES = {"memory": ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
         "tasks": ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max")}


def test_its_cgroup_tells_its_limits(sh, host):
    told = sh(f"cat {' '.join(FILES['memory'])} 2>/dev/null; grep -c ':/$' /proc/self/cgroup", memory="96MiB").split()
    assert told[0] == str(96 << 20) and int(told[1]) >= 1


def test_its_cgroup_cannot_be_changed(sh):
    told = sh("for file in $(find /sys/fs/cgroup -type f); do (echo 0 > $file) 2>/dev/null && echo changed $file; done; "
              "mkdir /sys/fs/cgroup/own /sys/fs/cgroup/memory/own 2>/dev/null && echo made; find /sys -name 'release_agent' -o -name notes; echo end")
    assert told == "end\n"


# -- From one invocation to the next ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dirties", [False, True], ids=["clean", "dirty"])
def test_every_invocation_is_the_first(host, dirties):
    """The same numbers, empty folders, the same times of them: whether the cell itself served before or not."""
    name = unique_name("again")
    dirt = "echo x > /tmp/x; echo x > /dev/shm/x; sleep 100 &" if dirties else "true"
    host.upload(name, f"#!/bin/sh\necho $$ $PPID; ls -A /tmp /dev/shm/.; set -- /proc/[0-9]*; echo $#; {dirt}\n".encode())
    told = {host.invoke(name, expect="ok").body for _ in range(20)}
    assert told == {b"3 1\n/dev/shm/.:\n\n/tmp:\n1\n"}, told  # the shell alone is there when it counts


def test_nothing_tells_how_many_there_were(host, compile_c):
    """Neither the times of /tmp nor the numbers of files made there."""
    name = unique_name("again")
    host.upload(name, b"#!/bin/sh\nstat -c '%h %s %i' /tmp; : > /tmp/new; stat -c %i /tmp/new\n")
    assert len({host.invoke(name, expect="ok").body for _ in range(10)}) == 1


def test_who_ends_by_a_signal_leaves_the_next_alone(host):
    """What was started beside it is gone before the cell serves again."""
    name = unique_name("again")
    host.upload(name, b"#!/bin/sh\nread what\n(while :; do echo late >> /tmp/late; sleep 0.01; done) >/dev/null 2>&1 &\n"
                      b"ls /proc | grep -c '[0-9]'\n[ \"$what\" = 1 ] && kill -9 $$\ntrue\n")
    for turn in range(10):
        reply = host.invoke(name, turn % 2, expect="signal" if turn % 2 else "ok")
        assert turn % 2 or int(reply.body) <= 5, reply.body  # the shell, its child with a sleep, ls and grep


# -- File locks -------------------------------------------------------------------------------------------------------


def test_locks_between_processes(host):
    """Of one cell: they exclude each other as the kernel's do; SQLite with three writers loses nothing."""
    name = unique_name("locks")
    host.upload(name, (HERE / "guests/locks.py").read_bytes(), {"wall": "60s", "cpu": "30s", "memory": "256MiB"})
    assert host.invoke(name, expect="ok").json() == {
        "flock": None, "flock-other": "busy", "flock-shared": "got", "flock-waits": True, "flock-waited": "waited",
        "record": None, "record-other": "busy", "record-beside": "got", "record-split": None, "record-middle": "got",
        "record-ends": "busy", "record-waited": None, "record-waits": True,
        "sqlite-exits": [0, 0, 0], "sqlite-rows": 150, "bundle": None}


def test_who_asks_for_locks_need_not_write(sh):
    """As SQLite asks of a database that it opened for reading: whether anybody holds a lock for writing."""
    assert sh("""
import fcntl, os, struct
flock, plain = "hhqqi4x", lambda kind: struct.pack("hhqqi4x", kind, 0, 100, 1, 0)
open("/tmp/f", "w").close()
(get, put), child = os.pipe(), os.fork()
if child == 0:
    with open("/tmp/f", "r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 1, 100)
        os.write(put, b"1")
        os.read(os.pipe()[0], 1)
os.read(get, 1)
with open("/tmp/f") as file:
    kind, _, start, length, owner = struct.unpack(flock, fcntl.fcntl(file, fcntl.F_GETLK, plain(fcntl.F_WRLCK)))
    print(kind == fcntl.F_WRLCK, start, length, owner == child)
    for kind in (fcntl.F_UNLCK, 7):
        try: fcntl.fcntl(file, fcntl.F_GETLK, plain(kind))
        except OSError as error: print(error.errno)
os.kill(child, 9)
""", "/usr/bin/python3") == "True 100 1 True\n22\n22\n"


def test_three_that_wait_for_each_other(sh):
    """One of them is told so (EDEADLK), and the others go on."""
    told = sh("""
import errno, fcntl, os, time
open("/tmp/f", "w").close()
for own in range(3):
    if os.fork() == 0:
        with open("/tmp/f", "r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX, 1, own)
            time.sleep(0.3 + own / 5)
            try: fcntl.lockf(file, fcntl.LOCK_EX, 1, (own + 1) % 3)
            except OSError as error: os._exit(error.errno)
            os._exit(0)
print(sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(3)))
""", "/usr/bin/python3", wall="20s")
    assert told == "[0, 0, 35]\n"


def test_who_asks_for_locks_is_told_of_the_first(sh):
    """Neighbours are one lock, in the order of the file; and who asks about no file is told so."""
    assert sh("""
import ctypes, fcntl, os, struct
open("/tmp/f", "w").close()
(get, put), child = os.pipe(), os.fork()
if child == 0:
    with open("/tmp/f", "r+") as file:
        for start in (50, 12, 10, 11, 30):
            fcntl.lockf(file, fcntl.LOCK_EX, 1, start)
        os.write(put, b"1")
        os.read(os.pipe()[0], 1)
os.read(get, 1)
with open("/tmp/f") as file:
    print(struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0)))[1:4])
libc = ctypes.CDLL(None, use_errno=True)
for call in (lambda: libc.flock(77, 2), lambda: libc.fcntl(77, fcntl.F_SETLK, ctypes.create_string_buffer(32))):
    call(); print(ctypes.get_errno())
os.kill(child, 9)
""", "/usr/bin/python3") == "(0, 10, 3)\n9\n9\n"


def test_locks_end_at_the_cell(host, sh):
    """On what others see too, nobody's lock is anybody else's."""
    name = unique_name("locks")
    host.upload(name, b"#!/bin/sh\nexec 9< /usr/bin/env\nflock -n 9 || exit 3\nsleep 1\n", {"wall": "10s"})
    replies = at_once([lambda: host.invoke(name)] * 2)
    assert [reply.outcome for reply in replies] == ["ok", "ok"]
    locked = Path("/proc/locks").read_text()
    assert str(os.stat("/usr/bin/env").st_ino) not in re.findall(r":(\d+) ", locked)


def test_many_locks_are_not_the_kernels(sh):
    """As many record locks as somebody asks for: they end at a thousand, in the watcher, not in the kernel's memory."""
    told = sh("import fcntl, os\nf = open('/tmp/f', 'w+'); n = 0\ntry:\n while n < 5000: fcntl.lockf(f, 2 | 4, 1, 2 * n); n += 1\n"
              "except OSError as e: print(n, e.errno)", "/usr/bin/python3", wall="20s")
    assert re.fullmatch(r"10[0-9][0-9] 37\n", told), told


# -- Libraries beside the program -------------------------------------------------------------------------------------


def test_origin(host, compile_c, tmp_path):
    """RUNPATH $ORIGIN/lib, and the library in the bundle."""
    import subprocess
    (tmp_path / "lib").mkdir()
    (tmp_path / "x.c").write_text("int answer(void) { return 42; }\n")
    (tmp_path / "main.c").write_text("#include <stdio.h>\nint answer(void);\nint main(void) { printf(\"%d\\n\", answer()); }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", "lib/libx.so", "x.c"], cwd=tmp_path, check=True)
    subprocess.run(["gcc", "-o", "main", "main.c", "-Llib", "-lx", "-Wl,-rpath,$ORIGIN/lib"], cwd=tmp_path, check=True)
    files = {"function.yaml": b"run: ./main\n", "main": ((tmp_path / "main").read_bytes(), 0o755),
             "lib/libx.so": ((tmp_path / "lib/libx.so").read_bytes(), 0o755)}
    name = unique_name("origin")
    host.upload(name, zip_of(files), content_type=ZIP)
    assert host.invoke(name, expect="ok").body == b"42\n"


COPIES = {
    "node": "const f = require('fs'); f.copyFileSync(process.argv[1], '/tmp/y'); f.cpSync('/function', '/tmp/z', {recursive: true});"
            " f.promises.copyFile('/tmp/y', '/tmp/q').then(() => console.log(f.readdirSync('/tmp').sort().join()))",
    "sh": "cp $0 /tmp/y; cp -r /function /tmp/z; mv /tmp/y /tmp/q; cp /tmp/q /tmp/y; tar cf - /function 2>/dev/null | tar tf - >/dev/null; ls /tmp | paste -sd,",
    "perl": "use File::Copy; copy($0, '/tmp/y') or die; copy('/tmp/y', '/tmp/q') or die; mkdir '/tmp/z'; print join(',', map { s!.*/!!r } sort glob('/tmp/*')), qq(\\n)",
    "python3": "import os, shutil, sys\nshutil.copy(sys.argv[0], '/tmp/y'); shutil.copytree('/function', '/tmp/z'); shutil.move(shutil.copy('/tmp/y', '/tmp/p'), '/tmp/q')\nprint(','.join(sorted(os.listdir('/tmp'))))",
    "php": "<?php copy(__FILE__, '/tmp/y'); copy('/tmp/y', '/tmp/q'); mkdir('/tmp/z'); echo implode(',', array_diff(scandir('/tmp'), ['.', '..']));",
    "ruby": "require 'fileutils'; FileUtils.cp($0, '/tmp/y'); IO.copy_stream('/tmp/y', '/tmp/q'); FileUtils.cp_r('/function', '/tmp/z'); puts Dir.children('/tmp').sort.join(',')",
}


@pytest.mark.parametrize("language", COPIES)
def test_copies(sh, language):
    """Each has its own way to have the kernel copy a file, and one of its own for when that will not."""
    import shutil
    if shutil.which(language, path="/usr/bin:/bin"):
        assert sh(COPIES[language], "/usr/bin/env " + language, memory="512MiB", wall="20s").strip() == "q,y,z"
    else:
        assert language == "node", f"{language} is installed by Tests/run"


def test_policy_says_so(host, bulkhead):
    name = unique_name("says")
    host.upload(name, b"#!/bin/sh\ntrue\n")
    told = json.dumps(host.get(f"/v1/functions/{name}/policy").json()["sentences"])
    assert "/proc of its own processes" in told and "/dev/shm" in told
