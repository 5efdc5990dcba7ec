"""Servers of the benchmark, each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import httpx

from benchmarks.shop import SITE, TOKEN, pay, scope_of
from benchmarks.table import BenchmarkError
from taler_paywall.sandbox.process import listen

#: A server starts, answers and ends within so many seconds.
SECONDS: Final = 60
#: What a browser sends with a navigation, without the host and the cookies.
BROWSER: Final = {name.decode(): value.decode() for name, value in scope_of("/")["headers"] if name != b"host"}

#: The commands, up to the application.
UVICORN: Final = (
    *("uvicorn", "--host", "127.0.0.1", "--port", "PORT", "--loop", "uvloop", "--http", "httptools"),
    *("--no-access-log", "--log-level", "error"),
)
# Threads, because the sync worker closes every connection: with it, connecting is most of what is measured. It is also
# what gunicorn's own manual asks for where connections are kept.
GUNICORN: Final = (
    *("gunicorn", "--bind", "127.0.0.1:PORT", "--worker-class", "gthread", "--threads", "8"),
    *("--log-level", "error"),
)

#: A server has nothing to do if it takes less than a tenth of the processor for so many seconds.
_REST: Final = 0.02


@dataclass(frozen=True)
class Server:
    """A server on loopback, with one worker.

    Args:
        pid: the worker's process ID.
    """

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def seconds(self) -> float:
        """The processor time that its worker has used."""
        # The clock of clock_getcpuclockid(3), which Python has for its own threads only.
        return time.clock_gettime(~self.pid << 3 | 2)

    @property
    def memory(self) -> float:
        """The megabytes that its worker has now."""
        return self._megabytes("VmRSS")

    @property
    def peak(self) -> float:
        """The most megabytes that its worker has had since its start, or since `forget_peak`."""
        return self._megabytes("VmHWM")

    def forget_peak(self) -> None:
        """Measure the peak of memory from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def rest(self) -> None:
        """Wait until it has nothing to do: it works on for a moment when its clients have gone.

        Raises:
            BenchmarkError: it goes on working.
        """
        deadline, used = time.monotonic() + SECONDS, self.seconds
        while time.monotonic() < deadline:
            time.sleep(_REST)
            before, used = used, self.seconds
            if used - before < _REST / 10:
                return
        raise BenchmarkError(f"the server at port {self.port} does not come to rest")

    def browser(self, headers: Mapping[str, str] = BROWSER) -> httpx.Client:
        """Open a browser, which keeps its connection and its cookies."""
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=SECONDS)

    def _megabytes(self, name: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)[0]) * 1024 / 1e6


@contextlib.contextmanager
def running(command: Sequence[str], **settings: str) -> Iterator[Server]:
    """Run a server at a free port, which is put where its command says ``PORT``.

    Raises:
        BenchmarkError: it does not answer, or does not end.
    """
    port = free_port()
    arguments = [sys.executable, "-m", *(part.replace("PORT", str(port)) for part in command)]
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as log:
        environment = {"PATH": os.environ["PATH"], "HOME": home, "XDG_STATE_HOME": home} | settings
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)
        try:
            yield Server(port, _worker(process, port, log))
        finally:
            _end(process)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _worker(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> int:
    """Wait until a server answers, and return its worker's process ID; who does not tell it has no other process."""
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            told = httpx.get(f"http://127.0.0.1:{port}/pid", trust_env=False, timeout=SECONDS)
            return process.pid if told.status_code == httpx.codes.NOT_FOUND else int(told.raise_for_status().text)
        time.sleep(0.05)
    log.seek(0)
    said = log.read().decode(errors="replace")
    raise BenchmarkError(f"the server at port {port} does not answer (is the extra 'test' installed?)\n{said}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(SECONDS)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait(SECONDS)
        raise BenchmarkError(f"the server with process ID {process.pid} had to be killed") from error


def behind(backend: str) -> dict[str, str]:
    """Return the environment of a site with this backend, and a secret key of its own."""
    return {
        "TALER_PAYWALL_BACKEND": backend,
        "TALER_PAYWALL_TOKEN": TOKEN,
        "TALER_PAYWALL_SECRET_KEY": secrets.token_urlsafe(32),
        "TALER_PAYWALL_PUBLIC_URL": SITE,
    }


def order(server: Server, path: str, *, paid: bool) -> str:
    """Ask for what is sold as a new browser does, pay if it is to be paid, and return its cookies as a header.

    Raises:
        BenchmarkError: nothing is asked for it.
    """
    with server.browser() as browser:
        asked = browser.get(path)
        if asked.status_code != httpx.codes.FOUND:
            raise BenchmarkError(f"{path}: {asked.status_code} instead of 302\n{asked.text}")
        if paid:
            asyncio.run(pay(asked.headers["location"]))
            browser.get(path).raise_for_status()
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)
