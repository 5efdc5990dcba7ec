"""What the origin application answers, in either protocol: the last segment of a path chooses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from taler_paywall import Payment

TEXT: Final = ("Content-Type", "text/plain")
#: What is sent in pieces, to whoever asks for a range, or again.
DOCUMENT: Final = bytes(range(256)) * 16
ETAG: Final = '"one"'
#: What the server sends.
FILE: Final = Path(__file__)
#: Seconds that a stream waits for the test.
PATIENCE: Final = 20


@dataclass(frozen=True)
class Asked:
    """What the application was asked, the same in either protocol.

    Args:
        method: of the request.
        root: where the application is mounted.
        path: decoded, without the root.
        query: as it came.
        headers: lower-case names.
        body: of the request.
        payment: that opened the page.
    """

    method: str
    root: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    payment: Payment | None


@dataclass(frozen=True)
class Answer:
    """One answer of the application."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


#: What every call of the application was, and what it did when it was over.
JOURNAL: Final[list[str]] = []

FIXED: Final[Mapping[str, Answer]] = {
    "doubles": Answer(
        200,
        (
            TEXT,
            ("Set-Cookie", "first=1; Path=/; HttpOnly"),
            ("Link", "</one>; rel=preload"),
            ("Set-Cookie", "second=2; Path=/"),
            ("X-Between", "kept"),
            ("Link", "</two>; rel=preload"),
            ("Set-Cookie", "third=3; Path=/; Max-Age=60"),
        ),
        b"doubles",
    ),
    "cached": Answer(
        200,
        (TEXT, ("Cache-Control", "public, max-age=60, s-maxage=600"), ("Vary", "Accept-Encoding"), ("Age", "1")),
        b"cached",
    ),
    "strict": Answer(200, (TEXT, ("Cache-Control", "no-store"), ("Vary", "cookie"), ("Vary", "*")), b"strict"),
    "created": Answer(201, (TEXT, ("Location", "/paid/elsewhere?a=%C2%BD")), b"created"),
    "accepted": Answer(202, (TEXT,), b"accepted"),
    "nothing": Answer(204, (("X-Kept", "yes"),)),
    "unchanged": Answer(304, (("ETag", ETAG),)),
    "missing": Answer(404, (TEXT,), b"the application's own 404"),
    "broken": Answer(500, (TEXT,), b"the application's own 500"),
}


def answer_to(asked: Asked) -> Answer:
    """Return what a path's last segment stands for, or else what was asked."""
    last = asked.path.rpartition("/")[2]
    return FIXED[last] if last in FIXED else FUNCTIONS.get(last, echo)(asked)


def echo(asked: Asked) -> Answer:
    """Tell what arrived."""
    told = {
        "method": asked.method,
        "root": asked.root,
        "path": asked.path,
        "query": asked.query,
        "length": len(asked.body),
        "sha256": hashlib.sha256(asked.body).hexdigest(),
        "payment": asked.payment and asdict(asked.payment),
    }
    return Answer(200, (("Content-Type", "application/json"),), json.dumps(told).encode())


def document(asked: Asked) -> Answer:
    """Send all, a range, or nothing to whoever has it already."""
    headers = (("Content-Type", "application/octet-stream"), ("ETag", ETAG), ("Accept-Ranges", "bytes"))
    if asked.headers.get("if-none-match") == ETAG:
        return Answer(304, headers)
    if not (ranged := asked.headers.get("range", "").removeprefix("bytes=")):
        return Answer(200, headers, DOCUMENT)
    first, last = map(int, ranged.split("-"))
    content_range = ("Content-Range", f"bytes {first}-{last}/{len(DOCUMENT)}")
    return Answer(206, (*headers, content_range), DOCUMENT[first : last + 1])


def journal(asked: Asked) -> Answer:
    """Tell which calls there were that contain what the query says."""
    return Answer(200, (), json.dumps([line for line in JOURNAL if asked.query in line]).encode())


FUNCTIONS: Final[Mapping[str, Callable[[Asked], Answer]]] = {"document": document, "journal": journal}


class Trouble(Exception):
    """The application's own."""
