"""The contributor's page: what it names is there, its examples are the code's own, and its commands do what it says."""

import re
import subprocess

import pytest

from conftest import REPOSITORY

PAGE = (REPOSITORY / "Sources/Host/Host.docc/Contributing.md").read_text()


def run(*command):
    return subprocess.run([str(part) for part in command], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)


def squeezed(text):
    return "".join(text.split())


def test_places_are_there():
    rooms = set(re.findall(r"^   (\w+) ", run("python3", "Tests/structure.py").stdout, re.MULTILINE))
    table = PAGE.split("## Floors", 1)[1].split("## Walks", 1)[0]
    named = set(re.findall(r"`([A-Z]\w+)`", table)) - {"Endpoint"}
    assert named and named <= rooms, named - rooms
    for path in re.findall(r"`((?:sandbox|functions|Sources|Tests)/[\w./-]+)`", PAGE):
        assert (REPOSITORY / path).exists(), path
    for link in re.findall(r"\]\(([^)h][^)]*)\)", PAGE):
        assert (REPOSITORY / "Sources/Host/Host.docc" / link).exists(), link


@pytest.mark.parametrize("file, number", [
    ("Sources/Gateway/FunctionAPI.swift", 0), ("Sources/FunctionModel/Manifest.swift", 1), ("Sources/FunctionModel/ManifestFields.swift", 2),
])
def test_examples_are_the_code(file, number):
    example = re.findall(r"```swift\n(.*?)```", PAGE, re.DOTALL)[number]
    assert squeezed(example) in squeezed((REPOSITORY / file).read_text())


def test_the_example_route_and_key(host, example_folder, tmp_path):
    """They do what the page says of them."""
    name = "worked-example"
    first = host.upload(name, example_folder("echo") / "echo", [("description", "says it again")])
    assert first.status == 201 and first.json()["manifest"]["description"] == "says it again"
    shown = host.get(f"/v1/functions/{name}/versions/1")
    assert shown.status == 200 and shown.json() == first.json()
    assert host.request("HEAD", f"/v1/functions/{name}/versions/1").status == 200
    for number in ["2", "0", "-1", "x", "99999999999999999999"]:
        assert host.get(f"/v1/functions/{name}/versions/{number}").status == 404, number
    wrong = host.request("POST", f"/v1/functions/{name}/versions/1", b"")
    assert wrong.status == 405 and wrong["Allow"] == "GET, DELETE, HEAD"
    assert host.get(f"/v1/functions/{name}/versions/1", token=None).status == 401
    refused = host.upload(name, example_folder("echo") / "echo", [("description", "x" * 257)], expect=None)
    assert refused.status == 400 and "256 bytes" in refused.json()["detail"]


def test_floors_are_held():
    done = run("python3", "Tests/structure.py", "--check")
    assert done.returncode == 0, done.stdout


def test_parts_of_the_tests():
    done = run("Tests/run", "nothing")
    assert done.returncode == 2 and all(part in done.stderr for part in ["lint", "unit", "fuzz", "sanitizers", "acceptance", "vm"])
    assert all(f"`{part}`" in PAGE or f"`Tests/run {part}`" in PAGE for part in ["lint", "unit", "fuzz", "sanitizers", "acceptance", "vm"])
