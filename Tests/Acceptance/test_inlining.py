"""More modules must not cost inlining: what the release calls from one module into another on an invocation's way, by disassembly."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "Benchmarks"))
from crossings import crossings  # noqa: E402


def test_nothing_on_the_way_goes_through_a_table(host):
    """The compiler has seen through each call: none asks a witness table or a dispatch thunk, and what is little stands in its caller."""
    crossing, through_tables, functions = crossings(host.binary)
    assert functions > 100, "the symbols of the way are in the binary"
    assert not through_tables, through_tables
    hot = {key: count for key, count in crossing.items() if key[2].endswith("vg") and "13FunctionModel15FunctionVersionV" in key[2]}
    assert len(hot) <= 2, f"what is looked up of a version is read in place: {hot}"
    assert sum(crossing.values()) < 500, sorted(crossing.items(), key=lambda item: -item[1])[:20]
