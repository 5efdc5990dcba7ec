"""The scenarios of the corpus, and more of their kind, by name; an argument follows a colon."""

from __future__ import annotations

import json
from typing import Final

from .behaviours import (
    ELSEWHERE,
    REFUNDED,
    absolute,
    bursts,
    changing,
    choice,
    claimed,
    drip,
    fails,
    first_refunded,
    floods,
    honest,
    late,
    made,
    moving,
    never_paid,
    on_get,
    on_post,
    order_status,
    paid,
    paid_elsewhere,
    paid_for,
    proved,
    resets,
    resource_name,
    says,
    silent,
    sold,
    spells,
    terms,
    unpaid,
    without,
)
from .hostile import PUBLIC, Behaviour

_EARLY_HINTS: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"

#: Who has paid for what.
_PAYMENTS: Final[dict[str, Behaviour]] = {
    "unpaid": never_paid,
    "paid": honest,
    "paid_for": paid_for,
    "paid_for_query": honest,
    "paid_amount_old_price": honest,
    "paid_other_session": paid_elsewhere,
    "claimed_always": claimed,
    "paid_then_rotate": moving(ELSEWHERE),
    "unpaid_after_paid": moving(""),
    "unpaid_already_paid": proved(lambda *_: None),
    "unpaid_already_paid_other_resource": proved(
        lambda answer, _: sold(answer["contract_terms"]).update(resource="/x")
    ),
    "unpaid_already_paid_refunded": proved(lambda answer, _: answer.update(REFUNDED)),
    "unpaid_already_paid_loop": proved(None),
    "unpaid_already_paid_id": proved(None),
}
#: Evidence for something else, or none.
_EVIDENCE: Final[dict[str, Behaviour]] = {
    "paid_contract_for": terms(lambda contract, path: sold(contract).update(resource=resource_name(path))),
    "paid_currency": terms(lambda contract, currency: contract.update(amount=f"{currency}:1")),
    "paid_amount": terms(lambda contract, amount: contract.update(amount=amount)),
    "paid_amount_json": terms(lambda contract, text: contract.update(amount=json.loads(text))),
    "paid_instance": terms(lambda contract, name: contract.update(merchant_base_url=f"{PUBLIC}instances/{name}/")),
    "paid_backend": terms(lambda contract, url: contract.update(merchant_base_url=url)),
    "paid_wrong_order_id": terms(lambda contract, _: contract.update(order_id="AN0THER0RDER")),
    "paid_no_contract": without("contract_terms"),
    "paid_no_extra": terms(lambda contract, _: contract.pop("extra")),
    "paid_fulfillment": terms(lambda contract, url: contract.update(fulfillment_url=absolute(url))),
    "paid_v1_choice_right": choice(0),
    "paid_v1_choice_cheap": choice(1),
    "paid_v1_choice_beyond": choice(2),
    "paid_v1_no_choice": choice(None),
    "paid_no_refunded_key": without("refunded"),
    "paid_refunded_string": paid(refunded="false"),
    "paid_pending_string": paid(refund_pending="false"),
    "paid_settled": terms(
        lambda contract, _: contract.update(refund_deadline={"t_s": 1}, wire_transfer_deadline={"t_s": 1})
    ),
    "refunded_full": paid(**REFUNDED),
    "refunded_partial": paid(**REFUNDED | {"refund_amount": "EUR:0.5"}),
    "refunded_zero": paid(**REFUNDED | {"refund_amount": "EUR:0"}),
    "refund_too_large": paid(**REFUNDED | {"refund_amount": "EUR:99"}),
    "refund_unsaid": paid(refund_amount="EUR:0.5"),
    "refund_currency": paid(refund_amount="KUDOS:1"),
    "refund_malformed": paid(refund_amount="a lot"),
    "refund_pending": paid(**REFUNDED | {"refund_pending": True}),
    "paid_then_refunded": changing("paid", lambda answer, _: answer.update(REFUNDED), first=2),
    "paid_then_refunded_two_workers": changing("paid", lambda answer, _: answer.update(REFUNDED), first=3),
    "refund_during_stream": changing("paid", lambda answer, _: answer.update(REFUNDED), first=2),
    "refunded_then_new_order_paid": first_refunded,
    "status_case": order_status('"PAID"'),
    "status_true": order_status("true"),
    "status_list": order_status('["paid"]'),
    "status_missing": without("order_status"),
}
#: Where readers are sent to pay, and what is said of new orders.
_ORDERS: Final[dict[str, Behaviour]] = {
    "status_url": unpaid("order_status_url"),
    "status_url_long": unpaid("order_status_url", lambda _: f"{PUBLIC}orders/{'x' * 20_000}"),
    "status_url_json": unpaid("order_status_url", json.loads),
    "pay_uri": unpaid("taler_pay_uri"),
    "post_order_id": made("order_id"),
    "post_order_id_crlf": made("order_id", lambda _: "ORDER\r\nX-Y: z"),
    "post_order_id_long": made("order_id", lambda _: "0" * 10_000),
    "post_order_id_int": made("order_id", lambda _: 7),
    "post_ok_get_500": on_get(fails(500)),
    "post_500": on_post(fails(500)),
    "post_401": on_post(fails(401)),
    "post_409_exists": on_post(fails(409, 2503)),
    "post_409": on_post(fails(409, 2514)),
    "post_410": on_post(fails(410)),
    "post_413": on_post(fails(413)),
    "post_429": on_post(fails(429, 0, "Retry-After: 99999")),
    "post_451": on_post(fails(451)),
    "post_302": on_post(fails(302, 0, "Location: /thief")),
    "post_html": on_post(says(b"<html>", media_type="text/html")),
}
#: Statuses and bodies that are no answer.
_BODIES: Final[dict[str, Behaviour]] = {
    **{f"http_{status}": on_get(fails(status)) for status in (400, 401, 403, 408, 410, 418, 429, 500, 502, 503, 504)},
    "http_404": on_get(fails(404, 2005)),
    "http_404_instance": on_get(fails(404, 2000)),
    "http_404_html": on_get(says(b"<html>", 404, media_type="text/html")),
    **{f"http_{code}": on_get(fails(code, 0, "Location: /thief")) for code in (301, 302, 303, 307, 308)},
    "http_204": on_get(lambda *_: [b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"]),
    "http_200_html": on_get(says(b"<html>log in to the network</html>", media_type="text/html")),
    **{f"paid_http_{status}": on_get(spells(bytes, status)) for status in (201, 203, 402, 404, 500)},
    "body_empty": on_get(says(b"")),
    "body_100mb": on_get(floods),
    "body_truncated": on_get(lambda whole, _: [whole[:-1]]),
    "body_text": on_get(spells(bytes, media_type="text/plain")),
    "body_untyped": on_get(spells(bytes, media_type="")),
    "body_latin1": on_get(spells(bytes, media_type="application/json; charset=latin-1")),
    "body_gzip": on_get(lambda whole, _: [whole.replace(b"\r\n", b"\r\nContent-Encoding: gzip\r\n", 1)]),
    "body_chunks_broken": on_get(
        lambda *_: [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"]
    ),
    "body_two_lengths": on_get(lambda whole, _: [whole.replace(b"\r\n", b"\r\nContent-Length: 2\r\n", 1)]),
    "gzip_bomb": on_get(bursts),
    "json_malformed": on_get(spells(lambda body: body[:-1])),
    "json_trailing": on_get(spells(lambda body: body + b"{}")),
    "json_string": on_get(says(b'"paid"')),
    "json_null": on_get(says(b"null")),
    "json_list": on_get(spells(lambda body: b"[" + body + b"]")),
    "json_dup_keys": on_get(spells(lambda body: body.replace(b"{", b'{"order_status": "unpaid", ', 1))),
    "json_dup_keys_within": on_get(spells(lambda body: body.replace(b'"amount"', b'"amount": "EUR:9", "amount"', 1))),
    "json_bigint": on_get(spells(lambda body: body.replace(b"{", b'{"x": ' + b"9" * 5000 + b", ", 1))),
    "json_nan": on_get(spells(lambda body: body.replace(b"{", b'{"x": NaN, ', 1))),
    "json_infinity": on_get(spells(lambda body: body.replace(b"{", b'{"x": -Infinity, ', 1))),
    "json_deep": on_get(
        spells(lambda body: body.replace(b"{", b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b", ", 1))
    ),
    "json_utf16": on_get(spells(lambda body: body.decode().encode("utf-16"))),
    "json_bom": on_get(spells(lambda body: b"\xef\xbb\xbf" + body)),
    "json_not_utf8": on_get(spells(lambda body: body.replace(b"{", b'{"x": "\xff", ', 1))),
}
#: Connections that are of no use. Some of these are addresses, where nothing is asked: see `test_backend`.
_CONNECTIONS: Final[dict[str, Behaviour]] = {
    "latency_3s": late,
    "hang": silent,
    "drip_headers": drip(b"HTTP/1.1 200 OK\r\n"),
    "drip_body": drip(b"\r\n\r\n"),
    "close_early": on_get(lambda *_: []),
    "close_post": on_post(lambda *_: []),
    "reset": on_get(resets),
    "not_http": on_get(lambda *_: [b"SSH-2.0-OpenSSH_9.2\r\n"]),
    "no_status_line": on_get(lambda whole, _: [whole.partition(b"\r\n\r\n")[2]]),
    "header_flood": on_get(lambda whole, _: [whole.replace(b"\r\n", b"\r\nX: " + b"y" * 200_000 + b"\r\n", 1)]),
    "early_hints": on_get(lambda whole, _: [_EARLY_HINTS * 100 + whole]),
    **dict.fromkeys(("connect_hang", "conn_refused", "breaker_open", "dns_fail", "tls_bad"), honest),
}
SCENARIOS: Final = _PAYMENTS | _EVIDENCE | _ORDERS | _BODIES | _CONNECTIONS
