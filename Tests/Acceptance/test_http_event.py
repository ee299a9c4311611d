"""/fn/NAME: a function as a web address. The event is API Gateway's payload format 2.0, the answer a function URL's."""

import base64
import json
import re
import time
from contextlib import closing

import pytest

from bulkhead_host import reply_on, unique_name
from checks import carries_all, problem


@pytest.fixture(scope="module")
def mirrored(host):
    """A function that answers with its event; open to all."""
    name = unique_name("event")
    host.upload(name, b"#!/bin/sh\ncat\n", {"auth": "none"})
    return name


@pytest.fixture
def answering(deed):
    """`answering(result)`: the name of an open function with that result, given as an object or as text."""
    def deploy(result):
        text = result if isinstance(result, str) else json.dumps(result)
        return deed("emit", text.encode().hex(), auth="none").name
    return deploy


def event_of(host, method, path, **options):
    """The event that a request to the mirror became."""
    reply = host.request(method, path, token=None, **options)
    assert reply.status == 200, reply
    return reply.json()


# -- The event --------------------------------------------------------------------------------------------------------


def test_payload_2_0(host, mirrored):
    """Every field that a handler written for AWS reads."""
    headers = {"X-Mixed-Case": "Value", "User-Agent": "acceptance/1", "Cookie": "a=1; b=two words",
               "Host": "example.localhost"}
    before = time.time() * 1000
    event = event_of(host, "GET", f"/fn/{mirrored}/some/path?x=1&y=a%20b&x=2&empty=", headers=headers)
    assert event["version"] == "2.0"
    assert event["routeKey"] == "$default"
    assert event["rawPath"].endswith("/some/path")
    assert event["rawQueryString"] == "x=1&y=a%20b&x=2&empty="
    assert event["queryStringParameters"] == {"x": "1,2", "y": "a b", "empty": ""}
    assert event["cookies"] == ["a=1", "b=two words"]
    assert event["headers"]["x-mixed-case"] == "Value"
    assert all(name == name.lower() for name in event["headers"])
    assert event["isBase64Encoded"] is False
    assert "body" not in event
    context = event["requestContext"]
    assert context["http"]["method"] == "GET"
    assert context["http"]["path"].endswith("/some/path")
    assert context["http"]["protocol"] == "HTTP/1.1"
    assert context["http"]["sourceIp"] == "127.0.0.1"
    assert context["http"]["userAgent"] == "acceptance/1"
    assert context["domainName"].startswith("example.localhost")
    assert context["requestId"]
    for key in ("accountId", "apiId", "domainPrefix", "routeKey", "stage"):
        assert isinstance(context[key], str), key
    assert before - 1000 <= context["timeEpoch"] <= before + 10_000
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context["time"])


def test_absent_is_absent(host, mirrored):
    """Without a query, cookies or a body the event has none of these."""
    event = event_of(host, "GET", f"/fn/{mirrored}")
    assert event["rawQueryString"] == ""
    assert "queryStringParameters" not in event and "cookies" not in event and "body" not in event


def test_repeated_headers_are_joined(host, mirrored):
    """Twice the same header is one, with a comma."""
    with closing(host.connect()) as connection:
        connection.putrequest("GET", f"/fn/{mirrored}")
        connection.putheader("X-Twice", "one")
        connection.putheader("X-Twice", "two")
        connection.endheaders()
        joined = reply_on(connection).json()["headers"]["x-twice"]
    assert re.fullmatch(r"one, ?two", joined)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_any_method(host, mirrored, method):
    body = b"{}" if method in ("POST", "PUT", "PATCH") else None
    assert event_of(host, method, f"/fn/{mirrored}/x", body=body)["requestContext"]["http"]["method"] == method


def test_head(host, mirrored):
    """As GET, without the body."""
    reply = host.request("HEAD", f"/fn/{mirrored}", token=None)
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize("body, content_type, encoded", [
    (b'{"a": 1}', "application/json", False),
    (b"plain", "text/plain", False),
    (b"<a/>", "application/xml", False),
    (b"\x00\xff\x80", "application/octet-stream", True),
    (b"\xff", "text/plain", True),
    (b"{not json", "application/json", False),
])
def test_body(host, mirrored, body, content_type, encoded):
    """Text as text, all else in base64; it need not be JSON, unlike an event that is invoked directly."""
    event = event_of(host, "POST", f"/fn/{mirrored}", body=body, headers={"Content-Type": content_type})
    assert event["isBase64Encoded"] is encoded
    assert (base64.b64decode(event["body"]) if encoded else event["body"].encode()) == body


def test_utf8_body(host, mirrored):
    """Bytes beyond ASCII may travel either way, but must arrive."""
    body = '"naïve €"'.encode()
    event = event_of(host, "POST", f"/fn/{mirrored}", body=body, headers={"Content-Type": "application/json"})
    assert (base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()) == body


@pytest.mark.parametrize("path", ["/a%2Fb", "/%2e%2e/x", "/a//b", "/%00", "/a;b=c", "/%E2%82%AC", "/a%20b"])
def test_odd_paths_stay_with_the_function(host, mirrored, path):
    """What follows the name is the function's business, never another route."""
    reply = host.get(f"/fn/{mirrored}{path}", token=None)
    if reply.status == 200:
        assert reply.json()["version"] == "2.0"
    else:
        assert 400 <= reply.status < 500, reply


# -- The answer -------------------------------------------------------------------------------------------------------


def test_status_headers_cookies_body(host, answering):
    """The four things a handler can set."""
    name = answering({"statusCode": 418, "headers": {"Content-Type": "text/html", "X-A": "b, c"},
                      "cookies": ["a=1; Path=/", "b=2"], "body": "<p>\u20ac</p>"})
    reply = host.get(f"/fn/{name}")
    assert reply.status == 418
    assert reply["Content-Type"] == "text/html"
    assert reply["X-A"] == "b, c"
    assert reply.headers.get_all("Set-Cookie") == ["a=1; Path=/", "b=2"]
    assert reply.body == "<p>€</p>".encode()
    carries_all(reply)


def test_base64_body(host, answering):
    name = answering({"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(bytes(range(256))).decode()})
    assert host.get(f"/fn/{name}", token=None).body == bytes(range(256))


@pytest.mark.parametrize("result", [{"hello": [1, 2]}, ["hello", 3, True], 42, {"body": "no status"}])
def test_result_without_status(host, answering, result):
    """200, JSON, and the result itself."""
    reply = host.get(f"/fn/{answering(result)}", token=None)
    assert (reply.status, reply.media_type) == (200, "application/json")
    assert reply.json() == result


def test_string_result(host, answering):
    """A JSON string is answered without its quotes, as AWS was recorded doing."""
    reply = host.get(f"/fn/{answering(json.dumps('hello'))}", token=None)
    assert (reply.status, reply.body) == (200, b"hello")


def test_result_that_is_no_json(host, answering):
    """A filter that knows nothing of HTTP is a web function too."""
    reply = host.get(f"/fn/{answering('plain words')}", token=None)
    assert (reply.status, reply.body) == (200, b"plain words")


def test_204_has_no_body(host, answering):
    """No body and no length where HTTP allows none, or the next answer on the connection would be misread."""
    name = answering({"statusCode": 204, "body": "not allowed"})
    with closing(host.connect()) as connection:
        for _ in range(2):
            connection.request("GET", f"/fn/{name}")
            reply = reply_on(connection)
            assert (reply.status, reply.body) == (204, b"")


@pytest.mark.parametrize("result", [
    {"statusCode": 200, "headers": {"X-A": "b\r\nX-Injected: yes"}, "body": "x"},
    {"statusCode": 200, "headers": {"X-A": "b\nX-Injected: yes"}, "body": "x"},
    {"statusCode": 200, "headers": {"X-A: b\r\nX-Injected": "yes"}, "body": "x"},
    {"statusCode": 200, "headers": {"X-A": "b\r\n\r\nHTTP/1.1 200 OK\r\nX-Injected: yes\r\n\r\n"}, "body": "x"},
    {"statusCode": 200, "cookies": ["a=1\r\nX-Injected: yes"], "body": "x"},
    {"statusCode": 200, "headers": {"Content-Type": "text/plain\r\nX-Injected: yes"}, "body": "x"},
])
def test_header_injection(host, answering, result):
    """A line break in a value is never a line break on the wire, whatever else becomes of the answer."""
    with closing(host.connect()) as connection:
        connection.request("GET", f"/fn/{answering(result)}")
        reply = reply_on(connection)
        assert reply["X-Injected"] is None
        connection.request("GET", "/healthz")
        assert reply_on(connection).status == 200, "the connection is out of step"


@pytest.mark.parametrize("headers", [
    {"Content-Length": "1"}, {"Content-Length": "1000"}, {"Transfer-Encoding": "chunked"},
    {"Connection": "upgrade", "Upgrade": "x"},
])
def test_framing_is_the_hosts(host, answering, headers):
    """A function cannot say where its answer ends: whoever shares the connection would read the rest as theirs."""
    name = answering({"statusCode": 200, "headers": headers, "body": "hello"})
    reply = host.get(f"/fn/{name}", token=None, timeout=10)
    if reply.status == 200:
        assert reply.body == b"hello"
    else:
        assert reply.status == 502, reply


def test_outcome_headers_are_the_hosts(host, answering):
    """A function cannot speak in the host's name."""
    headers = {"Bulkhead-Outcome": "exit", "bulkhead-invocation-id": "forged"}
    carries_all(host.get(f"/fn/{answering({'statusCode': 200, 'headers': headers, 'body': 'x'})}"))


@pytest.mark.parametrize("status", [0, 99, 100, 101, 1000, -1, 200.5, "abc", None, [], 10**30])
def test_impossible_status(host, answering, status):
    """No such HTTP status: answered somehow, but in sound HTTP, and not as a success of that name."""
    reply = host.get(f"/fn/{answering({'statusCode': status, 'body': 'x'})}", token=None)
    assert 200 <= reply.status <= 599
    assert host.get("/healthz").status == 200


def test_failure(host, deed):
    """A failure is a 502 with its outcome, not a page of the function's. What went wrong is for holders of a token."""
    name = deed("exit", 3, auth="none").name
    problem(host.get(f"/fn/{name}"), "exit")
    reply = host.get(f"/fn/{name}", token=None)
    assert (reply.status, reply.media_type, reply.outcome) == (502, "application/problem+json", "exit")
    assert set(reply.json()) == {"title", "status", "invocationId"}


# -- Who may ----------------------------------------------------------------------------------------------------------


def test_token_is_the_default(host, deed):
    """Open to the world is a decision, not a default."""
    name = deed("emit", "7b7d").name
    reply = host.get(f"/fn/{name}", token=None)
    problem(reply, "unauthorized")
    assert reply["WWW-Authenticate"].startswith("Bearer")
    problem(host.get(f"/fn/{name}", token="wrong"), "unauthorized")
    assert host.get(f"/fn/{name}").status == 200


@pytest.mark.parametrize("method", ["GET", "PROPFIND"])
def test_empty_segments_lead_nowhere(host, mirrored, method):
    """Whoever stands in front may read such a path in another way: it is nobody's, least of all that of a function named fn."""
    host.upload("fn", b"#!/bin/sh\necho taken\n", {"auth": "none"})
    for path in [f"//fn/{mirrored}", f"///fn/{mirrored}/a", f"/fn//{mirrored}", "//fn", "//fn/fn"]:
        reply = host.request(method, path)
        assert reply.status in (400, 404) and b"taken" not in reply.body, (path, reply)


def test_unknown_function(host):
    problem(host.get("/fn/no-such-function/x"), "not_found")


# -- The example ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body, status, says", [
    ('{"request": {"type": "Create"}}', 200, "User authenticated successfully"),
    ('{"request": {"type": "Delete"}}', 400, "Invalid request"),
    ("{}", 400, "Invalid request"),
    ("no json", 400, "Invalid request"),
])
def test_auth_example_by_curl(host, example, curl, body, status, says):
    """A Lambda handler unchanged, behind a plain POST."""
    printed = curl("--data", body, "--header", "Content-Type: application/json", "--write-out", "\n%{http_code}",
                   f"{host.url}/fn/{example('auth')}")
    assert printed == f"{says}\n{status}"


def test_auth_example_invoked(host, example):
    """The same handler, invoked directly: the result is the object it returned."""
    result = host.invoke(example("auth"), {"request": {"type": "Create"}}, expect="ok").json()
    assert result == {"statusCode": 200, "body": "User authenticated successfully"}
