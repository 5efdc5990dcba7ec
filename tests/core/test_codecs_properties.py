"""Properties that hold for every value of the codecs, not only for the vectors."""

from __future__ import annotations

import json
import string
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from taler_paywall import contract, crockford, taler_uri, timestamp
from taler_paywall.amount import Amount

CURRENCIES = st.text(string.ascii_uppercase, min_size=1, max_size=11)
AMOUNTS = st.builds(Amount, CURRENCIES, st.integers(0, 2**52), st.integers(0, 10**8 - 1))
EUROS = st.builds(Amount, st.just("EUR"), st.integers(0, 2**52), st.integers(0, 10**8 - 1))
LARGEST = Amount("EUR", 2**52, 10**8 - 1)
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.text(string.ascii_letters + string.digits + "_", min_size=1)
IDS = st.text(string.ascii_letters + string.digits + "._~-", min_size=1).filter(lambda text: text not in (".", ".."))
BASE_URLS = st.builds(
    "{}://{}{}/{}".format,
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,8}\.[A-Za-z]{1,8})?", fullmatch=True),
    st.just("") | st.integers(1, 65535).map(":{}".format),
    st.lists(IDS.map("{}/".format), max_size=3).map("".join),
)


def json_values(names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """JSON values without floats, with members of those names."""
    return st.recursive(
        st.none() | st.booleans() | INTEGERS | TEXTS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
        max_leaves=12,
    )


def units(amount: Amount) -> Fraction:
    """Read the canonical text of an amount with other means than the codec's own."""
    return Fraction(str(amount).partition(":")[2])


def reordered(value: Any) -> Any:
    """Return the same JSON value with the members of all objects in reverse order."""
    if isinstance(value, dict):
        return {name: reordered(value[name]) for name in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(st.binary(max_size=100))
def test_crockford_round_trip(data: bytes) -> None:
    """Text reads back as the bytes it was made from, in lower case and with look-alikes too."""
    text = crockford.encode(data)

    assert len(text) == -(-8 * len(data) // 5)
    assert crockford.decode(text) == crockford.decode(text, len(data)) == data
    assert crockford.decode(text.lower()) == data
    assert crockford.decode(text.translate(str.maketrans("01V", "OLU"))) == data


@given(AMOUNTS)
def test_amount_round_trip(amount: Amount) -> None:
    """An amount reads back from its text, and with zeros before the number and in lower case too."""
    text = str(amount)

    assert Amount.parse(text) == amount
    assert Amount.parse(text.lower().replace(":", ":000")) == amount
    assert "." not in text or text[-1] in "123456789"
    assert Amount.from_parts(amount.currency, 0, amount.value * 10**8 + amount.fraction) == amount


@given(EUROS, EUROS)
def test_amount_arithmetic(left: Amount, right: Amount) -> None:
    """Order, sum and difference are those of exact fractions, cut to the range of amounts."""
    a, b, most = units(left), units(right), units(LARGEST)

    assert left.compare(right) == (a > b) - (a < b)
    assert (left < right, left <= right, left > right, left >= right) == (a < b, a <= b, a > b, a >= b)
    total, cut = left.add(right)
    assert (units(total), cut) == (min(a + b, most), a + b > most)
    difference, raised = left.subtract(right)
    assert (units(difference), raised) == (max(a - b, Fraction(0)), a < b)
    assert left.is_zero is (a == 0)


@given(json_values(TEXTS))
def test_canonical_json_round_trip(value: Any) -> None:
    """Canonical text reads back as the value, is its own canonical text, and does not depend on the order of keys."""
    text = contract.canonical_json(value)

    assert json.loads(text) == value
    assert contract.canonical_json(json.loads(text)) == text
    assert contract.canonical_json(reordered(value)) == text


@given(st.dictionaries(NAMES, json_values(NAMES)))
def test_contract_hash_ignores_order(terms: dict[str, Any]) -> None:
    """The order of members changes no hash, any new member does."""
    digest = contract.contract_hash(terms)

    assert len(digest) == 64
    assert contract.contract_hash(reordered(terms)) == digest
    assert contract.contract_hash({**terms, "new_" + "".join(terms): 1}) != digest


@given(st.dictionaries(NAMES, json_values(NAMES), min_size=1), TEXTS, TEXTS)
def test_salted_members(terms: dict[str, Any], salt: str, other: str) -> None:
    """The hash of a contract with a forgettable member depends on its salt."""
    name = next(iter(terms))
    salted, salted_otherwise = ({**terms, "$forgettable": {name: text}} for text in (salt, other))

    # The salt is the key of an HMAC, which is filled up with NULs.
    same = salt.rstrip("\0") == other.rstrip("\0")
    assert (contract.contract_hash(salted) == contract.contract_hash(salted_otherwise)) is same
    assert contract.contract_hash(salted) != contract.contract_hash(terms)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), st.integers(0, 511))
def test_signatures(private: bytes, digest: bytes, bit: int) -> None:
    """A signature is genuine for its own hash, and not with any bit of it flipped."""
    public = contract.public_key(private)
    signature = contract.sign_hash(private, contract.MERCHANT_PAYMENT_OK, digest)
    flipped = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(64, "big")

    assert contract.verify_hash(public, contract.MERCHANT_PAYMENT_OK, digest, signature)
    assert not contract.verify_hash(public, contract.MERCHANT_CONTRACT, digest, signature)
    assert not contract.verify_hash(public, contract.MERCHANT_PAYMENT_OK, digest, flipped)


@given(st.integers(0, 2**53 - 1) | st.just(timestamp.NEVER), st.integers(0, 999))
def test_times_round_trip(number: int, milliseconds: int) -> None:
    """Times and durations read back from what is written, also through JSON text; milliseconds are dropped."""
    assert timestamp.decode_timestamp(json.loads(json.dumps(timestamp.encode_timestamp(number)))) == number
    assert timestamp.decode_duration(json.loads(json.dumps(timestamp.encode_duration(number)))) == number
    if number < 2**43:
        assert timestamp.decode_timestamp({"t_ms": number * 1000 + milliseconds}) == number


@given(
    st.builds(taler_uri.PayUri, BASE_URLS, IDS, IDS | st.just(""), st.none() | IDS, st.none() | IDS)
    | st.builds(taler_uri.RefundUri, BASE_URLS, IDS)
    | st.builds(taler_uri.PayTemplateUri, BASE_URLS, IDS, st.dictionaries(TEXTS, TEXTS, max_size=3)),
)
def test_uri_round_trip(uri: taler_uri.PayUri | taler_uri.RefundUri | taler_uri.PayTemplateUri) -> None:
    """A URI reads back from its text, which is of the right kind and visible ASCII."""
    text = str(uri)

    assert type(uri).parse(text) == uri
    assert type(uri).parse(text + "#ssid") == uri
    assert taler_uri.classify(text) in ("taler-pay", "taler-refund", "taler-pay-template")
    assert text.isascii()
    assert text.isprintable()
