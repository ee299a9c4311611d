"""Other people's tests as tenants: some modules of CPython's own suite, in a cell and in a container (Tests/Foreign/run has all)."""

import pytest

from bulkhead_host import OCTETS, unique_name
from foreign import SUITE, compare, contained, cpython_event, in_a_cell, reason_of

MODULES = ["test_os", "test_fcntl", "test_subprocess", "test_tempfile", "test_pathlib", "test_threading", "test_json"]


@pytest.fixture(scope="module")
def suite(host):
    name = unique_name("cpython")
    host.upload(name, SUITE.read_bytes(), content_type=OCTETS,
                query={"memory": "1GiB", "wall": "300s", "cpu": "300s", "processes": 64, "threads": 256, "scratch": "512MiB"})
    yield name
    host.delete(name)


@pytest.mark.parametrize("module", MODULES)
def test_module(host, suite, module):
    """Whatever differs has a reason that stands in foreign.py."""
    outside = contained(cpython_event(module), {"cpython": SUITE})
    assert outside, "there is no bubblewrap, or no suite: Tests/run installs both"
    count, found = compare(outside, in_a_cell(host, suite, cpython_event(module)))
    assert count > 5
    unexplained = {test: what for test, what in found.items() if reason_of(test, what) == "not explained"}
    assert not unexplained, unexplained
    assert len(found) <= max(2, count // 10), found
