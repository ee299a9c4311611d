"""Where clients come in: TLS with HTTP/2, a listener of the admins' own, a Unix socket; and what is refused to be listened on."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

import system
from bulkhead_host import Host
from conftest import BINARY
from system import eventually

ECHO = b"#!/bin/sh\nexec cat\n"
HOST_UID = 700_000_000


def certificate(folder, name="cert", subject="localhost", *options):
    """A self-signed certificate that the host may read; its files."""
    files = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-out", files[0], "-keyout", files[1],
         "-subj", f"/CN={subject}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", *(options or ["-days", "2"])],
        check=True, capture_output=True)
    readable(*files)
    return files


def readable(*files):
    for file in files:
        os.chown(file, HOST_UID if os.geteuid() == 0 else os.geteuid(), -1)


def expired(folder):
    """openssl makes no certificate of yesterday but by a CA's ways."""
    files = certificate(folder, "expired-root")
    request = folder / "expired.csr"
    subprocess.run(["openssl", "req", "-new", "-key", files[1], "-out", request, "-subj", "/CN=localhost"], check=True, capture_output=True)
    made = folder / "expired.pem"
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01")
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index.txt\nserial=%s/serial\nnew_certs_dir=%s\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
        % (folder, folder, folder))
    subprocess.run(
        ["openssl", "ca", "-batch", "-config", folder / "ca.cnf", "-in", request, "-out", made, "-keyfile", files[1], "-cert", files[0],
         "-startdate", "20200101000000Z", "-enddate", "20200102000000Z", "-notext"], check=True, capture_output=True)
    readable(made)
    return made, files[1]


@pytest.fixture
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tls")
    for one in (made, made.parent, made.parent.parent):
        one.chmod(0o755)
    return made


@pytest.fixture
def serve(workspace, folder):
    """`serve("--option", …)`: a host with these; the URLs that it prints are in `urls`."""
    made = []

    def start(*options, data=None, **more):
        data = data or workspace / f"listeners-{time.monotonic_ns()}"
        host = Host(BINARY, data, data.with_suffix(".log"), options=[str(option) for option in options], **more)
        made.append(host)
        host.traces = system.Traces()
        host.process = subprocess.Popen(
            [str(BINARY), "serve", *(["--listen", "127.0.0.1:0"] if "--listen" not in host.options else []), "--data", str(data), *host.options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(host.log, "ab"), text=True, start_new_session=True,
            # Where the tests themselves run under nohup, a hangup is ignored: that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
        lines = []
        for line in host.process.stdout:
            lines.append(line.strip())
            if "listening on" in line:
                break
        else:
            raise AssertionError(host.log_tail())
        host.urls = [line.split(" on ")[1] for line in lines]
        host.url = host.urls[-1]
        host.token = (data / "admin.token").read_text().strip()
        return host
    yield start
    for host in made:
        if host.process.poll() is None:
            host.process.send_signal(signal.SIGTERM)
            assert host.process.wait(20) == 0, host.log_tail()
        host.process.stdout.close()


def ended(host, seconds=20):
    host.process.send_signal(signal.SIGTERM)
    return host.process.wait(seconds)


def curl(host, path, *options, url=None, ca=None):
    """Status, HTTP's version and body."""
    trust = ["--cacert", str(ca)] if ca else []
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "20", *trust, "-w", "\n%{http_code} %{http_version}", (url or host.url) + path, *map(str, options)],
        capture_output=True)
    assert done.returncode == 0, done.stderr
    body, _, told = done.stdout.rpartition(b"\n")
    status, version = told.decode().split()
    return int(status), version, body


def authorized(host, *more):
    return ["-H", f"Authorization: Bearer {host.token}", *more]


@pytest.fixture
def secure(serve, folder):
    cert, key = certificate(folder)
    host = serve("--tls-certificate", cert, "--tls-key", key)
    host.ca = cert
    assert host.url.startswith("https://")
    (folder / "echo").write_bytes(ECHO)
    made = curl(host, "/v1/functions/echo?auth=none", *authorized(host, "-T", folder / "echo"), ca=cert)
    assert made[0] == 201, made
    return host


@pytest.mark.parametrize("version, options", [("2", []), ("1.1", ["--http1.1"]), ("1.0", ["--http1.0"])])
def test_both_protocols(secure, folder, version, options):
    """The transport that is fast, the framework's, functions' and routes'."""
    def ask(path, *more):
        status, spoken, body = curl(secure, path, *options, *more, ca=secure.ca)
        assert spoken == version or version == "1.0", spoken
        return status, body
    invoke = "/v1/functions/echo/invocations"
    assert ask(invoke, *authorized(secure, "-d", '{"a": 1}')) == (200, b'{"a": 1}')
    assert ask(invoke + "?version=1", *authorized(secure, "-d", '{"a": 2}')) == (200, b'{"a": 2}')
    status, body = ask("/fn/echo/x?y=z", "-d", "text", "-H", "Content-Type: text/plain")
    event = json.loads(body)
    assert status == 200 and event["headers"]["x-forwarded-proto"] == "https" and event["body"] == "text"
    assert ask("/v1/routes/r", *authorized(secure, "-X", "PUT", "-d", '{"route": "GET /r/{id}", "function": "echo", "auth": "none"}'))[0] in (200, 201)
    assert json.loads(ask("/r/7")[1])["pathParameters"] == {"id": "7"}
    assert ask("/nothing")[0] == 404 and ask(invoke, "-d", "{}")[0] == 401
    assert ask(invoke, *authorized(secure, "--json", "no json"))[0] == 400
    assert ask("/healthz", "-H", "Host: evil.example.com")[0] == 421
    large = folder / "large"
    large.write_text(json.dumps("x" * (5 << 20)))
    status, body = ask(invoke, *authorized(secure, "--data-binary", f"@{large}"))
    assert status == 200 and body == large.read_bytes()
    large.write_text(json.dumps("x" * (7 << 20)))
    assert ask(invoke, *authorized(secure, "--data-binary", f"@{large}"))[0] == 413
    assert ask(invoke, *authorized(secure, "-d", '{"a": 3}')) == (200, b'{"a": 3}')


def test_commands_over_it(secure, bulkhead):
    """Found by the data directory; whom to trust is said, or it is not spoken to."""
    done = bulkhead("invoke", "echo", "--data", "1", "--data-dir", secure.data)
    assert done.returncode == 3 and "certificate" in done.stderr.lower() and "--ca" in done.stderr, done
    assert bulkhead("invoke", "echo", "--data", "1", "--data-dir", secure.data, "--ca", secure.ca).stdout == "1"
    assert bulkhead("list", "--data-dir", secure.data, environment={"BULKHEAD_CA": str(secure.ca)}).returncode == 0
    wrong = bulkhead("list", "--data-dir", secure.data, "--ca", "/nowhere.pem")
    assert wrong.returncode == 2 and "/nowhere.pem" in wrong.stderr


def test_only_what_is_sound(secure):
    """As testssl.sh asks: TLS 1.2 and 1.3, forward secrecy, no renegotiation, no compression, ALPN."""
    where = secure.url.removeprefix("https://")

    def client(*options):
        done = subprocess.run(["openssl", "s_client", "-connect", where, *options], input=b"", capture_output=True, timeout=10)
        return done.stdout.decode(errors="replace")
    for old in ("-tls1", "-tls1_1"):
        assert "Cipher is (NONE)" in client(old, "-cipher", "ALL:@SECLEVEL=0")
    for new, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        said = client(new, "-alpn", "h2,http/1.1")
        assert f"New, {version}, Cipher is " in said and "ALPN protocol: h2" in said and "Compression: NONE" in said
    assert "ALPN protocol: http/1.1" in client("-alpn", "http/1.1")
    assert "No ALPN negotiated" in client()
    for weak in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "DES-CBC3-SHA", "NULL-SHA256"):
        assert f"Cipher is {weak}" not in client("-tls1_2", "-cipher", f"{weak}:@SECLEVEL=0"), weak
    # In clear, on the port for TLS: no answer, and the next client has one.
    with socket.create_connection(("127.0.0.1", int(where.split(":")[1])), 5) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" not in plain.recv(4096)
    assert curl(secure, "/healthz", ca=secure.ca)[0] == 200


def test_many_streams(secure, folder):
    """h2load, of Debian: 2,000 requests in 8 connections of 8 streams, half of them by the fast transport."""
    (folder / "event").write_text('{"a": 1}')
    for path, more in (("/fn/echo", []), ("/v1/functions/echo/invocations", ["-H", f"authorization: Bearer {secure.token}"])):
        done = subprocess.run(
            ["h2load", "-n", "1000", "-c", "8", "-m", "8", *more, "-d", folder / "event", secure.url + path], capture_output=True,
            timeout=120)
        said = done.stdout.decode()
        assert re.search(r"1000 succeeded, 0 failed, 0 errored, 0 timeout", said), said
        assert re.search(r"1000 2xx, 0 3xx, 0 4xx, 0 5xx", said), said


def test_a_client_that_leaves(secure, folder):
    """Of one stream: what nobody waits for is ended."""
    (folder / "slow").write_bytes(b"#!/bin/sh\nexec sleep 77.7\n")
    assert curl(secure, "/v1/functions/slow?wall=60s", *authorized(secure, "-T", folder / "slow"), ca=secure.ca)[0] == 201
    client = subprocess.Popen(["curl", "-sS", "--cacert", str(secure.ca), secure.url + "/v1/functions/slow/invocations", *authorized(secure, "-d", "{}")])
    eventually(lambda: system.with_argument("77.7"), 10, "it runs")
    client.kill()
    client.wait()
    eventually(lambda: not system.with_argument("77.7"), 5, "it is ended")


def test_whoever_says_nothing_is_let_go(secure):
    with socket.create_connection(("127.0.0.1", int(secure.url.rsplit(":", 1)[1])), 5) as silent:
        silent.settimeout(20)
        began = time.monotonic()
        assert silent.recv(1) == b"" and 8 < time.monotonic() - began < 15


def test_one_that_never_answers_a_ping(secure):
    """Has a connection, and no stream: at the end it is not waited for."""
    context = ssl.create_default_context()
    (context.check_hostname, context.verify_mode) = (False, ssl.CERT_NONE)
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(socket.create_connection(("127.0.0.1", int(secure.url.rsplit(":", 1)[1])), 5)) as client:
        assert client.selected_alpn_protocol() == "h2"
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        time.sleep(0.5)
        began = time.monotonic()
        assert ended(secure, 30) == 0 and time.monotonic() - began < 20


def subject(host):
    return ssl.get_server_certificate(("127.0.0.1", int(host.url.rsplit(":", 1)[1])))


def test_a_new_certificate(secure, folder):
    """By itself and by SIGHUP; what cannot be served leaves the old one, and it is told."""
    old = subject(secure)
    supervisor = secure.supervisor.pid
    new = certificate(folder, "new")
    for made, used in zip(new, (folder / "cert.pem", folder / "cert.key")):
        shutil.copy(made, str(used) + ".tmp")
        readable(str(used) + ".tmp")
        os.replace(str(used) + ".tmp", used)
    eventually(lambda: subject(secure) != old, 20, "it is noticed")
    assert curl(secure, "/healthz", ca=secure.ca)[0] == 200
    now = subject(secure)
    stranger, late = certificate(folder, "stranger"), expired(folder)
    for files, says in (((stranger[0], new[1]), "do not belong together"), (late, "has expired"), ((folder / "ca.cnf", new[1]), "no certificate"),
                        ((new[0], folder / "ca.cnf"), "no private key"), ((None, new[1]), "cannot be read")):
        for made, used in zip(files, (folder / "cert.pem", folder / "cert.key")):
            used.unlink(missing_ok=True)
            if made:
                shutil.copy(made, used)
                readable(used)
        before = secure.log.read_text().count(says)
        secure.process.send_signal(signal.SIGHUP)
        eventually(lambda: secure.log.read_text().count(says) > before, 5, says)
        assert subject(secure) == now and "the old one stays" in secure.log_tail()
    for made, used in zip(stranger, (folder / "cert.pem", folder / "cert.key")):
        shutil.copy(made, used)
        readable(used)
    secure.process.send_signal(signal.SIGHUP)
    eventually(lambda: subject(secure) != now, 5, "SIGHUP is heard")
    assert secure.supervisor.pid == supervisor


def refused(*options, listen="127.0.0.1:0"):
    done = subprocess.run(
        [str(BINARY), "serve", "--listen", listen, "--data", f"/tmp/refused-{time.monotonic_ns()}", *map(str, options)], capture_output=True, text=True,
        timeout=30)
    assert done.returncode == 2 and done.stdout == "", done
    return done.stderr


def test_what_is_not_listened_on(folder):
    cert, key = certificate(folder)
    for address in ("0.0.0.0:0", "[::]:0"):
        said = refused(listen=address)
        assert "--tls-certificate" in said and "--insecure-http" in said and address.split(":0")[0] in said
    assert "--admin-listen" in refused("--admin-listen", "0.0.0.0:0")
    assert "go together" in refused("--tls-certificate", cert) and "go together" in refused("--tls-key", key)
    assert "cannot be read" in refused("--tls-certificate", folder / "none", "--tls-key", key)
    assert "no certificate" in refused("--tls-certificate", key, "--tls-key", key)
    assert "no private key" in refused("--tls-certificate", cert, "--tls-key", cert)
    assert "belong together" in refused("--tls-certificate", cert, "--tls-key", certificate(folder, "other")[1])
    late = expired(folder)
    assert "has expired" in refused("--tls-certificate", late[0], "--tls-key", late[1])
    for wrong in ("unix:relative", "unix:/" + "x" * 200):
        assert "Unix socket" in refused(listen=wrong)


def test_beyond_this_machine_with_leave(serve, folder):
    cert, key = certificate(folder)
    assert serve("--listen", "0.0.0.0:0", "--insecure-http").url.startswith("http://0.0.0.0:")
    host = serve("--listen", "0.0.0.0:0", "--tls-certificate", cert, "--tls-key", key)
    assert curl(host, "/healthz", url=host.url.replace("0.0.0.0", "127.0.0.1"), ca=cert)[0] == 200


def test_a_listener_for_admins(serve, folder, bulkhead):
    host = serve("--admin-listen", "127.0.0.1:0")
    admin, public = host.urls
    assert (host.data / "endpoint").read_text().strip() == admin != public
    (folder / "echo").write_bytes(ECHO)
    done = bulkhead("deploy", folder / "echo", "--data-dir", host.data)
    assert done.returncode == 0, done.stderr
    put = '{"route": "GET /r", "function": "echo", "auth": "none"}'
    assert curl(host, "/v1/routes/r", *authorized(host, "-X", "PUT", "-d", put), url=admin)[0] == 201
    for path in ("/v1/functions", "/v1/functions/echo", "/v1/keys", "/v1/routes", "/v1/audit", "/metrics", "/openapi.json", "/v1/functions/echo/logs"):
        assert curl(host, path, *authorized(host), url=public)[0] == 404, path
        assert curl(host, path, *authorized(host), url=admin)[0] == 200, path
    assert curl(host, "/v1/functions/echo", *authorized(host, "-X", "DELETE"), url=public)[0] == 404
    for url in (public, admin):
        assert curl(host, "/v1/functions/echo/invocations", *authorized(host, "-d", "1"), url=url)[::2] == (200, b"1")
        assert curl(host, "/r", url=url)[0] == 200 and curl(host, "/healthz", url=url)[0] == 200
        assert curl(host, "/fn/echo", *authorized(host), url=url)[0] == 200
    # Of Lambda's API invoking, and nothing else.
    assert curl(host, "/2015-03-31/functions", url=public)[0] == 404 and curl(host, "/2015-03-31/functions", url=admin)[0] == 403
    invocation = "/2015-03-31/functions/echo/invocations"
    assert curl(host, invocation, "-d", "1", url=public)[0] == 403 == curl(host, invocation, "-d", "1", url=admin)[0]
    # Both outlive the supervisor.
    os.kill(host.supervisor.pid, signal.SIGKILL)
    for url in (public, admin):
        eventually(lambda: curl(host, "/readyz", url=url)[0] == 200, 5, "it serves again")


def test_a_unix_socket(serve, folder, bulkhead):
    path = folder / "bulkhead.sock"
    data = folder / "data"
    host = serve("--listen", f"unix:{path}", data=data)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    (folder / "echo").write_bytes(ECHO)
    done = bulkhead("deploy", folder / "echo", "--data-dir", data)
    assert done.returncode == 0, done.stderr
    assert bulkhead("invoke", "echo", "--data", '{"a": 1}', "--data-dir", data).stdout == '{"a": 1}'
    ask = ["--unix-socket", path]
    assert curl(host, "/healthz", *ask, url="http://localhost")[0] == 200
    assert curl(host, "/v1/functions/echo/invocations", *ask, *authorized(host, "-d", "7"), url="http://localhost")[::2] == (200, b"7")
    taken = subprocess.run([str(BINARY), "serve", "--listen", f"unix:{path}", "--data", folder / "other"], capture_output=True, text=True, timeout=20)
    assert taken.returncode == 3 and "in use" in taken.stderr
    os.kill(host.supervisor.pid, signal.SIGKILL)
    eventually(lambda: curl(host, "/readyz", *ask, url="http://localhost")[0] == 200, 5, "it serves again")
    assert ended(host) == 0 and not path.exists()
    # One that was left behind is taken over; a file of somebody's is not.
    host = serve("--listen", f"unix:{path}", data=data)
    host.process.kill()
    host.process.wait()
    eventually(lambda: not [one for one in system.processes() if str(data) in one.args], 10, "all of it has ended")
    assert path.exists()
    host = serve("--listen", f"unix:{path}", data=data)
    assert ended(host) == 0
    path.write_text("mine")
    kept = subprocess.run([str(BINARY), "serve", "--listen", f"unix:{path}", "--data", data], capture_output=True, text=True, timeout=20)
    assert kept.returncode == 3 and path.read_text() == "mine"


def test_the_proxy_protocol_before_tls(serve, folder):
    """It is said in clear, before the handshake; the streams of HTTP/2 have it from their connection."""
    cert, key = certificate(folder)
    (folder / "c.yaml").write_text("trustedProxies: [127.0.0.1]\nforwardedBy: PROXY\n")
    host = serve("--tls-certificate", cert, "--tls-key", key, "--config", folder / "c.yaml")
    (folder / "echo").write_bytes(ECHO)
    made = curl(host, "/v1/functions/echo?auth=none", *authorized(host, "-T", folder / "echo", "--haproxy-protocol"), ca=cert)
    assert made[0] == 201, made
    for version in ("1.1", "2"):
        status, spoken, body = curl(host, "/fn/echo", "--haproxy-protocol", f"--http{version}", ca=cert)
        assert status == 200 and spoken == version and json.loads(body)["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
        # As HAProxy does it, for a client that knows nothing of it.
        with socket.create_server(("127.0.0.1", 0)) as front:
            port = front.getsockname()[1]
            between = threading.Thread(target=forward, args=(front, urlsplit(host.url).port, b"PROXY TCP4 192.0.2.60 192.0.2.1 1000 443\r\n"))
            between.start()
            status, spoken, body = curl(host, "/fn/echo", f"--http{version}", ca=cert, url=f"https://localhost:{port}")
            between.join()
        assert status == 200 and spoken == version and json.loads(body)["requestContext"]["http"]["sourceIp"] == "192.0.2.60"


def forward(front, port, words):
    """One connection, and what is said before it."""
    near, _ = front.accept()
    far = socket.create_connection(("127.0.0.1", port))
    far.sendall(words)

    def copy(one, other):
        try:
            while part := one.recv(65536):
                other.sendall(part)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            with suppress(OSError):
                other.shutdown(socket.SHUT_RDWR)
    back = threading.Thread(target=copy, args=(far, near))
    back.start()
    copy(near, far)
    back.join()
    near.close()
    far.close()


def test_streams_over_http2(secure, folder):
    """Parts come as they are made, how it ended is in the trailer; a failure resets the stream, and the others go on."""
    (folder / "parts").write_bytes(b"#!/bin/bash\necho one; sleep 0.5; echo two\n")
    (folder / "fails").write_bytes(b"#!/bin/bash\necho one; sleep 0.3; exit 3\n")
    for name in ("parts", "fails"):
        made = curl(secure, f"/v1/functions/{name}?auth=none&stream=true", *authorized(secure, "-T", folder / name), ca=secure.ca)
        assert made[0] == 201, made
    began = time.monotonic()
    done = subprocess.Popen(["curl", "-sSN", "--http2", "--cacert", secure.ca, f"{secure.url}/fn/parts"], stdout=subprocess.PIPE)
    assert done.stdout.readline() == b"one\n"
    first = time.monotonic() - began
    assert done.stdout.read() == b"two\n" and time.monotonic() - began - first > 0.3 and done.wait() == 0
    cut = subprocess.run(["curl", "-sSN", "--http2", "--cacert", secure.ca, f"{secure.url}/fn/fails"], capture_output=True, timeout=20)
    assert cut.returncode != 0 and cut.stdout == b"one\n", cut
    told = subprocess.run(["nghttp", "-v", "--no-dep", f"{secure.url}/fn/parts", f"{secure.url}/fn/fails"], capture_output=True, text=True, timeout=20).stdout
    assert "bulkhead-outcome: ok" in told and "RST_STREAM" in told, told


def test_an_answer_before_the_end_of_a_request_over_http2(secure, folder):
    """What is still sent is passed by, and the answer is whole."""
    (folder / "early").write_bytes(b"#!/bin/bash\nhead -c 20\n")
    (folder / "copies").write_bytes(b"#!/bin/bash\nexec cat\n")
    (folder / "large").write_bytes(os.urandom(20 << 20))
    for name in ("early", "copies"):
        made = curl(secure, f"/v1/functions/{name}?auth=none&stream=true&wall=60s", *authorized(secure, "-T", folder / name), ca=secure.ca)
        assert made[0] == 201, made
    for protocol in ("--http2", "--http1.1"):
        status, _, body = curl(secure, "/fn/early", protocol, "--data-binary", f"@{folder / 'large'}", ca=secure.ca)
        assert (status, len(body)) == (200, 20)
        status, _, body = curl(secure, "/fn/copies", protocol, "-H", "Content-Type: application/octet-stream", "--data-binary", f"@{folder / 'large'}", ca=secure.ca)
        assert status == 200 and base64.b64decode(json.loads(body)["body"]) == (folder / "large").read_bytes()
