"""Cookies: what is signed comes back, what is not counts as nothing, and there are never too many of them."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import Signer
from itsdangerous.encoding import base64_encode
from msgspec.structs import replace

from taler_paywall import session
from taler_paywall.http import Header
from taler_paywall.operations import ORDER_ID, SessionId
from taler_paywall.session import MAX_BYTES, MAX_CANDIDATES, MAX_ORDERS, Cookies, Keys, Order

NOW = 1_795_000_000
DAY = 86_400
MAX_AGE = 400 * DAY
SITE = "https://news.example https://backend.example/"
OLD, NEW, OTHER = (f"{name} key 0123456789abcdefghijklmnopq".encode() for name in ("old", "new", "other"))
ONE, TWO = "1111111111111111", "2222222222222222"
SECRET = "the secret of one browser"


def cookies(*secrets: bytes, site: str = SITE, secure: bool = True, max_age: int = MAX_AGE) -> Cookies:
    return Cookies(Keys(secrets or (OLD,), site), secure=secure, max_age=max_age)


def order(resource: str = ONE, *, session_id: str = "SESSION1", **changes: Any) -> Order:
    made = Order(SessionId(session_id), "ORDER", resource, 0, 0, "KUDOS:0.5", "/a?b=c", NOW + DAY, NOW)
    return replace(made, **changes)


def sent(*set_cookies: bytes) -> list[Header]:
    """Return the request headers of a browser that got these ``Set-Cookie`` values."""
    return [(b"cookie", b"; ".join(value.partition(b";")[0] for value in set_cookies))]


def stored(jar: Cookies, *orders: Order) -> list[bytes]:
    return [jar.order_cookies([], one)[0] for one in orders]


def split(set_cookie: bytes) -> tuple[bytes, bytes]:
    """Return name and value of a ``Set-Cookie`` value."""
    name, _, value = set_cookie.partition(b";")[0].partition(b"=")
    return name, value


class Jar(NamedTuple):
    """What the cookies of a request say: the session's secret, and the orders for a resource."""

    secret: str | None
    orders: tuple[Order, ...]


def read(jar: Cookies, headers: list[Header], tag: str, now: int) -> Jar:
    return Jar(jar.session(headers, now), jar.orders(headers, tag, now))


NOTHING = Jar(None, ())


def test_round_trip() -> None:
    """A browser sends back what was set, and it is read as it was."""
    jar = cookies()

    assert read(jar, sent(jar.session_cookie(SECRET, NOW), *stored(jar, order())), ONE, NOW) == Jar(SECRET, (order(),))
    assert read(jar, sent(jar.session_cookie(SECRET, NOW)), ONE, NOW) == Jar(SECRET, ())
    assert read(jar, sent(*stored(jar, order())), ONE, NOW) == Jar(None, (order(),))
    assert read(jar, [], ONE, NOW) == NOTHING


@given(
    st.builds(
        Order,
        st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=4, max_size=32).map(SessionId),
        st.from_regex(ORDER_ID),
        st.just(ONE),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.text(max_size=40),
        st.text(max_size=100),
        st.integers(0, 2**53),
        st.integers(NOW - MAX_AGE, NOW + 60),
    )
)
def test_any_order_round_trips(one: Order) -> None:
    """Whatever an order holds, its cookie holds too, in characters that need no quotes."""
    jar = cookies()
    (cookie,) = jar.order_cookies([], one)

    assert re.fullmatch(rb"[A-Za-z0-9_\-.]+", split(cookie)[1])
    assert read(jar, sent(cookie), ONE, NOW) == Jar(None, (one,))


@pytest.mark.parametrize("secure", [True, False])
def test_attributes(secure: bool) -> None:  # noqa: FBT001 - drawn
    """Cookies are for the whole site, not for scripts, not for foreign forms; ``Secure`` and its prefix under https."""
    jar = cookies(secure=secure)
    expected = {b"path=/", b"httponly", b"samesite=lax", b"max-age=%d" % MAX_AGE} | ({b"secure"} if secure else set())

    for cookie in (jar.session_cookie(SECRET, NOW), *stored(jar, order())):
        assert {part.strip().lower() for part in cookie.split(b";")[1:]} == expected
        assert cookie.startswith(b"__Host-taler_" if secure else b"taler_")


def test_names_tell_resources_sites_and_sessions_apart() -> None:
    """One cookie for each resource, site and session; the session-ID does not stand in a name."""
    jar, other = cookies(), cookies(site="https://other.example https://backend.example/")
    names = {
        split(cookie)[0]
        for cookie in (
            *stored(jar, order(ONE), order(TWO), order(ONE, session_id="OTHER")),
            *stored(other, order(ONE)),
            jar.session_cookie(SECRET, NOW),
            other.session_cookie(SECRET, NOW),
        )
    }

    assert len(names) == 6
    assert not any(b"SESSION1" in name.upper() for name in names)
    assert all(re.fullmatch(rb"[A-Za-z0-9_\-]+", name) for name in names)


# What counts as nothing.


def mutations(value: bytes) -> dict[str, bytes]:
    """Return spoilt values of a cookie."""
    payload, _, signature = value.rpartition(b".")
    content = base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
    return {
        "empty": b"",
        "a dot": b".",
        "dots": b"..",
        "no signature": payload,
        "empty signature": payload + b".",
        "empty payload": b"." + signature,
        "swapped": signature + b"." + payload,
        "cut by one": value[:-1],
        "cut in half": value[: len(value) // 2],
        "twice": value + b"." + signature,
        "longer": payload + b"A." + signature,
        "compressed": b"." + base64.urlsafe_b64encode(zlib.compress(content)).rstrip(b"=") + b"." + signature,
        "lower case": value.lower(),
        "oversized": value + b"=" * MAX_BYTES,
        "not ASCII": b"\xff" + value,
        "NUL": value + b"\x00x",
        "quoted in quotes": b'""' + value + b'""',
    }


@pytest.mark.parametrize("change", list(mutations(b"eA.eA")))
def test_spoilt_cookies_count_as_none(change: str) -> None:
    """A cookie that is not as it was set is no cookie, and no error."""
    jar = cookies()
    for cookie in (jar.session_cookie(SECRET, NOW), *stored(jar, order())):
        name, value = split(cookie)
        assert read(jar, [(b"cookie", name + b"=" + mutations(value)[change])], ONE, NOW) == NOTHING


@pytest.mark.parametrize("kind", ["session", "order"])
def test_no_flipped_bit_is_accepted(kind: str) -> None:
    """Every single bit counts, but for the last character's spare ones: then the content is the same."""
    jar = cookies()
    name, value = split(jar.session_cookie(SECRET, NOW) if kind == "session" else stored(jar, order())[0])
    genuine = read(jar, [(b"cookie", name + b"=" + value)], ONE, NOW)
    assert genuine != NOTHING

    for position in range(len(value)):
        for bit in range(8):
            spoilt = bytearray(value)
            spoilt[position] ^= 1 << bit
            found = read(jar, [(b"cookie", name + b"=" + bytes(spoilt))], ONE, NOW)
            assert found == NOTHING or (position == len(value) - 1 and found == genuine)


@pytest.mark.parametrize(
    ("issued", "counts"),
    [
        (NOW, True),
        (NOW - MAX_AGE, True),
        (NOW - MAX_AGE - 1, False),
        (0, False),
        (-(10**18), False),
        (NOW + 86_400, True),
        (NOW + 86_401, False),
        (NOW + 3600, True),
        (10**18, False),
    ],
)
def test_time_limits(issued: int, counts: bool) -> None:  # noqa: FBT001 - a table
    """A cookie lives as long as was configured; clocks of workers may differ by a minute, not by more."""
    jar = cookies()
    found = read(jar, sent(jar.session_cookie(SECRET, issued), *stored(jar, order(issued=issued))), ONE, NOW)

    assert (found.secret is not None) == counts
    assert bool(found.orders) == counts


def test_cookies_of_another_key_site_or_purpose_count_as_none() -> None:
    """A cookie is good for its key, its site and its purpose alone, whatever its name."""
    jar = cookies()
    session_name, session_value = split(jar.session_cookie(SECRET, NOW))
    order_name, order_value = split(stored(jar, order())[0])
    for other in (cookies(OTHER), cookies(site="https://news.example https://backend.example/instances/b/")):
        theirs = [split(other.session_cookie(SECRET, NOW))[1], split(stored(other, order())[0])[1]]
        for name in (session_name, order_name):
            for value in theirs:
                assert read(jar, [(b"cookie", name + b"=" + value)], ONE, NOW) == NOTHING
    swapped = session_name + b"=" + order_value + b"; " + order_name + b"=" + session_value
    assert read(jar, [(b"cookie", swapped)], ONE, NOW) == NOTHING


def test_an_order_for_one_resource_opens_no_other() -> None:
    """An honestly signed cookie for ONE is nothing under the name of TWO, and nothing when TWO is asked for."""
    jar = cookies()
    one, two = stored(jar, order(ONE), order(TWO))
    forged = split(two)[0] + b"=" + split(one)[1]

    assert read(jar, [(b"cookie", forged)], TWO, NOW) == NOTHING
    assert read(jar, [(b"cookie", forged)], ONE, NOW) == NOTHING
    assert read(jar, sent(one), TWO, NOW) == NOTHING
    assert read(jar, sent(one, two), TWO, NOW) == Jar(None, (order(TWO),))


@pytest.mark.parametrize(
    "content",
    [
        None,
        1,
        "text",
        [],
        {},
        ["S"],
        ["S", "O", ONE],
        ["S", "O", ONE, 0, 0, "", "", 0],
        ["S", "O", ONE, "0", 0, "", "", 0, NOW],
        ["S", "O", ONE, 0.5, 0, "", "", 0, NOW],
        ["S", "O", ONE, 0, 0, None, "", 0, NOW],
        ["S", "O", ONE, 0, 0, "", "", 0, True],
        ["S", "O", ONE, 0, 0, "", "", 0, str(NOW)],
        ["", "O", ONE, 0, 0, "", "", 0, NOW],
        [7, "O", ONE, 0, 0, "", "", 0, NOW],
        ["S", "", ONE, 0, 0, "", "", 0, NOW],
        ["S", "..", ONE, 0, 0, "", "", 0, NOW],
        ["S", "../O", ONE, 0, 0, "", "", 0, NOW],
        ["S", "O\r\nX: y", ONE, 0, 0, "", "", 0, NOW],
        ["S", "O\n", ONE, 0, 0, "", "", 0, NOW],
        ["S", "O" * 129, ONE, 0, 0, "", "", 0, NOW],
        ["S", "O", [ONE], 0, 0, "", "", 0, NOW],
        {"session_id": "S", "order_id": "O", "resource": ONE, "issued": NOW},
        [None, NOW],
        [SECRET],
    ],
)
def test_signed_content_of_another_shape_counts_as_none(content: Any) -> None:
    """What an older or younger version signed with the same key is not guessed at."""
    jar = cookies()
    payload = base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=")
    for signer, cookie in ((jar._keys.order, stored(jar, order())[0]), (jar._keys.session, jar.session_cookie("", 0))):
        assert read(jar, [(b"cookie", split(cookie)[0] + b"=" + signer.sign(payload))], ONE, NOW) == NOTHING


@pytest.mark.parametrize("payload", [b"", b"!!!!", b"AAAAA", b"gA", base64.urlsafe_b64encode(b"[" * 5000)[:3000]])
def test_signed_nonsense_counts_as_none(payload: bytes) -> None:
    """Signed bytes that are no JSON are no cookie."""
    jar = cookies()
    name = split(stored(jar, order())[0])[0]

    assert read(jar, [(b"cookie", name + b"=" + jar._keys.order.sign(payload))], ONE, NOW) == NOTHING


def test_key_rotation() -> None:
    """Old keys are accepted and the last one signs; a key that is removed ends its cookies at once."""
    before, during, after = cookies(OLD), cookies(OLD, NEW), cookies(NEW)
    old = sent(before.session_cookie(SECRET, NOW), *stored(before, order()))
    new = sent(during.session_cookie(SECRET, NOW), *stored(during, order()))
    everything = Jar(SECRET, (order(),))

    assert [read(jar, old, ONE, NOW) for jar in (before, during, after)] == [everything, everything, NOTHING]
    assert [read(jar, new, ONE, NOW) for jar in (before, during, after)] == [NOTHING, everything, everything]


def test_a_key_is_changed_in_steps_without_a_gap() -> None:
    """Workers of one step read what those of the next have written, and until the last one name orders alike."""
    steps = ([OLD], [OLD, NEW, OLD], [OLD, NEW])
    for step, following in ((steps[0], steps[1]), (steps[1], steps[2])):
        for writing, reading in ((step, following), (following, step)):
            jar = sent(*stored(cookies(*writing), order()))
            assert read(cookies(*reading), jar, ONE, NOW).orders == (order(),)
    assert len({Keys(list(step), SITE).session_id(SECRET) for step in steps}) == 1


# Several cookies.


def test_orders_of_two_sessions_are_both_seen() -> None:
    """Two tabs opened at once have a session each: the orders of both count, the newest first."""
    jar = cookies()
    older, newer = order(session_id="TAB1", issued=NOW - 5), order(session_id="TAB2", issued=NOW - 1)

    for pair in ((older, newer), (newer, older)):
        assert read(jar, sent(*stored(jar, *pair)), ONE, NOW).orders == (newer, older)


def test_at_most_eight_candidates_are_looked_at() -> None:
    """However many cookies claim to be for a resource, eight are looked at."""
    jar = cookies()
    many = [order(session_id=f"{number:04}TAB", issued=NOW - number) for number in range(20)]

    assert read(jar, sent(*stored(jar, *many)), ONE, NOW).orders == tuple(many[:MAX_CANDIDATES])


def test_few_signatures_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request with thousands of cookies of our names costs a handful of signatures."""
    jar = cookies()
    checked: list[bytes] = []
    original = Signer.unsign

    def count(signer: Signer, value: bytes) -> Any:
        checked.append(value)
        return original(signer, value)

    monkeypatch.setattr(Signer, "unsign", count)
    session_name = split(jar.session_cookie(SECRET, NOW))[0]
    order_name = split(stored(jar, order())[0])[0]
    read(jar, [(b"cookie", b"; ".join([session_name + b"=x.y", order_name + b"=x.y"] * 1000))], ONE, NOW)

    assert len(checked) <= 2 * MAX_CANDIDATES


def test_a_forged_session_before_the_genuine_one_is_passed_over() -> None:
    """A subdomain may plant a cookie of our name; the genuine one behind it still counts."""
    jar = cookies()
    name, value = split(jar.session_cookie(SECRET, NOW))

    for line in (name + b"=planted; " + name + b"=" + value, name + b"=; " + name + b"=" + value + b"; " + name):
        assert read(jar, [(b"cookie", line)], ONE, NOW).secret == SECRET


@pytest.mark.parametrize(
    ("template", "counts"),
    [
        (b"%s=%s", True),
        (b"a=b; %s=%s; c=d", True),
        (b"a=b;%s=%s", True),
        (b'a="b; %s=%s', True),
        (b"a; b; ; %s=%s", True),
        (b" \t%s \t=\t %s \t", True),
        (b'%s="%s"', True),
        (b"$Version=1; %s=%s; $Path=/", True),
        (b"=%s=%s", False),
        (b"\xe2\x80\x80%s=%s", False),
        (b"x%s=%s", False),
        (b"x %s=%s", False),
        (b"%s=x%s", False),
        (b"%s=%s x", False),
        (b"%s =x; y=%s", False),
        (b"%s,%s", False),
    ],
)
def test_the_cookie_line_is_read_byte_by_byte(template: bytes, counts: bool) -> None:  # noqa: FBT001 - a table
    """Names are compared exactly, blanks around them aside; nothing that only resembles ours is ours."""
    jar = cookies()
    name, value = split(jar.session_cookie(SECRET, NOW))

    assert (read(jar, [(b"cookie", template % (name, value))], ONE, NOW).secret == SECRET) == counts


def test_several_cookie_headers_are_one() -> None:
    """HTTP/2 may split the cookies into several headers; other headers hold none."""
    jar = cookies()
    headers = [*sent(jar.session_cookie(SECRET, NOW)), *sent(*stored(jar, order()))]

    assert read(jar, headers, ONE, NOW) == Jar(SECRET, (order(),))
    assert read(jar, [(b"x-cookie", value) for _, value in headers], ONE, NOW) == NOTHING


@settings(max_examples=500)
@given(st.lists(st.binary(max_size=200), max_size=4))
def test_any_bytes_are_no_order(lines: list[bytes]) -> None:
    """No Cookie header raises, and none opens anything."""
    headers = [(b"cookie", line) for line in lines]

    assert read(cookies(), headers, ONE, NOW) == NOTHING
    assert len(cookies().order_cookies(headers, order())) == 1


@settings(max_examples=500)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_under_our_names_are_no_order(value: bytes, is_session: bool) -> None:  # noqa: FBT001 - drawn
    """No value raises, whatever it is."""
    jar = cookies()
    name = split(jar.session_cookie(SECRET, NOW) if is_session else stored(jar, order())[0])[0]

    assert read(jar, [(b"cookie", name + b"=" + value)], ONE, NOW) == NOTHING
    jar.order_cookies([(b"cookie", name + b"=" + value)], order(TWO))


# Eviction.


def browse(jar: Cookies, orders: Sequence[Order], foreign: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the cookies of a browser that met these orders one after another."""
    held = dict(foreign)
    for one in orders:
        headers = [(b"cookie", b"; ".join(name + b"=" + value for name, value in held.items()))]
        for cookie in jar.order_cookies(headers, one):
            name, value = split(cookie)
            if b"Max-Age=0" in cookie:
                assert name in held
                del held[name]
            else:
                held[name] = value
    return held


FOREIGN = {
    b"theme": b"dark",
    b"__Host-taler_other": b"x" * 500,
    b"taler_aaaaaaaa_order_1111111111111111_sess": b"y" * 3000,
}


@pytest.mark.parametrize("length", [*range(0, 512, 32), *range(360, 400)])
def test_never_too_many_cookies(length: int) -> None:
    """Never more than 12 order cookies nor 4 KiB of ours with the session; the oldest go, foreign ones stay."""
    jar = cookies()
    made = [order(f"{number:016x}", issued=NOW + number, page="x" * length) for number in range(16)]
    session_name, session_value = split(jar.session_cookie(SECRET, NOW))
    for count in (1, 2, 4, 8, 13, len(made)):
        held = browse(jar, made[:count], FOREIGN | {session_name: session_value})
        assert held.items() >= FOREIGN.items()
        assert held[session_name] == session_value
        ours = {name: value for name, value in held.items() if name not in FOREIGN}
        assert 1 <= len(ours) - 1 <= MAX_ORDERS
        assert sum(len(name) + len(value) + len("=") for name, value in ours.items()) <= MAX_BYTES
        names = [split(stored(jar, one)[0])[0] in ours for one in made[:count]]
        assert names == sorted(names), "an older one was kept and a newer one was not"
        assert sum(names) >= min(count, 4)


def test_a_dozen_small_orders_are_kept() -> None:
    """Twelve orders of ordinary size are all kept at once."""
    jar = cookies()
    made = [order(f"{number:016x}", issued=NOW + number, page="") for number in range(MAX_ORDERS)]

    assert len(browse(jar, made, {})) == MAX_ORDERS


def test_an_order_replaces_its_own_cookie() -> None:
    """The next attempt of a session for a resource takes the place of the last one."""
    jar = cookies()
    held = browse(jar, [order(attempt=0), order(attempt=1, issued=NOW + 1)], {})

    assert (
        read(jar, [(b"cookie", next(iter(held)) + b"=" + next(iter(held.values())))], ONE, NOW).orders[0].attempt == 1
    )
    assert len(held) == 1


def test_an_order_among_a_dozen_is_replaced() -> None:
    """What takes its own place makes no room; what comes as the thirteenth clears the oldest."""
    jar = cookies()
    made = [order(f"{number:016x}", issued=NOW + number, page="") for number in range(MAX_ORDERS)]
    held, oldest = sent(*stored(jar, *made)), split(stored(jar, made[0])[0])[0]

    assert len(jar.order_cookies(held, replace(made[0], attempt=1))) == 1
    _, *cleared = jar.order_cookies(held, order("f" * 16, page=""))
    assert cleared == [oldest + b"=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0"]


def test_invalid_ones_are_evicted_first() -> None:
    """A cookie of ours that cannot be read makes room before any that can."""
    jar = cookies()
    made = [order(f"{number:016x}", issued=NOW - number, page="") for number in range(MAX_ORDERS)]
    broken = split(stored(jar, order("f" * 16))[0])[0]
    held = {split(cookie)[0]: split(cookie)[1] for cookie in stored(jar, *made[1:])} | {broken: b"broken"}

    assert set(browse(jar, made[:1], held)) == {split(cookie)[0] for cookie in stored(jar, *made)}


def test_renewal_is_due_after_half_of_the_time() -> None:
    """A cookie is written anew once it has lived for half of its time."""
    jar = cookies(max_age=1000)

    assert not jar.renewal_due([], order(issued=NOW - 500), NOW)
    assert jar.renewal_due([], order(issued=NOW - 501), NOW)


def test_renewal_is_due_under_an_older_key() -> None:
    """While two keys are accepted, what the older one signed is signed anew, so that the older one can go."""
    before, during = cookies(OLD), cookies(OLD, NEW)

    assert during.renewal_due(sent(*stored(before, order())), order(), NOW)
    assert not during.renewal_due(sent(*stored(during, order())), order(), NOW)


# Derived IDs.


def test_order_ids_are_derived() -> None:
    """The same order has the same ID in every worker; another session, resource, attempt, site or key has another."""
    keys = Keys([OLD], SITE)
    session_id = keys.session_id(SECRET)
    ids = [
        keys.order_id(session_id, "/a", 0),
        keys.order_id(keys.session_id("another"), "/a", 0),
        keys.order_id(session_id, "/b", 0),
        keys.order_id(session_id, "/a", 1),
        keys.order_id(session_id, "/a\x000", 0),
        keys.order_id(SessionId(session_id + "/a"), "", 0),
        Keys([OLD], SITE + "x").order_id(session_id, "/a", 0),
        Keys([NEW], SITE).order_id(session_id, "/a", 0),
        Keys([NEW, OLD], SITE + "x").order_id(session_id, "/a", 0),
    ]

    assert len(set(ids)) == len(ids)
    assert (
        ids[0]
        == Keys([OLD], SITE).order_id(session_id, "/a", 0)
        == Keys([OLD, NEW], SITE).order_id(session_id, "/a", 0)
    )
    for text in ids:
        assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26,}", text), "at least 128 bits of Crockford base32"


def test_what_an_earlier_release_made_is_known() -> None:
    """IDs stay what they are, or purchases whose cookie was evicted are lost; cookies that were written are read."""
    keys, jar = Keys([OLD], SITE), cookies()
    session_id = keys.session_id(SECRET)
    held = [
        (
            b"__Host-taler_bdjpxq6d_session=WyJ0aGUgc2VjcmV0IG9mIG9uZSBicm93c2VyIiwxNzk1MDAwMDAwXQ"
            b".P3MvSP1CCv6k0w41YswNbRS9_uv_93FwQrbD_QvA9Es"
        ),
        (
            b"__Host-taler_bdjpxq6d_order_1111111111111111_sess=WyJTRVNTSU9OMSIsIk9SREVSIiwiMTExMTExMTExMTExMTExMSIsMCwwLC"
            b"JLVURPUzowLjUiLCIvYT9iPWMiLDE3OTUwODY0MDAsMTc5NTAwMDAwMF0.lU1bGw9G7WgYFl80F_jPcbVq9MSxdEXlCFWEJHTmHLg"
        ),
    ]

    assert session_id == "HYK6173BVZJP7C21VS2XNS4T6492A0GC"
    assert keys.order_id(session_id, "/a", 0) == "YYK7AX9WCHCEAK6X717ZYRMKZAX323Z1"
    assert read(jar, sent(*held), ONE, NOW) == Jar(SECRET, (order(),))
    # An order says whether it was read here, which earlier ones did not.
    today = (
        b"__Host-taler_bdjpxq6d_order_1111111111111111_sess=WyJTRVNTSU9OMSIsIk9SREVSIiwiMTExMTExMTExMTExMTExMSIsMCwwLC"
        b"JLVURPUzowLjUiLCIvYT9iPWMiLDE3OTUwODY0MDAsMTc5NTAwMDAwMCwiIl0.Bre0DQJQSoS4IfowP0O0DpBhhgo89nHUBm7bhUIiCf8"
    )
    attributes = b"; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=34560000"
    written = [jar.session_cookie(SECRET, NOW), *stored(jar, order())]
    assert written == [cookie + attributes for cookie in (held[0], today)]


TEXT = st.text(max_size=30)
SESSION_ID = st.text(min_size=1, max_size=30)


@given(SESSION_ID, TEXT, SESSION_ID, TEXT)
def test_no_two_orders_share_an_id(session_1: str, resource_1: str, session_2: str, resource_2: str) -> None:
    """Session and resource cannot be shifted into each other."""
    keys = Keys([OLD], SITE)
    first, second = (
        keys.order_id(SessionId(session_1), resource_1, 0),
        keys.order_id(SessionId(session_2), resource_2, 0),
    )

    assert (first == second) == ((session_1, resource_1) == (session_2, resource_2))


def test_the_backend_never_learns_the_session_secret() -> None:
    """The backend's session is a keyed hash of the cookie's: another text, and another for each key and site."""
    ids = [Keys([key], site).session_id(SECRET) for key in (OLD, NEW) for site in (SITE, SITE + "x")]

    assert len({*ids, SECRET}) == 5
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26,}", text) for text in ids)
    assert SECRET not in str(ids)
    jar = cookies()
    for cookie in (jar.session_cookie(SECRET, NOW), *stored(jar, order(session_id=ids[0]))):
        name = split(cookie)[0]
        assert ids[0].encode() not in name
        assert SECRET.encode() not in name


def test_no_purpose_shares_its_key_with_another() -> None:
    """Session cookies, order cookies, session-IDs and order IDs have a key each."""
    keys = Keys([OLD], SITE)
    derived = [keys.session.secret_keys[0], keys.order.secret_keys[0], keys._session_ids, keys._order_ids]

    assert len(set(derived)) == 4
    assert OLD not in derived
    assert session.MAX_ORDERS == 12


def test_one_order_of_a_browser_by_its_id() -> None:
    """Whatever it is for; of other browsers, other keys and old times there is none."""
    jar = cookies()
    first, second = order(ONE, order_id="FIRST"), order(TWO, order_id="SECOND", session_id="OTHER")
    headers = sent(jar.session_cookie(SECRET, NOW), *stored(jar, first, second))

    assert [jar.order_by_id(headers, name, NOW) for name in ("FIRST", "SECOND")] == [first, second]
    assert [jar.order_by_id(headers, name, NOW) for name in ("THIRD", "first", "")] == [None] * 3
    assert jar.order_by_id(headers, "FIRST", NOW + MAX_AGE + 1) is None
    assert cookies(OTHER).order_by_id(headers, "FIRST", NOW) is None
    assert jar.order_by_id([], "FIRST", NOW) is None


def test_the_sessions_of_a_browser() -> None:
    """Its session cookie's as the backend knows it, and those of all its orders; never the secret itself."""
    jar, own = cookies(), Keys([OLD], SITE).session_id(SECRET)
    orders = stored(jar, order(ONE, session_id="SESSION1"), order(TWO, session_id="SESSION2"))

    assert jar.session_ids(sent(jar.session_cookie(SECRET, NOW), *orders), NOW) == {own, "SESSION1", "SESSION2"}
    assert jar.session_ids(sent(*orders), NOW) == {"SESSION1", "SESSION2"}
    assert jar.session_ids(sent(jar.session_cookie(SECRET, NOW)), NOW) == {own}
    assert jar.session_ids(sent(*stored(cookies(OTHER), order())), NOW) == set()
    assert jar.session_ids([], NOW) == set()


def test_no_browser_has_orders_without_end() -> None:
    """More orders than were ever given to one browser are not looked at."""
    jar = cookies()
    many = stored(jar, *(order(f"{n:016x}", order_id=f"ORDER{n}") for n in range(session.MAX_LOOKED_AT + 1)))

    assert jar.order_by_id(sent(*many), f"ORDER{session.MAX_LOOKED_AT - 1}", NOW)
    assert jar.order_by_id(sent(*many), f"ORDER{session.MAX_LOOKED_AT}", NOW) is None


@pytest.mark.parametrize("state", ["", "paid", "moved"])
def test_the_state_of_an_order_is_kept(state: str) -> None:
    """Whether it was read here, or follows one that was, comes back as it was."""
    jar = cookies()

    assert jar.orders(sent(*stored(jar, order(state=state))), ONE, NOW) == (order(state=state),)


def test_cookies_without_a_state_are_read() -> None:
    """Those of the version before say nothing of it; any other word is none of ours."""
    jar, signer = cookies(), Keys([OLD], SITE).order
    [name, _] = split(stored(jar, order())[0])
    fields = [str(each) if isinstance(each, SessionId) else each for each in msgspec.structs.astuple(order())]
    for changed, found in ((fields[:-1], (order(),)), ([*fields[:-1], "read"], ())):
        value = signer.sign(base64_encode(json.dumps(changed)))
        assert jar.orders([(b"cookie", b"%s=%s" % (name, value))], ONE, NOW) == found
