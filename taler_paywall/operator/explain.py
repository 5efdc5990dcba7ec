"""What the paywall makes of one request: which rule, which resource, what price, whether an order, and why."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from taler_paywall.decision import Refused
from taler_paywall.http import Request
from taler_paywall.offers import Offers
from taler_paywall.operator.samples import path_of, request_of
from taler_paywall.path import MAX_PATH, readings, without_root
from taler_paywall.resource import Resource, Rule
from taler_paywall.rules import Rules
from taler_paywall.settings import Settings

#: What stands for the site in addresses where nobody has said where it is.
_NOWHERE = "http://127.0.0.1:8000"

Line = tuple[str, str]


def explain(settings: Settings, method: str, url: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Iterator[Line]:
    """Yield what is known of a request, each with a label.

    Args:
        settings: of the site.
        method: of the request.
        url: an address of the site, or path and query of the application.
        headers: of the request, with names in lower case.
    """
    public_url = settings.public_url or _NOWHERE
    request = request_of(method, _target(url, public_url), headers)
    yield "request", f"{method} {request.target}"
    if urlsplit(url).netloc not in {"", urlsplit(public_url).netloc}:
        yield "site", f"{url} is not at {public_url}, where the site is"
    if not settings.enabled:
        yield "answer", "the application's: the paywall is switched off (enabled=False)"
        return
    if request.path.startswith(f"{settings.prefix}/"):
        yield "answer", "the paywall's: the address is one of its own"
        return
    offers = Offers(settings.rules, public_url, settings.price_policy)
    found = offers.asked(request)
    if isinstance(found, Refused):
        yield "answer", f"{found.status}, paid or not: {_refusal(found, request, settings)}"
    elif found is None:
        yield "answer", f"the application's: {_passes(request, settings)}"
    else:
        yield from _sold(settings, offers, request, *found)


def _target(url: str, public_url: str) -> str:
    """Return path and query as the application has them."""
    site = urlsplit(public_url)
    target = path_of(url)
    if not urlsplit(url).netloc or not site.path:
        return target
    path, mark, query = target.partition("?")
    return without_root(path, site.path) + mark + query


def _refusal(refused: Refused, request: Request, settings: Settings) -> str:
    """Say why a request is answered neither way."""
    if refused.reason == "path-too-long":
        return f"the path has more than {MAX_PATH} characters"
    if refused.reason == "ambiguous-query":
        return "a query key that names the resource stands there twice, or is no text"
    rules = Rules(settings.rules)
    others = readings(request.path, request.raw_path)
    if others is None:
        return "the path can be read in too many ways"
    sold = sorted(other for other in others if rules.sells(other))
    return f"the path can be read in several ways, and these may be sold: {', '.join(map(repr, sold[:3]))}"


def _passes(request: Request, settings: Settings) -> str:
    """Say why nothing is asked for."""
    for number, rule in enumerate(settings.rules, 1):
        if rule.price is None and Rules([rule]).resource(request.method, request.path, request.query) == "free":
            return f"{_numbered(number, rule)} makes it free"
    near = Rules(settings.rules).candidates(request.path)
    others = [(index + 1, rule) for index in near if not (rule := settings.rules[index]).gates(request.method)]
    if others:
        return f"{_numbered(*others[0])} has the path, but is not for {request.method}"
    return "no rule has the path"


def _sold(settings: Settings, offers: Offers, request: Request, rule: Rule, resource: Resource) -> Iterator[Line]:
    number = next(number for number, each in enumerate(settings.rules, 1) if each is rule)
    yield "rule", f"{_numbered(number, rule)} is the first that matches"
    try:
        offer = offers.priced(rule, resource)
    except Exception as error:  # noqa: BLE001 - the site's own callable
        yield "resource", resource.name
        yield "price", f"its callable raises {type(error).__name__}: {error}"
        yield "answer", "503: nothing is given away"
        return
    yield "resource", offer.resource.name if offer else resource.name
    if offer is None:
        yield "price", "its callable says None: free, or not there"
        yield "answer", "the application's"
        return
    yield "price", f"{offer.amount}{', says its callable' if callable(rule.price) else ''}"
    yield "summary", offer.summary
    yield "page", f"{offer.fulfillment_url}, where readers return to after paying"
    if settings.exempt:
        yield "exempt", "option exempt may let the request pass without paying"
    reason = why_no_order(request, settings.cors_origins)
    yield "order", f"none is made: {reason}" if reason else "one is made, if the reader has none"
    yield "answer", "the application's once it is paid; before that the paywall's"


def why_no_order(request: Request, origins: frozenset[str]) -> str:
    """Say why a request may make no order, empty if it may (design, section 8).

    Args:
        request: for something that is sold.
        origins: whose scripts may buy.
    """
    if request.may_order(origins):
        return ""
    names = {name for name, _ in request.headers}
    if request.websocket or request.header(b"upgrade").lower() == b"websocket":
        return "a websocket shows nobody a page"
    if names & {b"x-moz", b"hx-preloaded"} or any(name.endswith(b"purpose") for name in names):
        return "it is fetched ahead, and nobody may ever look at it"
    if not request_of("GET", "/", tuple(request.headers)).may_order(origins):
        if request.is_robot:
            return "it calls itself a crawler, or the preview of a link"
        return "its Sec-Fetch headers say that it is a part of a page, or that a script of another site asks"
    return f"{request.method} only asks about a page"


def _numbered(number: int, rule: Rule) -> str:
    return f"rule {number} ({rule.text})"
