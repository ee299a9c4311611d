"""The README's first command, and what it tells to try."""

import re
import subprocess
from pathlib import Path

import pytest

from conftest import BINARY, REPOSITORY
from system import eventually, processes


@pytest.mark.skipif(BINARY != REPOSITORY / ".build/release/bulkhead", reason="it starts the release build of this repository")
def test_start(tmp_path):
    """From a checkout to functions that answer, by the commands that it prints; and its end."""
    data = tmp_path / "data"
    done = subprocess.run([REPOSITORY / "sandbox/start", "--data", data, "--listen", "127.0.0.1:0"], capture_output=True,
                          text=True, timeout=900, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    pid = int(re.search(r"To end it: kill (\d+)", done.stdout)[1])
    try:
        tried = re.findall(r"^  (\S.*)$", done.stdout, re.MULTILINE)
        assert len(tried) == 3, done.stdout
        said = [subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True).stdout
                for command in tried]
        assert said[0].strip() == "User authenticated successfully"
        assert "Ada" in said[1]
        assert said[2].strip() == '{"x":1}'
        assert "bulkhead-guard" in next(one.name for one in processes() if one.pid == pid)
    finally:
        subprocess.run(["kill", str(pid)], check=True)
    eventually(lambda: not [one for one in processes() if one.pid == pid], 20, "it has ended")
    assert Path(f"{data}.log").exists()
