"""Uploads that must be refused: each with a reason that names what is wrong, and without harm to anyone else.

What an archive or an ELF header says is written by strangers. A refusal here is the difference between an error message
and a file outside the store, a full disk, or a loader that was never meant to run.
"""

import gzip
import io
import os
import re
import stat
import tarfile
import zipfile

import pytest

from bulkhead_host import GZIP, OCTETS, ZIP, unique_name
from bundles import (
    crowded_tar_gz, crowded_zip, endless_zeros, other_machine, script_bundle, tar_entry, tar_gz, with_interpreter,
    with_interpreter_at, zip_bomb, zip_entry, zip_of)
from checks import problem

MIB = 1 << 20
MANIFEST = b"run: ./run\n"
RUN = (b"#!/bin/sh\ncat\n", 0o755)
# Where some archives try to write. A harmless place, for the day on which one succeeds.
ESCAPE = "/tmp/bulkhead-acceptance-escape"


@pytest.fixture(scope="module")
def canary(host, deploy_deed):
    return deploy_deed(host, "length")


@pytest.fixture(autouse=True)
def unharmed(host, canary):
    """After every refusal the host is alive, and somebody else's function works."""
    yield
    assert not os.path.lexists(ESCAPE), "an upload wrote a file outside the store"
    assert host.get("/healthz", token=None).status == 200
    assert host.invoke(canary.name, 12345, expect="ok").body == b"5"


def refuse(host, body, says, content_type=OCTETS, query=(), outcomes=("invalid_request",), **options):
    """Uploads `body`, and asserts a refusal whose detail matches `says`, and that no function came of it."""
    name = unique_name("bad")
    reply = host.upload(name, body, query, content_type, expect=None, timeout=60, **options)
    assert reply.media_type == "application/problem+json", reply
    outcome = reply.json()["outcome"]
    assert outcome in outcomes, reply
    detail = problem(reply, outcome)["detail"]
    assert re.search(says, detail, re.IGNORECASE | re.DOTALL), f"{detail!r} does not mention {says}"
    problem(host.get(f"/v1/functions/{name}"), "not_found")
    return detail


# -- One executable ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body, says", [
    (b"", r"empty"),
    (b"hello, world\n", r"ELF|#!"),
    (b"\x7fELF", r"ELF|truncated"),
    (b"MZ" + bytes(1000), r"ELF|#!"),
    (b"#!", r"#!|interpreter"),
    (b"#!\n", r"#!|interpreter"),
    (b"#!sh\n", r"#!|interpreter|absolute"),
    (b"#!" + b"/" + b"a" * 5000 + b"\n", r"#!|interpreter|long"),
    (b"#!/no/such/interpreter\n", r"/no/such/interpreter"),
    (b"#!/bin/sh\r\ncat\r\n", r"CR|line end|interpreter"),
], ids=["empty", "text", "magic", "windows", "bare", "blank", "relative", "long", "missing", "crlf"])
def test_file_that_cannot_run(host, body, says):
    """What the kernel would refuse to execute is refused here, where its owner can read why."""
    refuse(host, body, says)


def test_elf_of_another_machine(host, compile_c):
    """Built on a laptop of another kind: the most likely mistake of all."""
    refuse(host, other_machine(compile_c("deeds.c").read_bytes()), r"machine|architecture|aarch64|x86")


@pytest.mark.parametrize("keep", [20, 64, 100, 4096, 100_000])
def test_truncated_elf(host, compile_c, keep):
    """An upload that broke off, at each place where reading on would leave the file."""
    refuse(host, compile_c("deeds.c").read_bytes()[:keep], r"truncated|short|beyond|behind|incomplete|end")


@pytest.mark.parametrize("interpreter", [
    b"/lib64/ld-nowhere.so.9\0", b"/function/evil.so\0", b"/proc/self/exe\0", b"ld.so\0", b"/lib64/../etc/passwd\0",
    b"\0", b"/" + b"a" * 5000 + b"\0",
], ids=["missing", "tenant", "proc", "relative", "dots", "empty", "long"])
def test_hostile_elf_interpreter(host, compile_c, interpreter):
    """The kernel runs PT_INTERP before anything else: only the host's own loaders may stand there."""
    program = with_interpreter(compile_c("deeds.c", "-pie", "-fPIE").read_bytes(), interpreter)
    refuse(host, program, r"interpreter|loader")


@pytest.mark.parametrize("offset, size", [(1 << 40, 28), ((1 << 64) - 8, 28), (0, 1 << 40), (0, (1 << 64) - 1)])
def test_elf_interpreter_outside_the_file(host, compile_c, offset, size):
    """Offsets near 2^64 wrap around in a sum that nobody checked."""
    program = with_interpreter_at(compile_c("deeds.c", "-pie", "-fPIE").read_bytes(), offset, size)
    refuse(host, program, r"interpreter|loader|segment|truncated|header")


# -- Size -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("content_type", [OCTETS, ZIP, GZIP])
def test_body_over_64_mib(host, compile_c, framing, content_type):
    """The limit holds for a body that says its size and for one that does not."""
    head, size = compile_c("deeds.c").read_bytes(), 65 * MIB
    headers = {"Content-Type": content_type} | ({"Content-Length": str(size)} if framing == "length" else {})
    name = unique_name("huge")
    reply = host.request("PUT", f"/v1/functions/{name}", endless_zeros(head, size), headers, timeout=60)
    assert re.search(r"64 ?MiB|67108864|upload", problem(reply, "payload_too_large")["detail"])
    problem(host.get(f"/v1/functions/{name}"), "not_found")


def test_length_that_is_never_sent(host):
    """A promise of a terabyte is refused at once: waiting for it would cost a connection, reserving for it the host."""
    name = unique_name("huge")
    headers = {"Content-Type": OCTETS, "Content-Length": str(1 << 40)}
    reply = host.request("PUT", f"/v1/functions/{name}", b"#!", headers)
    problem(reply, "payload_too_large")


# -- Manifests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manifest, says", [
    ("run: ./run\ncolour: red\n", r"(?=.*line 2\b)(?=.*colour)"),
    ("run: ./run\nlimits:\n  memory: 64MiB\n  disk: 1GiB\n", r"(?=.*line 4\b)(?=.*disk)"),
    ("run: ./run\nlimits:\n  memory: -1\n", r"(?=.*line 3\b)(?=.*memory)"),
    ("run: ./run\nlimits: { wall: -3s }\n", r"(?=.*line 2\b)(?=.*wall)"),
    ("run: ./run\nlimits: { wall: 3 parsecs }\n", r"(?=.*line 2\b)(?=.*parsecs)"),
    ("run: ./run\nlimits: { memory: 64 parsecs }\n", r"(?=.*line 2\b)(?=.*parsecs)"),
    ("run: ./run\nlimits: { wall: 16m }\n", r"(?=.*line 2\b)(?=.*wall)"),
    ("run: ./run\nlimits: { processes: 0 }\n", r"(?=.*line 2\b)(?=.*processes)"),
    ("run: ./run\nmode: daemon\n", r"(?=.*line 2\b)(?=.*(reactor|mode))"),
    ("run: ./run\nruntime: cobol\n", r"(?=.*line 2\b)(?=.*(python|runtime))"),
    ("run: ./run\nauth: maybe\n", r"(?=.*line 2\b)(?=.*(token|auth))"),
    ("run: ./run\nallow:\n  network: all\n", r"(?=.*line 3\b)(?=.*network)"),
    ("run: ./run\nallow:\n  files.read: [relative]\n", r"(?=.*line 3\b)(?=.*files\.read)"),
    ("run: ./run\nallow:\n  files.read: [/../etc]\n", r"(?=.*line 3\b)(?=.*files\.read)"),
    ("run: ./run\nname: Not A Name\n", r"(?=.*line 2\b)(?=.*name)"),
    ("name: fine\n", r"\brun\b"),
    ("runtime: python\n", r"\bhandler\b"),
    ("run: ./other\n", r"other"),
    ("run: /bin/sh\n", r"run|/bin/sh"),
    ("run: ../run\n", r"run|\.\."),
    ("run: ./run\nallow:\n  files.read: [/etc/../\u0301a]\n", r"(?=.*line 3\b)(?=.*files\.read)"),
    ("", r"function\.yaml|empty"),
    ("- run\n", r"mapping|key|function\.yaml"),
    ("run: [unclosed\n", r"YAML|line"),
    ("run: ./run\nenv: { 'A=B': c }\n", r"(?=.*line 2\b)(?=.*env)"),
    ("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
     "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\n"
     "g: &g [*f,*f,*f,*f,*f,*f,*f,*f]\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g]\nrun: *h\n", r"line 1\b|alias|function\.yaml"),
    # As keys, which a parser compares whole: this would take years.
    ("run: ./run\na0: &k0 { x: y }\n" + "".join(f"a{n}: &k{n} {{ ? [*k{n - 1}, *k{n - 1}] : y }}\n" for n in range(1, 60)),
     r"(?=.*line 3\b)(?=.*\*k0\b)(?=.*alias)"),
    ("run: ./run\n" + "".join(f'? "a{chr(0x301) * n}"\n: 1\n' for n in range(99, 240)), r"marks"),
])
def test_manifest(host, manifest, says):
    """An unknown key or a value out of range is never ignored: what was meant as a limit would be none."""
    refuse(host, script_bundle(manifest), says, ZIP)


@pytest.mark.parametrize("query, says", [
    ({"colour": "red"}, r"colour"),
    ({"memory": "64parsecs"}, r"memory"),
    ({"memory": "-64MiB"}, r"memory"),
    ({"wall": "1000000m"}, r"wall"),
    ({"wall": "3.0001"}, r"wall"),
    ({"mode": "daemon"}, r"mode"),
    ({"auth": "maybe"}, r"auth"),
    ({"memory": ["64MiB", "1GiB"]}, r"memory"),
])
def test_manifest_in_query(host, query, says):
    """The same rules for the fields of a query."""
    refuse(host, RUN[0], says, query=query)


# -- Archives ---------------------------------------------------------------------------------------------------------


def zip_with(name, content=b"x", mode=0o644, kind=stat.S_IFREG):
    """A sound bundle, and one entry that is not."""
    buffer = io.BytesIO(zip_of({"function.yaml": MANIFEST, "run": RUN}))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(zip_entry(name, mode, kind), content)
    return buffer.getvalue()


def tar_with(*arguments, **options):
    """The same as a tar.gz."""
    return tar_gz([tar_entry("function.yaml", MANIFEST), tar_entry("run", *RUN), tar_entry(*arguments, **options)])


BROKEN = r"zip|archive|truncated|read|damaged|end"
ARCHIVES = {
    "zip ../": (lambda: zip_with("../escape"), ZIP, r"escape|\.\."),
    "zip inner ../": (lambda: zip_with("a/../../escape"), ZIP, r"escape|\.\."),
    "zip ../ combined": (lambda: zip_with("../\u0301escape"), ZIP, r"escape|\.\."),
    "zip symlink ../ combined": (
        lambda: zip_with("../\u0301escape", b"run", 0o777, stat.S_IFLNK), ZIP, r"escape|\.\."),
    "zip symlink up combined": (
        lambda: zip_with("up", "../\u0301a/../..".encode(), 0o777, stat.S_IFLNK), ZIP, r"\bup\b|link"),
    "zip absolute": (lambda: zip_with(ESCAPE), ZIP, r"escape|absolute"),
    "zip symlink": (lambda: zip_with("passwords", b"/etc/passwd", 0o777, stat.S_IFLNK), ZIP, r"passwords|link"),
    "zip symlink up": (lambda: zip_with("up", b"../..", 0o777, stat.S_IFLNK), ZIP, r"\bup\b|link"),
    "zip setuid": (lambda: zip_with("tool", RUN[0], 0o4755), ZIP, r"tool|setuid"),
    "zip of nothing": (lambda: zip_of({}), ZIP, r"function\.yaml|empty"),
    "zip without manifest": (lambda: zip_of({"run": RUN}), ZIP, r"function\.yaml"),
    "zip manifest not at root": (lambda: zip_of({"a/function.yaml": MANIFEST, "a/run": RUN}), ZIP, r"function\.yaml"),
    "zip truncated": (lambda: zip_with("more", bytes(range(256)) * 99)[:150], ZIP, BROKEN),
    "zip that is text": (lambda: b"no archive at all", ZIP, r"zip|archive"),
    "tar ../": (lambda: tar_with("../escape"), GZIP, r"escape|\.\."),
    "tar ../ combined": (lambda: tar_with("../\u0301escape/x"), GZIP, r"escape|\.\."),
    "tar absolute": (lambda: tar_with(ESCAPE), GZIP, r"escape|absolute"),
    "tar device": (lambda: tar_with("null", kind=tarfile.CHRTYPE), GZIP, r"null|device"),
    "tar disk": (lambda: tar_with("disk", kind=tarfile.BLKTYPE), GZIP, r"disk|device"),
    "tar fifo": (lambda: tar_with("pipe", kind=tarfile.FIFOTYPE), GZIP, r"pipe|fifo"),
    "tar hard link out": (lambda: tar_with("hard", kind=tarfile.LNKTYPE, link="../../etc/passwd"), GZIP, r"hard|link"),
    "tar hard link absolute": (lambda: tar_with("hard", kind=tarfile.LNKTYPE, link="/etc/passwd"), GZIP, r"hard|link"),
    "tar symlink": (lambda: tar_with("soft", kind=tarfile.SYMTYPE, link="/etc/passwd"), GZIP, r"soft|link"),
    "tar setuid": (lambda: tar_with("tool", RUN[0], 0o4755), GZIP, r"tool|setuid"),
    "tar setgid": (lambda: tar_with("tool", RUN[0], 0o2755), GZIP, r"tool|setgid"),
    "gzip truncated": (lambda: tar_with("more", bytes(100_000))[:-40], GZIP, BROKEN),
    "gzip of text": (lambda: gzip.compress(b"no tar at all"), GZIP, r"tar|archive|function\.yaml"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_archive(host, case):
    """An archive that would write, link or point outside itself, or bring privileges along."""
    build, content_type, says = ARCHIVES[case]
    refuse(host, build(), says, content_type)


def test_symlink_then_file_behind_it(host):
    """The two-step way out: first a link to a folder, then a file through it."""
    folder, file = os.path.split(ESCAPE)
    entries = [tar_entry("function.yaml", MANIFEST), tar_entry("run", *RUN),
               tar_entry("way", kind=tarfile.SYMTYPE, link=folder), tar_entry(f"way/{file}", b"out")]
    refuse(host, tar_gz(entries), r"way|link", GZIP)


@pytest.mark.parametrize("build, content_type", [
    (lambda: zip_bomb(1 << 30), ZIP),
    (lambda: crowded_zip(500_000), ZIP),
    (lambda: crowded_tar_gz(1_000_000), GZIP),
], ids=["gibibyte of zeros", "half a million files", "a million files"])
def test_archive_that_explodes(host, build, content_type):
    """Small on the wire, enormous on the disk: it is measured while it is unpacked, not after."""
    body = build()
    assert len(body) < 64 * MIB, "this would be refused for its own size"
    refuse(host, body, r"files|entries|MiB|GiB|bytes|large|many", content_type,
           outcomes=("invalid_request", "payload_too_large"))


def test_unknown_content_type(host):
    """What it is must be said: guessing would let one thing pass for another."""
    reply = host.upload(unique_name("type"), RUN[0], content_type="text/html", expect=None)
    assert reply.status in (400, 415), reply
    assert "text/html" in reply.json()["detail"] or "octet-stream" in reply.json()["detail"]
