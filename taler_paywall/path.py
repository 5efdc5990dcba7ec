"""How many ways there are to read a request path.

Servers, proxies and frameworks disagree on encoded slashes, dot segments, doubled slashes and the like. A *plain* path
has one reading, so that what the paywall compares is what the application serves; any other path is judged by all
its readings at once (security: match wide, grant narrow).
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

#: Characters of a path that can be bought; nobody names a page like that.
MAX_PATH = 4096
#: How many characters are looked at for the readings of one path; what would take more is no ordinary path.
MAX_WORK = 25_000

# Characters that every server and framework reads alike; dot segments and empty ones are looked for apart.
_ORDINARY = re.compile(r"/[A-Za-z0-9_.~!$&'()*+,=:@/\-]*").fullmatch
# What makes a decoded path ambiguous: separators of all kinds, white space but inner spaces, escapes left to decode.
_SPACE = " \u00a0\u202f\u3000"
_AMBIGUOUS = re.compile(
    rf"//|\\|;|\?|#|%[0-9A-Fa-f]{{2}}|/\.\.?(?:/|\Z)|/[{_SPACE}]|[{_SPACE}]/|[{_SPACE}]\Z|[^\S{_SPACE}]|\ufffd"
).search
# What a raw path may hide from its decoded form: an encoded separator, a malformed escape, a raw byte.
_HIDDEN = re.compile(rb"%(?:2[fF]|5[cC]|(?![0-9A-Fa-f]{2}))|[\x80-\xff]").search
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# What parsers of URLs drop wherever it stands.
_LINES = re.compile(r"[\t\r\n]")
_AUTHORITY = re.compile(r"\A(?:[A-Za-z][A-Za-z0-9+.\-]*:)?(?://[^/?#]*)?")
_BLANK = re.compile(r"\s").search
_PARAMETERS = re.compile(r";[^/]*")
_SLASHES = re.compile(r"//+")
# Some scripts, and emoji, are spelled with joiners; at the end or among Latin letters they only hide.
_JOINERS = frozenset("\u200c\u200d")
_HIDING = re.compile(r"[\x00-\x7f][\u200c\u200d]+[\x00-\x7f]|[\u200c\u200d]\Z").search


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
        # What is not assigned may be an emoji that is younger than Python.
        and all(char in _JOINERS or unicodedata.category(char) == "Cn" for char in _invisible(path))
    )


def has_lookalikes(path: str) -> bool:
    """Tell whether a lenient router may take a plain path for another: it has joiners or compatibility forms."""
    return not path.isascii() and (not unicodedata.is_normalized("NFKC", path) or bool(_invisible(path)))


def readings(path: str, raw_path: bytes | None, root_path: str = "") -> set[str] | None:
    """List every way in which servers, frameworks and file systems may read a path; None if that is too much work.

    Each of them may take any step after any other, so the list is closed: no step leads out of it.

    Args:
        path: decoded once by the server.
        raw_path: as it came, or None.
        root_path: where the application is mounted.
    """
    found = {path}
    if raw_path is not None:
        found.add(unquote_to_bytes(_without_query(raw_path)).decode("utf-8", "ignore"))
    waiting, work = list(found), 0
    while waiting:
        reading = waiting.pop()
        work += len(reading) + 1
        if work > MAX_WORK:
            return None
        new = {step(reading) for step in _STEPS} | {cut_anywhere(reading, root_path)}
        waiting += new - found
        found |= new
    # What has no slash in front is there with one, too.
    return {reading for reading in found if reading.startswith("/")}


def without_root(path: str, root_path: str) -> str:
    """Return a path without the prefix that the application is mounted under, cut only between segments."""
    if root_path and path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in {"", "/"}:
        return path[len(root_path) :] or "/"
    return path


def cut_anywhere(path: str, root_path: str) -> str:
    """Return what some frameworks leave of a path: they cut off where they are mounted, wherever that stands in it.

    Where it stands in front, between segments, that is what `without_root` leaves.
    """
    rest = path.split(root_path, 1)[-1] if root_path else path
    return rest if rest.startswith("/") else f"/{rest}"


def folded(path: str) -> str:
    """Return the reading of a lenient file system or router: compatibility forms become plain; rules ignore case."""
    return unicodedata.normalize("NFKC", path)


def _without_query(raw_path: bytes) -> bytes:
    # ASGI leaves the query out; some servers and test clients do not.
    return raw_path.partition(b"?")[0]


def _without_authority(path: str) -> str:
    return _AUTHORITY.sub("", path)


def _unquoted(path: str) -> str:
    # A lone surrogate cannot be encoded otherwise, and urllib's own for texts takes ten times as long.
    return unquote_to_bytes(path.encode("utf-8", "surrogatepass")).decode("utf-8", "replace") if "%" in path else path


def _without(*categories: str) -> Callable[[str], str]:
    def step(path: str) -> str:
        if path.isprintable():
            return path
        hidden = {char for char in set(path) if unicodedata.category(char) in categories}
        return "".join(char for char in path if char not in hidden)

    return step


def _cut_at(mark: str) -> Callable[[str], str]:
    return lambda path: path.partition(mark)[0]


def _invisible(path: str) -> set[str]:
    """Return the characters that show nothing; a path has few different ones, however long it is."""
    return {char for char in set(path) if unicodedata.category(char) in _INVISIBLE}


def _without_edge_spaces(path: str) -> str:
    if not _BLANK(path):
        return path
    return "/".join(segment.strip() for segment in path.split("/"))


def _without_dot_segments(path: str) -> str:
    if "/." not in path and not path.startswith("."):
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1] or [""]
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept)


def _from_first_slash(path: str) -> str:
    return path[path.index("/") :] if "/" in path else path


def _without_parameters(path: str) -> str:
    return _PARAMETERS.sub("", path) if ";" in path else path


def _with_single_slashes(path: str) -> str:
    return _SLASHES.sub("/", path) if "//" in path else path


_STEPS: tuple[Callable[[str], str], ...] = (
    folded,
    _unquoted,
    _without("Cc"),
    _without("Cf"),
    _without("Zl", "Zp"),
    _without("Cs", "Co", "Cn"),
    lambda path: path.replace("\ufffd", ""),
    lambda path: _LINES.sub("", path),
    _without_authority,
    _from_first_slash,
    lambda path: path if path.startswith("/") else f"/{path}",
    _cut_at("?"),
    _cut_at("#"),
    _cut_at("\x00"),
    lambda path: path.replace("\\", "/"),
    _without_parameters,
    _without_edge_spaces,
    _with_single_slashes,
    _without_dot_segments,
    posixpath.normpath,
)
