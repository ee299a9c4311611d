"""Routes with `"payload": "1.0"`: API Gateway's older format, for handlers that were written for a REST API."""

import base64
import json
import re
import time
from contextlib import closing

import pytest

import checks
from bulkhead_host import reply_on, unique_name
from test_routes import AUDIENCE, ISSUER, SIGNERS, rule, token

# The event as the body; in format 1.0 an answer has to say its status.
ECHO = b"""#!/bin/sh
printf '{"statusCode":200,"body":'
cat
printf '}'
"""
IDENTITY = {"accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType", "cognitoIdentityId",
            "cognitoIdentityPoolId", "principalOrgId", "sourceIp", "user", "userAgent", "userArn"}


@pytest.fixture
def upload(host):
    made = []

    def make(payload, **query):
        made.append(unique_name("v1"))
        host.upload(made[-1], payload, query=list(query.items()))
        return made[-1]
    yield make
    for name in made:
        host.delete(name)


@pytest.fixture
def route(host):
    """`route("GET /a", function)`: a route of format 1.0 that is open to all; the path of its document."""
    made = []

    def put(pattern, function, **members):
        path = f"/v1/routes/{unique_name('v1-route')}"
        body = {"route": pattern, "function": function, "auth": "none", "payload": "1.0"} | members
        reply = host.request("PUT", path, json.dumps(body).encode())
        assert reply.status == 201, reply
        made.append(path)
        return path
    yield put
    for path in made:
        host.request("DELETE", path)


@pytest.fixture
def answered(host, upload, route):
    """What is answered where a function's result is this: an object, or its text."""
    def ask(result, method="GET", auth="none", **query):
        text = result if isinstance(result, str) else json.dumps(result)
        path = f"/{unique_name('answers')}"
        route(f"ANY {path}", upload(b"#!/bin/sh\ncat <<'END'\n" + text.encode() + b"\nEND\n", **query), auth=auth)
        return host.request(method, path, token=None if auth == "none" else host.token)
    return ask


def sent(host, method, path, headers=(), body=None):
    """An answer to these header lines, as they are."""
    with closing(host.connect()) as connection:
        connection.putrequest(method, path)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        reply = reply_on(connection)
    assert reply.status == 200, reply
    return reply.json()


# -- The route --------------------------------------------------------------------------------------------------------


def test_it_is_said_shown_and_changed(host, upload, route):
    name = upload(ECHO)
    path = route("GET /v1-shown", name)
    shown = host.get(path)
    assert shown.json()["payload"] == "1.0" and shown.json() in host.get("/v1/routes?limit=1000").json()["routes"]
    assert host.request("GET", "/v1-shown", token=None).json()["version"] == "1.0"
    again = host.request("PUT", path, json.dumps(shown.json()).encode())
    assert again.status == 200 and again["ETag"] == shown["ETag"], again
    changed = host.request("PUT", path, json.dumps({"route": "GET /v1-shown", "function": name, "auth": "none"}).encode())
    assert changed.status == 200 and changed.json()["payload"] == "2.0" and changed["ETag"] != shown["ETag"]
    assert host.request("GET", "/v1-shown", token=None).json()["version"] == "2.0"


@pytest.mark.parametrize("payload", ["1", "3.0", "", "v1", 1.0, 2, ["1.0"], {"a": 1}, True])
def test_others_are_refused(host, upload, payload):
    body = {"route": "GET /v1-wrong", "function": upload(ECHO), "payload": payload}
    told = checks.problem(host.request("PUT", "/v1/routes/v1-wrong", json.dumps(body).encode()), "invalid_request")
    assert told["detail"].startswith("payload: ") and '"1.0"' in told["detail"] and '"2.0"' in told["detail"], told
    assert host.get("/v1/routes/v1-wrong").status == 404


def test_it_outlives_the_host(hosts):
    host = hosts()
    host.upload("echo", ECHO)
    body = json.dumps({"route": "GET /kept", "function": "echo", "auth": "none", "payload": "1.0"}).encode()
    assert host.request("PUT", "/v1/routes/kept", body).status == 201
    assert host.stop() == 0
    host.start()
    assert host.request("GET", "/kept", token=None).json()["version"] == "1.0"


# -- The event --------------------------------------------------------------------------------------------------------


def test_every_member(host, upload, route):
    name = upload(ECHO)
    route("GET /v1-items/{id}/{rest+}", name)
    before = time.time() * 1000
    event = sent(host, "GET", "/v1-items/a%20b/c/d?x=1&y=a%20b&x=2&empty=", [
        ("X-Twice", "one"), ("User-Agent", "acceptance/1"), ("x-twice", "two, three"), ("Cookie", "a=1; b=two words"), ("X-Empty", "")])
    assert set(event) == {
        "version", "resource", "path", "httpMethod", "headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters",
        "requestContext", "pathParameters", "stageVariables", "body", "isBase64Encoded"}
    assert (event["version"], event["resource"], event["httpMethod"]) == ("1.0", "/v1-items/{id}/{rest+}", "GET")
    assert event["path"] == "/v1-items/a%20b/c/d" and event["pathParameters"] == {"id": "a b", "rest": "c/d"}
    several = event["multiValueHeaders"]
    assert several["X-Twice"] == ["one", "two, three"] and several["X-Empty"] == [""] and "x-twice" not in several
    assert several["Cookie"] == ["a=1; b=two words"] and several["Host"] == [f"{host.address}:{host.port}"]
    assert several["X-Forwarded-For"] == ["127.0.0.1"] and several["X-Forwarded-Proto"] == ["http"] and several["X-Forwarded-Port"] == [f"{host.port}"]
    assert event["headers"] == {header: values[-1] for header, values in several.items()}
    assert event["queryStringParameters"] == {"x": "2", "y": "a b", "empty": ""}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": ["a b"], "empty": [""]}
    assert (event["body"], event["isBase64Encoded"], event["stageVariables"]) == (None, False, None)
    context = event["requestContext"]
    expected = {
        "accountId": "123456789012", "apiId": name, "domainPrefix": name, "domainName": f"{host.address}:{host.port}", "stage": "$default",
        "protocol": "HTTP/1.1", "httpMethod": "GET", "path": event["path"], "resourcePath": event["resource"],
        "resourceId": "GET /v1-items/{id}/{rest+}"}
    assert context | expected == context and context["requestId"] == context["extendedRequestId"] and "authorizer" not in context
    assert set(context["identity"]) == IDENTITY
    assert {key: value for key, value in context["identity"].items() if value is not None} == {"sourceIp": "127.0.0.1", "userAgent": "acceptance/1"}
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context["requestTime"])
    assert before - 1000 <= context["requestTimeEpoch"] <= before + 60_000


def test_what_is_not_there_is_null(host, upload, route):
    route("ANY /v1-plain", upload(ECHO))
    event = sent(host, "POST", "/v1-plain", body=b"")
    for member in ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body"):
        assert event[member] is None, member
    assert event["requestContext"]["identity"]["userAgent"] is None and "Cookie" not in event["headers"]


@pytest.mark.parametrize("size", [4, 300_000])
@pytest.mark.parametrize("kind, encoded", [("application/json", False), ("application/octet-stream", True)])
def test_bodies(host, upload, route, size, kind, encoded):
    route("POST /v1-body", upload(ECHO))
    body = bytes(range(256)) * (size // 256) + b"\x00\xff\x80!" if encoded else b'"%s"' % (b"x" * size)
    event = sent(host, "POST", "/v1-body", [("Content-Type", kind)], body)
    assert event["isBase64Encoded"] is encoded
    assert (base64.b64decode(event["body"]) if encoded else event["body"].encode()) == body


def test_claims_of_a_token(host, upload, route):
    algorithm, key, public = SIGNERS[0]
    name = upload(ECHO)
    route("GET /v1-jwt", name, auth=rule(public | {"kid": "one"}))
    route("GET /v1-scoped", name, auth=rule(public | {"kid": "one"}, scopes=["read"]))
    assert host.request("GET", "/v1-jwt", token=None).status == 401
    for path, scopes in (("/v1-jwt", None), ("/v1-scoped", ["read", "write"])):
        event = host.get(path, token=token(key, algorithm, scope="read write", groups=["a", "b"])).json()
        authorizer = event["requestContext"]["authorizer"]
        assert set(authorizer) == {"claims", "scopes"} and authorizer["scopes"] == scopes
        claims = authorizer["claims"]
        assert (claims["iss"], claims["aud"], claims["sub"], claims["groups"]) == (ISSUER, AUDIENCE, "somebody", "[a b]")


# -- The answer -------------------------------------------------------------------------------------------------------


def test_headers_of_several_values(answered):
    reply = answered({
        "statusCode": 201, "headers": {"Content-Type": "text/html", "X-One": "1", "X-Both": "single", "X-Same": "2"},
        "multiValueHeaders": {"Set-Cookie": ["a=1; Path=/", "b=2"], "x-both": ["first", "second"], "X-Same": ["1", "2"]}, "body": "<p>"})
    assert reply.status == 201 and reply.body == b"<p>" and reply["Content-Type"] == "text/html" and reply["X-One"] == "1"
    every = reply.headers.get_all
    assert every("Set-Cookie") == ["a=1; Path=/", "b=2"]
    assert every("X-Both") == ["first", "second", "single"] and every("X-Same") == ["1", "2"]
    assert reply.outcome == "ok"


def test_a_binary_body(answered):
    reply = answered({"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(bytes(range(256))).decode()})
    assert reply.status == 200 and reply.body == bytes(range(256))


def test_no_body(answered):
    reply = answered({"statusCode": 200, "headers": None, "multiValueHeaders": None, "body": None})
    assert (reply.status, reply.body, reply.media_type) == (200, b"", "application/json")


@pytest.mark.parametrize("result", [
    {"message": "hello"}, {"body": "no status"}, {}, "[200]", '"hello"', "plain words", "42", {"statusCode": None, "body": "x"},
    {"statusCode": 200, "multiValueHeaders": {"X-A": "no list"}}, {"statusCode": 200, "multiValueHeaders": {"X-A": ["a\r\nX-Injected: yes"]}},
    {"statusCode": 200, "multiValueHeaders": {"X-A": ["v"] * 600}},
], ids=repr)
def test_what_is_no_answer(answered, result):
    """`Malformed Lambda proxy response`, as API Gateway calls it."""
    reply = answered(result, auth="token")
    checks.failed(reply, "protocol_error")
    assert reply["X-Injected"] is None


def test_strangers_are_told_no_more(answered):
    reply = answered({"body": "no status"})
    assert reply.status == 502 and set(reply.json()) == {"title", "status", "invocationId"} and reply.outcome == "protocol_error"


def test_an_answer_that_streams(host, upload, route):
    head = json.dumps({"statusCode": 202, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}, "headers": {"content-type": "text/plain"}})
    route("GET /v1-streams", upload(f"#!/bin/sh\nprintf '%s\\0\\0\\0\\0\\0\\0\\0\\0' '{head}'\necho body\n".encode(), stream="true"))
    reply = host.request("GET", "/v1-streams", token=None)
    assert (reply.status, reply.body) == (202, b"body\n") and reply.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
