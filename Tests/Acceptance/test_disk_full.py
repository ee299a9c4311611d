"""A full disk: what cannot be stored is refused with the reason, the rest goes on, nothing is lost, and space is all that it takes."""

import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from bulkhead_host import Host, unique_name
from conftest import BINARY, SLOWNESS
from system import eventually
from test_events import ASYNC, ECHO

JSON = {"Content-Type": "application/json"}
SIZE = 24  # MiB


class Disk:
    """A small file system, and the host that has its data on it."""

    def __init__(self, folder):
        self.folder, self.filler = folder, folder / "filler"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}m,mode=755", "bulkhead-test", folder], check=True)
        self.host = Host(BINARY, folder / "data", folder.with_suffix(".log"))

    def fill(self, leave=0):
        """To the last byte, but for `leave`."""
        with open(self.filler, "ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass
            file.truncate(file.tell() - leave)

    def free(self):
        self.filler.unlink()

    def end(self):
        if self.host.running:
            self.host.kill()
        try:
            eventually(lambda: not subprocess.run(["umount", self.folder], capture_output=True).returncode, 10, "it is unmounted")
        except AssertionError:
            subprocess.run(["umount", "--lazy", self.folder])
            raise


@pytest.fixture
def disk(workspace):
    made = Disk(workspace / unique_name("disk"))
    try:
        made.host.start()
        yield made
    finally:
        made.end()


def sound(disk, bulkhead):
    done = bulkhead("check", "--data-dir", disk.host.data)
    return done.returncode == 0 and done.stdout.startswith("sound: ") or (done.stdout, done.stderr)


def explains(reply):
    """Of the host's doing, that nothing can be stored, and what to do about it; not only that something failed."""
    if reply.media_type != "application/problem+json" or reply.status not in (500, 503, 507):
        return False
    told = reply.json()
    detail = told.get("detail", "").lower()
    return (told["blame"] == "host" and told["status"] == reply.status and re.search(r"disk|space|stored", detail)
            and re.search(r"full|no space|cannot be stored|nothing can be", detail) and re.search(r"free|make room|make space", detail))


def storing(host, word):
    """What stores something: {what: how}. Each can be done again with another word."""
    def put(path, body):
        return host.request("PUT", path, json.dumps(body).encode(), JSON)
    return {
        "an upload": lambda: host.upload(f"new-{word}", ECHO + f"#{word}\n".encode(), expect=()),
        "an upload of stored bytes": lambda: host.upload(f"same-{word}", ECHO, expect=()),
        "an asynchronous invocation": lambda: host.invoke("echo", {"x": 1}, headers=ASYNC),
        "one with a key": lambda: host.invoke("echo", {"x": 1}, headers=ASYNC | {"Idempotency-Key": f"a-{word}"}),
        "a synchronous one with a key": lambda: host.invoke("echo", {"x": 1}, headers={"Idempotency-Key": f"s-{word}"}),
        "a secret": lambda: host.request("PUT", f"/v1/secrets/s-{word}", b"sesame"),
        "a schedule": lambda: put(f"/v1/schedules/s-{word}", {"cron": "@yearly", "function": "echo"}),
        "a schedule's run": lambda: host.request("POST", "/v1/schedules/yearly/run"),
        "an access key": lambda: host.request("POST", "/v1/keys", json.dumps({"name": word, "role": "invoke"}).encode(), JSON),
        "an alias": lambda: put(f"/v1/functions/echo/aliases/a-{word}", {"version": 1}),
        "a route": lambda: put(f"/v1/routes/r-{word}", {"route": f"GET /{word}", "function": "echo"}),
        "a budget": lambda: put("/v1/functions/echo/budget", {"gbSecondsPerMonth": 1000 + len(word)}),
        "a new key for secrets": lambda: host.request("POST", "/v1/secret-key/rotate"),
    }


def done(host, word):
    return {what: reply.status for what, how in storing(host, word).items() if (reply := how()).status not in (200, 201, 202)}


def prepare(host):
    host.upload("echo", ECHO)
    host.request("PUT", "/v1/schedules/yearly", b'{"cron":"@yearly","function":"echo"}', JSON)
    assert done(host, "before") == {}


def test_what_cannot_be_stored_is_refused_with_the_reason(disk):
    """And as soon as there is space all of it works, without a restart."""
    host = disk.host
    prepare(host)
    serving = host.supervisor
    disk.fill()
    replies = {what: how() for what, how in storing(host, "full").items()}
    replies["a deletion"] = host.delete("same-before")
    for number in range(20):
        assert host.invoke("echo", number, expect="ok").json() == number
    disk.free()
    assert done(host, "after") == {}
    assert host.supervisor.identity == serving.identity, host.log_tail()
    stored = {what: reply for what, reply in replies.items() if reply.status < 300}
    assert not stored, f"kept on a full disk? {stored}"
    unclear = {what: reply for what, reply in replies.items() if not explains(reply)}
    assert not unclear, "\n".join(f"{what}: {reply}" for what, reply in unclear.items())


def test_what_only_reads_goes_on(disk):
    host = disk.host
    prepare(host)
    identifier = host.invoke("echo", {"x": 2}, headers=ASYNC).json()["id"]
    host.record_when_done(identifier)
    first = host.invoke("echo", {"x": 3}, headers={"Idempotency-Key": "old"})
    disk.fill()
    host.invoke("echo", 1, expect="ok")
    again = host.invoke("echo", {"x": 3}, headers={"Idempotency-Key": "old"})
    assert again["Idempotency-Replayed"] == "true" and again.body == first.body
    paths = ["functions", "functions/echo", "functions/echo/versions", "functions/echo/aliases", "functions/echo/logs", "functions/echo/dead-letters",
             "functions/echo/budget", "secrets", "schedules", "schedules/yearly/runs", "keys", "routes", "audit", "usage", f"invocations/{identifier}"]
    failed = {path: reply for path in paths if (reply := host.get(f"/v1/{path}")).status != 200}
    failed |= {path: reply for path in ("/metrics", "/healthz", "/readyz") if (reply := host.get(path)).status != 200}
    assert not failed, "\n".join(f"{path}: {reply}" for path, reply in failed.items())


def test_logs_are_kept_in_memory_then(disk):
    host = disk.host
    host.upload("tell", b"#!/bin/sh\ncat >&2\n")
    disk.fill()
    for number in range(5):
        host.invoke("tell", number, expect="ok")
    texts = eventually(lambda: (found := [line["text"] for line in host.logs("tell")]) and len(found) == 5 and found, 5, "all lines")
    assert texts == [str(number) for number in range(5)]
    eventually(lambda: "logs cannot be written" in host.log.read_text(), 5, "it is said")


def test_nothing_that_was_accepted_is_lost(disk, bulkhead):
    """While the disk becomes full, not before: everything is stored, or refused."""
    host = disk.host
    host.upload("echo", ECHO, {"max": "8"})
    accepted, uploaded, secrets, refused = {}, {}, [], 0
    for step in range(4):
        disk.fill(leave=4 << 20)
        for number in range(3000):
            key, event = f"{step}-{number}", {"n": number, "pad": "x" * 10_000}
            reply = host.invoke("echo", event, headers=ASYNC)
            if reply.status == 202:
                accepted[reply.json()["id"]] = event
            if number % 10 == 0:
                script = f"#!/bin/sh\ncat >/dev/null; echo '\"{key}\"'\n".encode()
                uploads = host.upload(f"f-{key}", script, expect=())
                if uploads.status == 201:
                    uploaded[f"f-{key}"] = key
                if host.request("PUT", f"/v1/secrets/s-{key}", b"x" * 500).status == 201:
                    secrets.append(f"s-{key}")
            if reply.status >= 500:
                refused += 1
            if refused > 3 * (step + 1):
                break
        assert refused > 3 * step, f"{step}: it never became full"
    disk.free()
    assert len(accepted) > 100 and uploaded and secrets, (len(accepted), uploaded, secrets)

    def all_there():
        for identifier, event in accepted.items():
            record = host.record_when_done(identifier, 30 * SLOWNESS)
            assert record["outcome"] == "ok" and record["result"] == event, record
        for name, answer in uploaded.items():
            assert host.invoke(name, expect="ok").json() == answer
        there = {one["name"] for one in host.get("/v1/secrets?limit=1000").json()["secrets"]}
        assert set(secrets) <= there, set(secrets) - there
    all_there()
    assert sound(disk, bulkhead) is True
    assert host.stop() == 0
    host.start()
    all_there()
    assert host.get("/v1/functions/echo/dead-letters").json()["deadLetters"] == []


def test_the_disk_fills_while_it_runs(disk):
    """Accepted and under way: it ends when its end can be stored, once, and no earlier says so."""
    host = disk.host
    host.upload("slow", b"#!/bin/sh\necho ran >&2; sleep 1; cat\n")
    identifier = host.invoke("slow", {"a": 1}, headers=ASYNC).json()["id"]
    eventually(lambda: host.logs("slow"), 5, "it runs")
    disk.fill()
    time.sleep(2)
    assert host.record(identifier)["status"] in ("queued", "running"), "it may not say that it is done"
    disk.free()
    record = host.record_when_done(identifier, 10 * SLOWNESS)
    assert record["outcome"] == "ok" and record["result"] == {"a": 1}, record
    assert len(host.logs("slow")) == 1


def test_a_keyed_request_whose_answer_cannot_be_kept(disk):
    """It is not run, or its answer says that it was; with space, the key has one answer."""
    host = disk.host
    host.upload("pay", b"#!/bin/sh\necho ran >&2; cat; date +%N\n")
    disk.fill()
    replies = [host.invoke("pay", {"a": 1}, headers={"Idempotency-Key": "k"}) for _ in range(3)]
    assert {reply.status for reply in replies} <= {500, 503, 507}, replies
    ran = len(host.logs("pay"))
    disk.free()
    first, second = (host.invoke("pay", {"a": 1}, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.status == 200 and second.body == first.body and second["Idempotency-Replayed"] == "true"
    said = [reply for reply in replies if re.search(r"\bran\b|was run|carried out", reply.json()["detail"])]
    assert ran <= len(said), f"it ran {ran} times, and was told of {len(said)} times: {replies}"


def test_a_start_on_a_full_disk(disk, bulkhead):
    """It serves, or says why it does not, with exit status 3; with space it serves again."""
    host = disk.host
    prepare(host)
    disk.fill()
    assert host.stop() == 0
    disk.fill()
    command = [host.binary, "serve", "--listen", "127.0.0.1:0", "--data", host.data]
    serving = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    listening = threading.Timer(20 * SLOWNESS, serving.terminate)  # it serves: then it ends well
    listening.start()
    out, told = serving.communicate(timeout=60)
    listening.cancel()
    if serving.returncode != 0:
        assert serving.returncode == 3 and re.search("no space left|disk.* full", told.lower()) and str(host.data) in told, (serving.returncode, out, told)
    disk.free()
    assert sound(disk, bulkhead) is True
    host.start()
    assert host.invoke("echo", {"x": 1}, expect="ok").json() == {"x": 1}
    assert done(host, "again") == {}


def test_a_kill_on_a_full_disk(disk, bulkhead):
    """The guardian goes on trying, says why, and serves soon after there is space."""
    host = disk.host
    prepare(host)
    identifier = host.invoke("echo", {"x": 2}, headers=ASYNC).json()["id"]
    host.record_when_done(identifier)
    time.sleep(0.3)  # a record may say so a moment before it is written
    disk.fill()
    os.kill(host.supervisor.pid, signal.SIGKILL)
    time.sleep(2)
    assert host.running
    disk.free()

    def serves():
        try:
            return host.get("/readyz", timeout=2).status == 200
        except OSError:
            return False
    eventually(serves, 15 * SLOWNESS, "it serves again")
    assert host.record(identifier)["result"] == {"x": 2}
    assert done(host, "again") == {}
    assert sound(disk, bulkhead) is True
