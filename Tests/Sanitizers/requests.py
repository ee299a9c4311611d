"""Talks to a launcher as a supervisor that has been taken over would: every plan and request is wrong in some way.

The launcher trusts nothing of what it is told. It must answer each with a failure that names the stage, start nothing,
and serve the next sound request. Run against a sanitized build: a bad read ends it, and so the test.
"""
import fcntl
import itertools
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile

HEADER_FILE = os.path.join(os.path.dirname(__file__), "../../sandbox/abi/include/bulkhead_launcher_abi.h")
with open(HEADER_FILE) as text:
    VERSION = int(re.search(r"#define BH_ABI_VERSION (\d+)u", text.read())[1])
MAGIC = 0x42484B44
EVENT = "=IIQIiiiIIQQQQQQqQQQ5Q"
HEADER = "=IIIIQQ" + "I" * 12
PLAN_SIZE = struct.calcsize(HEADER) + 16 * 16 + 64 * 8
LAUNCH, KILL, CLEAR = 1, 2, 4
FAILED, EXITED, GONE = 3, 4, 5
DIGEST = "a" * 64
ESCAPE = "/var/tmp/bulkhead-requests-escape"


def instructions(*rows):
    return b"".join(struct.pack("=HBBI", *row) for row in rows)


LOAD, AND, JUMP, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x54, 0x05, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL_PROCESS, LOG, TRACE = 0x7FFF0000, 0x80000000, 0x7FFC0000, 0x7FF00000
ALLOW_ALL = instructions((RETURN, 0, 0, ALLOW))
NAMESPACES = 0x7E020000


def forbidden():
    """The numbers of the launcher's floor, out of its text and the kernel's header."""
    with open(os.path.join(os.path.dirname(__file__), "../../sandbox/launcher/floor.c")) as text:
        names = re.findall(r"SYS_(\w+)", text.read().split("forbidden[] = {")[1].split("};")[0])
    with open("/usr/include/x86_64-linux-gnu/asm/unistd_64.h") as text:
        known = {"open_tree_attr": "467"} | dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", text.read()))
    return [int(known[name]) for name in names]


def all_but(denied, clone_mask=NAMESPACES):
    """A program that allows every call except these and clone with namespaces."""
    checks = [(EQUAL, 0, 1, number) for number in denied]
    rows = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, 0xC000003E), (RETURN, 0, 0, KILL_PROCESS), (LOAD, 0, 0, 0),
            (AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, KILL_PROCESS)]
    for check in checks:
        rows += [check, (RETURN, 0, 0, KILL_PROCESS)]
    rows += [(EQUAL, 0, 3, 56), (LOAD, 0, 0, 16), (ANY_BIT, 0, 1, clone_mask), (RETURN, 0, 0, KILL_PROCESS),
             (RETURN, 0, 0, ALLOW)]
    return instructions(*rows)


def make_plan(strings=None, mounts=((1, 0),), filter_bytes=all_but(forbidden()), **fields):
    """A sound plan, but for what is given."""
    if strings is None:
        strings = ["host", "/function/true", "/function/true", "A=b", DIGEST, "/function"]
    text = b"".join(item.encode() + b"\0" for item in strings) if isinstance(strings, list) else strings
    values = dict(
        magic=MAGIC, version=VERSION, size=PLAN_SIZE + len(filter_bytes) + len(text), flags=0, memory=64 << 20, scratch=0,
        inodes=64, tasks=8, weight=100, args=1, env=1, mount_count=len(mounts), rlimits=0, filters=len(filter_bytes) // 8,
        filter_at=PLAN_SIZE, strings_at=PLAN_SIZE + len(filter_bytes), strings_size=len(text), pad=0)
    values.update(fields)
    header = struct.pack(HEADER, *values.values()) + bytes(256)
    header += b"".join(struct.pack("=II", *mount) for mount in mounts).ljust(512, b"\0")
    return header + filter_bytes + text


def memory_file(data, seals=0xE):
    fd = os.memfd_create("plan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, 1033, seals)
    return fd


class Launcher:
    def __init__(self, program, store):
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = os.open(store, os.O_RDONLY | os.O_DIRECTORY)
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in (theirs.fileno(), folder)]

        def arrange():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.keeper = subprocess.Popen(
            [program, "--first-uid", "710000001", "--ready", "4", "--total-memory", str(1 << 30), "--total-tasks", "4000"],
            preexec_fn=arrange, close_fds=False)
        for fd in high + [folder]:
            os.close(fd)
        theirs.close()
        self.control = control
        self.socket, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        socket.send_fds(control, [b"x"], [end.fileno()])
        end.close()
        self.event()
        self.cell = 0

    def event(self):
        data, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
        assert data, "the launcher died"
        for fd in fds:
            os.close(fd)
        names = "magic kind cell stage error pid status".split()
        return dict(zip(names, struct.unpack(EVENT, data)))

    def launch(self, plan, kind=LAUNCH, fd_count=4, seals=0xE, message=None, version=0):
        """Sends a launch and returns the events up to the cell's end."""
        self.cell += 1
        null = os.open("/dev/null", os.O_RDWR)
        fds = [memory_file(plan, seals), null, null, null, null][:fd_count]
        data = message if message is not None else struct.pack("=IIQQ", MAGIC, kind, self.cell, version)
        socket.send_fds(self.socket, [data], fds)
        for fd in set(fds) | {null}:
            os.close(fd)
        events = [self.event()]
        while events[-1]["kind"] != GONE:
            events.append(self.event())
        return events

    def refused(self, plan, **how):
        events = self.launch(plan, **how)
        assert events[0]["kind"] == FAILED, events
        assert events[0]["error"] > 0, events

    def works(self, version=0, function="host"):
        strings = [function, "/function/true", "/function/true", "A=b", DIGEST, "/function"]
        events = self.launch(make_plan(strings), version=version)
        assert [event["kind"] for event in events][-2:] == [EXITED, GONE] and events[-2]["status"] == 0, events

    def works_at_once(self, count, version):
        """More than are ready, so that cells are made for a version that is known."""
        fds = [memory_file(make_plan(), 0xE), *[os.open("/dev/null", os.O_RDWR) for _ in range(3)]]
        first = self.cell + 1
        for self.cell in range(first, first + count):
            socket.send_fds(self.socket, [struct.pack("=IIQQ", MAGIC, LAUNCH, self.cell, version)], fds)
        for fd in fds:
            os.close(fd)
        statuses, gone = {}, 0
        while gone < count:
            event = self.event()
            gone += event["kind"] == GONE
            if event["kind"] == EXITED:
                statuses[event["cell"]] = event["status"]
        assert statuses == dict.fromkeys(range(first, first + count), 0), statuses

    def close(self):
        self.socket.close()
        self.control.close()
        assert self.keeper.wait(20) == 0, "the keeper did not leave in peace"


def wrong_plans():
    yield b""
    yield b"\0" * PLAN_SIZE
    yield make_plan()[:-1]
    yield make_plan() + b"x"
    for field in ("magic", "version", "size", "args", "env", "mount_count", "rlimits", "filters", "filter_at", "strings_at",
                  "strings_size", "memory", "tasks", "weight"):
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
        4: ["", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 65, "/" + "a" * 63],
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
    yield make_plan(filter_bytes=struct.pack("=HBBI", 0xFFFF, 9, 9, 9))
    yield from policies_below_the_floor()


def policies_below_the_floor():
    """Each lets one thing through that no cell may do: by itself, by a detour, or for one odd argument only."""
    sound = forbidden()
    yield make_plan(filter_bytes=ALLOW_ALL)
    for action in (LOG, TRACE):
        yield make_plan(filter_bytes=instructions((RETURN, 0, 0, action)))
    for number in sound:
        yield make_plan(filter_bytes=all_but([other for other in sound if other != number]))
    for bit in range(32):
        if NAMESPACES >> bit & 1:
            yield make_plan(filter_bytes=all_but(sound, NAMESPACES & ~(1 << bit)))
    native = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, 0xC000003E)]
    # Every call of the i386 entry, and of x32's.
    yield make_plan(filter_bytes=instructions(*native, (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL_PROCESS)))
    yield make_plan(filter_bytes=instructions(*native, (RETURN, 0, 0, KILL_PROCESS), (LOAD, 0, 0, 0),
                                              (AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, ALLOW),
                                              (RETURN, 0, 0, KILL_PROCESS)))
    # unshare, when its second argument is a number that only the attacker knows.
    yield make_plan(filter_bytes=instructions(*native, (RETURN, 0, 0, KILL_PROCESS), (LOAD, 0, 0, 0), (EQUAL, 0, 4, 272),
                                              (LOAD, 0, 0, 24), (JUMP, 0, 0, 0), (EQUAL, 0, 1, 0xC0FFEE),
                                              (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL_PROCESS)))
    # An operation that the walk does not know: the accumulator plus 1.
    yield make_plan(filter_bytes=instructions((LOAD, 0, 0, 0), (0x04, 0, 0, 1), (RETURN, 0, 0, KILL_PROCESS)))


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="bulkhead-requests-") as folder:
        bundle = os.path.join(folder, "bundles", DIGEST)
        os.makedirs(bundle)
        source = os.path.join(folder, "true.c")
        with open(source, "w") as file:
            file.write("int main(void) { return 0; }\n")
        subprocess.run(["gcc", "-static", "-O1", source, "-o", os.path.join(bundle, "true")], check=True)
        launcher = Launcher(program, os.path.join(folder, "bundles"))
        launcher.works()
        os.makedirs(ESCAPE, exist_ok=True)
        count = 0
        for plan in wrong_plans():
            launcher.refused(plan)
            count += 1
        for how in (dict(fd_count=3), dict(fd_count=1), dict(kind=KILL), dict(kind=3), dict(kind=CLEAR),
                    dict(kind=77), dict(message=b"short"),
                    dict(message=b"x" * 4000), dict(seals=0), dict(seals=0x2)):
            launcher.refused(make_plan(), **how)
            count += 1
        # Cells that serve their version again, and what a name for it can be made to do.
        for _ in range(30):
            launcher.works(version=7)
        for _ in range(5):
            launcher.works_at_once(40, version=7)
        for kind in (KILL, CLEAR, 3):
            launcher.socket.send(struct.pack("=IIQQ", MAGIC, kind, launcher.cell, 7))  # it is over
            launcher.socket.send(struct.pack("=IIQQ", MAGIC, kind, 1 << 63, 7))
        for version in range(8, 200):  # more than the launcher keeps in mind
            launcher.works(version=version)
        for number in range(100):  # more functions than directories are kept for
            launcher.works(version=400 + number % 70, function=f"function-{number}")
            launcher.works(function="x" * 60 + str(number))
        for plan in itertools.islice(wrong_plans(), 40):
            launcher.refused(plan, version=300)
        launcher.works(version=300)
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
    print(f"launcher: {count} wrong requests refused, the next sound one served")


main()
