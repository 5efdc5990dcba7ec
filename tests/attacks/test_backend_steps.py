"""What shows only in several requests: payments that are taken back, prices that rise, other readers, caches, logs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import pytest
from conformance.wsgi_calls import REORDER
from msgspec.structs import replace
from reader import Reader
from running import SECRET_KEY, TOKEN, Process, free_port
from servers import BY_NAME

from .hostile import CLAIM_TOKEN, Books, Hostile
from .jar import Jar
from .rows import MORE, SEQUENCES
from .scenarios import SCENARIOS
from .shop import OLD, SITE, Adapter, both, check, opened, rendered, visiting

#: Asks for the article with a cookie that opens it.
PAID: Final = next(attack for attack in MORE if attack.setup.backend == "paid")
FORM: Final = {"Origin": SITE, "Content_Type": "application/x-www-form-urlencoded", "Content_Length": "24"}


@both
@pytest.mark.parametrize(("scenario", "statuses"), SEQUENCES.items())
def test_what_a_backend_takes_back(scenario: str, statuses: tuple[int, ...], adapter: Adapter) -> None:
    """A payment that is given back, proved elsewhere or forgotten opens nothing more (rows F1, F4, F8, F9, G18)."""
    with opened(adapter, scenario, recheck_after=0) as (shop, books):
        asked = rendered(PAID, Jar(books))
        for status in statuses:
            answer = shop.send(asked)
            assert answer.status == status
            check(answer)
    assert len(books.posts) <= 2


@both
def test_a_refund_reaches_the_other_worker(adapter: Adapter) -> None:
    """A worker that holds the payment in its cache delivers until it asks again, and no longer (F4)."""
    with opened(adapter, "paid_then_refunded_two_workers", recheck_after=0) as (asking, books):
        asked = rendered(PAID, Jar(books))
        with asking.twin() as holding_it, asking.twin() as restarted:
            assert [shop.send(asked).status for shop in (asking, holding_it)] == [200, 200]
            assert [shop.send(asked).status for shop in (asking, holding_it, restarted)] == [402, 200, 402]


@both
def test_bought_again_after_a_refund(adapter: Adapter) -> None:
    """What was refunded opens nothing; the next order of the same reader does, the old cookie does not."""
    with opened(adapter, "refunded_then_new_order_paid", recheck_after=0) as (shop, books):
        asked = rendered(PAID, Jar(books))
        assert shop.send(asked).status == 402
        form = visiting(REORDER, asked.request.headers[1][1], "POST", "page=/article&method=GET", **FORM)
        again = shop.send(form)
        assert again.status == 303
        assert shop.visit("/article", again.cookies).status == 402
        books.pay()
        assert shop.visit("/article", again.cookies).granted
        assert shop.send(asked).status == 402


@both
def test_an_outage_does_not_shut_out_who_cannot_be_refunded(adapter: Adapter) -> None:
    """Once no refund is possible, nothing is asked for a day; before that, a dead backend is unknown (F7).

    Unless the site lets who was confirmed read on for a time.
    """
    for scenario, known, status in (("paid_settled", 0, 200), ("paid", 0, 503), ("paid", 60, 200)):
        with opened(adapter, scenario, recheck_after=0, serve_known_for=known) as (shop, books):
            asked = rendered(PAID, Jar(books))
            assert shop.send(asked).status == 200
            books.scenario = "close_early"
            assert shop.send(asked).status == status


@both
@pytest.mark.parametrize(("policy", "status"), [("honour", 200), ("current", 402)])
def test_a_price_that_was_raised(policy: str, status: int, adapter: Adapter) -> None:
    """Who has paid the old price reads on, unless the site says that the price belongs to what is sold (D4)."""
    with opened(adapter, "paid_amount_old_price", price_policy=policy) as (shop, books):
        bought = shop.visit("/article")
        books.pay()
        assert shop.visit("/article", bought.cookies).granted
        with shop.twin(price="EUR:5", price_policy=policy) as dearer:
            answer = dearer.visit("/article", bought.cookies)
            assert answer.status == status
            check(answer)


@both
def test_a_payment_for_one_method_opens_no_other(adapter: Adapter) -> None:
    """What was bought for GET is not sold to POST for it (binding-020)."""
    with opened(adapter) as (shop, books):
        asked = rendered(PAID, Jar(books))
        assert shop.send(asked).granted
        posted = shop.send(replace(asked, request=replace(asked.request, method="POST")))
        assert posted.status == 402
        check(posted)


@both
def test_caches_hold_nothing_that_was_sold(adapter: Adapter) -> None:
    """A suffix that looks static is private as well, and an encoded slash is refused, paid or not (caching-005, H3)."""
    with opened(adapter) as (shop, books):
        jar = Jar(books, "/premium/secret.html")
        cookie = f"{jar.name}={jar.value('paid', '/premium/secret.html')}"
        for path, status in (("/premium/secret.html/x.css", 200), ("/premium/secret.html%2fx.css", 400)):
            answer = shop.visit(path, cookie)
            assert answer.status == status
            check(answer)


@both
def test_every_reader_has_a_session_of_its_own(adapter: Adapter) -> None:
    """Of many first visits no two share a session, an order or a cookie; sessions have at least 128 bits."""
    with opened(adapter) as (shop, books):
        cookies = [shop.visit("/article").cookies for _ in range(50)]
        assert len(set(cookies)) == len(set(books.orders)) == 50
        # A new visitor's status need not be asked for; on a reload it is.
        for cookie in cookies:
            shop.visit("/article", cookie)
        sessions = {asked.query["session_id"] for asked in books.asked if asked.order_id}
        assert len(sessions) == 50
        assert all(len(session) * 5 >= 128 for session in sessions)


@both
def test_the_log_tells_no_secret(adapter: Adapter, caplog: pytest.LogCaptureFixture) -> None:
    """Not the token, a cookie, a session, the claim token or a key, at any level (row H8)."""
    caplog.set_level(logging.DEBUG)
    for scenario in ("http_401", "unpaid", "paid", "status_url:https://evil.test/", "json_malformed", "reset:40"):
        with opened(adapter, scenario) as (shop, books):
            jar = Jar(books)
            value, session = jar.value("paid", "/article"), jar.session("paid", "/article")
            shop.visit("/article", f"{jar.name}={value}")
            bought = shop.visit("/article")
        secrets = [TOKEN, CLAIM_TOKEN, OLD, value, session, *filter(None, bought.cookies.split("; "))]
        secrets += [asked.query["session_id"] for asked in books.asked if asked.order_id]
        assert [secret for secret in secrets if secret in caplog.text] == []
    assert "unknown reason=backend-rejected" in caplog.text


@pytest.mark.parametrize(("server", "app"), [("uvicorn", "starlette_site"), ("waitress", "wsgi_site")])
def test_the_environment_leads_no_request_astray(
    server: str, app: str, tmp_path: Path, processes: list[Process]
) -> None:
    """Proxies and passwords that stand in the environment of the site's process are not for its backend (row G17)."""
    tmp_path.joinpath(".netrc").write_text("default login thief password x\n")
    tmp_path.joinpath(".netrc").chmod(0o600)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Hostile(Books(SCENARIOS)) as proxy, Hostile(Books(SCENARIOS)) as backend:
        backend.books.public = backend.url
        names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
        settings = dict.fromkeys(names, proxy.url) | {
            "NETRC": str(tmp_path / ".netrc"),
            "TALER_PAYWALL_BACKEND": backend.url,
            "TALER_PAYWALL_TOKEN": TOKEN,
            "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
            "TALER_PAYWALL_PUBLIC_URL": url,
        }
        processes.append(BY_NAME[server].start(tmp_path, f"examples.{app}:app", port, **settings))
        processes[0].wait_for(f"{url}/")
        with Reader(url) as reader:
            assert reader.visit("/articles/bees").headers["location"].startswith(backend.url)
            backend.books.pay()
            assert reader.visit("/articles/bees").status_code == 200
        assert proxy.books.asked == []
