"""Thousands of functions: metrics stay short and quick to read, usage stays exact, and the host stays small."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from bulkhead_host import OCTETS, reply_on
from conftest import SLOWNESS, new_host
from supervising import memory_mib
from test_events import kill_supervisor

FUNCTIONS, CALLED = 2500, 2100
NAMED = 2000  # functions with series of their own; all others count as one
CONNECTIONS = 8
MIB = 1 << 20
SCRIPT = b"#!/bin/sh\nexec cat\n"
NAMES = [f"f-{number}" for number in range(FUNCTIONS)]


def over_connections(host, requests):
    """Sends all of them, over few connections that are kept; the replies."""
    def some(part):
        with closing(host.connect()) as connection:
            replies = []
            for method, path, body, kind in requests[part::CONNECTIONS]:
                connection.request(method, path, body, {"Authorization": f"Bearer {host.token}", "Content-Type": kind})
                replies.append(reply_on(connection))
            return replies
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return [reply for part in pool.map(some, range(CONNECTIONS)) for reply in part]


def call(host, names):
    replies = over_connections(host, [("POST", f"/v1/functions/{name}/invocations", b"1", "application/json") for name in names])
    wrong = [reply for reply in replies if reply.outcome != "ok"]
    assert not wrong, f"{len(wrong)} of {len(replies)}: {wrong[:2]}"


@pytest.fixture(scope="module")
def many(workspace):
    """A host with all of them, many of which were called once."""
    host = new_host(workspace, "many").start()
    try:
        began = time.monotonic()
        replies = over_connections(host, [("PUT", f"/v1/functions/{name}", SCRIPT, OCTETS) for name in NAMES])
        assert [reply for reply in replies if reply.status != 201] == []
        uploaded = time.monotonic()
        call(host, NAMES[:CALLED])
        print(f"{FUNCTIONS} uploads in {uploaded - began:.1f} s, {CALLED} calls in {time.monotonic() - uploaded:.1f} s")
        yield host
    finally:
        if host.running:
            host.kill()


def metrics(host):
    """Its text, within the time and the size that a scrape has."""
    began = time.monotonic()
    reply = host.get("/metrics")
    assert time.monotonic() - began < 2 * SLOWNESS and reply.status == 200 and len(reply.body) < 8 * MIB, len(reply.body)
    return reply.body.decode()


def by_function(text, metric):
    """{value of the label: the sum of its series}."""
    sums = {}
    for name, value in re.findall(rf'^{metric}{{(?:[^}}]*,)?function="([^"]*)"[^}}]*}} (\S+)$', text, re.MULTILINE):
        sums[name] = sums.get(name, 0) + float(value)
    return sums


def test_metrics_are_bounded(many):
    """The first have series of their own, all others one together, and nobody is left out of the sum."""
    text = metrics(many)
    assert f"\nbulkhead_functions {FUNCTIONS}\n" in text
    for metric in ("bulkhead_invocations_total", "bulkhead_invocation_seconds_count"):
        sums = by_function(text, metric)
        rest = set(sums) - set(NAMES)
        assert sum(sums.values()) == CALLED and len(sums) <= NAMED + 1, (metric, len(sums), sum(sums.values()))
        assert len(rest) == 1 and sums[rest.pop()] == CALLED - NAMED, (metric, rest)
    others = set(by_function(text, "bulkhead_invocations_total")) - set(NAMES)
    assert not re.fullmatch("[a-z0-9-]+", others.pop()), "a function could be called so"
    assert len(text.splitlines()) < 20 * (NAMED + 1) + 500
    call(many, NAMES[CALLED:CALLED + 10])
    text = metrics(many)
    assert sum(by_function(text, "bulkhead_invocations_total").values()) == CALLED + 10
    assert not set(NAMES[CALLED:]) & set(by_function(text, "bulkhead_invocation_cpu_seconds_total"))


def test_usage_is_exact_for_each(many):
    call(many, NAMES[-50:] * 2)
    rows = {row["function"]: row["invocations"] for row in many.get("/v1/usage").json()["usage"]}
    assert {name: rows.get(name) for name in NAMES[:CALLED]} == dict.fromkeys(NAMES[:CALLED], 1)
    assert {name: rows.get(name) for name in NAMES[-50:]} == dict.fromkeys(NAMES[-50:], 2)


def test_the_supervisor_stays_small(many):
    assert memory_mib(many.supervisor.pid, "VmHWM") < 256


def test_it_starts_again(many):
    """Within seconds, with all of them; and after a kill."""
    assert many.stop() == 0
    began = time.monotonic()
    many.start(30 * SLOWNESS)
    started = time.monotonic() - began
    print(f"started with {FUNCTIONS} functions in {started:.2f} s")
    assert f"\nbulkhead_functions {FUNCTIONS}\n" in metrics(many)
    call(many, NAMES[:20] + NAMES[-20:])
    kill_supervisor(many)
    call(many, NAMES[:20] + NAMES[-20:])
    found, cursor = [], ""
    while True:
        page = many.get(f"/v1/functions?limit=1000{cursor}").json()
        found += [one["name"] for one in page["functions"]]
        if not page.get("next"):
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(found) == sorted(NAMES)
