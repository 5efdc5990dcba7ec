"""The paywall's own addresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256

import pytest
from reader import Reader

from taler_paywall.testing.wallet import TalerWallet

from .till import Till

OWN = "/.well-known/taler-paywall"
Called = Callable[[str], list[str]]


def test_the_style_sheet(reader: Reader) -> None:
    """The style sheet is served, to be kept by caches, and HEAD has its headers alone."""
    [address] = re.findall(r'href="(/[^"]+/style\.css[^"]*)"', reader.visit(f"{OWN}/nothing").text)
    style = reader.http.get(address)
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert style.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert address == f"{OWN}/static/style.css?v={sha256(style.content).hexdigest()[:12]}"
    head = reader.http.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert reader.http.post(address).status_code == 405


@pytest.mark.parametrize("path", ["/", "/unknown", "/static/", "/static/../../x", "/reorder/x"])
def test_unknown_addresses_of_ours_are_404(reader: Reader, path: str, called: Called) -> None:
    """Addresses below ours that do not exist are 404 and never reach the application."""
    before = called("well-known")
    answer = reader.http.get("/", extensions={"target": f"{OWN}{path}".encode()})
    assert answer.status_code in ({400, 404} if ".." in path else {404})
    assert called("well-known") == before


def test_a_refund_shuts_the_page_and_it_can_be_bought_again(
    reader: Reader, purse: TalerWallet, name: str, sandbox: Till
) -> None:
    """A refunded page is shut and says so; its button leads to a new order, which opens it again."""
    page = f"/distrustful/paid/{name}"
    purse.pay(reader.visit(page).headers["location"])
    assert reader.visit(page).status_code == 200
    sandbox.give_back(sandbox.orders_for(name)[0].order_id)
    shut = reader.visit(page)
    assert (shut.status_code, "refunded" in shut.text, f'action="/distrustful{OWN}/reorder"' in shut.text) == (
        *(402, True, True),
    )
    ordered = reader.press(f"/distrustful{OWN}/reorder", {"page": f"/paid/{name}", "method": "GET"})
    assert (ordered.status_code, ordered.headers["location"].startswith(sandbox.url)) == (303, True)
    purse.pay(ordered.headers["location"])
    assert reader.visit(page).status_code == 200
    assert len(sandbox.orders_for(name)) == 2


def test_forms_of_other_sites_are_refused(reader: Reader, name: str, sandbox: Till, called: Called) -> None:
    """A form that another site sends is 403, makes no order and never reaches the application."""
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    answer = reader.press(f"{OWN}/reorder", {"page": f"/paid/{name}"}, **foreign)
    assert (answer.status_code, sandbox.orders_for(name), called("reorder")) == (403, [], [])


@pytest.mark.parametrize("chunked", [False, True])
def test_long_forms_are_refused(reader: Reader, name: str, chunked: bool) -> None:  # noqa: FBT001 - a parameter
    """A form that is too long, with a length or in chunks, is 413, and the browser's next request works."""
    body = b"page=" + b"x" * 5000
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
    answer = reader.http.post(f"{OWN}/reorder", content=iter([body]) if chunked else body, headers=headers)
    assert answer.status_code == 413
    assert reader.visit(f"/free/{name}").json()["path"] == f"/free/{name}"


def test_forms_in_chunks(reader: Reader, name: str, sandbox: Till) -> None:
    """A form without a length is read where it ends."""
    body = f"page=/paid/{name}&method=GET".encode()
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
    answer = reader.http.post(f"{OWN}/reorder", content=iter([body]), headers=headers)
    assert (answer.status_code, len(sandbox.orders_for(name))) == (303, 1)
