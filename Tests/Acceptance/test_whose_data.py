"""A token or a data directory that somebody else owns is no secret and no store: `serve` refuses both, naming them."""

import os
import subprocess

import pytest

from bulkhead_host import unique_name
from conftest import BINARY, SERVE_OPTIONS

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")

STRANGER = 12_345


def serve(data, seconds=20):
    """What `serve` said, and its exit status; None when it went on to serve."""
    process = subprocess.Popen([BINARY, "serve", "--listen", "127.0.0.1:0", "--data", str(data), *SERVE_OPTIONS],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    line = process.stdout.readline()
    if line:
        process.terminate()
        process.communicate(timeout=seconds)
        return None, line
    errors = process.communicate(timeout=seconds)[1]
    return process.returncode, errors


@pytest.fixture
def used(hosts):
    """The data directory of a host that has run and ended."""
    host = hosts()
    host.upload("kept", b"#!/bin/sh\ncat\n")
    assert host.stop() == 0
    return host.data


def test_as_it_was(used):
    """Nobody touched it: it starts, or the other tests prove nothing."""
    code, said = serve(used)
    assert code is None, said


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_token_of_somebody_else(used, mode):
    os.chown(used / "admin.token", STRANGER, STRANGER)
    os.chmod(used / "admin.token", mode)
    code, said = serve(used)
    assert code not in (None, 0) and "admin.token" in said, said


@pytest.mark.parametrize("mode", [0o660, 0o606, 0o666, 0o644, 0o640])
def test_a_token_that_others_can_read(used, mode):
    """Refused, or made private again at the start."""
    os.chmod(used / "admin.token", mode)
    code, said = serve(used)
    if code is None:
        assert (used / "admin.token").stat().st_mode & 0o077 == 0, "it was used, and left open"
    else:
        assert "admin.token" in said


def test_a_token_that_is_a_link(used):
    """To a file that its owner can change."""
    other = used.parent / unique_name("token")
    other.write_text("forged-token-of-somebody-else\n")
    os.chown(other, STRANGER, STRANGER)
    (used / "admin.token").unlink()
    (used / "admin.token").symlink_to(other)
    code, said = serve(used)
    assert code not in (None, 0) and "admin.token" in said, said


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777])
def test_a_directory_of_somebody_else(used, mode):
    os.chown(used, STRANGER, STRANGER)
    os.chmod(used, mode)
    code, said = serve(used)
    assert code not in (None, 0) and str(used) in said, said


def test_a_new_directory_of_somebody_else(workspace):
    """Also when it is empty: its owner could put a token there."""
    data = workspace / unique_name("given")
    data.mkdir(mode=0o700)
    os.chown(data, STRANGER, STRANGER)
    code, said = serve(data)
    assert code not in (None, 0) and str(data) in said, said
    assert not (data / "admin.token").exists()


def test_a_fifo_in_the_tokens_place(used):
    """It does not wait for a writer."""
    (used / "admin.token").unlink()
    os.mkfifo(used / "admin.token")
    code, said = serve(used)
    assert code not in (None, 0) and "admin.token" in said, said
