"""What ``backend="sandbox:"`` stands for: a play backend in a process of its own, one per machine and port.

A running one is joined only if it proves that it knows a secret from a file that only this user can read, so that no
other user of the machine can pose as the backend. Otherwise one is started, and ends with this process.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import json
import logging
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from taler_paywall.config import MIN_KEY_BYTES
from taler_paywall.errors import BackendUnreachable
from taler_paywall.process_lock import ProcessLock
from taler_paywall.sandbox_secret import SandboxSecret, SecretFileError, secret_path, state_directory, write_private
from taler_paywall.transport import TOTAL_TIMEOUT

START_TIMEOUT = 10.0

_log = logging.getLogger("taler_paywall")


def play_key() -> bytes:
    """Return a secret key for sites on play money: the same for all workers, and after a restart."""
    file = state_directory() / "play.key"
    try:
        with contextlib.suppress(FileExistsError):
            write_private(file, secrets.token_hex(32), replace=False)
        key = file.read_bytes()
    except OSError as exc:
        _log.warning("play money: no key can be kept (%s); readers are forgotten when this process ends", exc.strerror)
        return secrets.token_bytes(MIN_KEY_BYTES)
    return key if len(key) >= MIN_KEY_BYTES else secrets.token_bytes(MIN_KEY_BYTES)


class LocalSandbox:
    """The sandbox of a port: joined, or started at first use.

    Args:
        port: on 127.0.0.1.
        currency: of one that is started.
    """

    def __init__(self, port: int, currency: str = "KUDOS") -> None:
        self._port = port
        self._currency = currency
        self._lock = ProcessLock()
        self._known: SandboxSecret | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def token(self) -> str:
        """Return the sandbox's access token, after making sure that it runs and is this user's.

        Raises:
            BackendUnreachable: it does not run and cannot be started, or another program has its port; or others waited
                for it so long that it was not this call's turn within `TOTAL_TIMEOUT`.
        """
        with self._alone():
            if self._known is None or not self._stands(self._known):
                try:
                    self._known = self._join_or_start()
                except (OSError, SecretFileError) as exc:
                    raise BackendUnreachable(f"the sandbox can be neither joined nor started: {exc}") from None
            return self._known.token

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        lock = self._lock.own
        if not lock.acquire(timeout=TOTAL_TIMEOUT):
            raise BackendUnreachable("the sandbox does not answer in time")
        try:
            yield
        finally:
            lock.release()

    def _stands(self, known: SandboxSecret) -> bool:
        return self._child.poll() is None if self._child else _proves(self._port, known)

    def _join_or_start(self) -> SandboxSecret:
        state_directory().mkdir(mode=0o700, parents=True, exist_ok=True)
        with _exclusive(secret_path(self._port).with_suffix(".lock")):
            if not listens(self._port):
                if self._known is not None and self._child is None:
                    # One that somebody else started is theirs to start again, with the state that they kept.
                    raise BackendUnreachable(
                        f"the sandbox at port {self._port}, which this site had joined, has ended; start it again "
                        f"(taler-paywall sandbox --port {self._port}), or restart this site, which then starts its own"
                    )
                return self._start()
            known = SandboxSecret.read(secret_path(self._port))
        if not _proves(self._port, known):
            raise BackendUnreachable(f"no sandbox of this user answers at port {self._port}")
        self._child = None
        return known

    def _start(self) -> SandboxSecret:
        known = SandboxSecret.fresh(f"secret-token:{secrets.token_urlsafe(16)}")
        known.write(secret_path(self._port))
        command = [sys.executable, "-m", "taler_paywall", "sandbox", "--port", str(self._port)]
        command += ["--currency", self._currency, "--secret-file", str(secret_path(self._port)), "--exit-with-stdin"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
        deadline = time.monotonic() + START_TIMEOUT
        while not listens(self._port):
            if child.poll() is not None:
                raise BackendUnreachable(f"the sandbox ended with status {child.returncode}")
            if time.monotonic() > deadline:
                child.terminate()
                raise BackendUnreachable(f"the sandbox did not start within {START_TIMEOUT:g} s")
            time.sleep(0.05)
        self._child = child
        _log.warning("play money: the sandbox runs at http://127.0.0.1:%d/ and ends with this process", self._port)
        return known


@contextlib.contextmanager
def _exclusive(file: Path) -> Iterator[None]:
    """Hold a lock among this user's processes: two workers start one sandbox."""
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def listens(port: int) -> bool:
    """Tell whether anybody listens at a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _proves(port: int, known: SandboxSecret) -> bool:
    """Tell whether the program at a port knows the secret, without telling it."""
    nonce = secrets.token_bytes(16)
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", f"/sandbox/proof?nonce={nonce.hex()}")
        proof = json.loads(connection.getresponse().read(1000)).get("proof", "")
    except (OSError, HTTPException, ValueError, AttributeError):
        return False
    finally:
        connection.close()
    return hmac.compare_digest(str(proof).encode(), known.proof(nonce).encode())
