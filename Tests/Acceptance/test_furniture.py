"""What all cells see alike stands once: nobody changes it, marks it, locks it, or hears of it by another."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from conftest import BINARY
from system import eventually

# One function's tries; each is to fail (who calls mount or umount is ended: the attacks of functions/hostile). Then what the files look like: the same to everybody, whatever anybody has tried.
TRIES = r"""#!/usr/bin/python3
import json, os, stat
shared = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/fd", "/dev", "/proc/cpuinfo", "/proc/stat",
          "/proc/loadavg", "/proc/cgroups", "/usr/share/zoneinfo", "/etc/ssl/certs/ca-certificates.crt"]
done = []

def attempt(what, path, body):
    try:
        body()
    except OSError:
        return
    done.append([what, path])

for path in shared:
    if not os.path.lexists(path):
        continue
    attempt("chmod", path, lambda: os.chmod(path, 0o777))
    attempt("chown", path, lambda: os.lchown(path, os.getuid(), os.getgid()))
    attempt("utime", path, lambda: os.utime(path, (1, 1)))
    attempt("touch", path, lambda: os.utime(path))
    attempt("setxattr", path, lambda: os.setxattr(path, "user.mark", b"x"))
    attempt("rename", path, lambda: os.rename(path, path + "-"))
    attempt("link", path, lambda: os.link(path, "/dev/shm/mark"))
    attempt("unlink", path, lambda: os.unlink(path))
for path in ("/dev", "/proc", "/etc", "/"):
    attempt("create", path, lambda: open(os.path.join(path, "mark"), "w"))
    attempt("mkdir", path, lambda: os.mkdir(os.path.join(path, "mark")))
    attempt("mknod", path, lambda: os.mknod(os.path.join(path, "mark"), stat.S_IFCHR | 0o666, os.makedev(1, 3)))
for path in ("/proc/cpuinfo", "/proc/stat", "/proc/loadavg", "/proc/cgroups", "/proc/meminfo", "/etc/hosts"):
    attempt("write", path, lambda: open(path, "r+"))
    attempt("truncate", path, lambda: os.truncate(path, 0))
# Used as they are meant to be.
open("/dev/null", "w").write("x")
open("/dev/zero", "rb").read(10)
open("/dev/urandom", "rb").read(10)
open("/proc/cpuinfo").read()
looks = {}
for path in shared + ["/proc/meminfo"]:
    if os.path.lexists(path):
        i = os.lstat(path)
        looks[path] = [stat.filemode(i.st_mode), i.st_uid, i.st_gid, i.st_mtime_ns, i.st_ctime_ns, i.st_atime_ns, i.st_nlink, i.st_size]
print(json.dumps({"done": done, "looks": looks, "dev": sorted(os.listdir("/dev"))}))
"""

# `inotify_init1` and a watch on what everybody opens; leases and locks that others would meet.
HEARS = r"""#!/usr/bin/python3
import ctypes, fcntl, json, os
libc = ctypes.CDLL(None, use_errno=True)
found = {}
notify = libc.inotify_init1(0)
found["inotify"] = notify >= 0 and libc.inotify_add_watch(notify, b"/dev/null", 0xfff) >= 0
for name, operation in (("lease", 1024), ("notify", 1026)):
    try:
        fcntl.fcntl(os.open("/proc/cpuinfo", os.O_RDONLY), operation, 0)
        found[name] = True
    except OSError:
        found[name] = False
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def tried(host):
    names = [unique_name("furniture") for _ in range(2)]
    for name in names:
        host.upload(name, TRIES.encode())
    return [json.loads(host.invoke(name).body) for name in names * 2]


def test_nothing_of_it_can_be_changed(tried):
    assert [one["done"] for one in tried] == [[]] * len(tried)


def test_one_function_leaves_no_mark_for_another(tried):
    """Times, modes, sizes, link counts: what two functions see of it, before and after the other's tries, is the same."""
    of_version = {"/proc/meminfo"}
    looks = [{path: look for path, look in one["looks"].items() if path not in of_version} for one in tried]
    assert looks[0] and all(look == looks[0] for look in looks)


def test_devices_are_all_there_is(tried):
    for one in tried:
        assert one["dev"] == ["fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"]


def test_nobody_hears_of_others_by_it(host):
    name = unique_name("hears")
    host.upload(name, HEARS.encode())
    assert json.loads(host.invoke(name).body) == {"inotify": False, "lease": False, "notify": False}


READS = "def handler(event, context):\n    with open('/etc/ssl/certs/ca-certificates.crt') as file:\n        return file.read()[-40:]\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the host's certificates")
def test_a_file_that_the_host_replaces_is_shown_anew(host):
    """A package's update puts a new file in an old one's place; a mount would show the old one for ever."""
    path = Path("/etc/ssl/certs/ca-certificates.crt")
    kept, mark = path.with_suffix(".kept"), f"# {os.urandom(8).hex()}"

    name = unique_name("reads")
    manifest = f"name: {name}\nruntime: python\nhandler: app.handler\nroot: minimal\n"
    host.upload(name, zip_of({"function.yaml": manifest.encode(), "app.py": READS.encode()}), content_type=ZIP)

    def sees():
        """In a function that has been at work: its cells share a root, which shows the old file."""
        return mark in host.invoke(name, expect="ok").json()

    assert not sees()
    os.link(path, kept)
    try:
        path.with_suffix(".new").write_bytes(path.read_bytes() + f"\n{mark}\n".encode())
        path.with_suffix(".new").chmod(0o644)
        path.with_suffix(".new").rename(path)
        eventually(sees, 30, "the new file is there")
    finally:
        kept.rename(path)
    eventually(lambda: not sees(), 30, "the old file is there")


LISTS = """#!/bin/sh
echo begun > /dev/stderr
sleep 2
cat /proc/self/mountinfo
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes mount tables of its own outside of user namespaces")
def test_what_the_host_mounts_later_is_in_no_cell(tmp_path):
    """Where mounts are told on (systemd's way), a copy of one would show, writable, whatever is mounted on the original."""
    (tmp_path / "lists").write_text(LISTS)
    (tmp_path / "lists").chmod(0o755)
    inside = f"mount --make-rshared / && {BINARY} run --data null {tmp_path}/lists & sleep 1; " \
             "mount -t tmpfs later /usr/share/zoneinfo/Etc; mount -t tmpfs later /usr/share/doc; wait"
    run = subprocess.run(["unshare", "--mount", "sh", "-c", inside], capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in run.stdout.splitlines() if " - " in line]
    assert any(" /usr/share/zoneinfo " in line for line in lines), run.stderr
    assert not [line for line in lines if "master:" in line or "shared:" in line or "later" in line]
