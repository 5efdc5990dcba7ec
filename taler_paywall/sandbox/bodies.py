"""The bodies of requests: whole, decompressed, and never larger than allowed (RFC 9110, Content-Encoding)."""

from __future__ import annotations

import zlib
from typing import Final

from starlette.requests import ClientDisconnect, Request

from taler_paywall.sandbox.codes import ApiError, Code

#: The largest request body, in bytes; both as sent and decompressed.
BODY_LIMIT: Final = 1024 * 1024

# What zlib calls the two formats.
_FORMATS: Final = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
# In small pieces, because zlib copies whatever follows the end of a member.
_PIECE: Final = 4096


async def body_of(request: Request) -> bytes:
    """Read the body of a request.

    Raises:
        ApiError: too large (32), ended early (22), or compressed in a way that cannot be undone (28).
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity", *_FORMATS):
        raise ApiError(Code.GENERIC_COMPRESSION_INVALID, "only gzip and deflate are understood")
    raw = await _bounded(request)
    return _inflated(raw, _FORMATS[coding]) if coding in _FORMATS else raw


async def _bounded(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            _check_size(body)
    except ClientDisconnect as error:
        raise ApiError(Code.GENERIC_JSON_INVALID, "the body ended early") from error
    return bytes(body)


def _inflated(raw: bytes, wbits: int) -> bytes:
    body = bytearray()
    member = zlib.decompressobj(wbits)
    try:
        for start in range(0, len(raw), _PIECE):
            piece = raw[start : start + _PIECE]
            while piece:
                # A file may consist of several members (RFC 1952, 2.2).
                member = zlib.decompressobj(wbits) if member.eof else member
                body += member.decompress(piece, BODY_LIMIT + 1 - len(body))
                _check_size(body)
                piece = member.unused_data
    except zlib.error as error:
        raise ApiError(Code.GENERIC_COMPRESSION_INVALID, "the body is not what Content-Encoding says") from error
    if not member.eof:
        raise ApiError(Code.GENERIC_COMPRESSION_INVALID, "the compressed body ended early")
    return bytes(body)


def _check_size(body: bytearray) -> None:
    if len(body) > BODY_LIMIT:
        raise ApiError(Code.GENERIC_UPLOAD_EXCEEDS_LIMIT, f"the body must not exceed {BODY_LIMIT} bytes")
