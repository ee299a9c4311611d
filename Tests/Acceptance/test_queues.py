"""Queues by name and the functions that get what waits in them: by the host's own routes and by Lambda's event source mappings."""

import json
import time

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from conftest import SLOWNESS, new_host
from lambda_clients import Lambda, new_key, refused
from system import eventually
from test_events import kill_supervisor

MISSING = "ResourceNotFoundException"
# Writes each message into its log; what begins with "bad" it cannot do, "half" it names as not done.
WORK = b"""import json
def handler(event, context):
    failed = []
    for record in event["Records"]:
        print(json.dumps({"got": record["body"], "of": len(event["Records"]), "receives": record["attributes"]["ApproximateReceiveCount"],
                          "source": record["eventSourceARN"], "md5": record["md5OfBody"], "id": record["messageId"]}))
        if record["body"].startswith("bad"):
            raise ValueError("cannot do it")
        if record["body"].startswith("half"):
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
"""


def upload(host, **limits):
    name = unique_name("work")
    host.upload(name, zip_of({"function.yaml": "runtime: python\nhandler: app.handler\n" + "".join(f"{key}: {value}\n" for key, value in limits.items()),
                              "app.py": WORK}), content_type=ZIP)
    return name


def put(host, path, **body):
    return host.request("PUT", path, json.dumps(body).encode(), {"Content-Type": "application/json"})


def made(host, **body):
    name = unique_name("jobs")
    reply = put(host, f"/v1/queues/{name}", **body)
    assert reply.status == 201, reply
    return name


def send(host, queue, text, query="", **headers):
    return host.request("POST", f"/v1/queues/{queue}/messages{query}", text if isinstance(text, bytes) else text.encode(),
                        {"Content-Type": "text/plain"}, **headers)


def got(host, name):
    return [line["fields"] for line in host.logs(name, limit=1000) if "got" in line.get("fields", {})]


def state(host, queue):
    return host.get(f"/v1/queues/{queue}").json()["messages"]


def is_empty(host, queue):
    return state(host, queue) == {"waiting": 0, "inFlight": 0, "delayed": 0, "bytes": 0}


def test_what_is_sent_is_handed_to_a_function(host):
    name, queue = upload(host), made(host)
    mapped = put(host, f"/v1/queues/{queue}/mappings/{name}")
    assert mapped.status == 201 and mapped.json()["batchSize"] == 10 and mapped.json()["alias"] == "live", mapped
    assert put(host, f"/v1/queues/{queue}/mappings/{name}").status == 200
    sent = [send(host, queue, text) for text in ("one", '{"two": "\\u00e4"}', "drei\n\x01\x00!")]
    assert [reply.status for reply in sent] == [202] * 3
    found = eventually(lambda: len(found := got(host, name)) == 3 and found, 10 * SLOWNESS, "all three are worked on")
    assert sorted(one["got"] for one in found) == sorted(["one", '{"two": "\\u00e4"}', "drei\n\x01\x00!"])
    assert {one["id"] for one in found} == {reply.json()["messageId"] for reply in sent}
    assert {one["source"] for one in found} == {f"arn:aws:sqs:us-east-1:123456789012:{queue}"} and {one["receives"] for one in found} == {"1"}
    eventually(lambda: is_empty(host, queue), 5 * SLOWNESS, "what is done is gone")
    assert host.get(f"/v1/queues/{queue}/mappings/{name}").json()["lastResult"] == "OK"
    assert host.request("DELETE", f"/v1/queues/{queue}/mappings/{name}").status == 204
    assert host.get(f"/v1/queues/{queue}/mappings").json() == {"mappings": []}
    send(host, queue, "nobody's")
    time.sleep(0.5)
    assert state(host, queue)["waiting"] == 1 and len(got(host, name)) == 3
    assert host.request("DELETE", f"/v1/queues/{queue}").status == 204 and host.get(f"/v1/queues/{queue}").status == 404


def test_what_waited_before_there_was_a_mapping_comes_in_batches(host):
    name, queue = upload(host), made(host)
    for number in range(25):
        assert send(host, queue, f"n{number}").status == 202
    assert state(host, queue)["waiting"] == 25
    listed = host.get(f"/v1/queues/{queue}/messages?limit=20").json()
    assert [one["body"] for one in listed["messages"]] == [f"n{number}" for number in range(20)]
    rest = host.get(f"/v1/queues/{queue}/messages?limit=20&cursor={listed['next']}").json()
    assert [one["body"] for one in rest["messages"]] == [f"n{number}" for number in range(20, 25)] and "next" not in rest
    put(host, f"/v1/queues/{queue}/mappings/{name}")
    found = eventually(lambda: len(found := got(host, name)) == 25 and found, 15 * SLOWNESS, "all are worked on")
    assert sorted(one["of"] for one in found) == [5] * 5 + [10] * 20


def test_a_full_batch_is_waited_for(host):
    name, queue = upload(host), made(host)
    put(host, f"/v1/queues/{queue}/mappings/{name}", batchSize=20, window="2s")
    began = time.monotonic()
    for number in range(12):
        send(host, queue, f"n{number}")
    found = eventually(lambda: len(found := got(host, name)) == 12 and found, 15 * SLOWNESS, "all are worked on")
    assert {one["of"] for one in found} == {12} and time.monotonic() - began > 1.9
    for number in range(20):
        send(host, queue, f"m{number}")
    eventually(lambda: len([one for one in got(host, name) if one["of"] == 20]) == 20, 15 * SLOWNESS, "a full one comes as it is full")


def test_what_fails_comes_again_and_is_buried(host):
    name, dead = upload(host), made(host)
    queue = made(host, visibility="1s", maxReceives=2, deadLetters=dead)
    put(host, f"/v1/queues/{queue}/mappings/{name}")
    send(host, queue, "bad apple")
    eventually(lambda: state(host, dead)["waiting"] == 1, 15 * SLOWNESS, "it is buried")
    assert [one["receives"] for one in got(host, name)] == ["1", "2"] and is_empty(host, queue)
    assert host.get(f"/v1/queues/{queue}/mappings/{name}").json()["lastResult"] == "PROBLEM: error"
    assert host.request("DELETE", f"/v1/queues/{dead}").status == 409, "somebody's dead letters go there"
    again = host.request("POST", f"/v1/queues/{dead}/redrive?to={queue}")
    assert again.status == 200 and again.json() == {"redriven": 1}
    eventually(lambda: len(got(host, name)) == 4 and state(host, dead)["waiting"] == 1, 15 * SLOWNESS, "it is tried anew")
    assert host.request("DELETE", f"/v1/queues/{dead}/messages").json() == {"deleted": 1}


def test_what_a_function_names_as_not_done_comes_again_alone(host):
    name, queue = upload(host), made(host, visibility="1s", maxReceives=3)
    put(host, f"/v1/queues/{queue}/mappings/{name}", reportsFailures=True, enabled=False)
    for text in ("whole", "half"):
        send(host, queue, text)
    put(host, f"/v1/queues/{queue}/mappings/{name}", reportsFailures=True)
    eventually(lambda: len(got(host, name)) == 4 and is_empty(host, queue), 15 * SLOWNESS, "the one comes three times, then is gone")
    assert sorted((one["got"], one["receives"]) for one in got(host, name)) == [("half", "1"), ("half", "2"), ("half", "3"), ("whole", "1")]


def test_a_full_function_is_no_attempt(host):
    """What it has no room for waits, however often that is."""
    name, queue = unique_name("slow"), made(host, visibility="1s", maxReceives=1)
    host.upload(name, b"#!/bin/sh\ncat >&2\nsleep 0.7\n", {"max": "1"})
    put(host, f"/v1/queues/{queue}/mappings/{name}", batchSize=1, maxConcurrency=4)
    for number in range(6):
        send(host, queue, f"n{number}")
    eventually(lambda: is_empty(host, queue), 40 * SLOWNESS, "all are done")
    records = [line["fields"]["Records"][0] for line in host.logs(name, limit=1000) if "Records" in line.get("fields", {})]
    assert sorted(one["body"] for one in records) == [f"n{number}" for number in range(6)]
    assert {one["attributes"]["ApproximateReceiveCount"] for one in records} == {"1"}


def test_what_is_sent_survives_the_supervisor(host):
    name, queue = upload(host), made(host)
    for number in range(5):
        assert send(host, queue, f"n{number}").status == 202
    delayed = send(host, queue, "later", "?delay=3s")
    assert delayed.status == 202 and state(host, queue)["delayed"] == 1
    put(host, f"/v1/queues/{queue}/mappings/{name}", enabled=False)
    kill_supervisor(host)
    assert host.get(f"/v1/queues/{queue}/mappings/{name}").json()["enabled"] is False
    put(host, f"/v1/queues/{queue}/mappings/{name}")
    found = eventually(lambda: len(found := got(host, name)) == 6 and found, 20 * SLOWNESS, "all are worked on")
    assert sorted(one["got"] for one in found) == ["later"] + [f"n{number}" for number in range(5)]


def test_what_a_function_has_when_the_supervisor_dies_comes_again(host):
    """When it cannot be under way any more: its time to start and to run, and what it may wait for a worker."""
    name, queue = unique_name("slow"), made(host, visibility="1s")
    host.upload(name, b"#!/bin/sh\ncat >&2\nsleep 0.9\n", {"wall": "1s", "init": "1s"})
    put(host, f"/v1/queues/{queue}/mappings/{name}")
    send(host, queue, "x")
    eventually(lambda: state(host, queue)["inFlight"] == 1, 5 * SLOWNESS, "it has it")
    kill_supervisor(host)
    assert state(host, queue)["inFlight"] == 1
    eventually(lambda: is_empty(host, queue), 40 * SLOWNESS, "it is done in the end")
    counts = [line["fields"]["Records"][0]["attributes"]["ApproximateReceiveCount"] for line in host.logs(name) if "Records" in line.get("fields", {})]
    assert "2" in counts, counts


def test_a_function_that_is_gone_gets_nothing_and_its_successor_neither(host):
    name, queue = upload(host), made(host)
    put(host, f"/v1/queues/{queue}/mappings/{name}")
    assert host.request("DELETE", f"/v1/queues/{queue}").status == 409, "a function gets what waits there"
    assert host.request("DELETE", f"/v1/functions/{name}").status == 204
    assert host.get(f"/v1/queues/{queue}/mappings").json() == {"mappings": []}
    send(host, queue, "x")
    time.sleep(0.3)
    assert state(host, queue)["waiting"] == 1


def test_what_cannot_be_started_is_buried(host):
    """Three times it may be the host's affair."""
    name, dead = unique_name("gone"), made(host)
    queue = made(host, visibility="1s", maxReceives=1, deadLetters=dead)
    secret = unique_name("secret")
    assert host.request("PUT", f"/v1/secrets/{secret}", b"x").status == 201
    host.upload(name, zip_of({"function.yaml": f"run: ./run\nsecrets: {{ X: {secret} }}\n", "run": (b"#!/bin/sh\ncat\n", 0o755)}), content_type=ZIP)
    assert host.request("DELETE", f"/v1/secrets/{secret}").status == 204
    put(host, f"/v1/queues/{queue}/mappings/{name}")
    send(host, queue, "x")
    eventually(lambda: state(host, dead)["waiting"] == 1, 40 * SLOWNESS, "it is buried")


def test_an_end_in_order_costs_no_attempt(workspace):
    name, queue = unique_name("slow"), unique_name("jobs")
    host = new_host(workspace, unique_name("drained")).start()
    try:
        host.upload(name, b"#!/bin/sh\ncat >&2\nsleep 1.5\n")
        put(host, f"/v1/queues/{queue}", maxReceives=1)
        put(host, f"/v1/queues/{queue}/mappings/{name}", batchSize=1, maxConcurrency=1)
        for number in range(3):
            send(host, queue, f"n{number}")
        eventually(lambda: state(host, queue)["inFlight"] == 1, 5 * SLOWNESS, "it has the first")
        assert host.stop() == 0
        host.start()
        eventually(lambda: is_empty(host, queue), 30 * SLOWNESS, "all are done")
        counts = [line["fields"]["Records"][0]["attributes"]["ApproximateReceiveCount"] for line in host.logs(name) if "Records" in line.get("fields", {})]
        assert counts == ["1", "1", "1"], counts
    finally:
        host.stop()


REFUSED = {
    "a name": ("PUT", "/v1/queues/-x", {}, 400, "letters"), "a key": ("PUT", "/v1/queues/x", {"a": 1}, 400, "visibility"),
    "a time": ("PUT", "/v1/queues/x", {"visibility": "1ms"}, 400, "1s to 12h"), "another time": ("PUT", "/v1/queues/x", {"retention": "400h"}, 400, "336h"),
    "a count": ("PUT", "/v1/queues/x", {"maxReceives": 0}, 400, "1 to 1000"), "a large count": ("PUT", "/v1/queues/x", {"maxReceives": 1e30}, 400, "1 to 1000"),
    "no count": ("PUT", "/v1/queues/x", {"deadLetters": "y"}, 400, "maxReceives"),
    "one that keeps less": ("PUT", "/v1/queues/x", {"maxReceives": 1, "deadLetters": "nothing-here", "retention": "336h"}, 404, "nothing-here"),
    "its own": ("PUT", "/v1/queues/x", {"maxReceives": 1, "deadLetters": "x"}, 400, "its own"),
    "one that is not there": ("PUT", "/v1/queues/x", {"maxReceives": 1, "deadLetters": "nothing-here"}, 404, "nothing-here"),
    "another name": ("PUT", "/v1/queues/x", {"name": "y"}, 400, "the path says"),
    "not there": ("GET", "/v1/queues/nothing-here", None, 404, "nothing-here"),
    "no messages there": ("GET", "/v1/queues/nothing-here/messages", None, 404, "nothing-here"),
    "too many": ("GET", "/v1/queues/nothing-here/messages?limit=1000", None, 404, "nothing-here"),
    "no redrive there": ("POST", "/v1/queues/nothing-here/redrive?to=x", None, 404, "nothing-here"),
    "nothing to delete": ("DELETE", "/v1/queues/nothing-here", None, 404, "nothing-here"),
    "no mappings there": ("GET", "/v1/queues/nothing-here/mappings", None, 404, "nothing-here"),
    "no mapping there": ("PUT", "/v1/queues/nothing-here/mappings/f", {}, 404, "nothing-here"),
}


@pytest.mark.parametrize("method, path, body, status, sentence", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(host, method, path, body, status, sentence):
    reply = host.request(method, path, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"})
    assert reply.status == status and sentence in reply.json()["detail"], reply


def test_what_is_refused_of_mappings_and_messages(host):
    name, queue = upload(host), made(host)
    for body, sentence in [({"batchSize": 11}, "window"), ({"batchSize": 0}, "1 to 10000"), ({"window": "6m"}, "5m"), ({"alias": "ä"}, "alias"),
                           ({"maxConcurrency": 1001}, "1 to 1000"), ({"enabled": "yes"}, "true or false"), ({"x": 1}, "batchSize"), ([1], "mapping")]:
        reply = host.request("PUT", f"/v1/queues/{queue}/mappings/{name}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        assert reply.status == 400 and sentence in reply.json()["detail"], (body, reply)
    assert put(host, f"/v1/queues/{queue}/mappings/nothing-here").status == 404
    assert put(host, f"/v1/queues/{queue}/mappings/Not_a_name").status == 400
    assert put(host, f"/v1/queues/{queue}/mappings/{name}", alias="nothing").status == 404
    assert host.get(f"/v1/queues/{queue}/mappings/{name}").status == 404
    for query, sentence in [("?delay=16m", "15m"), ("?delay=x", "delay")]:
        assert sentence in send(host, queue, "x", query).json()["detail"]
    assert send(host, queue, b"\xff").status == 400 == send(host, queue, b"").status
    assert send(host, made(host, retention="1m"), "x", "?delay=2m").status == 400, "it would be too old before its time"
    assert host.get(f"/v1/queues/{queue}/messages?limit=21").status == 400
    chunked = host.request("POST", f"/v1/queues/{queue}/messages", iter([b"x" * (64 << 10)] * 5), {"Content-Type": "text/plain"})
    assert chunked.status == 413, chunked
    assert send(host, queue, "x" * (256 << 10)).status == 202 and send(host, queue, "x" * (256 << 10) + "x").status == 413
    assert host.request("POST", f"/v1/queues/{queue}/redrive").status == 400 == host.request("POST", f"/v1/queues/{queue}/redrive?to={queue}").status
    first = host.get(f"/v1/queues/{queue}")
    assert put_if(host, queue, first.headers["ETag"], visibility="5s") == 200 and put_if(host, queue, first.headers["ETag"], visibility="6s") == 412


def put_if(host, queue, tag, **body):
    return host.request("PUT", f"/v1/queues/{queue}", json.dumps(body).encode(), {"Content-Type": "application/json", "If-Match": tag}).status


def test_who_may(host):
    """A key for some functions sends where only these get it."""
    stem = unique_name("mine")
    own, other, queue = f"{stem}-1", upload(host), made(host)
    host.upload(own, b"#!/bin/sh\ncat\n")
    key = host.request("POST", "/v1/keys", json.dumps({"name": "sender", "role": "invoke", "functions": [f"{stem}-*"]}).encode(),
                       {"Content-Type": "application/json"}).json()["token"]
    assert send(host, queue, "x", token=key).status == 403, "nobody gets it"
    put(host, f"/v1/queues/{queue}/mappings/{own}", enabled=False)
    assert send(host, queue, "x", token=key).status == 202
    put(host, f"/v1/queues/{queue}/mappings/{other}", enabled=False)
    refusal = send(host, queue, "x", token=key)
    assert refusal.status == 403 and other.encode() not in refusal.body
    assert host.request("DELETE", f"/v1/queues/{queue}/mappings/{other}").status == 204 and send(host, queue, "x", token=key).status == 202
    # By what fails it would reach others, too.
    dead = made(host)
    put(host, f"/v1/queues/{dead}/mappings/{other}", enabled=False)
    assert put(host, f"/v1/queues/{queue}", maxReceives=1, deadLetters=dead).status == 200 and send(host, queue, "x", token=key).status == 403
    assert send(host, "nothing-here", "x", token=key).status == 403, "nor is it told what there is"
    assert send(host, queue, "x", token=None).status == 401
    for method, path in [("GET", "/v1/queues"), ("GET", f"/v1/queues/{queue}"), ("GET", f"/v1/queues/{queue}/messages"), ("DELETE", f"/v1/queues/{queue}/messages"),
                         ("PUT", f"/v1/queues/{queue}"), ("DELETE", f"/v1/queues/{queue}"), ("PUT", f"/v1/queues/{queue}/mappings/{own}"),
                         ("DELETE", f"/v1/queues/{queue}/mappings/{own}"), ("POST", f"/v1/queues/{queue}/redrive?to=x")]:
        assert host.request(method, path, token=key).status == 403, (method, path)


def test_the_command_line(host, bulkhead):
    name, queue = upload(host), unique_name("jobs")

    def said(*words, **options):
        done = bulkhead("queues", *words, "--host", host.url, "--token", host.token, **options)
        assert done.returncode == 0, done
        return done.stdout
    assert "ready" in said("set", f"{queue}-dead")
    assert "ready" in said("set", queue, "--visibility", "1s", "--max-receives", "1", "--dead-letters", f"{queue}-dead")
    assert "up to 1 messages" in said("map", queue, name, "--batch-size", "1", "--reports-failures")
    assert "message " in said("send", queue, "--data", "fine") and "message " in said("send", queue, stdin="bad\n")
    eventually(lambda: "1 waiting" in said("show", f"{queue}-dead"), 15 * SLOWNESS, "it is buried")
    assert "0 waiting, 0 in flight" in said("show", queue) and name in said("show", queue)
    assert queue in said("list") and any(one["name"] == queue for one in json.loads(said("list", "--json"))["queues"])
    assert said("redrive", f"{queue}-dead", queue).strip() == "1 messages"
    eventually(lambda: "1 waiting" in said("show", f"{queue}-dead"), 15 * SLOWNESS, "it is buried again")
    assert said("purge", f"{queue}-dead").strip() == "1 messages"
    said("unmap", queue, name)
    said("delete", queue)
    said("delete", f"{queue}-dead")
    assert bulkhead("queues", "show", queue, "--host", host.url, "--token", host.token).returncode != 0


# -- Lambda's API -----------------------------------------------------------------------------------------------------


def test_event_source_mappings(aws):
    host, client = aws.host, aws.client
    queue = made(host, visibility="1s")
    name = aws.create(WORK.decode())
    arn = f"arn:aws:sqs:eu-central-1:123456789012:{queue}"
    mapping = client.create_event_source_mapping(EventSourceArn=arn, FunctionName=name, BatchSize=5, FunctionResponseTypes=["ReportBatchItemFailures"])
    assert mapping["ResponseMetadata"]["HTTPStatusCode"] == 202 and mapping["State"] == "Enabled" and mapping["FunctionArn"] == aws.arn(name)
    assert (mapping["BatchSize"], mapping["EventSourceArn"], mapping["FunctionResponseTypes"]) == (5, arn, ["ReportBatchItemFailures"])
    identity = mapping["UUID"]
    send(host, queue, "hello")
    eventually(lambda: [one["got"] for one in got(host, name)] == ["hello"], 15 * SLOWNESS, "it is handed out")
    shown = eventually(lambda: (found := client.get_event_source_mapping(UUID=identity))["LastProcessingResult"] == "OK" and found, 5, "so it is told")
    assert shown["LastModified"].timestamp() == pytest.approx(time.time(), abs=60 * SLOWNESS)
    assert host.get(f"/v1/queues/{queue}/mappings/{name}").json()["id"] == identity, "one API shows what the other made"
    changed = client.update_event_source_mapping(UUID=identity, Enabled=False, BatchSize=20, MaximumBatchingWindowInSeconds=1, FunctionResponseTypes=[],
                                                 ScalingConfig={"MaximumConcurrency": 2})
    assert (changed["State"], changed["BatchSize"], changed["FunctionResponseTypes"], changed["ScalingConfig"]) == ("Disabled", 20, [], {"MaximumConcurrency": 2})
    for wanted in ({}, {"FunctionName": name}, {"EventSourceArn": arn}, {"FunctionName": name, "EventSourceArn": arn}):
        found = [one["UUID"] for page in client.get_paginator("list_event_source_mappings").paginate(**wanted, PaginationConfig={"PageSize": 1})
                 for one in page["EventSourceMappings"]]
        assert identity in found and (not wanted or found == [identity]), wanted
    assert client.list_event_source_mappings(EventSourceArn=arn + "x")["EventSourceMappings"] == []
    refused(lambda: client.create_event_source_mapping(EventSourceArn=arn, FunctionName=name), 409, "ResourceConflictException", identity)
    assert client.delete_event_source_mapping(UUID=identity)["State"] == "Deleting"
    refused(lambda: client.get_event_source_mapping(UUID=identity), 404, MISSING)


def test_a_mapping_follows_what_it_names(aws):
    """The newest revision without a qualifier, and else what stands behind it."""
    host, client, queue = aws.host, aws.client, made(aws.host, visibility="1s")
    name = aws.create("def handler(event, context): print('first')")
    client.publish_version(FunctionName=name)
    aws.change(name, "def handler(event, context): print('second')")
    arn = f"arn:aws:sqs:eu-central-1:123456789012:{queue}"
    mapping = client.create_event_source_mapping(EventSourceArn=arn, FunctionName=name)

    def said(word):
        send(host, queue, "x")
        eventually(lambda: word in [line["text"] for line in host.logs(name)], 15 * SLOWNESS, word)
    said("second")
    changed = client.update_event_source_mapping(UUID=mapping["UUID"], FunctionName=f"{name}:1")
    assert changed["FunctionArn"] == aws.arn(name) + ":1"
    said("first")


def test_mappings_that_lambda_refuses(aws):
    client, queue, name = aws.client, made(aws.host), aws.create()
    arn = f"arn:aws:sqs:eu-central-1:123456789012:{queue}"

    def create(**wanted):
        return lambda: client.create_event_source_mapping(**({"EventSourceArn": arn, "FunctionName": name} | wanted))
    wrong = "InvalidParameterValueException"
    refused(create(EventSourceArn=arn + "-not-there"), 400, wrong, "Queue does not exist")
    refused(create(EventSourceArn="arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/1"), 400, wrong, "Unrecognized event source")
    refused(create(EventSourceArn=arn.replace("123456789012", "999999999999")), 400, wrong, "Unrecognized event source")
    refused(create(BatchSize=11), 400, wrong, "batch window")
    refused(create(BatchSize=10_001), 400, "ValidationException")
    refused(lambda: aws.unchecked().client.create_event_source_mapping(EventSourceArn=arn, FunctionName=name, ScalingConfig={"MaximumConcurrency": 1}),
            400, "ValidationException", "greater than or equal to 2")
    refused(create(StartingPosition="LATEST"), 400, wrong, "StartingPosition")
    refused(create(FilterCriteria={"Filters": [{"Pattern": "{}"}]}), 400, wrong, "FilterCriteria")
    refused(create(FunctionName="nothing-here"), 404, MISSING)
    limited = Lambda(aws.host, new_key(aws.host, "--function", name, role="deploy")).client
    refused(lambda: limited.create_event_source_mapping(EventSourceArn=arn, FunctionName=name), 403, "AccessDeniedException")
    assert client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"] == []
