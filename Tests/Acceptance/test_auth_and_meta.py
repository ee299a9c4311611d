"""Who may do what, and the routes that describe the host itself."""

import json
import re
import socket
import stat

import pytest

from bulkhead_host import OCTETS
from checks import problem
from conftest import REPOSITORY

PROTECTED = [
    ("GET", "/v1/functions"), ("GET", "/v1/functions/x"), ("GET", "/v1/functions/x/versions"),
    ("PUT", "/v1/functions/x"), ("DELETE", "/v1/functions/x"), ("POST", "/v1/functions/x/invocations"),
    ("GET", "/v1/functions/x/logs"), ("GET", "/v1/invocations/x"),
]
OPEN = ["/healthz", "/readyz", "/metrics", "/openapi.json"]


# -- Tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization", [
    None, "Bearer", "Bearer ", "Bearer wrong", "Basic YWRtaW46YWRtaW4=", "wrong", "Bearer \u00e9",
    "Bearer " + "a" * 4000,
], ids=["none", "no token", "empty", "wrong", "basic", "no scheme", "latin-1", "long"])
@pytest.mark.parametrize("method, path", PROTECTED)
def test_unauthorized(host, method, path, authorization):
    """Without the token nothing is told: not even whether the function exists."""
    headers = {"Content-Type": OCTETS} | ({"Authorization": authorization} if authorization is not None else {})
    reply = host.request(method, path, b"#!/bin/sh\n" if method in ("PUT", "POST") else None, headers, token=None)
    problem(reply, "unauthorized")
    assert reply["WWW-Authenticate"].startswith("Bearer")


def test_almost_the_token(host):
    """All of it counts: each end, and its case."""
    for token in (host.token[:-1], host.token + "x", host.token[1:], host.token.swapcase()):
        problem(host.get("/v1/functions", token=token), "unauthorized")


def test_scheme_has_no_case(host):
    """RFC 9110: authentication schemes are compared without case."""
    reply = host.get("/v1/functions", token=None, headers={"Authorization": f"bearer {host.token}"})
    assert reply.status == 200


def test_upload_is_refused_before_it_is_read(host):
    """A stranger cannot make the host take in 60 MiB first."""
    headers = {"Content-Type": OCTETS, "Content-Length": str(60 << 20)}
    reply = host.request("PUT", "/v1/functions/x", b"#!", headers, token=None)
    problem(reply, "unauthorized")


def test_files_of_the_data_directory(host):
    """The token is for its owner's eyes; the endpoint is where clients find the host."""
    assert stat.S_IMODE((host.data / "admin.token").stat().st_mode) == 0o600
    assert len(host.token) >= 32, "a token that short could be guessed"
    assert (host.data / "endpoint").read_text().strip() == host.url


def test_token_is_not_logged(host):
    """Logs are read by more people than tokens are."""
    host.get("/v1/functions")
    assert host.token not in host.log.read_text(errors="replace")
    assert not any(host.token in line for line in host.lines)


# -- The host itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", OPEN)
def test_open_routes(host, path):
    """Probes and scrapers have no token."""
    assert host.get(path, token=None).status == 200


SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: -?[0-9]+)?")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')


def samples_of(text):
    """Prometheus' text format, strictly: {(name, labels): value} and {family: type}."""
    assert text.endswith("\n")
    samples, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert family not in types and kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
            types[family] = kind
        elif line and not line.startswith("#"):
            found = SAMPLE.fullmatch(line)
            assert found, f"no sample: {line!r}"
            labels = LABEL.findall(found[2] or "")
            assert LABEL.sub("", found[2] or "") == "", f"labels: {line!r}"
            key = found[1], tuple(sorted(labels))
            assert key not in samples, f"twice: {line!r}"
            samples[key] = float(found[3].replace("Inf", "inf"))
    return samples, types


def test_metrics(host, example):
    """What a scraper reads: well formed, typed, and counting."""
    reply = host.get("/metrics", token=None)
    assert reply["Content-Type"].startswith("text/plain")
    before, types = samples_of(reply.body.decode())
    assert types
    for (name, _), value in before.items():
        family = re.sub(r"_(bucket|sum|count|total|created)$", "", name)
        assert name in types or family in types, f"{name} has no type"
    host.invoke(example("echo"), 1, expect="ok")
    after, _ = samples_of(host.get("/metrics", token=None).body.decode())
    counters = [key for key in after if types.get(key[0]) == "counter" or key[0].endswith("_total")]
    assert all(after[key] >= before.get(key, 0) for key in counters), "a counter went back"
    assert any(after[key] > before.get(key, 0) for key in counters), "an invocation moved no counter"


def test_histograms_add_up(host, example):
    """Buckets grow with their bound, and the last one is the count."""
    host.invoke(example("echo"), 1, expect="ok")
    samples, types = samples_of(host.get("/metrics", token=None).body.decode())
    for family in [family for family, kind in types.items() if kind == "histogram"]:
        series = {}
        for (name, labels), value in samples.items():
            if name == f"{family}_bucket":
                bound = float(dict(labels)["le"].replace("Inf", "inf"))
                series.setdefault(tuple(label for label in labels if label[0] != "le"), []).append((bound, value))
        for labels, buckets in series.items():
            counts = [count for _, count in sorted(buckets)]
            assert counts == sorted(counts), family
            assert max(buckets)[0] == float("inf") and counts[-1] == samples[f"{family}_count", labels]


def test_openapi(host):
    """The document lists the contract's routes, and no tool is needed to see that it is OpenAPI 3.1."""
    document = host.get("/openapi.json", token=None)
    assert document.media_type == "application/json"
    document = document.json()
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert document["info"]["title"] and document["info"]["version"]
    paths = {re.sub(r"\{[^}]*\}", "{}", path): item for path, item in document["paths"].items()}
    for path, methods in {
        "/v1/functions": ["get"], "/v1/functions/{}": ["put", "get", "delete"], "/v1/functions/{}/versions": ["get"],
        "/v1/functions/{}/invocations": ["post"], "/v1/invocations/{}": ["get"], "/v1/functions/{}/logs": ["get"],
        "/fn/{}": ["get", "post"], "/healthz": ["get"], "/readyz": ["get"], "/metrics": ["get"],
        "/openapi.json": ["get"],
    }.items():
        for method in methods:
            assert paths[path][method]["responses"], f"{method} {path}"


def test_openapi_references(host):
    """Every $ref leads somewhere, and every {parameter} of a path is declared."""
    document = host.get("/openapi.json", token=None).json()

    def follow(reference):
        assert reference.startswith("#/"), reference
        target = document
        for part in reference[2:].split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        return target

    for reference in re.findall(r'"\$ref": "([^"]*)"', json.dumps(document)):
        follow(reference)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in ("get", "put", "post", "delete", "patch", "head", "options"):
                declared = item.get("parameters", []) + operation.get("parameters", [])
                declared = [follow(one["$ref"]) if "$ref" in one else one for one in declared]
                in_path = {one["name"] for one in declared if one["in"] == "path"}
                assert in_path == set(re.findall(r"\{([^}]*)\}", path)), f"{method} {path}"


# -- What is not there ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1", "/v1/nothing", "/v2/functions", "/v1/functions/x/nothing", "/fn",
                                  "/v1/functions/../../etc/passwd"])
def test_unknown_route(host, path):
    """404 in the same form as every other failure."""
    problem(host.get(path), "not_found")


@pytest.mark.parametrize("method, path", [
    ("POST", "/healthz"), ("DELETE", "/metrics"), ("PATCH", "/v1/functions/x"), ("DELETE", "/v1/functions"),
    ("GET", "/v1/functions/x/invocations"), ("PUT", "/v1/functions/x/logs"), ("POST", "/v1/functions/x"),
])
def test_method_not_allowed(host, method, path):
    """405 says which methods there are (RFC 9110)."""
    reply = host.request(method, path, b"{}" if method in ("POST", "PUT", "PATCH") else None)
    assert reply.status == 405, reply
    assert reply["Allow"]
    assert reply.media_type == "application/problem+json", reply


@pytest.mark.parametrize("raw", [
    b"GARBAGE\r\n\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00", b"\0" * 5000,
], ids=["garbage", "two lengths", "negative length", "bad chunk", "tls", "zeros"])
def test_what_is_no_http(host, raw):
    """Refused or ignored, but survived; and nothing of it is taken for a success."""
    with socket.create_connection((host.address, host.port), timeout=5) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except (ConnectionError, TimeoutError):
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 2"), answer
    assert host.get("/healthz", token=None).status == 200


def test_openapi_in_the_repository(host):
    """What the endpoints say is written down beside them, so that a change of the outside shows in a diff."""
    file = REPOSITORY / "Sources/Gateway/openapi.json"
    served = host.get("/openapi.json", token=None).json()
    written = json.dumps(served, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    assert file.read_text() == written, f"{file} is stale: write GET /openapi.json there, as this test does"
