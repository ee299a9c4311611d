"""A cell's cgroups serve its function's next cell, if nothing lives in them and nothing is counted: what one invocation has used or
done to itself is nothing that another is told of, or ended for."""

import pytest

from bulkhead_host import at_once, unique_name

MANY = 24  # more than are ever built ahead of need

PROGRAM = r"""#!/usr/bin/python3
import json, sys, time
wanted = json.load(sys.stdin)
if "burn" in wanted:
    end = time.process_time() + wanted["burn"]
    while time.process_time() < end:
        pass
held = bytearray(wanted.get("bytes", 0))
for at in range(0, len(held), 4096):
    held[at] = 1
time.sleep(wanted.get("sleep", 0))
print(len(held))
"""


@pytest.fixture(scope="module")
def functions(host):
    names = [unique_name("kept") for _ in range(2)]
    for name in names:
        host.upload(name, PROGRAM.encode(), {"memory": "96MiB", "wall": "20s", "max": 100})
    return names


def burst(host, name, event, count=MANY):
    return at_once([lambda: host.invoke(name, event)] * count)


def usage(response):
    pairs = [part.strip().partition("=") for part in response.headers["Bulkhead-Usage"].split(",")]
    return {name: float(value) for name, _, value in pairs}


def test_counters_begin_at_zero(host, functions):
    for name in functions:
        loud = burst(host, name, {"bytes": 48 << 20, "burn": 0.1})
        assert {one.status for one in loud} == {200}
        quiet = burst(host, name, {"sleep": 0.05})
        assert {one.status for one in quiet} == {200}
        most = max(usage(one)["memory-bytes"] for one in quiet)
        assert most < 40 << 20, "what an earlier cell held is told as a later one's"
        # An interpreter's start, on two processors that all share.
        assert min(usage(one)["cpu-ms"] for one in quiet) < 100 < min(usage(one)["cpu-ms"] for one in loud)


def test_whoever_was_too_large_leaves_nothing(host, functions):
    name, other = functions
    large = burst(host, name, {"bytes": 200 << 20}, 12)
    assert {one.outcome for one in large} == {"memory_exceeded"}
    for who in (name, other, name):
        assert {(one.outcome, one.body) for one in burst(host, who, {"sleep": 0.05})} == {("ok", b"0\n")}


def test_whoever_was_ended_leaves_nothing(host, functions):
    name, other = functions
    brief = unique_name("ended")
    host.upload(brief, PROGRAM.encode(), {"memory": "96MiB", "wall": "100ms", "max": 100})
    late = burst(host, brief, {"sleep": 5}, 12)
    assert {one.outcome for one in late} == {"timeout"}
    for who in (brief, name, other):
        fine = burst(host, who, {}, 4)
        # Its own may be slower than it allows itself, on a machine that is busy; never anything else.
        assert {one.outcome for one in fine} <= ({"ok"} if who != brief else {"ok", "timeout"})
