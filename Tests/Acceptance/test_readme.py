"""The README's console blocks: each command is run, and what stands below it is what it prints."""

import re
import subprocess

import pytest

from bulkhead_host import unique_name
from conftest import BINARY, FUNCTIONS, REPOSITORY, SLOWNESS, new_host

README = (REPOSITORY / "README.md").read_text()
# What differs from run to run: times, measurements, numbers that count up.
VARIES = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z|[\d.]+")


def commands():
    """[(command, the lines below it)] of all console blocks."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            found.append((re.sub(r"\s{2,}#.*", "", command), printed))
    return found


def plain(text):
    """Without what differs, and however its lines are broken."""
    return "".join(VARIES.sub("0", text).split())


def run(host, command, folder, check=True):
    """As a user types it into a shell, with this host in the place of the README's."""
    text = command.replace("localhost:8080", f"127.0.0.1:{host.port}").replace("functions/.out", str(FUNCTIONS))
    text = re.sub(r"^bulkhead\b", str(BINARY), text)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "TOKEN": host.token, "HOME": str(folder), "BULKHEAD_HOST": host.url,
                   "BULKHEAD_TOKEN": host.token}
    done = subprocess.run(["bash", "-c", text], cwd=folder, env=environment, capture_output=True, text=True,
                          timeout=120 * SLOWNESS)
    assert not check or done.returncode == 0, (text, done.stdout, done.stderr)
    return done.stdout


def test_all_commands_are_found():
    assert [command.split()[0] for command, _ in commands()] == ["curl"] * 5 + ["bulkhead"] * 5 + ["curl"] + ["bulkhead"] * 8, commands()


@pytest.fixture(scope="module")
def reader(workspace, tmp_path_factory):
    """A host of its own, where the README's names are free, and a folder with the README's script."""
    folder = tmp_path_factory.mktemp("reader")
    script = folder / "report.sh"
    script.write_text("#!/bin/sh\ncat /etc/hostname\n")
    script.chmod(0o755)
    host = new_host(workspace, unique_name("readme")).start()
    try:
        run(host, "bulkhead deploy functions/.out/auth", folder)
        yield host, folder
    finally:
        code = host.stop()
    assert code == 0


@pytest.mark.parametrize("number", range(len(commands())))
def test_command(reader, number):
    """What the README shows is printed, in that order; `…` stands for more."""
    host, folder = reader
    command, shown = commands()[number]
    for before, _ in commands()[:number]:
        if "/v1/functions/" in before and " -T " in before:
            run(host, before, folder)  # what this one invokes
    printed, at = plain(run(host, command, folder)), 0
    for part in shown.split("…"):
        wanted = plain(part)
        found = printed.find(wanted, at)
        assert found >= 0, f"{command}\nprints no {part!r} behind character {at} of\n{printed}"
        at = found + len(wanted)


def test_run_without_a_server(reader):
    command, = re.findall(r"without any server: `(.*?)`", README)
    host, folder = reader
    assert run(host, command, folder) == '{"x":1}'


def test_defaults(reader, tmp_path):
    """The manifest that the README shows is taken, and says the defaults."""
    host, folder = reader
    text, = re.findall(r"^```yaml\n(# function.yaml.*?)^```", README, re.MULTILINE | re.DOTALL)
    place = tmp_path / "shown"
    place.mkdir()
    (place / "function.yaml").write_text(text)
    (place / "thumbnail").write_bytes((FUNCTIONS / "echo/echo").read_bytes())
    run(host, f"bulkhead deploy {place}", folder)
    run(host, "bulkhead deploy functions/.out/echo/echo --name plain", folder)
    shown, plain_one = (host.get(f"/v1/functions/{name}").json()["manifest"] for name in ("thumbnail", "plain"))
    for manifest in (shown, plain_one):
        for own in ("name", "description", "run", "allow"):
            manifest.pop(own, None)
    assert shown == plain_one
