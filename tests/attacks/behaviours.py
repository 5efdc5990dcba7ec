"""What a hostile backend can do: ways to change an honest answer in one point, and to send none."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, Final

from .hostile import Asked, Behaviour, Books, Json, claimed_answer, message, paid_answer, reply, unpaid_answer

#: A slow backend says so little at a time, and so rarely, for so long.
PAUSE: Final = 0.3
PATIENCE: Final = 60.0
#: The order that a wallet is said to have paid earlier.
EARLIER: Final = "EARL1ER0RDER"
ELSEWHERE: Final = "AN0THERBR0WSER"
REFUNDED: Final[Json] = {"refunded": True, "refund_amount": "EUR:1"}

#: Changes an answer in place, as the argument of the scenario says.
Change = Callable[[Json, str], object]
#: Sends something in place of an honest answer.
Send = Callable[[bytes, str], Iterable[bytes]]


def honest(books: Books, asked: Asked, _: str) -> Iterable[bytes]:
    """Change nothing."""
    return [reply(books.answer(asked))]


def changing(status: str, change: Change, first: int = 1) -> Behaviour:
    """Change the answers of one order status, from the first, second … time on that an order is asked for."""

    def behave(books: Books, asked: Asked, argument: str) -> Iterable[bytes]:
        code, answer = books.answer(asked)
        times = sum(1 for one in books.asked if one.order_id == asked.order_id)
        if answer.get("order_status") == status and times >= first:
            change(answer, argument)
        return [reply((code, answer))]

    return behave


def paid(**changes: Any) -> Behaviour:
    """Change members of the evidence."""
    return changing("paid", lambda answer, _: answer.update(changes))


def without(name: str) -> Behaviour:
    """Leave a member of the evidence out."""
    return changing("paid", lambda answer, _: answer.pop(name))


def terms(change: Change) -> Behaviour:
    """Change the contract that the evidence holds."""
    return changing("paid", lambda answer, argument: change(answer["contract_terms"], argument))


def choice(number: int | None) -> Behaviour:
    """Let the contract have two choices, a right one and a cheap one, of which one was paid."""

    def change(answer: Json, _: str) -> None:
        choices = [{"amount": answer["contract_terms"].pop("amount")}, {"amount": "EUR:0.01"}]
        answer["contract_terms"] |= {"version": 1, "choices": choices}
        answer |= {} if number is None else {"choice_index": number}

    return changing("paid", change)


def unpaid(member: str, value: Callable[[str], object] = str) -> Behaviour:
    """Change a member of what a reader who has to pay gets."""
    return changing("unpaid", lambda answer, argument: answer.update({member: value(argument)}))


def on_get(send: Send) -> Behaviour:
    """Answer every question for a status in another way."""

    def behave(books: Books, asked: Asked, argument: str) -> Iterable[bytes]:
        whole = reply(books.answer(asked))
        return send(whole, argument) if asked.order_id else [whole]

    return behave


def on_post(send: Send) -> Behaviour:
    """Answer every new order in another way."""

    def behave(books: Books, asked: Asked, argument: str) -> Iterable[bytes]:
        whole = reply(books.answer(asked))
        return [whole] if asked.order_id else send(whole, argument)

    return behave


def says(body: bytes, status: int = 200, *lines: str, media_type: str = "application/json") -> Send:
    """Send this and nothing else."""
    return lambda *_: [message(status, body, *lines, media_type=media_type)]


def fails(status: int, code: int = 0, *lines: str) -> Send:
    """Send an error of the merchant API."""
    return says(json.dumps({"code": code, "hint": "an error"}).encode(), status, *lines)


def spells(spell: Callable[[bytes], bytes], status: int = 200, *, media_type: str = "application/json") -> Send:
    """Send the honest body in another spelling."""
    return lambda whole, _: [message(status, spell(_body(whole)), media_type=media_type)]


def made(member: str, value: Callable[[str], object] = str) -> Behaviour:
    """Change a member of the answer to a new order."""
    return on_post(lambda whole, argument: [reply((200, json.loads(_body(whole)) | {member: value(argument)}))])


def moving(session: str) -> Behaviour:
    """Say once that an order is paid; then it is not, or not in this browser."""

    def behave(books: Books, asked: Asked, _: str) -> Iterable[bytes]:
        answer = reply(books.answer(asked))
        if books.paid.pop(asked.order_id, None) and session:
            books.paid[asked.order_id] = session
        return [answer]

    return behave


def proved(change: Change | None) -> Behaviour:
    """Say of every order that an earlier one was paid in its place, and of that one something else."""

    def behave(books: Books, asked: Asked, argument: str) -> Iterable[bytes]:
        if not asked.order_id:
            return honest(books, asked, argument)
        order = {**next(iter(books.orders.values())), "order_id": asked.order_id}
        if change is None or asked.order_id != EARLIER:
            answer = unpaid_answer(order, asked.query["session_id"])
            return [reply((200, answer | {"already_paid_order_id": argument or EARLIER}))]
        answer = paid_answer(order, asked.query["session_id"])
        change(answer, argument)
        return [reply((200, answer))]

    return behave


def never_paid(books: Books, asked: Asked, argument: str) -> Iterable[bytes]:
    """Know of no payment."""
    books.paid.clear()
    return honest(books, asked, argument)


def paid_elsewhere(books: Books, asked: Asked, argument: str) -> Iterable[bytes]:
    """Say that all was paid in another browser."""
    books.paid.update(dict.fromkeys(books.paid, ELSEWHERE))
    return honest(books, asked, argument)


def paid_for(books: Books, asked: Asked, path: str) -> Iterable[bytes]:
    """Know of no payments but those of one resource."""
    for order_id in list(books.paid):
        if sold(books.orders[order_id])["resource"] != resource_name(path):
            del books.paid[order_id]
    return honest(books, asked, path)


def claimed(books: Books, asked: Asked, argument: str) -> Iterable[bytes]:
    """Say that a wallet holds each order."""
    if asked.order_id not in books.orders:
        return honest(books, asked, argument)
    return [reply((200, claimed_answer(books.orders[asked.order_id], asked.query["session_id"])))]


def first_refunded(books: Books, asked: Asked, _: str) -> Iterable[bytes]:
    """Have given the money of the first order back, and of no other."""
    code, answer = books.answer(asked)
    if answer.get("order_status") == "paid" and asked.order_id == next(iter(books.orders)):
        answer |= REFUNDED
    return [reply((code, answer))]


def late(books: Books, asked: Asked, argument: str) -> Iterator[bytes]:
    """Think for a while about each status."""
    books.over.wait(float(argument or 3) if asked.order_id else 0)
    yield from honest(books, asked, argument)


def silent(books: Books, asked: Asked, argument: str) -> Iterator[bytes]:
    """Accept, listen, and say nothing."""
    return late(books, asked, str(PATIENCE))


def drip(after: bytes) -> Behaviour:
    """Send what comes after some bytes one by one."""

    def behave(books: Books, asked: Asked, _: str) -> Iterator[bytes]:
        whole = reply(books.answer(asked))
        cut = whole.index(after) + len(after) if asked.order_id else len(whole)
        yield whole[:cut]
        for byte in whole[cut : cut + int(PATIENCE / PAUSE)]:
            books.over.wait(PAUSE)
            yield bytes([byte])

    return behave


def resets(whole: bytes, argument: str) -> Iterator[bytes]:
    """Reset the connection after some bytes."""
    yield whole[: int(argument or 0)]
    raise ConnectionAbortedError


def floods(*_: object) -> Iterator[bytes]:
    """Send 100 MB that would be JSON."""
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 104857601\r\n\r\n{"
    yield from [b" " * (1 << 20)] * 100


@cache
def _bomb() -> bytes:
    packer, zeros = zlib.compressobj(wbits=31), bytes(1 << 20)
    first, *others = (packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return b"".join([first, *others * 299, packer.flush()])


def bursts(*_: object) -> list[bytes]:
    """Send 300 kB that become 300 MB."""
    return [message(200, _bomb(), "Content-Encoding: gzip")]


def resource_name(path: str) -> str:
    """Name the resource of a path as the rules of these tests do."""
    _, first, *names = path.split("/")
    return f"/premium/{{name}}/*?name={names[0]}" if first == "premium" else f"/{first}"


def sold(of: Json) -> Json:
    sold: Json = of["extra"]["taler_paywall"]
    return sold


def _body(whole: bytes) -> bytes:
    return whole.partition(b"\r\n\r\n")[2]


def order_status(text: str) -> Behaviour:
    return changing("paid", lambda answer, _: answer.update(order_status=json.loads(text)))


def absolute(url: str) -> str:
    return f"https://t.test{url}" if url.startswith("/") and not url.startswith("//") else url
