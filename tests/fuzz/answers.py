"""Answers of a backend of any kind: nothing opens without full evidence, and nothing breaks the flow."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from core.script import (
    BACKEND,
    EXISTS,
    NOW,
    OFFER,
    RESOURCE,
    SITE,
    STOREFRONT,
    UNKNOWN,
    claimed,
    contract,
    created,
    order,
    paid,
    unpaid,
    visit,
)

from fuzz.tally import Tally
from taler_paywall.decision import Grant
from taler_paywall.drive import perform, run
from taler_paywall.errors import BackendUnreachable
from taler_paywall.flow import payment_flow
from taler_paywall.memory import Memory
from taler_paywall.offer import EXTRA
from taler_paywall.operations import BackendRequest, BackendResponse
from taler_paywall.session import Order

EARLIER = order(7)
CHOSEN = {"version": 1, "choices": [{"amount": "KUDOS:0.1"}, {"amount": "KUDOS:0.5"}], "amount": None}
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 10**30, 0.5, "", "0", "1", "paid", "PAID", "unpaid", "true", "false", "no"),
    *("KUDOS:0", "KUDOS:0.4", "KUDOS:0.5", "KUDOS:0.50000001", "KUDOS:5e-1", "EUR:0.5", "KUDOS:1", "kudos:0.5", "0.5"),
    *(
        "KUDOS:0,5",
        "KUDOS:-0.5",
        "KUDOS:0.5 ",
        "KUDOS:\u0660.\u0665",
        SITE,
        SITE + "/",
        BACKEND,
        BACKEND[:-1],
        "//news.example/",
    ),
    *(
        "https://news.example.evil/x",
        "https://news.example@evil/",
        "never",
        {"t_s": "never"},
        {"t_s": NOW},
        {"t_s": -1},
    ),
    *([], {}, ["paid"], [None], {"amount": "KUDOS:0.5"}, [{"amount": "KUDOS:0.5"}], {EXTRA: {}}, {"a": {"b": [1]}}),
    *(RESOURCE.name, RESOURCE.name + " ", RESOURCE.name.upper(), RESOURCE.name.replace("one", "two"), "\ud800", "\x00"),
)


def proves(status: int, media_type: str, body: bytes, order_id: str, session_id: str) -> bool:
    """Tell whether an answer is full evidence for the article; written apart from the code that judges."""
    if status != 200 or media_type != "application/json" or not session_id:
        return False
    try:
        answer = json.loads(body.decode("utf-8"), object_pairs_hook=_strict)
        terms = answer["contract_terms"]
        priced = terms if terms.get("version", 0) == 0 else terms["choices"][answer["choice_index"]]
        sold = terms["extra"][EXTRA]
        return (
            (answer["order_status"], terms["order_id"], sold["resource"]) == ("paid", order_id, RESOURCE.name)
            and terms["merchant_base_url"] == BACKEND
            and (terms["fulfillment_url"].lower() + "/").startswith((SITE + "/", SITE + "?", SITE + ":443/"))
            and _kudos(priced["amount"]) >= max(0.5 if order_id == order().order_id else 0, _kudos(sold["amount"]))
            and (answer["refunded"], answer["refund_pending"]) == (False, False)
            and type(answer["refunded"]) is type(answer["refund_pending"]) is bool
            and (answer["refund_amount"] == "0" or _kudos(answer["refund_amount"]) == 0)
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return False


def _kudos(text: str) -> float:
    currency, _, number = text.partition(":")
    if currency.upper() != "KUDOS" or not re.fullmatch(r"\d+(\.\d+)?", number, re.ASCII):
        raise ValueError(text)
    return float(number)


def _strict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError(pairs)
    return dict(pairs)


class AnswerRun:
    """One run over a backend's seeded answers; it is the backend itself.

    Args:
        random: seeded.
    """

    def __init__(self, random: Random) -> None:
        self.random, self.tally = random, Tally()
        self.proven: set[str] = set()
        self.said: list[Any] = []

    def run(self, cases: int) -> Tally:
        """Judge so many visits, each with answers of its own."""
        for _ in range(cases):
            self.judge()
        return self.tally

    def judge(self) -> None:
        """Decide about one visit; a grant is a leak unless its order was proven."""
        counts = self.tally.counts
        self.proven.clear()
        self.said.clear()
        orders = [order()] if self.random.random() < 0.8 else [order(1), order()]
        flow = payment_flow(STOREFRONT, visit(*orders, buy_again=self.random.random() < 0.1), OFFER)
        counts["visits"] += 1
        try:
            decision = run(flow, lambda op: perform(op, self, Memory()))
        except Exception as error:  # noqa: BLE001 - every one is a fault, and told
            self.tally.leaks.append(f"{error!r}: {self.said!r:.3000}")
            return
        counts["answers"] += len(self.said)
        counts["granted"] += isinstance(decision, Grant)
        if isinstance(decision, Grant) and decision.order.order_id not in self.proven:
            self.tally.leaks.append(f"{decision.order.order_id}: {self.said!r:.3000}")

    def send(self, request: BackendRequest, deadline: float | None) -> BackendResponse:
        """Answer a request of the flow with anything."""
        if self.random.random() < 0.02:
            raise BackendUnreachable("no answer")
        if request.method == "POST":
            order_id = json.loads(request.body or b"")["order"]["order_id"]
            answers = [created(order(order_id=order_id)), EXISTS, (200, {"order_id": "x"})]
        else:
            order_id = request.path.removeprefix("private/orders/")
            answers = self._statuses(order(order_id=order_id))
        status, answer = self.random.choice(answers)
        status, media_type, body = self._spoilt(status, copy.deepcopy(answer))
        self.said.append((request.method, status, media_type, body))
        if proves(status, media_type, body, order_id, dict(request.query).get("session_id", "")):
            self.proven.add(order_id)
        return BackendResponse(status, media_type, body)

    @staticmethod
    def _statuses(which: Order) -> list[tuple[int, Any]]:
        valid = paid(which)
        chosen = paid(which, {**contract(which), **CHOSEN}, choice_index=1)
        proved = unpaid(which, already_paid_order_id=EARLIER.order_id)
        refunded = paid(which, refunded=True, refund_amount="KUDOS:0.5")
        return [valid, valid, valid, chosen, chosen, refunded, proved, unpaid(which), claimed(which), UNKNOWN]

    def _spoilt(self, status: int, answer: Any) -> tuple[int, str, bytes]:
        """Change an answer's values, then its bytes, status and type."""
        random = self.random
        for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
            answer = self._changed(answer)
        body = json.dumps(answer).encode("utf-8")
        if random.random() < 0.15:
            body = self._garbled(body)
        if random.random() < 0.05:
            status = random.choice((100, 201, 202, 204, 206, 301, 400, 402, 404, 409, 500, 503))
        types = ("text/html", "text/json", "application/problem+json", "")
        return status, random.choice(types) if random.random() < 0.03 else "application/json", body

    def _changed(self, answer: Any) -> Any:
        """Change one member somewhere: its value, its type, its key, its place."""
        random = self.random
        places = list(_places(answer))
        if not places:
            return copy.deepcopy(random.choice(VALUES))
        holder, key = random.choice(places)
        ways: tuple[Callable[[Any], Any], ...] = (
            *(lambda _: copy.deepcopy(random.choice(VALUES)),) * 4,
            str,
            lambda value: [value],
            lambda value: {str(key): value},
            lambda value: value.upper() if isinstance(value, str) else not value,
            lambda value: value + random.choice(("x", "0", " ", "/", "\n")) if isinstance(value, str) else None,
        )
        if random.random() < 0.7:
            holder[key] = random.choice(ways)(holder[key])
        elif isinstance(holder, dict):
            value = holder.pop(key)
            if random.random() < 0.6:
                holder[random.choice((key.upper(), key + " ", "order_status", "extra", "amount", "refunded"))] = value
        return answer

    def _garbled(self, body: bytes) -> bytes:
        """Return what is nearly JSON, or JSON that two parsers read differently."""
        random = self.random
        at = random.randrange(len(body)) if body else 0
        ways: tuple[Callable[[], bytes], ...] = (
            lambda: body[:at],
            lambda: body[:at] + random.randbytes(random.randint(1, 3)) + body[at + 1 :],
            lambda: b"\xef\xbb\xbf" + body,
            lambda: body.decode().encode("utf-16"),
            lambda: body.replace(b'"refunded": false', b'"refunded": true, "refunded": false'),
            lambda: body.replace(b'{"order_status"', b'{"order_status": "unpaid", "order_status"'),
            lambda: body.replace(b": false", b": NaN", 1),
            lambda: body + body,
            lambda: b"[" * 100_000,
            lambda: b'{"a":' * 20_000 + body + b"}" * 20_000,
            lambda: body.replace(b'"KUDOS', b"1" * 5000 + b', "x": "KUDOS', 1),
            lambda: random.randbytes(random.randrange(60)),
        )
        return random.choice(ways)()


def _places(value: Any) -> list[tuple[Any, Any]]:
    """List every member of objects and arrays, with what holds it."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in ((value, key), *_places(value[key]))]
