"""What the two adapters make of a request in this process, one like the other."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Unpack
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
import pytest
from running import SECRET_KEY, TOKEN, free_port

from taler_paywall import Payment, Rule, asgi, payment_from, wsgi
from taler_paywall.asgi import Receive, Scope, Send
from taler_paywall.settings import Options, RuleList
from taler_paywall.testing.client import serving

from .wsgi_calls import NOWHERE, SITE

PAYMENT = Payment("OUTER", "/house", "KUDOS:1")
both = pytest.mark.parametrize("adapter", [asgi, wsgi], ids=["asgi", "wsgi"])


async def told(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the order that was paid for."""
    payment = payment_from(scope)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": payment.order_id.encode() if payment else b"free"})


def told_wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer the same."""
    payment = payment_from(environ)
    start_response("200 OK", [])
    return [payment.order_id.encode() if payment else b"free"]


def behind(adapter: Any, rules: RuleList, **options: Unpack[Options]) -> Any:
    """Put the application behind a paywall."""
    given: Options = {"backend": NOWHERE, "token": TOKEN, "secret_key": SECRET_KEY, "public_url": SITE}
    return adapter.PaywallMiddleware(told if adapter is asgi else told_wsgi, rules, **{**given, **options})


def ask(site: Any, method: str, path: str, **headers: str) -> httpx.Response:
    """Send one request; underscores in names of headers are dashes."""
    with serving(site) as transport, httpx.Client(base_url=SITE, transport=transport) as client:
        return client.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})


@both
@pytest.mark.parametrize("price", [lambda _: 1 / 0, lambda _: "half a KUDOS"])
def test_a_broken_price_closes_the_gate(adapter: Any, price: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A price callable that raises, or returns no amount, gives nothing away: 503, and a traceback in the log."""
    with caplog.at_level(logging.ERROR, "taler_paywall"):
        assert ask(behind(adapter, {"/paid": price}), "GET", "/paid").status_code == 503
    assert [bool(record.exc_info) for record in caplog.records] == [True]
    assert "internal-error" in caplog.text


@both
def test_the_preflight_of_a_rule_for_post(adapter: Any) -> None:
    """What asks whether it may POST is answered where POST is sold; for GET, and for others, the application is."""
    site = behind(adapter, [Rule("POST /paid", "KUDOS:1", page="/")], cors_origins=["https://app.example"])
    own = {"origin": "https://app.example"}
    answer = ask(site, "OPTIONS", "/paid", access_control_request_method="POST", **own)
    assert (answer.status_code, answer.headers["access-control-allow-methods"]) == (204, "POST")
    for headers in (
        {**own, "access_control_request_method": "GET"},
        own,
        {"origin": "https://evil.example", "access_control_request_method": "POST"},
    ):
        assert (ask(site, "OPTIONS", "/paid", **headers)).text == "free"


class Paid:
    """Stands for an outer paywall that was paid."""

    def __init__(self, site: Any) -> None:
        self.site = site

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.site({**scope, "taler_paywall": PAYMENT}, receive, send)

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer: Iterable[bytes] = self.site({**environ, "taler_paywall.payment": PAYMENT}, start_response)
        return answer


@both
@pytest.mark.parametrize("path", ["/paid", "/free"])
def test_an_exempt_request_keeps_the_outer_payment(adapter: Any, path: str) -> None:
    """A paywall that asks for nothing does not hide what was paid to the one around it."""
    outer = Paid(behind(adapter, {"/paid": "KUDOS:1"}, exempt=lambda _: True))
    answer = ask(outer.asgi if adapter is asgi else outer.wsgi, "GET", path)
    assert (answer.status_code, answer.text) == (200, "OUTER")


# Host and port of the request, where the site is mounted, and what the site believes to be.
LOOPBACK = [
    ("127.0.0.1:8000", 8000, "", "http://127.0.0.1:8000"),
    ("127.0.0.1:8000", 8000, "/shop", "http://127.0.0.1:8000/shop"),
    ("localhost:8000", 8000, "", "http://localhost:8000"),
    ("localhost", 8000, "", "http://localhost:8000"),
    ("localhost:9", 8000, "", "http://localhost:8000"),
    ("localhost", None, "/shop", "http://localhost/shop"),
    ("[::1]:8000", 8000, "", "http://[::1]:8000"),
    ("[::1]", 8000, "", "http://[::1]:8000"),
    ("localhost.evil.example:8000", 8000, "", "http://127.0.0.1:8000"),
    ("[::1].evil.example", 8000, "", "http://[::1]:8000"),
    ("evil.example", 8000, "", "http://127.0.0.1:8000"),
    ("", 8000, "", "http://127.0.0.1:8000"),
    ("", None, "", "http://127.0.0.1"),
    ("localhost", 80, "", "http://localhost"),
]


@both
@pytest.mark.parametrize("case", LOOPBACK, ids=str)
def test_the_address_of_a_site_on_play_money(
    adapter: Any, case: tuple[str, int | None, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site that was not told its address has the server's port and a name of this machine, whatever Host says."""
    host, port, root, expected = case
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    site = adapter.PaywallMiddleware(told, {"/paid": "KUDOS:1"}, backend=f"sandbox:{free_port()}")
    if adapter is asgi:
        scope = {"root_path": root, "headers": [(b"host", host.encode())] if host else []}
        paywall = site._paywall_of({**scope, "server": ("127.0.0.1", port) if port else None})
    else:
        environ = {"HTTP_HOST": host, "SERVER_PORT": str(port)}
        paywall = site._paywall_of({name: value for name, value in environ.items() if value != "None"}, root)
    assert paywall._storefront.public_url == expected
