"""A thousand workers that wait: how long it takes to have them, and what each one holds."""

import time

import memory
from host import Host
from programs import ECHO

WORKERS = 1000
IDLE = "bulkhead_idle_workers"
# What a host needs to be told for that many. The ready cells are the same before and after, and so in no difference.
CONFIGURATION = {"maxWorkers": WORKERS + 100}
LIMIT_SECONDS = 60  # the bar is lower; this is where one stops waiting
COMMAND = f"PUT /v1/functions/dense?mode=command&warm={WORKERS}, then /metrics until {IDLE} is {WORKERS}"


def measure(settings):
    # In a quick run too: figures by the worker are only as good as there are many of them.
    with Host(CONFIGURATION) as host:
        host.deploy("dense", ECHO, mode="command", warm=0, max=WORKERS)
        host.check("dense")
        time.sleep(settings.pick(3, 1))  # the cell that this used up is built anew
        before = memory.by_process(host.pid), memory.of_machine()
        begin = time.monotonic()
        host.deploy("dense", ECHO, mode="command", warm=WORKERS, max=WORKERS)
        host.wait_for_gauge(IDLE, WORKERS, LIMIT_SECONDS)
        seconds = time.monotonic() - begin
        time.sleep(settings.pick(3, 1))
        after = memory.by_process(host.pid), memory.of_machine()
        host.check("dense")
    of_machine = memory.difference(before[1], after[1], WORKERS)
    return {
        "workers": WORKERS, "seconds": round(seconds, 3), "command": COMMAND,
        "by_process_kib": memory.difference(before[0], after[0], WORKERS),
        # Of two ways to add up the machine, the one that is less to our liking.
        "of_machine_kib": of_machine | {"total": max(of_machine["by_kind"], of_machine["by_free"])},
    }
