"""Traces: who calls is who is called back to, and a receiver of OTLP sees the whole."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bulkhead_host import unique_name
from system import eventually
from test_events import ECHO, FAIL

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{CALLER}-01"


class Collector:
    """Takes what OTLP/HTTP with JSON sends, as the specification has it."""

    def __init__(self):
        self.spans, self.paths = [], set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.headers["Content-Type"] == "application/json"
                collector.paths.add(self.path)
                for resource in body["resourceSpans"]:
                    names = {one["key"]: one["value"] for one in resource["resource"]["attributes"]}
                    assert names["service.name"] == {"stringValue": "bulkhead"}
                    for scope in resource["scopeSpans"]:
                        collector.spans += scope["spans"]
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def named(self, name, **attributes):
        return [span for span in self.spans if span["name"] == name]


def attributes(span):
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


def test_from_the_client_through_the_queue_to_its_destination(hosts):
    collector = Collector()
    host = hosts(configuration=f"otlp: {collector.url}\n")
    host.upload("told", ECHO)
    host.upload("work", b"#!/bin/sh\nsleep 0.1\ncat\n", {"onSuccess": "told"})
    reply = host.invoke("work", {"x": 1}, headers={"Prefer": "respond-async", "traceparent": PARENT})
    work = eventually(lambda: collector.named("invoke work"), 10, "the work's span")[0]
    told = eventually(lambda: collector.named("invoke told"), 10, "its destination's")[0]
    assert collector.paths == {"/v1/traces"}
    assert work["traceId"] == told["traceId"] == TRACE and work["parentSpanId"] == CALLER and work["kind"] == 5
    assert attributes(work)["faas.invocation_id"] == reply.json()["id"] and attributes(work)["bulkhead.outcome"] == "ok"
    steps = {span["name"]: span for span in collector.spans if span.get("parentSpanId") == work["spanId"]}
    assert {"queue", "launch", "run"} <= set(steps), steps
    run = steps["run"]
    assert int(run["endTimeUnixNano"]) - int(run["startTimeUnixNano"]) > 100_000_000
    assert int(work["startTimeUnixNano"]) <= int(run["startTimeUnixNano"]) and run["endTimeUnixNano"] == work["endTimeUnixNano"]
    assert abs(int(work["endTimeUnixNano"]) / 1e9 - time.time()) < 60
    ids = [span["spanId"] for span in collector.spans]
    assert len(set(ids)) == len(ids) and all(len(one) == 16 for one in ids)


def test_who_is_called_is_told_of_its_place(hosts):
    """A reactor's context names the invocation's own span, in the caller's trace; who does not record has none recorded."""
    collector = Collector()
    host = hosts(configuration=f"otlp: {collector.url}\n")
    host.upload("tell", b"#!/usr/bin/env python3\nimport json, sys\nprint(json.dumps({'jsonrpc': '2.0', 'method': 'ready'}), flush=True)\n"
                        b"for line in sys.stdin:\n    ask = json.loads(line)\n"
                        b"    print(json.dumps({'jsonrpc': '2.0', 'id': ask['id'], 'result': ask['params']['context'].get('traceparent')}), flush=True)\n",
                {"mode": "reactor"})
    told = host.invoke("tell", headers={"traceparent": PARENT}, expect="ok").json()
    assert told.startswith(f"00-{TRACE}-") and CALLER not in told
    span = eventually(lambda: collector.named("invoke tell"), 10, "its span")[0]
    assert told.split("-")[2] == span["spanId"] and span["kind"] == 2
    unrecorded = PARENT[:-2] + "00"
    assert host.invoke("tell", headers={"traceparent": unrecorded}).json() == unrecorded
    own = host.invoke("tell")
    assert own.json().split("-")[1] == own["Bulkhead-Invocation-Id"].replace("-", "")
    failing = unique_name("fail")
    host.upload(failing, FAIL)
    host.invoke(failing, headers={"traceparent": "nonsense"})
    failed = eventually(lambda: collector.named(f"invoke {failing}"), 10, "the failure's span")[0]
    assert failed["status"]["code"] == 2 and "status 3" in failed["status"]["message"]
    assert len(collector.named("invoke tell")) == 2


def test_a_receiver_that_is_gone(hosts):
    """What nobody takes is dropped and counted; nothing waits for it."""
    collector = Collector()
    collector.server.shutdown()
    collector.server.server_close()
    host = hosts(configuration=f"otlp: {collector.url}\n")
    host.upload("echo", ECHO)
    for number in range(5):
        assert host.invoke("echo", number, expect="ok").json() == number

    def dropped():
        lines = host.get("/metrics").body.decode().splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith("bulkhead_spans_dropped_total ")) == 5
    eventually(dropped, 15, "five are counted")
    assert host.log.read_text().count("traces cannot be sent") == 1
