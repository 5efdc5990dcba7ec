"""The whole way through nginx: asked, paid, read, refunded, bought again, at the root and under a prefix."""

from __future__ import annotations

import re

import pytest
from reader import PAGE, order_of
from running import Sandbox, eventually

from taler_paywall.testing.wallet import TalerWallet

from .setups import PASSED_GUNICORN, ROOT_GUNICORN, ROOT_UVICORN, STRIPPED_UVICORN, Proxied, Proxies, Setup
from .walk import BEES, BOUGHT, arrive, buy


def test_a_stranger_becomes_a_reader(site: Proxied, sandbox: Sandbox, wallet: TalerWallet) -> None:
    """Cookies are bound to the host, and every address that the reader is sent to has https, host and prefix."""
    with site.reader() as reader:
        assert "All about bees" in reader.visit("/").text
        asked = reader.visit(f"{BEES}?ref=x")
        assert asked.status_code == 302, asked.text
        assert asked.headers["location"].startswith(f"{sandbox.url}orders/")
        for cookie in asked.headers.get_list("set-cookie"):
            assert cookie.startswith("__Host-taler_")
            assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= set(cookie.split("; "))
        paid = wallet.pay(asked.headers["location"])
        assert (paid.how, paid.fulfillment_url) == ("paid", site.url + BEES)
        arrived = reader.come_back(site.url + BEES)
        assert (arrived.status_code, arrived.headers["location"]) == (303, f"{site.url}{BEES}?ref=x")
        assert BOUGHT in reader.come_back(arrived.headers["location"]).text
        assert BOUGHT in reader.visit(BEES).text
        assert reader.visit("/articles/wasps").status_code == 302


def test_refunded_and_bought_again(site: Proxied, sandbox: Sandbox, wallet: TalerWallet) -> None:
    """The paywall's own paths work where the site is: the style sheet of its pages, and the form to buy again."""
    with site.reader() as reader:
        order_id = order_of(buy(reader, wallet))
        sandbox.refund(order_id, "KUDOS:0.5")
        eventually(lambda: reader.visit(BEES).status_code == 402, "the refund is seen")
        refunded = reader.visit(BEES)
        prefix = site.url.removeprefix(site.origin)
        assert f'href="{prefix}/.well-known/taler-paywall/static/style.css?v=' in refunded.text
        assert f'action="{prefix}/.well-known/taler-paywall/reorder"' in refunded.text
        style = reader.http.get("/.well-known/taler-paywall/static/style.css")
        assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")

        form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', refunded.text))
        reserved = "/.well-known/taler-paywall/reorder"
        for foreign in ("http" + site.origin.removeprefix("https"), "https://evil.example", "null"):
            pressed = reader.press(reserved, form, Origin=foreign, **{"Sec-Fetch-Site": ""})
            assert pressed.status_code == 403, foreign
        again = reader.press(reserved, form, Origin=site.origin, **{"Sec-Fetch-Site": ""})
        assert again.status_code == 303, again.text
        fulfillment_url = wallet.pay(again.headers["location"]).fulfillment_url or ""
        assert fulfillment_url.startswith(f"{site.url}{BEES}?again=")
        assert BOUGHT in arrive(reader, fulfillment_url).text
        assert BOUGHT in reader.visit(BEES).text


@pytest.mark.parametrize("setup", [ROOT_UVICORN, ROOT_GUNICORN, STRIPPED_UVICORN, PASSED_GUNICORN])
def test_forged_headers_change_nothing(setup: Setup, proxies: Proxies, sandbox: Sandbox) -> None:
    """Whatever a client says about host, scheme and prefix, orders lead to the site, and cookies stay as they are."""
    site = proxies.get(setup)
    forged = {
        "Host": "evil.example",
        "Forwarded": "host=evil.example;proto=http",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-For": "192.0.2.1",
        "X-Original-URL": "/",
        "X-Rewrite-URL": "/",
        "SCRIPT_NAME": "/articles",
        "Script-Name": "/articles",
        "PATH_INFO": "/",
    }
    made = []
    with site.reader() as reader:
        for headers in ({name: value} for name, value in forged.items()):
            reader.drop()
            asked = reader.http.get(BEES, headers={"Accept": PAGE} | headers)
            assert asked.status_code == 302, headers
            assert asked.headers["location"].startswith(f"{sandbox.url}orders/"), headers
            assert asked.headers["set-cookie"].startswith("__Host-"), headers
            made.append(order_of(asked.headers["location"]))
    fulfillment_urls = {order.fulfillment_url for order in sandbox.orders() if order.order_id in made}
    assert (len(set(made)), fulfillment_urls) == (len(forged), {site.url + BEES})
