"""Settings: an option comes before the environment, that before the file; what is wrong is told with its place."""

import json
import re
import socket
import struct
import subprocess
import time

import pytest

from conftest import REPOSITORY


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "bulkhead.yaml"

    def write(text):
        path.write_text(text)
        return path
    return write


def shown(bulkhead, *arguments, **options):
    done = bulkhead("config", "show", "--json", *arguments, **options)
    assert done.returncode == 0, done.stderr
    return {row["key"]: row for row in json.loads(done.stdout)["settings"]}


def test_where_each_comes_from(bulkhead, file):
    path = file("maxWorkers: 7\nmaxWait: 3s\nhosts: [a.example.com, '*.b.com']\nroots: {image: /srv/image.tar}\n")
    rows = shown(bulkhead, "--config", path, environment={"BULKHEAD_MAX_WORKERS": "9", "BULKHEAD_MAX_EVENT": "1MiB", "BULKHEAD_MAX_QUEUED": ""})
    assert (rows["maxWorkers"]["value"], rows["maxWorkers"]["from"]) == ("9", "BULKHEAD_MAX_WORKERS")
    assert (rows["maxEvent"]["value"], rows["maxEvent"]["from"]) == ("1MiB", "BULKHEAD_MAX_EVENT")
    assert (rows["maxWait"]["value"], rows["maxWait"]["from"]) == ("3s", f"{path} line 2")
    assert rows["hosts"]["value"] == "a.example.com,*.b.com" and rows["roots"]["value"] == "image=/srv/image.tar"
    assert (rows["maxQueued"]["value"], rows["maxQueued"]["from"]) == ("100000", "default")
    assert (rows["listen"]["value"], rows["listen"]["from"]) == ("127.0.0.1:8080", "default")
    table = bulkhead("config", "show", "--config", path).stdout.splitlines()
    assert table[0].split() == ["KEY", "VALUE", "FROM", "WHAT", "IT", "IS"] and len(table) == len(rows) + 1
    assert bulkhead("config", "check", path).returncode == 0


@pytest.mark.parametrize("text, says", [
    ("maxWorkers: 0", "line 1.*maxWorkers.*1 to 8000"), ("a: 1", 'line 1: "a" is unknown.*maxWorkers'), ("[1]", "mapping"), ("a: [", "not YAML"),
    ("listen: nowhere", "HOST:PORT"), ("listen: unix:relative", "absolute"), ("maxEvent: 1GiB", "maxEvent.*512MiB"), ("maxEvent: -1", "maxEvent"),
    ("maxWait: soon", "maxWait"), ("insecureHttp: yes", "true or false"), ("allowDegraded: [roof]", "allowDegraded.*memory"),
    ("\nroots: {minimal: /a}", "line 2.*roots"), ("roots: {a: b}", "absolute"), ("roots: a", "mapping"), ("tlsKey: /k", "go together"),
    ("hosts: {a: b}", "hosts"), ("trustedProxies: [somebody]", "trustedProxies.*10.0.0.0/8"), ("trustedProxies: [10.0.0.0/33]", "trustedProxies"), ("firstUid: 0", "firstUid"), ("maxWorkers: 99999999999999999999", "maxWorkers"),
])
def test_what_is_wrong(bulkhead, file, text, says):
    path = file(text)
    done = bulkhead("config", "check", path)
    assert done.returncode == 2 and re.search(says, done.stderr), done
    # And so it is for whoever serves; a moment's check, before anything is made.
    if "listen" not in text:
        served = bulkhead("serve", "--config", path, "--data", path.parent / "data")
        assert served.returncode == 2 and re.search(says, served.stderr), served
        assert not (path.parent / "data").exists()


def test_wrong_variables_and_options(bulkhead):
    done = bulkhead("config", "check", environment={"BULKHEAD_MAX_WORKERS": "many"})
    assert done.returncode == 2 and "BULKHEAD_MAX_WORKERS" in done.stderr and '"many"' in done.stderr
    assert bulkhead("serve", "--log-level", "loud").returncode == 2
    assert "cannot be read" in bulkhead("serve", "--config", "/nowhere.yaml").stderr


def test_they_count(hosts, workspace):
    """A file's for the host, an option's before it."""
    host = hosts(configuration="maxEvent: 1KiB\nlogLevel: error\n")
    host.upload("echo", b"#!/bin/sh\nexec cat\n")
    assert host.invoke("echo", "x" * 2000).status == 413
    assert "deployed" not in host.log.read_text()


def test_the_readme_names_none_that_there_is_not(bulkhead):
    keys = set(shown(bulkhead))
    readme = (REPOSITORY / "README.md").read_text()
    named = set(re.findall(r"`((?:max|tls|insecure|admin)[A-Z]\w+|memoryBudget|readyCells|firstUid)\b", readme))
    others = {"maxAge", "maxReceives"}  # of a function's async, and of a queue
    assert named - others <= keys, named - keys


def test_whom_to_believe(hosts):
    """Only proxies that are named say who a client is; the last address that is none of theirs is the client's."""
    plain, trusting = hosts(), hosts(configuration="trustedProxies: [127.0.0.1, 10.0.0.0/8, '2001:db8::/32']\n")
    for host in (plain, trusting):
        host.upload("mirror", b"#!/bin/sh\nexec cat\n", query=[("auth", "none")])

    def client(host, said):
        headers = {"X-Forwarded-For": said} if said is not None else {}
        event = host.request("GET", "/fn/mirror", headers=headers, token=None).json()
        assert event["headers"]["x-forwarded-for"] == (f"{said}, 127.0.0.1" if said is not None else "127.0.0.1")
        return event["requestContext"]["http"]["sourceIp"]
    for said, address in (("203.0.113.7", "203.0.113.7"), ("6.6.6.6, 203.0.113.7", "203.0.113.7"), ("203.0.113.7, 10.1.2.3", "203.0.113.7"),
                          ("203.0.113.7,2001:db8::1 , 10.1.2.3", "203.0.113.7"), ("::ffff:10.0.0.1", "::ffff:10.0.0.1"), (None, "127.0.0.1"),
                          ("", "127.0.0.1"), ("nonsense", "127.0.0.1"), ("203.0.113.7, nonsense", "127.0.0.1"), ("10.0.0.1, 11.0.0.1", "11.0.0.1"),
                          ("1.1.1.1," * 900 + "2.2.2.2", "2.2.2.2")):
        assert client(plain, said) == "127.0.0.1"
        assert client(trusting, said) == address, said
    trusting.request("POST", "/v1/keys", b'{"name": "k"}', {"X-Forwarded-For": "203.0.113.9"})
    assert trusting.get("/v1/audit").json()["audit"][0]["from"] == "203.0.113.9"
    plain.request("POST", "/v1/keys", b'{"name": "k"}', {"X-Forwarded-For": "203.0.113.9"})
    assert plain.get("/v1/audit").json()["audit"][0]["from"] == "127.0.0.1"


def test_the_other_header(hosts):
    """RFC 7239's, where the configuration says so; then the usual one is a client's own."""
    host = hosts(configuration="trustedProxies: [127.0.0.1, '2001:db8::/32']\nforwardedBy: Forwarded\n")
    host.upload("mirror", b"#!/bin/sh\nexec cat\n", query=[("auth", "none")])
    for said, address in (
            ("for=192.0.2.60", "192.0.2.60"), ('For="[2001:470::1]:4711";proto=https', "2001:470::1"), ("for=192.0.2.43:1, for=192.0.2.60:2", "192.0.2.60"),
            ('for=192.0.2.43, for="[2001:db8::7]"', "192.0.2.43"), ("by=203.0.113.43;for=192.0.2.60", "192.0.2.60"), ("for=unknown", "127.0.0.1"),
            ('for=203.0.113.9;host="x,for=6.6.6.6"', "203.0.113.9"), ('host="x;for=6.6.6.6";for=203.0.113.9', "203.0.113.9"),
            ('for=203.0.113.9;host="x\\",for=6.6.6.6"', "203.0.113.9"), ('for=203.0.113.9;host="x', "127.0.0.1"), ("for=1.1.1.1;for=2.2.2.2", "127.0.0.1"),
            ("for=_hidden", "127.0.0.1"), ("192.0.2.60", "127.0.0.1"), ("", "127.0.0.1"), ("for=192.0.2.43, nonsense", "127.0.0.1"),
            ("for=" + "1" * 5000, "127.0.0.1"), ("for=\u0301\u0301", "127.0.0.1")):
        headers = {"Forwarded": said.encode().decode("latin-1"), "X-Forwarded-For": "6.6.6.6"}
        event = host.request("GET", "/fn/mirror", headers=headers, token=None).json()
        assert event["requestContext"]["http"]["sourceIp"] == address, said


PROXY2 = b"\r\n\r\n\0\r\nQUIT\n"
GET = b"GET /fn/mirror HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def spoken(host, *pieces):
    """What a connection that says this is answered; nothing, where it is closed."""
    with socket.create_connection(("127.0.0.1", host.port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.02)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    return answer


def who(answer):
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    event = json.loads(re.search(rb"\{.*\}", answer, re.S)[0])
    assert event["headers"]["x-forwarded-for"].split(", ")[-1] == event["requestContext"]["http"]["sourceIp"]
    return event["requestContext"]["http"]["sourceIp"]


def test_the_proxy_protocol(hosts):
    """HAProxy's and NLBs' way: each connection of a proxy's begins with whose it is; without that there is none."""
    host = hosts(configuration="trustedProxies: [127.0.0.1]\nforwardedBy: PROXY\n")
    plain = hosts(configuration="trustedProxies: [10.0.0.1]\nforwardedBy: PROXY\n")
    plain.upload("mirror", b"#!/bin/sh\nexec cat\n", query=[("auth", "none")])
    token = host.token
    curl = ["curl", "-sS", "--haproxy-protocol", "-H", f"Authorization: Bearer {token}"]
    subprocess.run([*curl, "-X", "PUT", "--data-binary", "#!/bin/sh\nexec cat\n", "-H", "Content-Type: application/octet-stream",
                    f"{host.url}/v1/functions/mirror?auth=none"], check=True, timeout=30, capture_output=True)
    seen = json.loads(subprocess.run([*curl, f"{host.url}/fn/mirror"], check=True, timeout=30, capture_output=True).stdout)
    assert seen["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    four = socket.inet_aton("192.0.2.60") + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 1000, 443)
    six = socket.inet_pton(socket.AF_INET6, "2001:470::1") + socket.inet_pton(socket.AF_INET6, "::1") + struct.pack("!HH", 1000, 443)

    def second(command, family, body):
        return PROXY2 + bytes([0x20 | command, family]) + struct.pack("!H", len(body)) + body
    for said, address in ((b"PROXY TCP4 192.0.2.60 192.0.2.1 1000 443\r\n", "192.0.2.60"), (b"PROXY TCP6 2001:470::1 ::1 1000 443\r\n", "2001:470::1"),
                          (b"PROXY UNKNOWN\r\n", "127.0.0.1"), (b"PROXY UNKNOWN ff:ff x y\r\n", "127.0.0.1"),
                          (second(1, 0x11, four), "192.0.2.60"), (second(1, 0x21, six), "2001:470::1"), (second(1, 0x11, four + b"\x04" * 1000), "192.0.2.60"),
                          (second(0, 0x00, b""), "127.0.0.1"), (second(0, 0x11, four), "127.0.0.1"), (second(1, 0x00, b""), "127.0.0.1")):
        assert who(spoken(host, said + GET)) == address, said
        assert who(spoken(host, *[said[at:at + 1] for at in range(min(30, len(said)))], said[30:], GET[:5], GET[5:])) == address, said
        # Of somebody who is no proxy these are not words but a request, and none.
        assert spoken(plain, said + GET).startswith(b"HTTP/1.1 400") or spoken(plain, said + GET) == b""
    # A client's own words about itself are not believed beside it.
    assert who(spoken(host, b"PROXY TCP4 192.0.2.60 192.0.2.1 1 2\r\n" + GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"))) == "192.0.2.60"
    for wrong in (GET, b"PROXY\r\n", b"PROXY TCP4 192.0.2.60\r\n", b"PROXY TCP4 2001:470::1 ::1 1 2\r\n", b"PROXY TCP4 192.0.2.60 192.0.2.1 1000 99999\r\n",
                  b"PROXY TCP4 192.0.2.60 192.0.2.1 1000 443\n", b"PROXY " + b"x" * 200, second(2, 0x11, four), second(1, 0x11, four[:5]),
                  second(1, 0x51, four), PROXY2 + b"\x31\x11\0\0", PROXY2 + b"\x21\x11\xff\xff" + b"x" * 70000, b"\r\n\r\n\0\r\nQUIX\n" + b"x" * 20):
        assert spoken(host, wrong + (b"" if wrong is GET else GET)) == b"", wrong
    assert who(spoken(plain, GET)) == "127.0.0.1"
    assert json.loads(subprocess.run([*curl, f"{host.url}/fn/mirror"], check=True, timeout=30, capture_output=True).stdout)
