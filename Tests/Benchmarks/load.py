"""The load generator, as a function."""

import json
import re

from programs import LOAD, Program, shown


class Load:
    """A load that runs; `result()` waits for its end. Several may run at once."""

    def __init__(self, url, *, connections, seconds=0, warmup=0, requests=0, rate=0, body=None, token=None, later=False, headers=()):
        options = {"url": url, "connections": connections, "seconds": seconds, "warmup": warmup, "requests": requests,
                   "rate": rate, "body": body}
        command = [LOAD] + [word for name, value in options.items() if value for word in (f"--{name}", value)]
        if later:
            command.append("--async")
        own = [word for header in headers for word in ("--header", header)]
        # Which port and which token it was says nothing later.
        self._shown = re.sub(r"http://[\d.]+:\d+", "$URL", shown(command)) + (' --token "$TOKEN"' if token else "")
        self._longest = seconds + warmup + 90
        self._shown += "".join(f' --header "{header.partition(":")[0]}: …"' for header in headers)
        self._program = Program(command + (["--token", token] if token else []) + own)

    def result(self):
        return json.loads(self._program.output(self._longest)) | {"command": self._shown}

    def end(self):
        self._program.end()


def load(url, **options):
    return Load(url, **options).result()
