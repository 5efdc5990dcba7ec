"""The sandbox of a test run: a process of its own that ends with the run, even if the run is killed."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from taler_paywall.errors import TalerPaywallError
from taler_paywall.settings import Options

#: Where the sites under test believe to be; nothing listens there.
PUBLIC_URL: Final = "http://testserver"
#: Seconds for the sandbox to end.
_PATIENCE: Final = 30


class SandboxError(TalerPaywallError):
    """The sandbox does not run, or refused what it was asked for; the message says why."""


class SandboxProcess:
    """A running sandbox with a fresh token and the control endpoint, its state in memory.

    Args:
        directory: for its log and what else it writes.
        options: of the command ``taler-paywall sandbox``, besides ``--port``, ``--token`` and ``--control``.

    Raises:
        SandboxError: it does not start.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.token = f"secret-token:{secrets.token_urlsafe(16)}"
        self._secret_key = secrets.token_urlsafe(32)
        self._log = directory / "sandbox.log"
        # -P: the tests' own modules must not stand in for others.
        command = [sys.executable, "-P", "-m", "taler_paywall", "sandbox", "--port", "0", "--token", self.token]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own
                [*command, "--control", "--exit-with-stdin", *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "XDG_STATE_HOME": str(directory)},
                # Ctrl-C is for the test run, which ends the sandbox in the end.
                start_new_session=True,
            )
        self.url = self._announced()
        self.control_url = self._announced()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate(timeout=_PATIENCE)

    @property
    def options(self) -> Options:
        """The keywords of ``PaywallMiddleware`` that make a site sell for this sandbox's play money."""
        return {"backend": self.url, "token": self.token, "secret_key": self._secret_key, "public_url": PUBLIC_URL}

    @property
    def environment(self) -> dict[str, str]:
        """The same as environment variables, for a site that is configured by them."""
        return {f"TALER_PAYWALL_{name.upper()}": str(value) for name, value in self.options.items()}

    def require_running(self) -> None:
        """Make sure that the process has not ended.

        Raises:
            SandboxError: it has.
        """
        if (status := self._process.poll()) is not None:
            raise SandboxError(f"the sandbox ended with status {status}; it wrote: {self._log.read_text()}")

    def _announced(self) -> str:
        """Read one of the addresses that the sandbox prints as soon as it listens."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            self._process.communicate(timeout=_PATIENCE)
            self.require_running()
        return line.rpartition(" ")[2].strip()
