"""What scripts of other origins can read and do (T13)."""

from __future__ import annotations

import pytest
from reader import Reader

from taler_paywall.testing.wallet import TalerWallet

from .conftest import Shop
from .facts_of import FORMS
from .site import APP, SECRET
from .test_who_orders import cookies_of

OWN = "/.well-known/taler-paywall"
FROM_APP = {"Origin": APP, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
FROM_ELSEWHERE = FROM_APP | {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
READABLE = {
    "access-control-allow-origin": APP,
    "access-control-allow-credentials": "true",
    "access-control-expose-headers": "Taler, Retry-After, Content-Language",
}


def allowed(headers: object) -> dict[str, str]:
    """Return what the Fetch standard looks at."""
    assert hasattr(headers, "items")
    return {name: value for name, value in headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("form", FORMS)
def test_a_listed_origin_reads_the_402(shop: Shop, form: str, method: str, name: str) -> None:
    """A script of a listed origin reads status, body and pay URI, whatever it asks for; all tell that it depends."""
    answer = shop.get(f"/page/{name}", FROM_APP | {"Accept": FORMS[form].accept}, method)
    assert (answer.status_code, allowed(answer.headers)) == (402, READABLE)
    assert answer.headers["taler"]
    assert "Origin" in answer.headers["vary"].split(", ")


@pytest.mark.parametrize(
    "origin", ["https://elsewhere.example", "null", f"{APP}.evil.example", "https://APP.example:444"]
)
def test_no_other_origin_reads_anything(shop: Shop, origin: str, name: str) -> None:
    """No other origin gets a header of CORS, an order or a cookie; its preflight is refused."""
    headers = FROM_ELSEWHERE | {"Origin": origin, "Accept": "application/json"}
    answer = shop.get(f"/page/{name}", headers)
    assert (answer.status_code, allowed(answer.headers), "set-cookie" in answer.headers) == (402, {}, False)
    preflight = shop.get(f"/page/{name}", headers | {"Access-Control-Request-Method": "PUT"}, "OPTIONS")
    assert (preflight.status_code, allowed(preflight.headers)) == (402, {})
    assert shop.orders(name) == []


def test_a_listed_origin_asks_before_it_asks(shop: Shop, name: str) -> None:
    """Its preflight is answered by the paywall, without an order: the request that follows gets the 402."""
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-a, content-type"}
    answer = shop.get(f"/page/{name}", FROM_APP | asked, "OPTIONS")
    assert (answer.status_code, answer.content, shop.orders(name)) == (204, b"", [])
    assert answer.headers["access-control-allow-methods"] == "PUT"
    assert answer.headers["access-control-allow-headers"] == "x-a, content-type"
    assert allowed(answer.headers).items() >= READABLE.items()


def test_a_listed_origin_pays_and_waits(shop: Shop, purse: TalerWallet, name: str) -> None:
    """With the cookies of the 402 it polls its own order, pays, and reads; without them there is no such order."""
    asked = shop.get(f"/page/{name}", FROM_APP | {"Accept": "application/json"})
    cookie = {"Cookie": cookies_of(asked)}
    poll = asked.json()["poll_url"].removeprefix(shop.url)
    waiting = shop.get(poll, FROM_APP | cookie)
    assert (waiting.status_code, waiting.json()["paid"]) == (200, False)
    assert (waiting.json()["taler_pay_uri"], allowed(waiting.headers)) == (asked.headers["taler"], READABLE)
    stranger = shop.get(poll, FROM_APP)
    assert (stranger.status_code, stranger.json()["code"], allowed(stranger.headers)) == (404, 2005, READABLE)
    assert allowed(shop.get(poll, FROM_ELSEWHERE | cookie).headers) == {}
    purse.pay(asked.headers["taler"])
    assert shop.get(poll, FROM_APP | cookie).json() == {"paid": True, "refunded": False}
    assert shop.get(f"/page/{name}", FROM_APP | cookie).content == SECRET


def test_forms_and_proofs_are_the_sites_own(shop: Shop, reader: Reader, name: str) -> None:
    """A listed origin may read and buy; what only pages of the site itself send is refused to it."""
    headers = {"Origin": APP, "Sec-Fetch-Site": "same-site"}
    form = reader.press(f"{OWN}/reorder", {"page": f"/page/{name}", "method": "GET"}, **headers)
    assert (form.status_code, shop.orders(name)) == (403, [])
    proof = reader.http.post(f"{OWN}/orders/{name}/paid", json={}, headers=headers)
    assert (proof.status_code, proof.json()["code"]) == (403, 44)
