"""The programs that are run here, and how to run one so that a hang ends and a failure says why.

All paths are relative to the repository, where `main.py` goes first: so do the commands that the results show, and
whoever reads them can run them.
"""

import os
import re
import shlex
import signal
import subprocess
import tempfile
import time

BULKHEAD = os.environ.get("BULKHEAD_BIN", ".build/release/bulkhead")
BENCH = os.environ.get("BULKHEAD_BENCH", ".build/release/bulkhead-bench")
BUILT = os.environ.get("BULKHEAD_BENCH_BUILT", ".build/bench")  # where `run` compiles the C programs to
FLOOR = f"{BUILT}/floor"
LOAD = f"{BUILT}/load"
ECHO = f"{BUILT}/echo"
REACTOR = f"{BUILT}/reactor"
BOOTSTRAP = f"{BUILT}/provided-c"


class Failed(Exception):
    """A measurement that could not be taken, and why."""


def shown(command, environment=None):
    """A command as one would type it."""
    words = [f"{name}={shlex.quote(value)}" for name, value in (environment or {}).items()]
    # Where this repository happens to be is of no interest to a reader.
    plain = [str(word).replace(os.getcwd() + "/", "") for word in command]
    return " ".join(words + [shlex.quote(word) for word in plain])


def _kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Program:
    """A program in a process group of its own: what it has started ends with it."""

    def __init__(self, command, environment=None):
        self.command = [str(word) for word in command]
        try:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                errors="replace", env=os.environ | (environment or {}), start_new_session=True)
        except OSError as error:
            raise Failed(f"{self.command[0]}: {error.strerror}") from error

    def output(self, seconds):
        """Waits for its end; what it wrote to stdout."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.end()
            raise Failed(f"{shown(self.command)}: not over within {seconds:.0f} s") from None
        if self.process.returncode:
            said = " / ".join(err.strip().splitlines()[-3:])
            raise Failed(f"{shown(self.command)}: status {self.process.returncode}: {said}")
        return out

    def end(self):
        if self.process.returncode is None:
            _kill_group(self.process)
            self.process.communicate()


def run(command, seconds=120, environment=None):
    return Program(command, environment).output(seconds)


class Server:
    """A server for the time of a `with`: it serves when it has printed a line in which `ready` is found.

    What it prints goes to a file: nobody has to read along, which would take time from the server.
    """

    def __init__(self, command, ready, environment=None, seconds=10):
        self.command, self.ready, self.environment, self.seconds = command, re.compile(ready), environment, seconds

    def __enter__(self):
        self._log = tempfile.TemporaryFile("w+", errors="replace")
        try:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                env=os.environ | (self.environment or {}), start_new_session=True)
        except OSError as error:
            self._log.close()
            raise Failed(f"{self.command[0]}: {error.strerror}") from error
        deadline = time.monotonic() + self.seconds
        while not (found := self.ready.search(self._said())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = " / ".join(self._said().splitlines()[-3:])
                self.__exit__()
                raise Failed(f"{shown(self.command)}: it did not serve: {said}")
            time.sleep(0.02)
        self.match = found
        return self

    def _said(self):
        self._log.seek(0)
        return self._log.read()

    def __exit__(self, *_):
        _kill_group(self.process)
        self.process.wait()
        self._log.close()
