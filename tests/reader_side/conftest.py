"""Fixtures: one play backend, one site on each protocol and one Chromium for all of these tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright
from tab import ARGUMENTS, CHROMIUM

from .counter import Counter, Shop, selling
from .reading import Reading

OpenTab = Callable[..., Reading]
OpenShop = Callable[[str], Shop]

#: What the dressed site changes in the page.
FOOTER = "Questions? The library helps."
TEMPLATE = f'{{% extends "taler_paywall/page.html" %}}{{% block footer %}}<p>{FOOTER}</p>{{% endblock %}}'


@pytest.fixture(scope="package")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    """Run the play backend."""
    started = Counter(tmp_path_factory.mktemp("counter"))
    yield started
    assert started.process.end() == 0, started.process.output


@pytest.fixture(scope="package")
def shops(counter: Counter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenShop]:
    """Run each site from its first use on."""
    opened: dict[str, Shop] = {}
    templates = tmp_path_factory.mktemp("templates")
    Path(templates, "page.html").write_text(TEMPLATE)
    with ExitStack() as stack:

        def open_one(kind: str) -> Shop:
            if kind not in opened:
                opened[kind] = stack.enter_context(selling(kind, counter, TEMPLATES=str(templates)))
            return opened[kind]

        yield open_one


@pytest.fixture
def shop(request: pytest.FixtureRequest, shops: OpenShop) -> Shop:
    """Run the site on ASGI, unless a test names another."""
    return shops(getattr(request, "param", "asgi"))


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Run the system's Chromium."""
    with playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as browser:
        yield browser


@pytest.fixture
def open_tab(chromium: Browser, shop: Shop) -> Iterator[OpenTab]:
    """Open tabs, each in a browser of its own unless told otherwise; in the end, hear what went wrong in them."""
    opened: list[Reading] = []

    def open_one(like: Reading | None = None, **options: Any) -> Reading:
        context = like.context if like else chromium.new_context(**{"locale": "en"} | options)
        opened.append(Reading(context, shop.url))
        return opened[-1]

    yield open_one
    for tab in opened:
        tab.close()


@pytest.fixture
def tab(open_tab: OpenTab) -> Reading:
    """Open a tab of a browser that has never been here."""
    return open_tab()


@pytest.fixture
def slug(request: pytest.FixtureRequest) -> str:
    """Name something that only this test buys."""
    return re.sub(r"[^a-z]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")
