"""From nothing to the first byte of an answer: bare process, and other sandboxes around the same process."""

import json

import peers
from programs import ECHO, FLOOR, run, shown

SECONDS = 8  # for each peer: they differ by a factor of a hundred


def measure(settings):
    count = settings.pick(5000, 500)
    command = [FLOOR, ECHO, count]
    floor = json.loads(run(command)) | {"command": shown(command)}
    budget = settings.pick(SECONDS, 1.5)
    found = {peer.name: peers.measured(peer, lambda words, around: _timed(words, around, budget)) for peer in peers.ALL}
    return {"floor": floor, "peers": found}


def _timed(words, around, budget):
    first = json.loads(run([*around, FLOOR, 3, "--", *words]))
    count = max(20, min(2000, int(budget * 1e6 / first["reaped_p50_us"])))
    command = [*around, FLOOR, count, "--", *words]
    return json.loads(run(command)) | {"command": shown(command)}
