"""A refund in the back office closes the page at once, though nothing would have been asked for an hour."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from flood.crowd import Heard, Request, flood
from flood.pages import text_of
from flood.world import Site, World
from reader import Reader
from running import SECRET_KEY, eventually
from servers import Protocol
from shared_cache.redis_server import RedisServer

from taler_paywall.session import Keys

PAGE = "/articles/bees"
WEBHOOK = "/.well-known/taler-paywall/webhook"
PROTOCOLS: list[Protocol] = ["asgi", "wsgi"]
HOUR = 3600
#: A refund takes effect within a second; a busy machine may take three times as long.
SECONDS = 3.0
NEW_KEY = "the-key-that-follows-in-a-rotation-of-keys-1234567890"
LOST_KEY = "a-key-that-was-never-one-of-this-site-or-is-no-more-123"

OpenSite = Callable[..., Site]


@pytest.fixture(params=PROTOCOLS)
def open_site(request: pytest.FixtureRequest, world: World) -> OpenSite:
    """Start sites that believe for an hour, and serve who is known for another, under uvicorn or under gunicorn."""
    return lambda **options: world.site(request.param, recheck_after=HOUR, serve_known_for=2 * HOUR, **options)


def secret(world: World, site: Site, *keys: str) -> str:
    """Return what the backend shows to a site: derived from the newest of its keys."""
    encoded = [key.encode() for key in keys or (SECRET_KEY,)]
    return Keys(encoded, f"{site.url} {world.backend.url}").webhook_secrets[-1]


def install(world: World, site: Site, token: str) -> None:
    """Register both webhooks at the backend, as the document says."""
    for event in ("pay", "refund"):
        hook = {
            "webhook_id": f"{event}-{site.port}-{token[:8]}",
            "event_type": event,
            "url": f"{site.url}{WEBHOOK}",
            "http_method": "POST",
            "header_template": f"Authorization: Bearer {token}\nContent-Type: application/json",
            "body_template": f'{{"order_id":"{{{{order_id}}}}","event":"{event}"}}',
        }
        world.backend.http.post("private/webhooks", json=hook).raise_for_status()


def tell(site: Site, token: str, order_id: str, event: str = "refund") -> httpx.Response:
    """Send what the backend would send."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(
        f"{site.url}{WEBHOOK}", json={"order_id": order_id, "event": event}, headers=headers, trust_env=False
    )


def calls(world: World, order_id: str) -> int:
    """Return how often the site has asked for an order."""
    return world.backend.asked[f"GET /private/orders/{order_id}"]


def is_closed(reader: Reader) -> bool:
    """Tell whether the page is not open to a reader any more."""
    return reader.visit(PAGE).status_code == 402


def test_a_refund_closes_the_page_within_a_second(world: World, open_site: OpenSite) -> None:
    """Paid, read, refunded at the backend, and closed; the reader is told why."""
    site = open_site()
    with Reader(site.url) as reader:
        order_id = world.buy(reader, PAGE)
        # From now on, for that of the payment could come when the page has been read already.
        install(world, site, secret(world, site))
        asked = calls(world, order_id)
        assert reader.visit(PAGE).content == text_of(PAGE)
        assert calls(world, order_id) == asked, "the payment is believed for an hour"
        world.backend.refund(order_id)
        eventually(partial(is_closed, reader), "the page closes", SECONDS)
        assert "refunded" in reader.visit(PAGE).text


def test_the_whole_way_with_both_webhooks(world: World, open_site: OpenSite) -> None:
    """Whenever the webhook of the payment comes, the page stays open until that of the refund."""
    site = open_site()
    install(world, site, secret(world, site))
    with Reader(site.url) as reader:
        order_id = world.buy(reader, PAGE)
        for _ in range(20):
            assert reader.visit(PAGE).content == text_of(PAGE)
        assert calls(world, order_id) <= 4
        world.backend.refund(order_id)
        eventually(partial(is_closed, reader), "the page closes", SECONDS)


def test_who_is_refunded_is_known_no_more(world: World, open_site: OpenSite) -> None:
    """The webhook alone takes the payment away: where the backend ends right after it, others read on."""
    site = open_site()
    with Reader(site.url) as refunded, Reader(site.url) as other:
        order_id = world.buy(refunded, PAGE)
        world.buy(other, PAGE)
        install(world, site, secret(world, site))
        asked = calls(world, order_id)
        world.backend.refund(order_id)
        line = f"refunded reason=webhook order={order_id}"
        eventually(lambda: line in site.process.output, "the webhook arrives", SECONDS)
        assert calls(world, order_id) == asked, "a webhook costs no call"
        world.backend.process.popen.kill()
        world.backend.process.popen.wait()
        closed = refunded.visit(PAGE)
        assert (closed.status_code, text_of(PAGE) in closed.content) == (503, False)
        assert other.visit(PAGE).content == text_of(PAGE)


def test_a_wrong_secret_does_nothing(world: World, open_site: OpenSite) -> None:
    """403; who has paid reads on, and the backend is not asked."""
    site = open_site()
    with Reader(site.url) as reader:
        order_id = world.buy(reader, PAGE)
        asked = calls(world, order_id)
        for token in (secret(world, site, LOST_KEY), "x", SECRET_KEY, secret(world, site).lower()):
            assert tell(site, token, order_id).status_code == 403
        assert httpx.post(f"{site.url}{WEBHOOK}", trust_env=False).status_code == 403
        assert reader.visit(PAGE).status_code == 200
        assert calls(world, order_id) == asked
        # The same with the right one is noticed.
        assert tell(site, secret(world, site), order_id).status_code == 204
        assert reader.visit(PAGE).status_code == 200
        assert calls(world, order_id) == asked + 1


def test_a_flood_of_wrong_secrets(world: World, open_site: OpenSite) -> None:
    """A thousand guesses cost no call, and forget nobody."""
    site = open_site()
    with Reader(site.url) as reader:
        order_id = world.buy(reader, PAGE)
        before = world.backend.asked
        body = b'{"order_id":"%b","event":"refund"}' % order_id.encode()
        guesses = (
            Request(WEBHOOK, (("Authorization", f"Bearer {number:052d}"),), "POST", body) for number in range(1000)
        )
        heard: list[Heard] = flood(site.port, guesses)
        assert {answer.status for answer in heard} == {403}
        assert reader.visit(PAGE).content == text_of(PAGE)
        assert world.backend.asked == before


def test_secrets_of_a_key_rotation(world: World, open_site: OpenSite) -> None:
    """While both keys are in use, what either of them gives is right; of one that is gone nothing is."""
    site = open_site(environ={"TALER_PAYWALL_SECRET_KEY": f"{SECRET_KEY} {NEW_KEY}"})
    install(world, site, secret(world, site, SECRET_KEY))
    with Reader(site.url) as reader:
        first = world.buy(reader, PAGE)
        world.backend.refund(first)
        eventually(partial(is_closed, reader), "the older secret closes the page", SECONDS)
    for key, status in ((NEW_KEY, 204), (SECRET_KEY, 204), (LOST_KEY, 403)):
        assert tell(site, secret(world, site, key), "ORDER").status_code == status
    world.backend.http.delete(f"private/webhooks/refund-{site.port}-{secret(world, site)[:8]}").raise_for_status()
    install(world, site, secret(world, site, SECRET_KEY, NEW_KEY))
    with Reader(site.url) as reader:
        second = world.buy(reader, PAGE)
        world.backend.refund(second)
        eventually(partial(is_closed, reader), "the newer secret closes the page", SECONDS)


@pytest.mark.parametrize("event", ["pay", "refund"])
def test_an_event_that_is_sent_again_costs_one_call(world: World, open_site: OpenSite, event: str) -> None:
    """What a webhook says is not believed: the next request asks the backend, which knows."""
    site = open_site()
    with Reader(site.url) as reader:
        order_id = world.buy(reader, PAGE)
        for _ in range(3):
            asked = calls(world, order_id)
            assert [tell(site, secret(world, site), order_id, event).status_code for _ in range(5)] == [204] * 5
            assert calls(world, order_id) == asked
            assert reader.visit(PAGE).content == text_of(PAGE)
            assert calls(world, order_id) == asked + 1


def test_events_of_orders_that_nobody_knows(world: World, open_site: OpenSite) -> None:
    """The backend tells of what others sell, too; nothing comes of it."""
    site = open_site()
    before = world.backend.asked
    for number in range(20):
        assert tell(site, secret(world, site), f"OTHER-{number}").status_code == 204
    assert world.backend.asked == before


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    started = RedisServer(tmp_path)
    yield started
    started.close()


def test_one_webhook_closes_the_page_in_all_workers(world: World, redis_server: RedisServer) -> None:
    """With Redis it does not matter which worker of which server hears of the refund."""
    address = {"TALER_PAYWALL_PUBLIC_URL": "http://127.0.0.1:9"}
    options = {"recheck_after": HOUR, "serve_known_for": 2 * HOUR, "cache": redis_server.url}
    first, second = (world.site(kind, environ=address, **options) for kind in PROTOCOLS)
    # Both are one site.
    token = secret(world, Site(first.process, address["TALER_PAYWALL_PUBLIC_URL"], 9))
    with Reader(first.url) as here, Reader(second.url) as there:
        order_id = world.buy(here, PAGE)
        install(world, first, token)
        there.hold(here.cookies())
        asked = calls(world, order_id)
        for reader in (here, there, here, there):
            assert reader.visit(PAGE).content == text_of(PAGE)
        assert calls(world, order_id) == asked, "what one server knows, both know"
        deadline = time.monotonic() + SECONDS
        world.backend.refund(order_id)
        for reader in (there, here):
            eventually(partial(is_closed, reader), "the page closes", deadline - time.monotonic())
