#!/usr/bin/python3
"""A reactor that shows what it is sent, and forges answers when the event asks for it.

Its answers carry how many requests this process has seen: a count that goes on proves reuse, one that starts again
proves a new process.
"""
import json
import os
import sys


def answer(identifier, result):
    return json.dumps({"jsonrpc": "2.0", "id": identifier, "result": result}) + "\n"


def say(text):
    # One write(2): the host reads what belongs together in one piece, so no race decides what it sees.
    os.write(1, text.encode())


seen = 0
say('{"jsonrpc":"2.0","method":"ready"}\n')
for line in sys.stdin:
    seen += 1
    request = json.loads(line)
    event, identifier = request["params"]["event"], request["id"]
    deed = event.get("do") if isinstance(event, dict) else None
    honest = answer(identifier, {"seen": seen})
    if deed == "show":
        say(answer(identifier, {"seen": seen, "line": line}))
    elif deed == "answer twice":
        say(honest + answer(identifier, "forged"))
    elif deed == "answer ahead":
        say(honest + answer(identifier + 1, "forged"))
    elif deed == "garbage behind":
        say(honest + "forged\n")
    elif deed == "half a line behind":
        say(honest + '{"jsonrpc":"2.0","id":')
    elif deed == "not json":
        say("forged\n" + honest)
    elif deed == "wrong id":
        say(answer(identifier + 1000, "forged"))
    elif deed == "no id":
        say('{"jsonrpc":"2.0","result":"forged"}\n')
    elif deed == "id as text":
        say(answer(str(identifier), "forged"))
    elif deed == "ready again":
        say('{"jsonrpc":"2.0","method":"ready"}\n')
    elif deed == "neither result nor error":
        say(json.dumps({"jsonrpc": "2.0", "id": identifier}) + "\n")
    elif deed == "log":
        sys.stderr.write(event["text"] + "\n")
        sys.stderr.flush()
        say(honest)
    else:
        say(honest)
