"""Lambda custom runtimes in a few lines of Python, well-behaved and not. For test_runtime_api*.py and test_lambda_runtimes.py."""

import contextlib
import textwrap
import time

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from conftest import SLOWNESS
from system import eventually

# What each bootstrap begins with: the Runtime API by http.client, and by bare bytes.
CLIENT = '''#!/usr/bin/python3 -u
import contextlib, http.client, json, os, socket, sys, threading, time

ADDRESS = os.environ["AWS_LAMBDA_RUNTIME_API"]
PLACE = ADDRESS.split(":")[0], int(ADDRESS.split(":")[1])
ROOT = "/2018-06-01/runtime/"


def opened():
    return http.client.HTTPConnection(ADDRESS, timeout=60)


api = opened()


def ask(method, path, body=None, headers={}, on=None):
    """The status, the headers and the body that the host answers."""
    connection = on or api
    connection.request(method, ROOT + path, body, headers)
    reply = connection.getresponse()
    return reply.status, reply.headers, reply.read()


def following(on=None):
    """The next invocation: its id, its event, and the headers that came with it."""
    status, headers, event = ask("GET", "invocation/next", on=on)
    assert status == 200, (status, event)
    return headers["Lambda-Runtime-Aws-Request-Id"], json.loads(event), headers


def answer(id, result, on=None):
    """Bytes as they are, all else as JSON; what the host says to it: the status, and the type of its error."""
    status, _, body = ask("POST", f"invocation/{id}/response", result if isinstance(result, bytes) else json.dumps(result).encode(), on=on)
    return [status, json.loads(body).get("errorType")]


def serve(handle):
    """What a runtime does."""
    while True:
        id, event, headers = following()
        answer(id, handle(event, headers))


def said(data, patience=0.5):
    """What comes back for these bytes, on a connection of their own, until the host hangs up or has nothing to say for a while."""
    told = b""
    with socket.create_connection(PLACE, 5) as connection:
        try:
            connection.sendall(data)
        except OSError:
            pass  # the host need not read what it has refused
        connection.settimeout(patience)
        try:
            while part := connection.recv(65536):
                told += part
        except OSError:
            pass
    return told


def beginning(id, *headers, method="POST", what="response"):
    """The head of an answer."""
    return "\\r\\n".join([f"{method} {ROOT}invocation/{id}/{what} HTTP/1.1", "Host: " + ADDRESS, *headers, "", ""]).encode()


def chunk(data):
    return b"%x\\r\\n%b\\r\\n" % (len(data), data)


def stream(id, parts, *headers, trailers=b""):
    """Answers in parts, as Lambda's runtimes stream: each is sent as soon as it is there."""
    with socket.create_connection(PLACE, 60) as connection:
        connection.sendall(beginning(id, "Lambda-Runtime-Function-Response-Mode: streaming", "Transfer-Encoding: chunked", *headers))
        for part in parts:
            connection.sendall(chunk(part))
        connection.sendall(b"0\\r\\n" + trailers + b"\\r\\n")
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        return reply.status
'''

# Answers null with how many events it has had. Of any other event it makes what a test wants: `misbehave`.
MISCHIEF = '''
seen = 0
while True:
    id, event, headers = following()
    seen += 1
    if event is None:
        answer(id, {"seen": seen})
    else:
        misbehave(id, event)
'''


def bootstrap(code):
    """The file's content and mode."""
    return (CLIENT + textwrap.dedent(code)).encode(), 0o755


def bundle(name, code, manifest="mode: reactor\n", limits=None, files=None):
    """A zip with a bootstrap of `code`; `limits` are the manifest's, other than those that every test here has."""
    limits = {"wall": f"{10 * SLOWNESS}s", "init": f"{10 * SLOWNESS}s", "memory": "128MiB", **(limits or {})}
    said = ", ".join(f"{key}: {value}" for key, value in limits.items())
    text = f"name: {name}\nruntime: provided\nroot: auto\nlimits: {{ {said} }}\n{manifest}"
    return zip_of({"function.yaml": text.encode(), "bootstrap": bootstrap(code), **(files or {})})


def deploy(host, code, manifest="mode: reactor\n", limits=None, files=None):
    """Uploads it, and returns its name."""
    name = unique_name("runtime")
    host.upload(name, bundle(name, code, manifest, limits, files), content_type=ZIP)
    return name


def mischief(host, code, manifest="mode: reactor\n", limits=None):
    """Uploads what does as it should for an event that is null, and what `code`'s `misbehave(id, event)` does for others."""
    return deploy(host, textwrap.dedent(code) + MISCHIEF, manifest, limits)


def again(host, name, event=None, seconds=10):
    """The answer of a process that has answered before. After its answer a runtime needs a moment until it asks for the next event, and
    who comes within it may be given another process."""
    def reused():
        reply = host.invoke(name, event, expect="ok")
        return reply if reply["Bulkhead-Start"] == "reused" else None
    return eventually(reused, seconds * SLOWNESS, f"{name} is answered by a process that has answered before")


def texts(host, name, **query):
    """The lines that a function has written."""
    return [line["text"] for line in host.logs(name, **query) if line["source"] == "function"]


def fresh(host, name):
    """Asserts that a mischief's next invocation is right, and answered by a process that saw none before it."""
    reply = host.invoke(name, expect="ok")
    assert reply.json() == {"seen": 1} and reply["Bulkhead-Start"] != "reused", reply


def goes_on(host, name):
    """Asserts that the process that made the mischief goes on as it should."""
    assert again(host, name).json()["seen"] >= 2


@contextlib.contextmanager
def lives(host, echo):
    """What happens within it does not end the host, and does not keep it from another function."""
    supervisor = host.supervisor.pid
    yield
    assert host.get("/healthz", token=None).status == 200
    began = time.monotonic()
    assert host.invoke(echo, {"x": 1}, expect="ok").json() == {"x": 1}
    assert time.monotonic() - began < 3 * SLOWNESS
    assert host.supervisor.pid == supervisor, host.log_tail()
