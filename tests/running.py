"""Real processes on loopback: the sandbox, the site under uvicorn, wallets on the command line."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

ROOT = Path(__file__).parents[1]
TOKEN = "secret-token:sandbox"
SECRET_KEY = "an-end-to-end-test-has-a-secret-key-of-its-own"
READY_SECONDS = 60.0
#: One for all clients: making it takes longer than most tests, and hardly anything here is encrypted.
TLS = ssl.create_default_context()

T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, seconds: float = READY_SECONDS) -> T:
    """Look again and again until there is something to see."""
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.05)


def free_port() -> int:
    """Return a port that is free, outside the range that the system gives to outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(12_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def listens(port: int) -> bool:
    """Tell whether anybody listens at a port."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def environment(home: Path, **settings: str) -> dict[str, str]:
    """Return an environment with nothing of the caller's but where programs are."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    } | settings


class Process:
    """A server of ours with its log."""

    def __init__(self, home: Path, *arguments: str, **settings: str) -> None:
        self.log = home / f"{secrets.token_hex(4)}.log"
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env=environment(home, **settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, url: str) -> None:
        """Wait until the server answers."""

        def answers() -> bool:
            assert self.popen.poll() is None, self.output
            try:
                return httpx.get(url, trust_env=False, verify=TLS, timeout=5).status_code < 500
            except httpx.TransportError:
                return False

        try:
            eventually(answers, url)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from error

    def end(self, number: int = signal.SIGTERM) -> int:
        """End the process, by this signal if it can, and return its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        try:
            return self.popen.wait(30)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise


@dataclass(frozen=True)
class SoldOrder:
    """What the sandbox knows of an order."""

    order_id: str
    fulfillment_url: str
    session_id: str | None
    claimed: bool
    paid: bool
    token: str


class Sandbox:
    """A sandbox with its state file, which can be killed and started again."""

    def __init__(self, home: Path, host: str = "127.0.0.1") -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://{host}:{self.port}/"
        self.state = home / "sandbox.sqlite"
        self.process = self.start()

    def start(self) -> Process:
        """Start it, again with the same state and at the same port."""
        options = ["--port", str(self.port), "--state", str(self.state)]
        self.process = Process(self.home, "taler_paywall", "sandbox", *options)
        self.process.wait_for(f"http://127.0.0.1:{self.port}/config")
        return self.process

    def wipe(self) -> None:
        """Forget everything."""
        for file in self.home.glob(f"{self.state.name}*"):
            file.unlink()

    def orders(self) -> list[SoldOrder]:
        """Return all orders, oldest first, from a copy of the state: the sandbox keeps its file to itself."""
        with tempfile.TemporaryDirectory() as folder:
            for file in self.home.glob(f"{self.state.name}*"):
                shutil.copy(file, folder)
            with closing(sqlite3.connect(Path(folder, self.state.name))) as copy:
                rows = copy.execute(
                    "SELECT order_id, fulfillment_url, session_id, nonce IS NOT NULL, paid_at IS NOT NULL, claim_token"
                    " FROM orders ORDER BY serial"
                ).fetchall()
        return [SoldOrder(row[0], row[1], row[2], bool(row[3]), bool(row[4]), row[5]) for row in rows]

    def refund(self, order_id: str, amount: str) -> str:
        """Give money back with the merchant's command."""
        return command(
            self.home, "sandbox", "refund", order_id, "--amount", amount, "--url", self.url, "--token", TOKEN
        )


class Site:
    """A site under uvicorn behind the paywall."""

    def __init__(self, home: Path, backend: str, app: str = "examples.newspaper.site:app", **settings: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = Process(
            home,
            *("uvicorn", app, "--host", "127.0.0.1", "--port", str(self.port)),
            **{
                "TALER_PAYWALL_BACKEND": backend,
                "TALER_PAYWALL_TOKEN": TOKEN,
                "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
                "TALER_PAYWALL_PUBLIC_URL": self.url,
            }
            | settings,
        )
        self.process.wait_for(f"{self.url}/")


@dataclass(frozen=True)
class Wallet:
    """A wallet on the command line with a file of its own."""

    home: Path
    file: Path

    def pay(self, url: str) -> str:
        """Pay or prove, and return what the wallet says it did."""
        return command(self.home, "wallet", "pay", url, "--db", str(self.file))

    def claim(self, url: str) -> str:
        return command(self.home, "wallet", "claim", url, "--db", str(self.file))

    def purchases(self) -> list[str]:
        """Return the IDs of the orders that it holds a receipt for."""
        with closing(sqlite3.connect(self.file)) as purse:
            rows = purse.execute("SELECT order_id FROM purchases WHERE signature IS NOT NULL ORDER BY serial")
            return [row[0] for row in rows]


def command(home: Path, *arguments: str) -> str:
    """Run a command of the package that has to succeed."""
    run = subprocess.run(
        [sys.executable, "-m", "taler_paywall", *arguments],
        cwd=ROOT,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, f"{arguments}: {run.stdout}{run.stderr}"
    return run.stdout


StartSandbox = Callable[..., Sandbox]
StartSite = Callable[..., Site]
