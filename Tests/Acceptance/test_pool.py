"""Who gets a worker, and how fresh it is: workers started ahead, cells that serve again, waiting, the end."""

import http.client
import os
import socket
import threading
import time

import pytest

from bulkhead_host import at_once, unique_name
from checks import carries_all, problem, usage
from conftest import SLOWNESS
from system import eventually, with_argument

SLEEPER = '#!/bin/sh\nread -r seconds\nsleep "$(echo "$seconds" | tr -d \'"\')"\necho \'"slept"\'\n'


def gauge(host, name):
    for line in host.get("/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return int(float(line.split()[1]))
    raise AssertionError(f"no metric {name}")


def script(host, text, name=None, **manifest):
    """Deploys a shell script; further fields of the manifest as `group_field`, or as they are."""
    name = name or unique_name("script")
    host.upload(name, text.encode(), [(key, str(value)) for key, value in manifest.items()])
    return name


# -- Ahead of need ----------------------------------------------------------------------------------------------------


def test_warm_commands_are_fresh_and_there(host):
    """Each serves once; another one takes its place; and none outlives its version."""
    marker = unique_name("marker")
    name = script(host, "#!/bin/sh\nread -r event\necho \"[$$, $event]\"\n", warm=3, args=marker)
    eventually(lambda: len(with_argument(marker)) == 3, 10 * SLOWNESS, "three are started")
    pids = set()
    for number in range(6):
        eventually(lambda: len(with_argument(marker)) == 3, 10 * SLOWNESS, "another one takes its place")
        time.sleep(0.05)  # the script has come to its read
        reply = host.invoke(name, number, expect="ok")
        assert reply["Bulkhead-Start"] == "prewarmed", reply
        assert "init-ms" not in usage(reply)
        carries_all(reply)
        pid, event = reply.json()
        assert event == number
        pids.add(pid)
    assert len(pids) == 1, "each is the first process of a namespace of its own"
    script(host, "#!/bin/sh\ncat\n", name)
    eventually(lambda: not with_argument(marker), 10 * SLOWNESS, "the old version's workers end")


def test_what_does_not_wait_is_not_started_ahead(host):
    """A program that answers without reading would answer with what was true some time ago."""
    name = script(host, "#!/bin/sh\ndate +%s%N\n", warm=1)
    for _ in range(3):
        time.sleep(0.3)
        began = time.time_ns()
        reply = host.invoke(name, expect="ok")
        assert int(reply.body) >= began, "it is not older than the request"
        assert reply["Bulkhead-Start"] == "cold"
    assert any("wrote without waiting" in line["text"] or "ended before it was needed" in line["text"]
               for line in host.logs(name))


def test_a_crash_loop_backs_off_and_says_so(host):
    name = script(host, "#!/bin/sh\nexit 7\n", warm=2)
    time.sleep(2.5)
    notes = [line["text"] for line in host.logs(name) if "ended before it was needed" in line["text"]]
    assert 2 <= len(notes) <= 6, notes
    assert "the next is started in" in notes[-1]
    assert host.invoke(name, expect="exit").json()["exitCode"] == 7


def test_an_idle_warm_worker_may_not_compute(host):
    marker = unique_name("marker")
    name = script(host, "#!/bin/sh\nwhile :; do :; done\n", warm=1, init="1s", cpu="500ms", args=marker)
    eventually(lambda: any("computed while idle" in line["text"] for line in host.logs(name)), 15 * SLOWNESS, "it is ended")


def test_workers_come_back_with_the_host(hosts):
    """Kept warm from the start, without anybody's asking."""
    host = hosts()
    marker = unique_name("marker")
    script(host, "#!/bin/sh\nread -r event\necho 1\n", "warm", warm=2, args=marker)
    eventually(lambda: len(with_argument(marker)) == 2, 10 * SLOWNESS, "they are started")
    assert host.stop() == 0
    assert not with_argument(marker)
    host = hosts(host.data)
    eventually(lambda: len(with_argument(marker)) == 2, 10 * SLOWNESS, "they are started again")


def test_workers_started_ahead_give_way(hosts):
    """One upload that wants every worker there is, and never gets ready: others are served all the same."""
    host = hosts(configuration="maxWorkers: 8\n")
    host.upload("greedy", b"#!/bin/sh\nsleep 1000\n", {"mode": "reactor", "warm": "100", "init": "900s", "memory": "8MiB"})
    eventually(lambda: gauge(host, "bulkhead_workers") >= 8, 10 * SLOWNESS, "it has them all")
    echo = script(host, "#!/bin/sh\ncat\n", "echo")
    for number in range(5):
        assert host.invoke(echo, number, expect="ok").json() == number


def test_a_deleted_function_starts_no_more(host):
    """Not even when the same bytes come back: what is kept warm is the new one, with its own manifest."""
    marker, other = unique_name("marker"), unique_name("marker")
    text = "#!/bin/sh\nread -r event\nprintf '\"%s\"' \"$WHO\"\n"
    name = script(host, text, warm=2, args=marker, env="WHO=old")
    eventually(lambda: len(with_argument(marker)) == 2, 10 * SLOWNESS, "they are started")
    assert host.delete(name).status == 204
    script(host, text, name, warm=2, args=other, env="WHO=new")
    eventually(lambda: len(with_argument(other)) == 2 and not with_argument(marker), 10 * SLOWNESS, "only the new ones")
    launched = gauge(host, "bulkhead_workers")
    for _ in range(4):
        assert host.invoke(name, 1, expect="ok").json() == "new"
    time.sleep(1)
    assert not with_argument(marker) and gauge(host, "bulkhead_workers") <= launched + 4


# -- Memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["16MiB", "128MiB", "256MiB", "1GiB"])
def test_memory_limits_of_all_sizes(host, memory):
    """Ready cells have the usual one set; others are raised or lowered from there."""
    name = script(host, "#!/bin/sh\nread -r bytes\nhead -c \"$bytes\" /dev/zero | tail -c \"$bytes\" | wc -c\n",
                  memory=memory, wall="20s", cpu="20s")
    limit = int(memory[:-3]) << (30 if memory.endswith("GiB") else 20)
    assert host.invoke(name, limit // 4, expect="ok").json() == limit // 4
    assert host.invoke(name, limit * 2, timeout=60).outcome == "memory_exceeded"


def test_more_memory_than_there_is_for_all(hosts):
    host = hosts(configuration="memoryBudget: 1GiB\n")
    reply = host.upload("huge", b"#!/bin/sh\ncat\n", {"memory": "2GiB"}, expect=None)
    assert "memoryBudget" in problem(reply, "invalid_request")["detail"]


# -- Cells that serve again -------------------------------------------------------------------------------------------


def test_a_renewed_cell_is_as_new(host, compile_c):
    """Nothing of an invocation is left for the next: no process, no number of one, no counter."""
    busy = script(host, "#!/bin/sh\nread -r event\n(sleep 1000 &) >/dev/null 2>&1\necho $$\n", wall="5s")
    first = [host.invoke(busy, expect="ok") for _ in range(10)]
    assert len({reply.body for reply in first}) == 1, "its pid is the same in each fresh namespace"
    assert usage(first[-1])["cpu-ms"] < 10 * max(1, usage(first[0])["cpu-ms"]), "CPU time does not add up"

    hungry = script(host, "#!/bin/sh\nread -r big\nif [ \"$big\" = 1 ]; then x=$(head -c 20000000 /dev/zero | tr '\\0' x);"
                          " echo ${#x}; else echo 0; fi\n", memory="128MiB", wall="30s")
    small = usage(host.invoke(hungry, 0, expect="ok"))["memory-bytes"]
    assert usage(host.invoke(hungry, 1, expect="ok"))["memory-bytes"] > 20_000_000
    again = usage(host.invoke(hungry, 0, expect="ok"))["memory-bytes"]
    assert again < small + 10_000_000, (small, again)


def test_many_cells_of_one_version(host):
    """More at once than cells wait: they share what is read-only, and reach nothing of each other."""
    name = script(host, "#!/bin/sh\nread -r event\nsleep 1\nkill -9 -1\nid -u\n", wall="60s", cpu="10s")
    host.invoke(name, expect="ok")
    replies = at_once(lambda: host.invoke(name, timeout=60 * SLOWNESS) for _ in range(60))
    assert [reply.outcome for reply in replies] == ["ok"] * 60, "nobody killed anybody else"
    # As a plain user the host has but one to give.
    users = {reply.body for reply in replies}
    assert len(users) == (60 if os.geteuid() == 0 else 1)


def test_limits_of_many_cells_of_one_version(host):
    """The version's limits hold in cells that were made for it, too."""
    name = script(host, "#!/bin/sh\nread -r bad\nsleep 1\nhead -c \"$bad\" /dev/zero | tail -c \"$bad\" | wc -c\n",
                  memory="48MiB", wall="60s", cpu="10s")
    host.invoke(name, 1, expect="ok")
    replies = at_once(lambda: host.invoke(name, 90_000_000, timeout=60 * SLOWNESS) for _ in range(30))
    if os.geteuid() == 0:  # without a cgroup memory is limited by process, and what tail makes of that is its own affair
        assert [reply.outcome for reply in replies] == ["memory_exceeded"] * 30


def test_a_cell_is_not_renewed_for_another_version(host):
    name = script(host, "#!/bin/sh\ncat /function/* | wc -l\n")
    for _ in range(3):
        one = host.invoke(name, expect="ok").json()
    script(host, "#!/bin/sh\n# A line more.\ncat /function/* | wc -l\n", name)
    for _ in range(3):
        assert host.invoke(name, expect="ok").json() == one + 1
    assert host.invoke(name, query={"version": 1}, expect="ok").json() == one


@pytest.mark.parametrize("deed", ["exit 3", "kill -9 $$", "kill -11 $$", "head -c 200000000 /dev/zero | tail -c 200000000"])
def test_the_next_one_is_well_whatever_came_before(host, deed):
    name = script(host, f'#!/bin/sh\nread -r bad\nif [ "$bad" = 1 ]; then {deed}; fi\necho 5\n', memory="64MiB")
    for _ in range(3):
        assert host.invoke(name, 1).outcome != "launch_failed"
        assert host.invoke(name, 0, expect="ok").json() == 5


# -- Waiting ----------------------------------------------------------------------------------------------------------


def test_a_burst_from_nothing(host, example):
    """More at once than may start at once: all are served."""
    name = example("echo")
    replies = at_once(lambda number=number: host.invoke(name, number, timeout=60 * SLOWNESS) for number in range(80))
    assert [reply.outcome for reply in replies] == ["ok"] * 80
    assert [reply.json() for reply in replies] == list(range(80))


def test_a_full_host_lets_wait_and_then_refuses(hosts):
    host = hosts(configuration="maxWorkers: 2\nmaxWaiting: 2\nmaxWait: 20s\n")
    name = script(host, SLEEPER, "sleeper", wall="30s")
    with_time = []

    def call(delay):
        time.sleep(delay)
        began = time.monotonic()
        reply = host.invoke(name, b'"1.5"', timeout=60)
        with_time.append((reply, time.monotonic() - began))
        return reply
    replies = at_once(lambda number=number: call(0.15 * number) for number in range(5))
    assert [reply.outcome for reply in replies[:4]] == ["ok"] * 4, replies
    told = problem(replies[4], "overloaded")
    assert "maxWaiting" in told["detail"]
    assert 1 <= int(replies[4]["Retry-After"]) <= 60
    waits = sorted(float(reply["Server-Timing"].split("queue;dur=")[1].split(",")[0]) for reply in replies[:4])
    assert waits[1] < 500 * SLOWNESS and waits[2] > 500, waits


def test_nobody_waits_for_ever(hosts):
    host = hosts(configuration="maxWorkers: 1\nmaxWait: 500ms\n")
    name = script(host, SLEEPER, "sleeper", wall="30s")
    replies = at_once([lambda: host.invoke(name, b'"3"', timeout=60), lambda: time.sleep(0.3) or host.invoke(name, b'"3"')])
    assert replies[0].outcome == "ok"
    assert "maxWait" in problem(replies[1], "overloaded")["detail"]


def test_who_leaves_the_queue_is_not_served(hosts):
    host = hosts(configuration="maxWorkers: 1\n")
    name = script(host, SLEEPER, "sleeper", wall="30s")
    first = threading.Thread(target=lambda: host.invoke(name, b'"2"', timeout=60))
    first.start()
    eventually(lambda: gauge(host, "bulkhead_invocations_running") == 1, 5 * SLOWNESS, "one runs")
    connection = host.connect()
    connection.request("POST", f"/v1/functions/{name}/invocations", b'"2"', {"Authorization": f"Bearer {host.token}"})
    eventually(lambda: gauge(host, "bulkhead_invocations_waiting") == 1, 5 * SLOWNESS, "the other waits")
    connection.close()
    eventually(lambda: gauge(host, "bulkhead_invocations_waiting") == 0, 1, "it is forgotten at once")
    first.join()
    assert host.get("/metrics").body.decode().count('outcome="cancelled",start="cold"} 1') == 1


def test_a_greedy_function_does_not_starve_another(hosts):
    """Two hundred wait for one function; a request for another one comes between them."""
    host = hosts(configuration="maxWorkers: 2\n")
    greedy = script(host, SLEEPER, "greedy", wall="30s", max=1000)
    modest = script(host, "#!/bin/sh\ncat\n", "modest")
    crowd = [threading.Thread(target=lambda: host.invoke(greedy, b'"0.3"', timeout=120)) for _ in range(60)]
    for thread in crowd:
        thread.start()
    eventually(lambda: gauge(host, "bulkhead_invocations_waiting") > 40, 20 * SLOWNESS, "they wait")
    began = time.monotonic()
    host.invoke(modest, 1, expect="ok", timeout=60)
    took = time.monotonic() - began
    assert took < 3 * SLOWNESS, f"{took} s: sixty times 0.3 s on two workers is nine"
    for thread in crowd:
        thread.join()


def test_the_end_loses_nothing_that_was_accepted(hosts):
    """SIGTERM while one runs and one waits: both are answered; the host then exits 0."""
    host = hosts(configuration="maxWorkers: 1\nmaxWait: 20s\n")
    name = script(host, SLEEPER, "sleeper", wall="30s")
    replies = []
    callers = [threading.Thread(target=lambda: replies.append(host.invoke(name, b'"1"', timeout=60))) for _ in range(2)]
    for caller in callers:
        caller.start()
    eventually(lambda: gauge(host, "bulkhead_invocations_waiting") == 1, 5 * SLOWNESS, "one waits")
    kept = host.connect()
    kept.request("GET", "/readyz")
    assert kept.getresponse().read() and True
    host.process.terminate()
    for caller in callers:
        caller.join()
    assert [reply.outcome for reply in replies] == ["ok", "ok"], replies
    assert host.wait() == 0
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        kept.request("GET", "/healthz")
        kept.getresponse().read()


# -- The way in front of the framework ---------------------------------------------------------------------------------


def raw(host, text, answers, timeout=20):
    """Sends bytes on one connection and reads so many whole responses: (status, body) each."""
    with socket.create_connection((host.address, host.port), timeout=timeout) as connection:
        connection.sendall(text)
        file = connection.makefile("rb")
        found = []
        for _ in range(answers):
            status = int(file.readline().split()[1])
            length = 0
            while (line := file.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            found.append((status, file.read(length)))
        return found


def test_requests_on_one_connection_keep_their_order(host, example):
    """Fast and slow ways, one behind the other without waiting for answers."""
    name = example("echo")
    def post(path, body):
        return (f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {host.token}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
    get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    fast, slow = f"/v1/functions/{name}/invocations", f"/v1/functions/{name}/invocations?version=1"
    sequence = post(fast, "1") + get + post(slow, "2") + post(fast, "3") + post(fast, "4") + get + post(fast, "5")
    answers = raw(host, sequence * 3, 21)
    assert [status for status, _ in answers] == [200] * 21
    assert [body for _, body in answers if b"status" not in body] == [b"1", b"2", b"3", b"4", b"5"] * 3


def test_a_crowd_behind_an_invocation(host, example):
    """Thousands of small requests that are all answered at once, behind one that takes a moment."""
    name = example("echo")
    first = (f"POST /v1/functions/{name}/invocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {host.token}\r\n"
             "Content-Length: 300000\r\n\r\n" + " " * 299_999 + "1").encode()
    stranger = b"POST /v1/functions/a/invocations HTTP/1.1\r\n\r\n"
    answers = raw(host, first + stranger * 6000, 6001, timeout=60)
    assert answers[0][0] == 200 and {status for status, _ in answers[1:]} <= {400, 401}
    assert host.get("/healthz").status == 200


def test_bodies_of_every_kind(host, example):
    """In chunks, in drops, empty, with a bad frame, for nobody, by nobody: as the other routes have it."""
    name = example("echo")
    head = f"POST /v1/functions/{name}/invocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {host.token}\r\n"
    chunked = head + "Transfer-Encoding: chunked\r\n\r\n"
    assert raw(host, (chunked + "1\r\n[\r\n2\r\n1]\r\n0\r\n\r\n").encode(), 1) == [(200, b"[1]")]
    assert raw(host, (head + "Content-Length: 0\r\n\r\n").encode(), 1) == [(200, b"null")]
    assert raw(host, (head + "\r\n").encode(), 1) == [(200, b"null")]
    assert raw(host, (head + "Connection: close\r\nContent-Length: 1\r\n\r\n7").encode(), 1) == [(200, b"7")]
    assert raw(host, (chunked + "zz\r\n").encode(), 1)[0][0] == 400
    assert raw(host, (head + "Content-Length: 1\r\n\r\n{").encode(), 1)[0][0] == 400
    for path, status in (("nobody", 404), ("Bad_Name", 400)):
        text = head.replace(f"/{name}/", f"/{path}/") + "Content-Length: 1\r\n\r\n1"
        assert raw(host, text.encode(), 1)[0][0] == status
    stranger = head.replace(host.token, "wrong") + "Content-Length: 1\r\n\r\n1"
    assert raw(host, (stranger + stranger).encode(), 2)[1][0] == 401
    huge = head + "Content-Length: 100000000\r\n\r\n"
    assert raw(host, huge.encode() + b"1" * 10_000_000, 1)[0][0] == 413


def test_a_slow_event_is_taken(host, example):
    name = example("echo")
    with socket.create_connection((host.address, host.port), timeout=20) as connection:
        for byte in (f"POST /v1/functions/{name}/invocations HTTP/1.1\r\nAuthorization: Bearer {host.token}\r\nHost: x\r\n"
                     "Content-Length: 4\r\n\r\n"):
            connection.send(byte.encode())
        for byte in b"[12]":
            time.sleep(0.05)
            connection.send(bytes([byte]))
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 200")


def test_a_revoked_token_is_known_no_more(host, example):
    """Also where it was presented, and remembered, before."""
    name = example("echo")
    made = host.request("POST", "/v1/keys", b'{"name":"passing","role":"invoke"}', {"Content-Type": "application/json"}).json()
    assert host.invoke(name, 1, token=made["token"]).status == 200
    assert host.request("DELETE", f"/v1/keys/{made['id']}").status == 204
    problem(host.invoke(name, 1, token=made["token"]), "unauthorized")
