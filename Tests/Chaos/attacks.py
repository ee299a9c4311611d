"""What goes on beside the honest functions. Each attack is one short deed, done over and over by a few threads."""

import gzip
import http.client
import json
import random
import socket
import time
from contextlib import closing, suppress

from bulkhead_host import GZIP, OCTETS
from bundles import crowded_zip, zip_of

MIB = 1 << 20
GONE = (OSError, http.client.HTTPException, ValueError)

# Functions, open to all: (script, manifest fields).
SCRIPTS = {
    "headers": ("tail -n +4 \"$0\"", {}),
    "wide": ("head -c 16000000 /dev/zero | tr '\\0' a", {"output": "17MiB", "wall": "20s"}),
    "newlines": ("yes '' | head -c 20000000 >&2", {"log": "32MiB"}),
    "json": ("printf '[1'; yes ',1' | tr -d '\\n' | head -c 12000000; printf ']'", {"output": "16MiB"}),
    "nest": ("head -c 3000000 /dev/zero | tr '\\0' '['", {}),
    "spin": ("while :; do :; done", {"cpu": "300ms"}),
    "eat": ("head -c 300000000 /dev/zero | tail -c 300000000", {"memory": "32MiB"}),
    "forks": ("f() { f | f & }; f; sleep 1", {"wall": "1s", "max": "2"}),
    "vanish": ("kill -9 $$", {}),
    "endless": ("yes", {"output": "1MiB"}),
    "sleep": ("sleep 5", {"wall": "1s", "max": "8"}),
    "count": ("wc -c", {"wall": "5s"}),
}
REACTORS = {
    "stack": "say('{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":1,\"message\":\"m\",\"data\":{\"stackTrace\":[\"x\"' % i"
             " + ',\"at f\"' * 2000000 + ']}}}')",
    "forger": "say('{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":1}' % i + '\\n{\"jsonrpc\":\"2.0\",\"id\":1' + '0' * 400 + '}')",
}
REACTOR = """#!/usr/bin/python3
import json, os, sys
def say(text):
    data = text.encode() + b"\\n"
    while data:
        data = data[os.write(1, data):]
say('{"jsonrpc":"2.0","method":"ready"}')
for line in sys.stdin:
    i = json.loads(line)["id"]
    DEED
"""


def script(text):
    """`headers` prints its own file from the fourth line on: an answer with 66,000 headers."""
    page = json.dumps({"statusCode": 200, "headers": {f"h{n}": 1 for n in range(66_000)}}) if "tail -n" in text else ""
    return f"#!/bin/sh\n{text}\nexit 0\n{page}".encode()


class Attacks:
    def __init__(self, host):
        self.host, self.done, self.accepted, self.versions = host, {}, [], {}
        for name, (text, fields) in SCRIPTS.items():
            host.upload(f"bad-{name}", script(text), {"auth": "none", **fields})
        for name, deed in REACTORS.items():
            host.upload(f"bad-{name}", REACTOR.replace("DEED", deed).encode(), {
                "auth": "none", "mode": "reactor", "output": "32MiB", "wall": "9s", "max": "2"})
        self.bombs = [gzip.compress(b"\x1f\x8b\x08\x08\0\0\0\0\0\0\3" + b"a" * (64 * MIB)), crowded_zip(100_000)]
        self.kinds = [self.answer, self.flood, self.deaf, self.pipeline, self.slow_head, self.garbage, self.upload,
                      self.bomb, self.controls, self.later, self.leave, self.many_headers]

    def once(self):
        """One of them, at random. The host may be gone at any moment: that is what the honest ones are for."""
        kind = random.choice(self.kinds)
        with suppress(*GONE, AssertionError):
            kind()
        self.done[kind.__name__] = self.done.get(kind.__name__, 0) + 1

    def connect(self, seconds=5):
        return socket.create_connection((self.host.address, self.host.port), timeout=seconds)

    def answer(self):
        name = random.choice([*SCRIPTS, *REACTORS])
        with closing(self.host.connect(10)) as connection:
            connection.request("GET", f"/fn/bad-{name}", headers={"Host": "localhost"})
            response = connection.getresponse()
            while response.read(MIB):
                pass

    def flood(self):
        for _ in range(100):
            with self.connect(1) as connection:
                connection.sendall(random.choice([b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"G", b""]))

    def deaf(self):
        with self.connect() as connection:
            connection.sendall(b"GET /fn/bad-wide HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(random.uniform(1, 4))

    def pipeline(self):
        with self.connect() as connection:
            connection.sendall(b"GET /fn/bad-json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
            time.sleep(random.uniform(1, 4))

    def slow_head(self):
        with self.connect() as connection:
            for byte in b"GET /fn/bad-count HTTP/1.1\r\nHost: localhost\r\nX: yyyyy":
                connection.sendall(bytes([byte]))
                time.sleep(0.05)

    def garbage(self):
        with self.connect() as connection:
            connection.sendall(random.randbytes(random.randrange(1, 100_000)))

    def many_headers(self):
        with self.connect() as connection:
            connection.sendall(b"GET /fn/bad-count HTTP/1.1\r\n" + b"X: y\r\n" * 66_000 + b"\r\n")

    def controls(self):
        head = "POST /fn/bad-count HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 6000000\r\n\r\n"
        with self.connect(10) as connection:
            connection.sendall(head.encode() + b"\1" * 6_000_000)
            connection.recv(1000)

    def leave(self):
        with self.connect() as connection:
            connection.sendall(b"POST /fn/bad-sleep HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
            time.sleep(0.1)

    def upload(self):
        name = f"other-{random.randrange(5)}"
        body = f"#!/bin/sh\n# {random.random()}\nexec cat\n".encode()
        reply = self.host.request("PUT", f"/v1/functions/{name}", body, {"Content-Type": OCTETS})
        if reply.status == 201:
            self.versions[name] = max(self.versions.get(name, 0), reply.json()["version"])

    def bomb(self):
        body = random.choice(self.bombs)
        kind = GZIP if body[:2] == b"\x1f\x8b" else "application/zip"
        self.host.request("PUT", "/v1/functions/bomb", body, {"Content-Type": kind})

    def later(self):
        for _ in range(5):
            reply = self.host.invoke("other-0", random.randrange(100), headers={"Prefer": "respond-async"})
            if reply.status == 202:
                self.accepted.append(reply["Location"].rsplit("/", 1)[1])


def manifest_of(name, mode, handler):
    return zip_of({"function.yaml": f"name: {name}\nruntime: python\nhandler: app.handler\nmode: {mode}\n".encode(),
                   "app.py": handler.encode()})
