"""Failures explain themselves: what the log's end gives away is said in `detail`, with what to do."""

import subprocess

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from checks import failed


def told(host, payload, outcome="exit", content_type=None, **query):
    name = unique_name("why")
    host.upload(name, payload, query, **({"content_type": content_type} if content_type else {}))
    return failed(host.invoke(name), outcome)


@pytest.fixture
def linked(tmp_path):
    """A program and the library that it needs, which is in none of the system's folders."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "x.c").write_text("int answer(void) { return 42; }\n")
    (tmp_path / "main.c").write_text('#include <stdio.h>\nint answer(void);\nint main(void) { printf("%d", answer()); }\n')
    for command in (["-shared", "-fPIC", "-o", "lib/libanswer.so", "x.c"], ["-o", "main", "main.c", "-Llib", "-lanswer"]):
        subprocess.run(["cc", *command], cwd=tmp_path, check=True, timeout=60)
    return (tmp_path / "main").read_bytes(), (tmp_path / "lib/libanswer.so").read_bytes()


def test_missing_library(host, linked):
    program, _ = linked
    problem = told(host, program)
    assert problem["exitCode"] == 127 and "the library libanswer.so is not in the cell" in problem["detail"]
    assert "LD_LIBRARY_PATH" in problem["detail"] and "libanswer.so" in problem["log"]


def test_the_mend_that_is_named_mends(host, linked):
    program, library = linked
    name = unique_name("why")
    manifest = b"run: ./main\nenv: { LD_LIBRARY_PATH: /function/lib }\n"
    host.upload(name, zip_of({"function.yaml": manifest, "main": (program, 0o755), "lib/libanswer.so": library}), content_type=ZIP)
    assert host.invoke(name, expect="ok").body == b"42"


@pytest.mark.parametrize("script, says", [
    ("no-such-command", "a command that it calls is not in the cell"),
    ("echo '#!/bin/sh' | ./data", "a file that it runs is not executable"),
    ("echo \"tool: /lib/libc.so.6: version \\`GLIBC_9.99' not found (required by tool)\" >&2; exit 1", "a newer library (GLIBC_9.99)"),
    ("exit 3", None)])
def test_what_the_log_gives_away(host, script, says):
    archive = zip_of({"function.yaml": b"run: ./run\n", "run": (f"#!/bin/sh\n{script}\n".encode(), 0o755), "data": b"x"})
    problem = told(host, archive, content_type=ZIP)
    assert says is None or says in problem["detail"], problem


def test_what_a_hostile_log_gives_away(host):
    """Nothing but its own words, shortened; and reading it takes no time of a tenant's choosing."""
    marks = "\\314\\201" * 2000
    script = f"#!/bin/sh\nprintf 'error while loading shared libraries: {marks}: cannot open' >&2; exit 127\n"
    problem = told(host, script.encode())
    assert problem["detail"].count("\u0301") == 0 and problem["exitCode"] == 127
    script = "#!/bin/sh\nprintf 'error while loading shared libraries: a\\033[2Jb\\nc: cannot open' >&2; exit 127\n"
    assert "\033" not in told(host, script.encode())["detail"]
