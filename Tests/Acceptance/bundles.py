"""Uploads made in memory: archives as they should be, and ELF files as they should not."""

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

EM_X86_64, EM_AARCH64 = 62, 183
PT_INTERP = 3


def zip_entry(name, mode=0o644, kind=stat.S_IFREG):
    """An entry as Info-ZIP on Unix writes it: the mode stands in the upper half of the external attributes."""
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (kind | mode) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def zip_of(files, compression=zipfile.ZIP_STORED):
    """A zip of {name: content}; content may be (content, mode). Names go in as they are, however bad."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            content, mode = content if isinstance(content, tuple) else (content, 0o644)
            archive.writestr(zip_entry(name, mode), content, compression)
    return buffer.getvalue()


def tar_entry(name, content=b"", mode=0o644, kind=tarfile.REGTYPE, link=""):
    entry = tarfile.TarInfo(name)
    entry.mode, entry.type, entry.linkname, entry.size = mode, kind, link, len(content)
    return entry, content


def tar_gz(entries):
    """A tar.gz of `tar_entry` results."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def read_tree(folder):
    """{name: (content, mode)} of all regular files below `folder`."""
    files = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            files[str(path.relative_to(folder))] = (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    return files


def script_bundle(manifest, script=b"#!/bin/sh\ncat\n"):
    """A zip with `manifest` and one script, ./run."""
    return zip_of({"function.yaml": manifest.encode(), "run": (script, 0o755)})


# -- Archives made to exhaust whoever unpacks them --------------------------------------------------------------------


def zip_bomb(size):
    """A zip of a few MiB whose one file unpacks to `size` zeros."""
    buffer, block = io.BytesIO(), bytes(1 << 20)
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zip_entry("function.yaml"), b"run: ./zeros\n")
        with archive.open(zip_entry("zeros", 0o755), "w", force_zip64=True) as file:
            for _ in range(size >> 20):
                file.write(block)
    return buffer.getvalue()


def crowded_zip(count):
    """A zip of `count` empty files, written directly: zipfile would take a minute. Ends in a ZIP64 directory record."""
    local, central, name_size = bytearray(), bytearray(), 6
    for number in range(count):
        name = b"%06x" % number
        central += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 0x031E, 20, 0, 0, 0, 0x21, 0, 0, 0, name_size, 0, 0, 0, 0,
                               (stat.S_IFREG | 0o644) << 16, len(local)) + name
        local += struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0x21, 0, 0, 0, name_size, 0) + name
    end = len(local) + len(central)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 0x031E, 45, 0, 0, count, count, len(central), len(local))
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(central), len(local), 0)
    return bytes(local + central + record + locator + tail)


def crowded_tar_gz(count):
    """A tar.gz of `count` empty files: 512 bytes each unpacked, a few bytes each packed."""
    block, _ = tar_entry("0000000")
    template = block.tobuf(tarfile.USTAR_FORMAT)
    tail = template[7:148]
    rest = template[156:]
    fixed = sum(tail) + sum(rest) + 8 * 32  # the checksum's own field counts as spaces
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as stream:
        for start in range(0, count, 10_000):
            part = []
            for number in range(start, min(start + 10_000, count)):
                name = b"%07d" % number
                part += (name, tail, b"%06o\0 " % (fixed + sum(name)), rest)
            stream.write(b"".join(part))
        stream.write(bytes(1024))
    return buffer.getvalue()


# -- ELF, as elf(5) lays it out ---------------------------------------------------------------------------------------


def other_machine(elf):
    """The same file for a processor that this host is not."""
    mine = struct.unpack_from("<H", elf, 18)[0]
    other = EM_X86_64 if mine == EM_AARCH64 else EM_AARCH64
    return elf[:18] + struct.pack("<H", other) + elf[20:]


def _interpreter_header(elf):
    """Offset of the PT_INTERP program header."""
    table, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for index in range(count):
        if struct.unpack_from("<L", elf, table + index * size)[0] == PT_INTERP:
            return table + index * size
    raise AssertionError("this ELF has no PT_INTERP; it must be linked dynamically")


def with_interpreter(elf, path):
    """The same dynamic ELF with another loader, whose name is put at the file's end."""
    header = _interpreter_header(elf)
    patched = bytearray(elf + path)
    struct.pack_into("<Q", patched, header + 8, len(elf))  # p_offset
    struct.pack_into("<Q", patched, header + 32, len(path))  # p_filesz
    return bytes(patched)


def with_interpreter_at(elf, offset, size):
    """The same dynamic ELF with a loader's name that lies anywhere, also outside the file."""
    header = _interpreter_header(elf)
    patched = bytearray(elf)
    struct.pack_into("<Q", patched, header + 8, offset)
    struct.pack_into("<Q", patched, header + 32, size)
    return bytes(patched)


def endless_zeros(head, size):
    """`size` bytes in pieces, beginning with `head`: an upload that is never whole in memory here either."""
    yield head
    left, block = size - len(head), bytes(1 << 20)
    while left > 0:
        yield block[:min(left, len(block))]
        left -= len(block)


def make_folder(folder, files):
    """Writes {name: content or (content, mode)} into `folder`."""
    for name, content in files.items():
        content, mode = content if isinstance(content, tuple) else (content, 0o644)
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.chmod(path, mode)
    return Path(folder)
