"""HTTP as clients really speak it: what waits for `100 Continue`, HTTP/1.0, HEAD, any method, and what events say of them."""

import json
import socket
import subprocess
import time

import pytest

from bulkhead_host import unique_name
from checks import problem
from conftest import SLOWNESS
from test_http_event import event_of, mirrored  # noqa: F401, a fixture

CAT, COUNT = b"#!/bin/sh\ncat\n", b"#!/bin/sh\nwc -l\n"


def spoken(host, text, seconds=10):
    """Sends bytes on a connection and reads until the host closes it."""
    with socket.create_connection((host.address, host.port), seconds) as connection:
        connection.settimeout(seconds)
        connection.sendall(text.encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


# -- Expect: 100-continue ---------------------------------------------------------------------------------------------


def curl(host, *arguments):
    began = time.monotonic()
    done = subprocess.run(
        ["curl", "-sS", "--expect100-timeout", "20", "-H", f"Authorization: Bearer {host.token}", *map(str, arguments)],
        capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout, time.monotonic() - began


def test_curl_uploads_without_a_pause(host, tmp_path):
    """curl asks before it sends more than a megabyte, and would wait for an answer."""
    file = tmp_path / "large"
    file.write_bytes(CAT + b"#" * 2_000_000)
    name = unique_name("large")
    told, seconds = curl(host, "-T", file, f"{host.url}/v1/functions/{name}")
    assert json.loads(told)["version"] == 1 and seconds < 5 * SLOWNESS
    (tmp_path / "event").write_text(json.dumps("x" * 2_000_000))
    told, seconds = curl(host, "-T", tmp_path / "event", "-X", "POST", f"{host.url}/v1/functions/{name}/invocations")
    assert len(told) == 2_000_002 and seconds < 5 * SLOWNESS


def test_continue_only_where_the_body_is_wanted(host):
    """A refusal comes instead: the client need not send what nobody reads."""
    for path in ("/v1/functions/none-such/invocations", "/v1/functions/none-such/invocations?version=1"):
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n"
        answer = spoken(host, head + "\r\n12345")
        assert answer.startswith(b"HTTP/1.1 401 ") and b"100 Continue" not in answer


# -- HTTP/1.0 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", ["", "Connection: keep-alive\r\n", "Expect: 100-continue\r\n"])
def test_http_1_0_ends_with_its_answer(host, more):
    """ab and old proxies read until the end."""
    answer = spoken(host, f"GET /healthz HTTP/1.0\r\n{more}\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b'{"status":"ok"}')
    name = unique_name("old")
    host.upload(name, CAT)
    head = f"POST /v1/functions/{name}/invocations HTTP/1.0\r\nAuthorization: Bearer {host.token}\r\n{more}"
    answer = spoken(host, head + "Content-Length: 2\r\n\r\n42")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\n42")
    assert b"100 Continue" not in answer


# -- Methods ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [
    "/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/functions", "/v1/functions/{name}", "/v1/keys",
    "/v1/functions/{name}/versions", "/v1/functions/{name}/policy", "/v1/functions/{name}/logs"])
def test_head(host, path):
    """Wherever GET is: the same head, and no body."""
    name = unique_name("head")
    host.upload(name, CAT)
    path = path.format(name=name)
    reply, whole = host.request("HEAD", path), host.get(path)
    assert reply.status == 200 and reply.body == b"" and reply["Content-Type"] == whole["Content-Type"]
    assert spoken(host, f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {host.token}\r\n"
                        "Connection: close\r\n\r\n").endswith(b"\r\n\r\n")


def test_head_of_a_stream(host):
    name = unique_name("head")
    host.upload(name, CAT)
    reply = host.request("HEAD", f"/v1/functions/{name}/logs", headers={"Accept": "text/event-stream"})
    assert reply.status == 200 and reply.body == b""


@pytest.mark.parametrize("method", ["PROPFIND", "REPORT", "MKCOL", "PURGE", "LOCK", "TRACE", "QUERY", "PATCH", "DELETE"])
def test_any_method_is_the_functions(host, mirrored, method):  # noqa: F811
    try:
        event = event_of(host, method, f"/fn/{mirrored}/some/path?x=1", body=b"text")
    except AssertionError as refused:
        # The HTTP library's parser knows methods by name, and not the newest one.
        assert method == "QUERY" and "<400 " in str(refused)
        return
    assert event["requestContext"]["http"]["method"] == method and event["rawPath"] == "/some/path"
    assert event["body"] == "text" and event["queryStringParameters"] == {"x": "1"}


@pytest.mark.parametrize("path", ["/fn/", "/fn", "/v1/functions/x"])
def test_other_methods_elsewhere(host, path):
    assert host.request("PROPFIND", path).status in (404, 405)


def test_any_method_needs_a_token_too(host):
    name = unique_name("closed")
    host.upload(name, CAT)
    problem(host.request("PROPFIND", f"/fn/{name}", token=None), "unauthorized")
    problem(host.request("PROPFIND", "/fn/none-such", token=None), "unauthorized")
    problem(host.request("PROPFIND", "/fn/none-such"), "not_found")
    problem(host.request("PROPFIND", "/fn/No%2FName"), "invalid_request")


# -- What events say of the client ------------------------------------------------------------------------------------


def test_forwarded(host, mirrored):  # noqa: F811
    """As a function URL hands it over: who came, how, and to which port; and what a proxy in front has said of it."""
    headers = event_of(host, "GET", f"/fn/{mirrored}")["headers"]
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"], headers["x-forwarded-port"]) == (
        "127.0.0.1", "http", str(host.port))
    said = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"}
    headers = event_of(host, "GET", f"/fn/{mirrored}", headers=said)["headers"]
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"], headers["x-forwarded-port"]) == (
        "203.0.113.7, 127.0.0.1", "https", "443")


def test_cookies_twice(host, mirrored):  # noqa: F811
    """In the array and, for who reads headers, in one of those."""
    event = event_of(host, "GET", f"/fn/{mirrored}", headers={"Cookie": "a=1; b=2"})
    assert event["cookies"] == ["a=1", "b=2"] and event["headers"]["cookie"] == "a=1; b=2"


@pytest.mark.parametrize("answer", [
    '{"statusCode":201,"headers":null,"cookies":null,"body":"x"}', '{"statusCode":201,"headers":{"x-none":null},"body":"x"}',
    '{"statusCode":201.0,"body":"x"}', '{"statusCode":"201","body":"x"}',
    '{"statusCode":201,"isBase64Encoded":true,"body":"eA\\r\\n==\\n"}'])
def test_answers_as_handlers_write_them(host, answer):
    name = unique_name("answer")
    host.upload(name, b"#!/bin/sh\nprintf '%s' '" + answer.encode() + b"'\n", [("auth", "none")])
    reply = host.get(f"/fn/{name}", token=None)
    assert reply.status == 201 and reply.body == b"x" and reply["X-None"] is None


# -- Events that are not JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), [("version", 1)]], ids=["plain", "with a query"])
@pytest.mark.parametrize("kind, event, lines", [
    ("text/csv", b"a,b\nc,d\n", 2), ("application/octet-stream", bytes(range(256)), 1), ("text/plain; charset=utf-8", b"", 0),
    ("application/x-www-form-urlencoded", b"a=1\n", 1)])
def test_bytes_as_they_are(host, kind, event, lines, more):
    name = unique_name("count")
    host.upload(name, COUNT)
    reply = host.invoke(name, event, more, {"Content-Type": kind}, expect="ok")
    assert int(reply.body) == lines


def test_bytes_as_they_are_later(host):
    """Asynchronous ones as well."""
    name = unique_name("count")
    host.upload(name, COUNT)
    reply = host.invoke(name, b"a\nb\n", headers={"Content-Type": "text/csv", "Prefer": "respond-async"})
    assert reply.status == 202
    record = host.record_when_done(reply.json()["id"])
    assert record["outcome"] == "ok" and int(record["result"]) == 2


@pytest.mark.parametrize("kind", [None, "application/json", "application/json; charset=utf-8", "application/cloudevents+json"])
def test_json_is_checked(host, kind):
    name = unique_name("cat")
    host.upload(name, CAT)
    headers = {"Content-Type": kind} if kind else {}
    reply = host.request("POST", f"/v1/functions/{name}/invocations", b"{no json", headers)
    problem(reply, "invalid_request")
    assert host.request("POST", f"/v1/functions/{name}/invocations", b"{}", headers).body == b"{}"


@pytest.mark.parametrize("more", [(), [("version", 1)]], ids=["plain", "with a query"])
@pytest.mark.parametrize("kind", ["text/csv", "application/octet-stream", "text/\u00e9"])
def test_a_handler_takes_json_only(host, kind, more):
    """And says what to do; what curl says of everything it sends is no statement."""
    name = unique_name("handler")
    host.upload(name, b"def handler(e, c): return e", [("runtime", "python"), ("handler", "app.handler")])
    told = problem(host.invoke(name, b"1", more, {"Content-Type": kind.encode().decode("latin-1")}), "invalid_request")
    assert "Content-Type" in told["detail"] and "application/json" in told["detail"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert host.invoke(name, b"1", more, form, expect="ok").json() == 1
    problem(host.invoke(name, b"a=1", more, form), "invalid_request")
