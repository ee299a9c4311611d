"""Schedules for minutes, and a supervisor that is killed again and again: exits 1 unless every time that was due was entered once,
and its invocation ended well.

  /usr/bin/python3 -B Tests/Chaos/schedules.py [--minutes N] [--every SECONDS]

--minutes: default 10, at most 16 (1,000 entries of a schedule are kept). --every: seconds between two kills, default 20.
BULKHEAD_BIN: the release build to run; default .build/release/bulkhead.
"""

import argparse
import json
import os
import signal
import shutil
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(REPOSITORY / "Tests/Acceptance"))

import system  # noqa: E402
from bulkhead_host import Host  # noqa: E402

# Each run leaves a line in the function's log, after which schedule it was.
TELL = b"#!/bin/sh\nread -r event\necho \"$event\" >&2\n"
SCHEDULES = {"second": {"every": "1s"}, "minute": {"cron": "* * * * *"}}
PERIODS = {"second": 1, "minute": 60}
SETTLE = 3  # seconds at the end in which the last ones run


def when(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def get(host, path):
    """Also from a host that is being started anew."""
    deadline = time.monotonic() + 30
    while True:
        try:
            reply = host.get(path)
            assert reply.status == 200, reply
            return reply.json()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def kill(host):
    """Returns how long nobody was ready."""
    victim, began = host.supervisor, time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    system.eventually(lambda: not system.still_alive([victim]), 5, "the supervisor is gone")

    def ready():
        try:
            return host.get("/readyz").status == 200
        except OSError:
            return False
    system.eventually(ready, 10, "it is ready")
    return time.monotonic() - began


def go(host, options):
    for name, times in SCHEDULES.items():
        host.upload(f"tell-{name}", TELL, {"processes": "4"})
        body = {**times, "function": f"tell-{name}", "overlap": "allow", "event": {"schedule": name}}
        reply = host.request("PUT", f"/v1/schedules/{name}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        assert reply.status == 201, reply
    began, gaps = time.time(), []
    end = began + options.minutes * 60
    while (left := end - time.time()) > 0:
        time.sleep(min(options.every, left))
        if left > options.every:
            gaps.append(kill(host))
    stopped = time.time()
    for name in SCHEDULES:
        body = {**SCHEDULES[name], "function": f"tell-{name}", "overlap": "allow", "event": {"schedule": name}, "enabled": False}
        reply = host.request("PUT", f"/v1/schedules/{name}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        assert reply.status == 200, reply
    time.sleep(SETTLE)
    print(f"{len(gaps)} kills in {stopped - began:.0f} s; ready again after {max(gaps, default=0):.2f} s at most")
    return began, stopped


def complaints_of(host, name, began, stopped, kills):
    found = get(host, f"/v1/schedules/{name}/runs?limit=1000")["runs"]
    period, complaints = PERIODS[name], []
    other = [one for one in found if one["status"] != "fired"]
    if other:
        complaints.append(f"{name}: {len(other)} were not fired: {other[:3]}")
    dues = sorted(when(one["due"]) for one in found)
    numbers = [round((due - dues[0]) / period) for due in dues]
    twice = len(numbers) - len(set(numbers))
    left_out = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers)) if numbers else []
    if twice:
        complaints.append(f"{name}: {twice} times twice")
    if left_out:
        complaints.append(f"{name}: {len(left_out)} times left out, such as {left_out[:5]} periods after the beginning")
    expected = int(stopped // 60) - int(began // 60) if name == "minute" else int(stopped - began)
    if not expected - 1 <= len(dues) <= expected + 1:
        complaints.append(f"{name}: {len(dues)} entries, where {expected} times were due")
    late = max((when(one["at"]) - when(one["due"]) for one in found), default=0)
    ids = [one["invocationId"] for one in found if one.get("invocationId")]
    if len(set(ids)) != len(ids):
        complaints.append(f"{name}: an invocation stands for two times")
    records = {one: get(host, f"/v1/invocations/{one}") for one in ids}
    wrong = [record for record in records.values() if record.get("outcome") != "ok"]
    if wrong:
        complaints.append(f"{name}: {len(wrong)} did not end well: {wrong[:3]}")
    # The function's own count: a line for each run. What ran while the host was killed may run again, at least once being the promise,
    # and lines of the last quarter of a second before a kill may be missing.
    lines = get(host, f"/v1/functions/tell-{name}/logs?limit=10000")["lines"]
    own = [line for line in lines if json.loads(line["text"] if line["text"].startswith("{") else "{}") == {"schedule": name}]
    strange = {line["invocationId"] for line in own} - set(ids)
    if strange:
        complaints.append(f"{name}: {len(strange)} runs of invocations that no entry names")
    again = len(own) - len({line["invocationId"] for line in own})
    silent = len(set(ids) - {line["invocationId"] for line in own})
    if again > kills or silent > kills:
        complaints.append(f"{name}: {again} ran again and of {silent} there is no line, with {kills} kills")
    print(f"{name}: {len(dues)} times, {twice} of them twice, {len(left_out)} left out; at most {late:.2f} s late; {len(own)} lines of the function's own, {again} of them again, "
          f"{silent} without one")
    return complaints


def main():
    parser = argparse.ArgumentParser(prog="Tests/Chaos/schedules.py")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=20)
    options = parser.parse_args()
    if not 0 < options.minutes <= 16:
        parser.error("--minutes is more than 0 and at most 16")
    binary = Path(os.environ.get("BULKHEAD_BIN", REPOSITORY / ".build/release/bulkhead"))
    if not binary.exists():
        parser.error(f"there is no {binary}; build it (swift build -c release), or name another with BULKHEAD_BIN")
    folder = Path(tempfile.mkdtemp(prefix="schedules-"))
    folder.chmod(0o755)
    host = Host(binary, folder / "data", folder / "log").start()
    complaints = []
    try:
        began, stopped = go(host, options)
        kills = int((stopped - began) / options.every)
        for name in SCHEDULES:
            complaints += complaints_of(host, name, began, stopped, kills)
        if (code := host.stop(30)) != 0:
            complaints.append(f"serve exited {code} after SIGTERM")
    finally:
        if host.running:
            host.kill()
        if complaints:
            print(host.log_tail())
        shutil.rmtree(folder, ignore_errors=True)
    for complaint in complaints:
        print(f"FAILED: {complaint}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
