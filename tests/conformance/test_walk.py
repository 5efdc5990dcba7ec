"""From the first visit to the page."""

from __future__ import annotations

from reader import Reader
from running import Wallet


def test_a_stranger_pays_and_reads(reader: Reader, wallet: Wallet) -> None:
    """Asked for money, pays, reads."""
    assert reader.visit("/").text == "origin /"
    asked = reader.visit("/paid/a")
    assert asked.status_code == 302
    wallet.pay(asked.headers["location"])
    assert reader.visit("/paid/a").text == "origin /paid/a"
