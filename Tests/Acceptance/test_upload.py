"""Uploading functions, and the versions, lists and names that come of it."""

import re
from datetime import datetime
from functools import partial

import pytest

from bulkhead_host import GZIP, OCTETS, ZIP, at_once, unique_name
from bundles import read_tree, script_bundle, tar_entry, tar_gz, zip_of
from checks import carries_all, problem

CAT = b"#!/bin/sh\ncat\n"


def script(text):
    """A script whose result is `text`."""
    return f"#!/bin/sh\nprintf %s '{text}'\n".encode()


def assert_describes(told, name, version):
    """The function's JSON, as upload and show give it."""
    assert told["name"] == name
    assert told["version"] == version
    assert re.fullmatch(r"[0-9a-f]{64}", told["sha256"])
    assert isinstance(told["size"], int) and told["size"] > 0
    assert datetime.fromisoformat(told["createdAt"].replace("Z", "+00:00")).tzinfo
    assert isinstance(told["manifest"], dict)


# -- What can be uploaded ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linking", ["-static", "-dynamic"])
def test_elf(host, compile_c, linking):
    """One executable is a whole bundle: with what it needs inside, or with the host's loader and libraries."""
    name = unique_name("elf")
    program = compile_c("deeds.c", *(["-static"] if linking == "-static" else ["-pie", "-fPIE"]))
    reply = host.upload(name, program, {"args": ["emit", "7b7d"]}, expect=[201])
    assert_describes(reply.json(), name, 1)
    assert host.invoke(name, expect="ok").body == b"{}"


def test_shell_script(host):
    """Any Unix filter is a function."""
    name = unique_name("script")
    assert_describes(host.upload(name, b"#!/bin/sh\ntr a-z A-Z\n", expect=[201]).json(), name, 1)
    assert host.invoke(name, "loud", expect="ok").body == b'"LOUD"'


def test_static_example_by_curl(host, example_folder, curl):
    """The two commands of a quick start: upload, invoke."""
    url = f"{host.url}/v1/functions/{unique_name('echo')}"
    bearer = ["--header", f"Authorization: Bearer {host.token}"]
    status = curl(*bearer, "--request", "PUT", "--header", f"Content-Type: {OCTETS}", "--output", "/dev/null",
                  "--write-out", "%{http_code}", "--data-binary", f"@{example_folder('echo') / 'echo'}", url)
    assert status == "201"
    assert curl(*bearer, "--json", '{"x": 1}', f"{url}/invocations") == '{"x": 1}'


@pytest.mark.parametrize("name, event, says", [
    ("echo", {"x": [1, 2]}, '{"x": [1, 2]}'),
    ("hello", {"name": "Ada"}, "Ada"),
    ("hello", None, "world"),
    ("wordcount", "one two three", '"words":3'),
])
def test_example(host, example, name, event, says):
    """The examples that come with the product do what they say, each from a zip of its folder."""
    reply = host.invoke(example(name), event, expect="ok")
    assert says in reply.body.decode()
    carries_all(reply)


def test_tar_gz(host, example_folder):
    """A tar is as good as a zip."""
    entries = [tar_entry(name, content, mode) for name, (content, mode) in read_tree(example_folder("echo")).items()]
    name = "echo"  # as its manifest says
    reply = host.upload(name, tar_gz(entries), content_type=GZIP)
    assert reply.json()["name"] == name
    assert host.invoke(name, {"x": 1}, expect="ok").json() == {"x": 1}


def test_bundle_has_its_other_files(host):
    """What is in the archive lies below the working directory, in its folders."""
    name = unique_name("files")
    files = {"function.yaml": f"name: {name}\nrun: bin/run\n".encode(), "data/greeting.txt": b"good day",
             "bin/run": (b"#!/bin/sh\ncat data/greeting.txt\n", 0o755)}
    host.upload(name, zip_of(files), content_type=ZIP, expect=[201])
    assert host.invoke(name, expect="ok").body == b"good day"


@pytest.mark.parametrize("content_type", [ZIP, GZIP])
def test_names_beyond_ascii(host, content_type):
    """File names are UTF-8, whatever the host's locale; a slash is one, whatever stands behind it."""
    name = unique_name("names")
    files = {"function.yaml": f"name: {name}\nrun: run\n".encode(), "d\u00e9/\u0301\u8a9e/gr\u00fc\u00df": b"good day",
             "run": ("#!/bin/sh\ncat d\u00e9/\u0301\u8a9e/gr\u00fc\u00df\n".encode(), 0o755)}
    entries = [tar_entry(path, *(content if isinstance(content, tuple) else (content,)))
               for path, content in files.items()]
    host.upload(name, zip_of(files) if content_type == ZIP else tar_gz(entries), content_type=content_type, expect=[201])
    assert host.invoke(name, expect="ok").body == b"good day"


def test_manifest_fields_as_query(host, compile_c):
    """Each field of the manifest that one executable needs can stand in the upload's query."""
    name = unique_name("query")
    query = [("args", "args"), ("args", "a"), ("args", "b c"), ("memory", "64MiB"), ("wall", "2s"), ("auth", "none")]
    manifest = host.upload(name, compile_c("deeds.c"), query, expect=[201]).json()["manifest"]
    assert manifest["args"] == ["args", "a", "b c"]
    assert manifest["auth"] == "none"
    assert host.invoke(name, expect="ok").json() == ["a", "b c"]


# -- Versions ---------------------------------------------------------------------------------------------------------


def test_same_upload_makes_no_version(host):
    """A deployment that changes nothing is no event: CI may repeat it as often as it likes."""
    name = unique_name("same")
    first = host.upload(name, CAT, {"wall": "2s"}, expect=[201]).json()
    assert host.upload(name, CAT, {"wall": "2s"}, expect=[200]).json()["version"] == 1
    assert len(host.get(f"/v1/functions/{name}/versions").json()["versions"]) == 1
    assert host.get(f"/v1/functions/{name}").json()["createdAt"] == first["createdAt"]


def test_change_makes_a_version(host):
    """Other bytes, or the same bytes under another manifest: a new number, and the old one stays as it was."""
    name = unique_name("change")
    first = host.upload(name, script("one"), expect=[201]).json()
    second = host.upload(name, script("two"), expect=[201]).json()
    third = host.upload(name, script("two"), {"wall": "2s"}, expect=[201]).json()
    assert [told["version"] for told in (first, second, third)] == [1, 2, 3]
    assert first["sha256"] != second["sha256"]
    assert host.invoke(name, expect="ok").body == b"two"
    old = host.invoke(name, query={"version": 1}, expect="ok")
    assert (old.body, old["Bulkhead-Version"]) == (b"one", "1")


def test_uploads_at_once_make_one_version_each(host):
    """Racing deployments are put in some order; none is lost and no number is given twice."""
    name = unique_name("race")
    replies = at_once(partial(host.upload, name, script(number)) for number in range(8))
    assert sorted(reply.json()["version"] for reply in replies) == list(range(1, 9))
    for reply, number in zip(replies, range(8)):
        old = host.invoke(name, query={"version": reply.json()["version"]}, expect="ok")
        assert old.body == str(number).encode()


def test_invocations_during_uploads(host):
    """Replacing a program that runs is no ETXTBSY and no half-written file: each call sees one whole version."""
    name = unique_name("live")
    host.upload(name, script("v1"))

    def upload_all():
        for number in range(2, 12):
            host.upload(name, script(f"v{number}"), expect=[201])

    def invoke_all():
        return [host.invoke(name, expect="ok") for _ in range(20)]

    _, *answers = at_once([upload_all, invoke_all, invoke_all])
    for reply in sum(answers, []):
        assert reply.body == b"v" + reply["Bulkhead-Version"].encode()


# -- What is there ----------------------------------------------------------------------------------------------------


def test_show_list_and_versions(host):
    """The same description, wherever it is asked for."""
    name = unique_name("shown")
    host.upload(name, script("one"))
    told = host.upload(name, script("two")).json()
    shown = host.get(f"/v1/functions/{name}")
    assert shown.status == 200 and shown.media_type == "application/json"
    assert_describes(shown.json(), name, 2)
    assert shown.json()["sha256"] == told["sha256"]
    listed = pages(host, "/v1/functions", "functions", 100)
    assert [entry["version"] for entry in listed if entry["name"] == name] == [2]
    versions = host.get(f"/v1/functions/{name}/versions").json()["versions"]
    assert sorted(entry["version"] for entry in versions) == [1, 2]


def pages(host, path, member, limit):
    """Everything a list has, page by page."""
    found, query = [], {"limit": limit}
    for _ in range(10_000):
        reply = host.get(path, query=query)
        assert reply.status == 200, reply
        page = reply.json()
        assert len(page[member]) <= limit
        found += page[member]
        if not page.get("next"):
            return found
        assert page[member], "a page that has a next one is not empty"
        query["cursor"] = page["next"]
    raise AssertionError(f"{path} has no last page")


def test_list_in_pages(host):
    """A cursor leads through all functions, none twice, none left out."""
    names = {unique_name("page") for _ in range(5)}
    for name in names:
        host.upload(name, CAT)
    listed = [entry["name"] for entry in pages(host, "/v1/functions", "functions", 2)]
    assert len(listed) == len(set(listed))
    assert names <= set(listed)


def test_versions_in_pages(host):
    """The same for the versions of one function."""
    name = unique_name("page")
    for number in range(5):
        host.upload(name, script(number))
    listed = [entry["version"] for entry in pages(host, f"/v1/functions/{name}/versions", "versions", 2)]
    assert sorted(listed) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_limit_must_be_a_count(host, limit):
    """A page of nothing would never end."""
    problem(host.get("/v1/functions", query={"limit": limit}), "invalid_request")


def test_delete(host):
    """Gone is gone, for every route."""
    name = unique_name("gone")
    host.upload(name, CAT)
    reply = host.delete(name)
    assert (reply.status, reply.body) == (204, b"")
    problem(host.get(f"/v1/functions/{name}"), "not_found")
    problem(host.get(f"/v1/functions/{name}/versions"), "not_found")
    problem(host.invoke(name), "not_found")
    problem(host.delete(name), "not_found")
    assert name not in [entry["name"] for entry in pages(host, "/v1/functions", "functions", 100)]
    host.upload(name, script("again"), expect=[201])
    assert host.invoke(name, expect="ok").body == b"again"


# -- Names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "0", "a-b", "1--2", "z" * 63])
def test_name_accepted(host, name):
    """The shortest, the longest, and what may stand in between."""
    host.upload(name, CAT, expect=[201])
    assert host.invoke(name, 1, expect="ok").body == b"1"
    assert host.delete(name).status == 204


@pytest.mark.parametrize("name", ["Echo", "z" * 64, "-a", "a-", "a_b", "a.b", "a%00b", "a%20b", "%C3%A9", "a%0Ab", "*"])
def test_name_refused(host, name):
    """A name becomes a hostname, a folder and a label; it is checked before it is any of them."""
    problem(host.upload(name, CAT, expect=None), "invalid_request")


@pytest.mark.parametrize("name", ["%2F", "a%2Fb", "..", "%2E%2E", "..%2F..%2Fetc", "%2e", "%00"])
def test_name_that_is_a_path_is_refused(host, name):
    """A path is refused as a name or meets no route, as the router sees it; it never names a function or a file."""
    reply = host.upload(name, CAT, expect=None)
    assert reply.status in (400, 404, 405), reply
    assert reply.media_type == "application/problem+json", reply


def test_manifest_names_the_line(host):
    """A refusal says where and what would do: the one thing its reader needs."""
    name = unique_name("line")
    reply = host.upload(name, script_bundle("run: ./run\nlimits:\n  wall: 3 parsecs\n"), content_type=ZIP, expect=None)
    detail = problem(reply, "invalid_request")["detail"]
    assert re.search(r"line 3\b|:3\b", detail) and "parsecs" in detail
    assert re.search(r"\bms\b", detail), f"{detail!r} does not say which units are accepted"
