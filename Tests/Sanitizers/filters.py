"""Seccomp programs as a supervisor sends them: the profile's own, and such as let one thing more through."""
import re
import struct
import sys
from pathlib import Path

PROFILES = Path(__file__).resolve().parent.parent.parent / "sandbox/profiles"
sys.path.insert(0, str(PROFILES))
sys.dont_write_bytecode = True
from table import NUMBERS, TABLE, allowed, table  # noqa: E402

LOAD, AND, ADD, JUMP, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x54, 0x04, 0x05, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL_PROCESS, LOG, TRACE, ERRNO = 0x7FFF0000, 0x80000000, 0x7FFC0000, 0x7FF00000, 0x00050000
UNTIL_LOCKED, COUNTED = ERRNO | 0x400, ERRNO | 0x800
X86_64, I386, X32 = 0xC000003E, 0x40000003, 0x40000000
ALL = 0xFFFFFFFF

PROFILE = (PROFILES / "base.profile").read_text()
CALLS = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)", NUMBERS.read_text())}
SOUND, CONNECTED = ({CALLS[name]: rows for name, rows in allowed(PROFILE, own).items()} for own in (False, True))


def instructions(*rows):
    return b"".join(struct.pack("=HBBI", *row) for row in rows)


def block(number, rows, action):
    """The instructions that answer `action` to a call that meets one of `rows`; anything else passes them by."""
    body = []
    for row in rows:
        tests = [step for at, (mask, value) in sorted(row.items())
                 for step in ((LOAD, 0, 0, 16 + 8 * at), (AND, 0, 0, mask), (EQUAL, 0, None, value))]
        tests.append((RETURN, 0, 0, action))
        body += [step if step[2] is not None else (step[0], 0, len(tests) - at - 1, step[3])
                 for at, step in enumerate(tests)]
    return [(LOAD, 0, 0, 0), (EQUAL, 0, len(body), number), *body]


def program(calls, actions=None, entry=((EQUAL, 1, 0, X86_64), (RETURN, 0, 0, KILL_PROCESS))):
    """Allows `calls`, {number: rows as in the launcher's table}, or answers what `actions` says of one; kills else."""
    rows = [(LOAD, 0, 0, 4), *entry]
    for number, conditions in calls.items():
        rows += block(number, conditions, (actions or {}).get(number, ALLOW))
    return instructions(*rows, (RETURN, 0, 0, KILL_PROCESS))


def within(row, rows):
    """Whether whatever meets `row` meets one of `rows`: split bit by bit until that is plain."""
    open_bit = None
    for other in rows:
        contradicts = any(at in row and (row[at][1] ^ value) & row[at][0] & mask for at, (mask, value) in other.items())
        if contradicts:
            continue
        unknown = {at: mask & ~row.get(at, (0, 0))[0] for at, (mask, _) in other.items()}
        missing = {at: mask for at, mask in unknown.items() if mask}
        if not missing:
            return True
        at, mask = next(iter(missing.items()))
        open_bit = at, 1 << mask.bit_length() - 1
    if open_bit is None:
        return False
    at, bit = open_bit
    mask, value = row.get(at, (0, 0))
    return all(within(row | {at: (mask | bit, value | half)}, rows) for half in (0, bit))


def wider(sound):
    """Calls as the profile allows them, but for one bit of one condition, at which they do not look."""
    for number, rows in sound.items():
        for index, row in enumerate(rows):
            for at, (mask, value) in row.items():
                for bit in (1 << bit for bit in range(32) if mask >> bit & 1):
                    loose = row | {at: (mask & ~bit, value & ~bit)}
                    if not within(loose, rows):
                        yield {number: rows[:index] + [loose] + rows[index + 1:]}


def wrong_filters(sound):
    """Each lets one thing through beside `sound` that no such cell may do: by itself, by a detour, or for one odd argument only."""
    yield struct.pack("=HBBI", 0xFFFF, 9, 9, 9)
    for action in (ALLOW, LOG, TRACE, UNTIL_LOCKED):
        yield instructions((RETURN, 0, 0, action))
    # One call more: each number that there may ever be, some that there cannot be, and those of x32's entry.
    odd = [1024, 4095, X32 - 1, X32, X32 | 1, X32 | 59, 1 << 31, ALL]
    for number in [*range(1024), *odd]:
        if number not in sound:
            yield program({CALLS["read"]: [{}], number: [{}]})
    unshare, socketpair, pipe2 = CALLS["unshare"], CALLS["socketpair"], CALLS["pipe2"]
    for action in (ALLOW, LOG, TRACE, UNTIL_LOCKED):
        yield program(sound | {unshare: [{}]}, {unshare: action})
    for calls in wider(sound):
        yield program(calls)
    # A datagram pair can be sent on to any socket file.
    yield program(sound | {socketpair: [{0: (ALL, 1), 1: (0xF, 2)}]})
    # pipe2 with any flags, if its first argument is a number that only the attacker knows.
    yield program(sound | {pipe2: [{0: (ALL, 0xC0FFEE)}]})
    # Every call of other entries.
    yield program(sound, entry=((EQUAL, 2, 0, X86_64), (EQUAL, 0, 1, I386), (RETURN, 0, 0, ALLOW)))
    yield program(sound, entry=((EQUAL, 1, 0, X86_64), (RETURN, 0, 0, ALLOW)))
    start = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, X86_64), (RETURN, 0, 0, KILL_PROCESS)]
    yield instructions(*start, (LOAD, 0, 0, 0), (AT_LEAST, 0, 1, X32), (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL_PROCESS))
    # Ways that meet again: what one of them has found out does not hold for the other.
    yield instructions(*start, (LOAD, 0, 0, 0), (EQUAL, 0, 5, pipe2), (LOAD, 0, 0, 24), (ANY_BIT, 0, 2, 0x4080),
                       (LOAD, 0, 0, 16), (EQUAL, 0, 1, 0xC0FFEE), (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL_PROCESS))
    # Only the upper half of an argument is looked at, which the kernel does not look at.
    yield instructions(*start, (LOAD, 0, 0, 0), (EQUAL, 0, 3, pipe2), (LOAD, 0, 0, 28), (EQUAL, 0, 1, 0),
                       (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL_PROCESS))
    # An operation that the walk does not know: the accumulator plus 1.
    yield instructions((LOAD, 0, 0, 0), (ADD, 0, 0, 1), (RETURN, 0, 0, KILL_PROCESS))
    # More ways than anybody follows: each bit of an argument by itself.
    bits = [(ANY_BIT, 0, 0, 1 << bit) for bit in range(32)]
    yield instructions(*start, (LOAD, 0, 0, 24), *bits, *bits, (RETURN, 0, 0, KILL_PROCESS))
    # Both a refusal and an allowance.
    yield program(sound, {CALLS["getpid"]: UNTIL_LOCKED | COUNTED})
