"""Keys of tokens that stand at a URL: fetched by the courier, kept, rotated; and servers that mean no good."""

import json
import os
import signal
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bulkhead_host import unique_name
from conftest import SLOWNESS
from system import eventually, family
from test_listeners import ECHO, certificate
from test_routes import AUDIENCE, ISSUER, b64, problem

PATH = "/.well-known/jwks.json"


def key(kid):
    """A new one, and what is published of it."""
    private = ec.generate_private_key(ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    x, y = (b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    return private, {"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256", "x": x, "y": y}


def token(private, kid, **claims):
    now = int(time.time())
    return jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "exp": now + 300} | claims, private, "ES256", {"kid": kid})


class Publisher:
    """A server of key sets. `answer` is called with the handler of each request."""

    def __init__(self, files=None, address="127.0.0.1"):
        self.asked = []
        self.keys = []
        self.answer = self.publish
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                publisher.asked.append((self.path, dict(self.headers)))
                publisher.answer(self)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # who is asked to send a gigabyte is hung up on

        self.server = Server((address, 0), Handler)
        if files:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*files)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = f"http{'s' if files else ''}://{address}:{self.port}{PATH}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def publish(self, handler):
        self.send(handler, json.dumps({"keys": self.keys}).encode())

    @staticmethod
    def send(handler, body, status=200, **headers):
        handler.send_response(status)
        said = {"Content_Type": "application/json", "Content_Length": str(len(body))} | headers
        for name, value in said.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def publish(request):
    made = []

    def make(*arguments, **more):
        made.append(Publisher(*arguments, **more))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jwks")
    for one in (folder, folder.parent, folder.parent.parent):
        one.chmod(0o755)
    return certificate(folder)


def route_for(host, url, path="/keys", **rule):
    """The name of a function that is reached there with a token of that URL's keys."""
    name = unique_name("keys")
    host.upload(name, ECHO)
    made = host.request("PUT", f"/v1/routes/{name}", json.dumps({
        "route": f"GET {path}", "function": name,
        "auth": {"jwt": {"issuer": ISSUER, "audience": [AUDIENCE], "jwks": url} | rule}}).encode(), {"Content-Type": "application/json"})
    assert made.status == 201, made
    assert made.json()["auth"]["jwt"]["jwks"] == url
    return name


def use(host, bearer, path="/keys", **options):
    return host.request("GET", path, headers={"Authorization": f"Bearer {bearer}"}, token=None, **options)


def couriers(host):
    """Children of the guardian's that are not the supervisor."""
    return [one for one in family(host.process.pid) if one.parent == host.process.pid and one.pid != host.supervisor.pid]


def test_keys_of_a_url(hosts, publish, files):
    """One fetch for many requests, and another when a token names a key that is new; invented ones do not make more."""
    publisher = publish(files)
    host = hosts(configuration=f"outgoingAllow: [127.0.0.1]\noutgoingCA: {files[0]}\n")
    (old, old_public), (new, new_public) = key("one"), key("two")
    # Others' things in a set are passed by: a secret, keys of kinds that nobody knows, keys for encryption.
    publisher.keys = [old_public, {"kty": "oct", "k": b64(b"x" * 32), "kid": "three"}, {"kty": "new"}, {"use": 7}, "x",
                      new_public | {"use": "enc", "kid": "four"}]
    route_for(host, publisher.url)
    assert publisher.asked == [] and couriers(host) == []
    good = token(old, "one")
    for _ in range(5):
        assert use(host, good).status == 200
        assert use(host, token(old, "one", n=time.time())).status == 200
    assert [path for path, _ in publisher.asked] == [PATH]
    assert publisher.asked[0][1]["host"] == f"127.0.0.1:{publisher.port}"
    shared = jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 99}, b"x" * 32, "HS256", {"kid": "three"})
    assert problem(use(host, shared), 401)["detail"]
    assert problem(use(host, token(new, "four")), 401)["detail"]
    fetched = len(publisher.asked)
    assert fetched <= 2

    publisher.keys = [new_public]
    other = hosts(configuration=f"outgoingAllow: [127.0.0.1]\noutgoingCA: {files[0]}\n")
    route_for(other, publisher.url)
    assert use(other, token(new, "two")).status == 200
    publisher.keys = [new_public, old_public]
    before = len(publisher.asked)
    assert use(other, good).status == 200, "rotated: the key is new to this host"
    assert len(publisher.asked) == before + 1
    for number in range(30):
        assert problem(use(other, token(old, f"invented-{number}")), 401)["detail"]
    assert len(publisher.asked) <= before + 2, "who invents keys makes no requests"
    # What is known goes on while nobody publishes.
    publisher.answer = lambda handler: publisher.send(handler, b"", status=500)
    assert use(other, token(new, "two", n=1)).status == 200


def bomb(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(1024):
        handler.wfile.write(b" " * (1 << 20))


def drip(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def say(body, **more):
    return lambda handler: Publisher.send(handler, body, **more)


PUBLIC = key("one")[1]
BAD = {
    "hangs": (lambda handler: time.sleep(40), "no whole answer came within 10"),
    "drips": (drip, "no whole answer came within 10"),
    "sends a gigabyte": (bomb, "larger than 1048576 bytes"),
    "says that it sends a gigabyte": (say(b"", Content_Length=str(1 << 30)), "larger than 1048576 bytes"),
    "fails": (say(b"{}", status=500), "status 500"),
    "is no JSON": (say(b"<html>"), "no JWK set"),
    "is deep": (say(b'{"keys":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "no JWK set"),
    "has no keys": (say(b'{"keys":[]}'), "no key of the set"),
    "has 100,000 keys": (say(b'{"keys":[' + b",".join([b"{}"] * 100_000) + b"]}"), "100000 keys; at most 100"),
    "hangs up": (lambda handler: handler.connection.close(), ""),
    "speaks something else": (lambda handler: handler.wfile.write(b"SSH-2.0-x\r\n\r\n"), ""),
    "has 100,000 headers": (lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000 + b"\r\n"), ""),
    "redirects to another address": (say(b"", status=302, Location="https://127.0.0.2:1/"), "127.0.0.2 is this machine's own"),
    "redirects to a metadata service": (say(b"", status=302, Location="http://169.254.169.254/latest"), "redirects to where no request may go"),
    "redirects to a file": (say(b"", status=302, Location="file:///etc/passwd"), "redirects to where no request may go"),
    "redirects for ever": (say(b"", status=302, Location=PATH), "more than 3 redirects"),
}


@pytest.fixture(scope="module")
def patient(workspace, tmp_path_factory):
    """One host for all servers that mean no good: each leaves it as it was."""
    from conftest import new_host
    folder = tmp_path_factory.mktemp("jwks")
    for one in (folder, folder.parent, folder.parent.parent):
        one.chmod(0o755)
    pair = certificate(folder)
    host = new_host(workspace, unique_name("host"), f"outgoingAllow: [127.0.0.1]\noutgoingCA: {pair[0]}\n").start()
    yield host, pair
    host.stop()


@pytest.mark.parametrize("what", BAD)
def test_a_server_that_means_no_good(patient, publish, what):
    """The route answers 503 in bounded time, the log says why; nobody else waits; and once all is well, so it is here."""
    host, pair = patient
    publisher = publish(pair)
    publisher.answer, why = BAD[what]
    path = f"/{unique_name('bad')}"
    name = route_for(host, publisher.url, path)
    private, public = key("one")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(use(host, token(private, "one"), path, timeout=60)))
    asking.start()
    began = time.monotonic()
    assert host.invoke(name, 1, expect="ok").body == b"1"
    assert time.monotonic() - began < 2 * SLOWNESS
    asking.join()
    assert time.monotonic() - began < 15 * SLOWNESS
    refused = problem(answers[0], 503)
    assert int(answers[0]["Retry-After"]) >= 1 and str(publisher.port) not in json.dumps(refused)
    line = eventually(lambda: [line for line in host.log.read_text().splitlines() if publisher.url in line], 2, "the log says why")[0]
    assert why in line, line
    publisher.keys = [public]
    publisher.answer = publisher.publish
    eventually(lambda: use(host, token(private, "one"), path).status == 200, 10 * SLOWNESS, "it is asked again")


@pytest.mark.parametrize("url", [
    "https://127.0.0.1:{port}/", "http://127.0.0.1:{port}/", "https://localhost:{port}/", "https://[::1]:{port}/", "https://[::ffff:127.0.0.1]:{port}/",
    "https://0.0.0.0:{port}/", "https://0x7f000001:{port}/", "https://2130706433:{port}/", "https://127.1:{port}/", "http://169.254.169.254/",
    "https://10.0.0.1/", "https://no-such-name.invalid/"])
def test_goes_nowhere_near(hosts, publish, files, url):
    """Without leave of the configuration's, nothing on this machine or beside it is connected to, whatever it is called."""
    publisher = publish(files)
    host = hosts()
    path = f"/{unique_name('near')}"
    given = url.format(port=publisher.port)
    route_for(host, given, path)
    private, _ = key("one")
    assert problem(use(host, token(private, "one"), path, timeout=30), 503)
    line = eventually(lambda: [line for line in host.log.read_text().splitlines() if given in line], 2, "the log says why")[0]
    assert "may not be connected to" in line or "is not known" in line, line
    assert publisher.asked == []


@pytest.mark.parametrize("url", ["ftp://a/", "file:///etc/passwd", "https://", "https://u:p@example.com/", "https://example.com/#x", "http+unix://%2Fx/", "x"])
def test_no_such_url(host, url):
    rule = {"route": "GET /no-such-url", "function": "x", "auth": {"jwt": {"issuer": "i", "audience": ["a"], "jwks": url}}}
    refused = host.request("PUT", "/v1/routes/no-such-url", json.dumps(rule).encode(), {"Content-Type": "application/json"})
    assert "jwt.jwks: an https URL" in problem(refused, 400)["detail"]


def test_certificates_are_checked(hosts, publish, files):
    """Of a server that nobody vouches for nothing is taken; nor in clear, of an address that nobody has named."""
    private, public = key("one")
    encrypted = publish(files)
    encrypted.keys = [public]
    host = hosts(configuration="outgoingAllow: [127.0.0.1]\n")
    route_for(host, encrypted.url)
    assert problem(use(host, token(private, "one"), timeout=30), 503)
    line = eventually(lambda: [line for line in host.log.read_text().splitlines() if encrypted.url in line], 2, "the log says why")[0]
    assert "certificate" in line.lower(), line
    clear = publish()
    clear.keys = [public]
    route_for(host, clear.url, "/clear")
    assert use(host, token(private, "one"), "/clear").status == 200


def test_the_courier(hosts, publish, files):
    """It is there when it is needed, has no rights, dies alone, and with the host."""
    private, public = key("one")
    publisher = publish(files)
    publisher.keys = [public]
    host = hosts(configuration=f"outgoingAllow: [127.0.0.1]\noutgoingCA: {files[0]}\n")
    assert couriers(host) == []
    route_for(host, publisher.url)
    assert use(host, token(private, "one")).status == 200
    courier, = couriers(host)
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{courier.pid}/status").read().splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    if os.geteuid() == 0:
        uids = {int(uid) for uid in status["Uid"].split()}
        supervisors = {int(uid) for line in open(f"/proc/{host.supervisor.pid}/status") if line.startswith("Uid") for uid in line.split()[1:]}
        assert len(uids) == 1 and not uids & (supervisors | {0}) and status["Groups"].strip() == ""
    # A request's way, and no other: no listening socket, no file of the host's.
    held = [os.readlink(f"/proc/{courier.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{courier.pid}/fd")]
    assert not [link for link in held if str(host.data) in link]
    listening = subprocess.run(["ss", "-Htlnp"], capture_output=True, text=True).stdout
    assert f"pid={courier.pid}," not in listening

    os.kill(courier.pid, signal.SIGKILL)
    path = "/again"
    supervisor = host.supervisor.pid
    again = publish(files)
    again.keys = [public]
    eventually(lambda: couriers(host) == [], 5, "it is gone")
    route_for(host, again.url, path)
    assert use(host, token(private, "one"), path, timeout=30).status == 200
    assert host.supervisor.pid == supervisor
    assert "courier died: SIGKILL" in host.log.read_text()
    assert host.stop() == 0


def test_a_stopped_courier_is_not_waited_for(hosts, publish, files):
    """What is out is given up after its time, and what is asked for besides is told so."""
    private, public = key("one")
    publisher = publish(files)
    publisher.keys = [public]
    host = hosts(configuration=f"outgoingAllow: [127.0.0.1]\noutgoingCA: {files[0]}\n")
    name = route_for(host, publisher.url)
    assert use(host, token(private, "one")).status == 200
    courier, = couriers(host)
    os.kill(courier.pid, signal.SIGSTOP)
    other = publish(files)
    route_for(host, other.url, "/other")
    began = time.monotonic()
    assert problem(use(host, token(private, "one"), "/other", timeout=60), 503)
    assert time.monotonic() - began < 20 * SLOWNESS
    assert host.invoke(name, 1, expect="ok").body == b"1"
    assert use(host, token(private, "one", n=2)).status == 200
    assert host.stop() == 0
