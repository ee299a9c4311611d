"""The Debian package: what is in it, what Debian's own checks say of it, and that it serves where no Swift toolchain is."""

import gzip
import os
import re
import subprocess
from pathlib import Path

import pytest

from bulkhead_host import Host
from conftest import BINARY, REPOSITORY

PLAIN_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
MUST_HOLD = {
    "./usr/lib/bulkhead/bulkhead": "-rwxr-xr-x", "./usr/lib/bulkhead/bulkhead-launcher": "-rwxr-xr-x",
    "./usr/lib/bulkhead/bulkhead-guardian": "-rwxr-xr-x", "./usr/lib/bulkhead/bulkhead-probe": "-rwxr-xr-x",
    "./usr/bin/bulkhead": "lrwxrwxrwx", "./etc/bulkhead.yaml": "-rw-r--r--",
    "./usr/lib/systemd/system/bulkhead.service": "-rw-r--r--", "./usr/lib/systemd/system/bulkhead.socket": "-rw-r--r--",
    "./usr/share/man/man1/bulkhead.1.gz": "-rw-r--r--", "./usr/share/man/man1/bulkhead-serve.1.gz": "-rw-r--r--",
    "./usr/share/bash-completion/completions/bulkhead": "-rw-r--r--", "./usr/share/zsh/vendor-completions/_bulkhead": "-rw-r--r--",
    "./usr/share/fish/vendor_completions.d/bulkhead.fish": "-rw-r--r--",
    "./usr/share/doc/bulkhead/copyright": "-rw-r--r--", "./usr/share/doc/bulkhead/changelog.Debian.gz": "-rw-r--r--",
}


def said(*command, **options):
    """What a command that must succeed prints."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def package(workspace):
    """The build under test, packaged; soon rather than small."""
    printed = said(REPOSITORY / "sandbox/package", BINARY.parent, workspace / "package",
                   env=os.environ | {"DPKG_DEB_COMPRESSOR_LEVEL": "0"})
    return Path(printed.strip())


@pytest.fixture(scope="module")
def unpacked(package, workspace):
    folder = workspace / "unpacked"
    said("dpkg-deb", "-x", package, folder)
    return folder


def test_what_is_in_it(package):
    lines = [line.split(maxsplit=5) for line in said("dpkg-deb", "-c", package).splitlines()]
    held = {line[5].split(" -> ")[0]: line for line in lines}
    for path, mode in MUST_HOLD.items():
        assert path in held and held[path][0] == mode, (path, held.get(path))
    assert {line[1] for line in lines} == {"root/root"}
    assert held["./usr/bin/bulkhead"][5].endswith(" -> ../lib/bulkhead/bulkhead")

    def field(name):
        return said("dpkg-deb", "-f", package, name).strip()
    assert package.name == f"bulkhead_{field('Version')}_{field('Architecture')}.deb"
    assert field("Version").startswith(said(BINARY, "--version").strip())
    assert re.search(r"\blibarchive13\b", field("Depends")) and re.search(r"\blibc6 \(>=", field("Depends"))
    assert "swift" not in field("Depends"), "what Debian does not have"


def test_debians_own_checks(package):
    done = subprocess.run(["lintian", "--fail-on", "error,warning", "--allow-root", package], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not re.search("^[EW]:", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_units_scripts_and_completions(package, unpacked, workspace):
    units = unpacked / "usr/lib/systemd/system"
    service, socket = (units / "bulkhead.service").read_text(), (units / "bulkhead.socket").read_text()
    assert "\nExecStart=/usr/bin/bulkhead serve --data /var/lib/bulkhead --config /etc/bulkhead.yaml\n" in service
    assert "\nDelegate=yes\n" in service and "\nListenStream=127.0.0.1:8080\n" in socket
    said("dpkg-deb", "-e", package, workspace / "control")
    for script in ("postinst", "prerm", "postrm"):
        said("sh", "-n", workspace / "control" / script)
    said("bash", "-n", unpacked / "usr/share/bash-completion/completions/bulkhead")
    assert str(workspace) not in service, "the place where it was made is nobody's business"
    assert "0 of " in said(unpacked / "usr/bin/bulkhead", "config", "check", unpacked / "etc/bulkhead.yaml")


def test_manual(unpacked):
    """Every subcommand has a page, which names its options and is set without a warning."""
    pages = sorted((unpacked / "usr/share/man/man1").glob("*.1.gz"))
    commands = re.findall(r"^  ([a-z-]+)  +\S", said(BINARY, "--help").split("SUBCOMMANDS:")[1], re.MULTILINE)
    assert [page.name for page in pages] == sorted(["bulkhead.1.gz", *(f"bulkhead-{one}.1.gz" for one in commands)])
    for page in pages:
        done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, timeout=30,
                              env=os.environ | {"LC_ALL": "C.UTF-8", "MANPAGER": "cat", "MANWIDTH": "80"})
        assert done.returncode == 0 and not done.stderr and "\nNAME\n" in done.stdout, (page, done.stderr)
        # Those of subcommands of subcommands, too.
        for option in re.findall(r"(--[a-z-]+) <", said(BINARY, *page.name.split(".")[0].split("-", 1)[1:], "--help")):
            assert option in done.stdout, (page.name, option)
    serve = gzip.decompress((unpacked / "usr/share/man/man1/bulkhead-serve.1.gz").read_bytes()).decode()
    assert serve.startswith(".TH BULKHEAD\\-SERVE 1 ") and "\\-\\-insecure\\-http" in serve


def test_it_serves_where_no_toolchain_is(unpacked, workspace, curl):
    program = unpacked / "usr/lib/bulkhead/bulkhead"
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("LD_", "BULKHEAD_"))} | {"PATH": PLAIN_PATH}
    places = re.findall(r"^\t(\S+) => (.+?)(?: \(0x|$)", said("ldd", program, env=plain), re.MULTILINE)
    own = ("/lib/", "/usr/lib/", "/lib64/")
    assert not [name for name, _ in places if "swift" in name or "Foundation" in name], places
    assert not [place for place in places if not place[1].startswith(own)], places
    host = Host(unpacked / "usr/bin/bulkhead", workspace / "packaged", workspace / "packaged.log")
    host.environment = plain
    host.start()
    try:
        # And so it is in the process itself: nothing but what is packaged, or Debian's.
        mapped = set(re.findall(r" (/\S+\.so[\d.]*)$", Path(f"/proc/{host.supervisor.pid}/maps").read_text(), re.MULTILINE))
        assert "/lib/x86_64-linux-gnu/libc.so.6" in mapped or "/usr/lib/x86_64-linux-gnu/libc.so.6" in mapped, mapped
        assert not [path for path in mapped if not path.startswith(own)], mapped
        assert curl("--fail", f"{host.url}/readyz")
        (workspace / "shout").write_text("#!/bin/sh\ntr a-z A-Z\n")
        authorized = ("--fail", "-H", f"Authorization: Bearer {host.token}")
        curl(*authorized, "-T", str(workspace / "shout"), f"{host.url}/v1/functions/shout")
        assert curl(*authorized, "-d", '"hello"', f"{host.url}/v1/functions/shout/invocations") == '"HELLO"'
    finally:
        code = host.stop()
    assert code == 0, host.log_tail()
