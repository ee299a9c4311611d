"""Grants are what the cell's own user may read: the host's root is no measure. And what is refused beside allowed calls."""

import os
import shutil
import subprocess
import tempfile
import uuid
from functools import partial
from pathlib import Path

import pytest

from bulkhead_host import unique_name
from checks import failed
from conftest import SLOWNESS, new_host


@pytest.fixture
def place():
    """A folder that everybody can search, outside the host's data."""
    folder = Path(tempfile.mkdtemp(prefix="grants-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def write(path, mode=0o644, owner=None):
    path.write_text("x")
    path.chmod(mode)
    if owner is not None:
        os.chown(path, owner, owner)
    return path


def granted(host, deed, path, read=None):
    """The reply of a function that is granted `path` and reads it."""
    function = deed("read", read or path, "--", manifest=f"allow:\n  files.read: ['{path}']")
    return host.invoke(function.name)


def assert_refused(reply):
    told = failed(reply, "launch_failed")
    assert (told["stage"], told["errno"]) == ("mount-source", "EACCES"), told


def test_file_of_others_home(host, deed, place):
    """Root may pass through a folder of mode 0700, and a cell is not root: neither what is in there nor the folder."""
    home = place / "home"
    home.mkdir()
    secret = write(home / "secret", owner=12345)
    os.chown(home, 12345, 12345)
    home.chmod(0o700)
    (link := place / "link").symlink_to(secret)
    for path in (secret, home, link):
        assert_refused(granted(host, deed, path))
    home.chmod(0o711)
    assert granted(host, deed, secret).json() == {str(secret): "ok"}
    home.chmod(0o744)  # listed, not searched
    assert_refused(granted(host, deed, home))


@pytest.mark.parametrize("mode, owner", [(0o640, 12345), (0o600, 0), (0o000, 12345), (0o311, 12345)])
def test_unreadable_file(host, deed, place, mode, owner):
    assert_refused(granted(host, deed, write(place / "file", mode, owner)))


@pytest.mark.parametrize("target", ["/proc/meminfo", "/proc/1/mounts", "/sys/kernel/notes", "/sys/fs/cgroup", "/dev/null", "/dev"])
def test_kernel_files(host, deed, place, target):
    """By the type of their file system, however they are called."""
    (link := place / "link").symlink_to(target)
    assert_refused(granted(host, deed, link))


@pytest.mark.parametrize("kind", ["proc", "sysfs", "devpts", "mqueue"])
def test_kernel_files_elsewhere(workspace, deploy_deed, place, kind):
    """Where they are mounted under another name, and where a granted folder only holds them."""
    (mounted := place / "mounted").mkdir()
    if subprocess.run(["mount", "-t", kind, kind, mounted], capture_output=True).returncode != 0:
        subprocess.run(["mount", "-t", kind, "none", mounted], check=True)
    host = new_host(workspace, unique_name("mounts")).start()  # its cells see what was mounted before
    try:
        assert_refused(granted(host, partial(deploy_deed, host), mounted))
        reply = granted(host, partial(deploy_deed, host), place, mounted / "version")
        assert reply.json() == {str(mounted / "version"): "ENOENT"}
    finally:
        host.stop()
        subprocess.run(["umount", mounted], check=True)


def test_readable_by_all(host, deed, place):
    """What everybody may read can be granted as before: a file, a folder with all in it but what is closed, a link."""
    folder = place / "folder"
    folder.mkdir()
    folder.chmod(0o755)
    inside, closed = write(folder / "file"), write(folder / "closed", 0o600)
    (link := place / "link").symlink_to(inside)
    assert granted(host, deed, inside).json() == {str(inside): "ok"}
    assert granted(host, deed, link).json() == {str(link): "ok"}
    assert granted(host, deed, folder, inside).json() == {str(inside): "ok"}
    assert granted(host, deed, folder, closed).json() == {str(closed): "EACCES"}


def test_flushing_is_pretended(host, deed, place):
    """A flush of a shared file would be one of the host's disk: it is answered, and not made."""
    shared = write(place / uuid.uuid4().hex)
    function = deed("flush", shared, 20_000, manifest=f"allow:\n  files.read: ['{shared}']\nlimits:\n  cpu: 3s\n  wall: 3s")
    told = host.invoke(function.name, expect="ok").json()
    assert told["good"] == 20_000
    assert told["ms"] < 1000 * SLOWNESS, "a flush of a disk takes longer than 10 µs"


def test_beside_what_is_allowed(host, deed):
    """Flags that stay on what others use, memory that no limit counts, and other processes' priorities."""
    told = host.invoke(deed("beside", "/function/deeds", manifest="").name, expect="ok").json()
    assert told == {
        "huge": "ENOMEM", "direct": "EPERM", "async": "EPERM", "nonblock": "ok", "packets": "EINVAL", "pipe": "ok",
        "disk": "EINVAL", "nice": "ok", "renice": "ENOSYS", "users": "ENOSYS", "own": "ok", "other": "ENOSYS",
    }
