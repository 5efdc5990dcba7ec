"""What readers of the site behind nginx do."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

import httpx
from reader import Reader

from taler_paywall.testing.wallet import TalerWallet

BEES = "/articles/bees"
BOUGHT = "Bought"


def pay(reader: Reader, wallet: TalerWallet, path: str) -> tuple[str, str]:
    """Pay for something, and return the address of the order page, and of where that leads."""
    asked = reader.visit(path)
    assert asked.status_code == 302, asked.text
    status_url = str(asked.headers["location"])
    paid = wallet.pay(status_url)
    assert (paid.how, paid.fulfillment_url is not None) == ("paid", True)
    return status_url, paid.fulfillment_url or ""


def buy(reader: Reader, wallet: TalerWallet, path: str = BEES) -> str:
    """Buy something and come to it; return the address of the order page."""
    status_url, fulfillment_url = pay(reader, wallet, path)
    assert arrive(reader, fulfillment_url).status_code in {200, 404}
    return status_url


def arrive(reader: Reader, url: str) -> httpx.Response:
    """Come back from the order page; there is one further redirect at most."""
    arrived = reader.come_back(url)
    if arrived.status_code == 303:
        arrived = reader.come_back(arrived.headers["location"])
    return arrived


def press_pay(reader: Reader, page: str) -> str:
    """Press the button of the sandbox's order page, and return where it leads."""
    shown = reader.visit(page)
    assert shown.status_code == 402, shown.text
    [action] = re.findall(r'<form method="post" action="([^"]+)"', shown.text)
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', shown.text))
    url = urlsplit(page)
    pressed = reader.press(f"{url.scheme}://{url.netloc}{action}", fields, Origin=f"{url.scheme}://{url.netloc}")
    assert pressed.status_code == 303, pressed.text
    return str(pressed.headers["location"])


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
