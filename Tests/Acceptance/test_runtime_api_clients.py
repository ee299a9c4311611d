"""`runtime: provided`: when a runtime asks for its next event, and in which of the ways that HTTP leaves to it."""

import json
import time
import uuid

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from conftest import SLOWNESS
from runtime_clients import again, deploy, texts
from system import eventually, with_argument

# -- Between two events -----------------------------------------------------------------------------------------------


def test_a_command_is_ended_by_its_answer(host):
    """What it would do after it is not waited for."""
    marker = uuid.uuid4().hex
    name = deploy(host, "id, event, headers = following()\nanswer(id, 1)\ntime.sleep(60)\n", f"args: [{marker}]\n")
    began = time.monotonic()
    assert host.invoke(name, expect="ok").json() == 1
    assert time.monotonic() - began < 8 * SLOWNESS
    eventually(lambda: not with_argument(marker), 2 * SLOWNESS, "it is gone")


def test_what_is_done_after_an_answer(host):
    """The caller does not wait for it, and the next event comes when it is asked for: within the time that the invocation had."""
    marker = uuid.uuid4().hex
    code = "while True:\n    id, event, headers = following()\n    answer(id, os.getpid())\n    time.sleep(event)\n"
    name = deploy(host, code, f"mode: reactor\nargs: [{marker}]\n", {"wall": f"{2 * SLOWNESS}s"})
    began = time.monotonic()
    first = host.invoke(name, 0.5, expect="ok")
    assert time.monotonic() - began < 2 * SLOWNESS and with_argument(marker)
    time.sleep(1)  # it asks again by itself; nothing tells when
    second = host.invoke(name, 60, expect="ok")
    assert second.json() == first.json() and second["Bulkhead-Start"] == "reused"
    eventually(lambda: not with_argument(marker), 5 * SLOWNESS, "one that does not ask again is ended")
    after = host.invoke(name, 0, expect="ok")
    assert after["Bulkhead-Start"] != "reused"


def test_one_that_leaves_after_its_answer(host):
    """Has done what was asked of it."""
    name = deploy(host, "id, event, headers = following()\nanswer(id, event)\n")
    for number in range(5):
        reply = host.invoke(name, number, expect="ok")
        assert reply.json() == number and reply["Bulkhead-Start"] != "reused"


# -- Whoever speaks HTTP ----------------------------------------------------------------------------------------------

# AWS's own: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-walkthrough.html
TUTORIAL = rb"""#!/bin/bash

set -euo pipefail

# Initialization - load function handler
source $LAMBDA_TASK_ROOT/"$(echo $_HANDLER | cut -d. -f1).sh"

# Processing
while true
do
  HEADERS="$(mktemp)"
  # Get an event. The HTTP request will block until one is received
  EVENT_DATA=$(curl -sS -LD "$HEADERS" "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/next")

  # Extract request ID by scraping response headers received above
  REQUEST_ID=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$HEADERS" | tr -d '[:space:]' | cut -d: -f2)

  # Run the handler function from the script
  RESPONSE=$($(echo "$_HANDLER" | cut -d. -f2) "$EVENT_DATA")

  # Send the response
  curl "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/$REQUEST_ID/response"  -d "$RESPONSE"
done
"""
TUTORIAL_FUNCTION = rb"""function handler () {
  EVENT_DATA=$1
  echo "$EVENT_DATA" 1>&2;
  RESPONSE="Echoing request: '$EVENT_DATA'"

  echo $RESPONSE
}
"""


@pytest.mark.parametrize("mode", ["command", "reactor"])
def test_the_tutorial(host, mode):
    """A shell and curl, a connection for each request."""
    name = unique_name("tutorial")
    manifest = f"runtime: provided\nhandler: function.handler\nmode: {mode}\nlimits: {{ wall: 20s }}\n"
    host.upload(name, zip_of({"function.yaml": manifest.encode(), "bootstrap": (TUTORIAL, 0o755), "function.sh": (TUTORIAL_FUNCTION, 0o644)}),
                content_type=ZIP)
    event = {"text": 1}
    replies = [host.invoke(name, event, expect="ok")] + [again(host, name, event) for _ in range(mode == "reactor")]
    for reply in replies:
        assert reply.body.decode() == f"Echoing request: '{json.dumps(event)}'"
        identifier = reply["Bulkhead-Invocation-Id"]
        # In a second round it stands behind what curl has shown of the first, without a line's end.
        eventually(lambda: any(line.endswith(json.dumps(event)) for line in texts(host, name, invocation=identifier)), 5, "its log line")


CLIENTS = {
    "a connection for each": """
        while True:
            id, event, headers = following(on=opened())
            answer(id, event, on=opened())
        """,
    "connections that are closed": """
        close = {"Connection": "close"}
        while True:
            status, headers, event = ask("GET", "invocation/next", headers=close)
            id = headers["Lambda-Runtime-Aws-Request-Id"]
            status, headers, _ = ask("POST", f"invocation/{id}/response", event, close)
            assert headers["Connection"] == "close"
        """,
    "one for events, one for answers": """
        other = opened()
        while True:
            id, event, headers = following()
            answer(id, event, on=other)
        """,
    "who waits to be told to go on": """
        while True:
            id, event, headers = following()
            with socket.create_connection(PLACE, 5) as connection:
                connection.sendall(beginning(id, "Expect: 100-continue", "Content-Length: 1"))
                assert connection.recv(100).startswith(b"HTTP/1.1 100 "), "nobody says to go on"
                connection.sendall(json.dumps(event).encode())
                assert b" 202 " in connection.recv(1000)
        """,
    "a byte at a time": """
        while True:
            id, event, headers = following()
            body = json.dumps(event).encode()
            with socket.create_connection(PLACE, 5) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in beginning(id, f"Content-Length: {len(body)}") + body:
                    connection.sendall(bytes([byte]))
                assert b" 202 " in connection.recv(1000)
        """,
    "an answer and the next question at once": """
        id, event, headers = following()
        with socket.create_connection(PLACE, 60) as connection:
            replies = connection.makefile("rb")
            while True:
                body = json.dumps(event).encode()
                question = f"GET {ROOT}invocation/next HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n".encode()
                connection.sendall(beginning(id, f"Content-Length: {len(body)}") + body + question)
                for _ in range(2):
                    size, status = 0, replies.readline()
                    while (line := replies.readline().strip().lower()):
                        name, _, value = line.partition(b": ")
                        if name == b"content-length": size = int(value)
                        if name == b"lambda-runtime-aws-request-id": id = value.decode()
                    told = replies.read(size)
                event = json.loads(told)
        """,
    "headers in any case, a query, spaces": """
        while True:
            status, headers, event = ask("GET", "invocation/next?x=1", headers={"x-UPPER": "1"})
            id = headers["lambda-runtime-aws-request-id"]
            body = json.dumps(json.loads(event)).encode()
            assert b" 202 " in said(beginning(id, f"cOnTeNt-LeNgTh:   {len(body)}  ", "CONTENT-TYPE:text/html") + body)
        """,
}


@pytest.mark.parametrize("kind", CLIENTS)
def test_clients(host, kind):
    """Each way that HTTP leaves to a client."""
    name = deploy(host, CLIENTS[kind])
    assert host.invoke(name, 0, expect="ok").json() == 0
    assert [again(host, name, number).json() for number in range(1, 4)] == [1, 2, 3]


def test_with_a_lock(host):
    """`lock: true`, once it has asked: its connection stays, and is all that it needs."""
    name = deploy(host, "import decimal\nserve(lambda event, headers: event)", "mode: reactor\nlock: true\n")
    assert [host.invoke(name, number, expect="ok").json() for number in range(3)] == [0, 1, 2]
