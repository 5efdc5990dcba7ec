"""SCRIPT_NAME from the client: gunicorn takes it from a header of whom it trusts, by default everybody on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from running import SECRET_KEY, TOKEN
from servers import BY_NAME, serve

from .wsgi_calls import NOWHERE

SOLD = "/paid/a"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a site whose backend never answers, so that what is sold is 503 and what is not is the application's."""
    settings = {"TALER_PAYWALL_BACKEND": NOWHERE, "TALER_PAYWALL_TOKEN": TOKEN, "TALER_PAYWALL_SECRET_KEY": SECRET_KEY}
    home = tmp_path_factory.mktemp("mounts")
    process, url = serve(BY_NAME["gunicorn sync"], home, "tests.conformance.wsgi_served:app", **settings)
    yield url
    assert process.end() == 0, process.output


def ask(site: str, target: str, script_name: str) -> tuple[int, str]:
    """Send a request as it is, with a SCRIPT_NAME of the client's choice."""
    with closing(HTTPConnection(urlsplit(site).netloc, timeout=30)) as connection:
        connection.putrequest("GET", target, skip_accept_encoding=True)
        connection.putheader("SCRIPT_NAME", script_name)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_gunicorn_takes_it_from_the_client(site: str) -> None:
    """The header has its effect, so that the other test shows something."""
    assert ask(site, "/x/free", "/x") == (200, "origin at /x sees /free")


@pytest.mark.parametrize(
    "script_name", ["/", "/x", "/x/", "/pa", "/paid", "/paid/", SOLD, "//", "/x/..", "/%78", "/x;y"]
)
def test_no_script_name_opens_what_is_sold(site: str, script_name: str) -> None:
    """However a client splits the address, what the application would serve for money is not given away."""
    for target in (SOLD, script_name + SOLD, script_name.rstrip("/") + SOLD, f"http://a.example{script_name}{SOLD}"):
        status, body = ask(site, target, script_name)
        # Where the address does not begin with SCRIPT_NAME, gunicorn itself answers 500.
        assert status in {400, 500, 503} or not body.endswith(("sees /paid/a", "sees paid/a")), (target, body)
