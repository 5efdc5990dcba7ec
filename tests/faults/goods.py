"""What the site gives away and what it sells: every page holds a marker of its own that nobody can guess."""

from __future__ import annotations

import hmac
import re
from typing import Final

FREE: Final = tuple(f"/free/{number}" for number in range(5))
ARTICLES: Final = tuple(f"/articles/{number}" for number in range(30))
#: These are sent in pieces, so that some are always on their way.
STREAMS: Final = tuple(f"/streams/{number}" for number in range(10))
SOLD: Final = ARTICLES + STREAMS
MISSING: Final = "/nowhere"
PRICES: Final = {"/articles/{slug}": "KUDOS:0.5", "/streams/{slug}": "KUDOS:1"}

#: The header in which a worker tells its process ID.
WORKER: Final = "X-Worker"

_MARKER: Final = re.compile(rb"marker-[0-9a-f]{32}")


def marker(seed: str, path: str) -> bytes:
    """Return the marker of a page.

    Args:
        seed: a secret of the harness and the site.
        path: of the page.
    """
    return b"marker-" + hmac.digest(seed.encode(), path.encode(), "sha256").hex()[:32].encode()


def markers_in(body: bytes) -> set[bytes]:
    """Return all markers that stand in an answer, or in what has come of it."""
    return set(_MARKER.findall(body))


def text(seed: str, path: str) -> bytes:
    """Return a page."""
    return b"<!doctype html><title>" + path.encode() + b"</title><p>" + marker(seed, path) + b"</p>\n"


def pieces(seed: str, path: str) -> list[bytes]:
    """Return a page in the pieces that a stream is sent in."""
    whole = text(seed, path)
    return [whole[start : start + 20] for start in range(0, len(whole), 20)]
