"""What Lambda's API costs: a warm reactor by its Invoke, each request's signature checked, and by the host's own route. And what a
custom runtime's start costs: a fresh process that asks for its event by HTTP, and one that finds it on its stdin."""

import hmac
import json
import statistics
import time
from hashlib import sha256

from host import EVENT, Host
from load import load
from programs import BOOTSTRAP, ECHO, REACTOR

CONNECTIONS = 16
PATH = "/2015-03-31/functions/reactor/invocations"


def measure(settings):
    found = {"native": [], "lambda": []}
    with Host() as host:
        host.deploy("reactor", REACTOR, mode="reactor")
        host.check("reactor")
        status, key = host.request("POST", "/v1/keys", b'{"name":"aws","role":"invoke","aws":true}', "application/json")
        assert status == 201, key
        # In turn: the machine is not always equally quick. A signature holds for five minutes.
        for _ in range(settings.pick(7, 3)):
            manner = {"connections": CONNECTIONS, "seconds": settings.pick(5, 2), "warmup": 1, "body": EVENT}
            asked = {"native": host.invocations("reactor") | manner,
                     "lambda": {"url": host.url + PATH, "headers": signed(json.loads(key))} | manner}
            for name, options in asked.items():
                result = load(**options)
                found[name].append(result["rps"] if not result["errors"] else 0)
        starts = cold(host, settings)
    median = {name: statistics.median(rates) for name, rates in found.items()}
    return {"rps": found, "median": median, "command": result["command"], "starts": starts}


def cold(host, settings):
    """Microseconds, each the median of some p50s: one connection, a fresh process in a fresh cell for each request."""
    host.deploy("command", ECHO)
    host.deploy("custom", BOOTSTRAP, runtime="provided")
    found = {"command": [], "custom": []}
    for _ in range(settings.pick(7, 3)):
        for name, times in found.items():
            result = load(**host.invocations(name), connections=1, seconds=settings.pick(5, 2), warmup=1)
            assert not result["errors"], result
            times.append(result["p50_us"])
    return {name: statistics.median(times) for name, times in found.items()} | {"command_line": result["command"]}


def signed(key):
    """AWS Signature Version 4 of the one request that is sent, as headers."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = [moment[:8], "us-east-1", "lambda", "aws4_request"]
    request = "\n".join(["POST", PATH, "", "host:127.0.0.1", f"x-amz-date:{moment}", "", "host;x-amz-date", sha256(EVENT.encode()).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", moment, "/".join(scope), sha256(request.encode()).hexdigest()])
    secret = ("AWS4" + key["secretAccessKey"]).encode()
    for part in scope:
        secret = hmac.digest(secret, part.encode(), sha256)
    signature = hmac.digest(secret, text.encode(), sha256).hex()
    return [f"X-Amz-Date: {moment}", f"Authorization: AWS4-HMAC-SHA256 Credential={key['accessKeyId']}/{'/'.join(scope)}, "
            f"SignedHeaders=host;x-amz-date, Signature={signature}"]
