"""What is done later: retries, dead letters, destinations, webhooks, idempotency keys; whoever dies in between."""

import base64
import hashlib
import hmac
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import system
from bulkhead_host import unique_name
from conftest import SLOWNESS
from system import eventually

ASYNC = {"Prefer": "respond-async"}
ECHO = b"#!/bin/sh\ncat\n"
FAIL = b"#!/bin/sh\ncat >/dev/null\necho why >&2\nexit 3\n"


def kill_supervisor(host):
    supervisor = host.supervisor
    os.kill(supervisor.pid, signal.SIGKILL)
    eventually(lambda: not system.still_alive([supervisor]), 5, "the supervisor is gone")
    eventually(lambda: host.get("/readyz").status == 200, 10, "it is ready")


def accept(host, name, event=None, **headers):
    reply = host.invoke(name, event, headers=ASYNC | headers)
    assert reply.status == 202, reply
    return reply.json()["id"]


def dead(host, name):
    return host.get(f"/v1/functions/{name}/dead-letters").json()["deadLetters"]


def test_failures_are_tried_again_and_then_dead(host):
    name = unique_name("fail")
    host.upload(name, FAIL, {"retries": "2", "backoff": "500ms"})
    identifier = accept(host, name, {"n": 1})
    waiting = eventually(lambda: (one := host.record(identifier)).get("nextAttemptAt") and one, 5, "it waits for its next attempt")
    assert waiting["status"] == "queued" and waiting["attempts"] == 1 and waiting["outcome"] == "exit", waiting
    began = time.monotonic()
    record = host.record_when_done(identifier, 10)
    assert record["attempts"] == 3 and record["outcome"] == "exit" and "nextAttemptAt" not in record, record
    assert time.monotonic() - began > 0.9, "the second wait is twice the first"
    letters = dead(host, name)
    assert [one["id"] for one in letters] == [identifier] and letters[0]["attempts"] == 3, letters
    assert letters[0]["problem"]["exitCode"] == 3 and letters[0]["eventBytes"] == 8, letters
    assert host.get(f"/v1/functions/{name}/dead-letters/{identifier}").json() == {"n": 1}
    # Mended, it is tried again, by the version that it was accepted for: as that is still there, it fails again.
    assert host.request("POST", f"/v1/functions/{name}/dead-letters/{identifier}/redrive").json() == {"redriven": 1}
    assert dead(host, name) == []
    assert host.record_when_done(identifier, 10)["attempts"] == 3
    eventually(lambda: dead(host, name), 5, "it is dead again")
    assert host.request("POST", f"/v1/functions/{name}/dead-letters/redrive").json() == {"redriven": 1}
    eventually(lambda: dead(host, name), 10, "and again")
    assert host.request("DELETE", f"/v1/functions/{name}/dead-letters/{identifier}").status == 204
    assert dead(host, name) == []
    for method, path in (("POST", "nope/redrive"), ("DELETE", "nope"), ("GET", "nope")):
        assert host.request(method, f"/v1/functions/{name}/dead-letters/{path}").status == 404


def test_an_attempt_that_helps(host):
    """Retries end with the first that goes well; the attempts are counted."""
    name = unique_name("flaky")
    host.upload(name, b"#!/bin/sh\nread -r when\n[ $(date +%s) -ge $when ] && echo '\"done\"'\n", {"retries": "5", "backoff": "300ms"})
    record = host.record_when_done(accept(host, name, int(time.time()) + 2), 20)
    assert record["outcome"] == "ok" and record["result"] == "done" and record["attempts"] > 1 and "problem" not in record, record


def test_what_is_too_old_is_not_tried(host):
    """It met a full house until it was; its record and its dead letter say so."""
    name = unique_name("busy")
    host.upload(name, b"#!/bin/sh\nsleep 4\n", {"max": "1", "maxAge": "1s", "wall": "10s"})
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(host.invoke, name)
        time.sleep(0.5)
        identifier = accept(host, name)
        record = host.record_when_done(identifier, 10)
        other.result()
    assert record["outcome"] in ("throttled", "overloaded") and record["attempts"] == 0, record
    assert [one["id"] for one in dead(host, name)] == [identifier]


def test_what_waits_can_be_taken_out(host):
    name = unique_name("fail")
    host.upload(name, FAIL, {"retries": "1", "backoff": "1h"})
    identifier = accept(host, name)
    eventually(lambda: host.record(identifier).get("nextAttemptAt"), 5, "it waits")
    assert host.request("DELETE", f"/v1/invocations/{identifier}").status == 204
    record = host.record(identifier)
    assert record["status"] == "done" and record["outcome"] == "cancelled" and "nextAttemptAt" not in record, record
    assert host.request("DELETE", f"/v1/invocations/{identifier}").status == 409
    assert host.request("DELETE", "/v1/invocations/nope").status == 404
    assert dead(host, name) == []
    slow = unique_name("slow")
    host.upload(slow, b"#!/bin/sh\nsleep 2\n")
    running = accept(host, slow)
    eventually(lambda: host.record(running)["status"] == "running", 5, "it runs")
    assert host.request("DELETE", f"/v1/invocations/{running}").status == 409


def test_destinations(host):
    """A function is told how another one ended, in the words of Lambda's destinations."""
    told, good, bad = (unique_name(word) for word in ("told", "good", "bad"))
    host.upload(told, b"#!/bin/sh\ncat >&2\n")
    host.upload(good, ECHO, {"onSuccess": told})
    host.upload(bad, FAIL, {"onFailure": told, "retries": "0"})
    ids = [accept(host, good, {"x": 1}), accept(host, bad, [2])]
    lines = eventually(lambda: (found := host.logs(told)) and len(found) == 2 and found, 10, "both are told")
    documents = {one["requestContext"]["requestId"]: one for one in (json.loads(line["text"]) for line in lines)}
    success, failure = (documents[identifier] for identifier in ids)
    assert success["requestContext"]["condition"] == "Success" and success["requestPayload"] == {"x": 1} == success["responsePayload"]
    assert failure["requestContext"]["condition"] == "RetriesExhausted" and failure["requestPayload"] == [2]
    assert failure["responseContext"]["outcome"] == "exit" and failure["responsePayload"]["errorType"] == "exit", failure
    assert lines[0]["fields"]["version"] == "1.0"


def test_functions_that_tell_each_other_come_to_an_end(host):
    one, other = unique_name("one"), unique_name("other")
    host.upload(one, ECHO, {"onSuccess": other})
    host.upload(other, b"#!/bin/sh\ncat >/dev/null; echo told >&2\n", {"onSuccess": one})
    accept(host, one)
    time.sleep(3 * SLOWNESS)
    assert len(host.logs(other)) == 8, "sixteen destinations, every other one"


class Receiver:
    """A webhook's server: answers as it is told, and keeps what it got."""

    def __init__(self, *statuses):
        self.got, statuses = [], list(statuses)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.headers, body))
                status = statuses.pop(0) if statuses else 200
                if status == 307:
                    self.send_response(307)
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                else:
                    self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


def test_webhooks_are_signed_and_tried_again(hosts):
    """https://github.com/standard-webhooks/standard-webhooks; loopback only because the operator has named it."""
    host = hosts(configuration="outgoingAllow: [127.0.0.1]\n")
    receiver = Receiver(500, 307)
    assert host.request("PUT", "/v1/secrets/hook", b"whsec").status == 201
    host.upload("good", ECHO, {"onSuccess": receiver.url, "signedWith": "hook", "backoff": "200ms"})
    accept(host, "good", {"x": 1}, traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    eventually(lambda: len(receiver.got) == 3, 20, "refused, sent elsewhere, taken")
    for headers, body in receiver.got:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(b"whsec", signed, hashlib.sha256)).decode()
        assert "4bf92f3577b34da6a3ce929d0e0e4736" in headers["traceparent"] and json.loads(body)["responsePayload"] == {"x": 1}
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1, "whoever gets it twice can tell"
    time.sleep(1)
    assert len(receiver.got) == 3


def test_a_webhook_that_may_not_be_told(hosts):
    """Loopback is refused unless it is allowed; the dead letters say why."""
    host = hosts()
    receiver = Receiver()
    host.upload("good", ECHO, {"onSuccess": receiver.url.replace("http:", "https:"), "backoff": "10ms"})
    accept(host, "good")
    letters = eventually(lambda: dead(host, "good"), 20, "it is given up")
    assert letters[0]["webhook"].startswith("https://127.0.0.1") and letters[0]["attempts"] == 6, letters
    assert "loopback" in letters[0]["problem"]["detail"], letters
    assert receiver.got == []


def test_the_same_key_runs_once(host):
    """Sync and async, in flight too; another body is refused, another key is another request."""
    name = unique_name("slow")
    host.upload(name, b"#!/bin/sh\necho ran >&2; sleep 1; cat; date +%N\n")
    headers = {"Idempotency-Key": "one"}
    with ThreadPoolExecutor(5) as pool:
        replies = list(pool.map(lambda _: host.invoke(name, {"a": 1}, headers=headers), range(5)))
    assert {reply.status for reply in replies} == {200} and len({reply.body for reply in replies}) == 1, replies
    assert len({reply["Bulkhead-Invocation-Id"] for reply in replies}) == 1
    assert [reply["Idempotency-Replayed"] for reply in replies].count("true") == 4
    assert len(host.logs(name)) == 1
    assert host.invoke(name, {"a": 2}, headers=headers).status == 409
    assert host.invoke(name, {"a": 1}, headers={"Idempotency-Key": "two"}).body != replies[0].body
    first, second = (host.invoke(name, {"a": 3}, headers=ASYNC | {"Idempotency-Key": "three"}) for _ in range(2))
    assert first.status == second.status == 202 and first.json() == second.json()
    host.record_when_done(first.json()["id"], 10)
    assert len(host.logs(name)) == 3
    for bad in ("", "x" * 256):
        assert host.invoke(name, 1, headers={"Idempotency-Key": bad}).status == 400


def test_a_failure_is_the_answer_too_but_a_full_house_is_not(host):
    name, busy = unique_name("fail"), unique_name("busy")
    host.upload(name, FAIL)
    first, second = (host.invoke(name, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.status == second.status == 502 and first.body == second.body and len(host.logs(name)) == 1
    host.upload(busy, b"#!/bin/sh\nsleep 1\n", {"max": "1"})
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(host.invoke, busy)
        time.sleep(0.4)
        assert host.invoke(busy, headers={"Idempotency-Key": "k"}).status == 429
        other.result()
    assert host.invoke(busy, headers={"Idempotency-Key": "k"}).status == 200


def test_who_leaves_may_come_again_for_the_answer(host):
    """A connection that is cut in the midst of it is what keys are for: it runs to its end, once."""
    name = unique_name("slow")
    host.upload(name, b"#!/bin/sh\necho ran >&2; sleep 1; cat\n")
    connection = host.connect()
    connection.request("POST", f"/v1/functions/{name}/invocations", b'{"a":1}', {"Authorization": f"Bearer {host.token}", "Idempotency-Key": "k"})
    time.sleep(0.4)
    connection.close()
    assert host.invoke(name, b'{"a":1}', headers={"Idempotency-Key": "k"}, expect="ok").json() == {"a": 1}
    assert len(host.logs(name)) == 1


def test_what_waits_goes_with_its_function(host):
    """Not run by anybody, also where nobody was killed."""
    name, told = unique_name("slow"), unique_name("told")
    host.upload(told, b"#!/bin/sh\ncat >&2\n")
    host.upload(name, b"#!/bin/sh\nsleep 1; echo $0\n", {"max": "1", "onSuccess": told})
    ids = [accept(host, name) for _ in range(3)]
    eventually(lambda: host.record(ids[0])["status"] == "running", 5, "the first runs")
    assert host.delete(name).status == 204
    host.upload(name, ECHO)
    assert [host.record(identifier)["outcome"] for identifier in ids[1:]] == ["cancelled"] * 2
    time.sleep(2.5)
    assert len(host.logs(told)) <= 1, "of the one that ran"


def test_a_key_for_some_functions_has_no_others_run(host):
    """A destination is run by the host: it must not be what the uploader may not run."""
    other = unique_name("other")
    host.upload(other, ECHO)
    made = host.request("POST", "/v1/keys", b'{"name": "a", "role": "deploy", "functions": ["mine-*"]}', {"Content-Type": "application/json"})
    token = made.json()["token"]
    for word in ("onSuccess", "onFailure"):
        refused = host.upload("mine-x", ECHO, {word: other}, token=token, expect=())
        assert refused.status == 403 and other in refused.json()["detail"], refused
    assert host.upload("mine-x", ECHO, {"onSuccess": "mine-y"}, token=token).status == 201
    host.delete("mine-x")


def test_keys_outlive_the_supervisor(hosts):
    host = hosts()
    host.upload("echo", b"#!/bin/sh\ncat; date +%N\n")
    before = host.invoke("echo", {"a": 1}, headers={"Idempotency-Key": "k"})
    kill_supervisor(host)
    after = host.invoke("echo", {"a": 1}, headers={"Idempotency-Key": "k"})
    assert after.body == before.body and after["Idempotency-Replayed"] == "true"
    assert host.invoke("echo", {"a": 2}, headers={"Idempotency-Key": "k"}).status == 409


REACTOR = b"""#!/usr/bin/env python3
import json, sys
def say(message):
    print(json.dumps({"jsonrpc": "2.0"} | message), flush=True)
say({"method": "ready"})
for line in sys.stdin:
    ask = json.loads(line)
    number = ask["params"]["event"]
    say({"id": ask["id"]} | ({"result": number} if number % 10 else {"error": {"code": -32000, "message": "the tenth"}}))
"""


def test_nothing_is_lost_and_nothing_acknowledged_runs_twice(hosts):
    """10,000 accepted, the supervisor killed five times meanwhile: each ends in ok or the dead letters, and a key stands for one run."""
    host, count = hosts(), 10_000
    host.upload("even", REACTOR, {"mode": "reactor", "retries": "1", "backoff": "100ms", "max": "8"})
    ids, asked, kills = {}, threading.Event(), []

    def kill():
        while len(kills) < 5 and not asked.wait(1.5):
            kill_supervisor(host)
            kills.append(len(ids))

    def ask(number):
        while True:
            try:
                reply = host.invoke("even", number, headers=ASYNC | {"Idempotency-Key": f"k{number}"})
            except OSError:
                time.sleep(0.05)  # killed in between: whoever asks again with the key is safe
                continue
            if reply.status == 202:
                return reply.json()["id"]
            assert reply.status == 503, reply
            time.sleep(0.05)

    def take(number):
        ids[number] = ask(number)

    killing = threading.Thread(target=kill)
    killing.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, range(count)))
    asked.set()
    killing.join()
    assert len(kills) == 5, kills
    assert len(ids) == len(set(ids.values())) == count

    def ended():
        depth = [line for line in host.get("/metrics").body.decode().splitlines() if line.startswith("bulkhead_queue_depth ")]
        return depth == ["bulkhead_queue_depth 0"]
    eventually(ended, 240, "the queue is empty")
    path = "/v1/functions/even/dead-letters?limit=1000"
    eventually(lambda: len(host.get(path).json()["deadLetters"]) == count // 10, 30, "each tenth is dead")
    letters = {one["id"] for one in host.get(path).json()["deadLetters"]}
    assert letters == {identifier for number, identifier in ids.items() if number % 10 == 0}

    def wrong(number):
        record = host.record_when_done(ids[number], 10)
        good = record["outcome"] == "ok" and record["result"] == number if number % 10 else record["outcome"] == "error"
        return None if good else record
    with ThreadPoolExecutor(8) as pool:
        assert [record for record in pool.map(wrong, range(count)) if record] == []
        # And none of them once more: the key still has the same answer.
        assert [number for number in range(0, count, 20) if ask(number) != ids[number]] == []
    assert ended()
