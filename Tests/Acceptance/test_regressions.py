"""What reviews once found: each test is the attack as it worked then."""

import os
import socket
import subprocess
import time
from functools import partial
from threading import Thread

import pytest

from bulkhead_host import ZIP, at_once
from bundles import zip_of
from checks import failed
from conftest import BINARY
from system import eventually

SHELL = b"#!/bin/sh\n"


def on_one_connection(host, *requests):
    """All bytes that come back for requests sent one behind the other, until the host has nothing more to say."""
    with socket.create_connection(("127.0.0.1", host.port), timeout=10) as connection:
        answer = b""
        for request in requests:
            connection.sendall(request)
            connection.settimeout(1)
            try:
                while chunk := connection.recv(65536):
                    answer += chunk
            except TimeoutError:
                pass
        return answer


def test_a_burst_does_not_jam_the_launcher(hosts, compile_c):
    """900 launches at once filled both directions of the launcher's socket, and host and launcher waited for each other."""
    host = hosts()
    binary = compile_c("nothing.c")
    host.upload("burst", binary.read_bytes(), {"max": "1000", "auth": "none", "wall": "60s", "memory": "4MiB"})
    replies = at_once([lambda: host.request("GET", "/fn/burst", token=None, timeout=90)] * 900)
    assert {reply.status for reply in replies} <= {200, 503}, {reply.status for reply in replies}
    assert host.get("/healthz", token=None).status == 200
    host.delete("burst")


def test_a_deeply_nested_result_costs_nothing(host):
    """12 KB of brackets held up the whole gateway for 14 seconds, out of the function's time."""
    nested = "[" * 500 + "]" * 500
    host.upload("nested", SHELL + f"cat >/dev/null; echo '[{','.join([nested] * 12)}]'\n".encode(), {"auth": "none"})
    began = time.monotonic()
    assert host.request("GET", "/fn/nested", token=None).status == 200
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("method, status", [("GET", 204), ("GET", 304), ("GET", 205), ("HEAD", 200), ("HEAD", 502)])
def test_no_second_response_in_a_body(host, method, status):
    """A body where HTTP has none was read as the connection's next response."""
    forged = "HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nFORGED"
    script = f"cat >/dev/null; printf '%s' '{{\"statusCode\":{status},\"body\":\"{forged}\"}}'\n"
    name = f"split-{method.lower()}-{status}"
    host.upload(name, SHELL + script.encode(), {"auth": "none"})
    request = f"{method} /fn/{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    answer = on_one_connection(host, request, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"FORGED" not in answer
    assert answer.count(b"HTTP/1.1 ") == 2 and answer.rstrip().endswith(b'{"status":"ok"}'), answer


def test_an_errors_text_is_bounded(host):
    """Megabytes of message were kept with each record."""
    source = b"def handler(event, context):\n    raise ValueError('x' * 3000000)\n"
    host.upload("loud", source, {"runtime": "python", "handler": "loud.handler"})
    reply = host.invoke("loud", b"{}")
    assert failed(reply, "error")["error"]["type"] == "ValueError"
    assert len(reply.body) < 50_000


def test_the_data_directory_is_granted_under_no_name(host):
    """/run/bulkhead was the supervisor's own way to it, and open to grants."""
    for number, path in enumerate(["/run/bulkhead", "/run/bulkhead/bundles", "/run/bulkhead/catalogue.db", host.data]):
        name = f"peek-{number}"
        manifest = f"run: ./peek\nallow:\n  files.read: ['{path}']\n".encode()
        script = SHELL + f"cat >/dev/null; cat {path} {path}/catalogue.db 2>/dev/null; ls {path}\n".encode()
        host.upload(name, zip_of({"function.yaml": manifest, "peek": (script, 0o755)}), content_type=ZIP)
        reply = host.invoke(name)
        assert b"SQLite" not in reply.body and b"incoming" not in reply.body, reply
        assert reply.outcome in ("launch_failed", "exit") or reply.body == b"", reply


def test_cells_send_no_datagrams(host, compile_c):
    """A datagram socket of a pair can be sent to any socket file in sight."""
    binary = compile_c("pairs.c")
    host.upload("pairs", binary.read_bytes())
    assert host.invoke("pairs", expect="ok").json() == [-1, 0]


def test_a_revoked_admin_token_stays_revoked(hosts):
    """The next start read it from its file and let it in again."""
    host = hosts()
    keys = host.get("/v1/keys").json()["keys"]
    other = host.request("POST", "/v1/keys", b'{"name":"other","role":"admin"}').json()["token"]
    admin = next(key["id"] for key in keys if key["name"] == "admin.token")
    assert host.request("DELETE", f"/v1/keys/{admin}").status == 204
    assert host.get("/v1/functions").status == 401
    host.stop()
    again = hosts(host.data)
    assert again.get("/v1/functions").status == 401
    assert again.get("/v1/functions", token=other).status == 200


def test_an_idle_reactor_may_not_compute(host, compile_c):
    """Time between invocations was nobody's, and free."""
    binary = compile_c("busybody.c")
    host.upload("busybody", binary.read_bytes(), {"mode": "reactor"})
    host.invoke("busybody", expect="ok")
    eventually(
        lambda: any("computed while idle" in line["text"] for line in host.logs("busybody")), 6, "the spinner is ended")


def test_the_supervisor_may_look_at_its_own_threads(host, example, deed):
    """libdispatch does so when threads are kept waiting, and takes a refusal for a broken process, which it ends."""
    echo, spinner = example("echo"), deed("spin", 2000, cpu="3s", wall="9s").name
    spinners = [Thread(target=host.invoke, args=[spinner]) for _ in range(4)]
    for one in spinners:
        one.start()
    while any(one.is_alive() for one in spinners):
        at_once(partial(host.invoke, echo, {"x": 1}, expect="ok") for _ in range(8))
    assert host.running


@pytest.mark.parametrize("how", [["nice", "-n", "5"], ["chrt", "-b", "0"], ["chrt", "-i", "0"]])
def test_a_host_that_goes_behind_others(how, example_folder):
    """Started with less than the usual priority, as an ordinary user: workers get that, and start."""
    identity = {"user": 61_235, "group": 61_235, "extra_groups": []} if os.geteuid() == 0 else {}
    degraded = [part for layer in ("memory", "processes", "cpu") for part in ("--allow-degraded", layer)]
    done = subprocess.run([*how, BINARY, "run", example_folder("echo"), "--data", "1", *degraded], capture_output=True,
                          text=True, timeout=60, env={"PATH": os.environ["PATH"], "HOME": "/tmp"}, **identity)
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
