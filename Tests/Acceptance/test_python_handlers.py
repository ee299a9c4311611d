"""`runtime: python` as Lambda's: what a handler written for that finds, and how each of its ends is told."""

import textwrap

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from checks import failed


@pytest.fixture
def handler(host):
    """`handler(code)`: uploads a Python function, with more files and manifest lines where given; returns its name."""
    def deploy(code, manifest="", handler="app.handler", files=None):
        name = unique_name("handler")
        module = handler.rpartition(".")[0].replace(".", "/") + ".py"
        text = f"name: {name}\nruntime: python\nhandler: {handler}\n{manifest}"
        files = {"function.yaml": text.encode(), module: textwrap.dedent(code).encode(), **(files or {})}
        host.upload(name, zip_of(files), content_type=ZIP)
        return name
    return deploy


def own_lines(host, name):
    return [line["text"] for line in host.logs(name) if line["source"] == "function"]


# -- Logging ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["in the module", "in the handler"])
def test_log_lines(host, handler, where):
    """INFO lines of the root logger are kept once it is set to INFO, with level and request; WARNING lines always."""
    setup = "import logging\nlogger = logging.getLogger()\nlogger.setLevel(logging.INFO)\n"
    code = "def handler(event, context):\n"
    code += textwrap.indent(setup, "    ") if where == "in the handler" else ""
    code += "    logger.info('order %s', event)\n    logger.debug('unseen')\n    logging.getLogger('app').warning('low')\n"
    name = handler((setup if where == "in the module" else "") + code)
    reply = host.invoke(name, 42, expect="ok")
    info, warning = own_lines(host, name)
    level, time, request, message = info.split("\t")
    assert (level, request, message) == ("[INFO]", reply["Bulkhead-Invocation-Id"], "order 42")
    assert time.endswith("Z") and warning.split("\t")[::3] == ["[WARNING]", "low"]


def test_log_lines_of_each_invocation(host, handler):
    """A worker that serves many names the one that runs."""
    name = handler("""
        import logging
        def handler(event, context):
            logging.error("here")
        """, "mode: reactor")
    ids = [host.invoke(name, expect="ok")["Bulkhead-Invocation-Id"] for _ in range(3)]
    assert [line.split("\t")[2] for line in own_lines(host, name)] == ids


def test_quiet(host, handler):
    """A handler that says nothing leaves an empty log, whatever its interpreter tried at its start."""
    name = handler("def handler(event, context): return event")
    host.invoke(name, 1, expect="ok")
    assert host.logs(name) == []


# -- Where it is, and what it imports ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [
    "src/handlers/app.handler", "src.handlers.app.handler", "my-function.lambda_handler", "2fa.handler", "a-b/c-d.handler"])
def test_places(host, handler, path):
    name = handler(f"def {path.rpartition('.')[2]}(event, context): return __name__", handler=path)
    assert host.invoke(name, expect="ok").json() == path.rpartition(".")[0].replace("/", ".")


@pytest.mark.parametrize("path", ["handler", ".handler", "app.", "../app.handler", "/app.handler", "a//b.handler", "a/b",
                                  "app.my-handler", "a/../b.handler", "app\u0301.handler", "a b.handler"])
def test_no_places(host, path):
    reply = host.upload(unique_name("nowhere"), b"", [("runtime", "python"), ("handler", path)], expect=None)
    assert reply.status == 400 and "handler" in reply.json()["detail"], reply


def test_vendored(host, handler):
    """PYTHONPATH, relative to the bundle, and a virtual environment's packages."""
    version = ".".join(host.invoke(
        handler("import sys\ndef handler(e, c): return sys.version"), expect="ok").json().split(".")[:2])
    name = handler("""
        import inner, outer
        def handler(event, context): return [inner.where, outer.where]
        """, "env: { PYTHONPATH: vendor }", files={
            "vendor/inner.py": b"where = 'vendor'",
            f".venv/lib/python{version}/site-packages/outer/__init__.py": b"where = 'venv'"})
    assert host.invoke(name, expect="ok").json() == ["vendor", "venv"]


def test_runtime_is_not_in_the_way(host, handler):
    """Neither the runtime's own folder nor its names are found by an import."""
    name = handler("""
        import sys
        def handler(event, context):
            try:
                import bulkhead_runtime
            except ImportError:
                return [path for path in sys.path if "runtime" in path]
        """)
    assert host.invoke(name, expect="ok").json() == []


# -- How it ends ------------------------------------------------------------------------------------------------------


ENDS = {
    "cancelled": ("import asyncio; raise asyncio.CancelledError()", "error", "CancelledError", ""),
    "keyboard": ("raise KeyboardInterrupt", "error", "KeyboardInterrupt", ""),
    "exit 0": ("import sys; sys.exit()", "error", "SystemExit", ""),
    "generator": ("raise GeneratorExit", "error", "GeneratorExit", ""),
    "set": ("return {1, 2}", "error", "TypeError", "cannot be written as JSON: Object of type set"),
    "not a number": ("return float('nan')", "error", "ValueError", "cannot be written as JSON: Out of range"),
    "circle": ("x = []; x.append(x); return x", "error", "ValueError", "cannot be written as JSON: Circular"),
    "deep": ("x = []\n    for _ in range(100000): x = [x]\n    return x", "error", "RecursionError", "cannot be written"),
    "long number": ("return 10 ** 5000", "error", "ValueError", "cannot be written as JSON: Exceeds"),
    "unspeakable": ("class E(Exception):\n        def __str__(self): raise OSError\n    raise E", "error", "E", "cannot be told"),
}


@pytest.mark.parametrize("mode", ["command", "reactor", "snapshot"])
@pytest.mark.parametrize("end", ENDS)
def test_end(host, handler, end, mode):
    """`error` with its type and a stack trace, and the same worker goes on where it is one that goes on."""
    body, outcome, kind, says = ENDS[end]
    name = handler(f"def handler(event, context):\n    if event: return event\n    {body}", f"mode: {mode}")
    told = failed(host.invoke(name, 0), outcome)
    assert told["error"]["type"] == kind and says in told["error"]["message"]
    assert any("app.py" in line or "json" in line for line in told["error"]["stackTrace"])
    reply = host.invoke(name, 7, expect="ok")
    assert reply.json() == 7 and (mode != "reactor" or reply["Bulkhead-Start"] == "reused")


@pytest.mark.parametrize("body, code, says", [
    ("import sys; sys.exit(3)", 3, "SystemExit"), ("import sys; sys.exit('no luck')", 1, "no luck"), ("import os; os._exit(4)", 4, "")])
@pytest.mark.parametrize("mode", ["command", "reactor"])
def test_exit(host, handler, body, code, says, mode):
    """A status that it asks for is `exit`; where it came from stands at the log's end, which the answer shows."""
    name = handler(f"def handler(event, context):\n    if event: return event\n    {body}", f"mode: {mode}")
    told = failed(host.invoke(name, 0), "exit")
    assert told["exitCode"] == code and says in told["log"]
    assert host.invoke(name, 7, expect="ok").json() == 7


def test_decimals(host, handler):
    """As Lambda's runtime writes them."""
    name = handler("import decimal\ndef handler(event, context): return [decimal.Decimal('1.5')]")
    assert host.invoke(name, expect="ok").json() == [1.5]


# -- Libraries that ask for more than a cell has ----------------------------------------------------------------------


def test_sqlite_in_tmp(host, handler):
    name = handler("""
        import sqlite3
        def handler(event, context):
            with sqlite3.connect("/tmp/data.db") as base:
                base.execute("create table if not exists t (n integer)")
                base.execute("insert into t values (?)", (event,))
                return [row[0] for row in base.execute("select n from t")]
        """, "limits: { scratch: 4MiB }")
    assert host.invoke(name, 5, expect="ok").json() == [5]
    assert host.logs(name) == []


def test_sqlite_in_the_bundle(host, handler, tmp_path):
    import sqlite3
    with sqlite3.connect(tmp_path / "data.db") as base:
        base.execute("create table t (n integer)")
        base.execute("insert into t values (42)")
    base.close()
    name = handler("""
        import sqlite3
        def handler(event, context):
            base = sqlite3.connect("file:/function/data.db?mode=ro", uri=True)
            return base.execute("select n from t").fetchone()[0]
        """, files={"data.db": (tmp_path / "data.db").read_bytes()})
    assert host.invoke(name, expect="ok").json() == 42


def test_locks(host, handler):
    """On own files a lock is had: nobody else is there."""
    name = handler("""
        import fcntl
        def handler(event, context):
            with open("/tmp/lock", "w") as own:
                fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.lockf(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.lockf(own, fcntl.LOCK_UN)
            return "had"
        """, "limits: { scratch: 1MiB }")
    assert host.invoke(name, expect="ok").json() == "had"


PROBES = {"io_uring_setup": (425, 38), "process_vm_readv": (310, 38), "userfaultfd": (323, 1), "perf_event_open": (298, 13)}


@pytest.mark.parametrize("call", PROBES)
def test_probes(host, handler, call):
    """What libuv, unwinders, collectors and profilers try is answered as where it is not to be had; it does not end them."""
    number, errno = PROBES[call]
    name = handler(f"""
        import ctypes
        def handler(event, context):
            libc = ctypes.CDLL(None, use_errno=True)
            return libc.syscall({number}, 8, 0, 0, 0, 0, 0) or ctypes.get_errno(), ctypes.get_errno()
        """)
    assert host.invoke(name, expect="ok").json() == [-1, errno]
    assert host.logs(name) == []
    refused, = host.get(f"/v1/functions/{name}").json()["refused"]
    assert refused["syscall"] == call and refused["count"] == 1
