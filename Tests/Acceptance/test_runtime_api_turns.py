"""`runtime: provided`, asked and answered out of turn: nobody is answered with what was not meant for him, and nobody waits for nothing.

What is no HTTP, and what has no end: test_runtime_api_attacks.py.
"""

import time
import uuid

import pytest

from checks import failed
from conftest import SLOWNESS
from runtime_clients import again, deploy, fresh, goes_on, lives, mischief, texts
from system import eventually, with_argument

WALL = {"wall": f"{SLOWNESS}s"}


@pytest.fixture(autouse=True)
def outlived(host, example):
    """After each: the same host serves others, and at once."""
    with lives(host, example("echo")):
        yield


# -- Who never asks ---------------------------------------------------------------------------------------------------

SILENT = {
    "sleeps": "time.sleep(60)",
    "connects and says nothing": "held = [socket.create_connection(PLACE) for _ in range(16)]\ntime.sleep(60)",
    "half a question": "s = socket.create_connection(PLACE)\ns.sendall(b'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: a\\r\\n')\ntime.sleep(60)",
    "asks for something else": "while True:\n    ask('GET', 'invocation/nextt')\n    time.sleep(0.01)",
    "answers what nobody asked": "while True:\n    answer('00000000-0000-0000-0000-000000000000', 'forged')\n    time.sleep(0.01)",
}


@pytest.mark.parametrize("way", SILENT)
def test_never_asks_for_an_event(host, way):
    name = deploy(host, SILENT[way], "mode: command\n", {"init": f"{SLOWNESS}s"})
    began = time.monotonic()
    assert failed(host.invoke(name), "timeout")["limit"] == "init"
    assert time.monotonic() - began < 5 * SLOWNESS


def test_an_error_of_its_start_and_then_silence(host):
    """It has said all that it has to say: nobody waits for `init` to pass."""
    name = deploy(host, "ask('POST', 'init/error', b'{\"errorType\":\"Own.Init\",\"errorMessage\":\"no\"}')\ntime.sleep(60)\n", limits={"init": "60s"})
    began = time.monotonic()
    assert failed(host.invoke(name), "error")["error"]["type"] == "Own.Init"
    assert time.monotonic() - began < 10 * SLOWNESS


def test_asks_for_an_event_after_an_error_of_its_start(host):
    name = deploy(host, "ask('POST', 'init/error', b'{}')\nid, event, headers = following()\nanswer(id, 'forged')\ntime.sleep(60)\n")
    for _ in range(2):
        reply = host.invoke(name)
        failed(reply, "error")
        assert b"forged" not in reply.body


# -- Out of turn ------------------------------------------------------------------------------------------------------


def test_asks_twice_at_once(host):
    """One of them is given the event, the other is told that it is not the time."""
    name = deploy(host, """
        told, gate = [], threading.Barrier(2)
        def take():
            connection = opened()
            gate.wait()
            status, headers, body = ask("GET", "invocation/next", on=connection)
            if status == 200:
                while not told: time.sleep(0.01)
                answer(headers["Lambda-Runtime-Aws-Request-Id"], told, on=connection)
            else:
                told.extend([status, json.loads(body)["errorType"]])
        threads = [threading.Thread(target=take) for _ in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        serve(lambda event, headers: "next")
        """)
    assert host.invoke(name, expect="ok").json() == [403, "InvalidStateTransition"]
    assert again(host, name).json() == "next"


def test_asks_for_the_next_before_it_has_answered(host):
    name = mischief(host, """
        def misbehave(id, event):
            told = [ask("GET", "invocation/next", on=connection)[::2] for connection in (api, opened()) for _ in range(3)]
            answer(id, [[status, json.loads(body)["errorType"]] for status, body in told])
        """)
    assert host.invoke(name, 1, expect="ok").json() == [[403, "InvalidStateTransition"]] * 6
    goes_on(host, name)


def test_answers_twice(host):
    """The first is the answer; no later one is anybody's."""
    name = deploy(host, """
        told, last = [], None
        while True:
            id, event, headers = following()
            if last: told.append(answer(last, "forged"))  # also while the next one waits for its own
            answer(id, {"event": event, "told": told})
            told = [answer(id, "forged"), ask("POST", f"invocation/{id}/error", b"{}")[0], ask("POST", "init/error", b"{}")[0]]
            last = id
        """)
    refused, unknown = [403, "InvalidStateTransition"], [400, "InvalidRequestID"]
    assert host.invoke(name, 1, expect="ok").json() == {"event": 1, "told": []}
    for number in (2, 3):
        assert again(host, name, number).json() == {"event": number, "told": [refused, 403, 403, unknown]}


def test_two_answers_at_once(host):
    """While one is on its way, a second one is refused, and does not mix with it."""
    name = mischief(host, """
        def misbehave(id, event):
            with socket.create_connection(PLACE, 5) as connection:
                connection.sendall(beginning(id, "Content-Length: 8") + b'"hon')
                time.sleep(0.3)  # until it has been read, which nothing tells
                told = answer(id, "forged")
                connection.sendall(b'est"')
                connection.recv(1000)
                print(told, flush=True)
        """)
    assert host.invoke(name, 1, expect="ok").json() == "honest"
    eventually(lambda: texts(host, name) == ["[403, 'InvalidStateTransition']"], 5, "the other one was refused")
    goes_on(host, name)


NO_IDS = ["00000000-0000-0000-0000-000000000000", "%00", "..", "next", "x" * 4000, "%s/..", "%s/", "%s%%20", "%s?x=", "a b"]


@pytest.mark.parametrize("form", NO_IDS, ids=range(len(NO_IDS)))
def test_an_id_that_is_none(host, form):
    """Refused, each in its way, and never taken for the one that is meant."""
    name = mischief(host, """
        def misbehave(id, event):
            raw = beginning(event.replace("%s", id).replace("%%", "%"), "Content-Length: 8") + b'"forged"'
            told = said(raw, 0.15).split(b" ")[1:2]
            answer(id, [status.decode() for status in told])
        """)
    told = host.invoke(name, form, expect="ok").json()
    assert told in ([], ["400"], ["404"]), told
    assert form != NO_IDS[0] or told == ["400"]
    goes_on(host, name)


def test_the_id_of_another_invocation(host):
    """Of its own past, and of another worker's present."""
    name = deploy(host, """
        past = []
        while True:
            id, event, headers = following()
            told = [answer(old, "forged") for old in past + (event or [])]
            past.append(id)
            answer(id, [id, told])
        """)
    first, told = host.invoke(name, expect="ok").json()
    assert told == []
    others = mischief(host, "def misbehave(id, event):\n    print(id, flush=True)\n    time.sleep(event)\n    answer(id, 'own')\n")
    running = host.invoke(others, 2, headers={"Prefer": "respond-async"}).json()["id"]
    eventually(lambda: running in texts(host, others), 10 * SLOWNESS, "the other one runs")
    second, told = again(host, name, [running]).json()
    assert told and set(map(tuple, told)) == {(400, "InvalidRequestID")} and second != first
    assert host.record_when_done(running)["result"] == "own"


def test_an_answer_after_the_deadline(host):
    """Nobody's: the worker is gone by then."""
    marker = uuid.uuid4().hex
    name = mischief(host, "def misbehave(id, event):\n    time.sleep(event)\n    answer(id, 'late')\n", f"mode: reactor\nargs: [{marker}]\n", WALL)
    reply = host.invoke(name, 1.5 * SLOWNESS)
    assert failed(reply, "timeout")["limit"] == "wall"
    eventually(lambda: not with_argument(marker), 2 * SLOWNESS, "it is gone")
    fresh(host, name)


# -- Who hangs up -----------------------------------------------------------------------------------------------------

HANGS_UP = """
    seen = 0
    while True:
        id, event, headers = following()
        seen += 1
        answer(id, {"seen": seen})
        if event is not None:
            connection = socket.create_connection(PLACE)
            connection.sendall(f"GET {ROOT}invocation/next HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n".encode())
            time.sleep(event)
            connection.close()
            time.sleep(60)
    """


# One that hangs up with its event may have read it, and answer it on another connection: it has the invocation's time for that.
LOST = ("protocol_error", "timeout")


@pytest.mark.parametrize("pause", [0, 0.3])
def test_hangs_up_where_it_waits(host, pause):
    """Nobody will take the next event: it is ended, and whoever comes is served by another."""
    marker = uuid.uuid4().hex
    name = deploy(host, HANGS_UP, f"mode: reactor\nargs: [{marker}]\n")
    assert host.invoke(name, pause, expect="ok").json() == {"seen": 1}
    eventually(lambda: not with_argument(marker), 5 * SLOWNESS, "it is gone")
    fresh(host, name)


def test_hangs_up_as_an_event_comes(host):
    """That invocation may be lost, as one of a worker that does not answer; none has a wrong answer."""
    name = deploy(host, HANGS_UP, limits=WALL)
    for pause in (0, 0.001, 0.002, 0.005, 0.01):
        host.invoke(name, pause)
        time.sleep(pause)
        reply = host.invoke(name)
        if reply.outcome == "ok":
            assert reply.json()["seen"] >= 1, reply
        else:
            failed(reply, reply.outcome)
            assert reply.outcome in LOST


def test_hangs_up_before_its_first_event(host):
    name = deploy(host, """
        connection = socket.create_connection(PLACE)
        connection.sendall(f"GET {ROOT}invocation/next HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n".encode())
        connection.close()
        time.sleep(60)
        """, limits=WALL)
    reply = host.invoke(name)
    failed(reply, reply.outcome)
    assert reply.outcome in LOST


# -- Its children -----------------------------------------------------------------------------------------------------


def test_a_child_answers_in_its_parents_place(host):
    """It is part of the worker: what it says is the worker's word."""
    name = mischief(host, """
        def misbehave(id, event):
            if not os.fork():
                answer(id, "the child's", on=opened())
                os._exit(0)
            os.wait()
        """)
    assert host.invoke(name, 1, expect="ok").json() == "the child's"
    goes_on(host, name)


def test_a_child_answers_after_its_parents_end(host):
    """Both go together: what it would say is nobody's."""
    marker = uuid.uuid4().hex
    name = mischief(host, """
        def misbehave(id, event):
            if not os.fork():
                while True:
                    time.sleep(0.2)
                    answer(id, "forged", on=opened())
            os._exit(3)
        """, f"mode: reactor\nargs: [{marker}]\n")
    assert failed(host.invoke(name, 1), "exit")["exitCode"] == 3
    eventually(lambda: not with_argument(marker), 5 * SLOWNESS, "both are gone")
    for _ in range(2):
        reply = host.invoke(name, expect="ok")
        assert reply.json()["seen"] in (1, 2), reply


def test_children_ask_in_their_parents_place(host):
    """Of a crowd that asks at once each event has one answer, and each answer is its event's."""
    name = deploy(host, """
        for _ in range(4):
            if not os.fork(): break
        while True:
            connection = opened()
            status, headers, body = ask("GET", "invocation/next", on=connection)
            if status == 200:
                answer(headers["Lambda-Runtime-Aws-Request-Id"], json.loads(body), on=connection)
            else:
                time.sleep(0.005)
        """, limits={"memory": "256MiB"})
    assert [host.invoke(name, number, expect="ok").json() for number in range(30)] == list(range(30))
