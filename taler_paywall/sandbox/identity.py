"""The sandbox's proof of its identity: ``GET /sandbox/proof`` shows knowledge of the secret file."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox_secret import SandboxSecret

_NONCE_SIZES: Final = range(16, 65)


async def get_proof(request: Request) -> JSONResponse:
    """Answer a challenge: `nonce` is 16 to 64 bytes in hexadecimal digits."""
    known: SandboxSecret | None = request.app.state.secret
    if known is None:
        raise ApiError(Code.GENERIC_ENDPOINT_UNKNOWN, "this sandbox has no secret")
    try:
        nonce = bytes.fromhex(request.query_params.get("nonce", ""))
    except ValueError as error:
        raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, "nonce must be hexadecimal digits") from error
    if len(nonce) not in _NONCE_SIZES:
        raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, "nonce must have 16 to 64 bytes")
    return JSONResponse({"proof": known.proof(nonce)})
