"""Archives and folders as people's tools make them, and the same folder by every way that there is."""

import io
import json
import os
import stat
import subprocess
import tarfile
import zipfile

import pytest

from bulkhead_host import GZIP, ZIP, unique_name
from bundles import make_folder, tar_entry, tar_gz, zip_entry, zip_of

MANIFEST = b"run: ./run\n"
RUN = b"#!/bin/sh\ncat other 2>/dev/null || echo none\n"


def result(host, name):
    return host.invoke(name, expect="ok").body.decode()


def upload(host, archive, content_type=ZIP):
    name = unique_name("archive")
    host.upload(name, archive, content_type=content_type)
    return name


def windows_zip(files):
    """As Explorer makes it: no modes, names in the code page of DOS."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 0, 0x20  # FILE_ATTRIBUTE_ARCHIVE
            archive.writestr(entry, content)
    return buffer.getvalue()


# -- Zips -------------------------------------------------------------------------------------------------------------


def test_zip_without_modes(host):
    """What begins as a program does is one, in a folder too."""
    tool = b"#!/bin/sh\necho tool\n"
    name = upload(host, windows_zip({"function.yaml": MANIFEST, "run": b"#!/bin/sh\n./bin/tool; ./data || echo no\n",
                                     "bin/tool": tool, "data": b"no program"}))
    assert result(host, name) == "tool\nno\n"


def test_zip_with_names_of_dos(host):
    r"""`Ä` and `ß` in code page 437, as zips have them that do not say UTF-8."""
    archive = windows_zip({"function.yaml": MANIFEST, "run": b"#!/bin/sh\nls\n", "12345.txt": b""})
    name = upload(host, archive.replace(b"12345.txt", b"Stra\xe1e.tx"[:9]))
    assert result(host, name).split() == ["Straße.tx", "function.yaml", "run"]
    assert archive.count(b"12345.txt") == 2  # once in front of the file, once in the directory


def test_zip_of_macos(host):
    """Finder's resource forks are passed over."""
    name = upload(host, zip_of({"function.yaml": MANIFEST, "run": (b"#!/bin/sh\nls -A\n", 0o755),
                                "__MACOSX/._run": b"\0\5\x16\7", "__MACOSX/._function.yaml": b""}))
    assert result(host, name).split() == ["function.yaml", "run"]


def test_zip_of_the_folder_itself(host):
    """The commonest mistake is told with its mend."""
    reply = host.upload(unique_name("outer"), zip_of({"my-function/function.yaml": MANIFEST, "my-function/run": RUN}),
                        content_type=ZIP, expect=None)
    assert reply.status == 400 and "my-function: pack what is in that folder" in reply.json()["detail"]


@pytest.mark.parametrize("command", [["zip", "-qr", "-"], ["tar", "czf", "-"]], ids=["zip", "tar"])
def test_made_by_the_usual_programs(host, tmp_path, command):
    make_folder(tmp_path, {"function.yaml": MANIFEST, "run": (RUN, 0o755), "other": b"other\n"})
    archive = subprocess.run([*command, "."], cwd=tmp_path, capture_output=True, check=True).stdout
    assert result(host, upload(host, archive, ZIP if command[0] == "zip" else GZIP)) == "other\n"


# -- Links ------------------------------------------------------------------------------------------------------------


def test_hard_links(host):
    """As tar writes a file that has two names: both are there, with the mode of the first."""
    link = tarfile.LNKTYPE
    name = upload(host, tar_gz([
        tar_entry("function.yaml", MANIFEST), tar_entry("first", RUN, 0o755), tar_entry("run", kind=link, link="first"),
        tar_entry("data/x", b"linked\n"), tar_entry("other", kind=link, link="./data/x")]), GZIP)
    assert result(host, name) == "linked\n"


@pytest.mark.parametrize("target", ["later", "../x", "/etc/hostname", "folder", "loop", "way/x"])
def test_hard_links_to_nothing(host, target):
    entries = [tar_entry("function.yaml", MANIFEST), tar_entry("run", RUN, 0o755), tar_entry("folder/x", b""),
               tar_entry("way", kind=tarfile.SYMTYPE, link="folder"),
               tar_entry("loop", kind=tarfile.LNKTYPE, link=target), tar_entry("later", b"")]
    reply = host.upload(unique_name("link"), tar_gz(entries), content_type=GZIP, expect=None)
    assert reply.status == 400 and 'entry "loop"' in reply.json()["detail"], reply


def test_hard_links_count(host):
    """Each is a file of its own: 20 MiB, thirty times, is more than an archive may become."""
    entries = [tar_entry("function.yaml", MANIFEST), tar_entry("run", RUN, 0o755), tar_entry("large", bytes(20 << 20))]
    entries += [tar_entry(f"again-{n}", kind=tarfile.LNKTYPE, link="large") for n in range(30)]
    reply = host.upload(unique_name("links"), tar_gz(entries), content_type=GZIP, expect=None)
    assert reply.status == 413 and "256MiB" in reply.json()["detail"]


def test_links_of_a_virtual_environment(host):
    """To a program of the system: the cell's root decides what is there."""
    link = tarfile.SYMTYPE
    name = upload(host, tar_gz([
        tar_entry("function.yaml", MANIFEST), tar_entry("run", b"#!/bin/sh\n.venv/bin/python3 -c 'print(6 * 7)'\n", 0o755),
        tar_entry(".venv/bin/python3", kind=link, link="/usr/bin/python3"), tar_entry(".venv/lib64", kind=link, link="lib")]), GZIP)
    assert result(host, name) == "42\n"


@pytest.mark.parametrize("target", ["/etc/passwd", "/usr/../etc/passwd", "/usr", "/usr\u0301/bin/x", "/proc/self/fd/3", "/", "//usr/bin/x"])
def test_links_out(host, target):
    entries = [tar_entry("function.yaml", MANIFEST), tar_entry("run", RUN, 0o755),
               tar_entry("out", kind=tarfile.SYMTYPE, link=target)]
    reply = host.upload(unique_name("link"), tar_gz(entries), content_type=GZIP, expect=None)
    assert reply.status == 400 and 'entry "out"' in reply.json()["detail"], reply


def test_nothing_is_written_through_such_a_link(host):
    """Its target is the host's as well: what the archive puts behind it must not land there."""
    entries = [tar_entry("function.yaml", MANIFEST), tar_entry("run", RUN, 0o755),
               tar_entry("way", kind=tarfile.SYMTYPE, link="/usr/local"), tar_entry("way/bulkhead-was-here", b"")]
    reply = host.upload(unique_name("way"), tar_gz(entries), content_type=GZIP, expect=None)
    assert reply.status == 400 and "way" in reply.json()["detail"] and not os.path.exists("/usr/local/bulkhead-was-here")
    entries[-1] = tar_entry("more", kind=tarfile.LNKTYPE, link="way/bin")
    assert host.upload(unique_name("way"), tar_gz(entries), content_type=GZIP, expect=None).status == 400


# -- The same folder, four ways ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """With a library that has its names by links, as distributions pack them, and a manifest called .yml."""
    make_folder(tmp_path, {
        "function.yml": b"run: ./run\nlimits: { memory: 128Mi, wall: 1.5s, init: 5 }\n",
        "run": (b"#!/bin/sh\ncat lib/libx.so\nreadlink lib/libx.so lib/libx.so.1\n", 0o755), "lib/libx.so.1.2": b"x\n"})
    os.symlink("libx.so.1.2", tmp_path / "lib/libx.so.1")
    os.symlink("libx.so.1", tmp_path / "lib/libx.so")
    return tmp_path


def zip_with_links(folder):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_symlink():
                archive.writestr(zip_entry(name, 0o777, stat.S_IFLNK), os.readlink(path))
            elif path.is_file():
                archive.writestr(zip_entry(name, stat.S_IMODE(path.stat().st_mode)), path.read_bytes())
    return buffer.getvalue()


@pytest.mark.parametrize("way", ["deploy", "run", "zip", "tar"])
def test_one_folder(host, bulkhead, folder, way):
    expected = "x\nlibx.so.1\nlibx.so.1.2\n"
    if way == "run":
        done = bulkhead("run", folder, "--data", "null")
        assert (done.returncode, done.stdout) == (0, expected), done.stderr
        return
    name = unique_name("folder")
    if way == "deploy":
        done = bulkhead("deploy", folder, "--name", name, "--host", host.url, "--token", host.token)
        assert done.returncode == 0, done.stderr
    elif way == "zip":
        host.upload(name, zip_with_links(folder), content_type=ZIP)
    else:
        archive = subprocess.run(["tar", "czf", "-", "."], cwd=folder, capture_output=True, check=True).stdout
        host.upload(name, archive, content_type=GZIP)
    assert result(host, name) == expected
    limits = host.get(f"/v1/functions/{name}").json()["manifest"]["limits"]
    assert (limits["memory"], limits["wall"], limits["init"]) == ("128MiB", "1500ms", "5s")


def test_yml_is_named_in_its_faults(host):
    archive = zip_of({"function.yml": b"run: ./run\nlimits: { memory: 3 parsecs }\n", "run": (RUN, 0o755)})
    reply = host.upload(unique_name("yml"), archive, content_type=ZIP, expect=None)
    assert reply.status == 400 and reply.json()["detail"].startswith("function.yml line 2: limits.memory")


@pytest.mark.parametrize("query, limits", [
    ({"memory": "64Mi"}, {"memory": "64MiB"}), ({"memory": "1.5GiB"}, {"memory": "1536MiB"}), ({"wall": "5"}, {"wall": "5s"}),
    ({"wall": "0.25"}, {"wall": "250ms"}), ({"wall": "1.5m"}, {"wall": "90s"}), ({"scratch": "0.5Mi"}, {"scratch": "512KiB"})])
def test_quantities(host, query, limits):
    told = host.upload(unique_name("quantity"), RUN, query).json()["manifest"]["limits"]
    assert {key: told[key] for key in limits} == limits, json.dumps(told)


def test_many_small_files(host):
    """A node_modules: 90,000 files in 9,000 folders."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz", compresslevel=1) as archive:
        count = b"#!/bin/sh\nfind node_modules -type f | wc -l\n"
        for entry, content in [tar_entry("function.yaml", MANIFEST), tar_entry("run", count, 0o755)]:
            archive.addfile(entry, io.BytesIO(content))
        for number in range(90_000):
            path = f"node_modules/package-{number // 100}/lib/{number // 10 % 10}/file-{number}.js"
            archive.addfile(tar_entry(path, b"x")[0], io.BytesIO(b"x"))
    name = unique_name("modules")
    host.upload(name, body.getvalue(), content_type=GZIP, timeout=120)
    assert int(result(host, name)) == 90_000
    assert host.delete(name).status == 204
