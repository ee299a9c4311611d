"""The attacks of functions/hostile, each against the real host: contained, named rightly, and without a trace.

The program itself lists its attacks, with the outcomes that the contract lets each one end as. What is checked of the
host is the same for all of them: while the attack runs, another function answers rightly and in time; afterwards the
host is healthy and the same process, the attacker's next invocation works, and of the attack's cell no process, cgroup
or mount is left.
"""

import os
import re
import subprocess
import threading
import time
from functools import partial

import pytest

import system
from bulkhead_host import ZIP, at_once
from bundles import read_tree, zip_of
from checks import failed
from conftest import FUNCTIONS, SLOWNESS
from system import eventually, family

PROGRAM = FUNCTIONS / "hostile/attacks/attacks"
# With cells that no cgroup holds, a resource attack may meet another limit first; it may still not get through.
DEGRADED = "--allow-degraded" in os.environ.get("BULKHEAD_SERVE_OPTIONS", "")
RESOURCE_OUTCOMES = {"ok", "exit", "signal", "timeout", "cpu_exceeded", "memory_exceeded"}
# Without a memory cgroup there is a limit for each process, and none for what they share: sandbox/SECURITY.md tells that.
ONLY_BY_CGROUP = {"shared-anon-forks"}
BYSTANDER_SECONDS = 2 * SLOWNESS


def attacks():
    """{name: (outcomes, errno names)}. One that fails when the example is not built: better red than not there."""
    if not os.access(PROGRAM, os.X_OK):
        return {"not-built": (set(), set())}
    rows = subprocess.run([PROGRAM, "list"], capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    return {name: (set(outcomes.split(" or ")), set(errors.split())) for name, _, outcomes, errors in cells}


ATTACKS = attacks()


@pytest.fixture(scope="session")
def attacker(host, example_folder):
    """The function with all the attacks. A slow machine gets more time, so that the limit meant is the one that strikes."""
    files = read_tree(example_folder("hostile/attacks"))
    text, mode = files["function.yaml"]
    text = re.sub(rb"(wall|cpu): (\d+)s", lambda found: b"%s: %ds" % (found[1], int(found[2]) * SLOWNESS), text)
    host.upload("attacks", zip_of(files | {"function.yaml": (text, mode)}), content_type=ZIP)
    return "attacks"


class Bystander:
    """Another tenant's function, invoked over and over while something happens."""

    def __init__(self, host, name):
        self.host, self.name = host, name
        self.wrong, self.slowest, self.count = [], 0, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._over.is_set():
            began = time.monotonic()
            reply = self.host.invoke(self.name, {"n": self.count}, timeout=60)
            self.slowest = max(self.slowest, time.monotonic() - began)
            if reply.outcome != "ok" or reply.json() != {"n": self.count}:
                self.wrong.append(reply)
            self.count += 1
            self._over.wait(0.02)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


def cells(host):
    """Cells with something left in them, as the host counts them."""
    return int(re.search(r"^bulkhead_cells (\d+)", host.get("/metrics", token=None).body.decode(), re.MULTILINE)[1])


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack(host, example, attacker, attack):
    """The attack ends as one of its outcomes and breaches nothing; nobody else notices, and nothing is left."""
    assert PROGRAM.exists(), f"there is no {PROGRAM}; build it, or name the folder with BULKHEAD_FUNCTIONS"
    echo = example("echo")
    before, serving = system.mounts(), host.supervisor.pid
    with Bystander(host, echo) as bystander:
        reply = host.invoke(attacker, {"attack": attack}, timeout=120)
    outcomes, errors = ATTACKS[attack]
    body = reply.body.decode(errors="replace")
    # What `reached` prints is what two others must not: of a non-zero exit the end of stdout is told.
    assert "BREACH" not in body or attack == "reached" or DEGRADED and attack in ONLY_BY_CGROUP, body
    if DEGRADED and outcomes & {"memory_exceeded", "cpu_exceeded"}:
        outcomes = outcomes | RESOURCE_OUTCOMES
    assert reply.outcome in outcomes, reply
    contained = set(re.findall(r"^contained: (\w+)", body, re.MULTILINE))
    assert not errors or contained <= errors, body
    if reply.outcome != "ok":
        failed(reply, reply.outcome)

    assert bystander.count and not bystander.wrong, bystander.wrong[:1]
    assert bystander.slowest < BYSTANDER_SECONDS, f"another function waited {bystander.slowest:.3f} s"
    assert host.get("/readyz", token=None).status == 200
    assert host.supervisor.pid == serving and host.running
    began = time.monotonic()
    host.invoke(attacker, {"attack": "exit-42"}, expect="exit")
    assert time.monotonic() - began < BYSTANDER_SECONDS
    eventually(lambda: cells(host) == 0, 2 * SLOWNESS, "no cell is left")
    assert system.mounts() == before
    assert not [process for process in family(host.process.pid) if process.args[:1] == ("/function/attacks",)]


def test_all_at_once(host, attacker):
    """Several at once, and then: not one process of theirs, whatever it forked or called itself."""
    at_once(partial(host.invoke, attacker, {"attack": attack}, timeout=240) for attack in list(ATTACKS)[:8])
    eventually(lambda: not [process for process in family(host.process.pid) if "/attacks" in "".join(process.args[:1])],
               5 * SLOWNESS, "no attacker is left")
