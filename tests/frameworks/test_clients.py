"""The frameworks' own test clients and development servers, with the paywall in place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import ROOT, TLS, Process, free_port

from taler_paywall.testing.sandbox import TalerSandbox
from taler_paywall.testing.wallet import TalerWallet

ARTICLE = "/articles/bees"


@pytest.fixture
def example(
    request: pytest.FixtureRequest, taler_sandbox: TalerSandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Import an example anew, configured by the environment, and return its application."""
    for name, value in taler_sandbox.environment.items():
        monkeypatch.setenv(name, value)
    module = f"examples.{request.param}"
    sys.modules.pop(module, None)
    yield import_module(module).app
    del sys.modules[module]


def requires_payment(answer: Any) -> str:
    """Return the address for the wallet that a 402 names."""
    assert answer.status_code == 402
    return str(answer.headers["Taler"])


# It prefers the successor of the client that this project uses, and says so.
@pytest.mark.filterwarnings("ignore:Using .httpx. with .starlette.testclient. is deprecated")
@pytest.mark.parametrize("example", ["starlette_site", "fastapi_site"], indirect=True)
def test_starlettes_client(example: Any, taler_wallet: TalerWallet) -> None:
    """Starlette's and FastAPI's TestClient goes through the paywall, pays, and reads; the lifespan closes it."""
    from starlette.testclient import TestClient

    with TestClient(example) as client:
        taler_wallet.pay(requires_payment(client.get(ARTICLE)))
        assert "The bees are back" in client.get(ARTICLE).text


@pytest.mark.parametrize("example", ["flask_site"], indirect=True)
def test_flasks_client(example: Any, taler_wallet: TalerWallet) -> None:
    """Flask's test client goes through the paywall, pays, and reads."""
    client = example.test_client()
    taler_wallet.pay(requires_payment(client.get(ARTICLE)))
    assert "The bees are back" in client.get(ARTICLE).text


@pytest.mark.parametrize("example", ["quart_site"], indirect=True)
def test_quarts_client(example: Any, taler_wallet: TalerWallet) -> None:
    """Quart's test client goes through the paywall, pays, and reads."""
    import anyio

    async def buy() -> None:
        async with example.test_app() as app:
            client = app.test_client()
            taler_wallet.pay(requires_payment(await client.get(ARTICLE)))
            assert "The bees are back" in await (await client.get(ARTICLE)).get_data(as_text=True)

    anyio.run(buy)


@pytest.mark.parametrize("example", ["litestar_site"], indirect=True)
def test_litestars_client(example: Any, taler_wallet: TalerWallet) -> None:
    """Litestar's TestClient takes the wrapped application, pays, and reads."""
    from litestar.testing import TestClient

    with TestClient(example) as client:
        taler_wallet.pay(requires_payment(client.get(ARTICLE)))
        assert "The bees are back" in client.get(ARTICLE).text


def test_djangos_client_calls_views_without_the_paywall() -> None:
    """Django's test client knows only its own handlers: views are called as if everything were free."""
    code = (
        "import examples.django_site, django.test.utils; django.test.utils.setup_test_environment();"
        f"answer = django.test.Client().get('{ARTICLE}/');"
        "assert (answer.status_code, b'Paid' in answer.content) == (200, False)"
    )
    command = [sys.executable, "-W", "error", "-c", f"import django.test; {code}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


DEVELOPMENT = {
    "django": ["examples.django_site", "runserver", "--noreload", "127.0.0.1:{port}"],
    "flask": ["flask", "--app", "examples.flask_site", "run", "--port", "{port}"],
    "quart": ["quart", "--app", "examples.quart_site", "run", "--port", "{port}"],
}


@pytest.mark.parametrize("name", DEVELOPMENT)
def test_development_servers(name: str, tmp_path: Path, taler_sandbox: TalerSandbox, processes: list[Process]) -> None:
    """The servers that frameworks bring along go through the paywall."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = taler_sandbox.environment | {"TALER_PAYWALL_PUBLIC_URL": url}
    server = Process(tmp_path, *(word.format(port=port) for word in DEVELOPMENT[name]), **settings)
    processes.append(server)
    server.wait_for(f"{url}/")
    asked = httpx.get(f"{url}{ARTICLE}", trust_env=False, verify=TLS, headers={"Accept": "application/json"})
    assert (asked.status_code, asked.json()["amount"]) == (402, "KUDOS:0.5")
