#!/usr/bin/python3
"""One module of CPython's own tests; the outcomes as JSON on stdout: {test: "ok" | "skipped" | what went wrong}. The same program
runs in a cell and in a container."""
import json
import os
import sys
import unittest

EVENT = json.loads(sys.stdin.read())
CHOSEN, WITHOUT = EVENT["module"], set(EVENT["without"])
LOG = os.dup(2)
os.chdir(os.environ.get("TMPDIR", "/tmp"))
outcomes = {}


class Result(unittest.TestResult):
    def startTest(self, test):
        # So that the one that ended the process can be told.
        os.write(LOG, f"{test.id()}\n".encode())
        super().startTest(test)

    def note(self, test, what):
        outcomes.setdefault(str(test.id()), what)

    def addSuccess(self, test):
        self.note(test, "ok")

    def addSkip(self, test, reason):
        self.note(test, "skipped")

    def addError(self, test, error):
        self.note(test, f"{error[0].__name__}: {error[1]}"[:200])

    addFailure = addError

    def addExpectedFailure(self, test, error):
        self.note(test, "ok")

    def addSubTest(self, test, subtest, error):
        if error:
            self.note(test, f"{error[0].__name__}: {error[1]}"[:200])


# What the tests print goes where nobody takes it for the answer.
answer = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
import test.support  # noqa: E402

test.support.use_resources = []


def remove(part):
    part._tests = [one for one in part if not (isinstance(one, unittest.TestCase) and one.id() in WITHOUT)]
    for one in part:
        if isinstance(one, unittest.TestSuite):
            remove(one)


try:
    suite = unittest.defaultTestLoader.loadTestsFromName("test." + CHOSEN)
    remove(suite)
    suite.run(Result())
except unittest.SkipTest:
    outcomes["test." + CHOSEN] = "skipped"
except BaseException as error:  # a module that cannot even be loaded is one outcome
    outcomes["test." + CHOSEN] = f"{type(error).__name__}: {error}"[:200]
os.write(answer, json.dumps(outcomes).encode())
os._exit(0)
