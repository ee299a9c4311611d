"""What was used adds up, a budget holds, metrics and logs tell what happened, also after a kill."""

import csv
import io
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from prometheus_client import parser as prometheus
from prometheus_client.openmetrics import parser as openmetrics

from bulkhead_host import unique_name
from conftest import REPOSITORY
from system import eventually
from test_events import ECHO, FAIL, kill_supervisor


def test_usage_is_the_sum_of_the_records(hosts):
    """To the last: each invocation's own figures, sync and async, and after a kill all but the last second."""
    host = hosts()
    host.upload("echo", ECHO, {"memory": "256MiB"})
    host.upload("fail", FAIL, {"retries": "0"})
    ids = [host.invoke("echo", {"n": number})["Bulkhead-Invocation-Id"] for number in range(20)]
    ids += [host.invoke("fail", "xy")["Bulkhead-Invocation-Id"] for _ in range(3)]
    ids += [host.invoke("fail", headers={"Prefer": "respond-async"}).json()["id"]]
    records = [host.record_when_done(identifier) for identifier in ids]
    time.sleep(1.3)
    kill_supervisor(host)
    rows = {row["function"]: row for row in host.get("/v1/usage").json()["usage"]}
    for name, memory in (("echo", 0.25), ("fail", 0.125)):
        own = [one for one in records if one["function"] == name]
        row = rows[name]
        assert row["invocations"] == len(own) and row["errors"] == (4 if name == "fail" else 0), row
        for key, word in (("wallMs", "wall-ms"), ("cpuMs", "cpu-ms")):
            assert abs(row[key] - sum(one["usage"][word] for one in own)) < 1e-6, (key, row)
        assert abs(row["gbSeconds"] - memory * row["wallMs"] / 1000) < 1e-9
    assert rows["echo"]["bytesIn"] == rows["echo"]["bytesOut"] == sum(len(json.dumps({"n": n})) for n in range(20))
    today = time.strftime("%Y-%m-%d", time.gmtime())
    by_day = host.get(f"/v1/usage?by=day&from={today}&to={today}").json()["usage"]
    assert [row["day"] for row in by_day] == [today] and by_day[0]["invocations"] == 24
    by_key = host.get("/v1/usage?by=key").json()["usage"]
    assert sum(row["invocations"] for row in by_key) == 24 and len(by_key) == 1, "the admin's, who asked for what was queued, too"
    reply = host.get("/v1/usage?by=function", headers={"Accept": "text/csv"})
    table = list(csv.DictReader(io.StringIO(reply.body.decode())))
    assert reply["Content-Type"].startswith("text/csv") and [row["function"] for row in table] == ["echo", "fail"], table
    assert table[0]["invocations"] == "20"
    for wrong in ("from=yesterday", "from=2026-02-30", "from=2026-02-02&to=2026-02-01", "by=colour"):
        assert host.get(f"/v1/usage?{wrong}").status == 400, wrong


def test_a_budget_holds(host):
    name = unique_name("echo")
    host.upload(name, b"#!/bin/sh\nsleep 0.2\n", {"memory": "128MiB"})
    path = f"/v1/functions/{name}/budget"
    assert host.get(path).status == 404

    def put(body):
        return host.request("PUT", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    for wrong in ({}, {"gbSecondsPerMonth": -1}, {"gbSecondsPerMonth": "1"}, {"gbSecondsPerMonth": 1, "x": 2}, {"gbSecondsPerMonth": 1e300}):
        assert put(wrong).status == 400, wrong
    assert put({"gbSecondsPerMonth": 0.04}).json()["spent"] == 0
    outcomes = [host.invoke(name).outcome for _ in range(4)]
    assert outcomes == ["ok", "ok", "throttled", "throttled"], outcomes
    refused = host.invoke(name)
    assert refused.status == 429 and int(refused["Retry-After"]) > 60 and "budget" in refused.json()["detail"], refused
    assert host.get(path).json()["spent"] > 0.04
    assert host.request("DELETE", path).status == 204 and host.invoke(name).outcome == "ok"
    assert host.request("DELETE", path).status == 404


def test_metrics(host):
    name = unique_name("fail")
    host.upload(name, FAIL, {"retries": "0"})
    host.invoke(name)
    identifier = host.invoke(name, headers={"Prefer": "respond-async"}).json()["id"]
    host.record_when_done(identifier)
    text = host.get("/metrics").body.decode()
    assert f'bulkhead_invocations_total{{function="{name}",outcome="exit",start="cold"}} 2' in text
    for line in ("bulkhead_queue_seconds_count ", "bulkhead_queue_depth ", "bulkhead_dead_letters ", 'bulkhead_launch_seconds_count{stage="start"} '):
        assert f"\n{line}" in text, line
    assert float(text.split("\nbulkhead_dead_letters ")[1].split()[0]) >= 1


def test_metrics_for_who_has_the_token(hosts):
    host = hosts(configuration="metricsToken: sesame\n")
    assert host.get("/metrics", token=None).status == 401 == host.get("/metrics").status
    assert host.get("/metrics", token="sesame").status == 200
    assert host.get("/healthz", token=None).status == 200


def test_logs_outlive_the_host_and_are_filtered(hosts):
    host = hosts()
    lines = ['{"level":"error","order":42}', '{"severity":"INFO","msg":"x"}', "ERROR: plain", "[WARN] bracketed", "just words", '{"level":30}', "{broken"]
    host.upload("tell", b"#!/bin/sh\ncat >&2 <<'E'\n" + "\n".join(lines).encode() + b"\nE\n")
    host.invoke("tell")
    found = eventually(lambda: (all := host.logs("tell")) and len(all) == 7 and all, 5, "all lines")
    assert [line.get("level") for line in found] == ["error", "info", "error", "warning", None, "info", None], found
    assert found[0]["fields"] == {"level": "error", "order": 42} and "fields" not in found[2] and "fields" not in found[6]
    assert len(host.logs("tell", level="error")) == 2 and len(host.logs("tell", level="warning")) == 3
    time.sleep(0.6)
    kill_supervisor(host)
    assert host.logs("tell") == found
    assert host.stop() == 0
    host.start()
    assert host.logs("tell") == found
    assert host.logs("tell", since="10m") == found and host.logs("tell", since="2999-01-01T00:00:00Z") == []
    assert host.logs("tell", since=found[3]["time"])[-1] == found[-1]
    for wrong in ("since=yesterday", "level=loud", "since=-5m"):
        assert host.get(f"/v1/functions/tell/logs?{wrong}").status == 400, wrong
    host.delete("tell")
    eventually(lambda: not list((host.data / "logs").iterdir()), 5, "its files go with it")


def test_logs_on_the_disk_are_bounded(hosts):
    host = hosts()
    host.upload("flood", b"#!/bin/sh\nyes 0123456789012345678901234567890123456789 | head -n 200000 >&2\n", {"log": "16MiB", "wall": "20s"})
    for _ in range(3):
        host.invoke("flood")
    time.sleep(1)
    assert sum(file.stat().st_size for file in (host.data / "logs").iterdir()) < 8 << 20
    assert host.get("/healthz").status == 200


def test_the_command_line_follows(host, bulkhead):
    name = unique_name("tell")
    host.upload(name, b"#!/bin/sh\necho 'ERROR: first' >&2; echo second >&2\n")
    follower = subprocess.Popen(
        [host.binary, "logs", name, "-f", "--level", "error", "--host", host.url, "--token", host.token], stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(0.5)
        host.invoke(name)
        assert follower.stdout.readline().endswith("ERROR: first\n")
        host.invoke(name)
        assert follower.stdout.readline().endswith("ERROR: first\n")
    finally:
        follower.kill()
        follower.wait()


def test_the_dashboard_asks_for_metrics_that_there_are(host):
    """Each name and label of sandbox/grafana.json stands in /metrics."""
    name = unique_name("echo")
    host.upload(name, ECHO)
    host.invoke(name)
    text = host.get("/metrics").body.decode()
    kinds = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE "))
    board = json.loads((REPOSITORY / "sandbox/grafana.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(asked) >= 10 and len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for metric in {found for expression in asked for found in re.findall(r"bulkhead_\w+", expression)}:
        plain = metric.removesuffix("_bucket")
        assert kinds.get(plain) == ("histogram" if metric.endswith("_bucket") else kinds.get(metric)), metric


def test_the_process_and_its_traces_in_the_metrics(hosts):
    """In both formats, by a client of Prometheus' own."""
    host = hosts(configuration="otlp: http://127.0.0.1:9\n")
    host.upload("echo", ECHO)
    host.invoke("echo", 1, headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}, expect="ok")
    reply = host.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5"})
    assert reply.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {one.name: one for one in openmetrics.text_string_to_metric_families(reply.body.decode())}
    exemplars = [sample.exemplar for sample in families["bulkhead_invocation_seconds"].samples if sample.exemplar]
    assert [one.labels for one in exemplars] == [{"trace_id": "ab" * 16}] and 0 < exemplars[0].value < 5, exemplars
    assert abs(float(exemplars[0].timestamp) - time.time()) < 60
    plain = host.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4") and b"trace_id" not in plain.body
    figures = {one.name: one.samples[0].value for one in prometheus.text_string_to_metric_families(plain.body.decode())
               if one.name.startswith("process_")}
    process = Path(f"/proc/{host.supervisor.pid}")
    assert figures["process_open_fds"] == pytest.approx(len(os.listdir(process / "fd")), abs=20), figures
    resident = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    assert figures["process_resident_memory_bytes"] == pytest.approx(resident, rel=0.3)
    assert figures["process_cpu_seconds"] > 0 and abs(figures["process_start_time_seconds"] - time.time()) < 120


def test_lines_of_begin_and_end(host):
    """What Lambda writes around a function's own lines, for who asks for it."""
    name = unique_name("report")
    host.upload(name, b"#!/bin/sh\necho own >&2\ncat\n", {"report": "true", "memory": "64MiB"})
    identifier = host.invoke(name, 1, expect="ok").headers["Bulkhead-Invocation-Id"]

    def lines_of():
        lines = [one["text"] for one in host.get(f"/v1/functions/{name}/logs").json()["lines"]]
        return lines if len(lines) == 4 else None
    lines = eventually(lines_of, 5, "four lines")
    assert lines[0] == f"START RequestId: {identifier} Version: 1" and lines[1] == "own" and lines[2] == f"END RequestId: {identifier}"
    assert re.fullmatch(
        rf"REPORT RequestId: {identifier}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 64 MB\t"
        r"Max Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t", lines[3]), lines
    assert host.get(f"/v1/functions/{name}").json()["manifest"]["report"] is True
