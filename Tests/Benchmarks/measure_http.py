"""Requests over HTTP: latency one at a time, and throughput with more connections than cores."""

from contextlib import contextmanager

import watchdog
from host import EVENT, Host
from load import load
from programs import BENCH, ECHO, REACTOR, Failed, Server

CONNECTIONS = (1, 16, 64)
PACED_RATE = 50  # requests a second: no queue, and time enough to replace each worker that was used


def measure(settings):
    seconds, warmup = settings.pick(8, 1.5), settings.pick(2, 0.5)

    def sweep(target):
        found = {}
        for connections in CONNECTIONS:
            found[str(connections)] = load(**target, connections=connections, seconds=seconds, warmup=warmup)
        return found

    def paced(target):
        return load(**target, connections=1, seconds=seconds, warmup=warmup, rate=PACED_RATE)

    found = {}
    # Each function on a host of its own: what one leaves running must not be in the way of the next.
    for name, target in (("static", static_route), ("fresh", fresh), ("prewarmed", prewarmed), ("reused", reused)):
        found[name] = _or_missing(target, lambda place: sweep(place) | {"paced": paced(place)})
    found["nio_echo"] = _or_missing(nio_echo, sweep)
    for mode in ("streaming", "http"):
        found[f"watchdog_{mode}"] = _or_missing(lambda: watchdog_target(mode), sweep)
    return found


def _or_missing(target, use):
    """What one lacks, the others are still measured."""
    try:
        with target() as place:
            return use(place)
    except Failed as error:
        return {"missing": str(error)}


# -- Whom to ask: each yields what `load` needs -----------------------------------------------------------------------

@contextmanager
def static_route():
    with Host() as host:
        yield {"url": f"{host.url}/healthz"}


@contextmanager
def _function(name, program, **manifest):
    with Host() as host:
        host.deploy(name, program, **manifest)
        host.check(name)
        yield host.invocations(name)


def fresh():
    """A process for each request, and none before its request."""
    return _function("fresh", ECHO, mode="command", warm=0)


def prewarmed():
    """A process for each request, started ahead of it."""
    return _function("prewarmed", ECHO, mode="command", warm=8)


def reused():
    """Processes that stay."""
    return _function("reused", REACTOR, mode="reactor", warm=2)


@contextmanager
def nio_echo():
    """What the network library does with nothing behind it."""
    with Server([BENCH, "nio-echo", "--port", "0"], r"listening on (?:.*:)?(\d+)\n") as server:
        yield {"url": f"http://127.0.0.1:{server.match[1]}/", "body": EVENT}


@contextmanager
def watchdog_target(mode):
    with watchdog.serving(mode) as url:
        yield {"url": url, "body": EVENT}
