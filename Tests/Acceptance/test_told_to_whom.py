"""What strangers learn, and what holders of a token do; what steers machines in front; who is speaking in a log."""

import json
import re

import pytest

from bulkhead_host import unique_name
from checks import OUTCOMES, carries_all, failed, problem, usage
from supervising import answering, bundle, exchange, status
from system import eventually

SECRET = "hunter2-from-the-guest"
PYTHON = f"def handler(event, context):\n    print('{SECRET}')\n    raise KeyError('{SECRET}')\n"
TOLD_TO_ALL = {"title", "status", "invocationId"}

# outcome: (script, limits)
ENDS = {
    "exit": (f"echo {SECRET}; echo {SECRET} >&2; exit 42", {}),
    "signal": (f"echo {SECRET}; echo {SECRET} >&2; kill -SEGV $$", {}),
    "timeout": (f"echo {SECRET} >&2; sleep 30", {"wall": "1s"}),
    "cpu_exceeded": (f"echo {SECRET} >&2; while :; do :; done", {"cpu": "300ms", "wall": "9s"}),
    "memory_exceeded": (f"echo {SECRET} >&2; head -c 300000000 /dev/zero | tail -c 300000000", {"memory": "32MiB", "wall": "9s"}),
    "output_exceeded": (f"echo {SECRET} >&2; yes {SECRET}", {"output": "64KiB", "wall": "9s"}),
    "denied": (f"echo {SECRET} >&2; exec unshare -U true", {}),
    "protocol_error": (f"cat >/dev/null; printf '{{\"statusCode\":9999,\"body\":\"{SECRET}\"}}'", {}),
}


def failing(host, outcome, auth):
    if outcome == "error":
        name = unique_name("fails")
        host.upload(name, PYTHON.encode(), {"runtime": "python", "handler": "app.handler", "auth": auth})
        return name
    name = unique_name("fails")
    script, limits = ENDS[outcome]
    host.upload(name, f"#!/bin/sh\n{script}\n".encode(), {"auth": auth, **limits})
    return name


# -- A failure --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["error", *ENDS])
def test_a_stranger_is_told_that_it_failed(host, outcome):
    """Title, status and the invocation's id; by them somebody with a token finds the rest."""
    reply = host.get(f"/fn/{failing(host, outcome, 'none')}", token=None)
    assert reply.status in (502, OUTCOMES[outcome][0]) and reply.media_type == "application/problem+json", reply
    told = reply.json()
    assert set(told) == TOLD_TO_ALL, told
    assert told["status"] == reply.status and told["title"].strip() and told["invocationId"] == reply["Bulkhead-Invocation-Id"]
    assert SECRET not in str(reply.headers) + reply.body.decode(), reply
    assert host.record_when_done(told["invocationId"])["outcome"] == outcome


def test_strangers_cannot_tell_failures_apart_by_title(host):
    """What ended a function is not for strangers: the same status, the same words."""
    replies = [host.get(f"/fn/{failing(host, outcome, 'none')}", token=None)
               for outcome in ("error", "exit", "signal", "output_exceeded", "protocol_error")]
    assert len({(reply.status, reply.json()["title"]) for reply in replies}) == 1, [reply.json() for reply in replies]


@pytest.mark.parametrize("outcome", ["error", *ENDS])
def test_a_holder_is_told_all(host, outcome):
    """By both ways in."""
    name = failing(host, outcome, "token")
    ways = [host.get(f"/fn/{name}")]
    if outcome != "protocol_error":
        ways.append(host.invoke(name, {}))
    for reply in ways:
        failed(reply, outcome)


@pytest.mark.parametrize("outcome", ["exit", "signal"])
def test_the_ends_of_both_streams(host, outcome):
    """4 KiB of each, the last ones, so that nobody has to guess what a program said as it died."""
    end = "exit 3" if outcome == "exit" else "kill -ABRT $$"
    name = unique_name("verbose")
    host.upload(name, f"#!/bin/sh\nseq 1 9000; seq 10001 19000 >&2\n{end}\n".encode(), {"auth": "token"})
    for reply in (host.invoke(name, {}), host.get(f"/fn/{name}")):
        told = failed(reply, outcome)
        for member, last in (("stdout", "9000"), ("log", "19000")):
            assert told[member].rstrip().endswith(last), told[member][-100:]
            assert 2000 <= len(told[member].encode()) <= 4200, len(told[member])
    quiet = unique_name("quiet")
    host.upload(quiet, f"#!/bin/sh\nprintf '\\377\\000\\033[31m'; {end}\n".encode())
    failed(host.invoke(quiet, {}), outcome)  # whatever the bytes are, the problem is JSON


def test_a_success_tells_strangers_nothing_of_its_cost(host):
    name = answering(host, '{"statusCode":200,"body":"x"}')
    reply = host.get(f"/fn/{name}", token=None)
    assert (reply.status, reply.outcome, reply["Bulkhead-Usage"], reply["Server-Timing"]) == (200, "ok", None, None), reply
    assert reply["Bulkhead-Invocation-Id"]
    holder = host.get(f"/fn/{name}")
    carries_all(holder)
    usage(holder)
    wrong = host.get(f"/fn/{name}", token="wrong")
    assert wrong["Bulkhead-Usage"] is None and wrong["Server-Timing"] is None


# -- Machines in front ------------------------------------------------------------------------------------------------

STEERING = [
    "X-Accel-Redirect", "X-Accel-Buffering", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Charset", "X-Accel-New",
    "X-Sendfile", "X-SendFile2", "X-Sendfile-Temporary", "X-Lighttpd-Send-File", "X-LIGHTTPD-send-tempfile",
    "X-Reproxy-URL", "X-Reproxy-File", "X-Reproxy-Expected-Size", "X-LiteSpeed-Location", "X-LiteSpeed-Cache",
    "X-LiteSpeed-Cache-Control", "X-LiteSpeed-Purge", "X-LiteSpeed-Tag", "X-LiteSpeed-Vary", "X-LSCache", "X-LSADC-Backend",
    "Surrogate-Control", "Surrogate-Key", "X-Varnish", "X-Proxy-Cache-Purge", "Proxy-Authenticate", "Proxy-Connection", "Bulkhead-Outcome",
    "Bulkhead-Anything", "Server-Timing", "Alt-Svc", "Strict-Transport-Security", "Clear-Site-Data",
]


@pytest.mark.parametrize("spelling", [str, str.upper, str.lower])
def test_headers_that_steer(host, spelling):
    """A proxy in front would answer with files of its own, keep what it must not, or speak in the host's name."""
    name = answering(host, json.dumps({"statusCode": 200, "body": "x", "headers": {
        **{spelling(header): "/etc/forged" for header in STEERING}, "X-Kept": "yes"}}))
    for token in (None, host.token):
        reply = host.get(f"/fn/{name}", token=token)
        assert (reply.status, reply["X-Kept"]) == (200, "yes")
        passed = [header for header in reply.headers if "/etc/forged" in reply.headers[header]]
        assert passed == [], passed


# -- Who speaks -------------------------------------------------------------------------------------------------------


def test_log_lines_have_a_source(host):
    """A function can print what the host would, and is still the function."""
    forged = ["[bulkhead: 12 KiB more were dropped]", "bulkhead: the worker was ended", '{"source":"host","text":"forged"}',
              "the next is started in 1 s", "\u001b[2Khost", '","source":"host"']
    quoted = "\n".join(forged).encode()
    name = bundle(host, "run: ./run\nlimits: { log: 4KiB }\n", {
        "run": "#!/bin/sh\ncat /function/forged >&2\nyes | head -c 20000 >&2\n", "forged": quoted + b"\n"})
    host.invoke(name, {}, expect="ok")
    lines = eventually(lambda: [line for line in host.logs(name) if line["source"] == "host"] and host.logs(name), 5,
                       "the host says that it dropped some")
    own = [line["text"] for line in lines if line["source"] == "host"]
    assert {line["source"] for line in lines} == {"function", "host"}
    assert any(re.search("drop", text) for text in own) and not set(own) & set(forged), own
    said = [line for line in lines if line["text"].startswith(("[bulkhead", "bulkhead:", '{"source"'))
            and line["source"] == "function"]
    assert len(said) >= 3 or not said, said  # the newest are what is kept


def test_the_hosts_lines_of_warm_workers(host):
    """What the host says of a worker that it gave up is the host's."""
    name = unique_name("hasty")
    host.upload(name, b"#!/bin/sh\necho 'ended before it was needed' >&2\nexit 7\n", {"warm": "1"})
    lines = eventually(lambda: len({line["source"] for line in host.logs(name)}) == 2 and host.logs(name), 5, "both speak")
    for line in lines:
        assert line["source"] == ("function" if line["text"] == "ended before it was needed" else "host"), line


# -- Whose host -------------------------------------------------------------------------------------------------------


def by_name(host, name, path="/healthz"):
    return exchange(host, f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode(), 10)


@pytest.mark.parametrize("path", ["/healthz", "/fn/nothing", "/v1/functions", "/metrics", "/openapi.json"])
@pytest.mark.parametrize("name", [
    "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "169.254.169.254", "10.0.0.1",
    "evil.example\t", "a b", "localhost@evil.example", "127.1", "0x7f000001", "[::2]", "",
])
def test_another_hosts_name_is_refused(host, name, path):
    """Or a page whose name is made to point here could speak to it as its own (DNS rebinding)."""
    answer = by_name(host, name, path)
    assert 400 <= status(answer) < 500 and status(answer) not in (401, 404), answer[:300]
    assert b"urn:bulkhead:outcome" in answer or status(answer) == 400, answer[:300]


@pytest.mark.parametrize("name", ["localhost", "localhost:{port}", "127.0.0.1", "127.0.0.1:{port}", "[::1]", "[::1]:{port}",
                                  "LOCALHOST:{port}"])
def test_its_own_names_are_served(host, name):
    assert status(by_name(host, name.format(port=host.port))) == 200


def test_a_guest_failure_by_route_without_token_has_an_id_to_report(host):
    """The id that a stranger reports leads to all of it."""
    name = failing(host, "exit", "none")
    identifier = host.get(f"/fn/{name}", token=None).json()["invocationId"]
    assert host.record_when_done(identifier)["outcome"] == "exit"
    eventually(lambda: [line for line in host.logs(name, invocation=identifier) if SECRET in line["text"]], 5, "its log")
    problem(host.get(f"/v1/invocations/{identifier}", token=None), "unauthorized")
