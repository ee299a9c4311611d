"""Uploads that are small on the wire and endless behind it: refused within a second, at little cost to the supervisor.

What is unpacked to the disk's harm stands in test_bad_uploads.py; this is about time, layers and numbers in headers.
"""

import bz2
import functools
import gzip
import io
import lzma
import struct
import tarfile
import time
import zlib

import pytest

from bulkhead_host import GZIP, OCTETS, ZIP, at_once, unique_name
from bundles import tar_entry, tar_gz, zip_bomb, zip_entry, zip_of
from checks import problem
from conftest import SLOWNESS
from supervising import Lasting, cpu_seconds, echo, supervisor_pid

MIB = 1 << 20
MANIFEST = b"run: ./run\n"
RUN = b"#!/bin/sh\nexec cat\n"
SECONDS = 1.0 * SLOWNESS


@functools.cache
def crc_of_zeros(size):
    """By the MiB; a wrong one would end the unpacking by itself."""
    check, block = 0, bytes(MIB)
    for _ in range(size // MIB):
        check = zlib.crc32(block, check)
    return check


def gzip_zeros(size):
    """A gzip of so many zeros, made from one deflated block said again and again: not a second for 10 GB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packer.compress(bytes(MIB))
    packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)  # depends on nothing before it
    return (b"\x1f\x8b\x08\0\0\0\0\0\0\3" + block * (size // MIB) + packer.flush(zlib.Z_FINISH)
            + struct.pack("<LL", crc_of_zeros(size), size & 0xFFFFFFFF))


def layers(count, size=10 << 30):
    packed = gzip_zeros(size)
    for _ in range(count - 1):
        packed = gzip.compress(packed, 9)
    return packed


def skipped(kind, size=4 << 30):
    """A tar whose second entry has no content, and so many bytes of it all the same."""
    plain = tar_entry("function.yaml", MANIFEST)[0].tobuf(tarfile.USTAR_FORMAT) + MANIFEST.ljust(512, b"\0")
    header = tar_header("x", b"\x80" + size.to_bytes(11, "big"), kind)
    return gzip.compress(plain + header) + gzip_zeros(size)  # members one behind the other are one stream


def endless_name(size, letter=b"a"):
    """A gzip's header whose name has no end, in a gzip: who looks for its NUL holds all of it."""
    return gzip.compress(b"\x1f\x8b\x08\x08\0\0\0\0\0\3" + letter * size, 9)


def tar_header(name, size_field, kind=tarfile.REGTYPE):
    """One tar header with the size field's twelve bytes as they are given, and a right checksum."""
    header = bytearray(tar_entry(name, kind=kind)[0].tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = size_field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def tar_of_size(size_field):
    return gzip.compress(tar_header("function.yaml", size_field) + MANIFEST.ljust(512, b"\0") + bytes(1024))


def sparse_tar(size):
    """An old GNU sparse file: no data, and a size of so many bytes."""
    header = bytearray(tar_header("zeros", b"%011o\0" % 0, b"S"))
    header[257:265] = b"ustar  \0"
    header[483:495] = b"\x80" + size.to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    plain = tar_entry("function.yaml", MANIFEST)[0].tobuf(tarfile.GNU_FORMAT) + MANIFEST.ljust(512, b"\0")
    return gzip.compress(plain + bytes(header) + bytes(1024))


def pax_tar(records):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        entry, _ = tar_entry("function.yaml", MANIFEST)
        entry.pax_headers = records
        archive.addfile(entry, io.BytesIO(MANIFEST))
    return buffer.getvalue()


def zip_with_fields(**fields):
    """A sound zip whose central directory lies about its first entry."""
    data = bytearray(zip_of({"function.yaml": MANIFEST, "run": (RUN, 0o755)}))
    at = data.index(b"PK\x01\x02")
    for offset, value in fields.values():
        struct.pack_into("<L", data, at + offset, value)
    return bytes(data)


def overlapping_zip(count, size):
    """`count` entries that all are the same deflated zeros: a quine's cousin, quadratic in what it unpacks to."""
    packed = zlib.compress(bytes(size), 9)[2:-4]
    crc = zlib.crc32(bytes(size))
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 8, 0, 0x21, crc, len(packed), size, 5, 0) + b"00000" + packed
    central = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 0x031E, 20, 0, 8, 0, 0x21, crc, len(packed), size, 5, 0, 0, 0, 0,
                    zip_entry("x").external_attr, 0) + b"%05d" % number for number in range(count))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, len(central), len(local), 0)
    return local + central + end


def nested_zip(depth):
    packed = zip_bomb(64 * MIB)
    for _ in range(depth):
        packed = zip_of({"function.yaml": packed})
    return packed


BOMBS = {
    "gzip in gzip in gzip": (lambda: layers(3), GZIP),
    "gzip in gzip": (lambda: layers(2), GZIP),
    "five layers of gzip": (lambda: layers(5), GZIP),
    "10 GB of zeros in gzip": (lambda: layers(1), GZIP),
    "a tar in two layers": (lambda: gzip.compress(tar_gz([tar_entry("function.yaml", MANIFEST), tar_entry("run", RUN, 0o755)])), GZIP),
    "a name without an end": (lambda: endless_name(512 * MIB), GZIP),
    "a name without an end, in two layers": (lambda: gzip.compress(endless_name(512 * MIB)), GZIP),
    **{f"4 GiB behind a header of type {kind.decode()}": (lambda kind=kind: skipped(kind), GZIP)
       for kind in (b"5", b"V", b"g", b"1", b"2", b"6", b"M", b"N", b"D", b"Z")},
    **{f"4 GiB behind a header of type {kind.decode()}, in three layers":
       (lambda kind=kind: gzip.compress(gzip.compress(skipped(kind))), GZIP) for kind in (b"5", b"V", b"1")},
    "bzip2 in gzip": (lambda: gzip.compress(bz2.compress(bytes(64 * MIB))), GZIP),
    "xz in gzip": (lambda: gzip.compress(lzma.compress(bytes(256 * MIB), preset=0)), GZIP),
    "bzip2 said to be gzip": (lambda: bz2.compress(bytes(64 * MIB)), GZIP),
    "xz said to be gzip": (lambda: lzma.compress(bytes(256 * MIB), preset=0), GZIP),
    "a gzip said to be a zip": (lambda: layers(3), ZIP),
    "a zip in gzip": (lambda: gzip.compress(zip_of({"function.yaml": MANIFEST, "run": (RUN, 0o755)})), GZIP),
    "gzips one behind the other": (lambda: gzip.compress(b"") * 500_000, GZIP),
    "2 GiB of zeros in a zip": (lambda: zip_bomb(2 << 30), ZIP),
    "a zip whose entries overlap": (lambda: overlapping_zip(60_000, 32 * MIB), ZIP),
    "a zip in a zip in a zip": (lambda: nested_zip(3), ZIP),
    "a zip whose entry lies beyond its end": (lambda: zip_with_fields(offset=(42, 0xFFFFFFF0)), ZIP),
    "a tar of 2^33 bytes": (lambda: tar_of_size(b"77777777777\0"), GZIP),
    "a tar of 2^60 bytes": (lambda: tar_of_size(b"\x80" + (1 << 60).to_bytes(11, "big")), GZIP),
    "a tar of 2^63 bytes": (lambda: tar_of_size(b"\x80" + (1 << 63).to_bytes(11, "big")), GZIP),
    "a tar of 2^80 bytes": (lambda: tar_of_size(b"\x80" + (1 << 80).to_bytes(11, "big")), GZIP),
    "a tar of -1 bytes": (lambda: tar_of_size(b"\xff" * 12), GZIP),
    "a sparse tar of 2^60 bytes": (lambda: sparse_tar(1 << 60), GZIP),
    "a pax size of 2^70": (lambda: pax_tar({"size": str(1 << 70)}), GZIP),
    "a pax header of 32 MiB": (lambda: pax_tar({"comment": "x" * (32 * MIB)}), GZIP),
    "a pax path of 1 MiB": (lambda: pax_tar({"path": "x/" * (MIB // 2)}), GZIP),
    "400,000 pax headers": (lambda: pax_tar({f"x{number}": "y" for number in range(400_000)}), GZIP),
}


@pytest.fixture(scope="module")
def bombed(workspace):
    from conftest import new_host
    host = new_host(workspace, unique_name("bombed")).start()
    host.other = echo(host)
    yield host
    host.stop()


@pytest.fixture(scope="module")
def made():
    """Each is packed once."""
    known = {}

    def make(case):
        if case not in known:
            known[case] = BOMBS[case][0]()
        return known[case]
    return make


@pytest.mark.parametrize("case", BOMBS)
def test_bomb(bombed, made, case):
    """400 or 413; no second's work, whoever does it; and no function."""
    body, name, content_type = made(case), unique_name("bomb"), BOMBS[case][1]
    assert len(body) < 64 * MIB
    with Lasting(bombed, bombed.other):
        serving = supervisor_pid(bombed)
        before, began = cpu_seconds(serving), time.monotonic()
        reply = bombed.upload(name, body, content_type=content_type, expect=None, timeout=60)
        took, used = time.monotonic() - began, cpu_seconds(serving) - before
        print(f"{len(body)} bytes: {reply.status} in {took:.2f} s, CPU {used:.2f} s, {reply.body[:160]}")
        told = problem(reply, reply.json()["outcome"])
        assert told["outcome"] in ("invalid_request", "payload_too_large"), reply
        # What fills a disk may take a moment to be counted; what fills none may not.
        really = told["outcome"] == "payload_too_large"
        assert took < (6 * SLOWNESS if really else SECONDS), f"{took:.1f} s"
        assert used < SECONDS * (3 if really else 1), f"{used:.1f} s of the supervisor's CPU time"
        assert bombed.get(f"/v1/functions/{name}").status == 404


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip"])
def test_a_content_encoding_is_no_second_layer(bombed, encoding):
    """Refused, not unpacked, and not stored as if it were the program."""
    packed = gzip.compress(RUN)
    headers = {"Content-Type": OCTETS, "Content-Encoding": encoding}
    name = unique_name("encoded")
    with Lasting(bombed, bombed.other):
        reply = bombed.request("PUT", f"/v1/functions/{name}", packed, headers)
        assert reply.status in (400, 415), reply
        event = gzip.compress(b"[" + b"1," * 5_000_000 + b"1]")
        reply = bombed.request("POST", f"/v1/functions/{bombed.other}/invocations", event,
                               {"Content-Type": "application/json", "Content-Encoding": encoding})
        assert reply.status in (400, 415), reply


def test_many_bombs_at_once(bombed, made):
    """Sixteen of the worst together: others are served within a second all the while."""
    body = made("gzip in gzip in gzip")
    with Lasting(bombed, bombed.other):
        serving = supervisor_pid(bombed)
        before = cpu_seconds(serving)

        def ask():
            began = time.monotonic()
            bombed.invoke(bombed.other, 1, expect="ok", timeout=60)
            return time.monotonic() - began
        calls = [lambda: bombed.upload(unique_name("bomb"), body, content_type=GZIP, expect=None, timeout=120)] * 16
        results = at_once([*calls, ask, ask, ask, ask])
        assert {reply.status for reply in results[:16]} <= {400, 413, 429, 503}, results[:16]
        assert max(results[16:]) < SECONDS, results[16:]
        assert cpu_seconds(serving) - before < 5 * SLOWNESS


def test_one_layer_is_taken(bombed):
    name = unique_name("sound")
    archive = tar_gz([tar_entry("function.yaml", MANIFEST), tar_entry("run", RUN, 0o755), tar_entry("big", bytes(8 * MIB))])
    bombed.upload(name, archive, content_type=GZIP, expect=[201])
    assert bombed.invoke(name, 7, expect="ok").json() == 7
