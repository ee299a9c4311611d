"""Starts of cells, without HTTP: what `bulkhead-bench cells` measures from inside the host's own code."""

import json

from programs import BENCH, ECHO, REACTOR, Failed, run, shown

NAMES = ("cold_nothing_ready", "cold_known", "cold_ready", "renewed", "prewarmed", "reused", "snapshot", "python_cold")


def measure(_settings):
    command = [BENCH, "cells", ECHO, REACTOR]
    found = {}
    for line in run(command, 900).splitlines():
        if line.startswith("{"):
            figure = json.loads(line)
            found[figure["name"]] = figure | {"command": shown(command)}
    if not found:
        raise Failed(f"{shown(command)}: it printed no figure")
    return {name: found.get(name, {"missing": f"{shown(command)} did not print it"}) for name in NAMES} | found
