"""What counts as right, wrong and leaked, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from . import goods
from .truth import LATEST, RECHECK_AFTER, SERVE_KNOWN_FOR, TOTAL, Holding, Judge, Slot, Verdict, Visit

SEED = "seed"
BACKEND = "http://backend.example/"
PAGE, FREE = goods.ARTICLES[0], goods.FREE[0]
QUIET, OUTAGE, DEATHS = Slot(), Slot(outage=True, on=90), Slot(loses=True, on=90)
NOT_PAID, PAYING, PAID = Holding(), Holding(begun=50), Holding(begun=50, paid=51)
REFUNDED = Holding(begun=50, paid=51, refunding=80, refunded=81)
SOON, LATER = 81 + RECHECK_AFTER, 81 + 2 * RECHECK_AFTER
LATER_STILL = 81 + SERVE_KNOWN_FOR + TOTAL + 1
PAY: dict[str, Any] = {"status": 302, "location": f"{BACKEND}orders/1"}
SHOWN: dict[str, Any] = {"status": 200, "body": goods.text(SEED, PAGE)}
WAIT: dict[str, Any] = {"status": 503, "retry_after": "5"}


@pytest.mark.parametrize(
    ("holding", "slot", "began", "answer", "verdict"),
    [
        (NOT_PAID, QUIET, 100, PAY, "right"),
        (NOT_PAID, QUIET, 100, {"status": 402}, "right"),
        (NOT_PAID, QUIET, 100, {"status": 302, "location": PAGE}, "wrong"),
        (NOT_PAID, QUIET, 100, SHOWN, "leaked"),
        (NOT_PAID, OUTAGE, 100, SHOWN, "leaked"),
        (NOT_PAID, DEATHS, 100, SHOWN | {"failure": "cut off"}, "leaked"),
        (NOT_PAID, DEATHS, 100, SHOWN | {"left": True}, "leaked"),
        (NOT_PAID, QUIET, 100, PAY | {"body": goods.text(SEED, PAGE)}, "leaked"),
        (NOT_PAID, OUTAGE, 100, {"body": b"marker-" + b"0" * 32}, "leaked"),
        (NOT_PAID, QUIET, 100, WAIT, "wrong"),
        (NOT_PAID, OUTAGE, 100, WAIT, "right"),
        (NOT_PAID, OUTAGE, 80, WAIT, "wrong"),
        (NOT_PAID, OUTAGE, 100, {"status": 503}, "wrong"),
        (NOT_PAID, OUTAGE, 100, {"status": 500}, "wrong"),
        (NOT_PAID, DEATHS, 100, {"failure": "cut off"}, "unanswered"),
        (NOT_PAID, DEATHS, 80, {"failure": "cut off"}, "wrong"),
        (NOT_PAID, OUTAGE, 100, {"failure": "cut off"}, "wrong"),
        (NOT_PAID, OUTAGE, 100, WAIT | {"ended": 101 + LATEST}, "wrong"),
        (PAYING, QUIET, 100, SHOWN, "right"),
        (PAYING, QUIET, 100, PAY, "right"),
        (PAID, QUIET, 100, SHOWN, "right"),
        (PAID, QUIET, 100, PAY, "wrong"),
        (PAID, OUTAGE, 100, PAY, "wrong"),
        (PAID, QUIET, 100, WAIT, "wrong"),
        (PAID, OUTAGE, 100, WAIT, "right"),
        (PAID, QUIET, 100, SHOWN | {"body": b""}, "wrong"),
        (REFUNDED, QUIET, SOON, SHOWN, "right"),
        (REFUNDED, QUIET, LATER, SHOWN, "leaked"),
        (REFUNDED, QUIET, LATER, {"status": 402}, "right"),
        (REFUNDED, OUTAGE, LATER + 5, SHOWN, "right"),
        (REFUNDED, OUTAGE, LATER_STILL, SHOWN, "leaked"),
    ],
)
def test_verdict(holding: Holding, slot: Slot, began: float, answer: dict[str, Any], verdict: Verdict) -> None:
    """An answer is judged by what its reader has paid, by when that was, and by what went wrong meanwhile."""
    visit = Visit("paid", PAGE, began, **{"ended": began + 1} | answer)
    holdings = {PAGE: holding} if holding is not NOT_PAID else {}
    assert Judge(SEED, BACKEND).verdict(visit, holdings, slot) == verdict


@pytest.mark.parametrize("slot", [QUIET, OUTAGE, DEATHS])
def test_free_page_is_always_shown(slot: Slot) -> None:
    """No trouble of the backend excuses anything but the free page itself."""
    judge = Judge(SEED, BACKEND)
    assert judge.verdict(Visit("free", FREE, 100, 101, 200, body=goods.text(SEED, FREE)), {}, slot) == "right"
    assert judge.verdict(Visit("free", FREE, 100, 101, 503, retry_after="5"), {}, slot) == "wrong"
