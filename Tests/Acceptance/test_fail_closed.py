"""A layer that cannot be set up is a launch that is refused, with the stage and the errno: never a cell without it."""

import os

import pytest

from bulkhead_host import ZIP, unique_name
from bundles import zip_of
from checks import problem
from system import with_argument


@pytest.mark.parametrize("grant, stage, errno", [
    ("/no/such/path", "mount-source", "ENOENT"),
    ("/proc/self", "mount-source", "EACCES"),
    ("/sys/kernel", "mount-source", "EACCES"),
])
def test_grant_that_cannot_be_given(host, compile_c, grant, stage, errno):
    """Not a cell without it, and not one with something else in its place."""
    name, marker = unique_name("ungranted"), "never-" + os.urandom(8).hex()
    manifest = f"name: {name}\nrun: ./deeds\nargs: [sleep, '1', {marker}]\nallow: {{ files.read: [{grant}] }}\n"
    files = {"function.yaml": manifest.encode(), "deeds": (compile_c("deeds.c").read_bytes(), 0o755)}
    uploaded = host.upload(name, zip_of(files), content_type=ZIP, expect=None)
    if uploaded.status == 400:
        return  # refused earlier still
    told = problem(host.invoke(name), "launch_failed")
    assert (told["stage"], told["errno"]) == (stage, errno)
    assert not with_argument(marker)
