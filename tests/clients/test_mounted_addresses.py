"""The addresses on our pages, where the site is served below a path of its server."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from reader import Reader
from running import SECRET_KEY, TOKEN, Process, Sandbox, free_port
from servers import BY_NAME

from .conftest import SERVED
from .facts_of import Page

ROOT = "/below/here"
OWN = f"{ROOT}/.well-known/taler-paywall"


@pytest.fixture(scope="module", params=SERVED)
def below(
    request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
    """Open a browser in front of a proxy that serves the site below a path."""
    asgi, port = request.param == "uvicorn", free_port()
    module, *arguments = BY_NAME[request.param].command(SERVED[request.param], port)
    options = ["--factory", "--root-path", ROOT] if asgi else []
    settings = {
        "TALER_PAYWALL_PUBLIC_URL": f"http://127.0.0.1:{port}{ROOT}",
        "TALER_PAYWALL_BACKEND": sandbox.url,
        "TALER_PAYWALL_TOKEN": TOKEN,
        "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
    } | ({} if asgi else {"SCRIPT_NAME": ROOT})
    process = Process(tmp_path_factory.mktemp("below"), module, *options, *arguments, **settings)
    process.wait_for(f"http://127.0.0.1:{port}{ROOT}/")

    def cut(asked: httpx.Request) -> None:
        """Take the path away, as proxies do in front of uvicorn."""
        asked.extensions = {**asked.extensions, "target": asked.url.raw_path.removeprefix(ROOT.encode())}

    with Reader(f"http://127.0.0.1:{port}") as reader:
        if asgi:
            reader.http.event_hooks = {"request": [cut]}
        yield reader
    process.end()


@pytest.mark.parametrize("path", ["/page/{}/a?b=c", "/teased/markup-{}"])
def test_every_address_has_the_path(below: Reader, path: str, name: str) -> None:
    """Style sheet, script, poll, form and the way on: all lie below the path, and what can be asked for is there."""
    page = ROOT + path.format(name)
    shown = below.visit(page)
    assert shown.status_code in {200, 402}
    own = [address for address in Page(shown.text).addresses if address and not urlsplit(address).scheme]
    assert {urlsplit(address).path.removeprefix(OWN) for address in own if address.startswith(OWN)} == {
        *("/static/style.css", "/static/page.js", "/poll-payment", "/continue"),
    }
    assert {address for address in own if not address.startswith(OWN)} == {page}
    for address in own:
        asked = below.visit(address)
        assert asked.status_code in ({303} if "/continue?" in address else {200, 402}), address
    below.drop()


def test_the_form_has_the_path(below: Reader, name: str) -> None:
    """The form that makes the order lies below the path too, and leads back to it."""
    shown = below.http.get(f"{ROOT}/page/{name}", headers={"Accept": "text/html", "Sec-Purpose": "prefetch"})
    [form] = Page(shown.text).find("form")
    [page, method] = Page(shown.text).find("input", type="hidden")
    bought = below.press(form["action"], {"page": page["value"], "method": method["value"]})
    assert (bought.status_code, bought.headers["location"]) == (303, f"{below.base_url}{ROOT}/page/{name}")
    below.drop()


def test_programs_get_whole_addresses(below: Reader, name: str) -> None:
    """The address of the poll is whole, with the path; htmx is led below it."""
    program = below.http.get(f"{ROOT}/page/{name}", headers={"Accept": "application/json"})
    assert program.json()["poll_url"].startswith(f"{below.base_url}{OWN}/poll-payment?order_id=")
    assert below.http.get(program.json()["poll_url"]).json()["paid"] is False
    boosted = below.http.get(f"{ROOT}/page/{name}/x", headers={"HX-Request": "true", "HX-Boosted": "true"})
    assert boosted.headers["hx-redirect"] == f"{ROOT}/page/{name}/x"
    below.drop()
