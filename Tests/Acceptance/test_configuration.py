"""Settings: an option comes before the environment, that before the file; what is wrong is told with its place."""

import json
import re

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
    assert (rows["maxQueued"]["value"], rows["maxQueued"]["from"]) == ("1000", "default")
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
    assert named - {"maxAge"} <= keys | {"maxAge"}, named - keys


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
