"""What all tests share: the host under test, the guests that run in it, and the programs that talk to it.

BULKHEAD_BIN        the `bulkhead` to test; default .build/release/bulkhead of this repository
BULKHEAD_FUNCTIONS  a folder with the built examples (echo/echo, auth/app.py, …); default functions/.out
BULKHEAD_SLOWNESS   how many times slower this machine is than a plain one; default 1 (an emulated one: 10)
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from bulkhead_host import SERVE_OPTIONS, ZIP, Host, unique_name
from bundles import read_tree, zip_of
from lambda_clients import BOTO, Lambda, install, make_importable

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
BINARY = Path(os.environ.get("BULKHEAD_BIN", REPOSITORY / ".build/release/bulkhead"))
FUNCTIONS = Path(os.environ.get("BULKHEAD_FUNCTIONS", REPOSITORY / "functions/.out"))

SLOWNESS = int(os.environ.get("BULKHEAD_SLOWNESS", "1"))

# Latencies under attack are compared with quiet ones. Quiet, an invocation takes less than one turn of the kernel's scheduler
# or two (some 4 ms each), so that a single turn of somebody else's would decide: less than that is not asked for. A debug build's own
# code takes several times as long, and all the more when it has to share a processor.
TURN = 0.008 * (3 if "debug" in str(BINARY) else 1)

# Stands in the server's environment; no worker may ever see it.
CANARY = "canary-" + uuid.uuid4().hex


@pytest.fixture(scope="session")
def workspace():
    """A folder for one run. Every user can enter it: a host that gives up root must still reach its data there."""
    folder = Path(tempfile.mkdtemp(prefix="acceptance-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def new_host(workspace, name, configuration=None):
    """`configuration`: the text of a file for `--config`."""
    assert BINARY.exists(), f"there is no {BINARY}; build it, or name another with BULKHEAD_BIN"
    options = list(SERVE_OPTIONS)
    if configuration:
        file = workspace / f"{name}.yaml"
        file.write_text(configuration)
        options += ["--config", str(file)]
    return Host(BINARY, workspace / name, workspace / f"{name}.log", {"BULKHEAD_TEST_CANARY": CANARY}, options=options)


@pytest.fixture(scope="session")
def host(workspace):
    """The host that most tests use together. At its end it must drain, exit 0 and leave the machine as it was."""
    host = new_host(workspace, "shared").start()
    yield host
    if not host.running:
        raise AssertionError(f"the host ended during the tests with {host.process.returncode}:\n{host.log_tail()}")
    members = host.members
    code = host.stop()
    host.traces.assert_gone(members, 1 * SLOWNESS)
    assert code == 0, f"serve exited {code} after SIGTERM:\n{host.log_tail()}"


@pytest.fixture
def hosts(workspace):
    """Makes further hosts, for tests that end or kill theirs. `hosts()` starts one; `hosts(data)` on old data,
    `hosts(configuration="maxWorkers: 2")` with that in its `--config`."""
    made = []

    def make(data=None, configuration=None):
        fresh = new_host(workspace, data.name if data else unique_name("host"), configuration)
        made.append(fresh)
        return fresh.start()

    yield make
    for host in made:
        if host.running:
            host.kill()


@pytest.fixture(scope="session")
def compile_c(workspace):
    """`compile_c("deeds.c")`: a program of guests/, built once a run and option set."""
    def build(source, *options):
        options = options or ("-static",)
        text = (HERE / "guests" / source).read_bytes()
        program = workspace / (hashlib.sha256(text + repr(options).encode()).hexdigest()[:16] + "-" + Path(source).stem)
        if not program.exists():
            command = ["cc", "-O2", *options, "-o", program, HERE / "guests" / source]
            subprocess.run([str(part) for part in command], check=True, timeout=120)
        return program
    return build


@dataclass
class Deployed:
    """A function of one test, and the argument by which its workers can be told from outside."""
    name: str
    marker: str


@pytest.fixture(scope="session")
def deploy_deed(compile_c):
    """`deploy_deed(host, "sleep", 500, wall="1s")`: uploads guests/deeds.c to do that, under a name of its own.

    With `manifest`, YAML lines, it becomes a bundle instead, for what an upload's query cannot say.
    """
    def deploy(host, *deed, manifest=None, **query):
        function = Deployed(unique_name("deed-" + str(deed[0]).replace("_", "-")), uuid.uuid4().hex)
        arguments = [str(part) for part in (*deed, function.marker)]
        program = compile_c("deeds.c")
        if manifest is None:
            host.upload(function.name, program, [("args", argument) for argument in arguments] + list(query.items()))
        else:
            quoted = ", ".join(f"'{argument}'" for argument in arguments)
            text = f"name: {function.name}\nrun: ./deeds\nargs: [{quoted}]\n{manifest}\n"
            bundle = zip_of({"function.yaml": text.encode(), "deeds": (program.read_bytes(), 0o755)})
            host.upload(function.name, bundle, content_type=ZIP)
        return function
    return deploy


@pytest.fixture
def deed(host, deploy_deed):
    """`deploy_deed` on the shared host."""
    return lambda *deed, **options: deploy_deed(host, *deed, **options)


@pytest.fixture(scope="session")
def example_folder():
    """The folder of a built example."""
    def find(name):
        folder = FUNCTIONS / name
        assert folder.is_dir(), f"there is no example {folder}; build it, or name the folder with BULKHEAD_FUNCTIONS"
        return folder
    return find


@pytest.fixture(scope="session")
def example(host, example_folder):
    """`example("echo")`: deploys that example to the shared host, once, and returns its name."""
    known = set()

    def deploy(folder):
        name = Path(folder).name
        if name not in known:
            host.upload(name, zip_of(read_tree(example_folder(folder))), content_type=ZIP)
            known.add(name)
        return name
    return deploy


@pytest.fixture(scope="session")
def mirror_source():
    """guests/mirror.py, the reactor that shows what it is sent."""
    return (HERE / "guests/mirror.py").read_bytes()


@pytest.fixture(scope="session")
def boto(workspace):
    """AWS's client library, which is importable from then on."""
    make_importable(install(workspace / "boto", BOTO))


@pytest.fixture(scope="session")
def aws(boto, host):
    """boto3's client of the shared host's Lambda API, with a key of an administrator's."""
    return Lambda(host)


@pytest.fixture
def curl():
    """Runs curl as a user would, and returns what it printed."""
    def run(*arguments):
        done = subprocess.run(["curl", "--silent", "--show-error", "--max-time", "20", *arguments],
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout
    return run


@pytest.fixture
def bulkhead(workspace):
    """Runs the command line: `bulkhead("run", path, "--data", "null")`. Nothing of this machine's set-up reaches it."""
    home = workspace / "home"
    home.mkdir(exist_ok=True)

    def run(*arguments, stdin="", environment=None, timeout=60):
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("BULKHEAD_", "XDG_"))}
        return subprocess.run([str(part) for part in (BINARY, *arguments)], input=stdin, capture_output=True, text=True,
                              timeout=timeout, env=inherited | {"HOME": str(home)} | (environment or {}))
    return run
