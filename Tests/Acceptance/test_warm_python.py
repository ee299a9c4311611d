"""What a client can send that would end a worker which others share: it ends its own invocation, and the worker lives.

And what one invocation leaves half written does not begin what the next one says.
"""

import json
import re
import time

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from checks import problem
from conftest import SLOWNESS
from supervising import Lasting, echo
from system import eventually

HANDLER = """
import os, sys, threading
seen = 0

def handler(event, context):
    global seen
    seen += 1
    if isinstance(event, dict) and "write" in event:
        os.write(2, event["write"].encode())
    if isinstance(event, dict) and "late" in event:
        def write():
            for _ in range(200):
                os.write(2, event["late"].encode())
        threading.Thread(target=write, daemon=True).start()
    if isinstance(event, dict) and event.get("print"):
        sys.stdout.write(event["print"])
        sys.stderr.write(event["print"])
    return {"seen": seen, "pid": os.getpid()}
"""

EVENTS = {
    "a number of 5,000 digits": "1" * 5_000,
    "a number of 4,301 digits": "-" + "9" * 4_301,
    "a number of 3,000,000 digits": "7" * 3_000_000,
    "a member of 5,000 digits": '{"a":[1,{"b":' + "1" * 5_000 + "}]}",
    "a fraction of 100,000 digits": "0." + "1" * 100_000,
    "an exponent of 5,000 digits": "1e" + "9" * 5_000,
    "1e999999": "1e999999",
    "-1e999999": "[-1e999999,1e-999999]",
    "lists, 100,000 deep": "[" * 100_000 + "]" * 100_000,
    "objects, 100,000 deep": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "lists, 900 deep": "[" * 900 + "]" * 900,
    "lists and objects, 50,000 deep": '[{"a":' * 50_000 + "1" + "}]" * 50_000,
    "half a surrogate": '"\\ud800"',
    "halves as keys": '{"\\udfff":"\\udc00\\ud800","a":"\\ud83d"}',
    "NUL": '"a\\u0000b"',
    "NUL as a key": '{"\\u0000":"\\u0000"}',
    "keys twice": '{"a":1,"a":{"write":"x"},"a":[]}',
    "one key 500,000 times": "{" + ",".join(['"a":1'] * 500_000) + "}",
    "keys that are the worker's own": '{"jsonrpc":"2.0","method":"invoke","id":1,"params":{"event":1}}',
    "special names": '{"__class__":1,"__proto__":{"a":1},"":0}',
    "control characters": '"' + "\\u0001" * 500_000 + '"',
    "line separators": '"\u2028\u2029\u0085\\n\\r"',
    "a byte order mark in a string": '"\ufeff"',
    "line feeds between": "[\n1\n,\r\n2\t]\n",
    "NaN": "NaN",
    "Infinity": "[Infinity]",
    "two values": "1 2",
    "an end too many": "[1]]",
    "nothing but blanks": "  \n ",
    "not UTF-8": b'"\xff\xfe"',
    "surrogates in UTF-8": b'"\xed\xa0\x80"',
    "an overlong slash": b'"\xc0\xaf"',
    "NUL bytes": b'{"a":"\x00"}',
}


@pytest.fixture(scope="module")
def bench(workspace):
    from conftest import new_host
    host = new_host(workspace, unique_name("python")).start()
    host.other = echo(host)
    yield host
    host.stop()


def deploy(host, mode, processes=1):
    name = unique_name(mode)
    manifest = (f"runtime: python\nhandler: app.handler\nmode: {mode}\nauth: none\nconcurrency: {{ max: 1 }}\n"
                f"limits: {{ wall: 9s, memory: 256MiB, processes: {processes} }}\n")
    host.upload(name, zip_of({"function.yaml": manifest.encode(), "app.py": HANDLER.encode()}), content_type=ZIP)
    return name


@pytest.fixture(scope="module")
def workers(bench):
    return {mode: deploy(bench, mode) for mode in ("reactor", "snapshot")}


@pytest.mark.parametrize("mode, start", [("reactor", "reused"), ("snapshot", "forked")])
@pytest.mark.parametrize("case", EVENTS)
def test_an_event(bench, workers, case, mode, start):
    """`error`, `invalid_request`, or a result; and who comes next finds the worker that was there before."""
    name = workers[mode]
    event = EVENTS[case] if isinstance(EVENTS[case], bytes) else EVENTS[case].encode()
    before = bench.invoke(name, {}, expect="ok").json()
    with Lasting(bench, bench.other):
        began = time.monotonic()
        reply = bench.request("POST", f"/v1/functions/{name}/invocations", event, {"Content-Type": "application/json"})
        assert reply.outcome in ("ok", "error", "invalid_request"), reply
        if reply.outcome != "ok":
            problem(reply, reply.outcome)
        assert time.monotonic() - began < 5 * SLOWNESS
        after = bench.invoke(name, {}, expect="ok")
        assert after["Bulkhead-Start"] == start, after
        if mode == "reactor":
            assert after.json()["pid"] == before["pid"]
            assert after.json()["seen"] - before["seen"] in (1, 2)


@pytest.mark.parametrize("case", ["a number of 5,000 digits", "lists, 100,000 deep", "half a surrogate", "not UTF-8"])
def test_a_strangers_body(bench, workers, case):
    """By the web address, where the event is made around it."""
    name, body = workers["reactor"], EVENTS[case]
    bench.invoke(name, {}, expect="ok")
    for path in (f"/fn/{name}", f"/fn/{name}/%ff%00?a=%ed%a0%80&%00=1"):
        bench.request("POST", path, body if isinstance(body, bytes) else body.encode(),
                      {"Content-Type": "application/json", "X-Odd": "\xff\xe9"}, token=None)
        assert bench.invoke(name, {}, expect="ok")["Bulkhead-Start"] == "reused"


# -- Half a line ------------------------------------------------------------------------------------------------------


def lines_by_invocation(host, name, count):
    def there():
        lines = host.logs(name)
        return lines if len(lines) >= count else None
    found = {}
    for line in eventually(there, 5, f"{count} lines"):
        found.setdefault(line["invocationId"], []).append(line["text"])
    return found


@pytest.mark.parametrize("mode", ["snapshot", "reactor"])
@pytest.mark.parametrize("half", ["half", "whole\nhalf", "half \u20ac", "x" * 9_000, "\u001b[31mhalf", '{"level":"error'])
def test_half_a_log_line(bench, mode, half):
    """It ends with its invocation, and is its own."""
    name = deploy(bench, mode)
    first = bench.invoke(name, {"write": half}, expect="ok")["Bulkhead-Invocation-Id"]
    second = bench.invoke(name, {"write": "whole\n"}, expect="ok")["Bulkhead-Invocation-Id"]
    third = bench.invoke(name, {"write": half}, expect="ok")["Bulkhead-Invocation-Id"]
    found = lines_by_invocation(bench, name, 3)
    assert found[second] == ["whole"], found
    plain = "".join(found[first]).replace("\\u{1b}", "\u001b")
    assert "half" in plain or "x" * 1_000 in plain or "error" in plain, found
    assert found[first] == found[third]


def test_halves_of_a_hundred(bench):
    """Each fork's last words, written as it answers or just behind that, are its own or nobody's."""
    name = deploy(bench, "snapshot", 8)
    ids = {}
    for number in range(100):
        word = f"<{number}>"
        reply = bench.invoke(name, {("late" if number % 2 else "write"): word}, expect="ok")
        ids[reply["Bulkhead-Invocation-Id"]] = word
    time.sleep(0.5)
    for identifier, word in ids.items():
        for line in bench.logs(name, invocation=identifier, limit=1000):
            assert set(re.findall(r"<\d+>", line["text"])) <= {word}, (word, line)


@pytest.mark.parametrize("mode", ["snapshot", "reactor"])
def test_half_a_character(bench, mode):
    """The first bytes of a character at one's end, its last ones at the next one's beginning."""
    name = deploy(bench, mode)
    code = HANDLER.replace('os.write(2, event["write"].encode())', 'os.write(2, bytes.fromhex(event["write"]))')
    bench.upload(name, zip_of({"function.yaml": (
        f"runtime: python\nhandler: app.handler\nmode: {mode}\n").encode(), "app.py": code.encode()}), content_type=ZIP)
    first = bench.invoke(name, {"write": "61e282"}, expect="ok")["Bulkhead-Invocation-Id"]
    second = bench.invoke(name, {"write": "ac620a"}, expect="ok")["Bulkhead-Invocation-Id"]
    found = lines_by_invocation(bench, name, 2)
    assert found[first][0].startswith("a") and found[second][0].endswith("b"), found
    assert "\u20ac" not in json.dumps(found, ensure_ascii=False)


def test_what_a_handler_prints_without_an_end(bench):
    """sys.stdout and sys.stderr have buffers of their own: those are emptied before the answer."""
    for mode in ("reactor", "snapshot"):
        name = deploy(bench, mode)
        first = bench.invoke(name, {"print": "unfinished"}, expect="ok")["Bulkhead-Invocation-Id"]
        second = bench.invoke(name, {"print": "finished\n"}, expect="ok")["Bulkhead-Invocation-Id"]
        found = lines_by_invocation(bench, name, 3)
        assert "unfinished" in "".join(found[first]), found
        assert set(found[second]) == {"finished"}, found
