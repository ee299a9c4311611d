"""Bulkhead's Python runtime: loads a Lambda-style handler and speaks the worker protocol for it.

Runs inside the cell as `python3 -s -B bulkhead_runtime.py module.function`. The protocol owns the real stdin and
stdout; the handler's own print() goes to the log, and its input() meets an empty file.
"""
import binascii
import importlib
import json
import os
import sys
import time
import traceback

sys.path[:] = [folder for folder in sys.path if folder != os.path.dirname(__file__)]

# A chunk's line is at most 2 MiB, of which a character may take twelve.
LONGEST_TEXT, LONGEST_BYTES = 128 << 10, 1 << 20
# Whether it came by Lambda's API, whose own runtime it is to stand for.
LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
LOCKED = os.environ.pop("BULKHEAD_LOCK", "") == "1"


class Current:
    """Whose invocation runs: for log lines."""

    request_id = "-"


class LoggingFinder:
    """Waits for the first import of `logging`, which takes 6 ms that not every handler wants to spend, and gives the root
    logger a handler, as Lambda's runtime does: without one, lines below WARNING are dropped."""

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        specs = (finder.find_spec(name, path, target) for finder in sys.meta_path)
        spec = next((found for found in specs if found), None)
        if spec and spec.loader:
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                add_log_handler(module)

            spec.loader.exec_module = exec_module
        return spec


def add_log_handler(logging):
    """Lambda's format: level, time in UTC, request, message."""

    class Formatter(logging.Formatter):
        converter = time.gmtime

        def format(self, record):
            record.aws_request_id = Current.request_id
            return super().format(record)

    class Handler(logging.StreamHandler):
        """To what sys.stderr is at the time."""

        @property
        def stream(self):
            return sys.stderr

        @stream.setter
        def stream(self, value):
            pass

    handler = Handler()
    layout = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
    handler.setFormatter(Formatter(layout, "%Y-%m-%dT%H:%M:%S"))
    logging.getLogger().addHandler(handler)


class ClientContext:
    """What a caller says of itself, as Lambda's SDKs for devices send it."""

    def __init__(self, said):
        said = said if isinstance(said, dict) else {}
        self.custom = said.get("custom")
        self.env = said.get("env")
        self.client = None
        if isinstance(said.get("client"), dict):
            names = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
            self.client = type("Client", (), {name: said["client"].get(name) for name in names})()


class Context:
    """What a Lambda handler expects of its second argument."""

    def __init__(self, params):
        self.aws_request_id = self.invocation_id = params["invocationId"]
        self.function_name = params["function"]
        self.function_version = str(params["version"] or "$LATEST")
        self.memory_limit_in_mb = params["memoryLimitMiB"]
        self.invoked_function_arn = "arn:bulkhead:function:%s:%s" % (self.function_name, self.function_version)
        self.log_group_name = "/bulkhead/" + self.function_name
        self.log_stream_name = self.function_version
        if LAMBDA:
            self.invoked_function_arn = "arn:aws:lambda:%s:123456789012:function:%s" % (
                os.environ.get("AWS_REGION", "us-east-1"), self.function_name)
            if params["version"]:
                self.invoked_function_arn += ":%s" % params["version"]
            self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", self.log_group_name)
            self.function_version = params.get("functionVersion", self.function_version)
            self.invoked_function_arn = params.get("invokedFunctionArn", self.invoked_function_arn)
            # Who publishes a revision names the same one by its number from then on.
            begin, _, end = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "[]").partition("[")
            self.log_stream_name = "%s[%s]%s" % (begin, self.function_version, end.partition("]")[2])
        self.traceparent = params.get("traceparent")
        self.identity = None
        self.client_context = ClientContext(params["clientContext"]) if params.get("clientContext") else None
        self._deadline_ms = params["deadlineMs"]

    def get_remaining_time_in_millis(self):
        return max(0, int(self._deadline_ms - time.time() * 1000))


def describe(error):
    """The worker protocol's error object; the frames of this file are left out."""
    # The lines' text is read from files, which a locked worker cannot open any more: then places do without it.
    frames = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), lookup_lines=not LOCKED)
    frames = [f for f in frames if f.filename != __file__]
    try:
        message = str(error)
    except Exception:  # an exception's own __str__ may raise
        message = "(its message cannot be told)"
    return {
        "code": -32000,
        "message": message[:8192],
        "data": {
            "type": type(error).__name__,
            "stackTrace": [l.rstrip("\n")[:1024] for l in show(frames[-64:])],
        },
    }


def as_lambda(error):
    """What Lambda's runtime says of a handler that cannot be loaded."""
    module, _, name = sys.argv[1].rpartition(".")
    if isinstance(error, ImportError):
        return "Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module, error)
    if isinstance(error, SyntaxError):
        return "Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module, error)
    if isinstance(error, AttributeError) and getattr(error, "name", None) == name:
        return "Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (name, module)
    return type(error).__name__, str(error)


def show(frames):
    if LOCKED:
        return ['  File "%s", line %s, in %s' % (f.filename, f.lineno, f.name) for f in frames]
    return traceback.format_list(frames)


def report(error):
    """Writes the trace to the log. Whatever the handler did to its stderr, the answer goes on."""
    try:
        if LOCKED:
            told = describe(error)
            lines = ["Traceback (most recent call last):"] + told["data"]["stackTrace"]
            sys.stderr.write("\n".join(lines + ["%s: %s" % (told["data"]["type"], told["message"]), ""]))
        else:
            traceback.print_exception(type(error), error, error.__traceback__)
    except Exception:
        pass


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # the handler closed or replaced it
            pass


def identifier(line):
    """The request's id, which the host writes ahead of everything that a client sent: no event can hide it."""
    return int(line.split(b'"id":', 1)[1].split(b",", 1)[0])


def main():
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)

    def dump(value):
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=simpler)

    def answer(text):
        answers.write(text.encode() + b"\n")
        answers.flush()

    def stream(parts, request):
        """Hands on what a handler yields, as it comes: first, perhaps, a dictionary with statusCode; then strings and bytes."""
        for number, part in enumerate(parts):
            if number == 0 and isinstance(part, dict) and "statusCode" in part:
                chunk(request, head=part)
            elif isinstance(part, str):
                for start in range(0, len(part) or 1, LONGEST_TEXT):
                    chunk(request, data=part[start : start + LONGEST_TEXT])
            elif isinstance(part, (bytes, bytearray, memoryview)):
                for start in range(0, len(part) or 1, LONGEST_BYTES):
                    encoded = binascii.b2a_base64(part[start : start + LONGEST_BYTES], newline=False)
                    chunk(request, data=encoded.decode(), isBase64Encoded=True)
            else:
                raise TypeError("the handler yielded %s; it may yield str and bytes" % type(part).__name__)

    def chunk(request, **said):
        answer('{"jsonrpc":"2.0","method":"chunk","params":%s}' % dump({"id": request, **said}))

    sys.path.insert(0, "/function")
    sys.meta_path.insert(0, LoggingFinder())
    failure = None
    try:
        add_environments()
        module, _, name = sys.argv[1].rpartition(".")
        handler = getattr(importlib.import_module(module.replace("/", ".")), name)
    except BaseException as error:  # told to the first caller: a worker that dies in silence helps nobody
        report(error)
        failure = describe(error)
        if LAMBDA:
            failure["data"]["type"], failure["message"] = as_lambda(error)
    answer('{"jsonrpc":"2.0","method":"ready"}')

    def serve(line):
        member, value = "error", failure and dump(failure)
        if not failure:
            try:
                # In here: an event may hold what Python does not take, such as a number of 5,000 digits.
                params = json.loads(line)["params"]
                context = Context(params["context"])
                Current.request_id = context.aws_request_id
                result = handler(params["event"], context)
                if hasattr(result, "__next__"):
                    result = stream(result, identifier(line))
                try:
                    member, value = "result", dump(result)
                except (TypeError, ValueError, RecursionError) as error:
                    kind = next(k for k in (TypeError, ValueError, RecursionError) if isinstance(error, k))
                    told = kind("the handler's result cannot be written as JSON: %s" % error)
                    raise told.with_traceback(error.__traceback__) from None
            except BaseException as error:
                report(error)
                if isinstance(error, SystemExit) and error.code not in (None, 0):
                    flush()
                    raise  # what it asks for: the worker ends with its status
                member, value = "error", dump(describe(error))
        flush()
        return '{"jsonrpc":"2.0","id":%d,"%s":%s}' % (identifier(line), member, value)

    if os.environ.pop("BULKHEAD_MODE", "") == "snapshot":
        answered = fork_for_each(requests.fileno(), answers.fileno())
        reply = serve(requests.readline())
        os.write(answered, b".")
        answer(reply)
        os._exit(0)
    for line in requests:
        answer(serve(line))


def simpler(value):
    """What Lambda's runtime writes as JSON beside json's own."""
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


def add_environments():
    """The packages of a virtual environment in the bundle."""
    for name in (".venv", "venv"):
        packages = "/function/%s/lib/python%d.%d/site-packages" % ((name,) + sys.version_info[:2])
        if os.path.isdir(packages):
            import site

            site.addsitedir(packages)


def fork_for_each(requests, answers):
    """Returns in a process of its own for each invocation; this one, the template, never sees an event.

    Returns a descriptor: who writes to it has answered. A fork that ends without that takes the template along, in the
    same way, so that the host sees how.
    """
    import gc
    import select
    import signal

    gc.freeze()  # what the collector does not look at, forks need not copy
    while True:
        select.select([requests], [], [])
        if not readable(requests):
            os._exit(0)  # EOF is the host's goodbye
        end, answered = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(end)
            for stream in (requests, answers, 2):
                os.set_blocking(stream, True)  # a flag of the pipe's own, which an earlier fork may have changed
            renew_randomness()
            return answered
        os.close(answered)
        status = os.waitpid(child, 0)[1]
        if not os.read(end, 1):
            if os.WIFSIGNALED(status):
                if os.WTERMSIG(status) != signal.SIGKILL:
                    signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
                os.kill(os.getpid(), os.WTERMSIG(status))
            os._exit(os.WEXITSTATUS(status))
        os.close(end)


def readable(descriptor):
    """Whether there are bytes to read, and not the end: nothing is taken."""
    import array
    import fcntl
    import termios

    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0] > 0


def renew_randomness():
    """What forks would have in common. `random`, `secrets`, `uuid`, `ssl` and `tempfile` see to it themselves."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


main()
