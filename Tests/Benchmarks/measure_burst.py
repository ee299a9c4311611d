"""From nothing to very many requests at once: all are answered, and how late the last."""

import time

from host import Host
from load import load
from programs import ECHO

AT_ONCE = 200


def measure(settings):
    rounds = []
    with Host() as host:
        host.deploy("burst", ECHO, mode="command", warm=0)
        for _ in range(settings.pick(5, 2)):
            time.sleep(2)  # the cells that the host keeps ready are there again
            rounds.append(load(**host.invocations("burst"), connections=AT_ONCE, requests=AT_ONCE))
    # The first one finds also the function's files cold. Told is the worst of each.
    return {
        "at_once": AT_ONCE, "command": rounds[0]["command"], "rounds": rounds,
        "answered": min(found["requests"] - found["errors"] for found in rounds),
        "errors": sum(found["errors"] + found["unsent"] for found in rounds),
    } | {key: max(found[key] for found in rounds) for key in ("p50_us", "p99_us", "max_us", "seconds")}
