"""Taler's Crockford base32: keys, hashes, signatures and tokens as text (merchant API, Binary)."""

from __future__ import annotations

import base64
import re
from typing import Final

from taler_paywall.errors import CodecError

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RFC4648: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_RADIX32: Final = "0123456789abcdefghijklmnopqrstuv"
_FROM_RFC4648: Final = bytes.maketrans(_RFC4648.encode(), _ALPHABET.encode())
# The look-alikes are Taler's: plain Crockford base32 excludes U instead of reading it as V.
_TO_RADIX32: Final = str.maketrans(
    _ALPHABET + _ALPHABET.lower() + "OoIiLlUu",
    _RADIX32 + _RADIX32 + "001111" + 2 * _RADIX32[_ALPHABET.index("V")],
)
# Checked before int(), which would also take signs, blanks, underscores and foreign digits.
_FOREIGN: Final = re.compile(r"[^0-9A-Za-z]")


def encode(data: bytes) -> str:
    """Write bytes as base32 text of ceil(8n/5) characters, without padding (merchant API, Binary).

    Args:
        data: n bytes.
    """
    length = -(-8 * len(data) // 5)
    return base64.b32encode(data).translate(_FROM_RFC4648)[:length].decode("ascii")


def decode(text: str, size: int | None = None) -> bytes:
    """Read base32 text of m characters as floor(5m/8) bytes; surplus low bits are dropped (merchant API, Binary).

    Args:
        text: upper or lower case; O is read as 0, I and L as 1, U as V.
        size: bytes wanted; the text must then have exactly ceil(8 * size / 5) characters.

    Raises:
        CodecError: a foreign character or the wrong length.
    """
    if size is not None and len(text) != -(-8 * size // 5):
        raise CodecError(f"base32 text of {size} bytes has {-(-8 * size // 5)} characters, not {len(text)}")
    foreign = _FOREIGN.search(text)
    if foreign:
        raise CodecError(f"{foreign[0]!a} at position {foreign.start()} is not a base32 character")
    length, surplus = divmod(5 * len(text), 8)
    return (int(text.translate(_TO_RADIX32) or "0", 32) >> surplus).to_bytes(length, "big")
