"""Servers of the benchmark, and a client that costs so little that the server is what is measured."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import httpx

from benchmarks.shop import TOKEN, Sandbox, pay, scope_of
from taler_paywall.sandbox.process import listen

START_SECONDS: Final = 60
#: What a browser sends with a navigation, without the host and the cookies.
BROWSER: Final = {name.decode(): value.decode() for name, value in scope_of("/")["headers"] if name != b"host"}
_BUFFER: Final = bytearray(1 << 18)


class ServerError(Exception):
    """A server does not do what it is there for; the message says which."""


@dataclass(frozen=True)
class Server:
    """A server on loopback, with one worker."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def seconds(self) -> float:
        """The processor time that its worker's threads have used."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def memory(self) -> tuple[float, float]:
        """Return the megabytes that its worker has now, and the most that it has had since `forget_peak`."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        now, peak = (re.findall(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)[0] for name in ("VmRSS", "VmHWM"))
        return int(now) / 1024, int(peak) / 1024

    def forget_peak(self) -> None:
        """Measure the peak of memory from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@contextlib.contextmanager
def running(command: list[str], **settings: str) -> Iterator[Server]:
    """Run a server at a free port, which is put where its command says ``PORT``.

    Raises:
        ServerError: it does not answer.
    """
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    arguments = [sys.executable, "-m", *(part.replace("PORT", str(port)) for part in command)]
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as log:
        settings |= {"HOME": home, "XDG_STATE_HOME": home, "TALER_PAYWALL_PUBLIC_URL": f"http://127.0.0.1:{port}"}
        environment = {"PATH": os.environ["PATH"]} | settings
        with subprocess.Popen(arguments, env=environment, stderr=log) as process:
            try:
                yield Server(port, _worker(process, port, log))
            finally:
                process.terminate()


def _worker(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> int:
    """Wait until a server answers, and return its worker's process ID."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            return int(httpx.get(f"http://127.0.0.1:{port}/pid", trust_env=False, timeout=START_SECONDS).text)
        time.sleep(0.05)
    log.seek(0)
    said = log.read().decode(errors="replace")
    raise ServerError(f"the server at port {port} does not answer (is the extra 'test' installed?)\n{said}")


def behind(sandbox: Sandbox) -> dict[str, str]:
    """Return the environment of a site whose backend is this sandbox, with a secret key of its own."""
    return {
        "TALER_PAYWALL_BACKEND": sandbox.url,
        "TALER_PAYWALL_TOKEN": TOKEN,
        "TALER_PAYWALL_SECRET_KEY": secrets.token_urlsafe(32),
    }


def order(server: Server, path: str, *, paid: bool) -> str:
    """Ask for what is sold as a new browser does, pay if it is to be paid, and return its cookies as a header.

    Raises:
        ServerError: nothing is asked for it.
    """
    with httpx.Client(base_url=server.url, headers=BROWSER, trust_env=False) as browser:
        asked = browser.get(path)
        if asked.status_code != 302:
            raise ServerError(f"{path}: {asked.status_code} instead of 302\n{asked.text}")
        if paid:
            asyncio.run(pay(asked.headers["location"]))
            browser.get(path).raise_for_status()
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)


@dataclass(frozen=True)
class Fetched:
    """What an answer has cost: seconds until its body began, until all of it was there, and of the processor."""

    first: float
    all: float
    processor: float


def fetch(server: Server, path: str, cookie: str, size: int) -> Fetched:
    """Read so many bytes of a body, as they come over the wire, on a connection of its own.

    Raises:
        ServerError: the answer is another one, or ends before.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {cookie}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), START_SECONDS) as connection:
        used, began = server.seconds, time.perf_counter()
        connection.sendall(request)
        head, end = b"", -1
        while (end := head.find(b"\r\n\r\n")) < 0:
            head += _read(connection)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ServerError(f"{path}: {head.decode(errors='replace')}")
        left = size - (len(head) - end - 4)
        if left == size:
            left -= connection.recv_into(_BUFFER)
        first = time.perf_counter()
        while left > 0:
            if not (count := connection.recv_into(_BUFFER)):
                raise ServerError(f"{path}: {left} bytes are missing")
            left -= count
        return Fetched(first - began, time.perf_counter() - began, server.seconds - used)


def _read(connection: socket.socket) -> bytes:
    if data := connection.recv(65_536):
        return data
    raise ServerError("no answer")
