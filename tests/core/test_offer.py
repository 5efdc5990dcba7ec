"""Where an order leads to: one address for one resource, and a new one for each purchase after a refund."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from core.script import OFFER, RESOURCE, SITE, order
from taler_paywall.offer import fulfillment_url

PAGE = f"{SITE}/articles/one"


@pytest.mark.parametrize(
    ("marked", "again", "url"),
    [
        (False, 0, PAGE),
        (False, 1, f"{PAGE}?again=1"),
        (False, 12, f"{PAGE}?again=12"),
        (True, 0, f"{PAGE}?resource={RESOURCE.tag}"),
        (True, 2, f"{PAGE}?resource={RESOURCE.tag}&again=2"),
    ],
)
def test_where_an_order_leads_to(marked: bool, again: int, url: str) -> None:  # noqa: FBT001 - a table
    """A marker and the count of purchases stand in the query, one after the other."""
    assert fulfillment_url(replace(OFFER, marked=marked), order(again=again)) == url
