"""Several paywalls in one application, and sites below a path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import httpx
import pytest
from reader import Reader

from taler_paywall.testing.wallet import TalerWallet

from .front import Front, Fronts
from .till import Till

ROOT: Final = "/below/here"


def test_two_sites_in_one_application(reader: Reader, purse: TalerWallet, name: str) -> None:
    """One browser buys the same path in two mounted sites, and it keeps both."""
    for site in ("/first", "/second"):
        asked = reader.visit(f"{site}/paid/{name}")
        assert asked.status_code == 302
        purse.pay(asked.headers["location"])
        assert reader.visit(f"{site}/paid/{name}").json()["root"] == site
    for site in ("/first", "/second"):
        page = reader.visit(f"{site}/paid/{name}").json()
        assert (page["path"], page["payment"]["resource"]) == (f"/paid/{name}", f"/paid/{{name}}/*?name={name}")
        assert reader.visit(f"{site}/free").json()["payment"] is None
    assert reader.visit(f"/paid/{name}").status_code == 302


def test_a_mounted_site_leads_back_to_itself(reader: Reader, purse: TalerWallet, name: str, sandbox: Till) -> None:
    """After paying in a mounted site the browser is led back below its path, and finds its style sheet there."""
    page = f"/first/paid/{name}/chapter%202?page=2"
    purse.pay(reader.visit(page).headers["location"])
    fulfillment = sandbox.orders_for(name)[0].fulfillment_url
    assert fulfillment == f"{reader.base_url}/first/paid/{name}"
    back = reader.come_back(fulfillment)
    assert (back.status_code, back.headers["location"]) == (303, f"{reader.base_url}{page}")
    assert reader.visit(page).json()["path"] == f"/paid/{name}/chapter 2"
    assert reader.http.get("/first/.well-known/taler-paywall/static/style.css").status_code == 200


def test_two_paywalls_around_one_another(reader: Reader, purse: TalerWallet, sandbox: Till) -> None:
    """Of two paywalls around one another each asks for its own price, the outer one first, with pages of its own."""
    amounts = []
    for _ in range(2):
        asked = reader.http.get("/around/house/hall", headers={"Accept": "application/json"})
        assert asked.status_code == 402
        amounts.append(asked.json()["amount"])
        purse.pay(asked.headers["taler"])
    assert amounts == ["KUDOS:1", "KUDOS:2"]
    # The application sees the payment of the paywall next to it.
    assert reader.visit("/around/house/hall").json()["payment"]["amount"] == "KUDOS:2"
    assert reader.http.get("/around/house/attic").headers["taler"]
    assert reader.visit("/around/garden").status_code == 302
    for prefix in ("outer", "inner"):
        assert reader.http.get(f"/around/.well-known/{prefix}/static/style.css").status_code == 200
    assert reader.visit("/around/free").status_code == 200


@dataclass(frozen=True)
class Way:
    """How a server is told the path that a proxy serves it at.

    Args:
        options: of the server.
        settings: environment variables.
        cut: whether the proxy takes the path away.
    """

    options: tuple[str, ...] = ()
    settings: Mapping[str, str] | None = None
    cut: bool = False


WAYS: Final[Mapping[str, Way]] = {
    "asgi in process": Way(),
    "uvicorn": Way(("--root-path", ROOT), cut=True),
    "uvicorn h11": Way(("--root-path", ROOT), cut=True),
    "hypercorn": Way(("--root-path", ROOT)),
    "granian": Way(("--url-path-prefix", ROOT)),
    "wsgi in process": Way(),
    "gunicorn sync": Way(settings={"SCRIPT_NAME": ROOT}),
    "gunicorn threads": Way(settings={"SCRIPT_NAME": ROOT}),
    "gunicorn gevent": Way(settings={"SCRIPT_NAME": ROOT}),
    "waitress": Way(("--url-prefix", ROOT)),
    "granian wsgi": Way(("--url-path-prefix", ROOT)),
}


@pytest.fixture
def below(front: Front, fronts: Fronts) -> Iterator[Reader]:
    """Open a browser in front of a proxy that serves the site below a path."""
    way = WAYS[front.name]
    site = fronts.mounted(front.name, ROOT, *way.options, **way.settings or {})

    def cut(request: httpx.Request) -> None:
        request.extensions = {**request.extensions, "target": request.url.raw_path.removeprefix(ROOT.encode())}

    with site.reader() as reader:
        if way.cut:
            reader.http.event_hooks = {"request": [cut]}
        yield reader


def test_a_site_below_a_path(below: Reader, purse: TalerWallet, name: str, sandbox: Till) -> None:
    """A site that its server serves below a path asks for money there, is paid, leads back there, and is read there."""
    page = f"{ROOT}/paid/{name}/a%20b?x=1"
    asked = below.visit(page)
    assert asked.status_code == 302
    purse.pay(asked.headers["location"])
    fulfillment = sandbox.orders_for(name)[0].fulfillment_url
    assert fulfillment == f"{below.base_url}{ROOT}/paid/{name}"
    back = below.come_back(fulfillment)
    assert (back.status_code, back.headers["location"]) == (303, f"{below.base_url}{page}")
    read = below.visit(page).json()
    assert (read["root"], read["path"], read["query"]) == (ROOT, f"/paid/{name}/a b", "x=1")
    assert below.visit(f"{ROOT}/free").json()["path"] == "/free"
    form = {"page": f"/paid/{name}b", "method": "GET"}
    assert below.press(f"{ROOT}/.well-known/taler-paywall/reorder", form).status_code == 303
    mounted = below.visit(f"{ROOT}/first/paid/{name}")
    assert mounted.status_code == 302
    purse.pay(mounted.headers["location"])
    assert below.visit(f"{ROOT}/first/paid/{name}").json()["root"] == f"{ROOT}/first"
