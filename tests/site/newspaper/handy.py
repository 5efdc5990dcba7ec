"""The wallet's commands run in this process: the same code as on the command line, without an interpreter's start."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from click.testing import CliRunner
from running import Wallet

from taler_paywall.cli import main


class HandyWallet(Wallet):
    """A wallet with a file of its own."""

    def pay(self, url: str) -> str:
        """Pay or prove, and return what the wallet says it did."""
        return _wallet("pay", url, "--db", str(self.file))

    def claim(self, url: str) -> str:
        return _wallet("claim", url, "--db", str(self.file))


def _wallet(*arguments: str) -> str:
    # In a thread of its own, because the driver of Chromium keeps an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        run = thread.submit(CliRunner().invoke, main, ["wallet", *arguments]).result()
    assert run.exit_code == 0, f"{arguments}: {run.output}"
    return run.output
