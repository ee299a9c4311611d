"""The filter against its own text: what sandbox/profiles/base.profile says of a call, and what the kernel does with it.

A prober in a cell makes every system call there is. Read here are the profile itself, by a reader of its own, and the
kernel's tables of numbers; neither knows how the host turns the one into a program for the other.
"""

import fcntl
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import read_tree, zip_of
from checks import failed
from conftest import REPOSITORY

PROFILE = REPOSITORY / "sandbox/profiles/base.profile"
HEADERS = Path("/usr/include/x86_64-linux-gnu/asm")
BAD = 0xFFFF_FFFF_FFFF_FF00  # no address, no descriptor, no process, no option
GARBAGE = 0xDEAD_BEEF << 32  # above an argument that the kernel takes as an int
CHUNK = 50  # kinds of refused calls a function; from 64 on the host counts them together
# A kernel that has these passes them by every filter. They are its own doors back from a probe: from anywhere else than
# its trampoline the one is SIGILL, the other ENXIO. An older kernel filters them like any number.
UNFILTERED = {335: {"end": "signal", "number": 4}, 336: {"errno": "ENXIO", "number": 6}}
THREAD = 0x10000  # CLONE_THREAD by itself is EINVAL: a clone that gets through to the kernel and makes nothing


def numbers(header):
    """{name: number} as the kernel's own headers have it."""
    text = (HEADERS / header).read_text()
    return {name: int(number) for name, number in re.findall(r"^#define __NR_(\w+)\s+(\d+)$", text, re.MULTILINE)}


# Newer than the headers of Debian 12, but not than every libseccomp: the host may know these by name or by number.
NEWER = {335: "uretprobe", 336: "uprobe"} | dict(enumerate((
    "cachestat", "fchmodat2", "map_shadow_stack", "futex_wake", "futex_wait", "futex_requeue", "statmount", "listmount",
    "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules", "mseal", "setxattrat", "getxattrat", "listxattrat",
    "removexattrat", "open_tree_attr", "file_getattr", "file_setattr"), 451))
NUMBERS = {name: number for number, name in NEWER.items()} | numbers("unistd_64.h")
NAMES = {number: name for name, number in NUMBERS.items()}


# -- The profile ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    action: str
    errno: str | None
    name: str
    conditions: tuple  # of (argument, mask, value); all must hold

    def decides(self, name, arguments):
        return name == self.name and all(arguments[at] & mask == value for at, mask, value in self.conditions)


NOT_NAMED = Rule("refuse", "ENOSYS", "", ())


def alternatives(text):
    """One condition of the notation, as a list of (argument, mask, value) of which one must hold."""
    if found := re.fullmatch(r"arg(\d) is ([\w ]+)", text):
        return [(int(found[1]), 0xFFFFFFFF, int(value, 0)) for value in found[2].split()]
    if found := re.fullmatch(r"arg(\d) & (\w+) == (\w+)", text):
        return [(int(found[1]), int(found[2], 0), int(found[3], 0))]
    found = re.fullmatch(r"arg(\d) any (\w+)", text)
    assert found, f"no condition: {text}"
    bits = [1 << bit for bit in range(32) if int(found[2], 0) >> bit & 1]
    return [(int(found[1]), sum(bits[:index + 1]), bit) for index, bit in enumerate(bits)]


KINDS = {"many": ("@many", "@sealed"), "one": ("@one", "@sealed"), "loopback": ("@many", "@loopback")}


def read_profile(tags):
    """The rules of one kind of functions."""
    rules = []
    for line in PROFILE.read_text().splitlines():
        head, _, condition = line.split("#")[0].strip().partition(" if ")
        words = head.split()
        if not words:
            continue
        if words[0].startswith("@") and words.pop(0) not in tags:
            continue
        action = words.pop(0)
        errno = words.pop(0) if action in ("refuse", "quiet") else None
        choices = [()]
        for part in condition.split(" and ") if condition else ():
            choices = [chosen + (one,) for chosen in choices for one in alternatives(part.strip())]
        rules += [Rule(action, errno, name, chosen) for name in words for chosen in choices]
    return rules


RULES = {kind: read_profile(tags) for kind, tags in KINDS.items()}
CONDITIONED = sorted({rule.name for kind in ("many", "one") for rule in RULES[kind] if rule.conditions})
OF_SOCKETS = sorted({rule.name for rule in set(RULES["loopback"]) - set(RULES["many"])})


def rule_for(number, arguments, kind="many"):
    """The one rule that decides this call."""
    found = [rule for rule in RULES[kind] if rule.decides(NAMES.get(number), arguments)]
    assert len(found) < 2, f"{NAMES[number]}{arguments} is decided more than once: {found}"
    return found[0] if found else NOT_NAMED


def test_profile_is_what_the_host_tells(host, prober):
    """The policy route says of each mode what the file says, rule by rule, and no call is misspelt in either."""
    for kind in KINDS:
        told = host.get(f"/v1/functions/{prober(kind)}/policy").json()
        assert told["otherSystemCalls"] == "ENOSYS"
        calls = [Rule(call["action"], call.get("errno"), call["name"],
                      tuple((one["argument"], one["mask"], one["value"]) for one in call["conditions"]))
                 for call in told["systemCalls"]]
        assert Counter(calls) == Counter(RULES[kind])
        assert all(call["reason"].strip() for call in told["systemCalls"])
    assert {rule.name for rule in calls} <= set(NUMBERS)


# -- The cell ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def prober(host, example_folder):
    """`prober()`: the prober under a name of its own, so that what was refused to it is counted for it alone."""
    def make(kind="many"):
        processes = 1 if kind == "one" else 8
        name = unique_name("prober")
        files = read_tree(example_folder("hostile/prober"))
        manifest = files["function.yaml"][0].decode()
        manifest = manifest.replace("name: prober", f"name: {name}").replace("processes: 8", f"processes: {processes}")
        assert f"name: {name}" in manifest and f"processes: {processes}" in manifest
        if kind == "loopback":
            manifest += "\nallow: { network: loopback }\n"
        host.upload(name, zip_of(files | {"function.yaml": manifest.encode()}), content_type=ZIP)
        return name
    return make


def refused(host, function):
    """What the host counted, as {(name, errno): count}. It knows new calls by number only."""
    told = host.get(f"/v1/functions/{function}").json()["refused"]
    plain = [NAMES.get(int(one["syscall"]), one["syscall"]) if one["syscall"].isdigit() else one["syscall"]
             for one in told]
    return {(name, one["errno"]): one["count"] for name, one in zip(plain, told)}


def asks_for_a_lock(name, arguments):
    return name == "flock" or name == "fcntl" and arguments[1] & 0xFFFFFFFF in (fcntl.F_GETLK, fcntl.F_SETLK, fcntl.F_SETLKW)


def compare(host, function, calls, kind="many"):
    """Makes `calls`, none of which is denied, in one invocation, and holds every answer and every count to the profile.
    """
    event = {"calls": calls} | ({"direct": 1} if kind == "one" else {})
    answers = host.invoke(function, event, expect="ok", timeout=40).json()
    assert len(answers) == len(calls)
    expected = Counter()
    for (number, *arguments), answer in zip(calls, answers):
        name = NAMES.get(number, str(number))
        if number in UNFILTERED and answer == UNFILTERED[number]:
            continue
        rule = rule_for(number, arguments, kind)
        if kind != "one" and asks_for_a_lock(name, arguments):
            # Kept by the cell's watcher, which finds that there is no such file.
            assert answer.get("errno") == "EBADF", (name, answer)
            continue
        told = f"{name}{[hex(argument) for argument in arguments]} answered {answer}; the profile says {rule}"
        if rule.action == "pretend":
            assert answer == {"value": 0}, told
        elif rule.action == "allow":
            # The kernel's own answer to bad arguments, whatever it is. ENOSYS would be the filter's: it knows them all.
            assert answer.get("errno") != "ENOSYS", told
        else:
            assert answer.get("errno") == rule.errno, told
        if rule.action == "refuse":
            expected[name, rule.errno] += 1
    assert refused(host, function) == expected


def assert_denied(host, function, call, name, **event):
    """The call ends the worker, by its name, and is not counted as one that the worker lived through."""
    reply = host.invoke(function, {"calls": [call], **event})
    assert reply.outcome == "denied", f"{name} {call}: {reply}"
    assert failed(reply, "denied")["syscall"] == name
    assert refused(host, function) == {}


def harmless(number):
    """A call that can do nothing. futex is asked to wait at no address: to an unknown request it says ENOSYS itself."""
    return [number, BAD, 0 if NAMES.get(number) == "futex" else BAD, *[BAD] * 4]


@pytest.mark.parametrize("first", range(0, 1001, CHUNK))
def test_every_number(host, prober, first):
    """Each number there is and as many that there are not, with arguments that can do nothing."""
    calls = [harmless(number) for number in range(first, min(first + CHUNK, 1001))]
    compare(host, prober(), [call for call in calls if rule_for(call[0], call[1:]).action != "deny"])
    denier = prober()
    for call in calls:
        if rule_for(call[0], call[1:]).action == "deny":
            assert_denied(host, denier, call, NAMES[call[0]])


def conditioned_calls(name, kind):
    """For each rule with conditions: a call that meets it, and for each bit of what it looks at, one that differs in it.

    The upper halves hold garbage: the kernel does not look at them, so neither may the filter.
    """
    calls = []
    for rule in RULES[kind]:
        if rule.name != name or not rule.conditions:
            continue
        arguments = [BAD] * 6
        for at, mask, value in rule.conditions:
            # Bits the rule does not look at stay clear, except where that would make a process.
            arguments[at] = GARBAGE | value | (THREAD & ~mask if name == "clone" else 0)
        flips = [(at, 1 << bit) for at, _, _ in rule.conditions for bit in range(32)]
        for at, bit in [(0, 0), *flips]:
            call = [NUMBERS[name], *(value ^ bit if here == at else value for here, value in enumerate(arguments))]
            action = rule_for(*split(call), kind).action
            makes_process = name == "clone" and action == "allow" and not call[1] & THREAD
            # A denied call costs an invocation: one for each rule, and each bit that leads there from another rule.
            is_repeated = bit and action == "deny" == rule.action
            if call not in calls and not makes_process and not is_repeated:
                calls.append(call)
    return calls


def split(call):
    return call[0], call[1:]


@pytest.mark.parametrize("name", CONDITIONED)
def test_conditions(host, prober, name):
    """What the rule says, and one bit beside it."""
    calls = conditioned_calls(name, "many")
    rules = [rule_for(*split(call)) for call in calls]
    assert {rule for rule in RULES["many"] if rule.name == name and rule.conditions} <= set(rules), "a rule was not met"
    compare(host, prober(), [call for call, rule in zip(calls, rules) if rule.action != "deny"])
    denier = prober()
    for call, rule in zip(calls, rules):
        if rule.action == "deny":
            assert_denied(host, denier, call, name)


@pytest.mark.parametrize("name", OF_SOCKETS)
def test_own_network(host, prober, name):
    """With `network: loopback`: what each rule says of sockets, and one bit beside it."""
    calls = conditioned_calls(name, "loopback") or [[NUMBERS[name]] + [BAD] * 6]
    compare(host, prober("loopback"), calls, "loopback")


@pytest.mark.parametrize("name", ["fork", "vfork", "clone"])
def test_single_process(host, prober, name):
    """With `processes: 1`: no fork by any call, and threads all the same."""
    calls = conditioned_calls(name, "one") or [[NUMBERS[name]] + [BAD] * 6]
    rules = [rule_for(*split(call), "one") for call in calls]
    assert any(rule.errno == "EAGAIN" for rule in rules)
    compare(host, prober("one"), [call for call, rule in zip(calls, rules) if rule.action != "deny"], "one")
    denier = prober("one")
    for call, rule in zip(calls, rules):
        if rule.action == "deny":
            assert_denied(host, denier, call, name, direct=1)


# -- Other doors ------------------------------------------------------------------------------------------------------

X32 = sorted(numbers("unistd_64.h").values())[::8]
I386 = sorted(numbers("unistd_32.h").values())[::10]


@pytest.mark.parametrize("entry, header, some", [
    ("x32", "unistd_64.h", {*X32, NUMBERS["execve"], NUMBERS["getpid"], NUMBERS["clone"], NUMBERS["read"]}),
    # execve, getpid, socketcall, ipc and clone: a filter that looks at numbers only would take them for trifles.
    ("i386", "unistd_32.h", {*I386, 11, 20, 102, 117, 120}),
])
def test_foreign_entry(host, prober, entry, header, some):
    """No call goes through a door that the filter's table does not describe, also none that would be allowed."""
    function, known = prober(), {number: name for name, number in numbers(header).items()}
    assert len(some) >= 40
    for number in sorted(some):
        reply = host.invoke(function, {"entry": entry, "direct": 1, "calls": [[number] + [BAD] * 6]})
        assert failed(reply, "denied")["syscall"] in (f"{entry}:{known[number]}", f"{entry}:{number}"), reply
    assert refused(host, function) == {}
