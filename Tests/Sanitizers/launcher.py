"""A launcher, and plans and requests for it, byte by byte."""
import fcntl
import os
import re
import socket
import struct
import subprocess

from filters import SOUND, program

HEADER_FILE = os.path.join(os.path.dirname(__file__), "../../sandbox/abi/include/bulkhead_launcher_abi.h")
with open(HEADER_FILE) as text:
    ABI = text.read()
VERSION, MOUNTS_MAX = (int(re.search(rf"#define {name} (\d+)u", ABI)[1]) for name in ("BH_ABI_VERSION", "BH_MOUNTS_MAX"))
SECRETS_MAX = int(re.search(r"#define BH_SECRETS_MAX \((\d+)u \* 1024\)", ABI)[1]) * 1024
MAGIC = 0x42484B44
EVENT = "=IIQIiiiIIQQQQQQqQQQ5Q"
HEADER = "=IIIIQQ" + "I" * 16
PLAN_SIZE = struct.calcsize(HEADER) + 16 * 16 + MOUNTS_MAX * 8
LAUNCH, KILL, CLEAR, LOCK, CONNECT = 1, 2, 4, 5, 6
STARTED, FAILED, EXITED, GONE, LOCKED, CONNECTED = 2, 3, 4, 5, 8, 9
DENIED, LISTENER = 2, 8  # BH_FLAG_*
OWN_NETWORK, ONCE = 2, 32  # BH_PLAN_*
REQUEST, PLAN, MOUNT_SOURCE, STDIO, SECCOMP = "request", "plan", "mount-source", "stdio", "seccomp"
DIGEST = "a" * 64
TRUE = ["host", "/function/true", "/function/true", "A=b", DIGEST, "/function"]


def stage_names():
    """As the header numbers them, named as they are in outcomes."""
    with open(HEADER_FILE) as text:
        names = re.findall(r"^    BH_STAGE_(\w+)(?: = 0)?,$", text.read(), re.MULTILINE)
    return [name.lower().replace("_", "-") for name in names]


STAGES = stage_names()
SOUND_FILTER = program(SOUND)


def granting(path, target="/granted"):
    """A plan whose cell also gets a host path."""
    return make_plan(strings=[*TRUE, path, target], mounts=((1, 0), (2, 0)))


def make_plan(strings=None, mounts=((1, 0),), filter_bytes=SOUND_FILTER, limits=(), secrets=b"", **fields):
    """A sound plan, but for what is given. `limits`: pairs of RLIMIT_* and value. `secrets`: what the worker finds at descriptor 3."""
    if strings is None:
        strings = TRUE
    text = b"".join(item.encode() + b"\0" for item in strings) if isinstance(strings, list) else strings
    values = dict(
        magic=MAGIC, version=VERSION, size=PLAN_SIZE + len(filter_bytes) + len(text) + len(secrets), flags=0, memory=256 << 20, scratch=0,
        inodes=64, tasks=8, weight=100, args=1, env=1, mount_count=len(mounts), rlimits=len(limits), filters=len(filter_bytes) // 8,
        filter_at=PLAN_SIZE, strings_at=PLAN_SIZE + len(filter_bytes), strings_size=len(text), cells=64, listener=0,
        secrets_at=PLAN_SIZE + len(filter_bytes) + len(text) if secrets else 0, secrets_size=len(secrets), reserved=0)
    values.update(fields)
    header = struct.pack(HEADER, *values.values())
    header += b"".join(struct.pack("=IIQ", resource, 0, value) for resource, value in limits).ljust(256, b"\0")
    header += b"".join(struct.pack("=II", *mount) for mount in mounts).ljust(MOUNTS_MAX * 8, b"\0")
    return header + filter_bytes + text + secrets


def memory_file(data, seals=0xE):
    fd = os.memfd_create("plan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, 1033, seals)
    return fd


class Launcher:
    def __init__(self, program, store, *options):
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = os.open(store, os.O_RDONLY | os.O_DIRECTORY)
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in (theirs.fileno(), folder, memory_file(b""))]

        def arrange():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)
            os.dup2(high[2], 5)

        self.keeper = subprocess.Popen(
            [program, "--first-uid", "710000001", "--ready", "2", *options], preexec_fn=arrange, close_fds=False)
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

    def event(self, kept=None):
        """What the launcher says next. What it hands over goes into the list `kept`, or is closed."""
        data, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
        assert data, "the launcher died"
        if kept is not None:
            kept[:] = fds
        for fd in fds if kept is None else ():
            os.close(fd)
        names = "magic kind cell stage error pid status flags".split()
        return dict(zip(names, struct.unpack(EVENT, data)))

    def begin(self, plan, streams=(None, None, None), version=0):
        """Sends a launch. A stream is a descriptor, or None for the null device."""
        self.cell += 1
        null = os.open("/dev/null", os.O_RDWR)
        sealed = memory_file(plan)
        streams = [null if stream is None else stream for stream in streams]
        socket.send_fds(self.socket, [struct.pack("=IIQQ", MAGIC, LAUNCH, self.cell, version)], [sealed, *streams])
        os.close(null)
        os.close(sealed)

    def until(self, kind, kept=None):
        """The events up to the next of this kind, of which all descriptors go into `kept`."""
        events = [self.event(kept)]
        while events[-1]["kind"] != kind:
            for fd in kept or ():
                os.close(fd)
            events.append(self.event(kept))
        return events

    def tell(self, kind, argument=0):
        """A request about the cell that was begun last."""
        self.socket.send(struct.pack("=IIQQ", MAGIC, kind, self.cell, argument))

    def launch(self, plan, kind=LAUNCH, fd_count=4, seals=0xE, message=None, version=0):
        """Sends a launch and returns the events up to the cell's end."""
        self.cell += 1
        null = os.open("/dev/null", os.O_RDWR)
        fds = [memory_file(plan, seals), null, null, null, null][:fd_count]
        data = message if message is not None else struct.pack("=IIQQ", MAGIC, kind, self.cell, version)
        socket.send_fds(self.socket, [data], fds)
        for fd in set(fds) | {null}:
            os.close(fd)
        return self.until(GONE)

    def refused(self, plan, stage=None, error=None, **how):
        self.assert_refused(self.launch(plan, **how), stage, error)

    @staticmethod
    def assert_refused(events, stage=None, error=None):
        assert events[0]["kind"] == FAILED, events
        assert events[0]["error"] > 0 and error in (None, events[0]["error"]), events
        assert stage in (None, STAGES[events[0]["stage"]]), (stage, events)

    def works(self, version=0, plan=None):
        events = self.launch(plan or make_plan(), version=version)
        assert [event["kind"] for event in events][-2:] == [EXITED, GONE] and events[-2]["status"] == 0, events

    def works_at_once(self, count, version, flags=0):
        """More than are ready, so that cells are made for a version that is known."""
        fds = [memory_file(make_plan(flags=flags), 0xE), *[os.open("/dev/null", os.O_RDWR) for _ in range(3)]]
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
