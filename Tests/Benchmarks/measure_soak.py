"""Minutes under a heavy load that never stops: nothing fails, and nothing grows."""

import statistics
import time

import processes
from host import Host
from load import Load
from programs import ECHO, REACTOR

SHARE = 0.8  # of what the host can do: a host that is behind grows a queue, and that is no leak
CONNECTIONS = 16
WARMUP_SHARE = 0.1  # of the time: caches, pools and the invocations it remembers fill up
# What a figure may be higher in the last third than in the first, as a share of it and in its own unit: the larger one.
# Counts go up and down with the requests under way; a leak of one in a thousand of them would be hundreds.
SLACK_KIB = (0.03, 1024)
SLACK_COUNT = (0.1, 8)


def measure(settings):
    minutes = settings.soak_minutes
    interval = min(10, minutes * 60 / 30)
    with Host() as host:
        host.deploy("fresh", ECHO, mode="command")
        host.deploy("reused", REACTOR, mode="reactor", warm=2)
        targets = {name: host.invocations(name) for name in ("fresh", "reused")}
        for name in targets:
            host.check(name)
        rates = _rates(targets, settings.pick(10, 3))
        loads = {name: Load(**target, connections=CONNECTIONS, seconds=minutes * 60, rate=rates[name])
                 for name, target in targets.items()}
        try:
            samples = _sample(host.pid, minutes * 60, interval)
            found = {name: running.result() for name, running in loads.items()}
        finally:
            for running in loads.values():
                running.end()
        # What was built up under load and is not needed at rest does not count, but it is told.
        time.sleep(2)
        at_rest = processes.inventory(host.pid)
    series = growth(samples)
    return {
        "minutes": minutes, "rates": rates, "loads": found, "samples": samples, "at_rest": at_rest, "growth": series,
        "requests": sum(one["requests"] for one in found.values()),
        "errors": sum(one["errors"] + one["unsent"] for one in found.values()),
        "grew": [name for name, one in series.items() if one["grew"]],
        "command": " & ".join(one["command"] for one in found.values()),
    }


def _rates(targets, seconds):
    """The mix as fast as it goes, both loads at the same time and each closed; and then less."""
    loads = [Load(**target, connections=CONNECTIONS, seconds=seconds, warmup=1) for target in targets.values()]
    return {name: max(1, round(running.result()["rps"] * SHARE)) for name, running in zip(targets, loads)}


def _sample(pid, seconds, interval):
    begin, samples = time.monotonic(), []
    while (elapsed := time.monotonic() - begin) < seconds:
        samples.append({"seconds": round(elapsed, 1)} | processes.inventory(pid))
        time.sleep(max(0.0, min(begin + len(samples) * interval, begin + seconds) - time.monotonic()))
    return samples


def growth(samples):
    """Of each figure: the medians of first and last third after the warm-up, and its slope by the hour."""
    kept = samples[int(len(samples) * WARMUP_SHARE):]
    third = max(1, len(kept) // 3)
    found = {}
    for name in kept[0].keys() - {"seconds"}:
        values = [sample[name] for sample in kept if name in sample]
        first, last = statistics.median(values[:third]), statistics.median(values[-third:])
        share, least = SLACK_KIB if name.endswith("_kib") else SLACK_COUNT
        found[name] = {
            "first_third": first, "last_third": last, "per_hour": _slope(kept, name),
            "grew": last - first > max(first * share, least),
        }
    return dict(sorted(found.items()))


def _slope(samples, name):
    points = [(sample["seconds"], sample[name]) for sample in samples if name in sample]
    if len(points) < 2:
        return 0
    return round(statistics.linear_regression(*zip(*points)).slope * 3600, 1)
