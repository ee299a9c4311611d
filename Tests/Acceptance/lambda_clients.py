"""AWS's own client library and command lines, against a host's Lambda API. For test_lambda*.py.

boto3 and the older command line come from the Python package index, the newer one from Debian (`Tests/run` installs it).
"""

import base64
import json
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from unittest import mock

import pytest

from bulkhead_host import unique_name
from bundles import zip_of

BOTO, CLI = "boto3==1.44.8", "awscli==1.46.3"
ACCOUNT, REGION = "123456789012", "eu-central-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/lambda-role"
RUNTIME = "python3.13"
ECHO = "def handler(event, context): return event"
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000"


def install(folder, package):
    """The package with what it needs, in a folder of its own: nothing of the machine's is replaced."""
    command = ["/usr/bin/python3", "-m", "pip", "install", "-q", "--only-binary", ":all:", "--target", folder, package]
    subprocess.run([str(part) for part in command], check=True, timeout=300)
    return folder


def make_importable(folder):
    sys.path.insert(0, str(folder))


@dataclass(frozen=True)
class Key:
    access: str
    secret: str


def new_key(host, *options, role="admin"):
    """As an administrator makes one."""
    command = [host.binary, "keys", "create", "--aws", unique_name("aws"), "--role", role, *options, "--json",
               "--host", host.url, "--token", host.token]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert set(made) == {"accessKeyId", "secretAccessKey"}, done.stdout
    return Key(made["accessKeyId"], made["secretAccessKey"])


def code_zip(code, handler="app.handler", files=None):
    """What is uploaded to Lambda: no manifest, only code."""
    return zip_of({handler.rpartition(".")[0] + ".py": textwrap.dedent(code).encode(), **(files or {})})


class Lambda:
    """boto3's client with one key, and short ways to what tests do with it."""

    def __init__(self, host, key=None, region=REGION, **config):
        import boto3
        from botocore.config import Config
        self.host, self.key = host, key or new_key(host)
        self.client = boto3.client(
            "lambda", endpoint_url=host.url, region_name=region, aws_access_key_id=self.key.access, aws_secret_access_key=self.key.secret,
            config=Config(**{"retries": {"total_max_attempts": 1}, "proxies": {}, "read_timeout": 60, "max_pool_connections": 50, **config}))

    def unchecked(self):
        """The same without the client's own checks, so that the server's are seen."""
        return Lambda(self.host, self.key, parameter_validation=False)

    def ask(self, code=ECHO, name=None, handler="app.handler", **wanted):
        """CreateFunction, not awaited."""
        return self.client.create_function(**{
            "FunctionName": name or unique_name("aws"), "Runtime": RUNTIME, "Role": ROLE, "Handler": handler,
            "Code": {"ZipFile": code if isinstance(code, bytes) else code_zip(code, handler)}, **wanted})

    def create(self, *arguments, **wanted):
        """The name of a function that is ready."""
        name = self.ask(*arguments, **wanted)["FunctionName"]
        self.wait(name, "function_active_v2")
        return name

    def wait(self, name, waiter):
        self.client.get_waiter(waiter).wait(FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})

    def change(self, name, code, **wanted):
        """UpdateFunctionCode; the answer."""
        changed = self.client.update_function_code(FunctionName=name, ZipFile=code_zip(code), **wanted)
        self.wait(name, "function_updated_v2")
        return changed

    def configure(self, name, **wanted):
        self.client.update_function_configuration(FunctionName=name, **wanted)
        self.wait(name, "function_updated_v2")

    def invoke(self, function, event=None, **more):
        """The answer, with its payload read."""
        reply = self.client.invoke(FunctionName=function, **{"Payload": json.dumps(event), **more})
        reply["Payload"] = reply["Payload"].read()
        return reply

    def result(self, function, event=None, **more):
        reply = self.invoke(function, event, **more)
        assert reply["StatusCode"] == 200 and "FunctionError" not in reply, reply
        return json.loads(reply["Payload"])

    def arn(self, name):
        return f"arn:aws:lambda:{self.client.meta.region_name}:{ACCOUNT}:function:{name}"


def request_id(reply):
    return reply["ResponseMetadata"]["RequestId"]


def log_lines(reply):
    """The tail of the log that came with an answer."""
    return base64.b64decode(reply["LogResult"], validate=True).decode().splitlines()


def refused(call, status, code, says=""):
    """Asserts that `call` is refused with these, as boto3 reads them; the answer."""
    from botocore.exceptions import ClientError
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (status, code), response
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"].startswith("application/json") and headers["x-amzn-errortype"] == code, response
    assert response["Error"]["Message"] and re.search(says, response["Error"]["Message"]), response
    assert request_id(response), response
    return response


# -- Requests that boto3 does not send --------------------------------------------------------------------------------


def request_of(host, method, path, body, headers):
    from botocore.awsrequest import AWSRequest
    return AWSRequest(method, host.url + path, data=body, headers=headers or {})


def credentials(key):
    from botocore.credentials import Credentials
    return Credentials(key.access, key.secret)


def at(moment):
    """Signs as if it were then."""
    return mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: moment or datetime.now(timezone.utc))


def signature(host, key, method, path, body=b"", headers=None, moment=None, service="lambda", region=REGION):
    """The headers of a signed request."""
    from botocore.auth import SigV4Auth
    request = request_of(host, method, path, body, headers)
    with at(moment):
        SigV4Auth(credentials(key), service, region).add_auth(request)
    return dict(request.headers)


def presigned(host, key, path, moment=None, seconds=60):
    """The path with a signature in its query, for a GET."""
    from botocore.auth import SigV4QueryAuth
    request = request_of(host, "GET", path, b"", None)
    with at(moment):
        SigV4QueryAuth(credentials(key), "lambda", REGION, expires=seconds).add_auth(request)
    return request.url.removeprefix(host.url)


def rejected(reply, status, code, says=""):
    """Asserts that a plain HTTP answer is an error of Lambda's, with nothing of the host's own in it."""
    assert reply.status == status and reply["x-amzn-ErrorType"] == code, reply
    assert reply.media_type == "application/json" and reply["x-amzn-RequestId"], reply
    told = reply.json()
    message = told.get("message") or told.get("Message")
    assert message and re.search(says, message) and "outcome" not in told, reply


# -- Command lines ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CommandLine:
    """`aws`, as one of its two generations. `{raw}` and `{endpoint}` in a script: what this one needs beside a payload and to find a host."""
    program: Path
    raw: str
    endpoint: str
    path: str = ""

    def run(self, host, key, folder, script):
        """Runs a script of bash's in `folder` as a user who has set up nothing but the environment; what it printed."""
        environment = {
            "HOME": str(folder), "PATH": f"{self.program.parent}:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "AWS_PAGER": "",
            "AWS_ACCESS_KEY_ID": key.access, "AWS_SECRET_ACCESS_KEY": key.secret, "AWS_DEFAULT_REGION": REGION, "AWS_MAX_ATTEMPTS": "1",
            "AWS_ENDPOINT_URL_LAMBDA": host.url, "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1", "PYTHONPATH": self.path}
        head = f"set -eu\naws() {{ command aws {self.endpoint.format(host=host)} \"$@\"; }}\n"
        done = subprocess.run(["bash", "-c", head + script.replace("{raw}", self.raw)], cwd=folder, env=environment, capture_output=True,
                              text=True, timeout=300)
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def older_command_line(workspace):
    folder = install(workspace / "awscli", CLI)
    os.chmod(folder / "bin/aws", 0o755)
    return CommandLine(folder / "bin/aws", "", "", str(folder))


def newer_command_line():
    """Debian's is too old for AWS_ENDPOINT_URL_LAMBDA."""
    program = Path("/usr/bin/aws")
    assert program.exists(), "Debian's awscli is installed by Tests/run"
    return CommandLine(program, "--cli-binary-format raw-in-base64-out", "--endpoint-url {host.url}")
