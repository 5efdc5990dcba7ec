"""How a running sandbox proves to its own user that it is no stranger's program on the same port.

Whoever starts it puts a secret into a file that only this user can read. The sandbox shows that it knows the secret,
and sites that want to join it ask for that.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from taler_paywall.errors import TalerPaywallError


class SecretFileError(TalerPaywallError):
    """The secret file cannot be used; the message says why."""


def state_directory() -> Path:
    """Return the directory for what belongs to this user (XDG Base Directory Specification)."""
    # Relative paths are void, says the specification.
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".local" / "state") / "taler-paywall"


def secret_path(port: int) -> Path:
    """Return where the sandbox on this port keeps its secret."""
    return state_directory() / f"sandbox-{port}.json"


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file of this user alone, whole or not at all.

    Raises:
        OSError: it cannot be written; FileExistsError, if it is there and is not to be replaced.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A temporary file is readable by its owner only, from the start.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        if replace:
            Path(draft).replace(path)
        else:
            os.link(draft, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(draft).unlink()


@dataclass(frozen=True, slots=True)
class SandboxSecret:
    """What the secret file holds.

    Args:
        secret: text, known to the sandbox and its user only.
        token: the sandbox's bearer token.
    """

    secret: str = field(repr=False)
    token: str = field(repr=False)

    @classmethod
    def fresh(cls, token: str) -> SandboxSecret:
        """Make a new secret."""
        return cls(secrets.token_hex(32), token)

    @classmethod
    def read(cls, path: Path) -> SandboxSecret:
        """Read a secret file.

        Raises:
            SecretFileError: it cannot be read, is not a secret file, or others could have written or read it.
        """
        try:
            status = path.stat()
            members = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise SecretFileError(f"the secret file {path} cannot be read: {error}") from error
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise SecretFileError(f"the secret file {path} is not this user's alone")
        found = [members.get(name) for name in ("secret", "token")] if isinstance(members, dict) else []
        texts = [value for value in found if isinstance(value, str) and value]
        if len(texts) != len(fields(cls)):
            raise SecretFileError(f"the secret file {path} must hold the texts secret and token")
        return cls(*texts)

    def write(self, path: Path) -> None:
        """Write a secret file.

        Raises:
            SecretFileError: it cannot be written.
        """
        try:
            write_private(path, json.dumps(asdict(self)))
        except OSError as error:
            raise SecretFileError(f"the secret file {path} cannot be written: {error}") from error

    def proof(self, nonce: bytes) -> str:
        """Prove knowledge of the secret: HMAC-SHA256 over the nonce, in hexadecimal digits."""
        return hmac.digest(self.secret.encode(), nonce, "sha256").hex()
