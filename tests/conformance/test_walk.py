"""From the first visit to the page."""

from __future__ import annotations

from collections.abc import Callable

from reader import Reader
from running import Wallet

from taler_paywall.testing.wallet import TalerWallet

from .till import Till


def test_a_stranger_pays_and_reads(reader: Reader, wallet: Wallet, name: str, sandbox: Till) -> None:
    """A stranger is sent to the order with two cookies, pays with the wallet command, reads, and reads again."""
    asked = reader.visit(f"/paid/{name}")
    assert asked.status_code == 302
    assert asked.headers["location"].startswith(sandbox.url)
    assert len(asked.headers.get_list("set-cookie")) == 2
    wallet.pay(asked.headers["location"])
    for _ in range(2):
        page = reader.visit(f"/paid/{name}")
        assert (page.status_code, page.json()["path"]) == (200, f"/paid/{name}")
    assert len(sandbox.orders_for(name)) == 1


def test_other_readers_are_asked(
    readers: Callable[[], Reader], purse: TalerWallet, name: str, called: Callable[[str], list[str]]
) -> None:
    """What one reader has paid for is shut for the next one."""
    first, second = readers(), readers()
    purse.pay(first.visit(f"/paid/{name}").headers["location"])
    assert first.visit(f"/paid/{name}").status_code == 200
    assert second.visit(f"/paid/{name}").status_code == 302
    assert called(name) == [f"GET /paid/{name}"]


def test_articles_are_bought_one_by_one(reader: Reader, purse: TalerWallet, name: str) -> None:
    """Each article costs, and one browser keeps them all."""
    for part in "ab":
        asked = reader.visit(f"/paid/{name}{part}")
        assert asked.status_code == 302
        purse.pay(asked.headers["location"])
    assert [reader.visit(f"/paid/{name}{part}").status_code for part in "ab"] == [200, 200]


def test_what_belongs_to_an_article_opens_with_it(reader: Reader, purse: TalerWallet, name: str) -> None:
    """Pictures below an article are asked for without it, and open with it."""
    assert reader.picture(f"/paid/{name}/a/picture.png").status_code == 402
    purse.pay(reader.visit(f"/paid/{name}").headers["location"])
    for path in (f"/paid/{name}/picture.png", f"/paid/{name}/a/picture.png", f"/paid/{name}/"):
        answer = reader.picture(path)
        assert (answer.status_code, answer.json()["path"]) == (200, path)


def test_the_wallet_leads_back_to_the_page_that_was_asked_for(
    reader: Reader, purse: TalerWallet, name: str, sandbox: Till
) -> None:
    """After paying, the browser is led once to the very page that it asked for, with its query."""
    page = f"/paid/{name}/part%20two?size=%C2%BD&x=1+1"
    purse.pay(reader.visit(page).headers["location"])
    back = reader.come_back(sandbox.orders_for(name)[0].fulfillment_url)
    assert (back.status_code, back.headers["location"]) == (303, f"{reader.base_url}{page}")
    read = reader.visit(back.headers["location"]).json()
    assert (read["path"], read["query"]) == (f"/paid/{name}/part two", "size=%C2%BD&x=1+1")
    assert reader.visit(f"/paid/{name}").status_code == 200


def test_forged_cookies_count_as_none(
    readers: Callable[[], Reader], purse: TalerWallet, name: str, called: Callable[[str], list[str]]
) -> None:
    """A cookie with one changed letter, cut short, or far too long opens nothing and breaks nothing."""
    honest = readers()
    purse.pay(honest.visit(f"/paid/{name}").headers["location"])
    assert honest.visit(f"/paid/{name}").status_code == 200
    held = honest.cookies()
    flipped = {key: value[:9] + ("A" if value[9] != "A" else "B") + value[10:] for key, value in held.items()}
    for cookies in (flipped, {key: value[:20] for key, value in held.items()}, dict.fromkeys(held, "x" * 3000)):
        thief = readers()
        thief.hold(cookies)
        assert thief.visit(f"/paid/{name}").status_code == 302
    assert len(called(name)) == 1
