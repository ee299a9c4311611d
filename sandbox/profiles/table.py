#!/usr/bin/env python3
"""Writes sandbox/launcher/profile_table.h: all that base.profile allows, as the launcher knows it.

    sandbox/profiles/table.py            writes it
    sandbox/profiles/table.py --check    says whether it is as it should be (Tests/Sanitizers/run)

A reader of its own, not the supervisor's: what it finds is what supervisors are held to.
"""
import re
import sys
from pathlib import Path

PROFILE = Path(__file__).parent / "base.profile"
TABLE = Path(__file__).parent.parent / "launcher/profile_table.h"
NUMBERS = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
CONDITIONS_MAX = 3
ALL = 0xFFFFFFFF


def alternatives(text):
    """One condition of the notation: a list of (argument, mask, value), of which one must hold."""
    if found := re.fullmatch(r"arg([0-5]) is ([\w ]+)", text):
        return [(int(found[1]), ALL, int(value, 0)) for value in found[2].split()]
    if found := re.fullmatch(r"arg([0-5]) & (\w+) == (\w+)", text):
        return [(int(found[1]), int(found[2], 0), int(found[3], 0))]
    if found := re.fullmatch(r"arg([0-5]) any (\w+)", text):
        return [(int(found[1]), 1 << bit, 1 << bit) for bit in range(32) if int(found[2], 0) >> bit & 1]
    sys.exit(f"table.py: \"{text}\" is no condition")


def allowed(text, in_own_network):
    """{call: [{argument: (mask, value)}]}: one of the rows must hold in all its arguments. Of `@one` and `@many` both, of
    `@sealed` and `@loopback` what holds without a network of the cell's own; `in_own_network`: of those what holds there."""
    ours = ("@one", "@many", "@loopback" if in_own_network else "@sealed")
    calls = {}
    for line in text.splitlines():
        head, _, condition = line.split("#")[0].strip().partition(" if ")
        words = [word for word in head.split() if word not in ours]
        if not words or words[0] != "allow":
            continue
        rows = [{}]
        for part in condition.split(" and ") if condition else ():
            rows = [row | {at: (mask, value)} for row in rows for at, mask, value in alternatives(part.strip())]
        for name in words[1:]:
            calls.setdefault(name, []).extend(rows)
    return {name: merged(rows) for name, rows in calls.items()}


def together(one, other):
    """One row for both, where they differ in a single bit: that bit is looked at no more. None: there is no such row."""
    if one.keys() != other.keys():
        return None
    different = [at for at in one if one[at] != other[at]]
    if not different:
        return one
    at = different[0]
    (mask, value), (other_mask, other_value) = one[at], other[at]
    bit = value ^ other_value
    if len(different) > 1 or mask != other_mask or bit & bit - 1:
        return None
    left = {at: (mask & ~bit, value & ~bit)} if mask & ~bit else {}
    return {key: row for key, row in one.items() if key != at} | left


def holds_for(general, special):
    """Whether whatever meets `special` meets `general`."""
    return all(at in special and special[at][0] & mask == mask and special[at][1] & mask == value
               for at, (mask, value) in general.items())


def merged(rows):
    """As few rows as say the same."""
    rows = list(rows)
    while True:
        pair = next(((a, b, row) for i, a in enumerate(rows) for b in rows[i + 1:] if (row := together(a, b)) is not None),
                    None)
        if not pair:
            break
        rows = [row for row in rows if row is not pair[0] and row is not pair[1]] + [pair[2]]
    rows = [row for i, row in enumerate(rows)
            if not any(holds_for(other, row) and (i > j or not holds_for(row, other)) for j, other in enumerate(rows) if j != i)]
    return sorted(rows, key=lambda row: sorted(row.items()))


def table(text):
    numbers = dict(re.findall(r"^#define __NR_(\w+)\s+(\d+)$", NUMBERS.read_text(), re.MULTILINE))
    lines = [
        "// Made by sandbox/profiles/table.py from base.profile: do not edit.",
        "// Each row: a call, and what must hold of its arguments (the lower halves), all of it: argument, mask, value.",
        "// A call with several rows must meet one of them; one that no row names is never let through.",
        "// ALLOWED_IN_OWN_NETWORK rows count only where the cell has a network namespace of its own, ALLOWED_IN_SHARED_NETWORK",
        "// rows only where it has none.",
    ]
    sealed, connected = allowed(text, False), allowed(text, True)
    for name in sorted(sealed | connected, key=lambda name: int(numbers[name])):
        one, other = sealed.get(name, []), connected.get(name, [])
        kinds = [("ALLOWED", [row for row in one if row in other]),
                 ("ALLOWED_IN_SHARED_NETWORK", [row for row in one if row not in other]),
                 ("ALLOWED_IN_OWN_NETWORK", [row for row in other if row not in one])]
        for kind, row in [(kind, row) for kind, rows in kinds for row in rows]:
            if len(row) > CONDITIONS_MAX:
                sys.exit(f"table.py: {name} has more conditions than the launcher has room for")
            conditions = "".join(", {%d, 0x%x, 0x%x}" % (at, *row[at]) for at in sorted(row))
            lines.append(f"{kind}(SYS_{name}{conditions})")
    return "\n".join(lines) + "\n"


def main():
    made = table(PROFILE.read_text())
    if "--check" not in sys.argv[1:]:
        TABLE.write_text(made)
    elif not TABLE.exists() or TABLE.read_text() != made:
        sys.exit(f"{TABLE} is not what base.profile says: run sandbox/profiles/table.py")


if __name__ == "__main__":
    main()
