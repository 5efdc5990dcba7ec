"""The bodies of requests: what is read as JSON, and what compression may hide (merchant API, 1.3)."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .shop import Process, Shop
from .traffic import answered, refused

ORDER = json.dumps({"order": {"summary": "Compressed", "amount": "KUDOS:5"}}).encode()
MEBIBYTE = 1024 * 1024


def post(shop: Shop, content: Any, coding: str | None = None) -> httpx.Response:
    headers = {**shop.owner, **({"Content-Encoding": coding} if coding else {})}
    return shop.http.post("private/orders", content=content, headers=headers)


def in_chunks(content: bytes) -> Iterator[bytes]:
    yield from (content[start : start + 7] for start in range(0, len(content), 7))


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", gzip.compress(ORDER)),
        ("GZIP", gzip.compress(ORDER)),
        ("x-gzip", gzip.compress(ORDER)),
        ("deflate", zlib.compress(ORDER)),
        ("identity", ORDER),
        ("gzip", gzip.compress(ORDER[:9]) + gzip.compress(b"") + gzip.compress(ORDER[9:])),
    ],
)
def test_compressed_bodies_are_understood(shop: Shop, coding: str, content: bytes) -> None:
    """A body that says how it is compressed is read as what it was before, in one piece or in chunks."""
    for sent in (content, in_chunks(content)):
        made = answered(post(shop, sent, coding), 200, order_id=str, token=str)
        assert shop.status(made["order_id"])["summary"] == "Compressed"


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", b""),
        ("gzip", ORDER),
        ("gzip", gzip.compress(ORDER)[:-1]),
        ("gzip", gzip.compress(ORDER)[:20]),
        ("gzip", gzip.compress(ORDER)[:-8] + b"\0" * 8),
        ("gzip", gzip.compress(ORDER) + b"more"),
        ("gzip", zlib.compress(ORDER)),
        ("deflate", gzip.compress(ORDER)),
        ("deflate", zlib.compress(ORDER)[:-1]),
        ("br", ORDER),
        ("gzip, gzip", gzip.compress(gzip.compress(ORDER))),
        ("\xff", ORDER),
    ],
)
def test_what_cannot_be_decompressed_is_refused(shop: Shop, coding: str, content: bytes) -> None:
    """Truncated, corrupt and unknown compression gets code 28."""
    headers = httpx.Headers({**shop.owner, "Content-Encoding": coding}, encoding="latin-1")
    refused(shop.http.post("private/orders", content=content, headers=headers), 400, 28)


def test_a_compressed_body_without_its_header_is_no_json(shop: Shop) -> None:
    """Nobody guesses that a body is compressed."""
    refused(post(shop, gzip.compress(ORDER)), 400, 22)


def test_bombs_are_defused(process: Process, shop: Shop) -> None:
    """What is too large after decompression is refused before it takes the memory."""
    bomb = gzip.compress(b"\0" * 200 * MEBIBYTE)
    before = peak_memory(process)
    refused(post(shop, bomb, "gzip"), 413, 32)
    refused(post(shop, zlib.compress(b" " * (MEBIBYTE + 1)), "deflate"), 413, 32)
    assert peak_memory(process) - before < 20 * MEBIBYTE
    # Up to the limit it is just a body.
    answered(post(shop, gzip.compress(ORDER.ljust(MEBIBYTE)), "gzip"), 200, order_id=str)


def test_many_empty_members_are_harmless(shop: Shop) -> None:
    """A body of fifty thousand compressed nothings is nothing, and is answered."""
    refused(post(shop, gzip.compress(b"") * 50_000, "gzip"), 400, 22)


def peak_memory(process: Process) -> int:
    """Return the most memory that the process ever had, in bytes."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def test_null_means_absent(shop: Shop) -> None:
    """Members that are explicitly null might as well not be there."""
    around = ("refund_delay", "payment_target", "session_id", "inventory_products", "lock_uuids", "create_token")
    within = (
        *("summary_i18n", "order_id", "public_reorder_url", "fulfillment_url", "fulfillment_message", "minimum_age"),
        *("products", "timestamp", "refund_deadline", "pay_deadline", "wire_transfer_deadline", "delivery_date"),
        *("merchant_base_url", "delivery_location", "auto_refund", "extra", "version", "max_fee"),
    )
    order = {"summary": "s", "amount": "KUDOS:1", **dict.fromkeys(within)}
    body = {"order": order, **dict.fromkeys(around), "otp_id": None}
    made = answered(shop.http.post("private/orders", json=body, headers=shop.owner), 200, token=str)
    terms = shop.claim(made)["contract_terms"]
    assert terms["max_fee"] == "KUDOS:0"
    assert None not in terms.values()
    assert "extra" not in terms


def test_unknown_members_are_ignored(shop: Shop) -> None:
    """Members that nobody knows change nothing, around the order, in it and in what wallets send."""
    made = shop.order(body={"order_id": "beside", "new": [1, {"t_ms": 5}]}, newer={"x": 1})
    assert made["order_id"] != "beside"
    claimed = shop.claim(made)
    assert "newer" not in claimed["contract_terms"]
    body = {"h_contract": claimed["h_contract"], "unknown": True}
    assert shop.post(made["order_id"], "refund", body).status_code == 204


@pytest.mark.parametrize("value", [0.5, 1.0, 1e400, {"deep": [[{"down": -0.0}]]}])
def test_floats_in_contracts_are_refused(shop: Shop, value: Any) -> None:
    """Floats have no canonical text, so that no contract can hold one."""
    content = json.dumps({"order": {"summary": "s", "amount": "KUDOS:1", "extra": {"x": value}}})
    refused(post(shop, content.replace("Infinity", "1e400")), 400, 2502)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b'"text"', b"{", b'{"a":1}}', b"{'a':1}", b'{"order": NaN}', b'{"order": -Infinity}'],
)
@pytest.mark.parametrize("action", ["claim", "pay", "paid", "refund"])
def test_wallets_bodies_must_be_json_objects(shop: Shop, action: str, content: bytes) -> None:
    """Whatever is not a JSON object gets code 22, from the public endpoints too."""
    made = shop.order()
    refused(shop.http.post(f"orders/{made['order_id']}/{action}", content=content), 400, 22)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"order":' * 100_000 + b"1" + b"}" * 100_000, 22),
        (b'{"order":{"summary":"s","amount":"KUDOS:1","products":' + b"[" * 101 + b"]" * 101 + b"}}", 26),
        (b'{"order":{"summary":"s","amount":"KUDOS:1","extra":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}}", 2502),
        (b'{"order":{"summary":"s","amount":"KUDOS:1","minimum_age":' + b"9" * 5000 + b"}}", 22),
        (b'{"order":{"summary":"s","amount":"KUDOS:1","minimum_age":' + b"9" * 50 + b"}}", 26),
        (b'\xef\xbb\xbf{"order":{"summary":"s","amount":"KUDOS:1"}}', 22),
        ('{"order":{"summary":"s","amount":"KUDOS:1"}}'.encode("utf-16"), 22),
    ],
)
def test_huge_and_nested_json_is_refused(shop: Shop, content: bytes, code: int) -> None:
    """Depth and size of values are bounded, and what is refused has a code."""
    refused(post(shop, content), 400, code)


def test_a_body_over_the_limit_is_refused_everywhere(shop: Shop) -> None:
    """More than a mebibyte is too much, whoever sends it and in however many chunks."""
    made = shop.order()
    large = b" " * (MEBIBYTE + 1)
    for action in ("claim", "pay", "paid", "refund"):
        refused(shop.http.post(f"orders/{made['order_id']}/{action}", content=large), 413, 32)
    refused(post(shop, (large[start : start + 4096] for start in range(0, len(large), 4096))), 413, 32)
