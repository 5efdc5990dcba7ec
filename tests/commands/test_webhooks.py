"""`webhooks` puts in place what tells the site of payments and refunds, again and again the same, and takes it away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hmac import compare_digest
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from reader import Reader
from running import StartSite, Wallet, eventually, free_port
from sandbox.receiver import Receiver
from starlette.applications import Starlette

from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.cli import main
from taler_paywall.operator.target import load
from taler_paywall.testing.client import OpenClient
from taler_paywall.testing.sandbox import TalerSandbox

from .conftest import Desk
from .sites import ROUTES

Write = Callable[..., str]


def registered(sandbox: TalerSandbox) -> list[dict[str, Any]]:
    """Return the webhooks of the backend, by the backend's word."""
    owner = {"Authorization": f"Bearer {sandbox.token}"}
    with httpx.Client(base_url=sandbox.url, headers=owner, trust_env=False) as backend:
        listed = backend.get("private/webhooks").json()["webhooks"]
        return [backend.get(f"private/webhooks/{each['webhook_id']}").json() for each in listed]


@pytest.fixture(autouse=True)
def _nothing_is_left(taler_sandbox: TalerSandbox) -> Iterator[None]:
    """The tests share a sandbox, whose webhooks last."""

    def delete() -> None:
        owner = {"Authorization": f"Bearer {taler_sandbox.token}"}
        for each in registered(taler_sandbox):
            httpx.delete(f"{taler_sandbox.url}private/webhooks/{each['webhook_id']}", headers=owner, trust_env=False)

    delete()
    yield
    delete()


def secret_of(file: str, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what the backend has to show, which is never written anywhere."""
    for name, value in desk.settings.items():
        monkeypatch.setenv(name, value)
    secret = load(file).keys.webhook_secrets[-1]
    desk.secrets.append(secret)
    return secret


def test_webhooks_are_installed_once(
    desk: Desk, write: Write, taler_sandbox: TalerSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both events lead to the site, with the newest secret; a second time brings them up to date."""
    file = write()
    secret = secret_of(file, desk, monkeypatch)
    url = f"{desk.url}/.well-known/taler-paywall/webhook"
    done = desk.run("webhooks", "--config", file, "install")
    assert done.returncode == 0
    assert [line.split(" (")[0] for line in done.stdout.splitlines()] == [
        *(f"pay: installed, to {url}", f"refund: installed, to {url}")
    ]
    before = registered(taler_sandbox)
    assert [(each["event_type"], each["url"], each["http_method"]) for each in before] == [
        *(("pay", url, "POST"), ("refund", url, "POST"))
    ]
    assert all(
        compare_digest(each["header_template"].split("\n")[0], f"Authorization: Bearer {secret}") for each in before
    )
    desk.settings["TALER_PAYWALL_SECRET_KEY"] += " another-key-that-is-newer-than-the-first-one"
    newer = secret_of(file, desk, monkeypatch)
    done = desk.run("webhooks", "--config", file, "install")
    assert [line.partition(",")[0] for line in done.stdout.splitlines()] == ["pay: updated", "refund: updated"]
    after = registered(taler_sandbox)
    assert [each["webhook_id"] for each in after] == [each["webhook_id"] for each in before]
    assert newer != secret
    assert all(newer in each["header_template"] and secret not in each["header_template"] for each in after)


def test_webhooks_are_listed_and_removed(desk: Desk, write: Write, taler_sandbox: TalerSandbox) -> None:
    """Those of other sites of the same instance, and of other programs, stay where they are."""
    ours, theirs = write(), f"{desk.url}/other"
    desk.run("webhooks", "--config", ours, "install")
    desk.run("webhooks", "--config", write(public_url=theirs), "install")
    other = {"webhook_id": "mail", "event_type": "pay", "url": "http://mail.example/", "http_method": "POST"}
    owner = {"Authorization": f"Bearer {taler_sandbox.token}"}
    assert httpx.post(f"{taler_sandbox.url}private/webhooks", json=other, headers=owner, trust_env=False).is_success
    listed = desk.run("webhooks", "--config", write(), "list").stdout.splitlines()
    assert [line.rpartition(", ")[2] for line in listed] == ["this site's"] * 2 + ["another site's"] * 2
    assert [line.partition(" (")[0] for line in listed[:2]] == [
        *(f"{event}: to {desk.url}/.well-known/taler-paywall/webhook" for event in ("pay", "refund"))
    ]
    done = desk.run("webhooks", "--config", write(), "remove")
    assert [line.partition(" (")[0] for line in done.stdout.splitlines()] == ["pay: removed", "refund: removed"]
    assert {each["url"].partition("/.")[0] for each in registered(taler_sandbox)} == {theirs, "http://mail.example/"}
    done = desk.run("webhooks", "--config", write(), "remove")
    assert done.returncode == 0
    assert "pay: was not installed" in done.stdout


def test_they_fire(
    desk: Desk,
    write: Write,
    taler_sandbox: TalerSandbox,
    paywalled_client: OpenClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The backend sends each event of an order to where they lead, with the secret and the order's ID."""
    with Receiver() as receiver:
        file = write(public_url=f"http://127.0.0.1:{receiver.port}")
        secret = secret_of(file, desk, monkeypatch)
        assert desk.run("webhooks", "--config", file, "install").returncode == 0
        site = PaywallMiddleware(Starlette(routes=ROUTES), {"/articles/{slug}": "KUDOS:0.5"}, **taler_sandbox.options)
        paywalled_client(site).buy("/articles/bees")
        order_id = taler_sandbox.orders()[0]["order_id"]
        paid = receiver.next()
        taler_sandbox.refund(order_id)
        refunded = receiver.next()
    for event, told in (("pay", paid), ("refund", refunded)):
        assert (told.method, told.path) == ("POST", "/.well-known/taler-paywall/webhook")
        assert compare_digest(told.headers["authorization"], f"Bearer {secret}")
        assert told.headers["content-type"] == "application/json"
        assert told.json == {"order_id": order_id, "event": event}


def test_a_refund_reaches_a_running_site(
    desk: Desk, write: Write, taler_sandbox: TalerSandbox, start_site: StartSite, wallet: Wallet
) -> None:
    """The site understands what the backend sends: a refund closes the page long before it would be looked at again."""
    secrets = {name: value for name, value in desk.settings.items() if name.endswith(("TOKEN", "KEY"))}
    site = start_site(taler_sandbox.url, **secrets)
    file = write(public_url=site.url)
    assert desk.run("webhooks", "--config", file, "install").returncode == 0
    with Reader(site.url) as reader:
        wallet.pay(reader.visit("/articles/night-train").headers["location"])
        assert reader.visit("/articles/night-train").status_code == 200
        taler_sandbox.refund(taler_sandbox.orders()[-1]["order_id"])
        eventually(lambda: reader.visit("/articles/night-train").status_code == 402, "the page is closed", 20)


def test_where_they_cannot_be_installed(desk: Desk, write: Write) -> None:
    """At a backend that does not answer."""
    desk.settings.pop("TALER_PAYWALL_PUBLIC_URL")
    desk.settings.pop("TALER_PAYWALL_BACKEND")
    done = desk.run("webhooks", "--config", write(backend="http://127.0.0.1:1/", public_url=desk.url), "install")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "Error: http://127.0.0.1:1/ gives no answer that can be used (ConnectError); see that it "
    )


@pytest.mark.parametrize(
    "command", [("webhooks", "install"), ("webhooks", "list"), ("orders",), ("orders", "refund", "X")]
)
def test_a_sandbox_of_the_command_itself_is_refused(command: tuple[str, ...], tmp_path: Path) -> None:
    """It would end with the command, and what was installed with it."""
    file = tmp_path / "paywall.toml"
    rules = '[[rules]]\npattern = "/x"\nprice = "KUDOS:1"\n'
    file.write_text(f'backend = "sandbox:{free_port()}"\npublic_url = "http://127.0.0.1:8000"\n{rules}')
    refused = CliRunner().invoke(main, [*command, "--config", str(file)])
    assert refused.exit_code == 1
    assert "start `taler-paywall sandbox`" in refused.output
