"""How many ways there are to read a request path.

Servers, proxies and frameworks disagree on encoded slashes, dot segments, doubled slashes and the like. A *plain* path
has one reading, so that what the paywall compares is what the application serves; any other path is judged by all
its readings at once (security: match wide, grant narrow).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

#: Characters of a path that can be bought; nobody names a page like that.
MAX_PATH = 4096
#: How many characters are looked at for the readings of one path; what would take more is no ordinary path.
MAX_WORK = 100_000

# Characters that every server and framework reads alike; dot segments and empty ones are looked for apart.
_ORDINARY = re.compile(r"/[A-Za-z0-9_.~!$&'()*+,=:@/\-]*").fullmatch
# What makes a decoded path ambiguous: separators of all kinds, white space but inner spaces, escapes left to decode.
_AMBIGUOUS = re.compile(r"//|\\|;|\?|#|%[0-9A-Fa-f]{2}|/\.\.?(?:/|\Z)|/ | /| \Z|[^\S ]|\ufffd").search
# What a raw path may hide from its decoded form: an encoded separator, a malformed escape, a raw byte.
_HIDDEN = re.compile(rb"%(?:2[fF]|5[cC]|(?![0-9A-Fa-f]{2}))|[\x80-\xff]").search
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Some scripts, and emoji, are spelled with joiners; at an edge or beside Latin letters they only hide.
_JOINERS = frozenset("\u200c\u200d")
_HIDING = re.compile(r"(?:\A|[\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?:[\x00-\x7f]|\Z)").search


def is_plain(path: str, raw_path: bytes | None) -> bool:
    """Tell whether a path has a single reading.

    Args:
        path: decoded once by the server.
        raw_path: as it came, without the query; None where the server does not tell.
    """
    if _ORDINARY(path) and "//" not in path and "/." not in path and (raw_path is None or b"%" not in raw_path):
        return True
    return (
        path.startswith("/")
        and not _AMBIGUOUS(path)
        and not (raw_path is not None and _HIDDEN(_without_query(raw_path)))
        and not _HIDING(path)
        and unicodedata.is_normalized("NFC", path)
        and _invisible(path) <= _JOINERS
    )


def has_lookalikes(path: str) -> bool:
    """Tell whether a lenient router may take a plain path for another: it has joiners or compatibility forms."""
    return not path.isascii() and not (_JOINERS.isdisjoint(path) and unicodedata.is_normalized("NFKC", path))


def readings(path: str, raw_path: bytes | None) -> set[str] | None:
    """List every way in which some server or framework may read a path; None if that is too much work.

    Args:
        path: decoded once by the server.
        raw_path: as it came, or None.
    """
    found = {path}
    if raw_path is not None:
        found.add(unquote_to_bytes(_without_query(raw_path)).decode("utf-8", "ignore"))
    work = 0
    for transform in _TRANSFORMS:
        work += sum(map(len, found))
        if work > MAX_WORK:
            return None
        found |= {transform(reading) for reading in found}
    return {reading if reading.startswith("/") else f"/{reading}" for reading in found}


def folded(path: str) -> str:
    """Return the reading of a lenient file system or router: compatibility forms become plain; rules ignore case."""
    return unicodedata.normalize("NFKC", path)


def _without_query(raw_path: bytes) -> bytes:
    # ASGI leaves the query out; some servers and test clients do not.
    return raw_path.partition(b"?")[0]


def _without_authority(path: str) -> str:
    return re.sub(r"^[A-Za-z][A-Za-z0-9+.\-]*:(?://[^/?#]*)?", "", path)


def _unquoted(path: str) -> str:
    # A lone surrogate cannot be encoded otherwise, and urllib's own for texts takes ten times as long.
    return unquote_to_bytes(path.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


def _without_invisible(path: str) -> str:
    hidden = _invisible(path) | {"\ufffd"}
    return "".join(char for char in path if char not in hidden)


def _invisible(path: str) -> set[str]:
    """Return the characters that show nothing; a path has few different ones, however long it is."""
    return {char for char in set(path) if unicodedata.category(char) in _INVISIBLE}


def _without_edge_spaces(path: str) -> str:
    return "/".join(segment.strip() for segment in path.split("/"))


def _without_dot_segments(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept)


def _from_first_slash(path: str) -> str:
    return path[path.index("/") :] if "/" in path else path


_TRANSFORMS: tuple[Callable[[str], str], ...] = (
    folded,
    _unquoted,
    _without_invisible,
    _unquoted,
    _without_authority,
    _from_first_slash,
    lambda path: re.split(r"[?#\x00]", path, maxsplit=1)[0],
    lambda path: path.replace("\\", "/"),
    lambda path: re.sub(r";[^/]*", "", path),
    _without_invisible,
    folded,
    _without_edge_spaces,
    lambda path: re.sub("/{2,}", "/", path),
    _without_dot_segments,
)
