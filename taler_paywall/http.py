"""A request and a response that belong to no framework, and the rules of HTTP that the paywall needs.

Header lists, never dictionaries: a name may come several times. Names are lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from taler_paywall.discreet import Discreet
from taler_paywall.path import without_root

Header = tuple[bytes, bytes]
Representation = Literal["html", "json", "text", "rss", "atom"]

#: Longer URLs are followed by nobody.
MAX_URL = 2048
UNSAFE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})

# Names that crawlers, previews of links, readers of feeds and monitors give themselves. A person who is mistaken for
# one loses nothing: the page then carries a form that makes the order. Cubot makes phones, and Pinterest's app has a
# browser in it.
_ROBOTS = re.compile(
    rb"(?i)(?<!cu)bot(?![a-z]| [a-z0-9])|crawl|spider|slurp|archiver|preview|chrome-lighthouse|"
    rb"googleother|(?:apis|mediapartners)-google|google-(?!http)|(?:chatgpt|claude|perplexity|mistralai)-user|"
    rb"facebookexternalhit|meta-external|\Awhatsapp/|pinterest(?!/(?:ios|android))|vkshare|embedly|iframely|"
    rb"slack-|mastodon/|pleroma|akkoma|misskey/|lemmy/|synapse|"
    rb"feed|fetcher|rss(?![a-z])|miniflux|nextcloud-news|uptime|pingdom|statuscake|"
    rb"cardyb|kakaotalk-scrap|w3c_validator|ms-office"
).search
# How browsers, and scripts like Turbo and htmx, say that nobody looks at the answer yet.
_FETCHED_AHEAD = (b"sec-purpose", b"x-sec-purpose", b"purpose", b"x-purpose", b"x-moz", b"hx-preloaded")
# What is shown in a tab of its own. A service worker that hands a navigation on makes it "empty".
_SHOWN = {b"document", b"empty"}
# Some directives have lists of their own, in quotes.
_DIRECTIVES = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^,])+').findall
_SHARED_CACHES = {b"public", b"s-maxage", b"proxy-revalidate", b"private"}
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]*").fullmatch
# What caches in front of a site believe rather than Cache-Control.
_CDN_HEADERS = (b"-cache-control", b"edge-control", b"surrogate-control", b"x-accel-expires")


class Request(Discreet, frozen=True):
    """What the paywall may know of a request.

    Args:
        method: the method token as it came; GET for a websocket.
        path: decoded, as the server gives it (with ``root_path`` in front where it is mounted).
        raw_path: as it came, without the query; None where the server does not tell.
        root_path: where the application is mounted.
        query: the query string, without the question mark.
        headers: lower-case names, in the order in which they came.
        websocket: whether it asks for a websocket.
        peer: the address that the server has the request from, empty if it does not tell.
    """

    hidden = frozenset({"query", "headers"})
    method: str
    path: str
    raw_path: bytes | None
    root_path: str
    query: bytes
    headers: Sequence[Header]
    websocket: bool = False
    peer: str = ""

    def header(self, name: bytes) -> bytes:
        """Return a header's value, several of them joined as RFC 9110 and RFC 9113 have it, empty if there is none."""
        return (b"; " if name == b"cookie" else b", ").join([value for key, value in self.headers if key == name])

    def parameter(self, name: str) -> str:
        """Return a parameter of the query; empty if there is none, or several."""
        values = parse_qs(self.query.decode("latin-1")).get(name, [])
        return values[0] if len(values) == 1 else ""

    @property
    def app_path(self) -> str:
        """The path as the application routes it."""
        return without_root(self.path, self.root_path)

    @property
    def target(self) -> str:
        """The application's path, quoted anew, and the query: for links of our own."""
        query = re.sub(r"[^!-~]", "", self.query.decode("latin-1"))
        return quote_path(self.app_path) + (f"?{query}" if query else "")

    @property
    def is_navigation(self) -> bool:
        """Whether a browser shows the answer to its user in a tab of its own."""
        if self.header(b"sec-fetch-mode"):
            return self.header(b"sec-fetch-mode") == b"navigate" and self.header(b"sec-fetch-dest") in _SHOWN
        return self.preferred_representation == "html"

    def may_order(self, origins: frozenset[str]) -> bool:
        """Tell whether this request may make an order: a person or a client who could pay for it (design, section 8).

        Args:
            origins: whose scripts count as the site's own, if they are of the same site: its cookies go with them.
        """
        if self.websocket or self.header(b"upgrade").lower() == b"websocket" or any(map(self.header, _FETCHED_AHEAD)):
            return False
        if self.method != "GET" and self.method not in UNSAFE_METHODS:
            return False
        if self.is_robot:
            return False
        mode, dest = self.header(b"sec-fetch-mode"), self.header(b"sec-fetch-dest")
        if not mode and not dest and not self.header(b"sec-fetch-site"):
            return True
        if mode == b"navigate":
            return dest in _SHOWN
        site, origin = self.header(b"sec-fetch-site"), self.header(b"origin").decode("latin-1")
        return dest in {b"", b"empty"} and (site == b"same-origin" or (site == b"same-site" and origin in origins))

    @property
    def is_robot(self) -> bool:
        """Whether it calls itself a crawler, or the preview of a link."""
        return _ROBOTS(self.header(b"user-agent")) is not None

    @property
    def is_script(self) -> bool:
        """Whether a script asks, which shows its user no page: ``fetch``, XMLHttpRequest, htmx."""
        return (
            (self.header(b"sec-fetch-dest") == b"empty" and self.header(b"sec-fetch-mode") != b"navigate")
            or self.header(b"hx-request") == b"true"
            or self.header(b"x-requested-with").lower() == b"xmlhttprequest"
        )

    @property
    def preferred_representation(self) -> Representation:
        """The representation that ``Accept`` prefers; where all are equal, as with ``*/*``, text, and JSON for scripts.

        A script gets JSON instead of a page, whatever it accepts. Who names pages gets one: text browsers name both.
        """
        if self.is_script:
            return max(("json", "text", "rss", "atom"), key=self._weight)
        first: Representation = "html" if self._weight("html")[1] == _NAMED else "text"
        return max((first, "text", "html", "json", "rss", "atom"), key=self._weight)

    @property
    def accepts_html(self) -> bool:
        """Whether ``Accept`` takes a page at all."""
        return self._weight("html") > (0, 0)

    def _weight(self, kind: Representation) -> tuple[float, int]:
        return _weights(self.header(b"accept")[:_MAX_ACCEPT].decode("latin-1"))[kind]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of the paywall's own."""

    status: int
    headers: tuple[Header, ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


def quote_path(path: str) -> str:
    """Percent-encode a decoded path so that it is the same text every time (RFC 3986)."""
    # A leading double slash would be read as a host.
    return re.sub(r"\A/{2,}", "/", quote(path, safe="/:@!$&'()*+,;=~"))


def quote_segment(text: str) -> str:
    """Percent-encode one path segment or query part; nothing but unreserved characters stays."""
    return text if _UNRESERVED(text) else quote(text, safe="~")


#: No client has a longer ``Accept``; what stands behind that many bytes is not read.
_MAX_ACCEPT = 1000
#: How a media range stands to a type: it names the type, its main type, or all.
_NAMED, _MAIN_TYPE, _ALL = 3, 2, 1
_MEDIA_TYPES: dict[Representation, tuple[str, ...]] = {
    "text": ("text/plain",),
    "html": ("text/html", "application/xhtml+xml"),
    "json": ("application/json", "application/problem+json"),
    "rss": ("application/rss+xml", "application/xml", "text/xml"),
    "atom": ("application/atom+xml",),
}


@lru_cache(maxsize=256)
def _weights(accept: str) -> dict[Representation, tuple[float, int]]:
    """Return what a header says about each of our representations; clients send few different ones."""
    accepted = _accepted(accept)
    return {kind: _weight(accepted, types) for kind, types in _MEDIA_TYPES.items()}


def _weight(accepted: dict[str, float], types: tuple[str, ...]) -> tuple[float, int]:
    """Return the best quality and its specificity (RFC 9110, section 12.5.1)."""
    best = (0.0, 0)
    for media_type in types:
        ranges = {media_type: _NAMED}
        # The others are further names of the first one, which is what is sent.
        if media_type == types[0]:
            ranges |= {media_type.split("/")[0] + "/*": _MAIN_TYPE, "*/*": _ALL}
        # For one type the most specific range counts; across types the best quality.
        matched = max((rank, accepted[name]) for name, rank in (ranges | {"": 0}).items() if name in accepted)
        best = max(best, (matched[1], matched[0]))
    return best if best[0] > 0 else (0.0, 0)


def _accepted(accept: str) -> dict[str, float]:
    """Return the media ranges of the header with their qualities; the empty one is there, and weighs nothing."""
    accepted: dict[str, float] = {}
    for part in accept.split(","):
        name, *params = (piece.strip().lower() for piece in part.split(";"))
        accepted[name] = max(accepted.get(name, 0.0), _quality(params))
    return {**accepted, "": 0.0}


def _quality(params: Iterable[str]) -> float:
    for param in params:
        name, _, value = param.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def granted_headers(headers: Iterable[Header], cookies: Iterable[bytes]) -> list[Header]:
    """Return the application's headers as a private answer: kept from shared caches, told apart by cookie.

    Args:
        headers: the application's, any case; order and duplicates are kept.
        cookies: ``Set-Cookie`` values to add.
    """
    kept: list[Header] = []
    private = [b"private"]
    varies: list[bytes] = []
    for name, value in headers:
        lower = name.lower()
        if lower == b"cache-control":
            private += _private_directives(value)
        elif lower == b"vary":
            varies += [part.strip() for part in value.split(b",") if part.strip()]
        elif not lower.endswith(_CDN_HEADERS):
            kept.append((name, value))
    kept.append((b"cache-control", b", ".join(private)))
    if not varies or (b"*" not in varies and b"cookie" not in [part.lower() for part in varies]):
        varies.append(b"Cookie")
    kept.append((b"vary", b", ".join(varies)))
    kept.extend([(b"set-cookie", cookie) for cookie in cookies])
    return kept


def _private_directives(value: bytes) -> list[bytes]:
    """Return what a ``Cache-Control`` says, but for what it says to shared caches."""
    directives = [part.strip() for part in _DIRECTIVES(value)]
    return [part for part in directives if part and part.split(b"=")[0].strip().lower() not in _SHARED_CACHES]


def belongs(url: str, base: str) -> bool:
    """Tell whether a URL has the scheme, host and port of a base, and nothing that a browser might read otherwise."""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>'):
        return False
    try:
        ours, theirs = urlsplit(base), urlsplit(url)
        return "@" not in theirs.netloc and _origin(ours) == _origin(theirs)
    except ValueError:
        return False


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"https": 443, "http": 80}.get(url.scheme)
