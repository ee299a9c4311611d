"""The supervisor as the kernel sees it, behind a guardian or without one, and functions that answer what a test wants."""

import os
import re
import socket
import threading
from pathlib import Path

import system
from bulkhead_host import ZIP, unique_name
from bundles import zip_of

NAME = "bulkhead"
TICKS = os.sysconf("SC_CLK_TCK")


def supervisor(host):
    """The process that serves. Of several of that name it is the one with threads: a guardian does nothing else."""
    named = [process for process in host.members if process.name == NAME]

    def threads(process):
        try:
            return int(process.status()["Threads"])
        except OSError:  # ended while we looked
            return 0
    assert named, f"no process named {NAME} below {host.process.pid}:\n{host.log_tail()}"
    return max(named, key=threads)


def launchers(host):
    """The keeper, which starts launchers and does nothing else, and the launcher of this moment; whatever is above them."""
    named = {process.pid: process for process in host.members if process.name == system.LAUNCHER}
    keeper = next((process for process in named.values() if process.parent not in named), None)
    launcher = next((process for process in named.values() if keeper and process.parent == keeper.pid), None)
    return keeper, launcher


def supervisor_pid(host):
    return supervisor(host).pid


def memory_mib(pid, field="VmRSS"):
    """VmRSS, or VmHWM for the most that it ever was."""
    return int(re.search(rf"{field}:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) >> 10


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Lasting:
    """Asserts that the supervisor is the same process afterwards, and that another function answers."""

    def __init__(self, host, other):
        self.host, self.other = host, other

    def __enter__(self):
        self.before = supervisor(self.host)
        return self

    def __exit__(self, failure, *_):
        if failure:
            return
        assert self.host.running, f"the host ended with {self.host.process.returncode}:\n{self.host.log_tail()}"
        assert supervisor(self.host).identity == self.before.identity, f"another one serves:\n{self.host.log_tail()}"
        assert self.host.invoke(self.other, {"x": 1}, expect="ok", timeout=10).json() == {"x": 1}


class Sampler:
    """The most memory that a process had while this was entered, in MiB, by looking every few milliseconds."""

    def __init__(self, look):
        self.look, self.most, self.over = look, 0, threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.over.wait(0.02):
            try:
                self.most = max(self.most, memory_mib(self.look()))
            except (OSError, TypeError, AssertionError):
                pass  # it ended, which others notice

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


# -- Functions --------------------------------------------------------------------------------------------------------


def echo(host):
    """Uploads a filter."""
    name = unique_name("echo")
    host.upload(name, b"#!/bin/sh\nexec cat\n")
    return name


def answering(host, text, auth="none", **limits):
    """Uploads a command that answers with this text, whatever it is asked."""
    name = unique_name("answer")
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    listed = ", ".join(f"{key}: {value}" for key, value in limits.items())
    manifest = f"run: ./run\nauth: {auth}\nlimits: {{ {listed} }}\n" if limits else f"run: ./run\nauth: {auth}\n"
    script = b"#!/bin/sh\nexec cat /function/answer\n"
    host.upload(name, zip_of({"function.yaml": manifest.encode(), "run": (script, 0o755), "answer": content}),
                content_type=ZIP)
    return name


def bundle(host, manifest, files, name=None, expect=(200, 201)):
    """Uploads a zip with this manifest; all files may be executed."""
    name = name or unique_name("bundle")
    content = {"function.yaml": manifest.encode()}
    content |= {path: (text if isinstance(text, bytes) else text.encode(), 0o755) for path, text in files.items()}
    host.upload(name, zip_of(content), content_type=ZIP, expect=expect)
    return name


# -- The wire ---------------------------------------------------------------------------------------------------------


def exchange(host, data, seconds=20):
    """All that comes back for these bytes: until the host closes, a whole answer is there, or nobody says anything."""
    pieces = [data] if isinstance(data, (bytes, bytearray)) else data
    answer = b""
    with socket.create_connection((host.address, host.port), timeout=seconds) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            pass  # refused in the middle: the answer may be there to be read
        try:
            while chunk := connection.recv(1 << 18):
                answer += chunk
                head, end, body = answer.partition(b"\r\n\r\n")
                length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
                if end and (status(head) in (204, 304) or length and len(body) >= int(length[1])):
                    break
        except (TimeoutError, ConnectionResetError):
            pass
    return answer


def status(answer):
    """The answer's status; 0 where the host only closed."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
