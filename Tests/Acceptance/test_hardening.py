"""The C programs that users run, as they were built: what a flaw in them would have to get past."""

import re
import subprocess

import pytest

from conftest import BINARY


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", ["bulkhead-launcher", "bulkhead-guardian"])
def test_built_with_hardening(name):
    """Stack protector, checked buffer functions, no executable stack, relocations read-only."""
    program = BINARY.parent / name
    segments = {line.split()[0]: line.split() for line in run("readelf", "-lW", program).splitlines() if line.startswith("  ") and line.split()}
    assert "E" not in segments["GNU_STACK"][6], segments["GNU_STACK"]
    assert "GNU_RELRO" in segments
    assert not re.search(r"LOAD .* RWE ", run("readelf", "-lW", program)), "nothing is writable and executable"
    symbols = {line.split()[-1] for line in run("nm", program).splitlines()}
    assert "__stack_chk_fail" in symbols
    code = run("objdump", "-d", "--no-show-raw-insn", program)
    assert re.search(r"call .*<__\w+_chk>", code), "FORTIFY_SOURCE"
    # Functions of our own check their stacks; the C library, which is linked in, need not.
    ours = "send_event" if name == "bulkhead-launcher" else "main"
    body = code.split(f"<{ours}>:", 1)[1].split("\n\n", 1)[0]
    assert "endbr64" in body.split("\n")[1], "control flow protection"


def test_built_for_one_place():
    """The launcher is linked statically: it loads nothing at run time that anybody could put there."""
    assert "INTERP" not in run("readelf", "-lW", BINARY.parent / "bulkhead-launcher")
