"""The demo: the newspaper and the sandbox with its play money, started and ended together."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
SANDBOX_TOKEN = "secret-token:sandbox"  # noqa: S105 - what the sandbox takes by default
START_SECONDS = 30
END_SECONDS = 5
TICK_SECONDS = 0.2


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


def port_from_environment(variable: str, default: int) -> int:
    """Read a port from the environment and make sure that it is free."""
    text = os.environ.get(variable) or str(default)
    try:
        port = int(text)
    except ValueError:
        port = 0
    if port not in range(1, 2**16):
        raise DemoError(f"{variable}={text!r} is not a port: set {variable} to a number from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DemoError(f"port {port} cannot be used ({error.strerror}): set {variable} to a free port") from error
    return port


def kept_secret(file: Path) -> str:
    """Return the secret key of this demo, made at the first start and readable only by its owner."""
    file.touch(mode=0o600)
    if not (key := file.read_text(encoding="ascii").strip()):
        key = secrets.token_urlsafe(32)
        file.write_text(key + "\n", encoding="ascii")
    return key


@dataclass
class Stop:
    """Somebody wants the demo to end: by Ctrl-C, by SIGTERM, or because the process that started it is gone."""

    signalled: bool = False
    parent: int = field(default_factory=os.getppid)

    def __post_init__(self) -> None:
        """Only take note of signals: the loops below look at it, so that nothing is left half started."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.note)

    def note(self, *_: object) -> None:
        """Remember the signal."""
        self.signalled = True

    def wanted(self) -> bool:
        """Tell whether the demo is to end."""
        return self.signalled or os.getppid() != self.parent


@dataclass
class Child:
    """One of the two servers."""

    name: str
    port: int
    command: list[str]
    process: subprocess.Popen[bytes]

    def ended(self) -> bool:
        """Tell whether the server has ended."""
        return self.process.poll() is not None

    def answers(self) -> bool:
        """Tell whether the server answers over HTTP, whatever it says."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=1)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/")
            connection.getresponse()
            return True
        return False


def leave_interrupts_to_the_demo() -> None:
    """Keep a Ctrl-C, which reaches the servers as well, from interrupting one that is still being imported."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def start(name: str, port: int, command: list[str], **environment: str) -> Child:
    """Start a server, with no other paywall settings than the given ones."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TALER_PAYWALL_")}
    process = subprocess.Popen(  # noqa: S603
        command,
        env=inherited | environment,
        preexec_fn=leave_interrupts_to_the_demo,  # noqa: PLW1509, no threads here
    )
    return Child(name, port, command, process)


def end(children: list[Child]) -> None:
    """End the servers: politely, and after a while by force."""
    for child in children:
        child.process.terminate()
    deadline = time.monotonic() + END_SECONDS
    for child in children:
        try:
            child.process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


def wait_until_ready(child: Child, stop: Stop) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + START_SECONDS
    while not stop.wanted() and not child.answers():
        if child.ended() and not stop.wanted():
            raise DemoError(f"{child.name} ended at its start with status {child.process.returncode}")
        if time.monotonic() > deadline:
            raise DemoError(f"{child.name} did not answer on port {child.port} within {START_SECONDS} seconds")
        time.sleep(TICK_SECONDS)


def watch(sandbox: Child, site: Child, stop: Stop) -> None:
    """Wait for the end; the site goes on when the sandbox ends, because that can be started again by hand."""
    sandbox_ended = False
    while not stop.wanted():
        time.sleep(TICK_SECONDS)
        if site.ended() and not stop.wanted():
            raise DemoError(f"the site ended with status {site.process.returncode}")
        if sandbox.ended() and not sandbox_ended and not stop.wanted():
            sandbox_ended = True
            say(f"The sandbox has ended, the site goes on. Start it again with: {shlex.join(sandbox.command)}")


def say(text: str) -> None:
    """Print at once, whoever listens."""
    print(text, flush=True)


def announce(sandbox: Child, site: Child, state: Path) -> None:
    """Print the two addresses and how to go on."""
    say(f"""
The Ledger   http://{HOST}:{site.port}/
play money   http://{HOST}:{sandbox.port}/   (state in {state})

Ctrl-C ends both. To start only the sandbox again:
  {shlex.join(sandbox.command)}
""")


def start_sandbox(port: int, state: Path) -> Child:
    """Start the backend with the play money."""
    arguments = ["--port", str(port), "--state", str(state)]
    return start("the sandbox", port, [sys.executable, "-m", "taler_paywall", "sandbox", *arguments])


def start_site(port: int, sandbox_port: int, secret_key: str) -> Child:
    """Start the newspaper, its paywall set up through the environment."""
    arguments = ["--host", HOST, "--port", str(port), "--no-server-header"]
    return start(
        "the site",
        port,
        [sys.executable, "-m", "uvicorn", "examples.newspaper.site:app", *arguments],
        # Like a real backend, so that the site never starts a sandbox of its own when this one is stopped.
        TALER_PAYWALL_BACKEND=f"http://{HOST}:{sandbox_port}/",
        TALER_PAYWALL_TOKEN=SANDBOX_TOKEN,
        TALER_PAYWALL_PUBLIC_URL=f"http://{HOST}:{port}",
        TALER_PAYWALL_SECRET_KEY=secret_key,
    )


def run(stop: Stop) -> None:
    """Start both servers and keep them until the end."""
    port, sandbox_port = port_from_environment("PORT", 8000), port_from_environment("SANDBOX_PORT", 9966)
    if port == sandbox_port:
        raise DemoError(f"PORT and SANDBOX_PORT are both {port}: set one of them to another port")
    folder = Path(os.environ.get("DEMO_DIR") or ".demo")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state, secret_key = folder / "sandbox.sqlite", kept_secret(folder / "secret_key")
    children: list[Child] = []
    try:
        children.append(sandbox := start_sandbox(sandbox_port, state))
        wait_until_ready(sandbox, stop)
        children.append(site := start_site(port, sandbox_port, secret_key))
        wait_until_ready(site, stop)
        if not stop.wanted():
            announce(sandbox, site, state)
        watch(sandbox, site, stop)
    finally:
        end(children)


def main() -> int:
    """Run the demo; every failure is one line."""
    try:
        run(Stop())
    except (DemoError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
