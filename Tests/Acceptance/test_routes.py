"""Routes: paths of the host's port that functions answer, who may use them, and what a browser is told."""

import base64
import hashlib
import hmac
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import checks
from bulkhead_host import ADMIN, unique_name

ECHO = b"#!/bin/sh\nexec cat\n"
ISSUER, AUDIENCE = "https://issuer.example.com", "orders"


def problem(reply, status):
    """The problem that was answered."""
    assert reply.status == status and reply.media_type == "application/problem+json", reply
    told = reply.json()
    assert told["status"] == status and told["detail"] and told["type"].startswith("urn:bulkhead:outcome:"), told
    return told


@pytest.fixture(scope="module")
def echo(host):
    name = unique_name("echo")
    assert host.upload(name, ECHO, query=[("processes", "4")]).status == 201
    yield name
    host.delete(name)


@pytest.fixture
def routes(host):
    made = []

    def put(route, function, status=201, **members):
        name = unique_name("route")
        reply = host.request("PUT", f"/v1/routes/{name}", json.dumps({"route": route, "function": function} | members).encode())
        assert reply.status == status, reply
        made.append(name)
        return reply
    yield put
    for name in made:
        host.request("DELETE", f"/v1/routes/{name}")


def at(host, method, path, token=None, **headers):
    return host.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}, token=token)


# -- What there is ----------------------------------------------------------------------------------------------------

def test_made_shown_changed_deleted(host, echo):
    path, body = f"/v1/routes/{unique_name('route')}", {"route": "GET /made/{id}", "function": echo, "auth": "none"}
    assert host.request("PUT", path, b"").status == 400
    made = host.request("PUT", path, json.dumps(body).encode())
    assert made.status == 201 and made.json() | body == made.json() and made["ETag"], made
    assert made.json()["alias"] == "live" and made.json()["host"] is None
    assert host.get(path).json() == made.json() and host.get(path)["ETag"] == made["ETag"]
    assert made.json() in host.get("/v1/routes").json()["routes"]
    assert at(host, "GET", "/made/7").json()["pathParameters"] == {"id": "7"}
    stale = host.request("PUT", path, json.dumps(body).encode(), {"If-Match": '"x"'})
    assert problem(stale, 412)
    # What is shown can be put again.
    again = host.request("PUT", path, json.dumps(made.json() | {"route": "GET /moved/{id}"}).encode(), {"If-Match": made["ETag"]})
    assert again.status == 200 and again["ETag"] != made["ETag"]
    assert at(host, "GET", "/made/7").status == 404 and at(host, "GET", "/moved/7").status == 200
    assert problem(host.request("DELETE", path, headers={"If-Match": made["ETag"]}), 412)
    assert host.request("DELETE", path).status == 204 and host.request("DELETE", path).status == 404
    assert host.get(path).status == 404 and at(host, "GET", "/moved/7").status == 404


def test_they_are_the_admins(host, echo):
    for role in ("deploy", "invoke"):
        token = host.request("POST", "/v1/keys", json.dumps({"name": "k", "role": role}).encode()).json()["token"]
        for method, path in (("GET", "/v1/routes"), ("PUT", "/v1/routes/x"), ("DELETE", "/v1/routes/x")):
            assert problem(host.request(method, path, b"{}", token=token), 403)
    assert problem(host.request("PUT", "/v1/routes/x", b"{}", token=None), 401)


def test_pages(host, echo, routes):
    for number in range(7):
        routes(f"GET /pages/{number}", echo)
    seen, cursor = [], ""
    while True:
        page = host.get(f"/v1/routes?limit=3{cursor}").json()
        assert 1 <= len(page["routes"]) <= 3
        seen += [route["id"] for route in page["routes"]]
        if "next" not in page:
            break
        cursor = "&cursor=" + page["next"]
    assert seen == sorted(set(seen)) and len(seen) >= 7


@pytest.mark.parametrize("body", [
    {}, {"route": "GET /a"}, {"function": "F"}, {"route": "GET /v1/keys"}, {"route": "ANY /fn/x"}, {"route": "GET /2015-03-31/functions"},
    {"route": "get /a"}, {"route": "GET a"}, {"route": "GET /{a}/{a}"}, {"route": "GET /{a+}/b"}, {"route": "GET /a//b"},
    {"route": "GET /" + "a" * 2000}, {"auth": "open"}, {"auth": {"jwt": {"issuer": "i"}}}, {"cors": {"origins": ["*"], "credentials": True}},
    {"auth": {"jwt": {"issuer": "i", "audience": ["a"], "jwks": {"keys": [{"kty": "oct", "k": "c2l4dGVlbiBieXRlcy4u"}]}}}},
    {"cors": {"origins": ["null"], "credentials": True}}, {"cors": {"origins": ["https://*."]}}, {"rate": "fast"}, {"timeout": "1h"}, {"host": "a b"}, {"colour": "red"}, {"id": "another"},
    {"auth": {"jwt": {"issuer": "i", "audience": ["a"], "jwks": {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}}}},
    {"auth": {"jwt": {"issuer": "i", "audience": ["a"], "jwks": {"keys": [{"kty": "RSA"}] * 101}}}},
])
def test_what_is_no_route(host, echo, body):
    wrong = body if body in ({}, {"route": "GET /a"}) else {"route": "GET /wrong", "function": echo} | body
    reply = host.request("PUT", "/v1/routes/wrong", json.dumps(wrong).encode())
    assert problem(reply, 400)["detail"], reply
    assert host.get("/v1/routes/wrong").status == 404


def test_twins_and_what_they_lead_to(host, echo, routes):
    routes("GET /twins/{id}", echo)
    refused = routes("GET /twins/{name}", echo, status=409)
    assert "GET /twins/{id}" in refused.json()["detail"]
    for other in ("ANY /twins/{id}", "PUT /twins/{id}", "GET /twins/{id+}", "GET /twins/{id}/"):
        routes(other, echo)
    routes("GET /twins/{id}", echo, host="twins.example.com")
    assert problem(routes("GET /twins/new", "no-such-function", status=404), 404)
    assert problem(routes("GET /twins/new", echo, status=404, alias="nobody"), 404)
    assert host.request("PUT", "/v1/routes/" + "x" * 65, b"{}").status == 400


# -- Matching ---------------------------------------------------------------------------------------------------------

def test_the_most_specific_answers(host, echo, routes):
    for route in ("GET /m", "GET /m/{id}", "GET /m/me", "ANY /m/me", "ANY /m/{rest+}", "POST /m/{id}/posts/{post}", "GET /m/{id}/"):
        routes(route, echo, auth="none")
    for method, path, key, parameters in (
            ("GET", "/m", "GET /m", None), ("HEAD", "/m", None, None), ("GET", "/m/7", "GET /m/{id}", {"id": "7"}),
            ("GET", "/m/7?x=/a/b", "GET /m/{id}", {"id": "7"}), ("GET", "/m/me", "GET /m/me", None), ("PUT", "/m/me", "ANY /m/me", None),
            ("PUT", "/m/7", "ANY /m/{rest+}", {"rest": "7"}), ("GET", "/m/a/b/c", "ANY /m/{rest+}", {"rest": "a/b/c"}),
            ("POST", "/m/7/posts/9", "POST /m/{id}/posts/{post}", {"id": "7", "post": "9"}), ("GET", "/m/7/", "GET /m/{id}/", {"id": "7"}),
            ("GET", "/m/a%20b%2Fc%C3%A9", "GET /m/{id}", {"id": "a b/cé"}), ("GET", "/m/a+b", "GET /m/{id}", {"id": "a+b"}),
            ("OPTIONS", "/m/me", "ANY /m/me", None), ("PROPFIND", "/m/me", "ANY /m/me", None)):
        reply = at(host, method, path)
        assert reply.status == 200 and reply.outcome == "ok", (method, path, reply)
        if key:
            event = reply.json()
            assert event["routeKey"] == event["requestContext"]["routeKey"] == key
            assert event.get("pathParameters") == parameters and event["rawPath"] == path.split("?")[0]
            assert event["version"] == "2.0" and event["requestContext"]["http"]["method"] == method
    refused = at(host, "POST", "/m")
    assert problem(refused, 405) and refused["Allow"] == "GET, HEAD"
    for path in ("/m/..", "/m/7/../me", "/m/%2e%2e/keys", "/m/..%2F..%2Fetc", "/m/a%5C..%5Cb", "/nothing"):
        assert problem(at(host, "GET", path), 404)
    # The host's own stay its own.
    routes("ANY /{all+}", echo, auth="none")
    assert host.get("/healthz", token=None).json() == {"status": "ok"}
    for path in ("/v1/nothing", "/fn/no-such-function", "/v1"):
        assert at(host, "GET", path).status in (401, 404) and "outcome" in at(host, "GET", path).json()
    assert at(host, "GET", "/2015-03-31/functions/")["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    assert at(host, "GET", "/anything/else").json()["pathParameters"] == {"all": "anything/else"}


def test_hosts(host, echo, routes):
    routes("GET /hosts", echo, auth="none")
    routes("GET /hosts", echo, auth="none", host="API.example.com")
    routes("GET /hosts/{tenant}", echo, auth="none", host="*.tenants.example.com")
    assert at(host, "GET", "/hosts", Host="api.example.com:8080").json()["headers"]["host"] == "api.example.com:8080"
    assert at(host, "GET", "/hosts/1", Host="a.tenants.example.com").status == 200
    assert at(host, "GET", "/hosts/1").status == 404
    assert at(host, "GET", "/hosts", Host="other.example.com").status == 421


def test_names_that_nobody_has(host, echo, routes):
    """Not looked up, not compared, refused: 80 KB of combining marks would take a loop's time."""
    routes("GET /names", echo, auth="none", host="*.names.example.com")
    marks = "\u0301\u0316" * 16_000
    began = time.monotonic()
    for name in ("a." + marks, "a" * 301 + ".names.example.com", "\u00e9.names.example.com"):
        with socket.create_connection((host.address, host.port), 10) as client:
            client.sendall(b"GET /names HTTP/1.1\r\nHost: " + name.encode() + b"\r\n\r\n")
            assert client.recv(64).split()[1] in (b"421", b"400")
    with socket.create_connection((host.address, host.port), 10) as client:
        client.sendall(b"GET /names HTTP/1.1\r\nHost: a.names.example.com\r\nHost: b.names.example.com\r\n\r\n")
        assert client.recv(64).split()[1] == b"400"
    assert time.monotonic() - began < 5
    assert at(host, "GET", "/names", Host="a.names.example.com").json()["headers"]["host"] == "a.names.example.com"


def test_alias_and_version(host, routes):
    name = unique_name("versions")
    for number in (1, 2):
        host.upload(name, f"#!/bin/sh\necho {number}\n".encode())
    host.request("PUT", f"/v1/functions/{name}/aliases/old", b'{"version": 1}')
    routes("GET /v/live", name, auth="none")
    routes("GET /v/old", name, auth="none", alias="old")
    assert (at(host, "GET", "/v/live").body, at(host, "GET", "/v/old").body) == (b"2\n", b"1\n")
    host.delete(name)
    gone = at(host, "GET", "/v/old")
    assert problem(gone, 404) and name not in gone.body.decode()


# -- Who may ----------------------------------------------------------------------------------------------------------

def test_a_token(host, echo, routes):
    routes("POST /who/{x}", echo)
    assert problem(at(host, "POST", "/who/1"), 401)
    reply = host.request("POST", "/who/1", b"{}", token=ADMIN)
    assert reply.status == 200 and "authorization" not in reply.json()["headers"] and reply["Bulkhead-Usage"]
    other = host.request("POST", "/v1/keys", json.dumps({"name": "k", "functions": ["other"]}).encode()).json()["token"]
    assert problem(host.request("POST", "/who/1", b"{}", token=other), 403)


@pytest.mark.parametrize("auth", ["none", {"hmac": {"header": "x-signature", "secret": "it is a secret"}}])
def test_no_function_sees_a_token_of_the_host(host, echo, routes, auth):
    """Whatever the token is for, also when it is not for this."""
    routes("POST /sees", echo, auth=auth)
    signature = hmac.new(b"it is a secret", b"{}", hashlib.sha256).hexdigest()
    keys = [{"functions": ["other"]}, {"rate": "1/h"}, {"role": "admin"}]
    for key in keys:
        token = host.request("POST", "/v1/keys", json.dumps({"name": "k"} | key).encode()).json()["token"]
        for _ in range(2):
            reply = host.request("POST", "/sees", b"{}", {"x-signature": signature}, token=token)
            assert reply.status == 200 and "authorization" not in reply.json()["headers"] and token not in reply.body.decode()
    reply = host.request("POST", "/sees", b"{}", {"x-signature": signature}, token="its own")
    assert reply.json()["headers"]["authorization"] == "Bearer its own"


def test_told_no_more_than_needed(host, routes):
    name = unique_name("fails")
    host.upload(name, b"#!/bin/sh\necho secret >&2\nexit 3\n")
    routes("GET /fails", name, auth="none")
    assert set(at(host, "GET", "/fails").json()) == {"title", "status", "invocationId"}
    assert host.get("/fails").json()["exitCode"] == 3
    host.delete(name)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signers():
    """Each kind of key: what signs, with which algorithm, and the key's public part."""
    secret = b"thirty-two bytes of a shared key"
    yield "HS256", secret, {"kty": "oct", "k": b64(secret)}
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key()))
    yield "RS256", private, public
    yield "PS384", private, public
    for algorithm, curve in (("ES256", ec.SECP256R1()), ("ES384", ec.SECP384R1()), ("ES512", ec.SECP521R1())):
        private = ec.generate_private_key(curve)
        numbers, size = private.public_key().public_numbers(), (curve.key_size + 7) // 8
        point = [b64(number.to_bytes(size, "big")) for number in (numbers.x, numbers.y)]
        yield algorithm, private, {"kty": "EC", "crv": f"P-{curve.key_size}", "x": point[0], "y": point[1]}
    private = ed25519.Ed25519PrivateKey.generate()
    yield "EdDSA", private, json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(private.public_key()))


SIGNERS = list(signers())


def token(key, algorithm, headers=None, **claims):
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "iat": now, "exp": now + 300} | claims
    return jwt.encode({name: value for name, value in said.items() if value is not None}, key, algorithm, headers or {"kid": "one"})


def rule(*keys, **members):
    return {"jwt": {"issuer": ISSUER, "audience": [AUDIENCE], "jwks": {"keys": list(keys)}} | members}


@pytest.mark.parametrize("algorithm, key, public", SIGNERS, ids=[one[0] for one in SIGNERS])
def test_a_json_web_token(host, echo, routes, algorithm, key, public):
    path = f"/jwt/{algorithm}"
    made = routes(f"GET {path}", echo, auth=rule(public | {"kid": "one"}))
    assert "k" not in made.json()["auth"]["jwt"]["jwks"]["keys"][0]

    def use(bearer):
        return at(host, "GET", path, bearer)
    assert problem(at(host, "GET", path), 401)["detail"]
    for _ in range(2):  # and from the cache
        reply = use(token(key, algorithm, groups=["a", "b"], scope="read write", level=3, uid=9007199254740993))
        assert reply.status == 200, reply
        context = reply.json()["requestContext"]
        assert context["authorizer"]["jwt"]["claims"] | {"sub": "somebody", "groups": "[a b]", "level": "3", "uid": "9007199254740993", "iss": ISSUER} == \
            context["authorizer"]["jwt"]["claims"]
    # A token's holder is no key's holder.
    assert reply["Bulkhead-Usage"] is None and reply.json()["headers"]["authorization"]
    good, now = token(key, algorithm), time.time()
    header, payload, signature = good.split(".")
    other = json.dumps(jwt.decode(good, options={"verify_signature": False}) | {"sub": "admin"}).encode()
    wrong = {
        "expired": token(key, algorithm, exp=now - 1), "early": token(key, algorithm, nbf=now + 60), "eternal": token(key, algorithm, exp=None),
        "somebody else's": token(key, algorithm, aud="other"), "nobody's": token(key, algorithm, aud=None),
        "of another": token(key, algorithm, iss="https://issuer.example.com/"), "unknown key": token(key, algorithm, {"kid": "two"}),
        "changed": f"{header}.{b64(other)}.{signature}", "unsigned": f"{header}.{payload}.", "no token": "a.b.c", "two parts": f"{header}.{payload}",
        "none": f"{b64(json.dumps({'alg': 'none', 'kid': 'one'}).encode())}.{payload}.",
        "critical": token(key, algorithm, {"kid": "one", "crit": ["exp"], "exp": 1}), "huge": token(key, algorithm, blob="x" * 9000),
        "marks as its algorithm": f"{b64(json.dumps({'alg': chr(0x301) * 2000}, ensure_ascii=False).encode())}.{payload}.{signature}",
        "a number as exp": f"{header}.{b64(b'{}')}.{signature}",
    }
    for what, bearer in wrong.items():
        assert problem(use(bearer), 401)["detail"], what
    assert use(good).status == 200


def test_no_key_is_taken_for_another(host, echo, routes):
    """A public key as a shared secret, a key that the token brings, another algorithm of the same key."""
    algorithm, key, public = SIGNERS[1]
    routes("GET /confused", echo, auth=rule(public | {"kid": "one"}, algorithms=["RS256"]))
    payload = token(key, algorithm).split(".")[1]
    for secret in (json.dumps(public).encode(), base64.urlsafe_b64decode(public["n"] + "=="), b""):
        head = b64(json.dumps({"alg": "HS256", "kid": "one"}).encode())
        signed = b64(hmac.new(secret, f"{head}.{payload}".encode(), hashlib.sha256).digest())
        assert problem(at(host, "GET", "/confused", f"{head}.{payload}.{signed}"), 401)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    embedded = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(stranger.public_key()))
    for headers in ({"jwk": embedded}, {"kid": "one", "jwk": embedded}, {"jku": "http://127.0.0.1:1/"}, {"kid": "../one"}, {"kid": "\u0301" * 3000}):
        assert problem(at(host, "GET", "/confused", token(stranger, "RS256", headers)), 401)
    assert problem(at(host, "GET", "/confused", token(key, "PS256")), 401)
    assert at(host, "GET", "/confused", token(key, "RS256")).status == 200
    assert at(host, "GET", "/confused", token(key, "RS256", {})).status == 200, "one key needs no name"


def test_scopes(host, echo, routes):
    algorithm, key, public = SIGNERS[3]
    routes("GET /scopes", echo, auth=rule(public | {"kid": "one"}, scopes=["read", "write"]))
    assert problem(at(host, "GET", "/scopes", token(key, algorithm, scope="read")), 403)
    reply = at(host, "GET", "/scopes", token(key, algorithm, scope="write read more"))
    assert reply.json()["requestContext"]["authorizer"]["jwt"]["scopes"] == ["write", "read", "more"]
    assert at(host, "GET", "/scopes", token(key, algorithm, scp=["read", "write"])).status == 200


def test_many_keys(host, echo, routes):
    """10^5 tokens with 10^5 names of keys fill nothing up."""
    algorithm, key, public = SIGNERS[3]
    routes("GET /many", echo, auth=rule(*({"kid": f"{n}"} | public for n in range(100))))
    assert at(host, "GET", "/many", token(key, algorithm, {"kid": "99"})).status == 200
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: at(host, "GET", "/many", token(key, algorithm, {"kid": f"x{n}"})).status, range(500)))
    assert set(answers) == {401}


@pytest.mark.parametrize("body", [b"{}", b"", b"\xff\x00 no text", b"x" * 300_000], ids=["json", "empty", "binary", "long"])
def test_a_signed_body(host, echo, routes, body):
    secret = "it is a secret"
    hook = {"header": "X-Hub-Signature-256", "secret": secret, "prefix": "sha256="}
    if body == b"{}":
        made = routes("POST /hooks/github", echo, auth={"hmac": hook})
        assert secret not in json.dumps(made.json()) and secret not in host.get("/v1/routes").body.decode()
    else:
        routes("POST /hooks/github", echo, auth={"hmac": hook})
    good = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

    def send(signature, data=body):
        headers = {"Content-Type": "application/octet-stream"} | ({"X-Hub-Signature-256": signature} if signature is not None else {})
        return host.request("POST", "/hooks/github", data, headers, token=None)
    reply = send(good)
    assert reply.status == 200
    event = reply.json()
    given = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event.get("body", "").encode()
    assert given == body and event["headers"]["x-hub-signature-256"] == good
    for wrong in (None, "", good[7:], good[:-1] + ("0" if good[-1] != "0" else "1"), "sha256=" + "0" * 64):
        assert problem(send(wrong), 401)
    assert problem(send(good, body + b"!"), 401)


def test_a_timed_signature(host, echo, routes):
    secret, body = "whsec_test_secret", b'{"type": "paid"}'
    routes("POST /hooks/stripe", echo, auth={"hmac": {"header": "Stripe-Signature", "secret": secret, "scheme": "timestamped"}})

    def send(when):
        code = hmac.new(secret.encode(), f"{int(when)}.".encode() + body, hashlib.sha256).hexdigest()
        return host.request("POST", "/hooks/stripe", body, {"Stripe-Signature": f"t={int(when)},v1={code}"}, token=None)
    assert send(time.time()).status == 200
    assert problem(send(time.time() - 400), 401) and problem(send(time.time() + 400), 401)


def test_a_rate(host, echo, routes):
    routes("GET /rate", echo, auth="none", rate="3/h")
    assert [at(host, "GET", "/rate").status for _ in range(4)] == [200, 200, 200, 429]
    refused = at(host, "GET", "/rate")
    assert problem(refused, 429) and int(refused["Retry-After"]) > 60
    assert refused["RateLimit-Policy"] == '"default";q=3;w=3600' and refused["RateLimit"].startswith('"default";r=0;t=')


def test_a_time(host, routes):
    name = unique_name("slow")
    host.upload(name, b"#!/bin/sh\nsleep 5\n", query=[("wall", "8s")])
    routes("GET /slow", name, timeout="300ms")
    began = time.monotonic()
    reply = host.get("/slow")
    assert checks.problem(reply, "timeout")["limit"] == "wall" and time.monotonic() - began < 3
    assert "route" in reply.json()["detail"] and "300ms" in reply.json()["detail"]
    host.delete(name)


# -- Browsers ---------------------------------------------------------------------------------------------------------

PAGE = "https://app.example.com"


def preflight(host, path, origin=PAGE, method="GET", **headers):
    return at(host, "OPTIONS", path, Origin=origin, Access_Control_Request_Method=method, **headers)


def allowed(reply):
    return {name.lower()[15:]: value for name, value in reply.headers.items() if name.lower().startswith("access-control-")}


def test_preflights_are_answered_by_the_host(host, echo, routes):
    routes("GET /cors/{id}", echo, cors={"origins": [PAGE, "https://*.example.org"], "headers": ["X-One", "content-type"], "maxAge": 60})
    routes("POST /cors/{id}", echo)
    reply = preflight(host, "/cors/1", Access_Control_Request_Headers="x-one")
    assert reply.status == 204 and reply.body == b"" and reply.outcome is None and "Origin" in reply["Vary"]
    assert allowed(reply) == {
        "allow-origin": PAGE, "allow-methods": "GET", "allow-headers": "x-one,content-type", "max-age": "60"}
    assert allowed(preflight(host, "/cors/1", "https://a.example.org"))["allow-origin"] == "https://a.example.org"
    for origin in ("https://evil.com", "http://app.example.com", "https://app.example.com.evil.com", "null"):
        reply = preflight(host, "/cors/1", origin)
        assert reply.status == 204 and not allowed(reply)
    # That route has no cors; and what is no preflight is a request like any other.
    assert preflight(host, "/cors/1", method="POST").status == 405 and not allowed(preflight(host, "/cors/1", method="POST"))
    assert at(host, "OPTIONS", "/cors/1").status == 405


def test_answers_say_who_may_read_them(host, routes):
    name = unique_name("answers")
    answer = {"statusCode": 201, "headers": {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true", "Vary": "Accept"},
              "body": "x"}
    host.upload(name, f"#!/bin/sh\ncat <<'E'\n{json.dumps(answer)}\nE\n".encode())
    routes("GET /read", name, auth="none", cors={"origins": [PAGE], "exposeHeaders": ["X-Total"], "credentials": True})
    routes("GET /any", name, cors={"origins": ["*"]})
    reply = at(host, "GET", "/read", Origin=PAGE)
    assert reply.status == 201 and allowed(reply) == {
        "allow-origin": PAGE, "allow-credentials": "true", "expose-headers": "X-Total"}
    assert sorted(reply.headers.get_all("Vary")) == ["Accept", "Origin"]
    for origin in ("https://evil.com", None):
        headers = {"Origin": origin} if origin else {}
        assert not allowed(host.request("GET", "/read", headers=headers, token=None))
    # A page must be able to read why it was refused.
    refused = at(host, "GET", "/any", Origin=PAGE)
    assert refused.status == 401 and allowed(refused) == {"allow-origin": "*"}
    host.delete(name)


def test_pages_of_other_sites(host, echo):
    """Have no business with what is the host's, whatever token they hold."""
    for path, method in (("/v1/functions", "GET"), ("/v1/keys", "POST"), (f"/v1/functions/{echo}/invocations", "POST")):
        for origin in ("https://evil.com", "null", f"http://127.0.0.1:{host.port}.evil.com", f"http://localhost:{host.port + 1}"):
            reply = host.request(method, path, b"{}" if method == "POST" else None, {"Origin": origin})
            assert problem(reply, 403) and not allowed(reply)
    own = {"Origin": f"http://127.0.0.1:{host.port}"}
    assert host.request("GET", "/v1/functions", headers=own).status == 200
    assert host.invoke(echo, 1, headers=own).status == 200


# -- For good ---------------------------------------------------------------------------------------------------------

def test_they_outlive_the_host(hosts):
    host = hosts()
    host.upload("echo", ECHO)
    for number in range(50):
        assert host.request("PUT", f"/v1/routes/r{number}", json.dumps(
            {"route": f"GET /r/{number}/{{id}}", "function": "echo", "auth": "none"}).encode()).status == 201
    host.request("DELETE", "/v1/routes/r7")
    listed = host.get("/v1/routes?limit=1000").json()
    assert host.stop() == 0
    host.start()
    assert host.get("/v1/routes?limit=1000").json() == listed and len(listed["routes"]) == 49
    assert at(host, "GET", "/r/8/x").json()["pathParameters"] == {"id": "x"} and at(host, "GET", "/r/7/x").status == 404


def test_a_dry_run_is_one(host, echo, routes):
    """Where it can be; elsewhere it is refused, and hides nothing from the audit log."""
    body = json.dumps({"route": "GET /dry", "function": echo}).encode()
    before = host.get("/v1/audit").json()["audit"][0]
    assert host.request("PUT", "/v1/routes/dry?dryRun=true", body).json() == {"change": "new"}
    assert host.upload(echo, ECHO, query=[("processes", "4"), ("dryRun", "true")]).json() == {"change": "none"}
    assert host.get("/v1/routes/dry").status == 404 and host.get("/v1/audit").json()["audit"][0] == before
    for method, path in (("POST", "/v1/keys"), ("DELETE", f"/v1/functions/{echo}"), ("POST", f"/v1/functions/{echo}/rollback"),
                         ("PUT", f"/v1/functions/{echo}/aliases/a"), ("DELETE", "/v1/routes/dry"), ("DELETE", "/v1/keys/none")):
        assert problem(host.request(method, path + "?dryRun=true", b'{"name": "k", "version": 1}'), 400), path
    assert host.get(f"/v1/functions/{echo}").status == 200 and host.get("/v1/audit").json()["audit"][0] == before


def test_changes_are_noted(host, echo, routes):
    routes("GET /noted", echo)
    assert any(entry["action"] == "putRoute" for entry in host.get("/v1/audit").json()["audit"])


def test_refusals_are_counted(host, echo, routes):
    """Whoever runs the host sees that somebody is refused, by what, and at which route."""
    path = f"/{unique_name('counted')}"
    made = routes(f"GET {path}", echo, auth="token", rate="1/h").json()

    def counted(outcome, route=""):
        line = f'bulkhead_requests_refused_total{{outcome="{outcome}",route="{route}"}} '
        return sum(float(one[len(line):]) for one in host.get("/metrics").body.decode().splitlines() if one.startswith(line))
    before = {outcome: counted(outcome) for outcome in ("unauthorized", "not_found")}
    assert at(host, "GET", path).status == 401 and at(host, "GET", path, "wrong").status == 401
    assert counted("unauthorized", made["id"]) == 2 and counted("unauthorized") == before["unauthorized"]
    assert host.get(path).status == 200 and host.get(path).status == 429
    assert counted("throttled", made["id"]) == 1
    assert host.invoke(echo, 1, token="wrong").status == 401 and host.get("/v1/functions", token=None).status == 401
    assert counted("unauthorized") == before["unauthorized"] + 2
    assert host.invoke(unique_name("nobody"), 1).status == 404 and counted("not_found") == before["not_found"] + 1
