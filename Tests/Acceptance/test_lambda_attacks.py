"""AWS Lambda's API against who means no good: what would have ended the host, or told and done what was not allowed."""

import json
import threading

import pytest

from bulkhead_host import unique_name
from lambda_clients import ECHO, ROLE, RUNTIME, Lambda, code_zip, new_key, refused, rejected, signature
from test_lambda_errors import invalid

SLOW = "import time\ntime.sleep(1.5)\ndef handler(event, context): return %d"


def at_once(count, call):
    """What becomes of as many calls at once: their results, and the codes of their errors."""
    results, codes, gate = [], [], threading.Barrier(count)

    def run(number):
        gate.wait()
        try:
            results.append(call(number))
        except Exception as error:  # pylint: disable=broad-except
            codes.append(error.response["Error"]["Code"])
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results, codes


UNSOUND = {
    "two lines": {"Description": "a\nb"}, "NUL": {"Description": "a\0"}, "long in bytes": {"Description": "é" * 256},
    "role": {"Role": "arn:aws:iam::123456789012:role/" + "x" * 9000}, "role beyond ASCII": {"Role": "é" * 9999},
    "variable": {"Environment": {"Variables": {"BULKHEAD_LOCK": "1"}}}, "long variable": {"Environment": {"Variables": {"a" * 300: "1"}}},
}


@pytest.mark.parametrize("asked", UNSOUND.values(), ids=UNSOUND)
def test_what_could_not_be_read_back_is_not_stored(hosts, boto, asked):
    """Each of these was accepted once, and no later start of the host could read its catalogue."""
    host = hosts()
    aws = Lambda(host)
    name = aws.create()
    unchecked = aws.unchecked()
    invalid(lambda: unchecked.client.update_function_configuration(FunctionName=name, **asked))
    if "Description" in asked:
        invalid(lambda: unchecked.client.publish_version(FunctionName=name, **asked))
    invalid(lambda: unchecked.ask(**asked))
    assert host.stop() == 0
    host.start()
    assert Lambda(host, aws.key).result(name, 1) == 1


def test_a_handler_of_what_has_none(aws):
    name = unique_name("native")
    aws.host.upload(name, b"#!/bin/sh\ncat\n")
    refused(lambda: aws.client.update_function_configuration(FunctionName=name, Handler="a.b"), 400, "InvalidParameterValueException", "Handler")
    assert aws.client.get_function_configuration(FunctionName=name)["RevisionId"]


def test_nobody_names_the_number_that_is_to_come(aws):
    """An alias by number is one that never changes: the newest revision has none until it is published."""
    host, name = aws.host, aws.create(Publish=True)
    aws.client.update_function_configuration(FunctionName=name, Timeout=7)
    for path, body in [("aliases/prod", {"version": 2}), ("aliases/live", {"version": 2}), ("aliases/ww", {"version": 1, "weights": {"2": 0.5}})]:
        reply = host.request("PUT", f"/v1/functions/{name}/{path}", json.dumps(body).encode())
        assert reply.status == 400 and "no version 2" in reply.json()["detail"], reply
    assert host.request("POST", f"/v1/functions/{name}/rollback", b'{"to":2}').status == 404
    assert host.request("PUT", f"/v1/functions/{name}/aliases/live", b'{"version":1}').status == 200
    assert host.delete(f"{name}/versions/2").status == 404
    refused(lambda: aws.client.delete_function(FunctionName=name, Qualifier="2"), 404, "ResourceNotFoundException")
    assert aws.client.get_function_configuration(FunctionName=name)["Timeout"] == 7
    assert aws.client.publish_version(FunctionName=name)["Version"] == "2"
    assert host.request("PUT", f"/v1/functions/{name}/aliases/prod", b'{"version":2}').status == 201


def test_what_is_served_while_its_successor_warms_up(aws):
    """Of a revision that was never published too."""
    host, name = aws.host, unique_name("warm")
    bundle = {"function.yaml": f"name: {name}\nruntime: python\nhandler: app.handler\nmode: reactor\nconcurrency: {{warm: 1}}\n".encode()}
    host.upload(name, code_zip(SLOW % 1, files=bundle), content_type="application/zip")
    replies, done = [], threading.Event()

    def ask():
        while not done.is_set():
            replies.append(host.invoke(name, 1))
    asking = threading.Thread(target=ask)
    asking.start()
    for seconds in (5, 6, 7):
        aws.client.update_function_configuration(FunctionName=name, Timeout=seconds)
    done.set()
    asking.join(30)
    assert len(replies) > 10 and {reply.status for reply in replies} == {200}, [reply for reply in replies if reply.status != 200][:3]


def test_what_changes_the_meaning_is_signed(aws):
    path = f"/2015-03-31/functions/{aws.create()}/invocations"
    signed = signature(aws.host, aws.key, "POST", path, b"1", {"Content-Type": "application/json"})
    assert aws.host.request("POST", path, b"1", signed, token=None).status == 200
    for header, value in [("X-Amz-Invocation-Type", "DryRun"), ("X-Amz-Invocation-Type", "Event"), ("X-Amz-Log-Type", "Tail"), ("X-Amz-Client-Context", "e30=")]:
        rejected(aws.host.request("POST", path, b"1", signed | {header: value}, token=None), 403, "IncompleteSignatureException", header.lower())


def test_one_of_those_who_come_at_once(aws):
    name = unique_name("race")
    made, codes = at_once(8, lambda number: aws.client.create_function(
        FunctionName=name, Role=ROLE, Runtime=RUNTIME, Handler="app.handler", Code={"ZipFile": code_zip(ECHO)}, Timeout=number + 1))
    assert len(made) == 1 and codes == ["ResourceConflictException"] * 7
    made, codes = at_once(8, lambda number: aws.client.create_alias(FunctionName=name, Name="a", FunctionVersion="$LATEST"))
    assert len(made) == 1 and codes == ["ResourceConflictException"] * 7
    # Whoever names no revision means the one that is there then.
    changed, codes = at_once(8, lambda number: aws.client.update_function_configuration(FunctionName=name, Timeout=number + 10))
    assert len(changed) == 8 and not codes, codes
    published, codes = at_once(8, lambda number: aws.client.publish_version(FunctionName=name))
    assert {one["Version"] for one in published} == {"1"} and not codes, codes


def test_who_may_not_send_much(aws):
    """Beside those without a key those whose signature is old already: their bodies are not waited for."""
    for key, moment in ((aws.key, "20200101T000000Z"),):
        headers = {"X-Amz-Date": moment, "Content-Length": str(60 << 20), "Expect": "100-continue",
                   "Authorization": f"AWS4-HMAC-SHA256 Credential={key.access}/20200101/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"}
        rejected(aws.host.request("POST", "/2015-03-31/functions", None, headers, token=None), 403, "InvalidSignatureException", "expired")
    twice = {"X-Amz-Date": "20200101T000000Z",
             "Authorization": f"AWS4-HMAC-SHA256 Credential={aws.key.access}/20200101/us-east-1/lambda/aws4_request, SignedHeaders=host;q;q, Signature={'0' * 64}"}
    rejected(aws.host.get("/2015-03-31/functions", headers=twice, token=None), 403, "IncompleteSignatureException")


def test_why_it_was_too_much(aws):
    """A key's rate is not a function's reservation."""
    name = aws.create()
    slow = Lambda(aws.host, new_key(aws.host, "--rate", "2/m", role="deploy"))
    for _ in range(2):
        slow.client.list_functions()
    told = refused(lambda: slow.client.list_functions(), 429, "TooManyRequestsException")
    assert told["Reason"] == "CallerRateLimitExceeded", told
    aws.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    told = refused(lambda: aws.invoke(name, 1), 429, "TooManyRequestsException")
    assert told["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded", told


def test_what_a_key_for_some_learns_of_all(aws):
    own = Lambda(aws.host, new_key(aws.host, "--function", "nothing-*", role="deploy"))
    assert own.client.get_account_settings()["AccountUsage"] == {"TotalCodeSize": 0, "FunctionCount": 0}


def test_a_keys_secret_is_no_stored_secret(aws):
    key = new_key(aws.host, role="invoke")
    assert aws.host.request("DELETE", f"/v1/secrets/:{key.access}").status == 404
    assert key.access not in aws.host.get("/v1/secrets?limit=1000").body.decode()
    refused(lambda: Lambda(aws.host, key).client.invoke(FunctionName="nothing"), 404, "ResourceNotFoundException")
