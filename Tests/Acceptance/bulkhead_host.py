"""A real `bulkhead serve`, and HTTP spoken to it without any library that could smooth over what it answers."""

import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import system

LISTENING = re.compile(r"^bulkhead: listening on (http://([0-9.]+):([0-9]+))$")
# For a machine that lacks a layer, such as a virtual one: "--allow-degraded memory".
SERVE_OPTIONS = os.environ.get("BULKHEAD_SERVE_OPTIONS", "").split()
ADMIN = object()  # «the host's own token»
OCTETS = "application/octet-stream"
ZIP = "application/zip"
GZIP = "application/gzip"

_names = itertools.count(1)


def unique_name(stem="t"):
    """A function name that no other test uses."""
    return f"{stem}-{next(_names)}"


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def __getitem__(self, header):
        return self.headers[header]

    def json(self):
        return json.loads(self.body)

    @property
    def outcome(self):
        return self.headers["Bulkhead-Outcome"]

    @property
    def media_type(self):
        return (self.headers["Content-Type"] or "").split(";")[0].strip().lower()

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:600]!r}>"


class Host:
    def __init__(self, binary, data, log, environment=None, user=None, options=SERVE_OPTIONS):
        """`user`: a uid to serve as, for a test that is root itself. `options`: more of `serve`."""
        self.binary, self.data, self.log = Path(binary), Path(data), Path(log)
        self.environment = os.environ | (environment or {})
        self.options = list(options)
        self.identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        self.lines = []
        self.process = None

    # -- Life ---------------------------------------------------------------------------------------------------------

    def start(self, seconds=30):
        self.traces = system.Traces()
        command = [self.binary, "serve", "--listen", "127.0.0.1:0", "--data", self.data, *self.options]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                env=self.environment, text=True, start_new_session=True, **self.identity)
        self.lines = []
        listening = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout, listening), daemon=True)
        self._reader.start()
        deadline = time.monotonic() + seconds
        while not listening.wait(0.02):
            code = self.process.poll()
            assert code is None, f"serve ended with {code} before it listened:\n{self.log_tail()}"
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"serve did not listen within {seconds} s:\n{self.log_tail()}")
        assert self.url, f"serve printed no listening line: {self.lines}\n{self.log_tail()}"
        self.token = (self.data / "admin.token").read_text().strip()
        return self

    def _read(self, stream, listening):
        for line in stream:
            self.lines.append(line.rstrip("\n"))
            if found := LISTENING.match(self.lines[-1]):
                self.url, self.address, self.port = found[1], found[2], int(found[3])
                listening.set()
        stream.close()

    url = None

    @property
    def supervisor(self):
        """The process that serves: the guardian's child."""
        return next(one for one in self.members if one.parent == self.process.pid and one.name == "bulkhead")

    @property
    def members(self):
        """The guardian, the supervisor, its launcher, and all cells and workers at this moment."""
        return system.family(self.process.pid)

    def stop(self, seconds=20):
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds=20):
        code = self.process.wait(seconds)
        self._reader.join(seconds)
        return code

    def kill(self):
        """SIGKILL: the host gets no chance to tidy up."""
        self.process.kill()
        return self.process.wait(10)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def log_tail(self):
        return self.log.read_text(errors="replace")[-4000:]

    # -- HTTP ---------------------------------------------------------------------------------------------------------

    def connect(self, timeout=30):
        return http.client.HTTPConnection(self.address, self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None, token=ADMIN, timeout=30, query=()):
        """One request on a connection of its own. A body that is neither bytes nor None is sent in chunks."""
        headers = dict(headers or {})
        token = self.token if token is ADMIN else token
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")
        if query:
            path += "?" + urlencode(query, doseq=True)
        chunked = body is not None and not isinstance(body, bytes) and "Content-Length" not in headers
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        with closing(self.connect(timeout)) as connection:
            try:
                connection.request(method, path, body, headers, encode_chunked=chunked)
            except (BrokenPipeError, ConnectionResetError, TimeoutError):
                if body is None:
                    raise  # otherwise the host may refuse a body before its end: then the answer is there to be read
            return reply_on(connection)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    # -- What the routes do -------------------------------------------------------------------------------------------

    def upload(self, name, payload, query=(), content_type=OCTETS, expect=(200, 201), **options):
        """PUT of a file (a path or its bytes), with manifest fields as `query`."""
        body = payload.read_bytes() if isinstance(payload, Path) else payload
        headers = {"Content-Type": content_type}
        reply = self.request("PUT", f"/v1/functions/{name}", body, headers, query=query, **options)
        if expect:
            assert reply.status in expect, f"upload of {name}: {reply}"
        return reply

    def invoke(self, name, event=b"", query=(), headers=None, expect=None, **options):
        """POST of an event: bytes go as they are, all else as JSON. `expect` is the outcome that must come."""
        body = event if isinstance(event, bytes) or hasattr(event, "__next__") else json.dumps(event).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        reply = self.request("POST", f"/v1/functions/{name}/invocations", body, headers, query=query, **options)
        if expect:
            assert reply.outcome == expect, f"{name} ended {reply.outcome}, not {expect}: {reply}"
        return reply

    def delete(self, name):
        return self.request("DELETE", f"/v1/functions/{name}")

    def logs(self, name, **query):
        reply = self.get(f"/v1/functions/{name}/logs", query=query)
        assert reply.status == 200, reply
        return reply.json()["lines"]

    def record(self, identifier):
        """What the host remembers of an invocation."""
        reply = self.get(f"/v1/invocations/{identifier}")
        assert reply.status == 200, reply
        return reply.json()

    def record_when_done(self, identifier, seconds=10):
        def done():
            record = self.record(identifier)
            return record if record["status"] == "done" else None
        return system.eventually(done, seconds, f"invocation {identifier} is done")


def reply_on(connection):
    response = connection.getresponse()
    return Reply(response.status, response.headers, response.read())


def at_once(calls):
    """Runs all `calls`, each in a thread of its own, and returns their results in order."""
    calls = list(calls)
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
