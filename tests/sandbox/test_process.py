"""The sandbox as a process: its options, its state file, its proof of identity, its end."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import socket
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from .shop import Shop, coin, fresh_url
from .traffic import refused


def _failure(started: Any) -> str:
    _, errors = started.process.communicate(timeout=10)
    assert started.process.returncode == 1
    assert "Traceback" not in errors
    assert errors.count("\n") == 1
    return str(errors)


def test_everything_survives_kill(processes: Any, tmp_path: Path) -> None:
    """Killed at any moment and started again, the sandbox goes on with its keys, orders, coins and refunds."""
    options = ("--port", "0", "--state", str(tmp_path / "state.sqlite"))
    first = processes(*options)
    shop, url = Shop(first.url), fresh_url()
    bought = shop.bought("one", fulfillment_url=url, body={"refund_delay": {"d_us": 300_000_000}})
    claimed = shop.order()
    shop.claim(claimed)
    assert shop.refund(bought["order_id"], "KUDOS:1").status_code == 200
    shop.http.close()
    first.kill()

    shop = Shop(processes(*options).url)
    found = shop.status(bought["order_id"], session_id="one")
    assert (found["order_status"], found["refund_amount"]) == ("paid", "KUDOS:1")
    assert found["contract_terms"] == bought["contract_terms"]
    assert shop.status(claimed["order_id"])["order_status"] == "claimed"
    refused(shop.post(claimed["order_id"], "pay", {"coins": bought["coins"]}), 409, 2150)
    again = shop.post(bought["order_id"], "pay", {"coins": bought["coins"], "session_id": "one"})
    assert again.json() == {"sig": bought["sig"]}
    assert (tmp_path / "state.sqlite").stat().st_mode & 0o777 == 0o600
    shop.http.close()


def test_killed_in_the_middle_of_payments(processes: Any, tmp_path: Path) -> None:
    """Every payment that was confirmed before the kill is still there, and the file is whole."""
    state = tmp_path / "state.sqlite"
    first = processes("--port", "0", "--state", str(state))
    confirmed: list[str] = []

    def buy() -> None:
        shop = Shop(first.url)
        try:
            while True:
                confirmed.append(shop.bought()["order_id"])
        except httpx.TransportError:
            shop.http.close()

    threads = [threading.Thread(target=buy) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while len(confirmed) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.kill()
    for thread in threads:
        thread.join(timeout=10)
    assert len(confirmed) >= 5
    shop = Shop(processes("--port", "0", "--state", str(state)).url)
    assert all(shop.status(order_id)["order_status"] == "paid" for order_id in confirmed)
    shop.http.close()


def test_state_files_that_cannot_be_used(processes: Any, tmp_path: Path) -> None:
    """Another currency, another kind of file, a directory and a file in use are clear errors with status 1."""
    state = str(tmp_path / "state.sqlite")
    first = processes("--port", "0", "--state", state)
    assert "another sandbox uses it" in _failure(processes("--port", "0", "--state", state, wait=False))
    first.stop()
    failure = _failure(processes("--port", "0", "--state", state, "--currency", "EUR", wait=False))
    assert "is for the currency KUDOS, not EUR" in failure
    (tmp_path / "text").write_text("not a database at all" * 100)
    assert "cannot be used" in _failure(processes("--port", "0", "--state", str(tmp_path / "text"), wait=False))
    foreign = sqlite3.connect(tmp_path / "foreign.sqlite")
    foreign.execute("CREATE TABLE x (y)")
    foreign.close()
    failure = _failure(processes("--port", "0", "--state", str(tmp_path / "foreign.sqlite"), wait=False))
    assert "something else" in failure
    missing = str(tmp_path / "missing" / "state")
    assert "cannot be used" in _failure(processes("--port", "0", "--state", missing, wait=False))


def test_a_port_in_use_is_a_clear_error(processes: Any) -> None:
    """A second sandbox on the port ends with status 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"port {port}" in _failure(processes("--port", port, wait=False))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
def test_only_loopback(processes: Any, host: str) -> None:
    """Play money is not offered to the network."""
    assert host in _failure(processes("--port", "0", "--host", host, wait=False))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_clean_end(processes: Any, signum: int) -> None:
    """On a signal the sandbox answers its long polls, removes its secret file and ends with status 0."""
    started = processes("--port", "0")
    secret_file = started.state_home / "taler-paywall" / f"sandbox-{started.port}.json"
    assert secret_file.exists()
    shop = Shop(started.url)
    made = shop.order()
    answers: list[int] = []
    poll = threading.Thread(
        target=lambda: answers.append(shop.public(made["order_id"], token=made["token"], timeout_ms=60000).status_code)
    )
    poll.start()
    time.sleep(0.5)
    started.process.send_signal(signum)
    assert started.process.wait(timeout=10) == 0
    poll.join(timeout=10)
    shop.http.close()
    assert answers == [402]
    assert not secret_file.exists()
    _, errors = started.process.communicate()
    assert errors == ""


def test_ends_with_its_parent(processes: Any) -> None:
    """With --exit-with-stdin, the end of the parent's pipe ends the sandbox."""
    started = processes("--port", "0", "--exit-with-stdin")
    started.close_stdin()
    assert started.process.wait(timeout=10) == 0


def test_proof_of_identity(processes: Any, tmp_path: Path) -> None:
    """With a secret file the sandbox proves that it knows the secret, and takes its token from there."""
    path = tmp_path / "secret.json"
    path.write_text(json.dumps({"secret": "s3cret", "token": "secret-token:other"}))
    path.chmod(0o600)
    started = processes("--port", "0", "--secret-file", str(path))
    nonce = "00" * 15 + "ff"
    expected = hmac.new(b"s3cret", bytes.fromhex(nonce), hashlib.sha256).hexdigest()
    with httpx.Client(base_url=started.url, trust_env=False) as client:
        assert client.get("sandbox/proof", params={"nonce": nonce}).json() == {"proof": expected}
        for wrong in ("", "00", "zz" * 16, "00" * 65):
            refused(client.get("sandbox/proof", params={"nonce": wrong}), 400, 26)
        order = {"order": {"summary": "s", "amount": "KUDOS:1"}}
        for token, status in (("secret-token:other", 200), ("secret-token:sandbox", 401)):
            headers = {"Authorization": f"Bearer {token}"}
            assert client.post("private/orders", json=order, headers=headers).status_code == status
    started.stop()
    assert path.exists()


def test_its_own_secret_file_proves_it(processes: Any) -> None:
    """The file that the plain command writes has the secret that it answers with, and its token."""
    started = processes("--port", "0", "--token", "secret-token:mine")
    content = json.loads((started.state_home / "taler-paywall" / f"sandbox-{started.port}.json").read_text())
    assert content["token"] == "secret-token:mine"
    nonce = "0123456789abcdef" * 2
    expected = hmac.new(content["secret"].encode(), bytes.fromhex(nonce), hashlib.sha256).hexdigest()
    answer = httpx.get(f"{started.url}sandbox/proof?nonce={nonce}", trust_env=False)
    assert answer.json() == {"proof": expected}


def test_unusable_secret_files(processes: Any, tmp_path: Path) -> None:
    """A secret file that is missing or malformed ends the start; one that cannot be written is only a warning."""
    assert "cannot be read" in _failure(processes("--port", "0", "--secret-file", str(tmp_path / "none"), wait=False))
    (tmp_path / "bad").write_text('{"secret": 5}')
    (tmp_path / "bad").chmod(0o640)
    failure = _failure(processes("--port", "0", "--secret-file", str(tmp_path / "bad"), wait=False))
    assert "is not this user's alone" in failure
    (tmp_path / "bad").chmod(0o600)
    assert "must hold" in _failure(processes("--port", "0", "--secret-file", str(tmp_path / "bad"), wait=False))
    (tmp_path / "taler-paywall").write_text("a file where the directory should be")
    started = processes("--port", "0")
    assert started.url.startswith("http://127.0.0.1:")
    assert started.stop() == 0


def test_other_currency_and_ipv6(processes: Any) -> None:
    """The options are what the endpoints answer with."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    started = processes("--port", "0", "--currency", "eur", "--host", "::1")
    shop = Shop(started.url)
    assert shop.http.get("config").json()["currency"] == "EUR"
    made = shop.order(amount="EUR:5")
    shop.claim(made)
    assert shop.post(made["order_id"], "pay", {"coins": [coin("EUR:5")]}).status_code == 200
    refused(shop.post_order(amount="KUDOS:5"), 409, 2514)
    shop.http.close()
