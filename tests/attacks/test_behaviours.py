"""Behaviours that paywalls and gates in front of sites were found to need, each shown on both adapters.

The table says which tests show which behaviour; what no other test shows is here. The numbers are those of the list
that they were taken from.
"""

from __future__ import annotations

import ast
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import pytest
from conformance.front import Front, Fronts
from conformance.till import Till
from reader import PAGE, Reader
from running import eventually
from sandbox.switch import Switch

from taler_paywall.testing.wallet import TalerWallet

#: By number: the behaviour in our words, then the tests; those without a file are in this one.
SHOWN: Final = """
1 An encoded slash between the parts of what is sold is refused
  ::test_odd_spellings_are_refused conformance/test_addresses.py::test_spellings_of_what_is_sold_open_nothing
2 No encoded separator within a name is a way in
  ::test_odd_spellings_are_refused
3 A section is the prefix and all below it, and no other name
  ::test_a_section_ends_with_its_name
4 Control characters and broken escapes are refused
  ::test_odd_spellings_are_refused
5 Doubled slashes and dot segments are refused
  ::test_odd_spellings_are_refused
6 The prefix of a mounted site is cut between segments only
  conformance/test_asgi_mounts.py::test_prefixes_are_cut_between_segments
  conformance/test_wsgi_mounts.py::test_no_script_name_opens_what_is_sold
7 Without the raw path money is asked for all the same
  conformance/test_asgi_scope.py::test_what_a_server_may_leave_out
  core/test_wsgi.py::test_nothing_but_the_path_may_be_missing
9 Without a backend the site does not start
  conformance/test_start.py::test_a_wrong_configuration_does_not_start
  core/test_config.py::test_everything_missing_is_reported_at_once
10 Of two rules that fit the first counts
  core/test_rules.py::test_the_first_match_wins
11 HEAD is answered like GET, without a body, an order or a call of the application
  conformance/test_asking.py::test_the_answer_to_head_has_no_body
  conformance/test_asking.py::test_odd_methods_reach_nothing_unpaid
15 Two ranges are one payment
  conformance/test_paid_answers.py::test_ranges_and_conditions
18 Several cookies and links of the application all arrive
  conformance/test_paid_answers.py::test_duplicate_headers_arrive_in_order
20 Every status of the application arrives
  conformance/test_paid_answers.py::test_statuses_arrive conformance/test_paid_answers.py::test_ranges_and_conditions
21 Fifty reloads are one order
  ::test_fifty_reloads_are_one_order
22 A page and what it loads, asked for at the same time, are one order
  site/newspaper/test_newspaper_return.py::test_many_requests_at_once_make_one_order
  site/newspaper/test_newspaper_walk.py::test_who_makes_no_order
23 A late answer to a request without cookies takes nothing away
  ::test_a_late_answer_takes_nothing_away site/newspaper/test_newspaper_return.py::test_two_tabs
24 What was paid for one page opens no other
  conformance/test_walk.py::test_articles_are_bought_one_by_one
  site/newspaper/test_newspaper_return.py::test_a_cookie_under_another_name_opens_nothing
25 What was cheap opens nothing dear, by no method and no query
  attacks/test_purchases.py::test_cheap_opens_nothing_dear
26 A forged cookie counts as none, and breaks nothing
  conformance/test_walk.py::test_forged_cookies_count_as_none
  site/newspaper/test_newspaper_return.py::test_flipped_bits_open_nothing
27 Cookies of any bytes and of any length are no error
  ::test_unreadable_cookies_count_as_none core/test_session.py::test_few_signatures_are_checked
28 An order that was shown is good at its price, and in its time
  attacks/test_purchases.py::test_a_raised_price core/test_flow.py::test_order_past_its_pay_deadline
35 Whatever is wrong with the backend, strangers get 503 and nothing else
  ::test_faults_of_the_backend site/newspaper/test_newspaper_backend.py::test_frozen
36 Whatever is wrong with the backend, who has just read reads on
  ::test_faults_of_the_backend site/newspaper/test_newspaper_backend.py::test_frozen
37 An order whose answer was lost is found again, and no second one made
  ::test_a_lost_answer_makes_no_second_order
38 What could not be read is neither paid nor unpaid, and stands in the log
  ::test_faults_of_the_backend site/newspaper/test_newspaper_backend.py::test_killed_and_started_again
39 A backend that hangs holds up neither the start nor free pages
  test_imports.py::test_nothing_is_opened_or_started
  site/newspaper/test_newspaper_backend.py::test_many_strangers_wait
41 A redirect of the backend is not followed
  ::test_faults_of_the_backend core/test_transport.py::test_redirects_are_not_followed
48 Behind TLS, whatever a client says of host and scheme, orders lead to the site
  proxy/test_proxy_walk.py::test_forged_headers_change_nothing
49 Cookies are secure where the site is
  attacks/test_purchases.py::test_attributes_of_cookies
50 Cookies of older settings do no harm
  attacks/test_purchases.py::test_cookies_of_older_settings
51 Nobody is led to another site
  ::test_nobody_is_led_away
"""
#: Behind the mount of the conformance tests, `/house/*` is sold as one.
SECTION: Final = "/around/house"
EVIL: Final = [
    "//evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
    "https://evil.example/paid",
]
#: All that are over at once; the tests of time have the others.
FAULTS: Final = [
    *("refuse", "error-html", "error-json", "unavailable", "truncated", "broken"),
    *("wrong-types", "unauthorized", "not-found", "redirect"),
]


@pytest.fixture(scope="module")
def fronts(till: Till, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    """Start sites on demand."""
    opened = Fronts(tmp_path_factory.mktemp("fronts"), till.url)
    yield opened
    opened.close()


@pytest.fixture(params=["uvicorn", "gunicorn threads"])
def front(request: pytest.FixtureRequest, fronts: Fronts) -> Front:
    return fronts[request.param]


@pytest.fixture
def reader(front: Front) -> Iterator[Reader]:
    with front.reader() as opened:
        yield opened


@pytest.fixture
def purse(tmp_path: Path) -> Iterator[TalerWallet]:
    with TalerWallet(tmp_path / "wallet.sqlite") as opened:
        yield opened


@pytest.fixture
def page() -> str:
    return f"/paid/n{secrets.token_hex(6)}"


def buy(reader: Reader, purse: TalerWallet, page: str) -> str:
    """Buy a page, read it, and return how the wallet paid."""
    how = purse.pay(reader.visit(page).headers["location"]).how
    assert reader.visit(page).status_code == 200
    return how


def test_every_behaviour_is_shown() -> None:
    """The table has all behaviours that belong here, and every test that it names exists."""
    ranges = [(1, 7), (9, 11), (15, 15), (18, 18), (20, 28), (35, 39), (41, 41), (48, 51)]
    behaviours = dict(re.findall(r"(?m)^(\d+) .+\n((?:  .+\n)+)", SHOWN))
    assert list(behaviours) == [str(number) for first, last in ranges for number in range(first, last + 1)]
    here = Path(__file__)
    for file, name in re.findall(r"(\S*)::(\w+)", "".join(behaviours.values())):
        parsed = ast.parse((here.parents[1] / file if file else here).read_text())
        tests = {node.name for node in parsed.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in tests, (file, name)


@pytest.mark.parametrize(
    "spelling",
    [
        *("/paid%2F{}", "/paid%2f{}", "%2Fpaid/{}"),
        *("/paid/{}%2Fb", "/paid/{}%252Fb", "/paid/{}%5Cb", "/paid/{}\\b", "/paid/{}%255Cb", "/paid/{}%25bb"),
        *("/paid/{}/a%0Ab", "/paid/{}/a%0A", "/paid/{}%0D", "/paid/{}/a%00b", "/paid/{}/%zz", "/paid/{}/a%2"),
        *("//paid/{}", "/./paid/{}", "/free/../paid/{}", "/paid/./{}", "/paid/x/../{}", "/paid//{}"),
    ],
)
def test_odd_spellings_are_refused(spelling: str, reader: Reader, page: str) -> None:
    """What may be read as something that is sold is neither served nor sold, but refused."""
    target = spelling.format(page.rpartition("/")[2])
    answer = reader.http.get("/", headers={"Accept": "application/json"}, extensions={"target": target.encode()})
    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers


def test_a_section_ends_with_its_name(reader: Reader) -> None:
    """What is sold with all below it is that, and nothing whose name only begins alike."""
    for path in (SECTION, f"{SECTION}/", f"{SECTION}/a/b"):
        assert reader.picture(path).status_code == 402
    assert reader.picture(f"{SECTION}s").json()["payment"] is None


def test_fifty_reloads_are_one_order(reader: Reader, page: str, till: Till) -> None:
    """Who does not pay and asks again is shown the same order."""
    assert len({reader.visit(page).headers["location"] for _ in range(50)}) == 1
    assert len(till.orders_for(page)) == 1


def test_a_late_answer_takes_nothing_away(front: Front, reader: Reader, purse: TalerWallet, page: str) -> None:
    """What a request of the same browser without cookies is answered, at last, deletes none and hides none."""
    with front.reader() as late:
        answers = [late.visit(page), late.picture(page), late.visit(f"{page}x")]
        buy(reader, purse, page)
        for answer in answers:
            assert all("max-age=0" not in cookie.lower() for cookie in answer.headers.get_list("set-cookie"))
            reader.http.cookies.extract_cookies(answer)
            assert reader.visit(page).status_code == 200


@pytest.mark.parametrize(
    "value", [b"\xff\xfe", b"", b"=;=;;", b"a=" * 3500, b'"', "½".encode(), b"e30.e30.e30"], ids=repr
)
def test_unreadable_cookies_count_as_none(front: Front, reader: Reader, page: str, value: bytes) -> None:
    """Whatever bytes stand under our names, the reader is a stranger like others."""
    reader.visit(page)
    names = sorted(reader.cookies())
    for name in names:
        reader.drop()
        headers = {b"Cookie": b"%s=%s" % (name.encode(), value), b"Accept": PAGE.encode()}
        assert reader.http.get(page, headers=headers).status_code == 302
    assert len(names) == 2
    assert "Traceback" not in front.log


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_backend(fault: str, front: Front, till: Till, purse: TalerWallet, page: str) -> None:
    """Strangers and who has not paid are told to come back, and nothing else; who has just read reads on."""
    with front.reader() as paid, front.reader() as halfway, front.reader() as stranger, Switch(till._control) as switch:
        buy(paid, purse, page)
        halfway.visit(page)
        log = len(front.log)
        switch.fault(fault)
        programs = [one.http.get(page, headers={"Accept": "application/json"}) for one in (stranger, halfway)]
        for answer in (stranger.visit(page), halfway.visit(page), *programs):
            assert (answer.status_code, answer.headers["cache-control"]) == (503, "no-store")
            assert int(answer.headers["retry-after"]) > 0
            assert not {"location", "set-cookie", "taler"} & set(answer.headers)
            assert "taler:" not in answer.text
        assert paid.visit(page).status_code == stranger.visit("/free").status_code == 200
        assert front.log[log:].count("unknown reason=") == 4
        switch.lift()
        # The circuit may have opened: the next test finds it closed.
        eventually(lambda: stranger.visit(f"{page}/").status_code == 302, "the backend is asked again")


def test_a_lost_answer_makes_no_second_order(reader: Reader, till: Till, page: str) -> None:
    """The order was made and the answer lost: who asks again is shown that order, and no second one is made."""
    reader.visit(f"{page}first")
    with Switch(till._control) as switch:
        switch.fault("broken", only="private/orders", method="POST")
        assert reader.visit(f"{page}/").status_code == 503
        assert switch.hits > 0
    made = [order.order_id for order in till.orders_for(page) if not order.fulfillment_url.endswith("first")]
    assert len(made) == 1
    assert made[0] in reader.visit(page).headers["location"]
    assert len(till.orders_for(page)) == 2


@pytest.mark.parametrize("evil", EVIL)
def test_nobody_is_led_away(evil: str, front: Front, purse: TalerWallet, page: str) -> None:
    """Neither the form of ours nor a query leads to another site."""
    with front.reader() as reader:
        for target in (evil, f"{evil}{page}"):
            answer = reader.buy_again(target)
            assert answer.status_code in {400, 404}
            assert "location" not in answer.headers
        query = urlencode({"page": evil, "next": evil})
        paid = purse.pay(reader.visit(f"{page}?{query}").headers["location"])
        landed = reader.come_back(paid.fulfillment_url or "")
        assert (landed.status_code, landed.headers["location"]) == (303, f"{front.url}{page}?{query}")
