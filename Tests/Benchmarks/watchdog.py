"""OpenFaaS's of-watchdog, the nearest relative: an HTTP server in front of a process. Measured where it is on PATH."""

import shutil
import socket
import time
import urllib.request
from contextlib import contextmanager

from programs import BENCH, ECHO, Failed, Server, shown

# What it does with fork per request on a machine like those this was developed on; used where it is not installed.
REFERENCE_RPS = 1413


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(mode):
    """Yields its URL. `streaming` starts a process for each request, `http` passes on to one that stays."""
    program = shutil.which("of-watchdog")
    if program is None:
        raise Failed("of-watchdog is not on PATH")
    port, inner = free_port(), free_port()
    environment = {"mode": mode, "port": str(port), "suppress_lock": "true", "fprocess": ECHO}
    if mode == "http":
        upstream = f"http://127.0.0.1:{inner}"
        environment |= {"fprocess": f"{BENCH} nio-echo --port {inner}", "upstream_url": upstream,
                        "http_upstream_url": upstream}
    url = f"http://127.0.0.1:{port}/"
    with Server([program], "Listening on port", environment):
        _wait_for_answer(url, shown([program], environment))
        yield url


def _wait_for_answer(url, command, seconds=10):
    """It listens before the process behind it does."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, b"{}", timeout=5):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failed(f"{command}: {error}") from error
        time.sleep(0.05)
