"""Backups while the host serves, and what is made out of them."""

import os
import sqlite3
import tarfile
import threading

from bulkhead_host import unique_name
from test_events import ECHO, FAIL
from test_secrets import SECRET, TELL, digest, put, shows


def ran(bulkhead, *arguments, status=0):
    done = bulkhead(*arguments)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_backed_up_while_it_serves_and_restored(hosts, bulkhead, workspace):
    host = hosts()
    host.upload("echo", ECHO)
    host.upload("fail", FAIL, {"retries": "0"})
    put(host, "db", SECRET)
    host.upload("tell", TELL, {"secrets": "DB=db"})
    host.request("PUT", "/v1/schedules/daily", b'{"cron":"@daily","function":"echo"}', {"Content-Type": "application/json"})
    ended = host.invoke("echo", {"a": 1}, headers={"Prefer": "respond-async"}).json()["id"]
    host.record_when_done(ended)
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            host.invoke("echo", 1, headers={"Prefer": "respond-async"})
    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    file = workspace / f"{unique_name('backup')}.tar.gz"
    try:
        assert "3 versions" in ran(bulkhead, "backup", file, "--data-dir", host.data)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert file.stat().st_mode & 0o777 == 0o600 and sorted(path.name for path in workspace.glob(f"{file.name}*")) == [file.name]
    with tarfile.open(file) as archive:
        names = archive.getnames()
        assert not [name for name in names if "key" in name or "token" in name or "log" in name.split("/")[0].replace("catalogue", "")], names
        for member in archive.getmembers():
            if member.isfile():
                assert not shows(archive.extractfile(member).read()), member
    assert ran(bulkhead, "check", "--data-dir", host.data).startswith("sound: 3 versions")
    key = (host.data / "secrets.key").read_bytes()
    assert host.stop() == 0

    place = workspace / unique_name("restored")
    assert "3 versions" in ran(bulkhead, "restore", file, "--data-dir", place)
    assert "already" in ran(bulkhead, "restore", file, "--data-dir", place, status=2)
    (place / "secrets.key").write_bytes(key)
    (place / "secrets.key").chmod(0o600)
    again = hosts(place)
    assert again.invoke("echo", {"b": 2}, expect="ok").json() == {"b": 2}
    assert digest(SECRET) in again.invoke("tell", expect="ok").body.decode()
    assert again.get("/v1/schedules/daily").status == 200 and again.record(ended)["result"] == {"a": 1}
    # What was restored is the host's own: it can be deleted, and is collected, also by the next one.
    again.delete("echo")
    assert again.stop() == 0
    again.start()
    assert again.stop() == 0 and len(list((place / "bundles").iterdir())) <= 3, "two functions, and the Python runtime"


def test_what_is_damaged_is_said(hosts, bulkhead, workspace):
    host = hosts()
    host.upload("echo", ECHO)
    file = workspace / f"{unique_name('backup')}.tar.gz"
    ran(bulkhead, "backup", file, "--data-dir", host.data)
    assert host.stop() == 0
    connection = sqlite3.connect(host.data / "catalogue.db")
    (bundle,), = connection.execute("SELECT bundle FROM version").fetchall()
    connection.close()
    os.rename(host.data / "bundles" / bundle, workspace / unique_name("away"))
    assert f"its bundle {bundle} is missing" in ran(bulkhead, "check", "--data-dir", host.data, status=3)
    assert "not there" in ran(bulkhead, "backup", workspace / "no.tar.gz", "--data-dir", host.data, status=3)
    assert not (workspace / "no.tar.gz").exists()
    for inside in (host.data / "catalogue", host.data / "bundles" / "x", host.data / "catalogue.db"):
        assert "itself" in ran(bulkhead, "backup", inside, "--data-dir", host.data, status=2)
    other = workspace / f"{file.name}.db"
    other.write_text("mine")
    assert (host.data / "catalogue.db").exists()
    ran(bulkhead, "backup", file, "--data-dir", host.data, status=3)
    assert other.read_text() == "mine"
    for content in (b"", b"nonsense", file.read_bytes()[:-2000], file.read_bytes()[:500]):
        broken, place = workspace / unique_name("broken"), workspace / unique_name("place")
        broken.write_bytes(content)
        ran(bulkhead, "restore", broken, "--data-dir", place, status=3)
        assert not (place / "catalogue.db").exists()
    assert "no host's data" in ran(bulkhead, "check", "--data-dir", workspace / "nowhere", status=2)


def test_a_backup_of_a_strangers_making(bulkhead, workspace):
    """Nothing of it lands beside the folder."""
    for name, kind in (("../landed-outside", tarfile.REGTYPE), ("bundles/../../landed-outside", tarfile.REGTYPE), ("/tmp/escape-absolute", tarfile.REGTYPE),
                       ("admin.token", tarfile.REGTYPE), ("bundles/x", tarfile.LNKTYPE)):
        file, place = workspace / unique_name("strange"), workspace / unique_name("place")
        with tarfile.open(file, "w:gz") as archive:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        ran(bulkhead, "restore", file, "--data-dir", place, status=3)
        assert not list(workspace.rglob("landed-outside*")) and not os.path.exists("/tmp/escape-absolute")
        assert not (place / "admin.token").exists()
    file, place = workspace / unique_name("strange"), workspace / unique_name("place")
    with tarfile.open(file, "w:gz") as archive:
        link = tarfile.TarInfo("bundles/x")
        link.type, link.linkname = tarfile.SYMTYPE, str(workspace)
        archive.addfile(link)
        inside = tarfile.TarInfo("bundles/x/escape-by-link")
        archive.addfile(inside)
    ran(bulkhead, "restore", file, "--data-dir", place, status=3)
    assert not list(workspace.glob("escape*"))
