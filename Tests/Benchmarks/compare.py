"""Two builds beside each other, in turns: what a change costs or gains, on a machine whose speed drifts.

    Tests/Benchmarks/run --only starts   (once: compiles the load generator and the functions)
    python3 -B Tests/Benchmarks/compare.py OLD NEW [--rounds 5] [--seconds 2] [--only reused@16,cells]

OLD and NEW are folders with bulkhead, bulkhead-launcher, bulkhead-probe, bulkhead-bench, and what else the build has. Told are
the medians over all rounds, and the median of the rounds' ratios: each of those compares two runs that follow each other.
Beside the rate stands the CPU time of the supervisor for a request, which depends less on what else the machine does.
"""

import argparse
import json
import os
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from host import Host
from load import load
from processes import family, keepers
from programs import ECHO, REACTOR, Failed, run

CASES = [("static", 1), ("static", 64), ("fresh", 1), ("fresh", 16), ("fresh", 64), ("prewarmed", 1), ("reused", 1),
         ("reused", 16), ("reused", 64)]
CELLS = "cells"


def cpu_seconds(pid):
    """What all threads of a process have used (proc_pid_schedstat: nanoseconds on a CPU)."""
    return sum(int(thread.joinpath("schedstat").read_text().split()[0]) for thread in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def over_http(folders, chosen, seconds, found):
    """One round: a host of each build, and each case on one after the other."""
    hosts = {}
    try:
        for name, folder in folders:
            host = hosts[name] = Host(binary=folder / "bulkhead").__enter__()
            host.deploy("fresh", ECHO)
            host.deploy("prewarmed", ECHO, warm=4)
            host.deploy("reused", REACTOR, mode="reactor")
        for case, connections in chosen:
            for name, _ in folders:
                host = hosts[name]
                target = {"url": host.url + "/healthz"} if case == "static" else host.invocations(case)
                load(**target, connections=connections, seconds=0.5)
                supervisor = keepers(family(host.pid))["supervisor"].pid
                before = cpu_seconds(supervisor)
                told = load(**target, connections=connections, seconds=seconds)
                used = cpu_seconds(supervisor) - before
                if told["errors"]:
                    raise Failed(f"{case}@{connections} of {name}: {told['errors']} errors")
                found[f"{case}@{connections}, req/s"][name].append(told["rps"])
                found[f"{case}@{connections}, µs of the supervisor's CPU"][name].append(used / told["requests"] * 1e6)
    finally:
        for host in hosts.values():
            host.__exit__()


def by_cells(folders, found):
    for name, folder in folders:
        for line in run([folder / "bulkhead-bench", "cells", ECHO, REACTOR], 300).splitlines():
            told = json.loads(line)
            found[f"{told['name']}, µs"][name].append(told["p50_us"])


def main():
    os.chdir(Path(__file__).resolve().parents[2])
    parser = argparse.ArgumentParser("compare.py", description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--only", default="", help="as reused@16,cells; default: all")
    options = parser.parse_args()
    only = [word for word in options.only.split(",") if word]
    chosen = [case for case in CASES if not only or f"{case[0]}@{case[1]}" in only]
    folders = [("old", options.old.resolve()), ("new", options.new.resolve())]
    found = defaultdict(lambda: defaultdict(list))
    for number in range(options.rounds):
        in_turn = folders if number % 2 == 0 else folders[::-1]
        if chosen:
            over_http(in_turn, chosen, options.seconds, found)
        if not only or CELLS in only:
            by_cells(in_turn, found)
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    print("| figure | old | new | new / old, by rounds |\n| --- | ---: | ---: | --- |")
    for figure, by_build in found.items():
        old, new = (by_build[name] for name in ("old", "new"))
        ratios = sorted(after / before for before, after in zip(old, new))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        shown = [re.sub(r"\.0$", "", f"{statistics.median(values):,.{0 if values[0] > 1000 else 1}f}") for values in (old, new)]
        print(f"| {figure} | {shown[0]} | {shown[1]} | {spread} |")


if __name__ == "__main__":
    main()
