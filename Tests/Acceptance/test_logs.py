"""stderr is the log: kept by function and invocation, bounded, and followed live."""

import re
import time
from contextlib import closing
from datetime import datetime

from bulkhead_host import Host
from checks import failed
from system import eventually


def texts(host: Host, name, **query):
    return [line["text"] for line in host.logs(name, **query)]


def lines_of(host, name, count, **query):
    """The log once it has `count` lines: it may be written behind the answer."""
    def enough():
        lines = host.logs(name, **query)
        return lines if len(lines) >= count else None
    return eventually(enough, 5, f"{count} log lines")


def test_lines(host, deed):
    """Each line says when, whose and what."""
    function = deed("tell", "first", "second é", "<b>third</b>")
    reply = host.invoke(function.name, expect="ok")
    lines = lines_of(host, function.name, 4)
    assert {line["text"] for line in lines} == {"first", "second é", "<b>third</b>", function.marker}
    for line in lines:
        assert line["invocationId"] == reply["Bulkhead-Invocation-Id"]
        assert str(line["version"]) == "1"
        assert datetime.fromisoformat(line["time"].replace("Z", "+00:00")).tzinfo


def test_log_is_not_the_result(host, deed):
    """stdout and stderr never mix."""
    assert host.invoke(deed("tell", "only on stderr").name, expect="ok").body == b'"told"'


def test_lines_of_one_invocation(host, deed):
    """?invocation= finds one call's lines among all."""
    function = deed("tell", "line")
    first, second = (host.invoke(function.name, expect="ok")["Bulkhead-Invocation-Id"] for _ in range(2))
    lines_of(host, function.name, 4)
    for identifier in (first, second):
        lines = host.logs(function.name, invocation=identifier)
        assert len(lines) == 2 and {line["invocationId"] for line in lines} == {identifier}
    assert host.logs(function.name, invocation="01890a5d-ac96-774b-bcce-b302099a8057") == []


def test_limit_gives_the_newest(host, deed):
    """?limit= is about the end of the log, which is what somebody in trouble wants to see."""
    function = deed("tell", *[f"line {number}" for number in range(20)])
    host.invoke(function.name, expect="ok")
    lines_of(host, function.name, 21)
    assert set(texts(host, function.name, limit=3)) == {"line 18", "line 19", function.marker}


def test_failed_invocation_keeps_its_log(host, deed):
    """The lines before a failure are the ones that explain it."""
    function = deed("sleep", 60_000, wall="1s")
    identifier = failed(host.invoke(function.name), "timeout")["invocationId"]
    assert [line["text"] for line in lines_of(host, function.name, 1, invocation=identifier)] == ["sleeping"]


def test_cap_is_said(host, deed):
    """More than the limit is dropped and the drop is said; the invocation itself goes on."""
    function = deed("flood", 2, 1 << 20, log="4KiB", wall="10s")
    host.invoke(function.name, expect="ok")
    lines = [line["text"] for line in lines_of(host, function.name, 57)]
    kept = [text for text in lines if text.isdigit()]
    assert 56 <= len(kept) <= 64, "4 KiB are 64 lines of 64 bytes"
    others = [text for text in lines if not text.isdigit()]
    assert any(re.search(r"drop|truncat|limit", text, re.IGNORECASE) for text in others), lines[-3:]


def test_flood_costs_no_time(host, deed):
    """A full log pipe that nobody empties would hang the worker until its wall."""
    began = time.monotonic()
    host.invoke(deed("flood", 2, 32 << 20, wall="15s").name, expect="ok")
    assert time.monotonic() - began < 12


def test_log_of_nobody(host):
    assert host.get("/v1/functions/no-such-function/logs").status == 404


def test_follow(host, deed):
    """With Accept: text/event-stream the lines come as they are written."""
    function = deed("tell", "followed")
    headers = {"Authorization": f"Bearer {host.token}", "Accept": "text/event-stream"}
    with closing(host.connect(timeout=10)) as connection:
        connection.request("GET", f"/v1/functions/{function.name}/logs", headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        host.invoke(function.name, expect="ok")
        deadline = time.monotonic() + 10
        while True:
            line = response.readline()
            assert line and time.monotonic() < deadline, "the stream ended, or the line never came"
            if line.startswith(b"data:") and b"followed" in line:
                break
