"""The sandbox as a merchant backend of 2022 and of 2021 (merchant API, section 11)."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from taler_paywall import contract, crockford

from .shop import HTML, REFUNDABLE, Process, Shop, coin, fresh_url, pay_uri
from .test_access import basic
from .traffic import answered, empty, led, refused, showed

OLD_REFUNDABLE = {"2022": REFUNDABLE, "2021": {"refund_delay": {"d_ms": 300_000}}}


class OldShop(Shop):
    """The merchant's side of a backend of an older generation."""

    generation: str

    @property
    def is_2021(self) -> bool:
        return self.generation == "2021"

    def with_milliseconds(self, time_or_duration: dict[str, Any]) -> dict[str, Any]:
        """Return what this generation writes where today's has seconds or microseconds."""
        [(name, value)] = time_or_duration.items()
        if not self.is_2021:
            return {name: value}
        factor = {"t_s": 1000, "d_us": 0.001}[name]
        return {name: value, name[0] + "_ms": value if isinstance(value, str) else int(value * factor)}


@pytest.fixture(scope="module", params=["2022", "2021"])
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldShop]:
    options = ("--port", "0", "--generation", request.param, "--instance", "other=secret-token:other")
    process = Process(*options, state_home=tmp_path_factory.mktemp("state"))
    opened = OldShop(process.url)
    opened.generation = request.param
    yield opened
    opened.http.close()
    assert process.stop() == 0


def test_config(old: OldShop) -> None:
    """The configuration has three members, and the version of that time."""
    version = "2:0:2" if old.is_2021 else "3:0:3"
    config = answered(old.http.get("config"), 200, version=version, name="taler-merchant", currency="KUDOS")
    assert len(config) == 3


def test_today_is_the_default(shop: Shop) -> None:
    """Without the option the sandbox speaks as backends do now."""
    config = answered(shop.http.get("config"), 200, version="26:0:14", currencies=dict)
    assert config["default_pay_delay"] == {"d_us": 86_400_000_000}


def test_made_orders(old: OldShop) -> None:
    """The answer names the order and its token, and no deadline yet."""
    made = answered(old.post_order(), 200, order_id=str, token=str)
    assert set(made) == {"order_id", "token"}


def test_unpaid(old: OldShop) -> None:
    """The status of an unpaid order has no contract terms yet."""
    made = old.order()
    answer = old.http.get(f"private/orders/{made['order_id']}?session_id=one", headers=old.owner)
    found = answered(answer, 200, order_status="unpaid", taler_pay_uri=pay_uri(old, made, "one"))
    assert found["order_status_url"] == f"{old.url}orders/{made['order_id']}?token={made['token']}&session_id=one"
    assert "proto_contract_terms" not in found
    assert found["creation_time"] == old.with_milliseconds({"t_s": found["creation_time"]["t_s"]})
    assert abs(found["creation_time"]["t_s"] - time.time()) < 10


def test_claimed(old: OldShop) -> None:
    """The status of a claimed order has the contract terms and nothing else."""
    made = old.order()
    claimed = old.claim(made)
    found = old.status(made["order_id"])
    assert found == {"order_status": "claimed", "contract_terms": claimed["contract_terms"]}
    assert old.status(made["order_id"], session_id="one") == found


def test_paid(old: OldShop) -> None:
    """The status of a paid order has the exchange's fields under their old names only."""
    found = old.status(old.bought()["order_id"])
    assert (found["order_status"], found["exchange_ec"], found["exchange_hc"]) == ("paid", 0, 0)
    later = {"exchange_code", "exchange_http_status", "last_payment", "choice_index", "proto_contract_terms"}
    assert not later & set(found)
    assert {"refunded", "refund_pending", "wired", "deposit_total", "refund_amount", "contract_terms"} < set(found)
    assert {"wire_details", "wire_reports", "refund_details", "order_status_url"} < set(found)


def test_paid_is_answered_without_a_body(old: OldShop) -> None:
    """A proof of payment is answered with 204, and takes the purchase to the new session as ever."""
    bought = old.bought("one")
    proof = {"sig": bought["sig"], "h_contract": bought["h_contract"], "session_id": "two"}
    answer = old.post(bought["order_id"], "paid", proof)
    empty(answer, 204)
    assert not {"content-length", "content-type"} & set(answer.headers)
    assert old.status(bought["order_id"], session_id="two")["order_status"] == "paid"
    assert old.status(bought["order_id"], session_id="one")["order_status"] == "claimed"
    forged = {**proof, "sig": crockford.encode(bytes(64))}
    refused(old.post(bought["order_id"], "paid", forged), 403, 2201)


def test_contracts_are_of_their_time(old: OldShop) -> None:
    """The contract has the wire fees and the times of that time, and its hash is that of what is served."""
    times: dict[str, Any] = {"auto_refund": {"d_us": 3_000_000}, "products": [{"made": {"t_s": 7}}]}
    made = old.order(extra={"when": {"t_s": 5}}, **times)
    claimed = old.claim(made)
    terms = claimed["contract_terms"]
    assert (terms["max_wire_fee"], terms["wire_fee_amortization"], terms["auditors"]) == ("KUDOS:0", 1, [])
    assert "priority" not in terms["exchanges"][0]
    for name in ("timestamp", "pay_deadline", "refund_deadline", "wire_transfer_deadline"):
        assert terms[name] == old.with_milliseconds({"t_s": terms[name]["t_s"]})
    assert terms["auto_refund"] == old.with_milliseconds({"d_us": 3_000_000})
    assert terms["products"] == [{"made": old.with_milliseconds({"t_s": 7})}]
    assert terms["extra"] == {"when": {"t_s": 5}}
    key = crockford.decode(terms["merchant_pub"])
    digest, signature = contract.contract_hash(terms), crockford.decode(claimed["sig"])
    assert contract.verify_hash(key, contract.MERCHANT_CONTRACT, digest, signature)
    assert old.status(made["order_id"])["contract_terms"] == terms


def test_wire_fees_are_taken_from_the_order(old: OldShop, shop: Shop) -> None:
    """What the order says of wire fees is in the contract, if it makes sense; today nobody reads it."""
    fees: dict[str, Any] = {"max_wire_fee": "KUDOS:0.10", "wire_fee_amortization": 7}
    terms = old.claim(old.order(**fees))["contract_terms"]
    assert (terms["max_wire_fee"], terms["wire_fee_amortization"]) == ("KUDOS:0.1", 7)
    refused(old.post_order(max_wire_fee="EUR:1"), 400, 30)
    refused(old.post_order(max_wire_fee=1), 400, 26)
    refused(old.post_order(wire_fee_amortization="x"), 400, 26)
    assert not set(fees) & set(shop.claim(shop.order(**fees))["contract_terms"])


def test_history(old: OldShop) -> None:
    """Entries say nothing of refunds, and the query has the names of that time."""
    made = [old.order()["order_id"] for _ in range(3)]
    newest = answered(old.http.get("private/orders?delta=-2", headers=old.owner), 200, orders=list)["orders"]
    assert [entry["order_id"] for entry in newest] == made[:0:-1]
    names = {"order_id", "row_id", "timestamp", "amount", "summary", "refundable", "paid"}
    assert set(newest[0]) == names
    assert newest[0]["timestamp"] == old.with_milliseconds({"t_s": newest[0]["timestamp"]["t_s"]})
    query = f"delta=-1&start={newest[0]['row_id']}"
    older = old.http.get(f"private/orders?{query}", headers=old.owner).json()["orders"]
    assert [entry["order_id"] for entry in older] == [made[1]]
    # The later names mean nothing yet.
    ignored = old.http.get("private/orders?limit=1&delta=-2&summary_filter=no", headers=old.owner).json()["orders"]
    assert ignored == newest


def test_history_begins_with_the_newest(old: OldShop) -> None:
    """Without parameters the last twenty orders come, newest first."""
    made = [old.order()["order_id"] for _ in range(21)]
    entries = answered(old.http.get("private/orders", headers=old.owner), 200, orders=list)["orders"]
    assert [entry["order_id"] for entry in entries] == made[:0:-1]


def test_coins_of_that_time(old: OldShop) -> None:
    """The signature of a coin was a text of its own before there was more than one kind."""
    made = old.order()
    old.claim(made)
    coins = [coin(ub_sig=crockford.encode(bytes(256)))]
    answered(old.post(made["order_id"], "pay", {"coins": coins, "session_id": "s"}), 200, sig=str)


def test_a_shop_that_writes_milliseconds(old: OldShop) -> None:
    """A shop of 2021 sends its deadlines in milliseconds, and reads them back to know what can be refunded."""
    now = int(time.time())
    body = {"refund_delay": {"d_ms": 120_000}}
    if not old.is_2021:
        refused(old.post_order(body=body), 400, 26)
        return
    made = old.order(body=body, wire_transfer_deadline={"t_ms": 1000 * (now + 450)}, extra={"article_name": "x"})
    old.claim(made)
    old.post(made["order_id"], "pay", {"coins": [coin()], "session_id": "s"})
    terms = old.status(made["order_id"], session_id="s")["contract_terms"]
    assert terms["wire_transfer_deadline"] == {"t_s": now + 450, "t_ms": 1000 * (now + 450)}
    assert 110_000 < terms["refund_deadline"]["t_ms"] - 1000 * now < 130_000
    answered(old.refund(made["order_id"], "KUDOS:5"), 200, taler_refund_uri=str)


def test_missing_and_wrong_tokens_have_the_old_code(old: OldShop) -> None:
    """Requests without authority get 2015."""
    refused(old.http.get("private/orders"), 401, 2015)
    refused(old.http.get("private/orders", headers={"Authorization": "Bearer x"}), 401, 2015)


@pytest.mark.parametrize(
    ("request_of", "status", "code"),
    [
        ({"amount": "EUR:5"}, 400, 30),
        ({"pay_deadline": {"t_s": 1}}, 400, 2502),
        ({"refund_deadline": {"t_s": 1}}, 400, 2502),
        ({"version": 1, "choices": [{"amount": "KUDOS:1"}], "amount": None}, 400, 25),
    ],
)
def test_errors_that_came_later_have_older_codes(
    old: OldShop, request_of: dict[str, Any], status: int, code: int
) -> None:
    """Codes that were not in the list yet are not sent."""
    refused(old.post_order(**request_of), status, code)


def test_compressed_bodies(old: OldShop) -> None:
    """Compression is undone at the edge, and what cannot be undone is no JSON."""
    body = {"order": {"summary": "s", "amount": "KUDOS:1", "version": 1, "choices": []}, "otp_id": "later"}
    headers = {**old.owner, "Content-Encoding": "gzip"}
    content = gzip.compress(json.dumps(body).encode())
    answered(old.http.post("private/orders", content=content, headers=headers), 200, order_id=str)
    refused(old.http.post("private/orders", content=content[:-1], headers=headers), 400, 22)
    refused(old.http.post("private/orders", content=gzip.compress(bytes(2**21)), headers=headers), 413, 32)


def test_the_default_instance_has_its_old_address(old: OldShop) -> None:
    """/instances/default/… is answered like the root, and admin is nobody yet."""
    made = old.order()
    path = f"orders/{made['order_id']}"
    found = old.http.get(f"instances/default/private/{path}", headers=old.owner)
    answered(found, 200, order_status="unpaid", taler_pay_uri=pay_uri(old, made))
    answered(old.http.get(f"instances/default/{path}?token={made['token']}"), 402, taler_pay_uri=pay_uri(old, made))
    posted = {"order": {"summary": "s", "amount": "KUDOS:1"}}
    assert old.http.post("instances/default/private/orders", json=posted, headers=old.owner).status_code == 200
    refused(old.http.get("instances/default/private/orders"), 401, 2015)
    refused(old.http.get("instances/default/instances/config"), 404, 21)
    refused(old.http.get("instances/default/instances/other/config"), 404, 21)
    refused(old.http.get("instances/admin/config"), 404, 2000)
    refused(old.http.get("instances/nobody/config"), 404, 2000)


def test_other_instances_are_translated_too(old: OldShop) -> None:
    """What holds for the default instance holds for the others."""
    assert len(old.http.get("instances/other/config").json()) == 3
    refused(old.http.get("instances/other/private/orders", headers=old.owner), 401, 2015)
    owner = {"Authorization": "Bearer secret-token:other"}
    order = {"order": {"summary": "s", "amount": "KUDOS:1"}}
    answer = old.http.post("instances/other/private/orders", json=order, headers=owner)
    assert set(answered(answer, 200, order_id=str)) == {"order_id", "token"}


def test_endpoints_that_came_later_are_unknown(old: OldShop) -> None:
    """There are no sessions, no unclaim and no login tokens."""
    made = old.order()
    refused(old.http.get("sessions/x", params={"fulfillment_url": fresh_url()}), 404, 21)
    refused(old.post(made["order_id"], "unclaim", {}), 404, 21)
    for prefix in ("", "instances/default/"):
        refused(old.http.post(f"{prefix}private/token", json={"scope": "all"}, headers=basic()), 404, 21)
    refused(old.http.delete("private/token", headers=old.owner), 404, 21)
    refused(old.http.get("private/tokens", headers=old.owner), 404, 21)
    refused(old.http.delete("private/tokens/1", headers=old.owner), 404, 21)


def test_refunded_purchases_are_named(old: OldShop) -> None:
    """A refunded order counts as already paid, in spite of what a query says that nobody reads yet."""
    url = fresh_url()
    bought = old.bought("r", fulfillment_url=url, body=OLD_REFUNDABLE[old.generation])
    assert old.refund(bought["order_id"], "KUDOS:1").status_code == 200
    made = old.order(fulfillment_url=url)
    flag = "allow_refunded_for_repurchase"
    queries: list[dict[str, Any]] = [{}, {flag: "no"}, {flag: "maybe"}]
    for query in queries:
        assert old.status(made["order_id"], session_id="r", **query)["already_paid_order_id"] == bought["order_id"]
        public = old.public(made["order_id"], token=made["token"], session_id="r", **query)
        answered(public, 402, already_paid_order_id=bought["order_id"])
    page = old.public(made["order_id"], token=made["token"], session_id="r", headers=HTML)
    led(page, 302, url)


def test_refunds(old: OldShop) -> None:
    """Refunds are granted and handed out, with the times of that time."""
    bought = old.bought(body=OLD_REFUNDABLE[old.generation])
    answered(old.refund(bought["order_id"], "KUDOS:1"), 200, taler_refund_uri=str, h_contract=bought["h_contract"])
    [detail] = old.status(bought["order_id"])["refund_details"]
    assert detail["timestamp"] == old.with_milliseconds({"t_s": detail["timestamp"]["t_s"]})
    answer = old.post(bought["order_id"], "refund", {"h_contract": bought["h_contract"]})
    [refund] = answered(answer, 200, refund_amount="KUDOS:1", refunds=list)["refunds"]
    assert refund["execution_time"] == old.with_milliseconds({"t_s": refund["execution_time"]["t_s"]})


def test_pages_are_left_alone(old: OldShop) -> None:
    """Pages, redirects and their buttons work as ever."""
    made = old.order()
    public: dict[str, Any] = {"token": made["token"], "session_id": "page"}
    showed(old.public(made["order_id"], headers=HTML, **public), 402, pay_uri(old, made, "page"))
    form = {"instance": "default", "order_id": made["order_id"], **public}
    assert old.http.post("sandbox/pay", data=form).status_code == 303
    assert old.status(made["order_id"], session_id="page")["order_status"] == "paid"
    showed(old.public(made["order_id"], headers=HTML, **public), 200, "play money")


def test_a_long_poll_is_translated_when_it_ends(old: OldShop) -> None:
    """A request that waits ends with the payment, in the form of that time."""
    bought = old.bought("one")
    proof = {"sig": bought["sig"], "h_contract": bought["h_contract"], "session_id": "two"}
    path = f"private/orders/{bought['order_id']}?session_id=two&timeout_ms=300"
    assert set(old.http.get(path, headers=old.owner).json()) == {"order_status", "contract_terms"}
    empty(old.post(bought["order_id"], "paid", proof), 204)
    answered(old.http.get(path.replace("=300", "=20000"), headers=old.owner), 200, order_status="paid", exchange_hc=0)


def test_head_and_options(old: OldShop) -> None:
    """The other methods are answered with the right headers too."""
    head = old.http.head("config")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(old.http.get("config").content))
    assert head.headers["access-control-allow-origin"] == "*"
    assert old.http.options("config").status_code == 204


@pytest.mark.parametrize("generation", ["2022", "2021"])
def test_contracts_keep_their_form_whoever_serves_them(processes: Any, tmp_path: Any, generation: str) -> None:
    """An order made by today's sandbox is claimed, with a good signature, from an old one with its state."""
    options = ("--port", "0", "--state", str(tmp_path / "state"))
    process = processes(*options)
    first = Shop(process.url)
    made = first.order()
    first.http.close()
    process.stop()
    second = Shop(processes(*options, "--generation", generation).url)
    claimed = second.claim(made)
    key, signature = crockford.decode(claimed["contract_terms"]["merchant_pub"]), crockford.decode(claimed["sig"])
    digest = contract.contract_hash(claimed["contract_terms"])
    assert contract.verify_hash(key, contract.MERCHANT_CONTRACT, digest, signature)
    second.http.close()
