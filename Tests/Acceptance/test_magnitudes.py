"""Answers whose counts, sizes and numbers no program is made for: each ends its own invocation, and nothing else.

What clients and uploaders send of that kind stands in test_magnitudes_clients.py.
"""

import itertools
import json
import time

import pytest

from bulkhead_host import unique_name
from checks import problem
from supervising import Lasting, answering, bundle, echo, exchange, status

MIB = 1 << 20
REFUSED = {"protocol_error"}
EITHER = {"protocol_error", "ok"}
PATIENCE = 10  # none of these is work for more than a moment


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
    sturdy.other = sturdy.other or echo(sturdy)
    with Lasting(sturdy, sturdy.other):
        yield sturdy


def many(count, value=1):
    return {f"h{number}": value for number in range(count)}


def with_status(text):
    return '{"statusCode":' + text + ',"body":"x"}'


def with_header(name, value="v"):
    return json.dumps({"statusCode": 200, "headers": {name: value}, "body": "x"}, ensure_ascii=False)


def spellings(count):
    """One header's name in so many ways: HTTP's names have no case."""
    letters = ["".join(choice) for choice in itertools.product(*(letter + letter.upper() for letter in "abcdefghijklm"))]
    return {f"x-{name}": "v" for name in letters[:count]}


NESTED = "[" * 100_000 + "]" * 100_000
LONG = "1" * 100_000

# What each must end as. Where both are allowed, what comes back as `ok` is looked at below.
ANSWERS = {
    "66,000 headers": (json.dumps({"statusCode": 200, "headers": many(66_000)}), REFUSED),
    "66,000 headers, no status": (json.dumps({"headers": many(66_000)}), EITHER),
    "66,000 cookies": (json.dumps({"statusCode": 200, "cookies": ["a=b"] * 66_000}), REFUSED),
    "33,000 of each": (json.dumps({"statusCode": 200, "headers": many(33_000), "cookies": ["a"] * 33_000}), REFUSED),
    "300,000 headers that are dropped": (
        '{"statusCode":200,"headers":{' + ",".join(['"date":1'] * 300_000) + "}}", EITHER),
    "one name 66,000 times": ('{"statusCode":200,"headers":{' + ",".join(['"h":"v"'] * 66_000) + "}}", EITHER),
    "one name in 8,000 spellings": (json.dumps({"statusCode": 200, "headers": spellings(8_000)}), EITHER),
    "a value of 1 MiB": (with_header("x", "v" * MIB), REFUSED),
    "a name of 1 MiB": (with_header("x" * MIB), REFUSED),
    "a cookie of 1 MiB": (json.dumps({"statusCode": 200, "cookies": ["a=" + "b" * MIB]}), REFUSED),
    "5 values of 1 MiB": (json.dumps({"statusCode": 200, "headers": many(5, "v" * MIB)}), REFUSED),
    "cookies, five million empty strings wide": ('{"statusCode":200,"cookies":[' + '"",' * 1_500_000 + '""]}', EITHER),
    "a nested header": (f'{{"statusCode":200,"headers":{{"a":{NESTED}}}}}', EITHER),
    "nested headers": (f'{{"statusCode":200,"headers":{NESTED}}}', EITHER),
    "nested cookies": (f'{{"statusCode":200,"cookies":{NESTED}}}', EITHER),
    "a nested body": (f'{{"statusCode":200,"body":{NESTED}}}', EITHER),
    "a nested result": (NESTED, EITHER),
    "a nest of objects": ('{"a":' * 100_000 + "1" + "}" * 100_000, EITHER),
    "a nest without an end": ("[" * 3_000_000, EITHER),
    "a number of 100,000 digits": (LONG, EITHER),
    "a header of 100,000 digits": (f'{{"statusCode":200,"headers":{{"a":{LONG}}}}}', EITHER),
    "a header of 1e400": ('{"statusCode":200,"headers":{"a":1e400},"body":"x"}', EITHER),
    "a string of escapes": ('{"statusCode":200,"headers":{"a":"' + "\\u0041" * 700_000 + '"}}', REFUSED),
    "half a surrogate": ('{"statusCode":200,"headers":{"a":"\\ud800"}}', EITHER),
}
ANSWERS |= {f"statusCode {text[:24]}": (with_status(text), REFUSED) for text in (
    "99", "600", "1000", "-1", "-200", "0", "-0", "200.5", "1e308", "1e400", "-1e400", "1e2", "1e-2", "2e99999999999",
    "99999999999999999999", "9223372036854775807", "18446744073709551816", "4294967496", LONG, "100", "101", "103")}
ANSWERS |= {f"a header named {name!r}": (with_header(name), REFUSED) for name in (
    "", " ", "a b", "a ", "a:", ":status", "a\tb", "a\r\nb", "a\0b", "é", "€" * 10, "a(b)", "a,b", "a/b", "\x7f")}
ANSWERS |= {f"a header of {value!r}": (with_header("x", value), REFUSED) for value in (
    "a\rb", "a\nb", "a\r\n b", "a\0b", "\n", "\0", {}, {"a": 1}, [], ["a", "b"])}
ANSWERS |= {f"a cookie of {value!r}": (json.dumps({"statusCode": 200, "cookies": [value], "body": "x"}), REFUSED)
            for value in ("a\r\nb: c", "a\nb", "a\0b")}


def ask(host, name, token):
    credentials = f"Authorization: Bearer {host.token}\r\n" if token else ""
    began = time.monotonic()
    answer = exchange(host, f"GET /fn/{name} HTTP/1.1\r\nHost: localhost\r\n{credentials}\r\n".encode(), PATIENCE)
    assert time.monotonic() - began < PATIENCE, "it took too long, or no whole answer came"
    return answer


def field(answer, name):
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1").lower()
    return head.partition(f"\r\n{name}:")[2].split("\r\n")[0].strip()


def told(host, answer):
    """The outcome; a stranger may not be told it in the answer, but by its id it can be asked for."""
    assert field(answer, "bulkhead-invocation-id"), answer[:400] or "the host closed the connection"
    return field(answer, "bulkhead-outcome") or host.record(field(answer, "bulkhead-invocation-id"))["outcome"]


@pytest.mark.parametrize("auth", ["none", "token"])
@pytest.mark.parametrize("case", ANSWERS)
def test_answer(target, case, auth):
    text, allowed = ANSWERS[case]
    answer = ask(target, answering(target, text, auth, wall="9s"), auth == "token")
    outcome = told(target, answer)
    assert outcome in allowed, answer[:400]
    head, _, body = answer.partition(b"\r\n\r\n")
    if outcome == "ok":
        assert status(answer) == 200 and head.count(b"\r\n") < 10_000, answer[:400]
        return
    assert status(answer) == 502 and b"application/problem+json" in head, answer[:400]
    problem_of = json.loads(body)
    assert problem_of["title"] and problem_of["status"] == 502 and problem_of["invocationId"]


@pytest.mark.parametrize("case", ["66,000 headers", "statusCode 600", "a header named 'a b'", "a cookie of 'a\\nb'"])
def test_the_record_says_the_same(target, case):
    """An invocation ends in exactly one outcome, also where its answer was refused only on the way out."""
    answer = ask(target, answering(target, ANSWERS[case][0]), True)
    assert target.record_when_done(field(answer, "bulkhead-invocation-id"))["outcome"] == "protocol_error"


@pytest.mark.parametrize("text, code", [("201.0", 201), ("2.01e2", 201), ("404.000", 404), ("599", 599), ("20.0e1", 200)])
def test_a_whole_number_however_written(target, text, code):
    """JSON has one kind of number: Python's json writes 201.0 where a handler says so."""
    assert status(ask(target, answering(target, with_status(text)), False)) == code


def test_a_number_as_text(target):
    """`"200"`: taken for what it says, or refused; never a success of another meaning."""
    answer = ask(target, answering(target, with_status('"204"')), False)
    assert (status(answer), told(target, answer)) in ((204, "ok"), (502, "protocol_error")), answer[:300]


@pytest.mark.parametrize("value, written", [(1, "1"), (-2.5, "-2.5"), (0, "0"), (True, "true"), (10 ** 30, str(10 ** 30))])
def test_numbers_as_header_values(target, value, written):
    reply = target.get(f"/fn/{answering(target, with_header('x-value', value))}", token=None)
    assert (reply.status, reply["X-Value"]) == (200, written)


@pytest.mark.parametrize("text, body", [
    ("aGVs\\nbG8=", b"hello"), ("aGVs\\r\\nbG8=\\r\\n", b"hello"), ("", b""), ("QUJD" * 19 + "\\n" + "QUJD", b"ABC" * 20),
    ("aGVsbG8", None), ("a", None), ("====", None), ("aGVs*bG8=", None), ("é", None), ("aGVsbG8=" * 2, None),
])
def test_base64(target, text, body):
    """As encoders write it, with line breaks; what is none is refused, not guessed at."""
    name = answering(target, f'{{"statusCode":200,"isBase64Encoded":true,"body":"{text}"}}')
    reply = target.get(f"/fn/{name}", token=None)
    if body is None and reply.status != 200:
        assert (reply.status, reply.json()["title"] != "") == (502, True), reply
    else:
        assert (reply.status, reply.body) == (200, body if body is not None else b"hello"), reply


# -- What a reactor says ----------------------------------------------------------------------------------------------

REACTOR = """#!/usr/bin/python3
import json, sys
print('{"jsonrpc":"2.0","method":"ready"}', flush=True)
for line in sys.stdin:
    identifier = json.dumps(json.loads(line)["id"])
    sys.stdout.write(open("/function/line").read().replace("ID", identifier) + "\\n")
    sys.stdout.flush()
"""
ERROR = '{"jsonrpc":"2.0","id":ID,"error":%s}'
LINES = {
    "an id of 10^400": ('{"jsonrpc":"2.0","id":1' + "0" * 400 + ',"result":1}', REFUSED),
    "an id of 1e400": ('{"jsonrpc":"2.0","id":1e400,"result":1}', REFUSED),
    "an id of -1": ('{"jsonrpc":"2.0","id":-1,"result":1}', REFUSED),
    "an id of 2^64": ('{"jsonrpc":"2.0","id":18446744073709551616,"result":1}', REFUSED),
    "an id with a fraction": ('{"jsonrpc":"2.0","id":ID.5,"result":1}', REFUSED),
    "an id that is nested": (f'{{"jsonrpc":"2.0","id":{NESTED},"result":1}}', REFUSED),
    "ten thousand ids": ("{" + '"id":1,' * 10_000 + '"jsonrpc":"2.0","result":1}', REFUSED),
    "a code of 1e400": (ERROR % '{"code":1e400,"message":"m"}', {"error", "protocol_error"}),
    "a code of 2^70": (ERROR % f'{{"code":{1 << 70},"message":"m"}}', {"error", "protocol_error"}),
    "a code of 100,000 digits": (ERROR % f'{{"code":{LONG},"message":"m"}}', {"error", "protocol_error"}),
    "a code with a fraction": (ERROR % '{"code":-1.5,"message":"m"}', {"error", "protocol_error"}),
    "no code": (ERROR % '{"message":"m"}', {"error", "protocol_error"}),
    "a message that is a number": (ERROR % f'{{"code":1,"message":{LONG}}}', {"error", "protocol_error"}),
    "a nested stack": (ERROR % f'{{"code":1,"message":"m","data":{{"stackTrace":{NESTED}}}}}', {"error", "protocol_error"}),
    "nested data": (ERROR % f'{{"code":1,"message":"m","data":{NESTED}}}', {"error", "protocol_error"}),
    "66,000 lines of stack": (
        ERROR % json.dumps({"code": 1, "message": "m", "data": {"type": "E", "stackTrace": ["x"] * 66_000}}),
        {"error", "protocol_error"}),
    "66,000 members": (ERROR % json.dumps({"code": 1, "message": "m", "data": many(66_000)}), {"error", "protocol_error"}),
    "an error that is a number": (ERROR % LONG, REFUSED),
    "a result and an error": ('{"jsonrpc":"2.0","id":ID,"result":1,"error":{"code":1,"message":"m"}}', REFUSED),
    "a nested result": (f'{{"jsonrpc":"2.0","id":ID,"result":{NESTED}}}', EITHER),
    "a result of 100,000 digits": (f'{{"jsonrpc":"2.0","id":ID,"result":{LONG}}}', EITHER),
    "an empty line": ("", REFUSED),
}


@pytest.mark.parametrize("case", LINES)
def test_reactor(target, case):
    """A line that is no answer ends its worker, and is told as what it is."""
    line, allowed = LINES[case]
    name = bundle(target, "run: ./run\nmode: reactor\n", {"run": REACTOR, "line": line})
    reply = target.invoke(name, {}, timeout=PATIENCE)
    assert reply.outcome in allowed, reply
    if reply.outcome != "ok":
        problem(reply, reply.outcome)
    else:
        assert reply.body in (NESTED.encode(), LONG.encode()), reply
