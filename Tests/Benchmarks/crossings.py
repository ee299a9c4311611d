#!/usr/bin/python3
"""Which calls the built host makes from one of its modules to another on an invocation's way, by disassembly: more modules must not cost
inlining. A call by a witness table or a dispatch thunk there is one that the compiler could not see through.

    Tests/Benchmarks/crossings.py [BINARY]
"""

import collections
import subprocess
import sys

MODULES = {f"{len(name)}{name}": name for name in
           ("Gateway", "Invoker", "WorkerPool", "Dialogues", "FunctionModel", "Catalogue", "Access", "Journal", "Sandbox", "HostSystem")}
# What an invocation of an idle reactor passes through, as symbols have it.
WAY = ("17InvocationHandlerC", "15PlainInvocationV", "16InvocationAnswerV", "7InvokerC", "10WorkerPoolC", "12WorkerRunnerC", "13WorkerMachineV",
       "11PoolMachineV", "15JSONRPCDialogueV", "11JSONScannerV", "12EventReaderV", "7JournalC", "5MetersC", "11UsageLedgerC", "12MemoryBudgetC")


def module(symbol):
    return next((name for part, name in MODULES.items() if symbol.startswith("$s" + part)), None)


def calls(binary):
    """Pairs of symbols: who calls whom."""
    caller = ""
    disassembly = subprocess.Popen(["objdump", "-d", "--no-show-raw-insn", binary], stdout=subprocess.PIPE, text=True)
    for line in disassembly.stdout:
        if line.endswith(">:\n"):
            caller = line[line.index("<") + 1:-3]
        elif "call" in line and line.endswith(">\n"):
            yield caller, line[line.rindex("<") + 1:-2].partition("+")[0].partition("@")[0]
    if disassembly.wait():
        raise SystemExit(f"objdump cannot read {binary}")


def crossings(binary):
    """How often each function of another module is called, and which of the host's own are called through a table."""
    crossing, through_tables, seen = collections.Counter(), collections.Counter(), set()
    for caller, called in calls(binary):
        here = module(caller)
        if here is None or not any(part in caller for part in WAY):
            continue
        seen.add(caller)
        there = module(called)
        if there is not None and called.endswith(("Tj", "TW", "TQ")):
            through_tables[here, called] += 1
        elif there not in (None, here):
            crossing[here, there, called] += 1
    return crossing, through_tables, len(seen)


def demangled(symbols):
    shown = subprocess.run(["swift", "demangle", "--simplified", "--compact"], input="\n".join(symbols), capture_output=True, text=True, check=True)
    return shown.stdout.splitlines()


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else ".build/release/bulkhead"
    crossing, through_tables, functions = crossings(binary)
    keys = sorted(crossing, key=crossing.get, reverse=True)
    for (here, there, _), name, count in zip(keys, demangled([key[2] for key in keys]), (crossing[key] for key in keys)):
        print(f"{count:3} {here} -> {there}: {name}")
    print(f"{functions} functions on the way, {sum(crossing.values())} calls into other modules, {sum(through_tables.values())} through a table")


if __name__ == "__main__":
    main()
