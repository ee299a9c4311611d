#!/usr/bin/python3
"""One part of somebody's test suite, test by test; the outcomes as JSON on stdout: {test: "ok" | "skipped" | what went wrong}. The
same program runs in a cell and in a container. Each test's name goes to stderr before it starts: whoever ends the process is told by it."""
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
EVENT = json.loads(sys.stdin.read())
# PR_SET_CHILD_SUBREAPER (prctl(2)); a cell's init ends them in any case.
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
SUITE, PART, WITHOUT = EVENT["suite"], EVENT["part"], set(EVENT["without"])
WORK = os.environ.get("TMPDIR", "/tmp")
SECONDS = 20
outcomes = {}


def run(name, command, folder, **variables):
    """(exit status, what it printed)."""
    os.write(2, f"test {name}\n".encode())
    environment = {**os.environ, **variables}
    # To a file: whoever is left of a test would hold a pipe open, and this would wait for it without end.
    with open(f"{WORK}/said", "w+b") as said:
        try:
            test = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said,
                                    stderr=subprocess.STDOUT, start_new_session=True)
        except OSError as error:
            return 127, str(error)
        try:
            status = test.wait(SECONDS)
        except subprocess.TimeoutExpired:
            status = None
        try:
            os.killpg(test.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        test.wait()
        bury()
        said.seek(0)
        return status, "" if status is None else said.read().decode(errors="replace")


def bury():
    """Ends whoever has left a test's session: they are this program's children by now, and a container ends with its last process."""
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children") as file:
                for pid in map(int, file.read().split()):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
        except OSError:
            pass


def tell(status, text):
    return "no end" if status is None else f"exit {status}: " + " | ".join(text.strip().splitlines()[-3:])[-200:]


def go():
    """PART: a package. Its tests were compiled into PACKAGE.test; they look for testdata where the sources are."""
    program, folder = f"{HERE}/{PART.replace('/', '-')}.test", f"/usr/share/go-1.19/src/{PART}"
    names = subprocess.run([program, "-test.list", "."], cwd=folder, capture_output=True, text=True).stdout.split()
    for name in names:
        if name in WITHOUT or not name.startswith("Test"):
            continue
        status, text = run(name, [program, "-test.short", "-test.v", "-test.run", f"^{name}$"], folder)
        for result, test in re.findall(r"^ *--- (PASS|FAIL|SKIP): (\S+)", text, re.MULTILINE):
            test = re.sub("0x[0-9a-f]+", "0x", test)  # an address is another one each time
            outcomes[test] = {"PASS": "ok", "SKIP": "skipped"}.get(result) or tell(status, text)
        if status != 0:
            outcomes[name] = tell(status, text)


def perl():
    """PART: a folder of perl's t. Each line of TAP is a test."""
    home = f"{WORK}/perl"
    shutil.copytree(f"{HERE}/t", f"{home}/t")
    os.symlink(f"{HERE}/lib", f"{home}/lib")
    for name in sorted(os.listdir(f"{home}/t/{PART}")):
        if not name.endswith(".t") or name in WITHOUT:
            continue
        status, text = run(name, ["/usr/bin/perl", f"{PART}/{name}"], f"{home}/t", PERL_CORE="1")
        for bad, number, rest in re.findall(r"^(not )?ok (\d+)(.*)$", text, re.MULTILINE):
            outcomes[f"{name} {number}"] = "skipped" if "# skip" in rest.lower() else f"not ok {rest.strip()}"[:200] if bad else "ok"
        if status != 0:
            outcomes[name] = tell(status, text)


def busybox():
    """PART: all. The suite's own runner, applet by applet."""
    built, home = f"{WORK}/built", f"{WORK}/built/testsuite"
    shutil.copytree(f"{HERE}/testsuite", home)
    for name in ("busybox", ".config"):
        shutil.copy(f"{HERE}/{name}", built)
    names = {name.removesuffix(".tests") for name in os.listdir(home) if name.endswith(".tests")}
    names |= {name for name in os.listdir(home) if os.path.isdir(f"{home}/{name}")}
    for name in sorted(names - WITHOUT):
        status, text = run(name, ["/bin/sh", "./runtest", name], home, bindir=built, tsdir=home, VERBOSE="")
        for result, test in re.findall(r"^(PASS|FAIL|SKIPPED|UNTESTED): (.+)$", text, re.MULTILINE):
            outcomes[f"{name}: {test}"] = {"PASS": "ok", "FAIL": "FAIL"}.get(result, "skipped")


def node():
    """PART: the first letters of the files' names. A file is one test."""
    home = f"{WORK}/node"
    os.makedirs(f"{home}/tmp")
    for name in sorted(os.listdir(f"{HERE}/test/parallel")):
        if not name.startswith("test-" + PART) or not name.endswith((".js", ".mjs")) or name in WITHOUT:
            continue
        with open(f"{HERE}/test/parallel/{name}", errors="replace") as file:
            flags = re.findall(r"^// Flags: (.*)$", file.read(), re.MULTILINE)
        command = ["/usr/bin/node", *" ".join(flags).split(), f"{HERE}/test/parallel/{name}"]
        status, text = run(name, command, home, NODE_TEST_DIR=home, TEST_THREAD_ID="0")
        outcomes[name] = "ok" if status == 0 and "1..0 # Skipped" not in text else "skipped" if status == 0 else tell(
            status, "\n".join(re.findall(r"^\w*Error.*$", text, re.MULTILINE)[:1]) or text)


# As SQLite's own "veryquick" leaves them out; and those that only run others.
SLOW = re.compile("malloc|ioerr|fault|bigfile|_err|corrupt|fuzz|soak|speed|crash|stress|^(all|quick|veryquick|full|extraquick|permutations|rtree|wal64k|"
                  "thread_test|tester|memleak|async|threadtest3|sort[0-9]*|walslow|delete_db)$")


def sqlite():
    """PART: the first letters of the files' names. Its programs print a line for each test."""
    home = f"{WORK}/sqlite"
    os.makedirs(home)
    for name in sorted(os.listdir(f"{HERE}/test")):
        stem = name.removesuffix(".test")
        if stem == name or not re.match(PART, stem) or SLOW.search(stem) or stem in WITHOUT:
            continue
        status, text = run(stem, [f"{HERE}/testfixture", f"{HERE}/test/{name}"], home)
        for test, result in re.findall(r"^(\S+)\.\.\. (.*)$", text, re.MULTILINE):
            outcomes[f"{stem}: {test}"] = "ok" if result.startswith("Ok") else "skipped" if "omitted" in result.lower() else result[:200]
        for test in re.findall(r"^! (\S+) expected", text, re.MULTILINE):
            outcomes[f"{stem}: {test}"] = "not what was expected"
        if status is None:
            outcomes[stem] = "no end"
        for left in os.listdir(home):
            (shutil.rmtree if os.path.isdir(f"{home}/{left}") else os.unlink)(f"{home}/{left}")


def ltp():
    """PART: the first letters of a program's name. A program is one test: 0 is passed, 32 is "not for this system"."""
    for name in sorted(os.listdir(f"{HERE}/ltp")):
        if not re.match(PART, name) or name in WITHOUT:
            continue
        home = f"{WORK}/ltp"
        os.makedirs(home)
        status, text = run(name, [f"{HERE}/ltp/{name}"], home, LTPROOT=f"{HERE}/ltp", TMPDIR=home, LTP_COLORIZE_OUTPUT="n")
        outcomes[name] = {0: "ok", 32: "skipped"}.get(status) or tell(status, "\n".join(re.findall("^.*(?:TFAIL|TBROK).*$", text, re.MULTILINE)) or text)
        subprocess.run(["chmod", "-R", "u+rwX", home], stderr=subprocess.DEVNULL)
        shutil.rmtree(home, ignore_errors=True)


answer = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
{"go": go, "perl": perl, "busybox": busybox, "node": node, "sqlite": sqlite, "ltp": ltp}[SUITE]()
os.write(answer, json.dumps(outcomes).encode())
