"""Writes facts down: as a page for people, as problem+json for programs, as a feed, as a few lines for the rest."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment
from markupsafe import Markup, escape

from taler_paywall import qr
from taler_paywall.facts import PAY_BY, Facts
from taler_paywall.http import UNSAFE_METHODS, Representation, Request, quote_segment
from taler_paywall.offer import Offer
from taler_paywall.settings import Settings
from taler_paywall.templating import environment, static_files
from taler_paywall.texts import Texts

#: Longer pages are not told to the poll: servers bound the length of addresses.
MAX_TOLD = 512
#: How often a page without scripts looks whether it is paid, in seconds.
REFRESH_SECONDS = 8

# What is rendered by our templates where a site's break; a teaser is not shown at all.
_FALLBACKS = {"page.html", "rss.xml", "atom.xml"}
_TYPE = "urn:taler-paywall:"
# Offers that last longer are not counted down.
_LONGEST = 366 * 86_400

_log = logging.getLogger("taler_paywall")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who gets an answer, as far as the answer depends on it.

    Args:
        request: what was asked.
        texts: in the reader's language.
        now: seconds since 1970.
        keeps_cookies: whether the browser has shown a cookie of ours.
    """

    request: Request
    texts: Texts
    now: int
    keeps_cookies: bool


class Renderer:
    """The forms of one site's answers.

    Args:
        settings: of the site.
        public_url: of the site.
    """

    def __init__(self, settings: Settings, public_url: str) -> None:
        self._look = settings.look
        self._play_money = settings.sandbox_port is not None
        self._public_url = public_url
        self._root = urlsplit(public_url).path
        self._origin = public_url.removesuffix(self._root)
        self._reserved = self._root + settings.prefix

    @cached_property
    def static(self) -> dict[str, bytes]:
        """The style sheet and the script."""
        return static_files(self._look)

    def version(self, name: str) -> str:
        """Return what tells one content of a static file from another."""
        return sha256(self.static[name]).hexdigest()[:12]

    def poll_url(self, request: Request, order_id: str) -> str:
        """Return the address that tells when an order is paid; the page tells it where the order's cookie is gone."""
        told = request.method == "GET" and len(request.target) <= MAX_TOLD
        page = f"&page={quote_segment(request.target)}" if told else ""
        return f"{self._reserved}/poll-payment?order_id={quote_segment(order_id)}{page}"

    def page_url(self, request: Request, offer: Offer | None) -> str:
        """Return where the reader goes on after paying: never where something would have to be sent again."""
        if request.method in UNSAFE_METHODS and offer:
            return offer.fulfillment_url.removeprefix(self._origin)
        return self._root + request.target

    def write(self, kind: Representation, reader: Reader, facts: Facts, offer: Offer | None) -> bytes:
        """Return an answer in the form that was asked for.

        Args:
            kind: of the form.
            reader: who gets it.
            facts: what it says.
            offer: what is sold, None where nothing is.
        """
        match kind:
            case "html":
                return self.html(reader, facts, offer)
            case "json":
                return self.problem(facts)
            case "text":
                return self.text(facts, reader.texts)
            case "rss" | "atom":
                return self.feed(kind, reader, facts, offer)

    def html(self, reader: Reader, facts: Facts, offer: Offer | None, teaser: object | None = None) -> bytes:
        """Return a page.

        Args:
            reader: who gets it.
            facts: what it says.
            offer: what is sold, None where nothing is.
            teaser: the preview, as the rule's callable has returned it, or the name of a template; None for none.
        """
        request = reader.request
        left = facts.expires - reader.now
        counted = 0 < left < _LONGEST
        page_url = self.page_url(request, offer)
        # Nothing goes to the address of a POST by itself.
        here = quote_segment(page_url.removeprefix(self._root))
        continue_url = f"{self._reserved}/continue?order_id={quote_segment(facts.order_id)}&page={here}"
        template = offer.rule.teaser if offer and isinstance(offer.rule.teaser, str) else "teaser.html"
        context = {
            "said": facts,
            "offer": offer,
            "qr": facts.taler_pay_uri and qr.svg(facts.taler_pay_uri, reader.texts.gettext("QR code for your wallet")),
            "poll_url": facts.poll_url,
            "page": request.target,
            "page_url": page_url,
            "continue_url": continue_url,
            "refresh_url": _refresh_url(reader, facts, offer, page_url, continue_url),
            "refresh_seconds": REFRESH_SECONDS,
            "expires_iso": _iso(facts.expires) if counted else "",
            "expires_in": reader.texts.duration(left) if counted else "",
            "method": request.method if request.method in UNSAFE_METHODS else "GET",
            "teaser": escape(teaser) if teaser is not None else "",
            "structured": _structured(facts, offer) if teaser is not None and offer else None,
            "indexed": teaser is not None,
        }
        return self._page("page.html" if teaser is None else template, reader, context).encode()

    def problem(self, facts: Facts) -> bytes:
        """Return problem details (RFC 9457) with everything that a program needs to pay."""
        members: dict[str, Any] = {
            "type": _TYPE + facts.slug,
            "title": facts.title,
            "status": facts.status,
            "detail": facts.detail,
        }
        names = ("reason", "summary", "amount", "price", "order_id", "taler_pay_uri", "order_status_url")
        members |= {name: value for name in names if (value := getattr(facts, name))}
        if facts.poll_url:
            members["poll_url"] = self._origin + facts.poll_url
        if facts.expires:
            members["pay_deadline"] = {"t_s": facts.expires}
        return json.dumps(members, ensure_ascii=False, indent=1).encode() + b"\n"

    def text(self, facts: Facts, texts: Texts) -> bytes:
        """Return a few lines."""
        return ("\n".join([facts.title, *_lines(facts, texts)]) + "\n").encode()

    def feed(self, kind: str, reader: Reader, facts: Facts, offer: Offer | None) -> bytes:
        """Return a feed of one entry (RSS 2.0, or Atom: RFC 4287), so that feed readers show what is the matter.

        Args:
            kind: ``rss`` or ``atom``.
            reader: who gets it.
            facts: what it says.
            offer: what is sold, None where nothing is.
        """
        url = offer.fulfillment_url if offer else self._public_url + reader.request.target
        context = {"said": facts, "lines": _lines(facts, reader.texts), "url": url, "updated": _iso(reader.now)}
        return self._page(f"{kind}.xml", reader, context).encode()

    def _page(self, template: str, reader: Reader, context: dict[str, Any]) -> str:
        common = {
            **_translating(reader.texts),
            "language": reader.texts.language,
            "direction": reader.texts.direction,
            "reserved": self._reserved,
            "static": self._static_url,
            "site_name": self._look.site_name,
            "logo": self._look.logo,
            "play_money": self._play_money,
        }
        try:
            return _render(environment(self._look.templates), template, common | context)
        except Exception:
            if not self._look.templates or template not in _FALLBACKS:
                raise
            # A reader must be able to pay, or learn what is the matter, whatever a site's template does.
            _log.exception("a template of the site cannot be rendered: template=%r", template)
            return _render(environment(None), template, common | context)

    def _static_url(self, name: str) -> str:
        return f"{self._reserved}/static/{name}?v={self.version(name)}"


def _refresh_url(reader: Reader, facts: Facts, offer: Offer | None, page_url: str, continue_url: str) -> str:
    """Return where a page without scripts goes by itself, empty where it stays."""
    if facts.order_id:
        # Of a first visit nobody knows yet whether its cookie is kept.
        return page_url if reader.keeps_cookies else continue_url
    return page_url if offer and facts.status == HTTPStatus.SERVICE_UNAVAILABLE else ""


def _render(templates: Environment, template: str, context: dict[str, Any]) -> str:
    return templates.get_template(template).render(context)


def _translating(texts: Texts) -> dict[str, Any]:
    """Return what ``{% trans %}`` calls; the texts are escaped, for they stand in attributes as well."""

    def gettext(message: str) -> Markup:
        return escape(texts.gettext(message))

    def ngettext(singular: str, plural: str, number: int) -> Markup:
        return escape(texts.ngettext(singular, plural, number))

    return {"_": gettext, "gettext": gettext, "ngettext": ngettext}


def _lines(facts: Facts, texts: Texts) -> list[str]:
    """Return what is said below the title."""
    price = f": {facts.price or facts.amount} ({facts.amount})" if facts.amount else ""
    offer = f"{facts.summary}{price}" if facts.summary else ""
    until = f"{texts.gettext(PAY_BY)} {_iso(facts.expires)}" if facts.expires else ""
    return [line for line in (facts.detail, offer, facts.taler_pay_uri, facts.order_status_url, until) if line]


def _structured(facts: Facts, offer: Offer) -> dict[str, Any]:
    """Tell search engines that the page is a preview, and of what (schema.org, isAccessibleForFree)."""
    return {
        "@context": "https://schema.org",
        "@type": "CreativeWork",
        "name": facts.summary,
        "url": offer.fulfillment_url,
        "isAccessibleForFree": False,
        "hasPart": {"@type": "WebPageElement", "isAccessibleForFree": False, "cssSelector": ".taler-paywall"},
        "offers": {"@type": "Offer", "price": facts.amount.partition(":")[2], "priceCurrency": offer.amount.currency},
    }


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
