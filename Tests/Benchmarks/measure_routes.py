"""How long a request's route is looked for: what `bulkhead-bench routes` measures from inside the host's own code."""

import json

from programs import BENCH, run, shown


def measure(_settings):
    command = [BENCH, "routes"]
    return {"nanoseconds": json.loads(run(command, 300)), "command": shown(command)}
