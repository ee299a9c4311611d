"""A `bulkhead serve` on a data directory of its own and a free port, for the time of a `with`."""

import http.client
import json
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

from programs import BULKHEAD, Failed, shown

LISTENING = re.compile(r"^bulkhead: listening on (http://([0-9.]+):([0-9]+))$")
EVENT = '{"request":{"type":"Create"}}'


class Host:
    def __init__(self, configuration=None, binary=BULKHEAD):
        """`configuration`: keys of `serve --config`."""
        self.configuration, self.binary = configuration or {}, binary

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
        self.log = self.folder / "log"
        command = [str(self.binary), "serve", "--listen", "127.0.0.1:0", "--data", str(self.folder / "data")]
        if self.configuration:
            # YAML of plain scalars; JSON is YAML.
            (self.folder / "configuration.yaml").write_text(json.dumps(self.configuration))
            command += ["--config", str(self.folder / "configuration.yaml")]
        (self.folder / "data").mkdir(mode=0o700)
        self.folder.chmod(0o755)  # the host gives up root, and then has to get to its data
        with open(self.log, "wb") as log:
            try:
                self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                                text=True, start_new_session=True)
            except OSError as error:
                shutil.rmtree(self.folder)
                raise Failed(f"{command[0]}: {error.strerror}") from error
        listening = threading.Event()
        threading.Thread(target=self._read, args=(listening,), daemon=True).start()
        deadline = time.monotonic() + 30
        while not listening.wait(0.02):
            if self.process.poll() is None and time.monotonic() < deadline:
                continue
            said = self.log.read_text(errors="replace")[-600:]
            self.__exit__()
            raise Failed(f"{shown(command)}: did not listen: {said}")
        self.token = (self.folder / "data/admin.token").read_text().strip()
        return self

    def _read(self, listening):
        for line in self.process.stdout:
            if found := LISTENING.match(line.rstrip("\n")):
                self.url, self.address, self.port = found[1], found[2], int(found[3])
                listening.set()

    def __exit__(self, *_):
        """Drains it. A host that does not end is killed: the next measurement needs the machine."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self):
        return self.process.pid

    # -- HTTP ---------------------------------------------------------------------------------------------------------

    def request(self, method, path, body=None, content_type=None):
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Content-Type": content_type} if content_type else {})
        with closing(http.client.HTTPConnection(self.address, self.port, timeout=60)) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()

    def deploy(self, name, program, **manifest):
        """Uploads an executable with manifest fields. What is not given is chosen to be out of the way of a load."""
        fields = {"memory": "16MiB", "max": 1000, "reuse": 1_000_000_000, "wall": "10s"} | manifest
        status, body = self.request("PUT", f"/v1/functions/{name}?{urlencode(fields)}", Path(program).read_bytes(),
                                    "application/octet-stream")
        if status not in (200, 201):
            raise Failed(f"upload of {name}: {status} {body.decode(errors='replace')[:300]}")

    def check(self, name):
        """One invocation, so that a function that does not work is told as such and not as a low rate."""
        status, body = self.request("POST", self.path(name), EVENT.encode(), "application/json")
        if status != 200 or body.decode(errors="replace") != EVENT:
            raise Failed(f"{name} answered {status} {body.decode(errors='replace')[:300]}")

    @staticmethod
    def path(name):
        return f"/v1/functions/{name}/invocations"

    def invocations(self, name):
        """What `load` needs to invoke it."""
        return {"url": self.url + self.path(name), "body": EVENT, "token": self.token}

    def gauge(self, name):
        """A value of /metrics, over all labels."""
        _, text = self.request("GET", "/metrics")
        lines = [line.rsplit(" ", 1) for line in text.decode().splitlines() if re.match(rf"{name}(\{{| )", line)]
        if not lines:
            raise Failed(f"/metrics has no {name}")
        return sum(float(value) for _, value in lines)

    def wait_for_gauge(self, name, wanted, seconds):
        """Seconds until the value is `wanted` at least."""
        begin = time.monotonic()
        while (value := self.gauge(name)) < wanted:
            if time.monotonic() - begin > seconds:
                raise Failed(f"{name} is {value:.0f} and not {wanted} after {seconds} s")
            time.sleep(0.02)
        return time.monotonic() - begin
