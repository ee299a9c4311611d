"""The contract's tables as assertions: what each outcome says, and what every invocation's response carries."""

import re

# outcome: (status, who is to blame, members that must be there as well)
OUTCOMES = {
    "error": (502, "guest", ("error",)),
    "exit": (502, "guest", ("exitCode",)),
    "signal": (502, "guest", ("signal",)),
    "denied": (502, "guest", ("syscall",)),
    "timeout": (504, "guest", ("limit",)),
    "cpu_exceeded": (504, "guest", ("limit",)),
    "memory_exceeded": (502, "guest", ("limit",)),
    "output_exceeded": (502, "guest", ("limit",)),
    "protocol_error": (502, "guest", ()),
    "invalid_request": (400, "caller", ()),
    "unauthorized": (401, "caller", ()),
    "forbidden": (403, "caller", ()),
    "not_found": (404, "caller", ()),
    "conflict": (409, "caller", ()),
    "payload_too_large": (413, "caller", ()),
    "throttled": (429, "caller", ()),
    "overloaded": (503, "host", ()),
    "launch_failed": (500, "host", ("stage", "errno")),
}

STARTS = {"cold", "prewarmed", "reused", "forked"}


def problem(reply, outcome):
    """Asserts that `reply` is the RFC 9457 problem of `outcome`, and returns it."""
    status, blame, also = OUTCOMES[outcome]
    assert reply.status == status, reply
    assert reply.media_type == "application/problem+json", reply
    told = reply.json()
    assert told["outcome"] == outcome, told
    assert told["type"] == f"urn:bulkhead:outcome:{outcome}"
    assert told["status"] == status
    assert told["blame"] == blame
    assert isinstance(told["retryable"], bool)
    assert isinstance(told["title"], str) and told["title"].strip()
    assert isinstance(told["detail"], str) and told["detail"].strip()
    for member in also:
        assert told.get(member) not in (None, ""), f"{outcome} does not say {member}: {told}"
    if reply["Bulkhead-Invocation-Id"]:
        assert told["invocationId"] == reply["Bulkhead-Invocation-Id"]
    if outcome in ("throttled", "overloaded"):
        assert re.fullmatch(r"[0-9]+", reply["Retry-After"] or ""), reply
    return told


def failed(reply, outcome):
    """Asserts that a worker was given the event and that it ended as `outcome`; returns the problem."""
    told = problem(reply, outcome)
    carries_all(reply, outcome)
    assert told["invocationId"]
    return told


def carries_all(reply, outcome="ok"):
    """Every invocation's response, failed or not, says which it was, how it began, how it ended and what it used."""
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,}", reply["Bulkhead-Invocation-Id"] or ""), reply
    assert reply.headers.get_all("Bulkhead-Outcome") == [outcome], reply
    assert re.fullmatch(r"[1-9][0-9]*", reply["Bulkhead-Version"] or ""), reply
    assert reply["Bulkhead-Start"] in STARTS, reply
    usage(reply)
    assert {"queue", "start", "run"} <= set(server_timing(reply)), reply


def usage(reply):
    """Bulkhead-Usage as numbers."""
    used = sf_dictionary(reply["Bulkhead-Usage"])
    needed = {"wall-ms", "cpu-ms", "memory-bytes"} | ({"init-ms"} if reply["Bulkhead-Start"] == "cold" else set())
    assert needed <= set(used), reply
    for key in needed:
        assert isinstance(used[key], (int, float)) and not isinstance(used[key], bool) and used[key] >= 0, used
    return used


# -- RFC 8941, strictly: a lenient parser here would let the host write what other parsers refuse. --------------------

_KEY = re.compile(r"[a-z*][a-z0-9_.*-]*")
_DECIMAL = re.compile(r"-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9.])")
_INTEGER = re.compile(r"-?[0-9]{1,15}(?![0-9.])")
_STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_TOKEN = re.compile(r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*")
_BOOLEAN = re.compile(r"\?([01])")


def _bare_item(text, at):
    for pattern, make in (
        (_DECIMAL, lambda m: float(m[0])), (_INTEGER, lambda m: int(m[0])), (_STRING, lambda m: m[1]),
        (_TOKEN, lambda m: m[0]), (_BOOLEAN, lambda m: m[1] == "1"),
    ):
        if found := pattern.match(text, at):
            return make(found), found.end()
    raise AssertionError(f"no RFC 8941 item at {text[at:]!r}")


def _key_and_value(text, at):
    key = _KEY.match(text, at)
    assert key, f"no RFC 8941 key at {text[at:]!r}"
    at = key.end()
    return (key[0], *_bare_item(text, at + 1)) if text[at:at + 1] == "=" else (key[0], True, at)


def sf_dictionary(text):
    """A structured field dictionary; parameters are checked and dropped."""
    assert text, "the field is missing or empty"
    members, at = {}, 0
    while True:
        key, members_value, at = _key_and_value(text, at)
        members[key] = members_value
        while parameter := re.compile(r"; *").match(text, at):
            _, _, at = _key_and_value(text, parameter.end())
        if at == len(text):
            return members
        comma = re.compile(r"[ \t]*,[ \t]*").match(text, at)
        assert comma, f"no comma at {text[at:]!r}"
        at = comma.end()


def server_timing(reply):
    """Server-Timing as {metric: milliseconds}."""
    metrics = {}
    for entry in ", ".join(reply.headers.get_all("Server-Timing") or []).split(","):
        name, _, rest = entry.strip().partition(";")
        duration = re.search(r"(?:^|;)\s*dur=\"?([0-9.]+)", rest)
        metrics[name.strip()] = float(duration[1]) if duration else None
    return metrics
