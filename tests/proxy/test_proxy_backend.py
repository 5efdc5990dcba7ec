"""The merchant backend behind nginx too: its pages, its pay URIs and its play wallet under the public address."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from reader import order_of
from running import Sandbox

from .setups import BACKEND, BACKEND_BELOW, PASSED_GUNICORN, ROOT_UVICORN, STRIPPED_UVICORN, Proxied, Proxies, Setup
from .walk import BEES, BOUGHT, press_pay


@pytest.fixture(
    params=[
        (ROOT_UVICORN, BACKEND, "/"),
        (STRIPPED_UVICORN, BACKEND, "/"),
        (PASSED_GUNICORN, BACKEND, "/"),
        (ROOT_UVICORN, BACKEND_BELOW, "/backend/"),
        (PASSED_GUNICORN, BACKEND_BELOW, "/backend/"),
    ],
    ids=["own name", "own name, stripped", "own name, gunicorn", "same name", "same name, gunicorn"],
)
def site(request: pytest.FixtureRequest, proxies: Proxies) -> Proxied:
    setup, section, path = request.param
    assert isinstance(setup, Setup)
    return proxies.get(setup, section, backend=path)


def test_everything_under_tls(site: Proxied, sandbox: Sandbox) -> None:
    """Asked, paid with the button of the order page, and read, without one address of the inside."""
    with site.reader() as reader:
        asked = reader.visit(BEES)
        status_url = asked.headers["location"]
        assert status_url.startswith(f"{site.backend}orders/")
        pay_uri = reader.http.get(status_url, headers={"Accept": "application/json"}).json()["taler_pay_uri"]
        public = urlsplit(site.backend)
        assert pay_uri.startswith(f"taler://pay/{public.netloc}{public.path}{order_of(status_url)}/")
        fulfillment_url = press_pay(reader, status_url)
        assert fulfillment_url == site.url + BEES
        assert BOUGHT in reader.come_back(fulfillment_url).text
        paid_page = reader.visit(status_url)
        assert paid_page.status_code == 200
        for address in (f":{sandbox.port}", "http://"):
            assert address not in paid_page.text.replace("http://www.w3.org", "")


def test_forged_headers_do_not_reach_the_backend(site: Proxied) -> None:
    """The backend believes X-Forwarded headers, so nginx writes all of them anew."""
    with site.reader() as reader:
        asked = reader.visit(BEES)
        forged = {
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Prefix": "/evil",
            "Accept": "application/json",
        }
        answer = reader.http.get(asked.headers["location"], headers=forged)
        assert answer.status_code == 402
        assert "evil" not in answer.text
        public = urlsplit(site.backend)
        assert answer.json()["taler_pay_uri"].startswith(f"taler://pay/{public.netloc}{public.path}")
        shown = reader.visit(asked.headers["location"])
        assert "evil" not in shown.text


def test_private_endpoints_stay_inside(site: Proxied) -> None:
    """What is the merchant's alone is not reached through nginx, however it is spelled."""
    with site.reader() as reader:
        token = {"Authorization": "Bearer secret-token:sandbox"}
        for path in ("private/orders", "x/../private/orders", "/private/orders", "instances/a/private/orders"):
            answer = reader.http.get(site.backend + path, headers=token)
            assert answer.status_code == 403, path
            assert "nginx" in answer.text, path
        assert reader.http.get(f"{site.backend}config").status_code == 200
