"""Runs the benchmarks and writes the results: `main.py --help`. Started by `run`, which builds what is measured."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import chart
import measure_burst
import measure_cells
import measure_density
import measure_http
import measure_lambda
import measure_queue
import measure_routes
import measure_soak
import measure_starts
import report
from programs import Failed
from settings import Settings

TOPICS = {
    "starts": measure_starts.measure, "cells": measure_cells.measure, "http": measure_http.measure, "routes": measure_routes.measure,
    "lambda": measure_lambda.measure, "queue": measure_queue.measure,
    "density": measure_density.measure, "burst": measure_burst.measure, "soak": measure_soak.measure,
}
REPOSITORY = Path(__file__).resolve().parents[2]


def machine():
    """What the figures were taken on: without it they say nothing."""
    info = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    memory = Path("/proc/meminfo").read_text().split(maxsplit=2)[1]
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "processor": models[0] if models else platform.machine(), "cores": os.cpu_count(),
        "memory_mib": int(memory) // 1024, "kernel": platform.release(),
        "cgroups": "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1",
        "load_before": round(os.getloadavg()[0], 2), "commit": commit.stdout.strip(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def measured(topic, settings):
    """A topic's results. Whatever goes wrong is a result too: the others are still measured."""
    print(f"== {topic}", file=sys.stderr, flush=True)
    begin = time.monotonic()
    try:
        found = TOPICS[topic](settings)
    except Exception as error:  # pylint: disable=broad-except
        found = {"failed": str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"}
        print(f"   failed: {error}", file=sys.stderr)
    print(f"   {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return found


def options():
    parser = argparse.ArgumentParser("Tests/Benchmarks/run", description="Measures Bulkhead, and others beside it.")
    parser.add_argument("--quick", action="store_true", help="short runs and a soak of one minute")
    parser.add_argument("--only", metavar="TOPIC,...", help="of: " + ", ".join(TOPICS))
    parser.add_argument("--soak-minutes", type=float, metavar="M", help="default 10; with --quick 1")
    parser.add_argument("--output", default=".build/benchmarks", metavar="DIR", help="default %(default)s")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a bar is missed, too; the table tells it anyway")
    chosen = parser.parse_args()
    chosen.topics = chosen.only.split(",") if chosen.only else list(TOPICS)
    if unknown := set(chosen.topics) - set(TOPICS):
        parser.error(f"no such topic: {', '.join(sorted(unknown))}; there are: {', '.join(TOPICS)}")
    if chosen.soak_minutes is None:
        chosen.soak_minutes = 1 if chosen.quick else 10
    return chosen


def main():
    chosen = options()
    output = Path(chosen.output).absolute()
    os.chdir(REPOSITORY)
    output.mkdir(parents=True, exist_ok=True)
    settings = Settings(chosen.quick, chosen.soak_minutes)
    results = {"machine": machine(), "quick": chosen.quick, "topics": {}}
    for topic in chosen.topics:
        results["topics"][topic] = measured(topic, settings)
        # After each: a run that is broken off leaves what it had.
        results["table"] = report.rows(results["topics"])
        (output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (output / "chart.svg").write_text(chart.svg(results["topics"]))
    print(report.markdown(results["table"]))
    failed = [row for row in results["table"] if row["verdict"] == report.MISSED and chosen.strict]
    failed += [topic for topic, found in results["topics"].items() if "failed" in found]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
