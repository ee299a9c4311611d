"""`allow: { network: loopback }`: a network of the cell's own, in which programs serve and call each other, and nobody else is."""

import contextlib
import json
import re
import threading
from pathlib import Path

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from checks import failed, problem
from system import eventually

GRANT = "allow: { network: loopback }\n"

SERVER = r"""#!/usr/bin/python3
import http.server, json, sys, threading, urllib.request
word = json.load(sys.stdin)
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(word.encode())
    def log_message(self, *_): pass
with http.server.ThreadingHTTPServer(("localhost", 8080), Echo) as server:
    threading.Thread(target=server.serve_forever).start()
    answers = [urllib.request.urlopen("http://localhost:8080/").read().decode() for _ in range(20)]
    print(json.dumps(answers))
    server.shutdown()
"""

NODE = r"""#!/usr/bin/env node
const http = require("http");
const server = http.createServer((request, response) => response.end("node " + request.url));
server.listen(3000, "127.0.0.1", async () => {
  const answer = await (await fetch("http://127.0.0.1:3000/x")).text();
  console.log(JSON.stringify(answer));
  server.close();
  server.closeAllConnections();
});
"""

# What is tried in a cell; prints {what: errno's name or "ok"}.
TRIALS = r"""#!/usr/bin/python3
import errno, json, socket, sys
gateway = json.load(sys.stdin)
def attempt(act):
    try:
        act()
        return "ok"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
def tcp(family=socket.AF_INET): return socket.socket(family, socket.SOCK_STREAM)
def option(level, name): return lambda: tcp().setsockopt(level, name, b"\1\0\0\0")
def connect(*address): return lambda: tcp().connect(address)
print(json.dumps({
    "the host's gateway": attempt(connect("127.0.0.1", gateway)),
    "another machine": attempt(connect("192.0.2.1", 80)),
    "another machine, IPv6": attempt(lambda: tcp(socket.AF_INET6).connect(("2001:db8::1", 80))),
    "a metadata service": attempt(connect("169.254.169.254", 80)),
    "a low port": attempt(lambda: tcp().bind(("127.0.0.1", 80))),
    "UDP": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "raw": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    "a socket file": attempt(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)),
    "netlink": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)),
    "packets": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)),
    "vsock": attempt(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)),
    "AF_ALG": attempt(lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)),
    "MPTCP": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)),
    "SCTP": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)),
    "kTLS": attempt(lambda: tcp().setsockopt(6, 31, b"tls")),
    "a packet filter": attempt(option(1, 26)),
    "a firewall": attempt(option(0, 64)),
    "a device": attempt(option(1, 25)),
    "a mark": attempt(option(1, 36)),
    "an interface's address": attempt(lambda: __import__("fcntl").ioctl(tcp(), 0x8916, bytes(40))),
}))
"""
REFUSED = {
    "the host's gateway": "ECONNREFUSED", "another machine": "ENETUNREACH", "another machine, IPv6": "ENETUNREACH",
    "a metadata service": "ENETUNREACH", "a low port": "EACCES", "UDP": "EAFNOSUPPORT", "raw": "EPERM",
    "a socket file": "EAFNOSUPPORT", "netlink": "EAFNOSUPPORT", "packets": "EAFNOSUPPORT", "vsock": "EAFNOSUPPORT",
    "AF_ALG": "EAFNOSUPPORT", "MPTCP": "EPROTONOSUPPORT", "SCTP": "EPROTONOSUPPORT", "kTLS": "ENOSYS", "a packet filter": "ENOSYS",
    "a firewall": "ENOSYS", "a device": "ENOSYS", "a mark": "ENOSYS", "an interface's address": "ENOSYS",
}

# Fills the buffers of as many connections as it may have, and says how much went in.
HOARDER = r"""#!/usr/bin/python3
import json, socket, sys
server = socket.create_server(("127.0.0.1", 8080), backlog=4096)
held, sent = [], 0
try:
    while True:
        client = socket.create_connection(("127.0.0.1", 8080), 2)
        held += [client, server.accept()[0]]
        client.setblocking(False)
        try:
            while True: sent += client.send(bytes(65536))
        except BlockingIOError: pass
except OSError: pass
print(json.dumps([len(held), sent]))
import time; time.sleep(1)
"""

# Connections that nobody accepts, each left again by its caller: the kernel makes those on no process's account.
BACKLOG = r"""#!/usr/bin/python3
import json, socket
made = 0
servers = []
try:
    for port in range(2000, 9000): servers.append(socket.create_server(("127.0.0.1", port), backlog=4096))
except OSError: servers.pop()
for server in servers:
    for _ in range(64):
        caller = socket.socket()
        caller.setblocking(False)
        try: caller.connect(server.getsockname())
        except OSError: pass
        made += 1
        caller.close()
print(json.dumps([len(servers), made]))
"""


def deploy(host, source, manifest=GRANT):
    name = unique_name("net")
    host.upload(name, zip_of({"function.yaml": f"name: {name}\nrun: ./run\n{manifest}".encode(), "run": (source.encode(), 0o755)}),
                content_type=ZIP)
    return name


def result(host, name, event=None):
    answer = host.invoke(name, event)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


@pytest.mark.parametrize("source, event, expected", [(SERVER, "one", ["one"] * 20), (NODE, None, "node /x")], ids=["python", "node"])
def test_a_server_and_its_client(host, source, event, expected):
    """An ordinary program that talks to itself over HTTP runs as it is."""
    assert result(host, deploy(host, source), event) == expected


def test_each_cell_has_its_own(host):
    """Functions at the same port at once, also of one version: each hears from itself alone."""
    names = [deploy(host, SERVER.replace("range(20)", "range(200)")) for _ in range(2)]
    answers = {}

    def ask(key):
        answers[key] = result(host, names[key[0]], f"{key}")

    threads = [threading.Thread(target=ask, args=((index % 2, index),)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {key: [str(key)] * 200 for key in answers} and len(answers) == 8


def test_what_it_reaches(host):
    """Itself over TCP, and nothing else by any family, option or address."""
    gateway = int(host.url.rsplit(":", 1)[1])
    assert result(host, deploy(host, TRIALS), gateway) == REFUSED


def test_without_it_there_is_none(host):
    """As before: no socket, and the log says what would change that."""
    name = deploy(host, "#!/usr/bin/python3\nimport socket\nsocket.socket()\n", "")
    told = failed(host.invoke(name, None), "exit")
    assert "EAFNOSUPPORT; allow.network: loopback, which reaches the cell itself and nothing else, would allow it" in told["detail"]


def test_with_it_nothing_more_is_promised(host):
    """What no grant allows is not said to be allowed by the one that is there."""
    name = deploy(host, "#!/usr/bin/python3\nimport socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)\n")
    told = failed(host.invoke(name, None), "exit")
    assert "EAFNOSUPPORT; no grant allows it" in told["detail"], told["detail"]
    refusals = host.get(f"/v1/functions/{name}").json()["refused"]
    assert "loopback" not in str(refusals) and "socket" in str(refusals), refusals


@pytest.mark.parametrize("value", ["all", "true", "[loopback]", "host"])
def test_other_values(host, value):
    name = unique_name("net")
    files = {"function.yaml": f"name: {name}\nrun: ./run\nallow: {{ network: {value} }}\n".encode(), "run": (b"#!/bin/sh\n", 0o755)}
    told = problem(host.upload(name, zip_of(files), content_type=ZIP, expect=(400,)), "invalid_request")
    assert "allow.network" in told["detail"] and "none, loopback" in told["detail"]


def test_told_by_policy_and_manifest(host):
    name = deploy(host, SERVER)
    assert host.get(f"/v1/functions/{name}").json()["manifest"]["allow"] == {"network": "loopback"}
    sentences = " ".join(host.get(f"/v1/functions/{name}/policy").json()["sentences"])
    assert "in a network of its own, which ends at the cell" in sentences and "no socket" not in sentences


def test_what_one_invocation_leaves(host):
    """A port that an invocation served at is free for the next one, and what it left on its way is nowhere."""
    name = deploy(host, "#!/usr/bin/python3\nimport socket\ns = socket.create_server(('127.0.0.1', 8080))\n"
                        "c = socket.create_connection(('127.0.0.1', 8080))\na = s.accept()[0]\na.close()\nprint(len(open('/proc/net/tcp').readlines()))\n")
    assert [result(host, name) for _ in range(10)] == [4] * 10  # a heading, the server, and both ends of a connection


@contextlib.contextmanager
def highest(measure):
    """A list of what `measure` said before, and of the most that it said meanwhile."""
    before = measure()
    seen, stop = [before, before], threading.Event()

    def watch():
        while not stop.wait(0.01):
            seen[1] = max(seen[1], measure())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()


def tcp_pages():
    """Memory of all of the machine's TCP sockets' buffers, in pages."""
    return int(re.search(r"TCP: .* mem (\d+)", Path("/proc/net/sockstat").read_text())[1])


def test_buffers_count(host):
    """Buffers of sockets are bounded as its memory is: the machine has one pool for all."""
    name = deploy(host, HOARDER, GRANT + "limits: { memory: 64MiB, wall: 10s }\n")
    with highest(tcp_pages) as seen:
        answer = host.invoke(name, None)
    before, peak = seen
    assert (peak - before) * 4096 < 64 << 20, f"{peak - before} pages"
    if answer.status == 200:
        connections, sent = json.loads(answer.body)
        assert connections > 2 and sent < 64 << 20
    else:
        assert answer.outcome in ("memory_exceeded", "timeout")
    eventually(lambda: tcp_pages() - before < 1000, 10, "what it held to be given back")


def kernel_memory():
    return int(re.search(r"SUnreclaim: +(\d+)", Path("/proc/meminfo").read_text())[1]) << 10


def test_connections_that_nobody_accepts(host):
    """The kernel charges them to nobody, so there are few."""
    name = deploy(host, BACKLOG, GRANT + "limits: { wall: 20s, cpu: 20s, processes: 1 }\n")
    with highest(kernel_memory) as seen:
        servers, made = result(host, name)
    assert servers > 50 and made >= 64 * servers
    assert seen[1] - seen[0] < 200 << 20, f"{(seen[1] - seen[0]) >> 20} MiB for {servers} servers"


def test_reactor_serves_itself_again_and_again(host):
    """A worker that lives on keeps its network."""
    source = r"""
import socket, threading
server = socket.create_server(("127.0.0.1", 8080))
def serve():
    while True: server.accept()[0].sendall(b"x")
threading.Thread(target=serve, daemon=True).start()
def handler(event, context):
    with socket.create_connection(("127.0.0.1", 8080)) as caller: return caller.recv(1).decode()
"""
    name = unique_name("net")
    manifest = f"name: {name}\nruntime: python\nhandler: app.handler\nmode: reactor\n{GRANT}"
    host.upload(name, zip_of({"function.yaml": manifest.encode(), "app.py": source.encode()}), content_type=ZIP)
    assert [result(host, name) for _ in range(5)] == ["x"] * 5
    assert host.invoke(name, None)["Bulkhead-Start"] == "reused"
