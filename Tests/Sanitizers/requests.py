"""Talks to a launcher as a supervisor that has been taken over would: every plan and request is wrong in some way.

The launcher trusts nothing of what it is told. It must answer each with a failure that names the stage, start nothing,
and serve the next sound request. Run against a sanitized build: a bad read ends it, and so the test.
"""
import errno
import itertools
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import zlib

from filters import CALLS, CONNECTED as WITH_NETWORK, PROFILE, SOUND, TABLE, UNTIL_LOCKED, program, table, wrong_filters
from launcher import (CLEAR, CONNECT, CONNECTED, DENIED, DIGEST, EXITED, GONE, KILL, LISTENER, LOCK, LOCKED, MAGIC, MOUNT_SOURCE,
                      ONCE, OWN_NETWORK, PLAN, PLAN_SIZE, SECCOMP, SECRETS_MAX,
                      STARTED, STDIO, TRUE, Launcher, granting, make_plan)

ESCAPE = "/var/tmp/bulkhead-requests-escape"
SIGPENDING, MSGQUEUE, NICE, RTPRIO = 11, 12, 13, 14
# Of a guest that is to be locked; what it needs to start is among them.
LOST = ("openat", "open", "execve", "execveat", "clone", "fork", "wait4", "recvmsg", "dup2", "kill", "arch_prctl", "prlimit64")


def guest(role):
    """The bundle's program with its role as an argument, see guest.c."""
    return [*TRUE[:2], role, *TRUE[3:]]


def hash_of(*what):
    return zlib.crc32(repr(what).encode())


def wrong_plans():
    yield b""
    yield b"\0" * PLAN_SIZE
    yield make_plan()[:-1]
    yield make_plan() + b"x"
    for field in ("magic", "version", "size", "args", "env", "mount_count", "rlimits", "filters", "filter_at", "strings_at",
                  "strings_size", "memory", "tasks", "weight", "secrets_at", "secrets_size"):
        for value in (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 65, 4097, 3):
            is_sound = field in ("weight", "tasks", "rlimits") and value < 10000 or field == "memory" and value > 1 << 20
            plan = make_plan(**{field: value})
            if not is_sound and plan != make_plan():
                yield plan
    yield make_plan(filter_at=PLAN_SIZE + 1)
    yield make_plan(strings=b"host\0/function/true\0/function/true\0A=b\0" + DIGEST.encode() + b"\0/function")
    for index, texts in {
        0: ["", "a b", "A", "x" * 64, "a/b"],
        1: ["", "true", "/../true", "/function/../true", "/function//true", "/" + "x" * 300],
        4: ["", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 65, "/" + "a" * 63, DIGEST + "/", DIGEST + "/..", DIGEST + "/../" + DIGEST, DIGEST + "//true", DIGEST + "/./true",
            DIGEST + "/none", DIGEST + "/true/none"],
        5: ["", "/", "function", "/../x", "/a/../../x", "/a/./b", "/" + "a/" * 600],
    }.items():
        for text in texts:
            strings = ["host", "/function/true", "/function/true", "A=b", DIGEST, "/function"]
            strings[index] = text
            yield make_plan(strings=strings)
    for path in ("/", "/proc", "/proc/self/root", "/sys/kernel", "/dev/null", "/nothing/here", "/proc/1/root/etc"):
        yield make_plan(strings=["host", "/function/true", "/function/true", "A=b", path, "/function"], mounts=((2, 0),))
    # A link out of the root, and then mount points and links below it: they would land on the host, made by root.
    for second in ((3, 0), (2, 0)):
        strings = ["host", "/function/true", "/function/true", "A=b", ESCAPE, "/x", "/usr/bin", "/x/made"]
        yield make_plan(strings=strings, mounts=((3, 0), second))
    yield make_plan(mounts=((9, 0),))
    yield make_plan(strings=["host", "/function/none", "x", "A=b", DIGEST, "/function"])
    yield make_plan(strings=["host", "/dev/null", "x", "A=b", DIGEST, "/function"])
    yield make_plan(flags=64)
    within = len(make_plan(secrets=b"x"))
    for at, size in ((PLAN_SIZE - 1, 1), (within - 1, 2), (within, 1), (within + 1, 1), (1 << 31, 1 << 31), (0xFFFFFFFF, 1)):
        yield make_plan(secrets=b"x", secrets_at=at, secrets_size=size)
    yield make_plan(secrets=b"x" * (SECRETS_MAX + 1))
    for wrong in (dict(listener=9001), dict(listener=1 << 16, flags=OWN_NETWORK), dict(reserved=1)):
        yield make_plan(**wrong)


def check_limits(launcher):
    """What a worker may take of what no cgroup counts: never more than the launcher's own."""
    too_much = {
        resource.RLIMIT_CORE: 1, resource.RLIMIT_NOFILE: 1 << 20, resource.RLIMIT_MEMLOCK: 1 << 30,
        resource.RLIMIT_NPROC: 10, resource.RLIMIT_FSIZE: (1 << 20) + 1, resource.RLIMIT_STACK: 1 << 40,
        SIGPENDING: 1 << 20, MSGQUEUE: 1, NICE: 1, RTPRIO: 1,
    }
    for number, value in too_much.items():
        for raised in (value, 1 << 63, (1 << 64) - 1):
            launcher.refused(make_plan(limits=[(number, raised)]), PLAN, errno.EPERM)
    for odd in ([(resource.RLIMIT_DATA, 1 << 20)], [(16, 0)], [(1 << 31, 0)], [(0, 5), (0, 5)], [(15, 0)]):
        launcher.refused(make_plan(limits=odd), PLAN, errno.EINVAL)
    # Those that a plan leaves out are set all the same: the guest looks.
    launcher.works(plan=make_plan(strings=guest("limits")))
    return 3 * len(too_much) + 5


def check_streams(launcher, folder):
    """Pipes and the null device are all that becomes a worker's."""
    file = os.open(os.path.join(folder, "file"), os.O_RDWR | os.O_CREAT)
    named = os.path.join(folder, "named")
    os.mkfifo(named)
    pair, inet = socket.socketpair(), socket.socket()
    master, slave = os.openpty()
    wrong = [pair[0].fileno(), inet.fileno(), file, os.open(named, os.O_RDWR), os.open("/dev/zero", os.O_RDWR), master, slave,
             os.open(folder, os.O_RDONLY), os.eventfd(0), os.memfd_create("x")]
    for place, fd in itertools.product(range(3), wrong):
        streams = [None] * 3
        streams[place] = fd
        launcher.begin(make_plan(), streams)
        launcher.assert_refused(launcher.until(GONE), STDIO, errno.EINVAL)
    for fd in [file, master, slave, *wrong[3:5], *wrong[7:]]:
        os.close(fd)
    for one in (*pair, inet):
        one.close()
    return 3 * len(wrong)


def check_grants(launcher, folder):
    """A grant is what the cell's own user may read, and no file of the kernel's, by whatever name."""
    private, shared = (os.path.join(folder, name) for name in ("private", "shared"))
    for place, mode in ((private, 0o700), (shared, 0o755)):
        os.makedirs(os.path.join(place, "inner"))
        os.chmod(place, mode)
        with open(os.path.join(place, "file"), "w") as file:
            file.write("x")
        os.chmod(file.name, 0o644)
    os.chmod(folder, 0o755)
    closed = os.path.join(shared, "closed")
    with open(closed, "w"):
        os.chmod(closed, 0o640)
    os.mkdir(unsearched := os.path.join(shared, "unsearched"))
    os.chmod(unsearched, 0o744)
    os.symlink(os.path.join(private, "file"), os.path.join(shared, "to-private"))
    for name, target in (("proc", "/proc/meminfo"), ("sys", "/sys/kernel"), ("dev", "/dev"), ("magic", "/proc/self/root/etc")):
        os.symlink(target, os.path.join(shared, name))
    os.mkfifo(os.path.join(shared, "fifo"), 0o666)
    os.chmod(os.path.join(shared, "fifo"), 0o666)
    refused = [os.path.join(private, "file"), os.path.join(private, "inner"), private, closed, unsearched,
               *(os.path.join(shared, name) for name in ("to-private", "proc", "sys", "dev", "fifo"))]
    for path in refused:
        launcher.refused(granting(path), MOUNT_SOURCE, errno.EACCES)
    launcher.refused(granting(os.path.join(shared, "magic")), MOUNT_SOURCE)
    for path in (shared, os.path.join(shared, "file"), os.path.join(shared, "inner"), "/usr/lib"):
        launcher.works(plan=granting(path))
    return len(refused) + 1


def check_lock(launcher):
    """Calls that are allowed until the lock: what the guest opens before it is there, and afterwards ends it."""
    until = program(SOUND, dict.fromkeys((CALLS[name] for name in LOST), UNTIL_LOCKED))
    for version in (0, 400, 400, 400):  # also in a cell that waits for its streams with the filter on
        for role, spares, locks, ends_denied in (("open", 0, False, False), ("open", 0, True, True), ("open", 4, True, False),
                                                 ("fork", 4, False, False), ("fork", 4, True, True)):
            give, take = os.pipe(), os.pipe()
            plan = make_plan(strings=guest(role), filter_bytes=until, flags=spares)
            launcher.begin(plan, [give[0], take[1], None], version and version + hash_of(role, spares))
            os.close(give[0])
            os.close(take[1])
            launcher.until(STARTED)
            assert os.read(take[0], 1) == b"r", "the guest opened nothing"
            if locks:
                launcher.tell(LOCK)
                launcher.until(LOCKED)
            os.write(give[1], b"g")
            end = next(event for event in launcher.until(GONE) if event["kind"] == EXITED)
            assert bool(end["flags"] & DENIED) == ends_denied, (role, spares, locks, version, end)
            assert ends_denied or end["status"] == 0, (role, spares, locks, version, end)
            os.close(give[1])
            os.close(take[0])
        # Told before anything has started: it holds all the same.
        for _ in range(3):
            give, take = os.pipe(), os.pipe()
            launcher.begin(make_plan(strings=guest("open"), filter_bytes=until), [give[0], take[1], None],
                           version=version and version + 1)
            launcher.tell(LOCK)
            events = launcher.until(LOCKED)
            os.write(give[1], b"g")
            events += launcher.until(GONE)
            assert any(event["flags"] & DENIED for event in events if event["kind"] == EXITED), events
            for fd in (*give, *take):
                os.close(fd)


def check_network(launcher):
    """Two cells at the same ports, each in a network of its own, which nobody reaches but by what the launcher hands out."""
    serving = dict(strings=guest("serve"), filter_bytes=program(WITH_NETWORK), flags=OWN_NETWORK, listener=9001)
    launcher.refused(make_plan(**serving | dict(flags=0, listener=0)), SECCOMP)
    launcher.refused(make_plan(flags=OWN_NETWORK), SECCOMP)  # getsockopt without a look at what is asked
    cells = []
    for _ in range(2):
        give, take, handed = os.pipe(), os.pipe(), []
        launcher.begin(make_plan(**serving), [give[0], take[1], None])
        os.close(give[0])
        os.close(take[1])
        assert launcher.until(STARTED, handed)[-1]["flags"] == LISTENER and len(handed) in (1, 3), handed
        assert os.read(take[0], 1) == b"r", "it does not serve"
        cells.append((launcher.cell, give[1], take[0], socket.socket(fileno=handed.pop())))
        for fd in handed:
            os.close(fd)
    for port in (8080, 9001):
        try:
            socket.create_connection(("127.0.0.1", port), 1)
            raise AssertionError("the host reaches a cell's port")
        except ConnectionRefusedError:
            pass
    for launcher.cell, give, take, listener in cells:
        handed = []
        for port, error in ((0, errno.EINVAL), (1 << 16, errno.EINVAL), (8081, errno.ECONNREFUSED), (8080, 0)):
            launcher.tell(CONNECT, port)
            event = launcher.until(CONNECTED, handed)[-1]
            assert event["error"] == error and len(handed) == (not error), (port, event, handed)
        with socket.socket(fileno=handed[0]) as connection:
            connection.setblocking(True)
            connection.settimeout(10)
            connection.sendall(b"!")
            assert connection.recv(9) == b"!", "the worker does not answer"
        listener.settimeout(10)
        with listener, listener.accept()[0] as caller:
            assert caller.recv(9) == b"c", "the worker does not call"
        os.close(give)
        end = next(event for event in launcher.until(GONE) if event["kind"] == EXITED)
        assert end["status"] == 0, end
        os.close(take)
    # Of a cell without one, or of none.
    give, take = os.pipe(), os.pipe()
    launcher.begin(make_plan(strings=guest("open")), [give[0], take[1], None])
    launcher.until(STARTED)
    launcher.tell(CONNECT, 8080)
    assert launcher.until(CONNECTED)[-1]["error"] == errno.ENONET
    launcher.tell(KILL)
    launcher.until(GONE)
    launcher.tell(CONNECT, 8080)
    for fd in (*give, *take):
        os.close(fd)
    # More than are kept ready, and none is left.
    before = len(os.listdir(f"/proc/{launcher_pid(launcher)}/fd"))
    for _ in range(40):
        launcher.launch(make_plan(**serving | dict(strings=TRUE)))
    assert len(os.listdir(f"/proc/{launcher_pid(launcher)}/fd")) <= before + 8, "a descriptor of a network is left"
    return 2


def check_secrets(launcher):
    """What a worker is given in secret stands behind one descriptor, sealed, whatever its limits are, in new cells and in those
    that serve again; and who is given nothing finds nothing there. The guest looks."""
    for size in (0, 1, 4096, 70_000, SECRETS_MAX):
        plan = dict(strings=[*TRUE[:2], "secrets", str(size), *TRUE[3:]], args=2, secrets=bytes(i * 7 % 256 for i in range(size)))
        few = [(resource.RLIMIT_FSIZE, 1), (resource.RLIMIT_NOFILE, 64)]
        launcher.works(plan=make_plan(**plan, limits=few))
        for flags in (0, ONCE):
            for _ in range(4):
                launcher.works(500 + hash_of(size, flags), make_plan(**plan, flags=flags))


def launcher_pid(launcher):
    """Of the keeper's child."""
    with open(f"/proc/{launcher.keeper.pid}/task/{launcher.keeper.pid}/children") as children:
        return int(children.read().split()[0])


def check_caps(launched, folder):
    """What the command line says, a plan cannot exceed."""
    launcher = Launcher(launched, os.path.join(folder, "bundles"), "--max-memory", str(256 << 20), "--max-tasks", "8",
                        "--max-scratch", str(1 << 20), "--max-files", "64")
    wrong = [make_plan(memory=(256 << 20) + 1), make_plan(tasks=9), make_plan(scratch=(1 << 20) + 1),
             make_plan(limits=[(resource.RLIMIT_NOFILE, 65)])]
    for plan in wrong:
        launcher.refused(plan, PLAN, errno.EPERM)
    launcher.works(plan=make_plan(scratch=1 << 20, limits=[(resource.RLIMIT_NOFILE, 64)]))
    launcher.close()
    for option in ("--max-memory", "--max-tasks", "--max-scratch", "--max-files"):
        for value in ("0", "-1", "x", "1k", "", str(1 << 60), str(1 << 70)):
            assert subprocess.run([launched, option, value]).returncode == 2
    return len(wrong)


def main():
    launched = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="bulkhead-requests-") as folder:
        bundle = os.path.join(folder, "bundles", DIGEST)
        os.makedirs(bundle)
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest.c")
        subprocess.run(["gcc", "-static", "-O1", source, "-o", os.path.join(bundle, "true")], check=True)
        launcher = Launcher(launched, os.path.join(folder, "bundles"))
        launcher.works()
        assert table(PROFILE) == TABLE.read_text(), "profile_table.h is stale: run sandbox/profiles/table.py"
        os.makedirs(ESCAPE, exist_ok=True)
        count = 0
        for plan in wrong_plans():
            launcher.refused(plan)
            count += 1
        for sound, flags in ((SOUND, 0), (WITH_NETWORK, OWN_NETWORK)):
            for filter_bytes in wrong_filters(sound):
                launcher.refused(make_plan(filter_bytes=filter_bytes, flags=flags), SECCOMP)
                count += 1
        count += check_network(launcher)
        count += check_limits(launcher) + check_streams(launcher, folder)
        for how in (dict(fd_count=3), dict(fd_count=1), dict(kind=KILL), dict(kind=3), dict(kind=CLEAR),
                    dict(kind=77), dict(message=b"short"),
                    dict(message=b"x" * 4000), dict(seals=0), dict(seals=0x2)):
            launcher.refused(make_plan(), **how)
            count += 1
        # Cells that serve their version again, and what a name for it can be made to do.
        for version, once in ((7, 0), (6, 32)):
            for _ in range(30):
                launcher.works(version, make_plan(flags=once))
            for _ in range(5):
                launcher.works_at_once(40, version, once)
        for kind in (KILL, CLEAR, 3):
            launcher.socket.send(struct.pack("=IIQQ", MAGIC, kind, launcher.cell, 7))  # it is over
            launcher.socket.send(struct.pack("=IIQQ", MAGIC, kind, 1 << 63, 7))
        for version in range(8, 200):  # more than the launcher keeps in mind
            launcher.works(version=version)
        for number in range(100):  # more functions than directories are kept for
            for name, version in ((f"function-{number}", (1 << 40) + number % 70), ("x" * 60 + str(number), 0)):
                launcher.works(version=version, plan=make_plan(strings=[name, *TRUE[1:]]))
        for plan in itertools.islice(wrong_plans(), 40):
            launcher.refused(plan, version=300)
        launcher.works(version=300)
        check_lock(launcher)
        check_secrets(launcher)
        # Inside the data directory, by its real path: never, whatever it is called.
        strings = ["host", "/function/true", "/function/true", "A=b", folder, "/function"]
        launcher.refused(make_plan(strings=strings, mounts=((2, 0),)))
        # Random damage: refused or harmless, never fatal to the launcher.
        generator = random.Random(1)
        sound = make_plan()
        for _ in range(400):
            plan = bytearray(sound)
            for _ in range(generator.randrange(1, 4)):
                plan[generator.randrange(len(plan))] = generator.randrange(256)
            launcher.launch(bytes(plan))
            count += 1
        launcher.works()
        assert os.listdir(ESCAPE) == [], "a cell's root reached the host"
        os.rmdir(ESCAPE)
        launcher.close()
        # Once more in a folder that is no host's data directory.
        count += check_caps(launched, folder)
        with tempfile.TemporaryDirectory(prefix="bulkhead-grants-") as granted:
            launcher = Launcher(launched, os.path.join(folder, "bundles"))
            count += check_grants(launcher, granted)
            launcher.close()
    print(f"launcher: {count} wrong requests refused, the next sound one served")


main()
