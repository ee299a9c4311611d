"""What /openapi.json says is what is answered: schemathesis tries each operation, alone and in sequences."""

import json
import os
import re
import subprocess

import pytest

ECHO = b"#!/bin/sh\nexec cat\n"
# 4.32 knows OpenAPI 3.1 and finds links by itself.
TOOL = "schemathesis==4.32.5"
SEED = os.environ.get("BULKHEAD_SEED", "1")
# A request that is wrong in two ways may be refused for its If-Match.
SETTINGS = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429, "5xx"]
"""


@pytest.fixture(scope="session")
def schemathesis(workspace):
    tools = workspace / "schemathesis"
    subprocess.run(["/usr/bin/python3", "-m", "pip", "install", "-q", "--target", tools, TOOL], check=True)
    return ["/usr/bin/python3", "-m", "schemathesis.cli"], {"PYTHONPATH": str(tools)}


def test_what_is_answered_is_what_is_described(hosts, schemathesis):
    """No answer of 5xx, none that is not described: status, content type, members. Not revoked is the key that it comes with, and
    what it finds valid may still be refused: a schema does not say that a route's function must be there."""
    host = hosts()
    host.upload("echo", ECHO, query=[("processes", "4")])
    host.request("PUT", "/v1/routes/r", json.dumps({"route": "GET /r/{id}", "function": "echo", "auth": "none"}).encode())
    command, environment = schemathesis
    settings = host.data.with_suffix(".toml")
    settings.write_text(SETTINGS)
    done = subprocess.run(
        [*command, "--config-file", settings, "run", f"{host.url}/openapi.json", "-H", f"Authorization: Bearer {host.token}", "--phases", "examples,coverage,fuzzing,stateful",
         "--max-examples", "40", "--checks", "all", "--exclude-checks", "positive_data_acceptance", "--exclude-operation-id", "revokeKey",
         "--continue-on-failure", "--request-timeout", "30", "--seed", SEED,
         "--suppress-health-check", "all"],
        capture_output=True, text=True, timeout=600, cwd=host.data.parent, env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"} | environment)
    assert done.returncode == 0, done.stdout[-20000:]
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested and int(tested[1]) >= 40, done.stdout[-5000:]
    assert host.get("/healthz").status == 200 and host.invoke("echo", 1).status in (200, 404)
