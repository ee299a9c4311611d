#!/usr/bin/python3
"""File locks between two processes of one cell. Prints what came of each."""
import errno
import fcntl
import json
import os
import sqlite3
import subprocess
import sys
import time

found = {}
PATH = sys.argv[1] if len(sys.argv) > 1 else "/tmp/file"


def other(source):
    """What another process says."""
    run = subprocess.run([sys.executable, "-c", "import fcntl, os, sys, time\n" + source], capture_output=True, text=True)
    return run.stdout.strip() or run.stderr.strip().splitlines()[-1]


def attempt(name, call):
    try:
        found[name] = call()
    except OSError as error:
        found[name] = errno.errorcode[error.errno]


with open("/tmp/file", "w+") as file:
    file.write("x" * 100)
    file.flush()
    TRY = f"""
f = open("/tmp/file", "r+")
try:
    %s
    print("got")
except OSError as error:
    print("busy" if error.errno in (11, 13) else error)
"""
    attempt("flock", lambda: fcntl.flock(file, fcntl.LOCK_EX))
    found["flock-other"] = other(TRY % "fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)")
    found["flock-shared"] = (fcntl.flock(file, fcntl.LOCK_SH), other(TRY % "fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)"))[1]
    waiter = subprocess.Popen([sys.executable, "-c", "import fcntl, time\nf = open('/tmp/file', 'r+')\nfcntl.flock(f, 2)\nprint('waited')"],
                              stdout=subprocess.PIPE, text=True)
    time.sleep(0.3)
    found["flock-waits"] = waiter.poll() is None
    fcntl.flock(file, fcntl.LOCK_UN)
    found["flock-waited"] = waiter.communicate()[0].strip()

    attempt("record", lambda: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 20))
    found["record-other"] = other(TRY % "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 25)")
    found["record-beside"] = other(TRY % "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 30)")
    attempt("record-split", lambda: fcntl.lockf(file, fcntl.LOCK_UN, 2, 24))
    found["record-middle"] = other(TRY % "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 2, 24)")
    found["record-ends"] = other(TRY % "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 20)")
    holder = subprocess.Popen([sys.executable, "-c", "import fcntl, sys, time\nf = open('/tmp/file', 'r+')\n"
                               "fcntl.lockf(f, 2, 10, 60)\nprint('held', flush=True)\ntime.sleep(0.5)"], stdout=subprocess.PIPE, text=True)
    holder.stdout.readline()
    began = time.monotonic()
    attempt("record-waited", lambda: fcntl.lockf(file, fcntl.LOCK_EX, 10, 60))
    found["record-waits"] = time.monotonic() - began > 0.2
    holder.wait()

database = "/tmp/data.db"
with sqlite3.connect(database) as one:
    one.execute("create table t (n)")
one.close()
run = [subprocess.Popen([sys.executable, "-c", f"import sqlite3\nfor i in range(50):\n c = sqlite3.connect({database!r}, timeout=30)\n"
                         " with c: c.execute('insert into t values (1)')\n c.close()"]) for _ in range(3)]
found["sqlite-exits"] = [one.wait() for one in run]
found["sqlite-rows"] = sqlite3.connect(database).execute("select count(*) from t").fetchone()[0]
with open("/function/" + os.path.basename(__file__)) as own:
    attempt("bundle", lambda: fcntl.flock(own, fcntl.LOCK_SH))
print(json.dumps(found))
