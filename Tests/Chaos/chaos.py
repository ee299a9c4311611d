"""The chaos run: see Tests/Chaos/run."""

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

ACCEPTANCE = Path(__file__).resolve().parent.parent / "Acceptance"
sys.path.insert(0, str(ACCEPTANCE))

import system  # noqa: E402
from attacks import GONE, Attacks, manifest_of  # noqa: E402
from bulkhead_host import ZIP, Host  # noqa: E402
from supervising import launchers, memory_mib, supervisor  # noqa: E402

RATE = 200  # requests a second of all honest functions together
HONEST = [("reactor", f"honest-{number}") for number in range(5)] + [("snapshot", "honest-5")]
HONEST += [("command", f"honest-{number}") for number in range(6, 10)]
CALLERS = 4  # for each honest function
ATTACKERS = 4
BOUND = 512  # MiB
GRACE = 1.0  # seconds after a kill in which a request may fail
HANDLER = "def handler(event, context):\n    return event\n"
COMMAND = "#!/bin/sh\n# {}\nexec cat\n"


def percentiles(took):
    took = sorted(took) or [0]
    return ", ".join(f"p{share} {took[min(len(took) - 1, len(took) * share // 100)] * 1000:.0f} ms" for share in (50, 99, 100))


class Run:
    def __init__(self, options):
        self.options, self.over = options, threading.Event()
        self.folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        self.folder.chmod(0o755)
        self.host = Host(os.environ["BULKHEAD_BIN"], self.folder / "data", self.folder / "log").start()
        self.kills, self.failures, self.asked, self.peak, self.back = [], [], Counter(), 0, []
        self.took, self.left_out, self.pids = [], Counter(), set()
        self.seen, self.complaints = {}, []
        for mode, name in HONEST:
            self.deploy(mode, name)
        self.attacks = Attacks(self.host)

    def deploy(self, mode, name):
        """Each time another version that does the same; what is warm is ready at once."""
        if mode == "command":
            reply = self.host.upload(name, COMMAND.format(random.random()).encode(), {"warm": "1", "max": "200"})
        else:
            reply = self.host.upload(name, manifest_of(name, mode, HANDLER + f"# {random.random()}\n"), content_type=ZIP)
        return reply.json()["version"]

    # -- The honest ones ----------------------------------------------------------------------------------------------

    def call(self, name, offset):
        """Keeps its pace, on one connection that is made again when it broke."""
        headers = {"Authorization": f"Bearer {self.host.token}", "Host": f"localhost:{self.host.port}"}
        pause = len(HONEST) * CALLERS / RATE
        connection, due, number = None, time.monotonic() + offset, 0
        while not self.over.wait(max(0, due - time.monotonic())):
            due = max(due + pause, time.monotonic() - pause)
            number += 1
            began = time.monotonic()
            try:
                connection = connection or self.host.connect(10)
                body = b'{"n": %d}' % number
                connection.request("POST", f"/v1/functions/{name}/invocations", body, headers)
                response = connection.getresponse()
                answer, outcome = response.read(), response.headers["Bulkhead-Outcome"]
                wrong = None if outcome == "ok" and answer.replace(b" ", b"") == body.replace(b" ", b"") else (
                    f"{response.status} {outcome} {answer[:200]!r}")
            except GONE as error:
                wrong, connection = repr(error), None
            self.asked[name] += 1
            ended = time.monotonic()
            if wrong:
                self.failures.append((began, ended, name, wrong))
                time.sleep(0.05)
            else:
                self.took.append(ended - began)
        if connection:
            connection.close()

    def excused(self, ended):
        """It failed in the second after a kill."""
        return any(0 <= ended - kill <= GRACE for kill in self.kills)

    # -- The others ---------------------------------------------------------------------------------------------------

    def attack(self, over, told):
        """In a process of its own, so that the honest clients need not share an interpreter with it."""
        os.nice(5)

        def one():
            while not over.wait(random.uniform(0, 0.2)):
                self.attacks.once()
        threads = [threading.Thread(target=one) for _ in range(ATTACKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told.put((self.attacks.done, self.attacks.accepted, self.attacks.versions))

    def redeploy(self):
        """An honest function gets a new version every few seconds, and loses no request by that."""
        while not self.over.wait(random.uniform(2, 5)):
            mode, name = random.choice(HONEST)
            try:
                self.seen[name] = max(self.seen.get(name, 0), self.deploy(mode, name))
            except (*GONE, AssertionError):
                self.left_out["redeploys"] += 1

    def watch(self):
        """The supervisor's memory, whichever process it is."""
        while not self.over.wait(0.1):
            try:
                serving = supervisor(self.host)
                self.peak = max(self.peak, memory_mib(serving.pid, "VmHWM"))
                self.pids |= {process.pid for process in (serving, *launchers(self.host)) if process}
            except (OSError, AssertionError, TypeError):
                pass  # between two of them

    def kill(self):
        targets = [target for target in self.options.kill.split(",") if target]
        while targets and not self.over.wait(random.uniform(*self.options.every)):
            target = random.choice(targets)
            try:
                keeper, launcher = launchers(self.host)
                victim = {"supervisor": supervisor(self.host), "launcher": launcher, "keeper": keeper}[target]
                if not victim:
                    self.left_out[f"kills of the {target}"] += 1
                    continue
                self.kills.append(time.monotonic())
                os.kill(victim.pid, 9)
            except (OSError, AssertionError):
                self.left_out["kills"] += 1
                continue
            print(f"killed the {target}, {victim.pid}", flush=True)
            self.back.append((target, self.wait_until_served()))
            if self.back[-1][1] is None:
                self.over.set()

    def wait_until_served(self):
        """Seconds until an honest command is served again; None when none is within ten."""
        began = time.monotonic()
        while time.monotonic() - began < 10:
            try:
                with closing(self.host.connect(2)) as connection:
                    connection.request("POST", "/v1/functions/honest-9/invocations", b"1", {
                        "Authorization": f"Bearer {self.host.token}", "Host": "localhost"})
                    if connection.getresponse().headers["Bulkhead-Outcome"] == "ok":
                        return time.monotonic() - began
            except GONE:
                pass
            time.sleep(0.02)
        return None

    # -- All of it ----------------------------------------------------------------------------------------------------

    def go(self):
        # The load generator is one process beside many: without this its threads wait for each other 5 ms at a time.
        sys.setswitchinterval(0.001)
        threads = [threading.Thread(target=self.call, args=[name, index / RATE * CALLERS])
                   for index, (_, name) in enumerate(HONEST * CALLERS)]
        threads += [threading.Thread(target=deed) for deed in (self.redeploy, self.watch, self.kill)]
        for name in ("other-0", *(f"other-{number}" for number in range(1, 5))):
            self.host.upload(name, b"#!/bin/sh\nexec cat\n")
        context = multiprocessing.get_context("fork")
        over, told = context.Event(), context.Queue()
        attackers = context.Process(target=self.attack, args=[over, told], daemon=True)
        attackers.start()
        began = time.monotonic()
        for thread in threads:
            thread.start()
        self.over.wait(self.options.minutes * 60)
        self.over.set()
        over.set()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        self.attacks.done, self.attacks.accepted, self.attacks.versions = told.get(timeout=60)
        attackers.join()
        return seconds

    def lost(self):
        """What was answered 201 or 202 and is not there."""
        found = []
        for name, version in (*self.seen.items(), *self.attacks.versions.items()):
            reply = self.host.get(f"/v1/functions/{name}")
            if reply.status != 200 or reply.json()["version"] < version:
                found.append(f"version {version} of {name}")
        for identifier in self.attacks.accepted[-1000:]:
            reply = self.host.get(f"/v1/invocations/{identifier}")
            if reply.status != 200:
                found.append(f"asynchronous item {identifier}")
        return found

    def report(self, seconds):
        unexcused = [failure for failure in self.failures if not self.excused(failure[1])]
        asked = sum(self.asked.values())
        complaints = self.complaints
        print(f"{asked} honest requests in {seconds:.0f} s, {asked / seconds:.0f} a second; {percentiles(self.took)}")
        print(f"attacks: {self.attacks.done}; accepted {len(self.attacks.accepted)}; left out: {dict(self.left_out)}")
        print(f"kills: {len(self.kills)}; served again after {[(t, round(s, 2) if s else s) for t, s in self.back]}")
        print(f"failures: {len(self.failures)}, of them not within {GRACE} s after a kill: {len(unexcused)}")
        for began, ended, name, wrong in unexcused[:20]:
            before = [ended - kill for kill in self.kills if kill <= ended]
            when = f"{min(before):.1f} s after a kill" if before else "before any kill"
            print(f"  {name}, {when}, after {ended - began:.1f} s: {wrong}")
        print(f"the supervisor's peak: {self.peak} MiB")
        if unexcused:
            complaints.append(f"{len(unexcused)} honest requests failed outside of the second after a kill")
        if asked < RATE * seconds * 0.9:
            complaints.append(f"only {asked / seconds:.0f} requests a second: this run proves little")
        if self.peak > BOUND:
            complaints.append(f"the supervisor took {self.peak} MiB, more than {BOUND}")
        if any(took is None for _, took in self.back):
            complaints.append("the host did not come back after a kill")
        if not self.host.running:
            return complaints + [f"serve ended with {self.host.process.returncode}:\n{self.host.log_tail()}"]
        if lost := self.lost():
            complaints.append(f"{len(lost)} lost that had been accepted: {lost[:5]}")
        return complaints

    def end(self):
        complaints, members = [], self.host.members
        if self.host.running and (code := self.host.stop(60)) != 0:
            complaints.append(f"serve exited {code} after SIGTERM:\n{self.host.log_tail()}")
        # Others may serve on this machine, and begin or end meanwhile: a cgroup has the number of the host's own process.
        deadline = time.monotonic() + 5
        while True:
            left = self.host.traces.left(members)
            left["cgroups"] = [path for path in left["cgroups"] if int(path.rpartition("-")[2]) in self.pids]
            if not any(left.values()):
                break
            if time.monotonic() > deadline:
                complaints.append(f"left behind 5 s after the host's end: {left}")
                break
            time.sleep(0.05)
        if complaints or self.complaints:
            kept = Path(tempfile.mkstemp(prefix="chaos-", suffix=".log")[1])
            shutil.copy(self.folder / "log", kept)
            print(f"the host's log: {kept}")
        shutil.rmtree(self.folder, ignore_errors=True)
        return complaints


def main():
    parser = argparse.ArgumentParser(prog="Tests/Chaos/run")
    parser.add_argument("minutes", type=float, nargs="?", default=10)
    parser.add_argument("--kill", default="supervisor,launcher", help="which are killed, of supervisor, launcher and keeper; none when empty")
    parser.add_argument("--every", type=lambda text: [float(part) for part in text.split("-")], default=[5, 15],
                        help="seconds between two kills, at random: 5-15")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    random.seed(options.seed)
    run = Run(options)
    try:
        complaints = run.report(run.go())
    finally:
        run.over.set()
        ending = run.end()
    for complaint in complaints + ending:
        print(f"FAILED: {complaint}")
    return 1 if complaints + ending else 0


if __name__ == "__main__":
    sys.exit(main())
