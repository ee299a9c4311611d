"""What uploads take of the disk: bounded for all and for each key, and given back while the host runs."""

import json
from functools import partial

from bulkhead_host import OCTETS, ZIP, at_once
from bundles import zip_of
from checks import problem
from system import eventually

MIB = 1 << 20


def script(number):
    return f"#!/bin/sh\nread -r event\necho {number}\n".encode()


def stored(host):
    """Bundles on the disk, the host's own among them."""
    return {path.name for path in (host.data / "bundles").iterdir()}


def test_versions_have_a_bound(hosts):
    host = hosts(configuration="maxVersions: 2\n")
    host.upload("one", script(1))
    host.upload("two", script(2))
    told = problem(host.upload("three", script(3), expect=None), "payload_too_large")
    assert "2 versions" in told["detail"] and "maxVersions" in told["detail"]
    assert host.get("/v1/functions/three").status == 404
    assert host.delete("one").status == 204
    host.upload("three", script(3), expect=(201,))


def test_bytes_have_a_bound(hosts):
    """As they stand on the disk, not as they came: a megabyte of zeros is a kilobyte in a zip."""
    host = hosts(configuration="maxStored: 3MiB\n")
    def bundle(letter):
        return zip_of({"function.yaml": b"run: ./run\n", "run": (script(1), 0o755), "data": letter * (2 * MIB)})
    host.upload("one", bundle(b"\0"), content_type=ZIP)
    problem(host.upload("two", bundle(b"\1"), content_type=ZIP, expect=None), "payload_too_large")
    before = stored(host)
    eventually(lambda: len(stored(host)) <= 2, 10, f"what was refused is gone: {before}")
    host.upload("two", script(2), expect=(201,))
    assert host.invoke("one", expect="ok").body == b"1\n"


def test_each_key_has_its_own_bound(hosts):
    host = hosts(configuration="maxVersionsByKey: 1\n")
    reply = host.request("POST", "/v1/keys", json.dumps({"name": "other", "role": "admin"}).encode(),
                         {"Content-Type": "application/json"})
    other = reply.json()["token"]
    host.upload("mine", script(1))
    problem(host.upload("mine-too", script(2), expect=None), "payload_too_large")
    host.upload("theirs", script(2), token=other, expect=(201,))
    problem(host.upload("theirs-too", script(3), token=other, expect=None), "payload_too_large")


def test_old_versions_go(hosts):
    """Twenty old ones stay; what nothing names leaves the disk, while the host serves."""
    host = hosts()
    for number in range(30):
        host.upload("often", script(number))
    numbers = [one["version"] for one in host.get("/v1/functions/often/versions", query={"limit": 100}).json()["versions"]]
    assert numbers == list(range(10, 31))
    eventually(lambda: len(stored(host)) == 21 + 1, 10, "the others are gone from the disk")
    assert host.invoke("often", expect="ok").body == b"29\n"
    assert host.invoke("often", query={"version": 10}, expect="ok").body == b"9\n"
    host.delete("often")
    eventually(lambda: len(stored(host)) == 1, 10, "all are gone from the disk")


def test_what_runs_keeps_its_bundle(hosts):
    """A function that is deleted while it runs finds its files to the end; then they go."""
    host = hosts()
    source = b"#!/bin/sh\nread -r event\nsleep 4\ncat /function/data\n"
    host.upload("slow", zip_of({"function.yaml": b"run: ./run\nlimits: { wall: 10s }\n", "run": (source, 0o755), "data": b"there"}),
                content_type=ZIP)
    def delete():
        eventually(lambda: b"bulkhead_invocations_running 1" in host.get("/metrics").body, 5, "it runs")
        return host.delete("slow")
    reply, deleted = at_once([partial(host.invoke, "slow", {}), delete])
    assert deleted.status == 204
    assert (reply.outcome, reply.body) == ("ok", b"there"), reply
    eventually(lambda: len(stored(host)) == 1, 15, "its bundle is gone from the disk")


def test_many_uploads_of_one_bundle(hosts):
    """The same bytes stored, deleted and stored again at once: whoever is told 201 has them."""
    host = hosts()
    def both(number):
        name = f"same-{number}"
        for _ in range(8):
            host.upload(name, script(7), content_type=OCTETS, query={"run": "./run"})
            assert host.invoke(name, expect="ok").body == b"7\n"
            assert host.delete(name).status == 204
    at_once([partial(both, number) for number in range(4)])
