"""The commands of wallet and merchant."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .shop import (
    COMMAND,
    REFUNDABLE,
    Process,
    Shop,
    fresh_url,
    pay_uri,
)


def command(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with an environment whose proxy must not be used."""
    env = {**os.environ, "XDG_STATE_HOME": str(home), "http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://x:1"}
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=env, timeout=30, check=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_command_wallet_pay(shop: Shop, home: Path) -> None:
    """`wallet pay` says what it did and where to go, with status 0."""
    url = fresh_url()
    made = shop.order(fulfillment_url=url, summary="Article nine")
    paid = command("wallet", "pay", pay_uri(shop, made, "one"), home=home)
    assert (paid.returncode, paid.stdout) == (0, f"paid: Article nine (KUDOS:5)\n{url}\n")
    proved = command("wallet", "pay", pay_uri(shop, made, "two"), home=home)
    assert (proved.returncode, proved.stdout) == (0, f"proved: Article nine (KUDOS:5)\n{url}\n")
    status_url = shop.status(made["order_id"], session_id="two")["order_status_url"]
    already = command("wallet", "pay", status_url, home=home)
    assert (already.returncode, already.stdout) == (0, f"already paid\n{url}\n")
    assert (home / "taler-paywall" / "wallet.sqlite").stat().st_mode & 0o777 == 0o600


def test_command_wallet_claim(shop: Shop, home: Path) -> None:
    """`wallet claim` claims, and another wallet then fails with one line and status 1."""
    made = shop.order()
    claimed = command("wallet", "claim", pay_uri(shop, made), home=home)
    assert (claimed.returncode, claimed.stdout.partition(":")[0]) == (0, "claimed")
    refused = command("wallet", "pay", pay_uri(shop, made), "--db", str(home / "other.sqlite"), home=home)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: another wallet has claimed this order")
    assert refused.stderr.count("\n") == 1


def test_command_wallet_with_an_unusable_file(shop: Shop, home: Path) -> None:
    """A file that is no purse is a clear error."""
    home.mkdir()
    (home / "no.sqlite").write_text("this is not a database, but it is long enough to look at" * 20)
    failed = command("wallet", "pay", pay_uri(shop, shop.order()), "--db", str(home / "no.sqlite"), home=home)
    assert failed.returncode == 1
    assert "cannot be used" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_command_refund(process: Process, shop: Shop) -> None:
    """`sandbox refund` prints the refund URI, or why there is none with status 1."""
    bought = shop.bought(body=REFUNDABLE)
    arguments = ("sandbox", "refund", bought["order_id"], "--url", shop.url, "--amount")
    done = command(*arguments, "KUDOS:0.5", home=process.state_home)
    assert (done.returncode, done.stdout) == (0, f"taler+http://refund/{shop.url[7:]}{bought['order_id']}/\n")
    assert shop.status(bought["order_id"])["refund_amount"] == "KUDOS:0.5"
    for failed in (
        command(*arguments, "KUDOS:9", home=process.state_home),
        command(*arguments, "KUDOS:1", "--token", "wrong", home=process.state_home),
        command(
            "sandbox", "refund", "x", "--amount", "KUDOS:1", "--url", "http://127.0.0.1:1", home=process.state_home
        ),
    ):
        assert failed.returncode == 1
        assert failed.stderr.startswith("Error: ")
        assert "Traceback" not in failed.stderr
