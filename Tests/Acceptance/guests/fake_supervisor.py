"""What the guardian starts in test_guardian.py: serves on descriptor 3 as a supervisor does, and ends as it is told.

Arguments: `first=DEED`, `later=DEED`: what to do at the first start, and at all others. DEEDS, with + between them:
serve, exit:N, signal:N, sleep:SECONDS, say:TEXT, quiet (not to tell that it serves), notify (to tell it without serving),
status:N (to end with after SIGTERM), deaf (to SIGTERM until it serves).
"""

import json
import os
import signal
import socket
import sys
import time
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit


def end(deed, value):
    if deed == "exit":
        os._exit(int(value))
    if int(value) != signal.SIGKILL:
        signal.signal(int(value), signal.SIG_DFL)
    os.kill(os.getpid(), int(value))
    time.sleep(60)


def seen():
    """All that came from the guardian."""
    status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
    return {"pid": os.getpid(), "parent": os.getppid(), "environment": dict(os.environ), "cwd": os.getcwd(),
            "blocked": status["SigBlk"], "descriptors": DESCRIPTORS, "args": sys.argv[1:]}


def serve(told):
    listening = socket.socket(fileno=3)
    listening.listen(5)  # as NIO does when it takes a socket over, with a queue shorter than the guardian's
    signal.signal(signal.SIGTERM, lambda *_: os._exit(STATUS_AT_END))
    signal.signal(signal.SIGHUP, lambda *_: print("hangup", flush=True))
    print(f"listening {listening.getsockname()[1]}", flush=True)
    if told:
        os.write(NOTIFY, b"1")
    os.close(NOTIFY)
    # A signal that comes just before accept(2) is seen at its end only: Python's handlers run between system calls.
    listening.settimeout(0.1)
    while True:
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            continue
        with connection:
            request = connection.recv(65536).decode(errors="replace")
            if not request:
                continue
            url = urlsplit(request.split()[1])
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            for text in [query[key] for key in ("say",) if key in query]:
                os.write(2, text.encode())
            if url.path == "/die":
                end("signal", query["signal"])
            if url.path == "/exit":
                end("exit", query["code"])
            if url.path == "/leave-child":  # one that holds the pipe, and speaks after our end
                if os.fork() == 0:
                    time.sleep(0.3)
                    os.write(2, b"spoken later\n")
                    os._exit(0)
                end("signal", "9")
            if url.path == "/flood":
                os.write(2, b"".join(b"%07d\n" % number for number in range(int(query["lines"]))))
            body = json.dumps(seen()).encode()
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


DESCRIPTORS = [number for number in range(256) if is_open(number)]
STATUS_AT_END = 0
NOTIFY = int(os.environ["BULKHEAD_NOTIFY_FD"])
plan = dict(argument.split("=", 1) for argument in sys.argv[1:])
told = True
for step in plan["first" if os.environ["BULKHEAD_RESTARTS"] == "0" else "later"].split("+"):
    deed, _, value = step.partition(":")
    if deed == "serve":
        serve(told)
    elif deed == "quiet":
        told = False
    elif deed == "status":
        STATUS_AT_END = int(value)
    elif deed == "notify":
        os.write(NOTIFY, b"1")
    elif deed == "sleep":
        time.sleep(float(value))
    elif deed == "say":
        os.write(2, unquote_to_bytes(value))
    elif deed == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        end(deed, value)
