"""No cookie but a genuine one opens the gate, and the genuine one opens it whatever else is sent with it.

The group ``cookie`` of the corpus and the mutations that it has not, behind both adapters, each first with the genuine
cookie; what is refused counts as no cookie at all, and gets a new session. Further rows of the table of threats that
`core.test_session` does not show at the adapters: C5, C7, C8, C12, C13, C16.
"""

from __future__ import annotations

import time
from itertools import permutations
from typing import Final

import pytest
from conformance.wsgi_calls import NOWHERE
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from taler_paywall.http import Request
from taler_paywall.session import Cookies, _finder

from .corpus import Attack, attacks
from .hostile import Books
from .jar import DAY, MUTATIONS, Jar, keys_of
from .shop import ADAPTERS, NEW, OLD, REMOVED, Adapter, Answer, both, check, opened, rendered, serving, visiting

ENTRIES: Final = attacks("cookie")
#: What a cookie may look like and still be the genuine one: its signature has several spellings, quotes do not count.
GENUINE: Final = ("", "pad_equals", "malleable_last", "ts_+30s", "ts_+1h", "key_previous")
FORGED: Final = sorted(set(MUTATIONS) - {*GENUINE, "resource_swap"})
#: Entries that say 200, or leave it open, and whose cookie is genuine; behind 200 others it is not looked at.
OPEN: Final = {
    *("cookie-020", "cookie-034", "cookie-035", "cookie-036", "cookie-045", "cookie-046", "cookie-056", "cookie-062"),
}


def fresh(answer: Answer, jar: Jar) -> bool:
    """Tell whether an answer sets a session and an order that no cookie of the jar knows."""
    headers, now = [(b"cookie", answer.cookies.encode())], int(time.time())
    keys = keys_of(*jar.keys)
    cookies = Cookies(keys, secure=True, max_age=400 * DAY)
    secret, orders = cookies.session(headers, now), cookies.orders(headers, jar.tag, now)
    known = {text for order in jar.made for text in (order.session_id, order.order_id)}
    if secret is None or len(orders) != 1:
        return False
    return orders[0].session_id == keys.session_id(secret) and known.isdisjoint(
        {orders[0].session_id, orders[0].order_id}
    )


@both
@pytest.mark.parametrize("attack", ENTRIES, ids=lambda attack: attack.id)
def test_no_forged_cookie_opens_the_gate(attack: Attack, adapter: Adapter) -> None:
    """Each entry is right, and the genuine cookie opens the same page in the same place."""
    path, keys = attack.request.path, (OLD, NEW) if "keys" in attack.setup.config else (OLD,)
    with opened(adapter, secret_key=keys) as (shop, books):
        genuine = Jar(books, path, keys)
        assert shop.visit(path, f"{genuine.name}={genuine.value('paid', path)}").granted
        books.scenario = attack.setup.backend
        jar = Jar(books, path, keys)
        with shop.twin(secret_key=keys) as restarted:
            answer = restarted.send(rendered(in_capitals(attack, jar), jar))
        check(answer)
    if attack.expected == "cookie_rejected_fresh_session":
        assert answer.status == 402
        assert fresh(answer, jar)
    else:
        assert answer.status == (200 if attack.id in OPEN else 402)
        assert answer.status in attack.status or not attack.status
        assert attack.id != "cookie-023" or not books.posts


def in_capitals(attack: Attack, jar: Jar) -> Attack:
    """Spell the name of the cookie in the case that an entry means."""
    name = jar.name.upper()
    headers = tuple((key, value.replace("__HOST-TALER_PAYWALL", name)) for key, value in attack.request.headers)
    return replace(attack, request=replace(attack.request, headers=headers))


@both
@pytest.mark.parametrize("mutation", [*GENUINE, *FORGED])
def test_what_is_done_to_a_cookie(mutation: str, adapter: Adapter) -> None:
    """Another spelling of the genuine signature is the same cookie; anything else is none (rows C1 to C3, C14)."""
    keys = (OLD, NEW)
    with opened(adapter, secret_key=keys) as (shop, books):
        jar = Jar(books, keys=keys)
        value = jar.value("paid", "/article", mutation)
        answer = shop.visit("/article", f"{jar.name}={value}")
        check(answer)
    assert answer.status == (200 if mutation in GENUINE else 402)
    assert mutation in GENUINE or fresh(answer, jar)


@both
@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("fresh", 402),
        ("unpaid", 402),
        ("paid", 200),
        ("other_user_paid", 200),
        ("other_user_unpaid", 402),
        ("other_session_same_order", 402),
    ],
)
def test_whose_cookie_it_is(state: str, status: int, adapter: Adapter) -> None:
    """A cookie opens for whoever holds it, and an order for no session but its own (row C5)."""
    with opened(adapter) as (shop, books):
        jar = Jar(books)
        answer = shop.visit("/article", f"{jar.name}={jar.value(state, '/article')}")
        check(answer)
        assert answer.status == status


@both
def test_whichever_cookie_is_genuine_counts(adapter: Adapter) -> None:
    """A cookie that was tossed in under the same name, before or behind, hides nothing (row C7)."""
    with opened(adapter) as (shop, books):
        jar = Jar(books)
        values = [
            jar.value("paid", "/article"),
            *(jar.value("paid", "/article", forged) for forged in ("flip_mid", "key_empty")),
        ]
        pairs = [f"{jar.name}={value}" for value in (*values, jar.value("other_user_unpaid", "/article"), "junk")]
        books.paid.pop(jar.order("other_user_unpaid", "/article"), None)
        for order in permutations(pairs):
            assert shop.visit("/article", "; ".join(order)).granted
        without = [pair for pair in pairs if values[0] not in pair]
        assert shop.visit("/article", "; ".join(without)).status == 402


@both
@pytest.mark.parametrize("key", [OLD, NEW, REMOVED])
@pytest.mark.parametrize("accepted", [(OLD,), (OLD, NEW), (NEW,)])
def test_keys_that_are_changed(key: str, accepted: tuple[str, ...], adapter: Adapter) -> None:
    """A cookie counts as long as its key is one of the site's, and not a moment longer (row C12)."""
    with opened(adapter, secret_key=accepted) as (shop, books):
        jar = Jar(books, keys=(key,))
        answer = shop.visit("/article", f"{jar.name}={jar.value('paid', '/article')}")
        check(answer)
        assert answer.granted == (key in accepted)


@both
def test_an_old_cookie_is_signed_anew(adapter: Adapter) -> None:
    """After half of its time a cookie gets the newest key, so that the old one can go (row C12, cookie-020)."""
    with opened(adapter, secret_key=(OLD, NEW)) as (shop, books):
        jar = Jar(books)
        order = jar.order_for("paid", "/article")
        old = jar.seal(replace(order, issued=order.issued - 201 * DAY)).decode()
        renewed = shop.visit("/article", f"{jar.name}={old}")
        assert renewed.granted
        with shop.twin(secret_key=(NEW,)) as later:
            assert later.visit("/article", f"{jar.name}={old}").status == 402
            assert later.visit("/article", renewed.cookies).granted


GENUINE_VALUE: Final = Jar(Books({})).value("paid", "/article").encode()
NAME: Final = Jar(Books({})).name.encode()
LINES: Final = st.lists(
    st.lists(
        st.one_of(st.binary(max_size=12), st.sampled_from([NAME, b"=", b"; ", GENUINE_VALUE, b'"', b"\xe2\x80\x80"]))
    ).map(b"".join),
    max_size=4,
)


@given(LINES)
@example([NAME + b"=" + GENUINE_VALUE, b"\xff\x00=\r\n"])
def test_both_adapters_read_the_same_cookies(lines: list[bytes]) -> None:
    """Whatever bytes a browser sends, both adapters hand the same cookies to the core (rows C8, C13)."""
    read: list[list[tuple[bytes, bytes]]] = []

    def note(request: Request) -> bool:
        read.append(_finder(b"")(request.headers))
        return True

    attack = visiting("/article")
    headers = (*attack.request.headers, *(("Cookie", line.decode("latin-1")) for line in lines))
    attack = replace(attack, request=replace(attack.request, headers=headers))
    for adapter in ADAPTERS:
        with serving(adapter, NOWHERE, exempt=note) as shop:
            assert shop.send(attack).granted
    assert len(read) == 2
    assert read[0] == read[1]
