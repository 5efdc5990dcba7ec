"""How a running sandbox proves to its own user that it is no stranger's program on the same port.

Whoever starts it puts a secret into a file that only this user can read; `GET /sandbox/proof` shows knowledge of it.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from taler_paywall.errors import TalerPaywallError
from taler_paywall.sandbox.codes import ApiError, Code

#: The bearer token of a sandbox that was not given another.
DEFAULT_TOKEN: Final = "secret-token:sandbox"  # noqa: S105 - guards play money only

_NONCE_SIZES: Final = range(16, 65)


class SecretFileError(TalerPaywallError):
    """The secret file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the secret file holds.

    Args:
        secret: text, known to the sandbox and its user only.
        token: the sandbox's bearer token.
    """

    secret: str = field(repr=False)
    token: str = field(repr=False)

    @classmethod
    def fresh(cls, token: str) -> Secrets:
        """Make a new secret."""
        return cls(secrets.token_hex(32), token)

    @classmethod
    def read(cls, path: Path) -> Secrets:
        """Read a secret file.

        Raises:
            SecretFileError: it cannot be read, or is not a secret file.
        """
        try:
            members = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise SecretFileError(f"the secret file {path} cannot be read: {error}") from error
        found = [members.get(name) for name in ("secret", "token")] if isinstance(members, dict) else []
        texts = [value for value in found if isinstance(value, str) and value]
        if len(texts) != len(fields(cls)):
            raise SecretFileError(f"the secret file {path} must hold the texts secret and token")
        return cls(*texts)

    def write(self, path: Path) -> None:
        """Write a secret file for this user only, at once or not at all.

        Raises:
            SecretFileError: it cannot be written.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A temporary file is readable by its owner only from the start.
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
            with os.fdopen(descriptor, "w") as file:
                json.dump(asdict(self), file)
            Path(temporary).replace(path)
        except OSError as error:
            raise SecretFileError(f"the secret file {path} cannot be written: {error}") from error

    def proof(self, nonce: bytes) -> str:
        """Prove knowledge of the secret: HMAC-SHA256 over the nonce, in hexadecimal digits."""
        return hmac.digest(self.secret.encode(), nonce, "sha256").hex()


def state_directory() -> Path:
    """Return the directory for what belongs to this user: $XDG_STATE_HOME or ~/.local/state, then taler-paywall."""
    given = os.environ.get("XDG_STATE_HOME", "")
    # Relative paths are to be ignored (XDG Base Directory Specification).
    home = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state"
    return home / "taler-paywall"


def secret_path(port: int) -> Path:
    """Return where the sandbox on this port keeps its secret."""
    return state_directory() / f"sandbox-{port}.json"


async def get_proof(request: Request) -> JSONResponse:
    """Answer a challenge: `nonce` is 16 to 64 bytes in hexadecimal digits."""
    known: Secrets | None = request.app.state.secrets
    if known is None:
        raise ApiError(Code.GENERIC_ENDPOINT_UNKNOWN, "this sandbox has no secret")
    try:
        nonce = bytes.fromhex(request.query_params.get("nonce", ""))
    except ValueError as error:
        raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, "nonce must be hexadecimal digits") from error
    if len(nonce) not in _NONCE_SIZES:
        raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, "nonce must have 16 to 64 bytes")
    return JSONResponse({"proof": known.proof(nonce)})
