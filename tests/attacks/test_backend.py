"""No scenario of a hostile backend opens the gate, and none spoils it for the reader who has paid.

The groups ``backend``, ``binding``, ``refund``, ``session``, ``redirect`` and ``caching`` of the corpus, and scenarios
of their kind that it has not. Every row is asked for behind both adapters: first by the same reader in front of an
honest backend, where the page opens, so that the refusal shows something; then in the scenario; and where the answer
was "unknown", once more in front of the honest backend, which then decides.
"""

from __future__ import annotations

import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from typing import Final

import pytest
from conformance.raw import exchange
from msgspec.structs import replace
from running import TOKEN

from .corpus import Attack, Request, attacks
from .hostile import Books, Hostile
from .jar import Jar
from .rows import MORE, SEQUENCES, STATUS
from .scenarios import SCENARIOS
from .shop import ADAPTERS, Adapter, Shop, both, check, opened, rendered

GROUPS: Final = ("backend", "binding", "refund", "session", "redirect", "caching")
ENTRIES: Final = (*attacks(*GROUPS), *MORE)
#: Where the backend takes its time, so long that all are asked for at once.
SLOW: Final = ("latency_3s", "hang", "drip_headers", "drip_body", "connect_hang")
#: A visit has five seconds.
DEADLINE: Final = 20.0
BIG: Final = ("body_100mb", "gzip_bomb")
MEGABYTES: Final = 20
#: Nobody is there whom a later request could ask.
NOBODY: Final = ("conn_refused", "breaker_open", "dns_fail", "tls_bad", "connect_hang")
#: These have a test of their own.
IN_STEPS: Final = (*SEQUENCES, "paid_then_refunded_two_workers", "refunded_then_new_order_paid")


def rows(*scenarios: str) -> list[Attack]:
    return [attack for attack in ENTRIES if attack.setup.backend in scenarios]


def expected(attack: Attack) -> int:
    """Return the status that an entry asks for; payment is asked of programs with 402, of browsers with 302."""
    if attack.id in STATUS:
        return STATUS[attack.id]
    if attack.status:
        return 503 if 503 in attack.status else attack.status[0]
    assert attack.expected == "must_402_or_redirect", attack.id
    return 402


def play(attack: Attack, adapter: Adapter) -> float:
    """Ask in front of an honest backend, then in the entry's scenario; return the seconds that the answer took."""
    assert opens(attack.request, adapter)
    with opened(adapter, attack.setup.backend) as (shop, books):
        asked = rendered(attack, Jar(books, attack.request.path))
        had_order = bool(books.orders)
        started = time.monotonic()
        answer = shop.send(asked)
        seconds = time.monotonic() - started
        assert answer.status == expected(attack), (answer, books.asked)
        check(answer, attack.setup.backend.partition(":")[2])
        assert len(books.posts) <= 2
        if answer.status == 503:
            assert not (had_order and books.posts)
            if attack.setup.backend not in NOBODY:
                afterwards(shop, books, asked)
    return seconds


@cache
def opens(request: Request, adapter: Adapter) -> bool:
    """Tell whether the page opens for this reader in front of an honest backend, once it is bought."""
    if request.path.startswith("//evil.test"):
        request = replace(request, path="/article")
    with opened(adapter) as (shop, books):
        return settle(shop, books, rendered(replace(ENTRIES[0], request=request), Jar(books, request.path)))


def settle(shop: Shop, books: Books, attack: Attack) -> bool:
    """Read the page, at once with a cookie that opens it, otherwise by buying it; tell whether that was possible."""
    answer = shop.send(attack)
    check(answer)
    if answer.status in {302, 402}:
        books.pay()
        answer = shop.send(holding(attack, answer.cookies))
        check(answer)
    return answer.status == 200


def afterwards(shop: Shop, books: Books, attack: Attack) -> None:
    """After "unknown" nothing is remembered: who has not paid has to, and who has paid reads."""
    books.scenario, paid = "paid", dict(books.paid)
    books.paid.clear()
    answer = shop.send(attack)
    assert answer.status in {302, 402}
    assert not (paid and books.posts)
    books.paid |= paid
    assert settle(shop, books, holding(attack, answer.cookies))


def holding(attack: Attack, cookies: str) -> Attack:
    """Return the request of a browser that has been given cookies."""
    headers = (*attack.request.headers, *((("Cookie", cookies),) if cookies else ()))
    return replace(attack, request=replace(attack.request, headers=headers))


@both
@pytest.mark.parametrize(
    "attack",
    [attack for attack in ENTRIES if attack.setup.backend not in {*SLOW, *BIG, *IN_STEPS}],
    ids=lambda attack: attack.id,
)
def test_no_scenario_opens_the_gate(attack: Attack, adapter: Adapter) -> None:
    """Each entry has the status that is right for it, and the secret stands in those that are 200 alone."""
    assert play(attack, adapter) < DEADLINE


def test_no_slow_backend_is_waited_for() -> None:
    """What takes too long is unknown; an answer after three seconds still counts."""
    slow = [
        replace(ENTRIES[0], id=scenario, status=(503,), setup=replace(ENTRIES[0].setup, backend=scenario))
        for scenario in SLOW
    ]
    slow[0] = replace(slow[0], status=(200,))
    cases = list(product(slow, ADAPTERS))
    with ThreadPoolExecutor(len(cases)) as pool:
        seconds = list(pool.map(lambda case: play(*case), cases))
    assert max(seconds) < DEADLINE, seconds
    assert min(seconds[:2]) >= 3


@both
@pytest.mark.parametrize("attack", rows(*BIG), ids=lambda attack: attack.setup.backend)
def test_big_answers_take_no_memory(attack: Attack, adapter: Adapter) -> None:
    """Of 100 MB, or 300 MB once unpacked, no more is read than an answer may have."""
    play(attack, adapter)
    tracemalloc.start()
    try:
        play(attack, adapter)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEGABYTES << 20


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /private/orders/X HTTP/1.1\r\nAuthorization: Bearer %s" % TOKEN.encode(),
        b"GET /private/orders/X?session_id= HTTP/1.1\r\nAuthorization: Bearer %s" % TOKEN.encode(),
        b"GET /private/orders/X?session_id=S HTTP/1.1",
        b"GET /private/orders/X?session_id=S HTTP/1.1\r\nAuthorization: Bearer secret-token:other",
        b"GET /config HTTP/1.1\r\nAuthorization: Bearer %s" % TOKEN.encode(),
        b"GET /thief HTTP/1.1",
    ],
)
def test_the_backend_is_loud(request_: bytes) -> None:
    """The harness notices what no storefront may do."""
    books = Books(SCENARIOS)
    with pytest.raises(AssertionError), Hostile(books) as backend:
        exchange(backend.url, request_ + b"\r\nAccept-Encoding: identity\r\n\r\n")
    with Hostile(Books(SCENARIOS)) as backend:
        good = b"GET /private/orders/X?session_id=S HTTP/1.1\r\nAuthorization: Bearer %s" % TOKEN.encode()
        assert exchange(backend.url, good + b"\r\nAccept-Encoding: identity\r\n\r\n").startswith(b"HTTP/1.1 404")


def test_every_scenario_is_played() -> None:
    """The table has no scenario that no test plays, and the corpus names none that the table lacks."""
    played = {attack.setup.backend.partition(":")[0] for attack in ENTRIES} | {
        *SLOW,
        *IN_STEPS,
        "paid_amount_old_price",
    }
    assert played == set(SCENARIOS)
