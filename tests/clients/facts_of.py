"""Reads from each form of an answer what it says, by what is written there and by nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from html.parser import HTMLParser
from typing import Final
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import httpx

ATOM: Final = "{http://www.w3.org/2005/Atom}"
#: What a summary, a price and an amount stand in, in one line.
_OFFER = re.compile(r"(?P<summary>.*): (?P<price>.*) \((?P<amount>[A-Z]+:[0-9.]+)\)").fullmatch


@dataclass(frozen=True)
class Said:
    """What every form says of an open order."""

    title: str
    detail: str
    summary: str
    amount: str
    price: str
    order_id: str
    taler_pay_uri: str
    order_status_url: str
    expires: int


class Page(HTMLParser):
    """The elements of a page: their names, attributes and texts, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[int] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, []))
        self._open.append(len(self.elements) - 1)
        if tag in {"meta", "link", "input", "img", "br"}:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        while self._open and self.elements[self._open.pop()][0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for number in self._open:
            self.elements[number][2].append(data)

    def find(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        """Return the attributes of the elements of a name that have these attributes."""
        return [attrs for name, attrs, _ in self.elements if name == tag and wanted.items() <= attrs.items()]

    def text(self, tag: str, **wanted: str) -> list[str]:
        """Return the texts of the elements of a name that have these attributes."""
        return [
            "".join(texts).strip()
            for name, attrs, texts in self.elements
            if name == tag and wanted.items() <= attrs.items()
        ]

    @property
    def addresses(self) -> list[str]:
        """Every address on the page."""
        names = {"href", "src", "action", "data-poll", "data-continue", "data-page"}
        found = [value for _, attrs, _ in self.elements for name, value in attrs.items() if name in names]
        return found + [
            attrs["content"].partition("url=")[2] for attrs in self.find("meta", **{"http-equiv": "refresh"})
        ]


def of_html(answer: httpx.Response) -> Said:
    page = Page(answer.text)
    [main] = page.find("main")
    [pay] = [attrs["href"] for attrs in page.find("a") if attrs["href"].startswith("taler")]
    [status] = [attrs["href"] for attrs in page.find("a") if "/orders/" in attrs["href"]]
    [amount] = page.find("data")
    [price], [summary], [title] = page.text("data"), page.text("h1"), page.text("p", **{"class": "state"})
    [order_id] = parse_qs(urlsplit(main["data-poll"]).query)["order_id"]
    detail = answer.text.partition("</data></p>\n<p>")[2].partition("</p>")[0]
    expires = int(main["data-expires"])
    return Said(title, detail, summary, amount["value"], price, order_id, pay, status, expires)


def of_json(answer: httpx.Response) -> Said:
    said = json.loads(answer.content)
    names = ("title", "detail", "summary", "amount", "price", "order_id", "taler_pay_uri", "order_status_url")
    return Said(**{name: said[name] for name in names}, expires=said["pay_deadline"]["t_s"])


def _of_lines(lines: list[str]) -> Said:
    title, detail, offer, pay, status, until = lines
    read = _OFFER(offer)
    assert read
    order_id = urlsplit(status).path.rpartition("/")[2]
    expires = int(datetime.fromisoformat(until.rpartition(" ")[2]).timestamp())
    return Said(title, detail, read["summary"], read["amount"], read["price"], order_id, pay, status, expires)


def of_text(answer: httpx.Response) -> Said:
    return _of_lines(answer.text.splitlines())


def of_rss(answer: httpx.Response) -> Said:
    root = ET.fromstring(answer.content)
    assert (root.tag, root.get("version")) == ("rss", "2.0")
    title, description = root.findtext("channel/item/title"), root.findtext("channel/item/description")
    assert title
    assert description
    return _of_lines([title, *description.splitlines()])


def of_atom(answer: httpx.Response) -> Said:
    root = ET.fromstring(answer.content)
    assert root.tag == f"{ATOM}feed"
    entry = root.find(f"{ATOM}entry")
    assert entry is not None
    title, content = entry.findtext(f"{ATOM}title"), entry.findtext(f"{ATOM}content")
    assert title
    assert content
    return _of_lines([title, *content.splitlines()])


@dataclass(frozen=True)
class Form:
    """One form of answers: what asks for it, what it is called, and what reads it."""

    accept: str
    media_type: str
    read: Callable[[httpx.Response], Said]


FORMS: Final = {
    "html": Form("text/html", "text/html; charset=utf-8", of_html),
    "json": Form("application/json", "application/problem+json", of_json),
    "text": Form("text/plain", "text/plain; charset=utf-8", of_text),
    "rss": Form("application/rss+xml", "application/rss+xml; charset=utf-8", of_rss),
    "atom": Form("application/atom+xml", "application/atom+xml; charset=utf-8", of_atom),
}
