"""Every published and recomputed vector of the codecs, in both directions where there are two."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from taler_paywall import contract, crockford, taler_uri, timestamp
from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "data" / "vectors.json").read_text(encoding="utf-8")
)


def each(*sections: str) -> pytest.MarkDecorator:
    """Run a test once for every vector of the sections."""
    vectors = [vector for section in sections for vector in VECTORS[section]]
    return pytest.mark.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])


def good(section: str, *, fault: str = "error") -> pytest.MarkDecorator:
    """Run a test once for every vector of the section that is not refused."""
    vectors = [vector for vector in VECTORS[section] if not refused(vector, fault)]
    return pytest.mark.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])


def bad(section: str, reasons: dict[str, str], *, fault: str = "error") -> pytest.MarkDecorator:
    """Run a test once for every refused vector of the section, with the reason that it must be refused for."""
    vectors = [vector for vector in VECTORS[section] if refused(vector, fault)]
    # A vector without a reason, or a reason without a vector, is a hole in the test.
    if {vector["name"] for vector in vectors} != set(reasons):
        raise AssertionError(section)
    return pytest.mark.parametrize(
        ("vector", "reason"), [pytest.param(vector, reasons[vector["name"]], id=vector["name"]) for vector in vectors]
    )


def refused(vector: dict[str, Any], fault: str) -> bool:
    """Whether a vector expects a refusal."""
    return bool(vector["expected"].get("error")) or vector["expected"].get(fault) is False


@each("contract_hash")
def test_contract_hash(vector: dict[str, Any]) -> None:
    """A contract hashes to the published 64 bytes."""
    expected = vector["expected"]

    digest = contract.contract_hash(vector["inputs"]["contract_terms"])

    assert digest.hex() == expected["h_contract_hex"]
    assert crockford.encode(digest) == expected["h_contract_crock"]
    assert crockford.decode(expected["h_contract_crock"], 64) == digest


@each("contract_hash")
def test_canonical_json(vector: dict[str, Any]) -> None:
    """The scrubbed contract has the canonical text of the vector, and it alone gives the hash."""
    expected = vector["expected"]
    scrubbed = json.loads(expected["scrubbed_canonical_json"])

    text = contract.canonical_json(scrubbed)

    assert text == expected["scrubbed_canonical_json"]
    assert len(text.encode()) + 1 == expected["hashed_bytes_length"]
    assert hashlib.sha512(text.encode() + b"\0").hexdigest() == expected["h_contract_hex"]
    assert contract.contract_hash(scrubbed).hex() == expected["h_contract_hex"]


@bad(
    "contract_hash_invalid",
    {
        "float-value": "must be an integer",
        "unsafe-integer": r"within \+-\(2\*\*53 - 1\)",
        # The C backend allows this name; wallets of 2022 do not, and it is wallets that have to pay.
        "key-with-dash": "member name .*'de-CH'",
        "unknown-dollar-key": r"member name .*'\$foo'",
        "forgettable-without-salt": "salt of the forgettable member a must be a text",
        "forgettable-names-missing-field": "forgettable member a is absent",
        "forgotten-but-present": "forgotten member a is still present",
        "forgotten-hash-wrong-size": "hash of the forgotten member a is malformed: .*103 characters, not 52",
    },
    fault="wellformed_per_wallet",
)
def test_contract_hash_invalid(vector: dict[str, Any], reason: str) -> None:
    """A malformed contract is refused, with the reason."""
    with pytest.raises(CodecError, match=reason):
        contract.contract_hash(vector["inputs"]["contract_terms"])


@each("crockford_encode")
def test_crockford_encode(vector: dict[str, Any]) -> None:
    """Bytes have the base32 text of the vector, which reads back."""
    inputs, expected = vector["inputs"], vector["expected"]
    if "bytes_hex" in inputs:
        data = bytes.fromhex(inputs["bytes_hex"])
    else:
        data = hashlib.sha512(crockford.decode(inputs["sha512_of_crock"])).digest()

    text = crockford.encode(data)

    assert text == expected["crock"]
    assert len(text) == expected.get("length", len(text))
    assert crockford.decode(text) == data
    assert crockford.decode(text, len(data)) == data


@each("crockford_decode")
def test_crockford_decode(vector: dict[str, Any]) -> None:
    """Base32 text gives the bytes of the vector, whose own text gives the same bytes."""
    expected = vector["expected"]

    data = crockford.decode(vector["inputs"]["crock"])

    assert data.hex() == expected["bytes_hex"]
    assert len(data) == expected["length"]
    assert crockford.decode(crockford.encode(data), expected["length"]) == data


@bad(
    "crockford_decode_invalid",
    {
        "bad-ABC=": "'=' at position 3",
        "bad-AB CD": "' ' at position 2",
        "bad-AB-CD": "'-' at position 2",
        "bad-ÄÖ": r"'\\xc4' at position 0",
        "bad-A+B": r"'\+' at position 1",
        "bad-A/B": "'/' at position 1",
    },
)
def test_crockford_decode_invalid(vector: dict[str, Any], reason: str) -> None:
    """A foreign character is refused by name and place."""
    with pytest.raises(CodecError, match=reason):
        crockford.decode(vector["inputs"]["crock"])


@pytest.mark.parametrize("text", ["", "000G40R40M30E209185GR38E1", "000G40R40M30E209185GR38E1W0"])
def test_crockford_size(text: str) -> None:
    """Text of another length than the wanted bytes have is refused."""
    with pytest.raises(CodecError, match=f"16 bytes has 26 characters, not {len(text)}"):
        crockford.decode(text, 16)


@pytest.mark.parametrize("text", ["\u0663\u0664", "1_0", "-1", " 1", "1\n", "\0", "\u017f0", "\u01310"])
def test_crockford_decodes_ascii_only(text: str) -> None:
    """Characters that Python's own readers of numbers would take are refused."""
    with pytest.raises(CodecError, match="is not a base32 character"):
        crockford.decode(text)


@each("eddsa_keys")
def test_eddsa_keys(vector: dict[str, Any]) -> None:
    """A private key has the public key of the vector, and both have its text."""
    inputs, expected = vector["inputs"], vector["expected"]
    private = bytes.fromhex(inputs["priv_hex"])

    public = contract.public_key(private)

    assert public.hex() == expected["pub_hex"]
    assert crockford.encode(private) == inputs["priv_crock"]
    assert crockford.encode(public) == expected["pub_crock"]
    assert crockford.decode(inputs["priv_crock"], 32) == private
    assert crockford.decode(expected["pub_crock"], 32) == public


@each("payment_response_sig", "contract_sig")
def test_verify_hash(vector: dict[str, Any]) -> None:
    """A signature is genuine exactly where the vector says so."""
    inputs, expected = vector["inputs"], vector["expected"]
    signature = crockford.decode(expected.get("sig_crock") or inputs["sig_crock"], 64)
    merchant = crockford.decode(inputs["merchant_pub_crock"], 32)
    digest = crockford.decode(inputs["h_contract_crock"], 64)

    assert signature.hex() == (expected.get("sig_hex") or inputs["sig_hex"])
    assert contract.verify_hash(merchant, inputs["purpose"], digest, signature) is expected["valid"]


# Negative vectors carry a finished signature and no private key.
SIGNED = [v for s in ("payment_response_sig", "contract_sig") for v in VECTORS[s] if v["expected"]["valid"]]


@pytest.mark.parametrize("vector", SIGNED, ids=[vector["name"] for vector in SIGNED])
def test_sign_hash(vector: dict[str, Any]) -> None:
    """Signing gives the signature of the vector, which belongs to its key, purpose and hash only."""
    inputs = vector["inputs"]
    private, merchant = bytes.fromhex(inputs["merchant_priv_hex"]), bytes.fromhex(inputs["merchant_pub_hex"])
    digest, purpose = bytes.fromhex(inputs["h_contract_hex"]), inputs["purpose"]

    signature = contract.sign_hash(private, purpose, digest)

    assert signature.hex() == vector["expected"]["sig_hex"]
    assert crockford.encode(signature) == vector["expected"]["sig_crock"]
    assert purpose in (contract.MERCHANT_CONTRACT, contract.MERCHANT_PAYMENT_OK)
    assert contract.verify_hash(merchant, purpose, digest, signature)
    assert not contract.verify_hash(merchant, purpose + 1, digest, signature)
    assert not contract.verify_hash(merchant, purpose, digest[::-1] if any(digest) else b"\1" * 64, signature)
    assert not contract.verify_hash(contract.public_key(b"\7" * 32), purpose, digest, signature)
    assert not contract.verify_hash(merchant, purpose, digest, signature[:-1])
    assert not contract.verify_hash(merchant, purpose, digest, b"")


def test_sizes_of_keys_and_hashes() -> None:
    """Keys and hashes of the wrong size are refused, and each is named."""
    with pytest.raises(CodecError, match="private key has 32 bytes, not 31"):
        contract.public_key(b"\0" * 31)
    with pytest.raises(CodecError, match="contract hash has 64 bytes, not 32"):
        contract.sign_hash(b"\0" * 32, contract.MERCHANT_CONTRACT, b"\0" * 32)
    with pytest.raises(CodecError, match="public key has 32 bytes, not 64"):
        contract.verify_hash(b"\0" * 64, contract.MERCHANT_CONTRACT, b"\0" * 64, b"\0" * 64)


@each("taler_uri_classify")
def test_classify(vector: dict[str, Any]) -> None:
    """A URI is of the kind of the vector."""
    assert taler_uri.classify(vector["inputs"]["uri"]) == vector["expected"]["kind"]


@good("taler_pay_uri", fault="ok")
def test_pay_uri(vector: dict[str, Any]) -> None:
    """A pay URI has the parts of the vector, and the parts give a URI that reads the same."""
    expected = {name: part for name, part in vector["expected"].items() if name != "ok"}

    uri = taler_uri.PayUri.parse(vector["inputs"]["uri"])

    assert uri == taler_uri.PayUri(**expected)
    # Parsers lower scheme, action and host; ids and tokens keep their case.
    canonical = vector["inputs"]["uri"].replace("TALER://PAY/", "taler://pay/").replace("Example.COM", "example.com")
    assert str(uri) == canonical
    assert taler_uri.PayUri.parse(str(uri)) == uri


@bad(
    "taler_pay_uri",
    {
        "taler+http://pay/example.com/myorder": "lacks a slash after the order id",
        "talerfoo://": "of the kind unknown",
        "taler://refund/a/b/c/d/e/f": "of the kind taler-refund",
        "taler://pay/example.com": "lacks parts after the host",
        "https://example.com/orders/1": "of the kind unknown",
        "taler://pay-template/example.com/t1": "of the kind taler-pay-template",
        "(empty)": "of the kind unknown",
    },
    fault="ok",
)
def test_pay_uri_invalid(vector: dict[str, Any], reason: str) -> None:
    """A text that is no pay URI is refused, with the reason."""
    with pytest.raises(CodecError, match=reason):
        taler_uri.PayUri.parse(vector["inputs"]["uri"])


@good("taler_refund_uri", fault="ok")
def test_refund_uri(vector: dict[str, Any]) -> None:
    """A refund URI has the parts of the vector, and the parts give the URI."""
    expected = vector["expected"]

    uri = taler_uri.RefundUri.parse(vector["inputs"]["uri"])

    assert uri == taler_uri.RefundUri(expected["merchant_base_url"], expected["order_id"])
    assert str(uri) == vector["inputs"]["uri"]


@bad(
    "taler_refund_uri",
    {
        "taler://refund/merchant.example.com/1234": "lacks a slash after the order id",
        "taler://pay/merchant.example.com/1234/": "of the kind taler-pay",
    },
    fault="ok",
)
def test_refund_uri_invalid(vector: dict[str, Any], reason: str) -> None:
    """A text that is no refund URI is refused, with the reason."""
    with pytest.raises(CodecError, match=reason):
        taler_uri.RefundUri.parse(vector["inputs"]["uri"])


@good("taler_pay_template_uri", fault="ok")
def test_pay_template_uri(vector: dict[str, Any]) -> None:
    """A template URI has the parts of the vector, and the parts give the URI."""
    expected = {name: part for name, part in vector["expected"].items() if name != "ok"}

    uri = taler_uri.PayTemplateUri.parse(vector["inputs"]["uri"])

    assert uri == taler_uri.PayTemplateUri(**expected)
    assert hash(uri) == hash(taler_uri.PayTemplateUri(**expected))
    assert str(uri) == vector["inputs"]["uri"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "must be a text, not NoneType"),
        ("taler://pay/example.com/o/ s", "without blanks"),
        ("taler://pay/example.com/o/s\n", "without blanks"),
        ("taler://pay/exämple.com/o/", "printable ASCII"),
        ("taler://pay/user@example.com/o/", "without a user name"),
        ("taler://pay//o/", "host must be"),
        ("taler://pay/example.com:0/o/", "port must be 1 to 65535"),
        ("taler://pay/example.com:65536/o/", "port must be 1 to 65535"),
        ("taler://pay/example.com//o/", "part that is empty"),
        ("taler://pay/example.com/../o/", r"\. or \.\."),
        ("taler://pay/example.com/a/%2e%2E/o/", r"\. or \.\."),
        ("taler://pay/example.com//", "the order id is empty"),
        ("taler://pay/example.com/../", "the order id .* must not be"),
        ("taler://pay/example.com/a%2Fb/", "the order id may have"),
        ("taler://pay/example.com/o/a=b", "the session id may have"),
        ("taler://pay/example.com/o/?c=", "the claim token is empty"),
        ("taler://pay/example.com/o/?c=a%2Fb", "the claim token may have"),
        ("taler://pay/example.com/o/?n=a+b", "the nonce may have"),
        ("taler://pay/example.com/o/?c=A&c=B", "given twice"),
        ("taler://pay/example.com/o/?x=%ff", "not UTF-8"),
    ],
)
def test_hostile_uris(text: object, reason: str) -> None:
    """A URI that could lead a wallet elsewhere than it seems is refused, with the reason."""
    with pytest.raises(CodecError, match=reason):
        taler_uri.PayUri.parse(text)


def test_uri_leniency() -> None:
    """Fragments, unknown parameters and the order of parameters do not matter."""
    uri = taler_uri.PayUri.parse("taler://pay/[::1]:8080/i/a%20b/o/s?n=N&x=1&y&c=C#ssid")

    assert uri == taler_uri.PayUri("https://[::1]:8080/i/a%20b/", "o", "s", "C", "N")
    assert str(uri) == "taler://pay/[::1]:8080/i/a%20b/o/s?c=C&n=N"


def test_template_params_are_text() -> None:
    """Parameters that no URI can carry are refused; all others are percent-encoded."""
    with pytest.raises(CodecError, match="lone surrogates"):
        taler_uri.PayTemplateUri("https://example.com/", "t", {"summary": "\ud800"})
    uri = taler_uri.PayTemplateUri("https://example.com/", "t", {"summary": "a b&c#ü"})
    assert str(uri) == "taler://pay-template/example.com/t?summary=a%20b%26c%23%C3%BC"
    assert taler_uri.PayTemplateUri.parse(str(uri)) == uri


@each("base_url_canonicalize")
def test_canonical_base_url(vector: dict[str, Any]) -> None:
    """A base URL has the canonical form of the vector, which stays as it is."""
    # The host keeps its case here, as in the wallet; only parsing a taler:// URI lowers it.
    canonical = taler_uri.canonical_base_url(vector["inputs"]["url"])

    assert canonical == vector["expected"]["base_url"]
    assert taler_uri.canonical_base_url(canonical) == canonical


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "host must be"),
        ("https://", "host must be"),
        ("ftp://example.com/", "must be http or https"),
        ("mailto:me", "host must be"),
        ("https://me:secret@example.com/", "without a user name"),
        ("https://example.com:http/", "host must be"),
        ("https://example.com/ /", "without blanks"),
        ("https://example.com/\n", "without blanks"),
        ("https://exämple.com/", "printable ASCII"),
        ("https://example.com/a/../b/", r"\. or \.\."),
        ("https://example.com//", "empty"),
    ],
)
def test_canonical_base_url_invalid(url: str, reason: str) -> None:
    """A text that is no base URL is refused, with the reason."""
    with pytest.raises(CodecError, match=reason):
        taler_uri.canonical_base_url(url)


@each("amount_parse")
def test_amount_parse(vector: dict[str, Any]) -> None:
    """An amount has the parts of the vector, and the parts give its canonical text."""
    expected = vector["expected"]

    amount = Amount.parse(vector["inputs"]["amount"])

    # The currency becomes upper case, as in the wallet; the C backend keeps its spelling.
    assert amount == Amount(expected["currency"], expected["value"], expected["fraction"])
    assert str(amount) == expected["canonical"]
    assert Amount.parse(str(amount)) == amount
    assert amount.is_zero is (expected["value"] == expected["fraction"] == 0)


@bad(
    "amount_parse_invalid",
    {
        '""': "colon is missing",
        '"foo:"': "value of an amount must be ASCII digits",
        '"1.0"': "colon is missing",
        '"42"': "colon is missing",
        '":1.0"': "currency of an amount must be 1 to 11",
        '":42"': "currency of an amount must be 1 to 11",
        '"EUR:.42"': "value of an amount must be ASCII digits",
        '"EUR:42."': "fraction of an amount must be 1 to 8 ASCII digits",
        '"EUR:1,5"': "value of an amount must be ASCII digits",
        '"EUR::0.5"': "value of an amount must be ASCII digits",
        '"A:B:1.5"': "value of an amount must be ASCII digits",
        '"EUR:-1"': "value of an amount must be ASCII digits",
        '"+EUR:1"': "currency of an amount must be 1 to 11",
        '"EUR:1.0 "': "fraction of an amount must be 1 to 8 ASCII digits",
        '" EUR:1"': "currency of an amount must be 1 to 11",
        '"EUR:1e3"': "value of an amount must be ASCII digits",
        '"EUR: 1"': "value of an amount must be ASCII digits",
        '"EUR:0x10"': "value of an amount must be ASCII digits",
        '"TESTKUDOS:0.999999991"': "fraction of an amount must be 1 to 8 ASCII digits",
        '"TESTKUDOS:0.000000000"': "fraction of an amount must be 1 to 8 ASCII digits",
        '"TESTKUDOS:4503599627370497"': "value of an amount must be 0 to 4503599627370496",
        '"TESTKUDOS:4503599627370497.99999999"': "value of an amount must be 0 to 4503599627370496",
        '"EUR:99999999999999999999"': "value of an amount must be 0 to 4503599627370496",
        '"EUR:1\\n"': "value of an amount must be ASCII digits",
        # The wallet of 2022 has no limit; today's rule has.
        "currency-12-letters": "currency of an amount must be 1 to 11",
    },
)
def test_amount_parse_invalid(vector: dict[str, Any], reason: str) -> None:
    """A malformed amount is refused, with the reason."""
    with pytest.raises(CodecError, match=reason):
        Amount.parse(vector["inputs"]["amount"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "must be a text, not NoneType"),
        (1.5, "must be a text, not float"),
        ({"currency": "EUR"}, "must be a text, not dict"),
        ("EUR:\u0661", "ASCII digits"),
        ("EUR:1.\u0665", "1 to 8 ASCII digits"),
        ("\u017f\u017f\u017f:1", "ASCII letters"),
        ("EUR:" + "9" * 5000, "must be 0 to"),
    ],
)
def test_amount_parse_hostile(text: object, reason: str) -> None:
    """What other readers of numbers would take, or choke on, is refused with the reason."""
    with pytest.raises(CodecError, match=reason):
        Amount.parse(text)


@good("amount_cmp")
def test_amount_compare(vector: dict[str, Any]) -> None:
    """Two amounts compare as in the vector, and the other way round."""
    left, right = Amount.parse(vector["inputs"]["a"]), Amount.parse(vector["inputs"]["b"])
    expected = vector["expected"]["cmp"]

    assert left.compare(right) == expected
    assert right.compare(left) == -expected
    operators = (left < right, left <= right, left == right, left >= right, left > right)
    assert operators == (expected < 0, expected <= 0, expected == 0, expected >= 0, expected > 0)


@bad("amount_cmp", {"currency mismatch": "different currencies: FOO and BAR"})
def test_amount_compare_invalid(vector: dict[str, Any], reason: str) -> None:
    """Amounts of different currencies have no order, sum or difference, but are different."""
    left, right = Amount.parse(vector["inputs"]["a"]), Amount.parse(vector["inputs"]["b"])

    for operation in (left.compare, left.add, left.subtract, left.__lt__, left.__le__, left.__gt__, left.__ge__):
        with pytest.raises(CodecError, match=reason):
            operation(right)
    assert left != right


@each("amount_add")
def test_amount_add(vector: dict[str, Any]) -> None:
    """A sum is the one of the vector in either order, cut to the largest amount."""
    left, right = Amount.parse(vector["inputs"]["a"]), Amount.parse(vector["inputs"]["b"])
    expected = (Amount.parse(vector["expected"]["result"]), vector["expected"]["saturated"])

    assert left.add(right) == expected
    assert right.add(left) == expected


@each("amount_sub")
def test_amount_subtract(vector: dict[str, Any]) -> None:
    """A difference is the one of the vector, raised to zero; adding it back undoes it."""
    left, right = Amount.parse(vector["inputs"]["a"]), Amount.parse(vector["inputs"]["b"])
    expected = vector["expected"]

    difference, saturated = left.subtract(right)

    assert (str(difference), saturated) == (expected["result"], expected["saturated"])
    assert saturated or difference.add(right) == (left, False)


@each("amount_stringify")
def test_amount_stringify(vector: dict[str, Any]) -> None:
    """Parts give the text of the vector, carrying the fraction over."""
    amount = Amount.from_parts(**vector["inputs"])

    assert str(amount) == vector["expected"]["amount"]
    assert Amount.parse(str(amount)) == amount


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (("eur", 1, 0), "upper-case"),
        (("", 1, 0), "upper-case"),
        (("EUR", -1, 0), "value of an amount must be 0 to"),
        (("EUR", 2**52 + 1, 0), "value of an amount must be 0 to"),
        (("EUR", 0, 10**8), "fraction of an amount must be 0 to"),
        (("EUR", 0, -1), "fraction of an amount must be 0 to"),
        (("EUR", True, 0), "must be integers"),
    ],
)
def test_amount_parts(parts: tuple[str, int, int], reason: str) -> None:
    """Parts outside their ranges are refused, with the reason."""
    with pytest.raises(CodecError, match=reason):
        Amount(*parts)


def test_amount_from_parts_invalid() -> None:
    """Parts that cannot be carried over into an amount are refused, with the reason."""
    with pytest.raises(CodecError, match="must not be negative"):
        Amount.from_parts("EUR", 1, -1)
    with pytest.raises(CodecError, match="value of an amount must be 0 to"):
        Amount.from_parts("EUR", 2**52, 10**8)


def test_amount_zero() -> None:
    """Nothing has a currency too, which is checked."""
    assert Amount.zero("eur") == Amount("EUR", 0, 0)
    assert Amount.zero("EUR").is_zero
    with pytest.raises(CodecError, match="ASCII letters"):
        Amount.zero("E1")


@good("timestamp_decode")
def test_timestamp(vector: dict[str, Any]) -> None:
    """A timestamp is the one of the vector, and is written in today's form."""
    expected = vector["expected"]

    seconds = timestamp.decode_timestamp(vector["inputs"]["json"])

    assert seconds == (timestamp.NEVER if expected["t_s"] == "never" else expected["t_s"])
    assert timestamp.encode_timestamp(seconds) == expected


@bad(
    "timestamp_decode",
    {
        'invalid {"t_s":"forever"}': 't_s must be a whole number or "never", not str',
        'invalid {"t_s":"5"}': 't_s must be a whole number or "never", not str',
        "invalid {}": "must have the member t_s",
    },
)
def test_timestamp_invalid(vector: dict[str, Any], reason: str) -> None:
    """A malformed timestamp is refused, with the reason."""
    with pytest.raises(CodecError, match=reason):
        timestamp.decode_timestamp(vector["inputs"]["json"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (5, "must be a JSON object, not int"),
        ("never", "must be a JSON object, not str"),
        ({"t_s": True}, "not bool"),
        ({"t_s": 5.0}, "not float"),
        ({"t_s": None}, "not NoneType"),
        ({"t_s": -1}, "must be from 0 to"),
        ({"t_s": 2**53}, "must be from 0 to"),
        ({"t_ms": -1}, "t_ms must be from 0 to"),
        ({"t_ms": "5"}, "t_ms must be a whole number"),
    ],
)
def test_timestamp_strict(value: object, reason: str) -> None:
    """What is almost a timestamp is refused, with the reason."""
    with pytest.raises(CodecError, match=reason):
        timestamp.decode_timestamp(value)


@good("duration_decode")
def test_duration(vector: dict[str, Any]) -> None:
    """A duration is the one of the vector, and is written as it was."""
    expected = vector["expected"]

    microseconds = timestamp.decode_duration(vector["inputs"]["json"])

    assert microseconds == (timestamp.FOREVER if expected["d_us"] == "forever" else expected["d_us"])
    assert timestamp.encode_duration(microseconds) == expected


@bad(
    "duration_decode",
    {
        # Unlike t_ms of timestamps, the older d_ms is refused by the wallet, and so here.
        'invalid {"d_ms":1000}': "must have the member d_us",
        'invalid {"d_us":"never"}': 'd_us must be a whole number or "forever", not str',
    },
)
def test_duration_invalid(vector: dict[str, Any], reason: str) -> None:
    """A malformed duration is refused, with the reason."""
    with pytest.raises(CodecError, match=reason):
        timestamp.decode_duration(vector["inputs"]["json"])


@pytest.mark.parametrize("number", [-1, 2**53, timestamp.NEVER - 1, timestamp.NEVER + 1])
def test_times_out_of_range(number: int) -> None:
    """Numbers that JSON readers would mangle are not written."""
    with pytest.raises(CodecError, match="t_s must be from 0 to"):
        timestamp.encode_timestamp(number)
    with pytest.raises(CodecError, match="d_us must be from 0 to"):
        timestamp.encode_duration(number)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({1: 2}, "key in JSON must be a text, not int"),
        ({"a": "\ud83d"}, "lone surrogates"),
        ({"\udc00": 1}, "lone surrogates"),
        ([1.0], "must be an integer"),
        ([float("nan")], "must be an integer"),
        (-(2**53), "within"),
        ({"a": b"x"}, "bytes is not a JSON type"),
        ({"a": {1, 2}}, "set is not a JSON type"),
    ],
)
def test_canonical_json_invalid(value: object, reason: str) -> None:
    """What has no canonical text is refused, with the reason."""
    with pytest.raises(CodecError, match=reason):
        contract.canonical_json(value)


def test_canonical_json_depth() -> None:
    """Nesting that could exhaust the stack is refused."""
    value: list[Any] = []
    for _ in range(101):
        value = [value]

    with pytest.raises(CodecError, match="deeper than 100 levels"):
        contract.canonical_json(value)
    assert contract.canonical_json(value[0]).count("[") == 101


def test_canonical_json_sorts_utf16() -> None:
    """Keys beyond U+FFFF sort before U+E000 (RFC 8785, 3.2.3)."""
    assert contract.canonical_json({"\ue000": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ue000":1}'


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"$forgettable": []}, r"\$forgettable must be a JSON object, not list"),
        ({"$forgotten": None}, r"\$forgotten must be a JSON object, not NoneType"),
        ({"$forgotten": {"a": 1}}, "hash of the forgotten member a must be a text"),
        ({"$forgotten": {"a-b": "0" * 103}}, "member name"),
        ({"$forgettable": {"$forgotten": "S"}, "$forgotten": {}}, r"member name .*'\$forgotten'"),
        ({"a\n": 1}, "member name"),
        ({"l": [{"$x": 1}]}, "member name"),
    ],
)
def test_malformed_contracts(terms: dict[str, Any], reason: str) -> None:
    """Faults that the vectors leave out are refused as well, with the reason."""
    with pytest.raises(CodecError, match=reason):
        contract.contract_hash(terms)


def test_scrubbing_leaves_the_contract_alone() -> None:
    """Hashing does not change the caller's contract, and an empty list of forgettables counts as none."""
    terms = {"a": [{"b": 1, "$forgettable": {"b": "S"}}], "$forgettable": {}}
    before = json.dumps(terms)

    digest = contract.contract_hash(terms)

    assert json.dumps(terms) == before
    assert digest == contract.contract_hash({"a": terms["a"]})
