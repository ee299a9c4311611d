"""Requests and uploads whose counts, sizes and numbers no program is made for: 4xx, and the host goes on.

What functions answer of that kind stands in test_magnitudes.py; what is malformed rather than large in
test_gateway_attacks.py and test_bad_uploads.py.
"""

import json
import socket
import time
from urllib.parse import quote

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import script_bundle
from checks import problem
from supervising import Lasting, bundle, echo, exchange, status

MIB = 1 << 20
PATIENCE = 10
SCRIPT = b"#!/bin/sh\nexec cat\n"


@pytest.fixture(scope="module")
def sturdy(workspace):
    """A host for what would end one; it is started again where something did, so that each case is judged by itself."""
    from conftest import new_host
    host = new_host(workspace, unique_name("sturdy"))
    host.other = None
    yield host
    if host.running:
        host.stop()


@pytest.fixture
def target(sturdy):
    if not sturdy.running:
        sturdy.start()
        sturdy.other = None
    if not sturdy.other:
        sturdy.other = echo(sturdy)
        sturdy.upload("open", SCRIPT, {"auth": "none"})
    with Lasting(sturdy, sturdy.other):
        yield sturdy


# -- Requests ---------------------------------------------------------------------------------------------------------

HEADS = {
    "10,000 headers": "".join(f"x-{number}: v\r\n" for number in range(10_000)),
    "70,000 headers": "".join(f"x-{number}: v\r\n" for number in range(70_000)),
    "one header 70,000 times": "x: v\r\n" * 70_000,
    "1 MiB of header": "x: " + "v" * MIB + "\r\n",
    "a name of 1 MiB": "x" * MIB + ": v\r\n",
    "70,000 cookies": "Cookie: " + "a=b; " * 70_000 + "a=b\r\n",
    "70,000 Cookie headers": "Cookie: a=b\r\n" * 70_000,
    "an Authorization of 1 MiB": "Authorization: Bearer " + "a" * MIB + "\r\n",
    "a traceparent of 1 MiB": "traceparent: 00-" + "a" * MIB + "\r\n",
    "a Host of 1 MiB": "Host: " + "a" * MIB + "\r\n",
}
LENGTHS = [
    "Content-Length: 99999999999999999999", "Content-Length: 18446744073709551617", "Content-Length: 9223372036854775807",
    "Content-Length: 9223372036854775808", "Content-Length: 4294967298", "Content-Length: -1",
    "Content-Length: 1e3", "Content-Length: 2.0", "Content-Length: +2", "Content-Length: 0x2", "Content-Length: ",
    "Content-Length: " + "9" * 5000, "Content-Length: 2, 2, 3", "Content-Length: ٢",
]
CHUNKS = ["ffffffffffffffffff", "ffffffffffffffff", "7fffffffffffffff", "8000000000000000", "-1", "1e3", "f" * 5000,
          "0" * 100_000 + "2", "100000000000000002", "2;" + "x" * MIB]


@pytest.mark.parametrize("route", ["POST /fn/open", "POST /v1/functions/open/invocations", "GET /healthz"])
@pytest.mark.parametrize("case", HEADS)
def test_head(target, case, route):
    """Refused or cut off; a head as long as these is never served."""
    head = f"{route} HTTP/1.1\r\nHost: localhost\r\n{HEADS[case]}Content-Length: 2\r\n\r\n{{}}"
    assert status(exchange(target, head.encode(), PATIENCE)) in (0, *range(400, 500))


@pytest.mark.parametrize("route", ["POST /fn/open", "PUT /v1/functions/long"])
@pytest.mark.parametrize("length", LENGTHS, ids=lambda length: length[:40])
def test_length(target, length, route):
    """A body whose end cannot be known is no request; one beyond all bounds is refused before it comes."""
    head = f"{route} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {target.token}\r\n{length}\r\n\r\n{{}}"
    began = time.monotonic()
    assert status(exchange(target, head.encode(), PATIENCE)) in (0, *range(400, 500))
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("size", CHUNKS, ids=lambda size: size[:24])
def test_chunk(target, size):
    head = "POST /fn/open HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + size + "\r\n{}\r\n0\r\n\r\n"
    with socket.create_connection((target.address, target.port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(head.encode())
            # A chunk of 2^63 - 1 bytes may be waited for: the end of what is sent decides then.
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
    # Leading zeros change nothing, where so many are read at all.
    assert status(answer) in ((0, 200) if size.endswith("02") and size.startswith("00") else (0,)) or \
        400 <= status(answer) < 500, answer[:300]


@pytest.mark.parametrize("query", [
    "&".join(f"p{number}=v" for number in range(66_000)), "&".join(["p=v"] * 66_000), "&" * 66_000, "p=" + "v" * MIB,
    "%41" * 66_000, "=" * 66_000,
], ids=["66,000 parameters", "one 66,000 times", "66,000 empty ones", "1 MiB of one", "66,000 escapes", "66,000 signs"])
@pytest.mark.parametrize("path", ["/fn/open", "/v1/functions", "/v1/functions/open/logs"])
def test_query(target, path, query):
    head = f"GET {path}?{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {target.token}\r\n\r\n"
    answer = exchange(target, head.encode(), PATIENCE)
    assert status(answer) in (0, *range(400, 500)), answer[:300]


BEYOND = ["99999999999999999999", "9223372036854775807", "9223372036854775808", "18446744073709551616", "-1",
          "-9223372036854775808", "1e400", "0.5", "1" + "0" * 400, "NaN", "٣", "", "0x10", " 1", "1_000"]
PLACES = ["/v1/functions?limit={}", "/v1/functions?cursor={}", "/v1/functions/open/versions?limit={}",
          "/v1/functions/open/versions?cursor={}", "/v1/functions/open/logs?limit={}", "/v1/functions/open?version={}",
          "/v1/invocations/{}", "/v1/functions/open/logs?invocation={}"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", BEYOND, ids=lambda number: number[:24] or "nothing")
def test_number_in_a_path(target, place, number):
    """Bounded or refused; never a failure of the host's."""
    reply = target.get(place.format(quote(number)))
    assert reply.status in (200, 400, 404), reply
    if reply.status != 200:
        assert reply.json()["status"] == reply.status


@pytest.mark.parametrize("number", BEYOND, ids=lambda number: number[:24] or "nothing")
def test_number_of_a_version(target, number):
    """No version of that number is there, and no other is served in its place."""
    reply = target.request("POST", f"/v1/functions/open/invocations?version={quote(number)}", b"{}")
    assert reply.status in (400, 404), reply


@pytest.mark.parametrize("event", [
    "[" * 3_000_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "1" * 3_000_000,
    "-" + "9" * 100_000 + "e" + "9" * 100_000, "[" + "1," * 1_500_000 + "1]", '{' + '"a":1,' * 500_000 + '"a":1}',
    '"' + "\\u0000" * 900_000 + '"', "1e999999999999", "[1E400,-1e-400]",
], ids=["open", "nested", "nested objects", "3,000,000 digits", "an exponent of 100,000 digits", "1,500,000 numbers",
        "500,000 members", "900,000 escapes", "1e999999999999", "1E400"])
def test_event(target, event):
    """JSON of any shape reaches a filter as it is, or is refused as `invalid_request`."""
    reply = target.request("POST", f"/v1/functions/{target.other}/invocations", event.encode(), timeout=PATIENCE)
    assert reply.outcome in ("ok", "invalid_request"), reply
    assert reply.outcome != "ok" or reply.body == event.encode()


# -- Manifests --------------------------------------------------------------------------------------------------------

HUGE = ["9223372036854775807", "9223372036854775808", "18446744073709551616", str(2 ** 70), "1" + "0" * 400, "-1", "1e3",
        "1.5", "NaN", "0x10", "٣"]
QUANTITIES = [(key, number) for key in ("threads", "processes", "max", "warm", "reuse") for number in HUGE]
QUANTITIES += [(key, f"{number}{unit}") for key in ("memory", "output", "log", "scratch")
               for number in (*HUGE[:6], "900") for unit in ("B", "GiB") if (number, unit) != ("900", "B")]
QUANTITIES += [(key, f"{number}{unit}") for key in ("wall", "cpu", "init", "idle")
               for number in (*HUGE[:6], "99999999999999999") for unit in ("ms", "h")]
QUANTITIES += [("memory", text) for text in ("0", "1B", "900TiB", "16EiB", "8388608TiB", "1e30GiB")]
QUANTITIES += [("wall", text) for text in ("0s", "16m", "9999h", "1e9s", "106751991167301d")]
GROUPS = {"max": "concurrency", "warm": "concurrency", "reuse": "concurrency", "idle": "concurrency"}


@pytest.mark.parametrize("key, value", QUANTITIES, ids=lambda text: text[:30])
def test_quantity(target, key, value):
    """Out of range in a query and in an archive: 400 naming the field; and no function of that name."""
    name = unique_name("beyond")
    reply = target.upload(name, SCRIPT, {key: value}, expect=None)
    assert key in problem(reply, "invalid_request")["detail"], reply
    archive = script_bundle(f"run: ./run\n{GROUPS.get(key, 'limits')}: {{ {key}: {value} }}\n")
    reply = target.upload(name, archive, content_type=ZIP, expect=None)
    assert key in problem(reply, "invalid_request")["detail"], reply
    assert target.get(f"/v1/functions/{name}").status == 404


@pytest.mark.parametrize("limits", [
    "memory: 900GiB", "memory: 1TiB", "memory: 900GiB, scratch: 800GiB",
])
def test_more_than_the_machine_has(target, limits):
    """The final manifest is what counts, wherever it came from."""
    name = unique_name("vast")
    query = [tuple(part.split(": ")) for part in limits.split(", ")]
    problem(target.upload(name, SCRIPT, query, expect=None), "invalid_request")
    reply = target.upload(name, script_bundle(f"run: ./run\nlimits: {{ {limits} }}\n"), content_type=ZIP, expect=None)
    problem(reply, "invalid_request")
    assert target.get(f"/v1/functions/{name}").status == 404


@pytest.mark.parametrize("manifest", [
    "run: ./run\nargs: [" + "a, " * 66_000 + "a]\n", "run: ./run\nargs: ['" + "a" * MIB + "']\n",
    "run: ./run\nenv: {" + ", ".join(f"A{n}: b" for n in range(66_000)) + "}\n", "run: ./run\nenv: { A: '" + "b" * MIB + "' }\n",
    "run: ./run\nallow:\n  files.read: [" + ", ".join(f"/usr/share/{n}" for n in range(66_000)) + "]\n",
    "run: ./" + "a/" * 66_000 + "run\n", "run: " + "[" * 100_000 + "\n", "run: ./run\n" + "x: 1\n" * 100_000,
    "run: ./run\n" + " ".join("- " * 50_000), "{" * 100_000,
], ids=["args", "an argument", "env", "a variable", "grants", "folders", "a nest", "unknown keys", "nested lists", "braces"])
def test_counts_of_a_manifest(target, manifest):
    began = time.monotonic()
    reply = target.upload(unique_name("counts"), script_bundle(manifest), content_type=ZIP, expect=None)
    assert 400 <= reply.status < 500 and json.loads(reply.body)["detail"], reply
    assert time.monotonic() - began < PATIENCE


def test_the_largest_that_is_allowed(target):
    """The bound itself is inside."""
    name = bundle(target, "run: ./run\nlimits: { wall: 15m, threads: 64, output: 64MiB, log: 1MiB }\n"
                          "concurrency: { max: 1000, reuse: 1000 }\n", {"run": SCRIPT})
    assert target.invoke(name, 5, expect="ok").json() == 5
