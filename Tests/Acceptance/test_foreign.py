"""Programs that others wrote to break kernels, as tenants: stress-ng with each of its stressors, trinity, random calls.

They come from the host's own packages and are uploaded like any function. None may leave its cell, and another function
must go on answering, its 99th percentile at most ten times the quiet one, or ten turns of the scheduler.
"""

import itertools
import shutil
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import system
from bulkhead_host import ZIP
from bundles import zip_of
from conftest import SLOWNESS, TURN
from system import eventually
from test_hostile import cells
from test_neighbours import latencies, p99
from test_prober import NUMBERS, RULES

AT_ONCE = 2
ALLOWED = 10  # times the quiet p99
# All that a guest's own doing can come to. launch_failed, overloaded and the like would be the host's failure.
GUESTS_OWN = {"ok", "exit", "signal", "denied", "timeout", "cpu_exceeded", "memory_exceeded", "output_exceeded"}

MANIFEST = f"""
limits:
  wall: {5 * SLOWNESS}s
  cpu: {3 * SLOWNESS}s
  memory: 64MiB
  processes: 32
  scratch: 16MiB
  log: 64KiB
"""


def upload(host, name, program, script):
    path = shutil.which(program)
    assert path, f"{program} is missing: apt-get install {program}"
    files = {"function.yaml": f"name: {name}\nrun: ./run\n{MANIFEST}".encode(), "run": (script.encode(), 0o755),
             program: (Path(path).read_bytes(), 0o755)}
    host.upload(name, zip_of(files), content_type=ZIP)


def invoke_all(host, name, events, bystander):
    """Invokes `name` with each event, some at once, while `bystander` is asked all the time."""
    latencies(host, bystander, 20)
    quiet = latencies(host, bystander, 300)
    serving, mounts = host.supervisor.pid, system.mounts()
    with ThreadPoolExecutor(AT_ONCE + 1) as pool:
        running = [pool.submit(host.invoke, name, event, timeout=120) for event in events]
        busy = list(itertools.chain.from_iterable(
            latencies(host, bystander, 20) for _ in iter(lambda: all(future.done() for future in running), True)))
    quiet += latencies(host, bystander, 300)
    outcomes = Counter(future.result().outcome for future in running)
    told = f"p99 {p99(quiet) * 1000:.1f} ms quiet, {p99(busy) * 1000:.1f} ms beside {name}: {dict(outcomes)}"
    print(told)
    assert set(outcomes) <= GUESTS_OWN, [future.result() for future in running if future.result().outcome not in GUESTS_OWN]
    assert host.running and host.supervisor.pid == serving
    assert p99(busy) <= ALLOWED * max(p99(quiet), TURN), told
    # By the host's own count: stress-ng gives its processes other names.
    eventually(lambda: cells(host) == 0, 10 * SLOWNESS, "no cell is left")
    assert system.mounts() == mounts
    return outcomes


def stressors():
    done = subprocess.run(["stress-ng", "--stressors"], capture_output=True, text=True)
    return (done.stdout + done.stderr).split()


def test_stress_ng(host, example):
    """Each stressor there is, a second each."""
    names = stressors()
    assert len(names) > 250
    upload(host, "stress-ng", "stress-ng", f"""#!/bin/sh
read -r name
cd /tmp
exec /function/stress-ng --temp-path /tmp --timeout {SLOWNESS}s --oomable --$(echo "$name" | tr -d '"') 2
""")
    outcomes = invoke_all(host, "stress-ng", names, example("echo"))
    assert outcomes["ok"] > 50, "most of them hardly began"


def test_trinity(host, example):
    """It does not come far: it makes its own ways with bpf and System V memory, which no cell has."""
    upload(host, "trinity", "trinity", """#!/bin/sh
read -r seed
cd /tmp
exec /function/trinity -q -q -l off -a 64 -C 4 -N 20000 -s "$seed"
""")
    outcomes = invoke_all(host, "trinity", range(1, 9), example("echo"))
    assert set(outcomes) <= {"denied", "signal", "exit"}, outcomes


# Their own end, or a wait for ever, is all that these would show.
DULL = {"exit", "exit_group", "rt_sigreturn", "pause", "rt_sigsuspend", "fork", "vfork", "clone", "execve", "execveat", "kill",
        "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"}


def test_random_calls(host, example, compile_c):
    """What trinity does, by a program that needs nothing to start: every call that does not end the worker, with arguments
    that are nearly right, some thousand times in each of some hundred processes."""
    ending = {rule.name for rule in RULES["many"] if rule.action == "deny"}
    numbers = [number for name, number in NUMBERS.items() if name not in ending | DULL]
    assert len(numbers) > 250
    program = compile_c("random_calls.c")
    files = {"function.yaml": f"name: random-calls\nrun: ./main\n{MANIFEST}".encode(), "main": (program.read_bytes(), 0o755)}
    host.upload("random-calls", zip_of(files), content_type=ZIP)
    events = [{"seed": seed, "calls": numbers} for seed in range(1, 17)]
    outcomes = invoke_all(host, "random-calls", events, example("echo"))
    assert outcomes["ok"] >= 4, f"most of them ended at once: {outcomes}"
