"""Accepted, run and acknowledged: invocations of an empty reactor through the durable queue, on this machine's disk."""

import time

from host import Host
from load import load
from programs import REACTOR

CONNECTIONS = 64


def measure(settings):
    count = settings.pick(30_000, 6_000)
    with Host() as host:
        host.deploy("reactor", REACTOR, mode="reactor")
        host.check("reactor")
        before, begin = host.gauge("bulkhead_invocations_total"), time.monotonic()
        found = load(**host.invocations("reactor"), connections=CONNECTIONS, requests=count, later=True)
        accepted = time.monotonic() - begin
        host.wait_for_gauge("bulkhead_invocations_total", before + count, 120)
        ended = time.monotonic() - begin
        return {"accepted_rps": count / accepted, "rps": count / ended, "count": count, "load": found, "command": found["command"]}
