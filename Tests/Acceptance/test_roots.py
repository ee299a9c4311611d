"""Roots that the operator has prepared, as a folder and as a tar: all that functions see of programs, and nothing of the host's."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from checks import failed, problem
from conftest import new_host
from system import eventually

BUSYBOX = shutil.which("busybox")
PYTHON = "def handler(event, context):\n    import sys, os\n    return [list(sys.version_info[:2]), sorted(os.listdir('/usr')), os.path.exists('/bin')]\n"


def libraries(program):
    """The files that the loader maps for it, the loader among them."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [word for word in told.split() if word.startswith("/")]


def make_shell(folder):
    """A tree of one static program, as small distributions are."""
    (folder / "usr/bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, folder / "usr/bin/busybox")
    for name in ("sh", "ls", "cat", "id", "touch", "stat"):
        (folder / "usr/bin" / name).symlink_to("/usr/bin/busybox")
    (folder / "bin").symlink_to("usr/bin")
    for name, text, mode in [("etc/app/conf", "prepared\n", 0o644), ("etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0o644),
                             ("etc/shadow", "root:secret:\n", 0o600), ("etc/key", "secret\n", 0o600),
                             ("proc/cpuinfo", "of the root\n", 0o644), ("dev/null", "", 0o644), ("private/file", "secret\n", 0o644)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(mode)
    (folder / "etc/link").symlink_to("app/conf")
    (folder / "private").chmod(0o700)


def make_python(folder):
    """The host's own interpreter with what it loads, and no other program."""
    real = os.path.realpath("/usr/bin/python3")
    library = Path("/usr/lib") / Path(real).name
    for source in [real, *libraries(real)]:
        target = folder / source.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    if Path(real).name != "python3":
        (folder / "usr/bin/python3").symlink_to(Path(real).name)
    unneeded = shutil.ignore_patterns("test", "__pycache__", "config-*", "idlelib", "ensurepip", "dist-packages")
    shutil.copytree(library, folder / str(library).lstrip("/"), ignore=unneeded, symlinks=True)


def pack(folder, archive):
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as tar:
        tar.add(folder, ".")
    archive.chmod(0o600)  # the operator's own: nobody but the host reads it


@pytest.fixture(scope="module")
def prepared(workspace):
    """`shell` and `python` with their paths, each as a folder and (`-tar`) as a tar."""
    base = workspace / "roots"
    base.mkdir()
    paths = {}
    for name, make, ending in (("shell", make_shell, ".tar"), ("python", make_python, ".tar.gz")):
        folder = base / name
        folder.mkdir()
        make(folder)
        pack(folder, base / f"{name}{ending}")
        paths |= {name: folder, f"{name}-tar": base / f"{name}{ending}"}
    return paths


def configuration(paths):
    return "roots:\n" + "".join(f"  {name}: {path}\n" for name, path in paths.items())


@pytest.fixture(scope="module")
def rooted(workspace, prepared):
    host = new_host(workspace, "rooted", configuration(prepared)).start()
    yield host
    members = host.members
    assert host.stop() == 0
    host.traces.assert_gone(members, 5)


@pytest.fixture
def sh(rooted):
    """`sh(root, text)`: what a script of this text answers there."""
    def run(root, text, **query):
        name = unique_name("root")
        rooted.upload(name, f"#!/bin/sh\n{text}\n".encode(), {"root": root, **query})
        return rooted.invoke(name, expect="ok").body.decode()
    return run


@pytest.mark.parametrize("root", ["shell", "shell-tar"])
class TestShell:
    def test_its_own_programs_and_files(self, sh, root):
        assert sh(root, "cat /etc/app/conf; cat /etc/link; ls /usr/bin") == "prepared\n" * 2 + "busybox\ncat\nid\nls\nsh\nstat\ntouch\n"

    def test_nothing_of_the_hosts(self, sh, root):
        """Nor what every host has in the same place: no other program, no library, no setting."""
        assert sh(root, "ls /").split() == ["bin", "dev", "etc", "function", "proc", "sys", "tmp", "usr"]
        assert set(sh(root, "ls /etc").split()) == {"app", "bulkhead", "group", "hosts", "link", "localtime", "mtab", "nsswitch.conf",
                                                    "passwd", "ssl", "timezone"}

    def test_what_is_made_for_each_cell_is_made_here_too(self, sh, root):
        told = sh(root, "id -un; cat /etc/passwd; cat /proc/cpuinfo; echo x >/dev/null; touch /tmp/file; ls /tmp")
        assert told.startswith("function\n") and told.endswith("file\n")
        assert "function:x:" in told and "processor" in told and "of the root" not in told

    def test_what_others_may_not_read_is_not_there(self, sh, root):
        assert sh(root, "for f in /etc/shadow /etc/key /private /private/file; do [ -e $f ] || echo none; done") == "none\n" * 4

    def test_nothing_of_it_can_be_changed(self, sh, root):
        told = sh(root, "for f in /usr/bin/x /etc/app/x /etc/app/conf /x; do touch $f 2>&1; done; true", processes="4")
        assert told.count("Read-only file system") + told.count("Permission denied") == 4

    def test_policy_says_whose_it_is(self, rooted, bulkhead, root):
        name = unique_name("root")
        rooted.upload(name, b"#!/bin/sh\ncat\n", {"root": root})
        done = bulkhead("policy", "show", name, "--host", rooted.url, "--token", rooted.token)
        assert f"of the root {root}, which the operator prepared: /bin, /etc, /usr" in done.stdout
        shown = done.stdout.split("and of the host ")[1:]  # zone files are hidden by the root's own /usr
        assert [text.split(",")[0] for text in shown] == ["/etc/ssl/certs/ca-certificates.crt"] * os.path.exists("/etc/ssl/certs/ca-certificates.crt")

    def test_cells_are_renewed(self, rooted, root):
        name = unique_name("root")
        rooted.upload(name, b"#!/bin/sh\ncat\n", {"root": root})
        for number in range(20):
            assert rooted.invoke(name, number, expect="ok").json() == number


@pytest.mark.parametrize("root", ["python", "python-tar"])
@pytest.mark.parametrize("mode", ["command", "reactor", "snapshot"])
def test_handlers_run_in_its_python(rooted, root, mode):
    name = unique_name("root")
    rooted.upload(name, PYTHON.encode(), {"root": root, "runtime": "python", "handler": "app.handler", "mode": mode})
    version, shown, has_commands = rooted.invoke(name, expect="ok").json()
    assert version[0] == 3 and set(shown) <= {"bin", "lib", "lib64"} and not has_commands


def test_it_may_be_named_in_a_manifest(rooted):
    name = unique_name("root")
    bundle = zip_of({"function.yaml": b"run: ./run\nroot: shell\n", "run": (b"#!/bin/sh\nls /usr\n", 0o755)})
    assert rooted.upload(name, bundle, content_type=ZIP).json()["manifest"]["root"] == "shell"
    assert rooted.invoke(name, expect="ok").body == b"bin\n"


def test_a_static_program_is_shown_it_too(rooted, deploy_deed):
    name = deploy_deed(rooted, "read", "/etc/app/conf", "/usr/bin/python3", "--", root="shell").name
    assert rooted.invoke(name, expect="ok").json() == {"/etc/app/conf": "ok", "/usr/bin/python3": "ENOENT"}


@pytest.mark.parametrize("query, script, said", [
    ({"root": "nix"}, "#!/bin/sh\n", ["no root named nix", "auto, minimal, system, python, python-tar, shell, shell-tar"]),
    ({"root": "No Name"}, "#!/bin/sh\n", ["root", "auto, minimal, system"]),
    ({"root": "../shell"}, "#!/bin/sh\n", ["root", "auto, minimal, system"]),
    ({"root": "shell"}, "#!/usr/bin/perl\n", ["/usr/bin/perl", "the root shell"]),
    ({"root": "python"}, "#!/bin/sh\n", ["/bin/sh", "the root python"]),
    ({"root": "shell", "runtime": "python", "handler": "app.handler"}, PYTHON, ["/usr/bin/python3", "root: shell"]),
])
def test_what_cannot_work_is_told_at_upload(rooted, query, script, said):
    told = problem(rooted.upload(unique_name("root"), script.encode(), query, expect=None), "invalid_request")["detail"]
    for part in said:
        assert part in told


def test_a_grant_that_the_root_hides_is_told_at_upload(rooted):
    name = unique_name("root")
    manifest = b"run: ./run\nroot: shell\nallow: { files.read: [%s] }\n"
    def bundle(path):
        return zip_of({"function.yaml": manifest % path, "run": (b"#!/bin/sh\ncat " + path + b"\n", 0o755)})
    told = problem(rooted.upload(name, bundle(b"/usr/bin/python3"), content_type=ZIP, expect=None), "invalid_request")["detail"]
    assert "/usr/bin/python3" in told and "the root shell" in told
    rooted.upload(name, bundle(b"/etc/debian_version"), content_type=ZIP)
    assert rooted.invoke(name, expect="ok").body.decode() == Path("/etc/debian_version").read_text()


def test_a_root_that_is_gone(hosts, prepared):
    """What was uploaded stays, and says what it lacks; with the root back, it runs."""
    host = hosts(configuration=configuration({"shell": prepared["shell-tar"]}))
    host.upload("old", b"#!/bin/sh\ncat\n", {"root": "shell"})
    assert host.stop() == 0
    without = hosts(data=host.data)
    told = failed(without.invoke("old", 1), "launch_failed")
    assert told["stage"] == "plan"
    assert "no root named shell" in without.log.read_text() and "no root named shell" in without.logs("old")[-1]["text"]
    assert "no root named shell" in problem(without.get("/v1/functions/old/policy"), "conflict")["detail"]
    assert without.stop() == 0
    assert hosts(data=host.data, configuration=configuration({"shell": prepared["shell-tar"]})).invoke("old", 7, expect="ok").json() == 7


def test_a_tar_is_unpacked_once(hosts, prepared):
    settings = configuration({"shell": prepared["shell-tar"]})
    host = hosts(configuration=settings)
    host.upload("one", b"#!/bin/sh\ncat\n", {"root": "shell"})

    def roots(host):
        return {path.stat().st_ino for path in (host.data / "bundles").iterdir() if (path / "usr/bin/busybox").exists()}
    first = roots(host)
    assert len(first) == 1
    host.delete("one")
    eventually(lambda: len(list((host.data / "bundles").iterdir())) == 2, 15, "the runtime's and the root are left")
    assert host.stop() == 0
    again = hosts(data=host.data, configuration=settings)
    assert roots(again) == first
    assert again.stop() == 0
    assert not roots(hosts(data=host.data))  # nobody names it any more


def refused(workspace, configuration):
    """What `serve` says before it ends."""
    host = new_host(workspace, unique_name("refused"), configuration)
    with pytest.raises(AssertionError, match="serve ended with 2"):
        host.start()
    return host.log_tail()


@pytest.mark.parametrize("text, said", [
    ("roots: /srv\n", "must be a mapping"),
    ("roots: { system: /srv }\n", "other than auto, minimal, system"),
    ("roots: { 'a b': /srv }\n", "\"a b\" must be a name"),
    ("roots: { own: srv }\n", "must be the absolute path"),
    ("roots: { own: /nowhere }\n", "/nowhere cannot be opened: No such file or directory"),
    ("roots: { own: / }\n", "the host's own root"),
    ("roots: { own: /dev/null }\n", "neither a folder nor a tar"),
])
def test_a_root_that_cannot_be_is_told_at_the_start(workspace, text, said):
    assert said in refused(workspace, text)


def test_a_root_that_is_no_tar(workspace):
    file = workspace / "no.tar"
    file.write_text("nothing")
    assert "own" in (told := refused(workspace, f"roots: {{ own: {file} }}\n")) and "cannot be used" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="a user's cells are that user")
def test_a_root_that_cells_cannot_enter(workspace):
    folder = workspace / "closed"
    (folder / "root").mkdir(parents=True)
    folder.chmod(0o700)
    assert f"{folder} must be open to everybody" in refused(workspace, f"roots: {{ own: {folder}/root }}\n")


def test_a_root_that_points_at_the_host(workspace, hosts):
    """Links lead where they would in a root: to what is in it."""
    folder = workspace / "pointing"
    (folder / "usr/bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, folder / "usr/bin/sh")
    for name in ("etc", "opt", "var", "run"):
        (folder / name).symlink_to(f"/{name}")
    (folder / "srv").symlink_to("../../../../../../etc")
    pack(folder, workspace / "pointing.tar")
    host = hosts(configuration=configuration({"folder": folder, "tar": workspace / "pointing.tar"}))
    for root in ("folder", "tar"):
        host.upload(root, b"#!/usr/bin/sh\nfor f in /etc/shadow /etc/debian_version /srv/shadow /srv/ssh /var/lib /opt/x; do"
                          b" [ -e $f ] && echo $f; done; [ -e /srv/passwd ] && echo made\n", {"root": root})
        assert host.invoke(root, expect="ok").body == b"made\n"
    told = problem(host.upload("other", b"#!/opt/../bin/sh\n", {"root": "tar"}, expect=None), "invalid_request")["detail"]
    assert "#!" in told
    problem(host.upload("other", b"#!/bin/sh\n", {"root": "tar"}, expect=None), "invalid_request")


def test_run_takes_them_too(bulkhead, workspace, prepared):
    settings = workspace / "run.yaml"
    settings.write_text(configuration({"shell": prepared["shell"]}))
    script = workspace / "rooted.sh"
    script.write_text("#!/bin/sh\nls /usr\n")
    script.chmod(0o755)
    done = bulkhead("run", script, "--config", settings, "--set", "root=shell", "--data", "1")
    assert (done.returncode, done.stdout) == (0, "bin\n"), done.stderr
