#!/usr/bin/env python3
"""The floors of the house: prints the modules with what they import, and says where an arrow leads up, or sideways without leave.

Usage: Tests/structure.py [--check]. With --check it prints what is wrong only, and exits 1 if anything is.
Read from Package.swift's targets and from the imports, so that neither can say what the other does not.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

FLOORS = [
    ("values", ["FunctionModel", "WireText", "CLauncherABI"]),
    ("mechanisms", ["HostSystem", "CHostSystem", "Telemetry", "Bundles", "Store", "StoreSQLite", "CArchive", "CSeccomp",
                    "SandboxProfiles", "PythonRuntime", "Courier"]),
    ("engine", ["Sandbox", "Dialogues", "Runtimes", "WorkerPool"]),
    ("services", ["Catalogue", "Access", "Journal", "Deployment", "Invoker", "Events", "Queues", "Secrets"]),
    ("edges", ["LambdaAPI", "Gateway", "CourierProgram"]),
    ("top", ["Host", "BulkheadCommands", "bulkhead"]),
]

# Rooms of one floor that may know each other, and why.
SIDEWAYS = {
    ("FunctionModel", "WireText"): "what is read of a stranger's text",
    ("HostSystem", "CHostSystem"): "its C part",
    ("Bundles", "HostSystem"): "files", ("Bundles", "CHostSystem"): "files", ("Bundles", "CArchive"): "archives",
    ("Courier", "HostSystem"): "descriptors", ("Courier", "CHostSystem"): "packets",
    ("StoreSQLite", "Store"): "the intents that it carries out", ("StoreSQLite", "HostSystem"): "files",
    ("Runtimes", "Sandbox"): "a runtime makes launch plans",
    ("WorkerPool", "Sandbox"): "it launches", ("WorkerPool", "Dialogues"): "it talks to workers",
    ("Deployment", "Catalogue"): "what is deployed is entered there",
    ("Events", "Invoker"): "the one door", ("Queues", "Invoker"): "the one door",
    ("Events", "Journal"): "what is known of an invocation has one shape",
    ("Gateway", "LambdaAPI"): "it takes those requests in, and sends the answers out",
    ("BulkheadCommands", "Host"): "the command line on top", ("bulkhead", "BulkheadCommands"): "its main",
}

# Libraries that one room only may see.
ONLY = {"GRDB": {"StoreSQLite"}, "Hummingbird": {"Gateway"}, "HummingbirdCore": {"Gateway"}, "ArgumentParser": {"BulkheadCommands"},
        "AsyncHTTPClient": {"BulkheadCommands", "CourierProgram"}, "Crypto": {"Bundles", "Access", "Events", "Queues", "Secrets"}, "JWTKit": {"Access"},
        # A span is made by who knows an invocation's steps; the command line lets libraries join.
        "Tracing": {"Telemetry", "Journal", "BulkheadCommands"}, "Instrumentation": {"Telemetry"}, "ServiceContextModule": {"Telemetry"}}

# Edges decode, ask a service and encode: what is below services is none of their business.
FORBIDDEN = {edge: {"WorkerPool", "Sandbox", "Runtimes", "StoreSQLite", "Dialogues"} for edge in ("Gateway", "LambdaAPI")}

MAX_LINES = 400
MAX_PROPERTIES = 12

# What is larger still, each with what is to become of it. Nothing new comes here, and what shrinks goes.
KNOWN = {}


def floor_of(module):
    return next((number for number, (_, rooms) in enumerate(FLOORS) if module in rooms), None)


def modules():
    """Each own module with its folder, from Package.swift."""
    text = (REPOSITORY / "Package.swift").read_text()
    found = {}
    for match in re.finditer(r'\.(?:executableTarget|target|systemLibrary)\(\s*name: "([^"]+)"(.*?)(?=\n        \.|\n    \]\n\))', text, re.S):
        path = re.search(r'path: "([^"]+)"', match[2])
        found[match[1]] = REPOSITORY / (path[1] if path else f"Sources/{match[1]}")
    return {name: folder for name, folder in found.items() if not str(folder.relative_to(REPOSITORY)).startswith("Tests")}


def imports(folder):
    found = set()
    for file in folder.rglob("*.swift"):
        for line in file.read_text().splitlines():
            match = re.match(r"(?:@\w+(?:\(\w+\))? )*(?:package |public |internal |private )?import (?:struct |class |func |enum )?(\w+)", line)
            if match:
                found.add(match[1])
    return found


def graph_flaws(own, uses):
    for module, used in uses.items():
        here = floor_of(module)
        for other in sorted(used):
            if other in ONLY and module not in ONLY[other]:
                yield f"{module} imports {other}, which only {', '.join(sorted(ONLY[other]))} may"
            if other in FORBIDDEN.get(module, ()):
                yield f"{module} imports {other}: an edge asks a service"
            if other not in own or other == module or here is None:
                continue
            there = floor_of(other)
            if there is None:
                yield f"{module} imports {other}, which has no floor"
            elif there > here:
                yield f"{module} (floor {here + 1}) imports {other} (floor {there + 1}): upwards"
            elif there == here and (module, other) not in SIDEWAYS:
                yield f"{module} imports {other} of the same floor"
    for module in own:
        if floor_of(module) is None and not module.startswith("bulkhead-"):
            yield f"{module} has no floor: give it one in Tests/structure.py"
    for (module, other), _ in SIDEWAYS.items():
        if other not in uses.get(module, ()):
            yield f"{module} may import {other} and does not: take the leave back"


def without_text(source):
    """Swift without comments and strings, line by line."""
    source = re.sub(r'"""(.*?)"""', lambda text: '""' + "\n" * text[1].count("\n"), source, flags=re.S)
    source = re.sub(r'#*"(?:\\.|[^"\\\n])*"#*', '""', source)
    source = re.sub(r"/\*.*?\*/", lambda text: "\n" * text[0].count("\n"), source, flags=re.S)
    return [line.split("//")[0] for line in source.split("\n")]


TYPE = re.compile(r"\b(struct|final class|class|enum|actor|extension)\s+([\w.]+)")
PROPERTY = re.compile(r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:package|public|private|fileprivate|internal|final|weak|unowned|nonisolated)(?:\(\w+\))?\s+)*(?:let|var)\s+(.*)$")


def types(file):
    """Each type or extension of a file, with its nesting, its lines and its stored properties."""
    stack, depth = [], 0
    for line in without_text(file.read_text()):
        declared = TYPE.search(line)
        if stack and depth == stack[-1]["depth"] + 1:
            stored = PROPERTY.match(line)
            isComputed = stored and re.search(r"\{", stored[1].split("=")[0]) and "didSet" not in line
            if stored and not isComputed and " static " not in f" {line}" and not line.lstrip().startswith("case"):
                # `let a, b: Int`, `var a = 1, b = 2`
                names = stored[1].split(":")[0].count(",") + 1 if ":" in stored[1] else 1
                stack[-1]["properties"] += names
        for kind in stack:
            kind["lines"] += 1
        opens, closes = line.count("{"), line.count("}")
        if declared and opens > closes:
            name = ".".join([one["name"] for one in stack] + [declared[2]])
            stack.append({"name": declared[2], "full": name, "depth": depth, "lines": 1, "properties": 0})
        depth += opens - closes
        while stack and depth <= stack[-1]["depth"]:
            one = stack.pop()
            yield one["full"], one["lines"], one["properties"]


def size_flaws():
    files = [*REPOSITORY.glob("Sources/**/*.swift"), *REPOSITORY.glob("sandbox/**/*.c"), *REPOSITORY.glob("sandbox/**/*.h"),
             *REPOSITORY.glob("Tests/**/*.swift")]
    found = {}
    lines, properties = defaultdict(int), defaultdict(int)
    for file in files:
        count = len(file.read_text().splitlines())
        place = file.relative_to(REPOSITORY)
        if count > MAX_LINES:
            found[f"file {place}"] = f"{count} lines"
        if file.suffix == ".swift" and place.parts[0] == "Sources":
            for name, length, stored in types(file):
                lines[place.parts[1], name] += length
                properties[place.parts[1], name] += stored
    for (_, name), length in lines.items():
        if length > MAX_LINES:
            found[f"lines {name}"] = f"{length} lines with its extensions"
    for (_, name), stored in properties.items():
        if stored > MAX_PROPERTIES:
            found[f"type {name}"] = f"{stored} stored properties"
    return found


def main():
    own = modules()
    uses = {name: imports(folder) for name, folder in own.items()}
    flaws = list(graph_flaws(own, uses))
    sizes = size_flaws()
    flaws += [f"{what}: {why}, more than {MAX_PROPERTIES if what.startswith('type') else MAX_LINES}"
              for what, why in sizes.items() if what not in KNOWN]
    flaws += [f"{what} is named in KNOWN and is small now: take it out" for what in KNOWN if what not in sizes]
    if "--check" not in sys.argv:
        for number, (name, rooms) in enumerate(FLOORS, 1):
            print(f"{number}. {name}")
            for room in rooms:
                used = sorted((other for other in uses.get(room, ()) if other in own and other != room), key=lambda one: (-floor_of(one), one))
                print(f"   {room:18} {' '.join(used) or '-'}")
        print(f"\n{len(sizes)} larger than they should be:")
        for what, why in sorted(sizes.items()):
            print(f"   {what}: {why}; {KNOWN.get(what, 'NEW')}")
        print()
    for flaw in flaws:
        print(f"structure: {flaw}")
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main())
