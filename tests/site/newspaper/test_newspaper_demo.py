"""The demo: what `make demo` runs."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reader import Reader, order_of
from running import ROOT, Wallet, command, environment, eventually, free_port, listens

from .test_newspaper_walk import ONE, bought


class Demo:
    """A demo in a process group of its own, as a terminal starts it."""

    def __init__(self, home: Path, port: int, sandbox_port: int) -> None:
        self.log = home / "demo.log"
        ports = {"PORT": str(port), "SANDBOX_PORT": str(sandbox_port), "DEMO_DIR": str(home / "demo")}
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "examples.newspaper"],
                cwd=ROOT,
                env=environment(home, **ports),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def is_ready(self) -> bool:
        assert self.popen.poll() is None, self.output
        return "Ctrl-C" in self.output


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[[int, int], Demo]]:
    """Start demos that end with the test."""
    started: list[Demo] = []

    def start(port: int, sandbox_port: int) -> Demo:
        started.append(Demo(tmp_path, port, sandbox_port))
        return started[-1]

    yield start
    for demo in started:
        if demo.popen.poll() is None:
            os.killpg(demo.popen.pid, signal.SIGKILL)
            demo.popen.wait()


@pytest.mark.parametrize(
    ("number", "whole_group"), [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False)]
)
def test_the_demo_starts_and_ends(
    *, number: signal.Signals, whole_group: bool, start_demo: Callable[[int, int], Demo], wallet: Wallet, tmp_path: Path
) -> None:
    """The demo prints both addresses, sells an article for play money, refunds it, and ends with nothing left."""
    port, sandbox_port = free_port(), free_port()
    demo = start_demo(port, sandbox_port)
    eventually(demo.is_ready, "the demo is ready")
    assert f"http://127.0.0.1:{port}/" in demo.output
    assert f"http://127.0.0.1:{sandbox_port}/" in demo.output
    with Reader(f"http://127.0.0.1:{port}") as reader:
        order_id = bought(reader, wallet)
        assert reader.visit(ONE).status_code == 200
    url = f"http://127.0.0.1:{sandbox_port}/"
    refund = ["sandbox", "refund", order_id, "--amount", "KUDOS:0.5", "--url", url]
    assert command(tmp_path, *refund).startswith("taler+http://refund/")

    if whole_group:
        os.killpg(demo.popen.pid, number)
    else:
        demo.popen.send_signal(number)
    assert demo.popen.wait(30) == 0, demo.output
    assert not listens(port)
    assert not listens(sandbox_port)
    assert "Traceback" not in demo.output


def test_the_demo_remembers(start_demo: Callable[[int, int], Demo], wallet: Wallet) -> None:
    """Stopped and started again, the demo still knows who has paid."""
    port, sandbox_port = free_port(), free_port()
    with Reader(f"http://127.0.0.1:{port}") as reader:
        for visit in range(2):
            demo = start_demo(port, sandbox_port)
            eventually(demo.is_ready, "the demo is ready")
            if visit == 0:
                bought(reader, wallet)
            assert reader.visit(ONE).status_code == 200
            demo.popen.terminate()
            assert demo.popen.wait(30) == 0


def test_the_sandbox_of_the_demo_is_killed(start_demo: Callable[[int, int], Demo], wallet: Wallet) -> None:
    """The site goes on, says how to start the sandbox again, and so it is: started by hand, everything goes on."""
    port, sandbox_port = free_port(), free_port()
    demo = start_demo(port, sandbox_port)
    eventually(demo.is_ready, "the demo is ready")
    with Reader(f"http://127.0.0.1:{port}") as reader, Reader(f"http://127.0.0.1:{port}") as stranger:
        unpaid = stranger.visit(ONE).headers["location"]
        bought(reader, wallet)
        os.kill(child_that_listens(demo.popen.pid, sandbox_port), signal.SIGKILL)
        eventually(lambda: "The sandbox has ended" in demo.output, "the demo says so")
        assert reader.visit(ONE).status_code == 200
        assert stranger.visit("/").status_code == 200
        assert stranger.visit(ONE).status_code == 503
        words = shlex.split(demo.output.partition("Start it again with: ")[2].partition("\n")[0])
        again = subprocess.Popen(words, cwd=ROOT, env=environment(demo.log.parent), stdout=subprocess.DEVNULL)
        try:
            eventually(lambda: listens(sandbox_port), "the sandbox is back")
            asked = eventually(lambda: answered(stranger), "the site finds it again")
            assert order_of(asked) == order_of(unpaid)
            assert reader.visit(ONE).status_code == 200
        finally:
            again.terminate()
            again.wait(30)


def test_the_sandbox_of_the_demo_is_killed_before_anybody_came(
    start_demo: Callable[[int, int], Demo], wallet: Wallet
) -> None:
    """The site starts no sandbox of its own over the old one's state: who had paid has paid."""
    port, sandbox_port = free_port(), free_port()
    with Reader(f"http://127.0.0.1:{port}") as reader:
        demo = start_demo(port, sandbox_port)
        eventually(demo.is_ready, "the demo is ready")
        bought(reader, wallet)
        demo.popen.terminate()
        assert demo.popen.wait(30) == 0
        demo = start_demo(port, sandbox_port)
        eventually(demo.is_ready, "the demo is ready again")
        os.kill(child_that_listens(demo.popen.pid, sandbox_port), signal.SIGKILL)
        eventually(lambda: not listens(sandbox_port), "the sandbox is gone")
        assert reader.visit(ONE).status_code == 503
        assert not listens(sandbox_port)


def answered(reader: Reader) -> str:
    answer = reader.visit(ONE)
    return str(answer.headers["location"]) if answer.status_code == 302 else ""


def child_that_listens(parent: int, port: int) -> int:
    """Find the child process with this port on its command line."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if str(port).encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError("no such child")


@pytest.mark.parametrize("busy", ["PORT", "SANDBOX_PORT"])
def test_a_busy_port_is_one_clear_line(busy: str, start_demo: Callable[[int, int], Demo]) -> None:
    """A port that is taken is named in one line that says what to set."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        ports = {"PORT": free_port(), "SANDBOX_PORT": free_port()} | {busy: taken}
        demo = start_demo(ports["PORT"], ports["SANDBOX_PORT"])
        assert demo.popen.wait(30) == 1
    (line,) = demo.output.splitlines()
    assert str(taken) in line
    assert busy in line
