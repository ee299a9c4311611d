#!/usr/bin/env python3
"""What building costs, commit by commit: all own modules anew, and each after a change of one of its files.

    Tests/Benchmarks/builds.py COMMIT...

Debug builds of the product, as who works on it makes them, in a clone of this repository with one scratch folder; what the packages
of others cost is paid before and not counted. The largest file of each module gets a comment ("comment"), then one more function that
other modules may see ("interface"), so that those that import it are compiled anew. Seconds; of the whole, the fastest of three.
"""
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
KEPT = {"output-file-map.json", "sources"}


class Checkout:
    def __init__(self, folder):
        self.folder = folder
        subprocess.run(["git", "clone", "-q", REPOSITORY, folder], check=True)

    def run(self, *command):
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def build(self):
        """In seconds."""
        began = time.monotonic()
        self.run("swift", "build", "--product", "bulkhead")
        return time.monotonic() - began

    def modules(self):
        """The product's own, with their folders' Swift files."""
        targets = {target["name"]: target for target in json.loads(self.run("swift", "package", "describe", "--type", "json"))["targets"]}
        needed, waiting = set(), ["bulkhead"]
        while waiting:
            name = waiting.pop()
            if name in targets and name not in needed:
                needed.add(name)
                waiting += targets[name].get("target_dependencies", [])
        for name in sorted(needed):
            target = targets[name]
            files = [self.folder / target["path"] / file for file in target["sources"] if file.endswith(".swift")]
            if target["module_type"] == "SwiftTarget" and files:
                yield name, target["c99name"], files

    def forget(self, module):
        """What was built of it; not how, which is written once for each plan."""
        built = self.folder / ".build/debug"
        for place in [*built.glob(f"{module}.build/**/*"), *(built / "Modules").glob(f"{module}.*")]:
            if place.is_file() and place.name not in KEPT and "DerivedSources" not in place.parts:
                place.unlink()


def measure(checkout, commit):
    """(the whole, {module: (after a comment, after a change of its interface)})."""
    checkout.run("git", "checkout", "-q", "-f", commit)
    checkout.build()
    modules, whole = list(checkout.modules()), []
    for _ in range(3):
        for _, module, _ in modules:
            checkout.forget(module)
        whole.append(checkout.build())
    times = {}
    for name, module, files in modules:
        file = max(files, key=lambda path: path.stat().st_size)
        text, seconds = file.read_text(), []
        for addition in ("// touched\n", f"// touched\npackage func touchedIn{module}() {{}}\n"):
            file.write_text(f"{text}\n{addition}")
            seconds.append(checkout.build())
        times[name] = tuple(seconds)
        print(f"{commit} {name}: {seconds[0]:.1f} {seconds[1]:.1f}", file=sys.stderr, flush=True)
    return min(whole), times


def main():
    if not sys.argv[1:] or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="bulkhead-builds-") as folder:
        checkout = Checkout(Path(folder) / "checkout")
        found = {commit: measure(checkout, commit) for commit in sys.argv[1:]}
    print("| module | " + " | ".join(f"{commit}: comment | interface" for commit in found) + " |")
    print("| --- |" + " ---: | ---: |" * len(found))
    print("| all, anew | " + " | ".join(f"{whole:.1f} |" for whole, _ in found.values()) + " |")
    for name in sorted({name for _, times in found.values() for name in times}):
        cells = [f"{times[name][0]:.1f} | {times[name][1]:.1f}" if name in times else " | " for _, times in found.values()]
        print(f"| `{name}` | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
