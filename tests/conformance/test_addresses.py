"""Addresses."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from reader import Reader

from taler_paywall.testing.wallet import TalerWallet

Called = Callable[[str], list[str]]
NAMES = ("two words", "100%", "½", "™", "中文", "résumé", "a+b", "a&b=c", "o'clock", "semi:colon", "(x)", "~tilde")


@pytest.mark.parametrize("text", NAMES)
def test_names_arrive_unchanged(paid: Reader, text: str) -> None:
    """Blanks, percent signs, accents, ½, ™ and Chinese arrive at the application as they were sent, once paid."""
    sent = f"/paid/shared/{quote(text, safe='')}"
    answer = paid.http.get("/", extensions={"target": sent.encode()})
    assert (answer.status_code, answer.json()["path"]) == (200, f"/paid/shared/{text}")


@pytest.mark.parametrize("text", ["½", "中文", "two words"])
def test_names_in_any_script_are_sold(reader: Reader, purse: TalerWallet, name: str, text: str) -> None:
    """An article with a name in any script is asked for, bought and read under this name."""
    page = f"/paid/{quote(f'{name} {text}')}"
    purse.pay(reader.visit(page).headers["location"])
    assert reader.visit(page).json()["path"] == f"/paid/{name} {text}"
    assert reader.visit(f"/paid/{name}").status_code == 302


@pytest.mark.parametrize(
    "query", ["a=1&a=2&b", "q=%C2%BD&r=%2F%25", "=&&=", "next=//evil.example/%0d%0aX:1", "plus=+&space=%20", "x;y=1"]
)
def test_queries_arrive_unchanged(paid: Reader, query: str) -> None:
    """The query string arrives at the application as it was sent, on paid pages and on free ones."""
    for path in ("/paid/shared", "/free"):
        answer = paid.http.get("/", extensions={"target": f"{path}?{query}".encode()})
        assert (answer.status_code, answer.json()["query"]) == (200, query)


@pytest.mark.parametrize(
    "spelling",
    [
        "/paid//{}",
        "//paid/{}",
        "/paid%2F{}",
        "/paid/{}%2Fpicture",
        "/free/../paid/{}",
        "/free/%2e%2e/paid/{}",
        "/./paid/{}",
        "/paid;x/{}",
        "/paid/{};x",
        "/paid%5C{}",
        "/paid/{}%00",
        "/paid/{}%09",
        "/p%61id/{}",
        "/%2570aid/{}",
        "/PAID/{}",
        "/paid/{}%ff",
        "/paid/{}%zz",
    ],
)
def test_spellings_of_what_is_sold_open_nothing(reader: Reader, name: str, spelling: str, called: Called) -> None:
    """However an address of something sold is spelled, unpaid it never gets through; odd spellings are refused."""
    target = spelling.format(name).encode()
    answer = reader.http.get("/", headers={"Accept": "application/json"}, extensions={"target": target})
    # Some servers tidy an address up, which makes it a plain one, and some refuse it themselves.
    assert answer.status_code in {400, 402}, answer.text
    assert called(name) == []


def test_free_addresses_are_not_tidied(reader: Reader) -> None:
    """What is not for sale in any reading arrives at the application as without the paywall, odd or not."""
    answer = reader.http.get("/", extensions={"target": b"/free/a;b/c%20d"})
    assert (answer.status_code, json.loads(answer.content)["path"]) == (200, "/free/a;b/c d")
