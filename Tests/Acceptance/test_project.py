"""A small API from one file: three functions, eight routes, JSON Web Tokens, CORS; by `apply`, curl and a browser's page."""

import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from test_routes import AUDIENCE, ISSUER, SIGNERS, at, token

USERS = """
import json

def handler(event, context):
    claims = event["requestContext"].get("authorizer", {}).get("jwt", {}).get("claims", {})
    return {"statusCode": 200, "headers": {"Content-Type": "application/json", "X-Total": "1"}, "body": json.dumps(
        {"route": event["routeKey"], "path": event.get("pathParameters", {}), "who": claims.get("sub"), "body": event.get("body")})}
"""
FILES = "#!/bin/sh\nexec cat\n"


def project(folder, origin="https://app.example.com", more=""):
    """Writes the project; its file."""
    algorithm, _, public = SIGNERS[3]
    jwks = json.dumps({"keys": [public | {"kid": "one", "alg": algorithm}]})
    jwt = f'{{ jwt: {{ issuer: "{ISSUER}", audience: [{AUDIENCE}], jwks: {jwks} }} }}'
    cors = f'{{ origins: ["{origin}"], methods: [GET, POST], exposeHeaders: [X-Total] }}'
    (folder / "users").mkdir(parents=True)
    (folder / "users" / "function.yaml").write_text("name: users\nruntime: python\nhandler: app.handler\nmode: reactor\n")
    (folder / "users" / "app.py").write_text(USERS)
    (folder / "files.sh").write_text(FILES)
    file = folder / "project.yaml"
    file.write_text(f"""
functions:
  users: ./users
  files: ./files.sh
  hooks: {{ path: ./files.sh, set: {{ memory: 64Mi, env: {{ A: b }} }} }}
aliases:
  users: {{ live: latest, stable: 1 }}
  files:
    live: {{ version: 1 }}
routes:
  list-users: {{ route: GET /users, function: users, auth: {jwt}, cors: {cors} }}
  make-user: {{ route: POST /users, function: users, auth: {jwt}, cors: {cors}, rate: 1000/s }}
  show-user: {{ route: "GET /users/{{id}}", function: users, alias: stable, auth: {jwt}, cors: {cors} }}
  old-user: {{ route: "GET /v0/users/{{id}}", function: users, auth: none, host: null }}
  files: {{ route: "ANY /files/{{path+}}", function: files, timeout: 2s }}
  file-list: {{ route: GET /files, function: files, auth: none }}
  health: {{ route: GET /health, function: files, auth: none, cors: {{ origins: ["*"], maxAge: 10m }} }}
  hook: {{ route: POST /hook, function: hooks, auth: {{ hmac: {{ header: x-signature, secret: it is a secret }} }} }}
{more}""")
    return file


@pytest.fixture
def client(bulkhead, hosts):
    host = hosts()

    def run(*arguments, status=0):
        done = bulkhead(*arguments, "--host", host.url, "--token", host.token)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout if status == 0 else done.stderr
    run.host = host
    return run


def test_applied_from_one_file(client, workspace):
    file = project(workspace / "project")
    plan = client("apply", file)
    assert plan.count("+ ") == 14 and "+ function users" in plan and "+ route hook" in plan and "--yes" in plan, plan
    assert not json.loads(client("list", "--json"))["functions"], "a plan changes nothing"
    assert "applied: 14 new" in client("apply", file, "--yes")
    again = json.loads(client("apply", file, "--yes", "--json"))
    assert {change["change"] for change in again["changes"]} == {"none"} and again["applied"] is True, again
    assert [one["version"] for one in json.loads(client("list", "--json"))["functions"]] == [1, 1, 1]
    # What is changed is told, and only that is.
    (file.parent / "files.sh").write_text(FILES + "# changed\n")
    file.write_text(file.read_text().replace("rate: 1000/s", "rate: 900/s").replace("it is a secret", "it is another"))
    changes = json.loads(client("apply", file, "--json"))["changes"]
    changed = {f'{one["kind"]} {one["name"]}' for one in changes if one["change"] == "changed"}
    assert changed == {"function files", "function hooks", "route make-user", "route hook"}, changes
    client("apply", file, "--yes")
    assert all(line.startswith("=") for line in client("apply", file).splitlines()[:-1])
    assert "list-users" in client("routes") and "GET /users/{id}" in client("routes", "list")
    assert json.loads(client("routes", "show", "make-user"))["rate"] == "900/s"


def test_schedules_stand_there_too(client, workspace):
    """With the function that they run, which may be new; twice is nothing new."""
    schedules = """schedules:
  tidy: { cron: "0 3 * * MON-FRI", timezone: Europe/Berlin, function: files, event: { days: 30, keep: [1.5, "07:30"] } }
  often:
    every: 1h
    function: hooks
    missed: once
"""
    file = project(workspace / "schedules", more=schedules)
    plan = client("apply", file)
    assert "+ schedule tidy" in plan and "+ schedule often" in plan and "schedules" not in client("schedules")
    client("apply", file, "--yes")
    assert {one["change"] for one in json.loads(client("apply", file, "--json"))["changes"]} == {"none"}
    there = {one["id"]: one for one in json.loads(client("schedules", "--json"))["schedules"]}
    assert there["tidy"]["event"] == {"days": 30, "keep": [1.5, "07:30"]} and there["often"]["missed"] == "once"
    file.write_text(file.read_text().replace("every: 1h", "every: 2h"))
    changed = [one["name"] for one in json.loads(client("apply", file, "--json"))["changes"] if one["change"] == "changed"]
    assert changed == ["often"]
    file.write_text(file.read_text().replace("every: 2h", "every: 2h\n    cron: x"))
    assert "schedule often: cron and every" in client("apply", file, status=2)


def test_by_curl(client, workspace):
    client("apply", project(workspace / "curl"), "--yes")
    algorithm, key, _ = SIGNERS[3]
    bearer = ["-H", f"Authorization: Bearer {token(key, algorithm)}"]

    def curl(path, *options):
        done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", client.host.url + path, *options],
                              capture_output=True, text=True, check=True, timeout=30)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body
    assert curl("/users")[0] == 401
    status, body = curl("/users", *bearer)
    assert status == 200 and json.loads(body) == {"route": "GET /users", "path": {}, "who": "somebody", "body": None}
    status, body = curl("/users", *bearer, "--json", '{"name": "x"}')
    assert status == 200 and json.loads(json.loads(body)["body"]) == {"name": "x"}
    assert json.loads(curl("/users/7", *bearer)[1])["path"] == {"id": "7"}
    assert json.loads(curl("/v0/users/7")[1])["who"] is None
    assert curl("/files/a/b")[0] == 401 and curl("/files")[0] == 200
    assert curl("/hook", "-d", "x")[0] == 401 and curl("/users/7", "-X", "DELETE")[0] == 405
    status, body = curl("/users", "-X", "OPTIONS", "-H", "Origin: https://app.example.com", "-H", "Access-Control-Request-Method: POST", "-i")
    assert status == 204 and "access-control-allow-methods: get,post" in body.lower()


PAGE = """<!doctype html><title>waiting</title><script>
(async () => {
  const said = [];
  const ask = async (path, options) => {
    try {
      const answer = await fetch("%(host)s" + path, options);
      said.push([path, answer.status, answer.headers.get("x-total"), (await answer.json()).route ?? null]);
    } catch (error) { said.push([path, "blocked"]); }
  };
  const authorized = { headers: { authorization: "Bearer %(token)s" } };
  await ask("/users", authorized);
  await ask("/users", { ...authorized, method: "POST", body: "{}", headers: { ...authorized.headers, "content-type": "application/json" } });
  await ask("/users", {});
  await ask("/health", {});
  await ask("/v0/users/1", {});
  await ask("/users/1", { ...authorized, method: "GET", headers: { ...authorized.headers, "x-unknown": "1" } });
  document.body.textContent = JSON.stringify(said);
})();
</script><body></body>"""


def test_by_a_page_from_another_origin(client, workspace):
    """In a real browser: what it allows is decided by it, not by us."""
    browser = shutil.which("chromium")
    assert browser, "chromium is missing; Tests/run installs it"
    pages = {}

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self):
            body = pages.get(self.path, b"")
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        origin = f"http://127.0.0.1:{server.server_port}"
        client("apply", project(workspace / "page", origin), "--yes")
        algorithm, key, _ = SIGNERS[3]
        pages["/"] = (PAGE % {"host": client.host.url, "token": token(key, algorithm)}).encode()
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=20000",
             f"--user-data-dir={workspace / 'chromium'}", "--dump-dom", origin + "/"], capture_output=True, text=True, timeout=120)
        found = done.stdout[done.stdout.index("<body>") + 6:done.stdout.index("</body>")]
        assert json.loads(found) == [
            ["/users", 200, "1", "GET /users"], ["/users", 200, "1", "POST /users"], ["/users", 401, None, None],
            ["/health", 200, None, None], ["/v0/users/1", "blocked"], ["/users/1", "blocked"]], (found, done.stderr[-2000:])
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("text, says", [
    ("functions: [a]", "functions"), ("functions: {users: ./nothing}", "nothing"), ("things: {}", "things"), ("a: [", "YAML"),
    ("functions: {users: {set: {}}}", "path"), ("functions: {users: {path: ./files.sh, sets: {}}}", "sets"),
    ("functions: {users: {path: ./files.sh, set: {memory: much}}}", "memory"),
    ("functions: {users: ./files.sh}\nroutes: {r: {route: get /a, function: users}}", "route r"),
    ("routes: {r: {route: GET /a, function: nobody}}", "nobody"), ("routes: {r: {route: GET /a, function: users, colour: red}}", "colour"),
    ("routes: {r: &a {route: GET /a}, s: *a}", "s"),
])
def test_what_is_no_project(client, workspace, text, says):
    folder = workspace / "wrong"
    folder.mkdir(exist_ok=True)
    (folder / "files.sh").write_text(FILES)
    (folder / "project.yaml").write_text(text)
    assert says in client("apply", folder / "project.yaml", "--yes", status=2)


def test_routes_by_command(client, workspace):
    (workspace / "files.sh").write_text(FILES)
    client("deploy", workspace / "files.sh", "--name", "files")
    assert "GET /a/{b}" in client("routes", "set", "one", "GET /a/{b}", "files", "--auth", "none", "--rate", "5/s", "--cors", "https://a.com")
    assert at(client.host, "GET", "/a/b").status == 200
    assert json.loads(client("routes", "--json"))["routes"][0]["cors"]["origins"] == ["https://a.com"]
    client("routes", "delete", "one")
    assert at(client.host, "GET", "/a/b").status == 404
    assert "no route" in client("routes", "show", "one", status=2)


def test_keys_from_a_file(client, workspace):
    """`jwks` may name a file beside the project's."""
    folder = workspace / "keyed"
    folder.mkdir()
    (folder / "files.sh").write_text(FILES)
    algorithm, private, public = SIGNERS[3]
    file = folder / "project.yaml"
    file.write_text(f"""
functions: {{ files: ./files.sh }}
routes:
  keyed: {{ route: GET /keyed, function: files, auth: {{ jwt: {{ issuer: "{ISSUER}", audience: [{AUDIENCE}], jwks: ./keys.json }} }} }}
""")
    assert "keys.json cannot be read" in client("apply", file, "--yes", status=2)
    (folder / "keys.json").write_text("[]")
    assert "is no JWK set" in client("apply", file, "--yes", status=2)
    (folder / "keys.json").write_text(json.dumps({"keys": [public | {"kid": "one", "alg": algorithm}]}))
    assert "applied: 2 new" in client("apply", file, "--yes")
    assert {change["change"] for change in json.loads(client("apply", file, "--yes", "--json"))["changes"]} == {"none"}
    assert at(client.host, "GET", "/keyed", token(private, algorithm)).status == 200
