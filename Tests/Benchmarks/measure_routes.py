"""How long a request's route is looked for, as `bulkhead-bench routes` measures it from inside the host's own code; and what a route's
rate and its tokens cost: the same requests, with the same token, to routes that ask for neither, one and the other."""

import base64
import hashlib
import hmac
import json
import statistics
import time

from host import EVENT, Host
from load import load
from programs import BENCH, REACTOR, run, shown

CONNECTIONS = 16
ROUTES = {"open": {"auth": "none"}, "rate": {"auth": "none", "rate": "1000000/s"}, "jwt": {}}


def measure(settings):
    command = [BENCH, "routes"]
    return {"nanoseconds": json.loads(run(command, 300)), "command": shown(command), "checks": checks(settings)}


def checks(settings):
    secret = b"a secret of thirty-two bytes ...."
    token = signed({"iss": "bench", "aud": "bench", "exp": int(time.time()) + 3600}, secret)
    keys = {"keys": [{"kty": "oct", "kid": "k", "alg": "HS256", "k": base64url(secret)}]}
    rules = {"jwt": {"auth": {"jwt": {"issuer": "bench", "audience": ["bench"], "jwks": keys}}}}
    found = {name: [] for name in ROUTES}
    with Host() as host:
        host.deploy("reactor", REACTOR, mode="reactor")
        host.check("reactor")
        for name, rule in ROUTES.items():
            route = {"route": f"POST /{name}", "function": "reactor"} | rule | rules.get(name, {})
            host.request("PUT", f"/v1/routes/{name}", json.dumps(route), "application/json")
        # In turn: the machine is not always equally quick.
        for _ in range(settings.pick(7, 3)):
            for name, rates in found.items():
                result = load(f"{host.url}/{name}", connections=CONNECTIONS, seconds=settings.pick(5, 2), warmup=1,
                              body=EVENT, token=token)
                rates.append(result["rps"] if not result["errors"] else 0)
    return {"rps": found, "median": {name: statistics.median(rates) for name, rates in found.items()},
            "command": result["command"]}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims, secret):
    """A JSON Web Token (RFC 7519), HS256."""
    head, body = (base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "k"}, claims))
    return f"{head}.{body}." + base64url(hmac.digest(secret, f"{head}.{body}".encode(), hashlib.sha256))
