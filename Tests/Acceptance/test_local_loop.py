"""The local loop: a newcomer's ten minutes, from nothing to a function that was changed, looked at and rolled back."""

import json
import queue
import shutil
import subprocess
import threading
import time

import pytest

from bulkhead_host import unique_name
from conftest import SLOWNESS
from system import eventually
from test_events import ECHO

TOOLS = {"python": "python3", "shell": "sh", "node": "node", "c": "cc", "go": "go", "rust": "rustc", "swift": "swiftc"}
# Of Debian, Tests/run installs these; the others are tried where they are.
ALWAYS = ["python", "shell", "c", "go", "swift"]


@pytest.fixture
def client(bulkhead, host):
    def run(*arguments, status=0, **options):
        done = bulkhead(*arguments, "--host", host.url, "--token", host.token, **options)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout if status == 0 else done.stderr
    return run


@pytest.mark.parametrize("language", ALWAYS)
def test_each_language_begins_with_what_runs(bulkhead, workspace, language):
    assert shutil.which(TOOLS[language]), f"{language} is missing; Tests/run installs it"
    folder = workspace / "begin" / language
    made = bulkhead("init", folder, "--language", language)
    assert made.returncode == 0 and "next:" in made.stdout, made
    if (folder / "build").exists():
        subprocess.run([folder / "build"], check=True, capture_output=True, timeout=300 * SLOWNESS)
    ran = bulkhead("run", folder, "--data", '{"name":"Ada"}', timeout=120)
    assert ran.returncode == 0, ran
    greeting = json.loads(ran.stdout)["greeting"]
    assert greeting == ("Hello, Ada!" if language in ("python", "go", "swift", "node") else "Hello!"), ran
    assert "Ada" in ran.stderr or "got" in ran.stderr, "its log"


def test_what_is_there_stays(bulkhead, workspace):
    place = workspace / unique_name("kept")
    place.mkdir()
    for arguments, said in (((place,), "already"), ((workspace / "No_Name",), "no function name"), ((place / "x", "--language", "cobol"), "python")):
        done = bulkhead("init", *arguments)
        assert done.returncode == 2 and said in done.stderr, done
    assert not list(place.iterdir())


class Watching:
    """What `bulkhead dev` prints, line by line."""

    def __init__(self, host, folder):
        self.process = subprocess.Popen([host.binary, "dev", folder, "--host", host.url, "--token", host.token], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.process.stdout], daemon=True).start()

    def until(self, wanted, seconds=20 * SLOWNESS):
        seen, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                seen.append(self.lines.get(timeout=0.2))
            except queue.Empty:
                continue
            if wanted in seen[-1]:
                return seen[-1]
        raise AssertionError(f"no {wanted!r} in {seen}")

    def end(self):
        self.process.kill()
        self.process.wait()


def test_a_newcomers_ten_minutes(client, host, bulkhead, workspace):
    """init, dev, edit, a mistake, its mend, logs -f, rollback: in far less."""
    begin, name = time.monotonic(), unique_name("greet")
    folder = workspace / name
    assert bulkhead("init", folder).returncode == 0
    watching = Watching(host, folder)
    follower = None
    try:
        watching.until(f"{name} version 1")
        assert json.loads(client("invoke", name, "--data", '{"name":"Ada"}')) == {"greeting": "Hello, Ada!"}
        watching.until("greeting Ada")
        program = folder / "app.py"
        program.write_text(program.read_text().replace("Hello", "Good day"))
        watching.until(f"{name} version 2")
        assert json.loads(client("invoke", name, "--data", "{}")) == {"greeting": "Good day, world!"}
        manifest = (folder / "function.yaml").read_text()
        (folder / "function.yaml").write_text(manifest.replace("mode: reactor", "mode: reaktor"))
        assert "line 4" in watching.until("not deployed") and host.invoke(name, expect="ok")
        (folder / "function.yaml").write_text(manifest)
        watching.until(f"{name} version 2 (unchanged)")
        follower = subprocess.Popen([host.binary, "logs", name, "-f", "--limit", "0", "--host", host.url, "--token", host.token],
                                    stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        client("invoke", name, "--data", '{"name":"Bob"}')
        assert "greeting Bob" in follower.stdout.readline()
        client("rollback", name)
        assert json.loads(client("invoke", name, "--data", "{}")) == {"greeting": "Hello, world!"}
    finally:
        watching.end()
        if follower:
            follower.kill()
            follower.wait()
    assert time.monotonic() - begin < 60 * SLOWNESS


def test_what_is_built_is_built_before(host, workspace, bulkhead):
    name = unique_name("built")
    folder = workspace / name
    bulkhead("init", folder, "--language", "c")
    watching = Watching(host, folder)
    try:
        watching.until(f"{name} version 1")
        source = folder / "app.c"
        source.write_text(source.read_text().replace("int main", "int mian"))
        watching.until("not deployed")
        source.write_text(source.read_text().replace("int mian", "int main").replace("Hello!", "Hi!"))
        watching.until(f"{name} version 2")
        assert host.invoke(name, 7, expect="ok").json() == {"greeting": "Hi!", "event": 7}
    finally:
        watching.end()


def test_top(client, host):
    name = unique_name("busy")
    host.upload(name, ECHO)
    ended = threading.Event()

    def busy():
        while not ended.is_set():
            host.invoke(name, 1)
    thread = threading.Thread(target=busy)
    thread.start()
    try:
        row = eventually(lambda: [line.split() for line in client("top", "--once", "--interval", "0.5").splitlines()
                                  if line.startswith(name) and float(line.split()[1]) > 1], 10, "it is busy")[0]
        assert row[2] == "0.0" and row[3] == "≤" and row[5] in ("ms", "s"), row
        found = {one["name"]: one for one in json.loads(client("top", "--once", "--interval", "0.5", "--json"))["functions"]}
        assert found[name]["perSecond"] > 1 and 0 < found[name]["p50Ms"] <= 1000
    finally:
        ended.set()
        thread.join()


def test_units_for_systemd(bulkhead, workspace):
    """They are what systemd takes, and hold what the host needs of it."""
    folder = workspace / unique_name("units")
    folder.mkdir()
    shown = bulkhead("install", "--print", "--unit-dir", folder)
    assert shown.returncode == 0 and not list(folder.iterdir()) and "Delegate=yes" in shown.stdout
    done = bulkhead("install", "--unit-dir", folder, "--listen", "127.0.0.1:9090", "--config", "/etc/bulkhead.yaml")
    assert done.returncode == 0 and "systemctl" in done.stdout, done
    socket, service = (folder / "bulkhead.socket").read_text(), (folder / "bulkhead.service").read_text()
    assert "ListenStream=127.0.0.1:9090\n" in socket and "serve --data /var/lib/bulkhead --config /etc/bulkhead.yaml\n" in service
    for wrong in ("127.0.0.1:80\nUser=x", "a b", "%h", "$HOME", "localhost:80"):
        assert bulkhead("install", "--print", "--listen", wrong).returncode == 2
    relative = bulkhead("install", "--print", "--config", "serve.yaml").stdout
    assert "--config /" in relative and "SocketMode=0660" in relative
    assert "cannot be written" in bulkhead("install", "--unit-dir", folder / "nowhere").stderr


def test_completions_for_shells(bulkhead):
    for shell in ("bash", "zsh", "fish"):
        script = bulkhead("--generate-completion-script", shell)
        assert script.returncode == 0 and "schedules" in script.stdout
    checked = subprocess.run(["bash", "-n"], input=bulkhead("--generate-completion-script", "bash").stdout, text=True)
    assert checked.returncode == 0
