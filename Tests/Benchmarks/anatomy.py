"""The anatomy of one invocation: each stage from the client's write to the answer in its hands, and whose CPU time it is.

    Tests/Benchmarks/run --only starts   (once: compiles the load generator and the functions)
    python3 -B Tests/Benchmarks/anatomy.py [fresh prewarmed forked reused] [--requests 400] [--rate 50] [--functions]

The marks are system calls and starts of programs, as the kernel's own tracepoints tell them (`perf record`, as root; nothing is
compiled in, and nothing is paid where nobody looks). A stage lasts from one mark to the next, so that the stages of a request are
the whole of it. What tracing itself costs is in all of them: `whole` stands beside what the same requests took without.

With --rate requests come one by one, on cores that were idle. --functions tells where the kernel and the host spend CPU time.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from host import Host
from load import load
from processes import family, keepers
from programs import ECHO, LOAD, REACTOR, Failed

READ, WRITE, READV, WRITEV, SENDTO, RECVFROM, SENDMSG, RECVMSG = 0, 1, 19, 20, 44, 45, 46, 47
EXECVEAT, WAIT4, EXIT_GROUP, EPOLL_WAIT, EPOLL_PWAIT = 322, 61, 231, 232, 281
EXECVE = 59  # as which the kernel tells the end of either
TAKES, GIVES, WAITS = (READ, READV, RECVFROM, RECVMSG), (WRITE, WRITEV, SENDTO, SENDMSG), (EPOLL_WAIT, EPOLL_PWAIT)

SNAPSHOT = """\
def handler(event, context):
    return event
"""


class Mark:
    """What ends a stage: a call of some part of the host, as it begins or as it has ended with something."""

    def __init__(self, stage, who, calls, ended=True):
        self.stage, self.who, self.calls, self.ended = stage, who, calls, ended

    def meets(self, event):
        if event.who != self.who or event.call not in self.calls or event.ended != self.ended:
            return False
        return not self.ended or event.result > 0 or event.call == EXECVE


WAKES = [
    Mark("the connection's loop wakes", "supervisor", WAITS),
    Mark("the request is read", "supervisor", TAKES),
]
ANSWERED = [
    Mark("decided, the answer rendered", "supervisor", GIVES, ended=False),
    Mark("the answer is written", "supervisor", GIVES),
    Mark("the client wakes and reads", "client", TAKES),
]
ENDED = [
    Mark("the program has answered", "worker", GIVES),
    Mark("it ends", "worker", (EXIT_GROUP,), ended=False),
    Mark("its process is taken down, init reaps it", "cell", (WAIT4,)),
    Mark("init reports", "cell", GIVES),
    Mark("the launcher wakes and reads", "launcher", TAKES),
    Mark("the launcher tells", "launcher", GIVES),
    Mark("the supervisor wakes and reads", "supervisor", TAKES),
]
STAGES = {
    "fresh": WAKES + [
        Mark("decided, pipes made", "supervisor", (SENDMSG,), ended=False),
        Mark("the launcher is asked", "supervisor", (SENDMSG,)),
        Mark("the launcher wakes and reads", "launcher", TAKES),
        Mark("a cell is given the streams", "launcher", (SENDMSG,)),
        Mark("its worker wakes and reads", "cell", TAKES),
        Mark("streams are placed", "cell", (EXECVEAT,), ended=False),
        Mark("exec", "worker", (EXECVE,)),
    ] + ENDED + ANSWERED,
    "prewarmed": WAKES + [
        Mark("decided", "supervisor", GIVES, ended=False),
        Mark("the event is written", "supervisor", GIVES),
        Mark("the worker wakes and reads", "worker", TAKES),
    ] + ENDED + ANSWERED,
    "forked": WAKES + [
        Mark("decided", "supervisor", GIVES, ended=False),
        Mark("the event is written", "supervisor", GIVES),
        Mark("the template wakes, forks; its fork reads", "worker", (READ,)),
        Mark("the handler has run", "worker", (WRITE,)),
        Mark("the fork has answered", "worker", (WRITE,)),
        Mark("the supervisor wakes and reads", "supervisor", TAKES),
    ] + ANSWERED,
    "reused": WAKES + [
        Mark("decided", "supervisor", GIVES, ended=False),
        Mark("the event is written", "supervisor", GIVES),
        Mark("the worker wakes and reads", "worker", TAKES),
        Mark("the worker has answered", "worker", GIVES),
        Mark("the supervisor wakes and reads", "supervisor", TAKES),
    ] + ANSWERED,
}

EVENTS = ["raw_syscalls:sys_enter", "raw_syscalls:sys_exit", "sched:sched_switch"]
LINE = re.compile(r"^\s*(?P<name>.+?)\s+(?P<pid>-?\d+)/(?P<thread>-?\d+)\s+(?P<time>\d+\.\d+):\s+(?P<event>[\w:]+):\s*(?P<rest>.*)$")


class Event:
    __slots__ = ("time", "who", "call", "ended", "result")

    def __init__(self, time, who, call, ended, result):
        self.time, self.who, self.call, self.ended, self.result = time, who, call, ended, result


class Trace:
    """What `perf` has seen of a load on a host: calls by whose they are, and how long each was on a processor."""

    def __init__(self, path, host):
        members = {role: process.pid for role, process in keepers(family(host.pid)).items()}
        self._roles = {members["supervisor"]: "supervisor", members["launcher"]: "launcher"}
        self._keeps = {members.get("keeper"), members.get("guardian")}
        self.calls, self.used = [], defaultdict(float)
        # The template of a snapshot, a reactor: they were there before.
        self._names, self._programs = {}, {one.pid for one in family(host.pid) if not one.name.startswith("bulkhead")}
        since = {}
        told = subprocess.Popen(["perf", "script", "-i", path, "--ns", "-F", "comm,pid,tid,time,event,trace"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace")
        for line in told.stdout:
            found = LINE.match(line)
            if not found:
                continue
            time, pid = float(found["time"]), int(found["pid"])
            who = self._who(found["name"], pid)
            if found["event"].endswith("sched_switch"):
                thread = int(found["thread"])
                if thread in since:
                    self.used[since[thread][1]] += time - since.pop(thread)[0]
                following = re.search(r"==> .*?next_comm=(.*?) next_pid=(\d+)|==> (.*):(\d+) \[", found["rest"])
                if following:
                    name, next_thread = (following[1] or following[3], int(following[2] or following[4]))
                    since[next_thread] = (time, self._names.get(next_thread) or self._who(name, next_thread))
                continue
            call = re.match(r"NR (-?\d+)(?: = (-?\d+))?", found["rest"])
            ended = found["event"].endswith("exit")
            # A program is called as its file is, which may be anything.
            if call and int(call[1]) == EXECVE and ended and who != "client":
                self._programs.add(pid)
                who = "worker"
            self._names[int(found["thread"])] = who
            if call and who:
                self.calls.append(Event(time, who, int(call[1]), ended, int(call[2] or 0) if ended else 0))
        if told.wait():
            raise Failed("perf script could not read what perf record wrote")

    def _who(self, name, pid):
        if pid in self._roles:
            return self._roles[pid]
        if pid in self._keeps:
            return None
        if name == "load":
            return "client"
        # As numbers come round again, a later init may have a program's.
        if name.startswith("bulkhead-launch"):
            self._programs.discard(pid)
            return "cell"
        return "worker" if pid in self._programs or name.startswith("python3") else None

    def requests(self):
        """The calls of each request: from the client's write to the read that brings its answer."""
        current, found = None, []
        for event in self.calls:
            if event.who == "client" and event.ended and event.result > 0:
                if event.call in GIVES:
                    current = []
                elif event.call in TAKES and current is not None:
                    found.append(current + [event])
                    current = None
            if current is not None:
                current.append(event)
        return found


def stages(request, marks):
    """Microseconds of each stage, or None where the request took another way."""
    times, at = [request[0].time], 1
    for mark in marks:
        while at < len(request) and not mark.meets(request[at]):
            at += 1
        if at == len(request):
            return None
        times.append(request[at].time)
        at += 1
    return [(after - before) * 1e6 for before, after in zip(times, times[1:])]


def deploy(host, kind):
    if kind == "fresh":
        host.deploy(kind, ECHO)
    elif kind == "prewarmed":
        host.deploy(kind, ECHO, warm=4)
    elif kind == "reused":
        host.deploy(kind, REACTOR, mode="reactor")
    else:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "app.py").write_text(SNAPSHOT)
            (Path(folder) / "function.yaml").write_text(
                f"name: {kind}\nruntime: python\nhandler: app.handler\nmode: snapshot\nlimits: {{wall: 10s, scratch: 0}}\n"
                "concurrency: {max: 100, reuse: 1000000000}\n")
            archive = Path(folder) / "bundle.tar.gz"
            subprocess.run(["tar", "czf", archive, "-C", folder, "app.py", "function.yaml"], check=True)
            status, body = host.request("PUT", f"/v1/functions/{kind}", archive.read_bytes(), "application/gzip")
            if status not in (200, 201):
                raise Failed(f"upload of {kind}: {status} {body.decode(errors='replace')[:300]}")


def record(path, options, target, seen):
    """What `perf` sees of a load, written to `path`; what the load generator tells."""
    given = {"url": target["url"], "body": target["body"], "token": target["token"]} | seen
    command = [LOAD] + [word for name, value in given.items() if value for word in (f"--{name}", str(value))]
    done = subprocess.run(["perf", "record", "-q", "-a", *options, "-o", path, "--", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"perf record: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)


def measure(kind, requests, rate):
    """A request's stages, those of all requests that went this way, and whose processor time it was."""
    with Host() as host, tempfile.TemporaryDirectory() as folder:
        deploy(host, kind)
        target, shape = host.invocations(kind), {"connections": 1, "rate": rate}
        load(**target, **shape, requests=50)
        plain = load(**target, **shape, requests=requests)
        path = f"{folder}/perf.data"
        events = [word for event in EVENTS for word in ("-e", event)]
        record(path, ["-k", "CLOCK_MONOTONIC", *events, "-m", "8M"], target, shape | {"requests": requests})
        trace = Trace(path, host)
    seen = trace.requests()
    followed = [found for request in seen if (found := stages(request, STAGES[kind]))]
    if not followed:
        raise Failed(f"{kind}: none of {len(seen)} requests could be followed")
    names = [mark.stage for mark in STAGES[kind]]
    return {
        "kind": kind, "requests": len(seen), "followed": len(followed), "plain_p50_us": plain["p50_us"],
        "whole_us": [sum(request) for request in followed],
        "stages": [(name, [request[i] for request in followed]) for i, name in enumerate(names)],
        "used": {who: used / len(seen) * 1e6 for who, used in trace.used.items() if who},
    }


def show(found):
    whole = statistics.mean(found["whole_us"])
    print(f"\n{found['kind']}: {found['followed']} of {found['requests']} requests; whole {whole:.0f} µs "
          f"(p50 {statistics.median(found['whole_us']):.0f}; without tracing p50 {found['plain_p50_us']:.0f})\n")
    print("| stage | mean, µs | p50 | share |\n| --- | ---: | ---: | ---: |")
    for name, times in found["stages"]:
        mean = statistics.mean(times)
        print(f"| {name} | {mean:.1f} | {statistics.median(times):.1f} | {mean / whole:.0%} |")
    parts = sum(statistics.mean(times) for _, times in found["stages"])
    print(f"| all stages | {parts:.1f} | | {parts / whole:.0%} |")
    print("\non a processor, µs a request: " + ", ".join(f"{who} {used:.0f}" for who, used in sorted(found["used"].items())))


def functions(kind, seconds=5):
    """Where CPU time goes, by function: the machine as a whole under sixteen connections."""
    with Host() as host, tempfile.TemporaryDirectory() as folder:
        deploy(host, kind)
        target = host.invocations(kind)
        load(**target, connections=16, seconds=1)
        path = f"{folder}/perf.data"
        rate = record(path, ["-F", "1999"], target, {"connections": 16, "seconds": seconds})["rps"]
        told = subprocess.run(["perf", "report", "-i", path, "--stdio", "--sort", "comm,sym", "--percent-limit", "0.6"], capture_output=True,
                              text=True, check=False).stdout
    print(f"\n{kind}, 16 connections: {rate:.0f} requests a second\n")
    for line in told.splitlines():
        if line.strip() and not line.startswith("#"):
            print("   " + line.strip()[:110])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=list(STAGES), metavar="KIND", help=", ".join(STAGES))
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--rate", type=float, default=0, help="requests a second; without it, one as soon as the last is answered")
    parser.add_argument("--functions", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(STAGES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(STAGES)}")
    if not shutil.which("perf"):
        parser.error("perf is needed (Debian: linux-perf)")
    for kind in options.kinds:
        if options.functions:
            functions(kind)
        else:
            show(measure(kind, options.requests, options.rate))


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"anatomy: {error}")
