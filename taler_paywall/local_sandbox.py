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
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Lock

from taler_paywall.errors import BackendUnreachable

START_TIMEOUT = 10.0

_log = logging.getLogger("taler_paywall")


def state_directory() -> Path:
    """Return the directory of this user's sandboxes, made with access for nobody else (XDG base directories)."""
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    directory = (base if base.is_absolute() else Path.home() / ".local" / "state") / "taler-paywall"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def play_key() -> bytes:
    """Return a secret key for sites on play money: the same for all workers, and after a restart."""
    try:
        file = state_directory() / "play.key"
        with contextlib.suppress(FileExistsError):
            _write_private(file, secrets.token_hex(32))
        key = file.read_bytes()
    except OSError as exc:
        _log.warning("play money: no key can be kept (%s); readers are forgotten when this process ends", exc.strerror)
        return secrets.token_bytes(32)
    return key if len(key) >= 32 else secrets.token_bytes(32)  # noqa: PLR2004 - config.MIN_KEY_BYTES


def _write_private(file: Path, text: str) -> None:
    """Write a new file of this user alone, whole or not at all."""
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:  # noqa: PTH123 - the mode
        stream.write(text)
    try:
        os.link(draft, file)
    finally:
        draft.unlink()


class LocalSandbox:
    """The sandbox of a port: joined, or started at first use.

    Args:
        port: on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = Lock()
        self._token = ""
        self._child: subprocess.Popen[bytes] | None = None

    def token(self) -> str:
        """Return the sandbox's access token, after making sure once that it runs.

        Raises:
            BackendUnreachable: it does not run and cannot be started, or another program has its port.
        """
        with self._lock:
            if not self._token or (self._child is not None and self._child.poll() is not None):
                try:
                    self._token = self._join_or_start()
                except OSError as exc:
                    raise BackendUnreachable(f"the sandbox cannot be started: {exc.strerror}") from None
            return self._token

    def _join_or_start(self) -> str:
        file = state_directory() / f"sandbox-{self._port}.json"
        with _exclusive(file.with_suffix(".lock")):
            if not _listens(self._port):
                self._start(file)
            secret, token = _read(file)
            if not secret or not _proves(self._port, secret):
                raise BackendUnreachable(f"port {self._port} is taken by a program that is not this user's sandbox")
            return token

    def _start(self, file: Path) -> None:
        file.unlink(missing_ok=True)
        token = f"secret-token:{secrets.token_urlsafe(16)}"
        _write_private(file, json.dumps({"secret": secrets.token_hex(32), "token": token}))
        command = [sys.executable, "-m", "taler_paywall", "sandbox", "--port", str(self._port)]
        command += ["--secret-file", str(file), "--exit-with-stdin"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
        deadline = time.monotonic() + START_TIMEOUT
        while not _listens(self._port):
            if self._child.poll() is not None:
                raise BackendUnreachable(f"the sandbox ended with status {self._child.returncode}")
            if time.monotonic() > deadline:
                self._child.terminate()
                raise BackendUnreachable(f"the sandbox did not start within {START_TIMEOUT:g} s")
            time.sleep(0.05)
        _log.warning("play money: the sandbox runs at http://127.0.0.1:%d/ and ends with this process", self._port)


@contextlib.contextmanager
def _exclusive(file: Path) -> Iterator[None]:
    """Hold a lock among this user's processes: two workers start one sandbox."""
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _read(file: Path) -> tuple[str, str]:
    """Return secret and token of a file that belongs to this user alone, empty texts otherwise."""
    try:
        status = file.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            return "", ""
        content = json.loads(file.read_text())
        return str(content["secret"]), str(content["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def _proves(port: int, secret: str) -> bool:
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
    return hmac.compare_digest(str(proof), hmac.digest(secret.encode(), nonce, "sha256").hex())
