"""Traces: who calls is who is called back to, and a receiver of OTLP sees the whole."""

import base64
import gzip
import json
import re
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bulkhead_host import unique_name
from system import eventually
from test_events import ECHO, FAIL

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{CALLER}-01"
# OTLP's own schema, and a collector that others wrote, in Rust.
SCHEMA, RECEIVER = "opentelemetry-proto==1.45.2", "rotel==0.0.1a15"
IDS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}


class Collector:
    """Takes what OTLP/HTTP with JSON sends, as the specification has it."""

    def __init__(self):
        self.spans, self.paths, self.bodies = [], set(), []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.headers["Content-Type"] == "application/json"
                collector.paths.add(self.path)
                collector.bodies.append(body)
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


@pytest.fixture(scope="session")
def otlp(workspace):
    """A folder with the schema, which is importable from then on, and with the receiver."""
    tools = workspace / "otlp"
    subprocess.run(["/usr/bin/python3", "-m", "pip", "install", "-q", "--only-binary", ":all:", "--target", tools, SCHEMA, RECEIVER], check=True)
    sys.path.append(str(tools))
    return tools


def request_of(body):
    """What OTLP's schema makes of this JSON: names in lowerCamelCase, ids in hexadecimal, and nothing that it does not know.
    https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding"""
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    def plain(value):
        if isinstance(value, list):
            return [plain(one) for one in value]
        if not isinstance(value, dict):
            return value
        assert not [key for key in value if "_" in key], value
        for key, length in IDS.items():
            assert key not in value or re.fullmatch(f"[0-9a-f]{{{length}}}", value[key]), (key, value)
        return {key: base64.b64encode(bytes.fromhex(one)).decode() if key in IDS else plain(one) for key, one in value.items()}
    return ParseDict(plain(body), ExportTraceServiceRequest(), ignore_unknown_fields=False)


def spans_of(request):
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


def test_what_is_sent_is_otlp_to_the_letter(hosts, otlp):
    """By the schema itself: of invocations that went well, failed, waited, were refused, and told another."""
    collector = Collector()
    host = hosts(configuration=f"otlp: {collector.url}\n")
    host.upload("told", ECHO)
    host.upload("work", ECHO, {"onSuccess": "told"})
    host.upload("fail", FAIL, {"retries": "1", "backoff": "100ms"})
    host.upload("odd", b"#!/bin/sh\ncat >/dev/null; printf '\\377\\000\"\\n' >&2; kill -SEGV $$\n", {"processes": "4"})
    host.invoke("work", {"x": 1}, headers={"traceparent": PARENT, "tracestate": "a=b,c=d"})
    host.invoke("odd", headers={"traceparent": PARENT})
    for name in ("work", "fail"):
        identifier = host.invoke(name, headers={"Prefer": "respond-async"}).json()["id"]
        host.record_when_done(identifier)
    eventually(lambda: {"invoke work", "invoke told", "invoke fail", "invoke odd"} <= {span["name"] for span in collector.spans}, 10, "all are sent")
    requests = [request_of(body) for body in collector.bodies]
    spans = [span for request in requests for span in spans_of(request)]
    assert len(spans) >= 12, spans
    for span in spans:
        assert len(span.trace_id) == 16 and len(span.span_id) == 8 and len(span.parent_span_id) in (0, 8), span
        assert any(span.trace_id) and any(span.span_id) and span.name and 1 <= span.kind <= 5, span
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano and abs(span.end_time_unix_nano / 1e9 - time.time()) < 60, span
        assert len({one.key for one in span.attributes}) == len(span.attributes), span
    assert {2} < {span.status.code for span in spans} <= {0, 1, 2}
    for request in requests:
        for resource in request.resource_spans:
            assert {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"] == "bulkhead"


class Sink:
    """Takes what a collector passes on: OTLP/HTTP in protobuf."""

    def __init__(self):
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
        self.spans = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
                sink.spans += spans_of(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def receiver(otlp, workspace):
    """The collector of others, and what it has passed on."""
    sink, ports = Sink(), []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    log = workspace / unique_name("receiver")
    command = [otlp / "rotel/rotel-agent", "start", "--otlp-http-endpoint", f"127.0.0.1:{ports[0]}", "--otlp-grpc-endpoint", f"127.0.0.1:{ports[1]}",
               "--exporter", "otlp", "--otlp-exporter-endpoint", sink.url, "--otlp-exporter-protocol", "http", "--batch-timeout", "100ms"]
    with open(log, "wb") as file:
        process = subprocess.Popen([str(part) for part in command], stdout=file, stderr=file, cwd=workspace)
    try:
        def listens():
            assert process.poll() is None, log.read_text(errors="replace")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", ports[0])) == 0
        eventually(listens, 15, "the receiver listens")
        yield f"http://127.0.0.1:{ports[0]}", sink, log
    finally:
        process.kill()
        process.wait()
        sink.server.shutdown()


def test_a_receiver_of_others_sees_the_whole(hosts, receiver):
    """From the client through the queue to the function that is told: one trace, in which each span but the client's has its parent."""
    url, sink, log = receiver
    host = hosts(configuration=f"otlp: {url}\n")
    host.upload("told", ECHO)
    host.upload("work", b"#!/bin/sh\nsleep 0.1\ncat\n", {"onSuccess": "told"})
    host.invoke("work", {"x": 1}, headers={"Prefer": "respond-async", "traceparent": PARENT})

    def whole():
        found = {span.name: span for span in sink.spans}
        return {"invoke work", "invoke told"} <= set(found) and found
    try:
        found = eventually(whole, 15, "both are passed on")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{host.log_tail()}\n{log.read_text(errors='replace')[-2000:]}") from None
    work, told = found["invoke work"], found["invoke told"]
    own = {span.span_id for span in sink.spans}
    assert {span.trace_id.hex() for span in sink.spans} == {TRACE} and len(own) == len(sink.spans)
    assert work.parent_span_id.hex() == CALLER and told.parent_span_id == work.span_id
    assert all(span.parent_span_id in own for span in sink.spans if span.span_id != work.span_id)
    for span in (work, told):
        steps = {one.name for one in sink.spans if one.parent_span_id == span.span_id}
        assert {"queue", "launch", "run"} <= steps, steps
    assert "traces cannot be sent" not in host.log.read_text()
