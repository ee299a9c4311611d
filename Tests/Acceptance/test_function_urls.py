"""Function URLs, made by boto3 and followed by whoever has them: who may, what a handler is sent, and how its answer arrives."""

import base64
import http.client
import json
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from bulkhead_host import ADMIN, reply_on, unique_name
from checks import problem
from lambda_clients import ACCOUNT, Lambda, new_key, presigned, rejected, signature

MIRROR = """
    import base64, json
    def handler(event, context):
        path = event["rawPath"]
        if path == "/full":
            return {"statusCode": 418, "headers": {"Content-Type": "text/html", "X-A": "b"}, "cookies": ["a=1; Path=/", "b=2"], "body": "<p>\u20ac</p>"}
        if path == "/bytes":
            body = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event.get("body", "").encode()
            return {"statusCode": 200, "headers": {"Content-Type": "application/octet-stream"}, "isBase64Encoded": True,
                    "body": base64.b64encode(body[::-1]).decode()}
        if path == "/words":
            return "hello"
        if path == "/listed":
            return {"answer": [1, 2]}
        if path == "/cors":
            return {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"}, "body": "x"}
        if path == "/fails":
            raise ValueError("secret")
        return {"statusCode": 200, "body": json.dumps(event)}
    """
SAY = "def handler(event, context): return {!r}".format
PAGE = "https://app.example.com"


def follow(url, path="", method="GET", body=None, headers=None):
    """As somebody does who has the URL and nothing else."""
    place = urlsplit(url)
    with closing(http.client.HTTPConnection(place.hostname, place.port, timeout=30)) as connection:
        connection.request(method, place.path + path, body, headers or {})
        return reply_on(connection)


def url_of(aws, name, kind="NONE", **more):
    made = aws.client.create_function_url_config(FunctionName=name, AuthType=kind, **more)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    return made["FunctionUrl"]


def signed(aws, url, path="", method="GET", body=b"", headers=None, key=None, **more):
    """A request as botocore signs it."""
    whole = urlsplit(url).path + path
    return follow(url, path, method, body, signature(aws.host, key or aws.key, method, whole, body, headers, **more))


def forbidden(reply):
    rejected(reply, 403, "AccessDeniedException", "^Forbidden$")
    assert reply.json() == {"Message": "Forbidden"}, reply


@pytest.fixture(scope="module")
def mirror(aws):
    return aws.create(MIRROR)


@pytest.fixture(scope="module")
def opened(aws, mirror):
    """An open URL."""
    return url_of(aws, mirror)


@pytest.fixture(scope="module")
def guarded(aws):
    """One for whoever signs."""
    return url_of(aws, aws.create(MIRROR), "AWS_IAM")


# -- Open to all ------------------------------------------------------------------------------------------------------


def test_a_url_opens_and_closes(aws, host):
    name = aws.create(SAY("hello"))
    assert problem(host.get(f"/fn/{name}/", token=None), "unauthorized")
    url = url_of(aws, name)
    assert url == f"{host.url}/fn/{name}/" and follow(url).body == b"hello"
    assert follow(url.rstrip("/")).body == follow(url, "a/b?c=d").body == b"hello"
    aws.client.delete_function_url_config(FunctionName=name)
    assert problem(follow(url), "unauthorized") and host.get(f"/fn/{name}/").body == b"hello"
    assert follow(url_of(aws, name)).status == 200
    aws.client.delete_function(FunctionName=name)
    assert problem(follow(url), "unauthorized")
    # What has its name later has not its URL.
    aws.create(SAY("other"), name=name)
    assert problem(follow(url), "unauthorized")


def test_the_event(host, mirror, opened):
    event = follow(opened, "some/path?x=1&y=a%20b&x=2", headers={"X-Mixed-Case": "Value", "Cookie": "a=1; b=two words"}).json()
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/some/path")
    assert event["rawQueryString"] == "x=1&y=a%20b&x=2" and event["queryStringParameters"] == {"x": "1,2", "y": "a b"}
    assert event["cookies"] == ["a=1", "b=two words"] and event["headers"]["x-mixed-case"] == "Value"
    context = event["requestContext"]
    assert (context["accountId"], context["apiId"], context["routeKey"], context["stage"]) == ("anonymous", mirror, "$default", "$default")
    assert context["http"]["path"] == "/some/path" and "authorizer" not in context and "pathParameters" not in event
    encoded = follow(host.url + "/fn/" + mirror.replace("-", "%2D") + "/", "here").json()
    assert encoded["rawPath"] == "/here"


def test_status_headers_and_cookies(opened):
    reply = follow(opened, "full")
    assert (reply.status, reply["Content-Type"], reply["X-A"], reply.body) == (418, "text/html", "b", "<p>\u20ac</p>".encode())
    assert reply.headers.get_all("Set-Cookie") == ["a=1; Path=/", "b=2"]


@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_bytes_both_ways(opened, size):
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    reply = follow(opened, "bytes", "POST", body, {"Content-Type": "application/octet-stream"})
    assert reply.status == 200 and reply.body == body[::-1] and reply.media_type == "application/octet-stream"


def test_answers_that_say_nothing_of_themselves(opened):
    words, listed = follow(opened, "words"), follow(opened, "listed")
    assert (words.status, words.body, words.media_type) == (200, b"hello", "application/json")
    assert (listed.status, listed.json(), listed.media_type) == (200, {"answer": [1, 2]}, "application/json")


def test_strangers_are_told_no_more(host, mirror, opened):
    reply = follow(opened, "fails")
    assert reply.status == 502 and set(reply.json()) == {"title", "status", "invocationId"} and reply["Bulkhead-Usage"] is None
    assert host.get(f"/fn/{mirror}/fails").json()["error"]["message"] == "secret"


def test_no_token_of_the_hosts_is_shown(host, opened):
    event = follow(opened, headers={"Authorization": f"Bearer {host.token}"}).json()
    assert "authorization" not in event["headers"] and host.token not in json.dumps(event)
    assert follow(opened, headers={"Authorization": "Bearer its own"}).json()["headers"]["authorization"] == "Bearer its own"


# -- For whoever signs ------------------------------------------------------------------------------------------------


def test_who_does_not_sign_is_refused(host, guarded):
    forbidden(follow(guarded))
    forbidden(follow(guarded, "a/b", "POST", b"{}", {"Authorization": "Bearer wrong"}))
    forbidden(follow(guarded, headers={"Authorization": "Basic YTpi"}))
    # The host's own tokens open it as before.
    assert host.get(urlsplit(guarded).path).status == 200


def test_who_signs_may(aws, guarded):
    reply = signed(aws, guarded, "a%20b?x=1&y=%C3%A9", "POST", b'{"a": 1}', {"Content-Type": "application/json", "X-Own": "1"})
    assert reply.status == 200 and reply["Bulkhead-Usage"], reply
    event = reply.json()
    assert event["body"] == '{"a": 1}' and event["rawPath"] == "/a%20b" and event["headers"]["x-own"] == "1"
    assert "authorization" not in event["headers"] and event["headers"]["x-amz-date"] and aws.key.access not in json.dumps(event["headers"])
    context = event["requestContext"]
    iam = context["authorizer"]["iam"]
    assert set(iam) == {"accessKey", "accountId", "callerId", "cognitoIdentity", "principalOrgId", "userArn", "userId"}
    assert (iam["accessKey"], iam["accountId"], context["accountId"]) == (aws.key.access, ACCOUNT, ACCOUNT)
    assert iam["userArn"].startswith(f"arn:aws:iam::{ACCOUNT}:user/") and iam["cognitoIdentity"] is None
    large = signed(aws, guarded, "bytes", "POST", b"\0ab" * 100_000, {"Content-Type": "application/octet-stream"})
    assert large.status == 200 and large.body == b"ba\0" * 100_000


def test_only_what_was_signed(aws, guarded):
    path = urlsplit(guarded).path
    for body in (b"{}", b"x" * 200_000):
        headers = signature(aws.host, aws.key, "POST", path, body, {"Content-Type": "application/json"})
        assert follow(guarded, "", "POST", body, headers).status == 200
        for where, method, other in (("", "POST", body + b" "), ("", "POST", b""), ("other", "POST", body), ("", "PUT", body), ("?a=b", "POST", body)):
            rejected(follow(guarded, where, method, other, headers), 403, "InvalidSignatureException", "does not match")
    rejected(signed(aws, guarded, service="s3"), 403, "InvalidSignatureException", "lambda")
    stranger = type(aws.key)("AKIA" + "A" * 16, aws.key.secret)
    rejected(signed(aws, guarded, key=stranger), 403, "UnrecognizedClientException")
    forged = type(aws.key)(aws.key.access, "x" * 40)
    rejected(signed(aws, guarded, key=forged), 403, "InvalidSignatureException", "does not match")
    rejected(follow(guarded, headers={"Authorization": "AWS4-HMAC-SHA256 nothing"}), 403, "IncompleteSignatureException")


def test_only_who_may_invoke_it(aws, host, guarded):
    name = urlsplit(guarded).path.split("/")[2]
    assert signed(aws, guarded, key=new_key(host, "--function", name, role="invoke")).status == 200
    forbidden(signed(aws, guarded, key=new_key(host, "--function", "other-*", role="invoke")))


def test_an_address_that_opens_by_itself(aws, guarded):
    """A signature in a URL would be in logs, and the function's to see."""
    path = urlsplit(guarded).path
    forbidden(follow(guarded, presigned(aws.host, aws.key, path).removeprefix(path)))


def test_it_is_changed(aws):
    name = aws.create(SAY("hello"))
    url = url_of(aws, name, "AWS_IAM")
    forbidden(follow(url))
    aws.client.update_function_url_config(FunctionName=name, AuthType="NONE")
    assert follow(url).body == b"hello"
    aws.client.update_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    forbidden(follow(url))
    assert signed(aws, url).body == b"hello"


def test_of_a_function_that_came_otherwise(aws, host):
    """What its upload has said of who may use /fn/ counts no more; and it speaks the host's own words."""
    name = unique_name("native")
    host.upload(name, b"#!/bin/sh\ncat\n", {"auth": "none"})
    assert host.get(f"/fn/{name}", token=None).status == 200
    url = url_of(aws, name, "AWS_IAM")
    assert problem(follow(url), "unauthorized") and signed(aws, url).status == 200
    rejected(signed(aws, url, service="s3"), 403, "InvalidSignatureException")
    assert problem(signed(aws, url, key=new_key(host, "--function", "other-*", role="invoke")), "forbidden")
    host.delete(name)


def test_what_streams(aws, host):
    """A signature is of all of a body, and its answer comes piece by piece all the same."""
    name = unique_name("streams")
    host.upload(name, b"#!/bin/sh\nexec cat\n", {"stream": "true"})
    url = url_of(aws, name, "AWS_IAM")
    assert problem(follow(url, "", "POST", b"{}"), "unauthorized")
    reply = signed(aws, url, "", "POST", b"{}", {"Content-Type": "application/json"})
    assert reply.status == 200 and reply["Transfer-Encoding"] == "chunked"
    event = json.loads(reply.body)
    assert event["body"] == "{}" and event["requestContext"]["authorizer"]["iam"]["accessKey"] == aws.key.access
    rejected(follow(url, "", "POST", b"[]", signature(host, aws.key, "POST", urlsplit(url).path, b"{}")), 403, "InvalidSignatureException")
    host.delete(name)


# -- Aliases ----------------------------------------------------------------------------------------------------------


def test_an_alias(aws, host):
    name = aws.create(SAY("one"), Publish=True)
    aws.client.create_alias(FunctionName=name, Name="Prod_1", FunctionVersion="1")
    aws.change(name, SAY("two"))
    path = f"/fn/{name}:Prod_1/"
    assert problem(host.get(path, token=None), "unauthorized")
    assert "URL" in problem(host.get(path), "not_found")["detail"]
    url = url_of(aws, name, Qualifier="Prod_1")
    assert url == host.url + path
    assert follow(url).body == follow(url.rstrip("/"), "?a=b").body == follow(host.url + path.replace(":", "%3A")).body == b"one"
    # The function itself, and what has no URL, are as they were.
    assert problem(host.get(f"/fn/{name}/", token=None), "unauthorized") and host.get(f"/fn/{name}/").body == b"two"
    for other in ("live", "latest", "prod_1", "none"):
        assert problem(host.get(f"/fn/{name}:{other}/", token=None), "unauthorized")
        assert problem(host.get(f"/fn/{name}:{other}/"), "not_found")
    for wrong in ("$LATEST", "1", "", "a:b", "a b", "%2e%2e"):
        for token in (None, ADMIN):
            assert problem(host.get(f"/fn/{name}:{wrong.replace(' ', '%20')}/", token=token), "invalid_request")
    aws.client.delete_function_url_config(FunctionName=name, Qualifier="Prod_1")
    assert problem(follow(url), "unauthorized") and problem(host.get(path), "not_found")


def test_an_alias_that_goes(aws, host):
    name = aws.create(MIRROR, Publish=True)
    for alias in ("a", "b"):
        aws.client.create_alias(FunctionName=name, Name=alias, FunctionVersion="1")
    url, guarded = url_of(aws, name, Qualifier="a"), url_of(aws, name, "AWS_IAM", Qualifier="b")
    event = follow(url, "x/y").json()
    assert event["rawPath"] == "/x/y" and event["requestContext"]["apiId"] == name
    forbidden(follow(guarded))
    assert signed(aws, guarded).status == 200
    aws.client.delete_alias(FunctionName=name, Name="a")
    assert follow(url).status in (401, 404) and host.get(f"/fn/{name}:a/").status == 404
    assert signed(aws, guarded).status == 200


# -- Browsers ---------------------------------------------------------------------------------------------------------


def allowed(reply):
    return {name.lower()[15:]: value for name, value in reply.headers.items() if name.lower().startswith("access-control-")}


def test_cors(aws):
    name = aws.create(MIRROR)
    cors = {"AllowOrigins": [PAGE], "AllowMethods": ["GET", "PUT"], "AllowHeaders": ["x-one"], "ExposeHeaders": ["x-a"], "MaxAge": 60}
    url = url_of(aws, name, Cors=cors)

    def preflight(origin=PAGE, method="GET"):
        reply = follow(url, "cors", "OPTIONS", headers={"Origin": origin, "Access-Control-Request-Method": method})
        assert reply.status == 204 and reply.body == b"" and reply.outcome is None, reply
        return allowed(reply)
    assert preflight() == {
        "allow-origin": PAGE, "allow-methods": "GET,PUT", "allow-headers": "x-one", "max-age": "60", "expose-headers": "x-a"}
    for origin, method in (("https://evil.example", "GET"), (PAGE, "DELETE")):
        assert "allow-origin" not in preflight(origin, method)
    # What the function says of it does not count.
    marked = follow(url, "cors", headers={"Origin": PAGE})
    assert allowed(marked) == {"allow-origin": PAGE, "expose-headers": "x-a"} and "Origin" in marked["Vary"]
    assert not allowed(follow(url, "cors", headers={"Origin": "https://evil.example"})) and not allowed(follow(url, "cors"))
    # An OPTIONS that is no preflight is a request like any other.
    assert follow(url, "x", "OPTIONS").json()["requestContext"]["http"]["method"] == "OPTIONS"
    aws.client.update_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    assert preflight()["allow-origin"] == PAGE
    refused = follow(url, headers={"Origin": PAGE})
    forbidden(refused)
    assert allowed(refused)["allow-origin"] == PAGE


def test_without_cors_the_function_says_it(opened):
    assert allowed(follow(opened, "cors", headers={"Origin": PAGE})) == {"allow-origin": "*", "allow-credentials": "true"}
    reply = follow(opened, "x", "OPTIONS", headers={"Origin": PAGE, "Access-Control-Request-Method": "GET"})
    assert reply.json()["requestContext"]["http"]["method"] == "OPTIONS" and not allowed(reply)


# -- For good ---------------------------------------------------------------------------------------------------------


def test_urls_outlive_the_host(hosts, boto):
    host = hosts()
    aws = Lambda(host)
    name = aws.create(SAY("hello"), Publish=True)
    aws.client.create_alias(FunctionName=name, Name="prod", FunctionVersion="1")
    url_of(aws, name, Cors={"AllowOrigins": [PAGE]})
    url_of(aws, name, "AWS_IAM", Qualifier="prod")
    assert host.stop() == 0
    host.start()
    aws = Lambda(host, aws.key)
    url = aws.client.get_function_url_config(FunctionName=name)["FunctionUrl"]
    guarded = aws.client.get_function_url_config(FunctionName=name, Qualifier="prod")["FunctionUrl"]
    reply = follow(url, headers={"Origin": PAGE})
    assert reply.body == b"hello" and allowed(reply) == {"allow-origin": PAGE}
    forbidden(follow(guarded))
    assert signed(aws, guarded).body == b"hello"


def test_a_permission_that_is_taken_back_closes_it(aws, host):
    """Once somebody has permitted everybody, it is open as long as that stands; and what is open the other API says."""
    name = aws.create(SAY("hello"))
    url = url_of(aws, name)
    assert host.get(f"/v1/functions/{name}").json()["urls"] == {"$LATEST": "none"} and follow(url).body == b"hello"
    aws.client.add_permission(FunctionName=name, StatementId="all", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    assert follow(url).body == b"hello"
    aws.client.remove_permission(FunctionName=name, StatementId="all")
    forbidden(follow(url))
    assert host.get(f"/v1/functions/{name}").json()["urls"] == {"$LATEST": "token"}
    aws.client.add_permission(FunctionName=name, StatementId="again", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    assert follow(url).body == b"hello"


def test_methods_that_nobody_has_named(aws):
    url = url_of(aws, aws.create(SAY("hello")), Cors={"AllowOrigins": [PAGE]})
    asked = follow(url, method="OPTIONS", headers={"Origin": PAGE, "Access-Control-Request-Method": "DELETE"})
    assert asked["access-control-allow-methods"] is None and asked["access-control-allow-origin"] is None, asked
    assert follow(url, headers={"Origin": PAGE})["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("query", ["x=a+b", "x=%FF", "x=%2f", "b=1&a=2", "x=%C3%A4&x", "x=a%20b"])
def test_queries_in_any_spelling(aws, guarded, query):
    """As whoever signs has written them: AWS's own clients sign a query byte for byte."""
    assert signed(aws, guarded, "?" + query).status == 200
