"""An application that is more forgiving than all others together: it takes any reading, in any order.

It shares nothing with the gate. What it serves of what is sold must be sold, or refused, by the gate.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes, urlsplit

from fuzz.sites import Shop
from taler_paywall.http import Request

#: How often an application, a proxy behind it and a file system decode again what the server has decoded.
DECODINGS = 2
MAX_READINGS = 250

_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _without(*categories: str) -> Callable[[str], str]:
    def step(path: str) -> str:
        for char in {char for char in set(path) if unicodedata.category(char) in categories}:
            path = path.replace(char, "")
        return path

    return step


def _resolved(path: str) -> str:
    """Remove dot segments as RFC 3986 does it: an empty segment is one."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1] or [""]
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept)


def _parsed(path: str) -> str:
    """Read a path as if it were a URL."""
    try:
        return urlsplit(path).path
    except ValueError:
        return path


STEPS: tuple[Callable[[str], str], ...] = (
    lambda path: path.replace("\\", "/"),
    lambda path: re.sub(r";[^/]*", "", path),
    lambda path: re.sub("/+", "/", path),
    _resolved,
    lambda path: "/" + posixpath.normpath(path).strip("/") if path else path,
    _without("Cc"),
    _without("Cf"),
    _without("Zl", "Zp"),
    lambda path: path.replace("\ufffd", ""),
    _without(*_INVISIBLE),
    lambda path: "/".join(segment.strip() for segment in path.split("/")),
    lambda path: path.partition("?")[0],
    lambda path: path.partition("#")[0],
    lambda path: path.partition("\x00")[0],
    lambda path: unicodedata.normalize("NFC", path),
    lambda path: unicodedata.normalize("NFKC", path),
    str.casefold,
    str.lower,
    lambda path: re.sub(r"^[A-Za-z][A-Za-z0-9+.\-]*:(//[^/?#]*)?", "", path),
    _parsed,
    lambda path: path[max(path.find("/"), 0) :],
)


def _decoded(path: str) -> Iterator[str]:
    """Decode once more, whatever becomes of bytes that are no text."""
    octets = unquote_to_bytes(path.encode("utf-8", "surrogatepass"))
    yield octets.decode("utf-8", "ignore")
    yield octets.decode("utf-8", "replace")


def serves(shop: Shop, request: Request, limit: int = MAX_READINGS) -> str | None:
    """Return a reading that is content for money, None if there is none among the first ones.

    Args:
        shop: whose content.
        request: of which path, raw path and root are read.
        limit: how many readings are looked at.
    """
    root_path = request.root_path
    starts = [request.path]
    if request.raw_path is not None:
        octets = unquote_to_bytes(request.raw_path)
        starts += [octets.decode("utf-8", "ignore"), octets.decode("utf-8", "replace")]
    waiting = deque((start, DECODINGS) for start in dict.fromkeys(starts))
    seen = set(waiting)
    while waiting:
        reading, decodings = waiting.popleft()
        if shop.serves(reading if reading.startswith("/") else f"/{reading}"):
            return reading
        found = [(step(reading), decodings) for step in STEPS]
        if root_path and (reading + "/").startswith(root_path + "/"):
            found.append((reading.removeprefix(root_path), decodings))
        if decodings and "%" in reading:
            found += [(way, decodings - 1) for way in _decoded(reading)]
        for state in found:
            if state not in seen and len(seen) < limit:
                seen.add(state)
                waiting.append(state)
    return None
