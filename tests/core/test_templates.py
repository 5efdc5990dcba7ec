"""Our pages in every state: what stands in them, what they weigh, and what a site may change."""

from __future__ import annotations

import gzip
from html.parser import HTMLParser
from pathlib import Path

import pytest

from core.states import PAY_URI, PAYING, STATES, answer, static
from taler_paywall.http import Response

HOSTILE = "\"'><img src=x onerror=alert(1)></title></script><script>alert(2)</script>{{ 7919 * 7907 }}"


class Elements(HTMLParser):
    """The elements of a page, and those that only browsers without scripts see."""

    def __init__(self, page: Response) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str]]] = []
        self.without_scripts: list[str] = []
        self._in_noscript = False
        self.feed(page.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, {name: value or "" for name, value in attrs}))
        if self._in_noscript:
            self.without_scripts.append(tag)
        self._in_noscript = self._in_noscript or tag == "noscript"

    def handle_endtag(self, tag: str) -> None:
        self._in_noscript = self._in_noscript and tag != "noscript"

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.all if name == tag]

    def meta(self, name: str) -> str | None:
        return next((each["content"] for each in self.of("meta") if each.get("name") == name), None)


@pytest.mark.parametrize("state", STATES)
def test_what_stands_in_every_page(state: str) -> None:
    """No styles or scripts in the page itself, nothing from elsewhere, one heading; for wallets exactly one link."""
    elements = Elements(answer(state))
    names = {name for _, attributes in elements.all for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in {"style", "tabindex"}]
    assert not elements.of("style")
    assert all(script["src"] for script in elements.of("script") if script.get("type") != "application/ld+json")
    loaded = [each["href"] for each in elements.of("link") if each["rel"] != "canonical"] + [
        each["src"] for tag in ("script", "img", "iframe", "source") for each in elements.of(tag) if "src" in each
    ]
    assert all(url.startswith("/") and not url.startswith("//") for url in loaded)
    assert elements.of("html") == [{"lang": "en", "dir": "ltr"}]
    assert len(elements.of("h1")) == len(elements.of("title")) - ("svg" in dict(elements.all)) == 1
    assert elements.meta("taler-support") == "uri"
    assert elements.meta("robots") == (None if STATES[state][1] else "noindex")
    wallet = [each["href"] for each in elements.of("a") if each["href"].startswith("taler")]
    assert wallet == ([PAY_URI] if state in PAYING else [])
    identifiers = [attributes["id"] for _, attributes in elements.all if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert elements.without_scripts == (["meta"] if state in PAYING | {"unknown"} else [])
    assert all(form["method"] == "post" and form["action"].startswith("/.well-known/") for form in elements.of("form"))


@pytest.mark.parametrize("state", STATES)
def test_no_text_becomes_markup(state: str) -> None:
    """What is sold and the site may be called anything: the page has the same elements."""
    hostile = Elements(answer(state, summary=HOSTILE, site_name=HOSTILE))
    harmless = Elements(answer(state))
    assert [tag for tag, _ in hostile.all] == [tag for tag, _ in harmless.all]
    product = answer(state, summary="{{ 7919 * 7907 }}", site_name="{{ 7919 * 7907 }}")
    assert b"62615533" not in product.body.replace(b"\n", b"")


@pytest.mark.parametrize("state", sorted(PAYING))
def test_what_a_page_weighs(state: str) -> None:
    """The page, its style sheet and its script: three requests."""
    parts = [answer(state).body, static("style.css"), static("page.js")]
    sizes = [len(gzip.compress(part, 6)) for part in parts]
    print(f"{state}: {sum(sizes)} bytes compressed, {sizes}")
    assert sum(sizes) < 9 * 1024
    page = Elements(answer(state, logo=""))
    assert [each["rel"] for each in page.of("link")] == ["stylesheet", *(["canonical"] if STATES[state][1] else [])]
    assert len([each for each in page.of("script") if "src" in each]) == 1


def test_colours_are_the_sites() -> None:
    sheet = static("style.css", colours={"accent": "#7a0052", "dark_accent": "#ffd0ea"}).decode()
    assert all(f": {colour};" in sheet for colour in ("#7a0052", "#ffffff", "#ffd0ea", "#000000"))


def test_sites_change_what_they_name(tmp_path: Path) -> None:
    """One block of the page, the whole teaser, and nothing else."""
    (tmp_path / "page.html").write_text(
        '{% extends "taler_paywall/page.html" %}{% block footer %}<p>Ask the <b>bees</b>.</p>{% endblock %}'
    )
    (tmp_path / "teaser.html").write_text(
        '{% extends "taler_paywall/teaser.html" %}{% block teaser %}<p>Hum of {{ said.summary }}</p>{% endblock %}'
    )
    page, teaser = (answer(state, templates=tmp_path).body.decode() for state in ("open", "teaser"))
    assert "Ask the <b>bees</b>." in page
    assert "Ask the <b>bees</b>." in teaser
    assert "Hum of An evening with the bees" in teaser
    assert "water tower" not in teaser
    assert page.count(f'href="{PAY_URI}"') == teaser.count(f'href="{PAY_URI}"') == 1
