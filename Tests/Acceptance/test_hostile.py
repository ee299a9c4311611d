"""The attacks of functions/hostile, each against the real host: contained, named rightly, and without a trace.

The program itself lists its attacks, with the outcomes that the contract lets each one end as.
"""

import os
import re
import subprocess
from functools import partial

import pytest

from bulkhead_host import at_once
from checks import failed
from conftest import FUNCTIONS
from system import eventually, family

PROGRAM = FUNCTIONS / "hostile/attacks/attacks"


def attacks():
    """{name: (outcomes, errno names)}. One that fails when the example is not built: better red than not there."""
    if not os.access(PROGRAM, os.X_OK):
        return {"not-built": (set(), set())}
    rows = subprocess.run([PROGRAM, "list"], capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    return {name: (set(outcomes.split(" or ")), set(errors.split())) for name, _, outcomes, errors in cells}


ATTACKS = attacks()


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack(host, example, attack):
    """The attack ends as one of its outcomes, breaches nothing, and the next invocation works."""
    assert PROGRAM.exists(), f"there is no {PROGRAM}; build it, or name the folder with BULKHEAD_FUNCTIONS"
    reply = host.invoke(example("hostile/attacks"), {"attack": attack}, timeout=60)
    outcomes, errors = ATTACKS[attack]
    assert b"BREACH" not in reply.body, reply.body.decode(errors="replace")
    assert reply.outcome in outcomes, reply
    contained = set(re.findall(r"^contained: (\w+)", reply.body.decode(errors="replace"), re.MULTILINE))
    assert not errors or contained <= errors, reply.body.decode(errors="replace")
    if reply.outcome != "ok":
        failed(reply, reply.outcome)
    assert host.invoke(example("echo"), {"x": 1}, expect="ok").json() == {"x": 1}


def test_nothing_is_left_of_them(host, example):
    """Several at once, and then: not one process of theirs, whatever it forked or called itself."""
    name = example("hostile/attacks")
    at_once(partial(host.invoke, name, {"attack": attack}, timeout=120) for attack in list(ATTACKS)[:8])
    eventually(lambda: not [process for process in family(host.process.pid) if "/attacks" in "".join(process.args[:1])],
               5, "no attacker is left")
