"""The commands of the wallet, for people and for programs."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from .shop import COMMAND, REFUNDABLE, Shop, command, fresh_url, pay_uri
from .switch import Switch


def asked(*arguments: str, home: Path, status: int = 0) -> dict[str, Any]:
    """Run a command with --json and return the one object that it prints."""
    done = command("wallet", *arguments, "--json", home=home)
    assert done.returncode == status, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


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
    assert refused.stderr == "Error: another wallet has claimed this order; go back to the shop for a new one\n"


def test_command_wallet_with_an_unusable_file(shop: Shop, home: Path) -> None:
    """A file that is no purse is a clear error."""
    home.mkdir()
    (home / "no.sqlite").write_text("this is not a database, but it is long enough to look at" * 20)
    failed = command("wallet", "pay", pay_uri(shop, shop.order()), "--db", str(home / "no.sqlite"), home=home)
    assert failed.returncode == 1
    assert "cannot be used" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_command_wallet_pay_json(shop: Shop, home: Path) -> None:
    """`wallet pay --json` prints what it did, and all that is known of the purchase."""
    url = fresh_url()
    made = shop.order(fulfillment_url=url, summary="Article nine")
    paid = asked("pay", pay_uri(shop, made, "one"), home=home)
    purchase = paid.pop("purchase")
    assert paid == {"how": "paid", "fulfillment_url": url}
    assert type(purchase.pop("claimed_at")["t_s"]) is type(purchase.pop("paid_at")["t_s"]) is int
    assert len(purchase.pop("h_contract")) == 103
    assert type(purchase.pop("merchant_name")) is str
    assert purchase == {
        "order_id": made["order_id"],
        "merchant_base_url": shop.url,
        "status": "paid",
        "summary": "Article nine",
        "fulfillment_url": url,
        "amount": "KUDOS:5",
        "choice_index": None,
        "refunded": "KUDOS:0",
        "pending": "KUDOS:0",
        "gone": "KUDOS:0",
        "session_id": "one",
    }
    status_url = shop.status(made["order_id"], session_id="one")["order_status_url"]
    assert asked("pay", status_url, home=home) == {"how": "already paid", "fulfillment_url": url, "purchase": None}


def test_command_wallet_balance(shop: Shop, home: Path) -> None:
    """`wallet balance` shows what is left, per currency."""
    assert command("wallet", "balance", home=home).stdout == "nothing yet: play money is withdrawn when it is needed\n"
    assert asked("balance", home=home) == {"balances": []}
    asked("pay", pay_uri(shop, shop.order(amount="KUDOS:0.5")), home=home)
    shown = command("wallet", "balance", home=home).stdout
    assert shown == "KUDOS:99.5 (withdrawn KUDOS:100, spent KUDOS:0.5, refunded KUDOS:0)\n"
    (balance,) = asked("balance", home=home)["balances"]
    assert balance == {
        "currency": "KUDOS",
        "available": "KUDOS:99.5",
        "withdrawn": "KUDOS:100",
        "spent": "KUDOS:0.5",
        "refunded": "KUDOS:0",
    }


def test_command_wallet_list(shop: Shop, home: Path) -> None:
    """`wallet list` lists what was claimed and bought, newest first, and nothing steers the terminal."""
    assert command("wallet", "list", home=home).stdout == ""
    paid, claimed = shop.order(), shop.order(summary="\x1b[31mred\nline")
    asked("pay", pay_uri(shop, paid), home=home)
    assert asked("claim", pay_uri(shop, claimed), home=home)["how"] == "claimed"
    found = asked("list", home=home)["purchases"]
    assert [one["order_id"] for one in found] == [claimed["order_id"], paid["order_id"]]
    assert [one["status"] for one in found] == ["claimed", "paid"]
    assert [one["amount"] for one in found] == ["KUDOS:5", "KUDOS:5"]
    lines = command("wallet", "list", home=home).stdout.splitlines()
    assert len(lines) == 4
    assert lines[0].endswith("  claimed      KUDOS:5  \N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}line")
    assert lines[1] == f"    {claimed['order_id']} at {shop.url}"
    assert lines[2].endswith("  paid         KUDOS:5  An article")


def test_command_wallet_refund(shop: Shop, home: Path) -> None:
    """`wallet refund` collects what was granted, and says why it cannot with status 1."""
    made = shop.order(body=REFUNDABLE, summary="Article nine")
    asked("pay", pay_uri(shop, made), home=home)
    status_url = shop.status(made["order_id"])["order_status_url"]
    refused = command("wallet", "refund", status_url, home=home)
    assert (refused.returncode, refused.stderr) == (1, "Error: no refund was granted for this order\n")
    uri = shop.refund(made["order_id"], "KUDOS:2").json()["taler_refund_uri"]
    collected = command("wallet", "refund", uri, home=home)
    assert collected.stdout.splitlines()[0] == "collected: Article nine (KUDOS:5), KUDOS:2 returned"
    again = asked("refund", f"{uri}#x", home=home)
    assert (again["how"], again["purchase"]["status"]) == ("nothing new", "refunded")
    for spelling in (f"{status_url}#x", f"{status_url.partition('?')[0]}/"):
        said = command("wallet", "refund", spelling, home=home).stdout.splitlines()[0]
        assert said == "nothing new to collect: Article nine (KUDOS:5), KUDOS:2 returned"
    assert (again["purchase"]["refunded"], again["purchase"]["gone"]) == ("KUDOS:2", "KUDOS:0")
    assert asked("balance", home=home)["balances"][0]["available"] == "KUDOS:97"


def test_command_wallet_waits_for_refund(shop: Shop, home: Path) -> None:
    """`wallet pay --wait-for-refund` collects what the contract announces, as soon as it is granted (fact 26)."""
    made = shop.order(body=REFUNDABLE, auto_refund={"d_us": 120_000_000})
    granted = threading.Thread(target=_refund_when_paid, args=(shop, made["order_id"]))
    granted.start()
    found = asked("pay", pay_uri(shop, made), "--wait-for-refund", home=home)
    granted.join(timeout=30)
    assert (found["how"], found["purchase"]["refunded"]) == ("collected", "KUDOS:5")


def _refund_when_paid(shop: Shop, order_id: str) -> None:
    deadline = time.monotonic() + 20
    while shop.status(order_id)["order_status"] != "paid":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert shop.refund(order_id, "KUDOS:5").status_code == 200


def test_command_wallet_that_cannot_get_its_refund(processes: Any, home: Path) -> None:
    """What goes wrong after a payment does not hide it, neither for people nor for programs."""
    started = processes("--port", "0", "--control")
    shop = Shop(started.url)
    with Switch(started.control) as switch:
        switch.fault("error-json", method="GET")
        first, second = (shop.order(auto_refund={"d_us": 120_000_000}) for _ in range(2))
        waited = command("wallet", "pay", pay_uri(shop, first), "--wait-for-refund", home=home)
        found = asked("pay", pay_uri(shop, second), "--wait-for-refund", home=home, status=1)
    assert (waited.returncode, waited.stdout.partition(":")[0]) == (1, "paid")
    assert waited.stderr.startswith("Error: it is paid, but its refund cannot be collected: ")
    assert (found["how"], found["purchase"]["status"]) == ("paid", "paid")
    assert found["refund_error"].keys() == {"error", "status", "code"}
    assert found["refund_error"]["status"] == 500
    shop.http.close()


@pytest.mark.parametrize(("method", "said"), [("POST", {"error"}), ("GET", {"how", "purchase", "refund_error"})])
def test_command_wallet_interrupted(processes: Any, home: Path, method: str, said: set[str]) -> None:
    """Ctrl-C ends with an object, too, which tells of a payment that was made."""
    started = processes("--port", "0", "--control")
    shop = Shop(started.url)
    with Switch(started.control) as switch:
        uri = pay_uri(shop, shop.order(auto_refund={"d_us": 120_000_000}))
        switch.fault("hang", method=method)
        arguments = ("wallet", "pay", uri, "--wait-for-refund", "--json", "--db", str(home / "wallet.sqlite"))
        paying = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        switch.wait_until(1, lambda state: state["fault"]["hits"])
        paying.send_signal(signal.SIGINT)
        found = json.loads(paying.communicate(timeout=30)[0])
    assert paying.returncode == 1
    assert found.keys() - {"fulfillment_url"} == said
    assert found.get("refund_error", found) == {"error": "interrupted"}
    shop.http.close()


def test_command_wallet_choice(shop: Shop, home: Path) -> None:
    """`wallet pay --choice` pays the choice that it names."""
    made = shop.order(version=1, amount=None, choices=[{"amount": "KUDOS:2"}, {"amount": "KUDOS:3"}])
    bought = asked("pay", pay_uri(shop, made), "--choice", "1", home=home)["purchase"]
    assert (bought["amount"], bought["choice_index"]) == ("KUDOS:3", 1)
    assert shop.status(made["order_id"])["choice_index"] == 1
    command(
        "wallet", "claim", pay_uri(shop, shop.order(version=1, amount=None, choices=[{"amount": "KUDOS:2"}])), home=home
    )
    assert "price by choice" in command("wallet", "list", home=home).stdout


def test_command_wallet_errors_json(shop: Shop, home: Path) -> None:
    """With --json an error is an object, too, with the merchant's status and code; people read it on stderr."""
    made = shop.order()
    asked("claim", pay_uri(shop, made), home=home)
    refused = command("wallet", "pay", pay_uri(shop, made), "--json", "--db", str(home / "other.sqlite"), home=home)
    error = json.loads(refused.stdout)
    assert (refused.returncode, error["status"], error["code"]) == (1, 409, 2301)
    assert refused.stderr == f"Error: {error['error']}\n"
    for asking, complaint in (
        ("pay", "this is neither a taler://pay/ URI nor a web address"),
        ("claim", "this is neither a taler://pay/ URI nor a web address"),
        ("refund", "this is neither a taler://refund/ URI nor an order status URL"),
    ):
        assert asked(asking, "hello", home=home, status=1) == {"error": complaint}
    assert "taler-refund" in asked("pay", "taler://refund/x/y/", home=home, status=1)["error"]
    assert "taler-pay" in asked("refund", "taler://pay/x/y/", home=home, status=1)["error"]
    (home / "no.sqlite").write_text("no database" * 100)
    assert set(asked("list", "--db", str(home / "no.sqlite"), home=home, status=1)) == {"error"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("pay",), "Missing argument 'URL'"),
        (("pay", "taler://pay/x/y/", "--choice", "-1"), "-1 is not in the range"),
        (("balance", "--db", "/"), "is a directory"),
        (("list", "--nonsense"), "No such option"),
        (("nonsense",), "No such command"),
    ],
)
def test_command_wallet_usage_errors_json(home: Path, arguments: tuple[str, ...], complaint: str) -> None:
    """With --json a wrong use of a command is an object, too."""
    assert complaint in asked(*arguments, home=home, status=2)["error"]


def test_command_wallet_looks_without_a_file(home: Path) -> None:
    """Commands that only look make no file and no directory."""
    file = home / "new" / "wallet.sqlite"
    assert asked("balance", "--db", str(file), home=home) == {"balances": []}
    assert asked("list", "--db", str(file), home=home) == {"purchases": []}
    assert not home.exists()
    home.mkdir()
    (home / "file").touch()
    assert "cannot be used" in asked("list", "--db", str(home / "file" / "x"), home=home, status=1)["error"]


def test_command_wallet_keeps_its_file_private(shop: Shop, home: Path) -> None:
    """A wallet's file that others could read is taken from them; what is no wallet's is left as it is."""
    asked("pay", pay_uri(shop, shop.order()), "--db", str(home / "wallet"), home=home)
    (home / "no.sqlite").write_text("no database" * 100)
    for name, status, mode in (("wallet", 0, 0o600), ("no.sqlite", 1, 0o644)):
        (home / name).chmod(0o644)
        asked("balance", "--db", str(home / name), home=home, status=status)
        assert (home / name).stat().st_mode & 0o777 == mode


def test_command_wallet_with_a_file_of_another_version(shop: Shop, home: Path) -> None:
    """A database that another program or version made is refused and left as it is."""
    home.mkdir()
    file = home / "other.sqlite"
    for change in ("CREATE TABLE t (x)", "PRAGMA application_id = 1415671895", "PRAGMA user_version = 99"):
        with closing(sqlite3.connect(file)) as other:
            other.execute(change)
        before = file.read_bytes()
        refused = command("wallet", "pay", pay_uri(shop, shop.order()), "--db", str(file), home=home)
        assert refused.returncode == 1
        assert "was made by another version of the wallet, or by something else: use another file" in refused.stderr
        assert file.read_bytes() == before


@pytest.mark.parametrize("files", ["aaaa", "abcd"])
def test_processes_at_the_same_time(shop: Shop, home: Path, files: str) -> None:
    """Processes with one file all find the order paid, once; of several wallets only one gets it."""
    made = shop.order()
    running = [
        subprocess.Popen(
            [*COMMAND, "wallet", "pay", pay_uri(shop, made, "one"), "--json", "--db", str(home / name)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in files
    ]
    said = [json.loads(one.communicate(timeout=60)[0]) for one in running]
    if files == "aaaa":
        assert {one["how"] for one in said} <= {"paid", "proved"}
        (balance,) = asked("balance", "--db", str(home / "a"), home=home)["balances"]
        assert balance["spent"] == "KUDOS:5"
    else:
        assert [one["code"] for one in said if "error" in one] == [2301] * 3
    assert shop.status(made["order_id"])["order_status"] == "paid"
