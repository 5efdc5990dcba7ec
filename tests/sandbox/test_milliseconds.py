"""Times in milliseconds, as clients of 2021 send them (merchant API, Scalars)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from .shop import Process, Shop
from .traffic import refused


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    process = Process("--port", "0", "--generation", "2021", state_home=tmp_path_factory.mktemp("state"))
    opened = Shop(process.url)
    yield opened
    opened.http.close()
    assert process.stop() == 0


def test_milliseconds_are_read(old: Shop) -> None:
    """Times and durations that are in milliseconds only are understood wherever today's are."""
    deadline = int(time.time()) + 3600
    members: dict[str, Any] = {
        "pay_deadline": {"t_ms": deadline * 1000 + 999},
        "refund_deadline": {"t_s": deadline, "t_ms": 5},
        "wire_transfer_deadline": {"t_s": None, "t_ms": (deadline + 60) * 1000},
        "delivery_date": {"t_ms": "never"},
        "auto_refund": {"d_ms": "forever"},
        "extra": {"opaque": {"t_ms": 5}},
    }
    terms = old.claim(old.order(**members))["contract_terms"]
    assert terms["pay_deadline"] == terms["refund_deadline"] == {"t_s": deadline, "t_ms": deadline * 1000}
    assert terms["wire_transfer_deadline"]["t_s"] == deadline + 60
    assert terms["delivery_date"] == {"t_s": "never", "t_ms": "never"}
    assert terms["auto_refund"] == {"d_us": "forever", "d_ms": "forever"}
    assert terms["extra"] == members["extra"]
    delayed = old.order(body={"refund_delay": {"d_ms": 7000}})
    terms = old.claim(delayed)["contract_terms"]
    assert terms["refund_deadline"]["t_s"] - terms["timestamp"]["t_s"] == 7


@pytest.mark.parametrize("value", [-1, "x", True, 0.5, [], "forever", 2**60])
def test_milliseconds_that_are_none_are_refused(old: Shop, value: Any) -> None:
    """What is no number of milliseconds is malformed."""
    refused(old.post_order(pay_deadline={"t_ms": value}), 400, 26)


def test_times_too_late_for_milliseconds(old: Shop) -> None:
    """What cannot be said in milliseconds is never."""
    terms = old.claim(old.order(pay_deadline={"t_s": 2**53 - 1}))["contract_terms"]
    assert terms["pay_deadline"] == {"t_s": 2**53 - 1, "t_ms": "never"}


def test_only_2021_reads_milliseconds_of_durations(shop: Shop) -> None:
    """Today a duration in milliseconds is malformed, as it is for wallets."""
    refused(shop.post_order(body={"refund_delay": {"d_ms": 7000}}), 400, 26)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"5", b'{"order": NaN}', b'{"a": "\\ud800"}'])
def test_bodies_that_are_no_json_object(old: Shop, content: bytes) -> None:
    """Whatever is not a JSON object is refused as ever."""
    refused(old.http.post("private/orders", content=content, headers=old.owner), 400, 22)


def test_deep_json_is_no_bug(old: Shop) -> None:
    """No nesting of requests makes the translation fail."""
    for opening, closing in (("[", "]"), ('{"t_ms":', "}")):
        for depth in (90, 500, 900, 20_000):
            value = opening * depth + "1" + closing * depth
            order = f'{{"order":{{"summary":"s","amount":"KUDOS:1","delivery_location":{{"a":{value}}}}}}}'
            answer = old.http.post("private/orders", content=order, headers=old.owner)
            assert answer.status_code in (200, 400), answer.text
