"""The sandbox as a process: its options, its state file, its proof of identity, its end."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import TLS

from .shop import Shop, coin
from .traffic import refused


def complaint(started: Any) -> str:
    _, errors = started.process.communicate(timeout=10)
    assert started.process.returncode == 1
    assert "Traceback" not in errors
    assert errors.count("\n") == 1
    return str(errors)


def test_a_port_in_use_is_a_clear_error(processes: Any) -> None:
    """A second sandbox on the port ends with status 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"port {port}" in complaint(processes("--port", port, wait=False))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
def test_only_loopback(processes: Any, host: str) -> None:
    """Play money is not offered to the network."""
    assert host in complaint(processes("--port", "0", "--host", host, wait=False))


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_remote_only_when_asked_for(processes: Any, host: str) -> None:
    """--allow-remote is for every address of the machine, and warns of a token that everybody knows."""
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    known = ("--token", "secret-token:mine", "--instance", "other=secret-token:sandbox")
    for options, warnings in (((), 1), (("--token", "secret-token:mine"), 0), (known, 1)):
        started = processes("--port", "0", "--host", host, "--allow-remote", *options)
        url = f"http://127.0.0.1:{started.port}/config"
        assert httpx.get(url, trust_env=False, verify=TLS).json()["name"] == "taler-merchant"
        assert started.stop() == 0
        assert started.errors.count("warning: everybody knows the token") == warnings


@pytest.mark.parametrize("control", [("--control",), ("--control-port", "0")])
def test_no_control_from_remote(processes: Any, control: tuple[str, ...]) -> None:
    """The control endpoint and other machines exclude each other."""
    started = processes("--port", "0", "--allow-remote", *control, wait=False)
    assert "--control is for this machine alone" in started.process.communicate(timeout=10)[1]
    assert started.process.returncode == 2


def test_an_address_of_another_machine_is_a_clear_error(processes: Any) -> None:
    """--allow-remote cannot take what is not there."""
    failed = complaint(processes("--port", "0", "--host", "192.0.2.1", "--allow-remote", "--token", "x", wait=False))
    assert "cannot listen on 192.0.2.1" in failed


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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
    with httpx.Client(base_url=started.url, trust_env=False, verify=TLS) as client:
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
    answer = httpx.get(f"{started.url}sandbox/proof?nonce={nonce}", trust_env=False, verify=TLS)
    assert answer.json() == {"proof": expected}


def test_unusable_secret_files(processes: Any, tmp_path: Path) -> None:
    """A secret file that is missing or malformed ends the start; one that cannot be written is only a warning."""
    assert "cannot be read" in complaint(processes("--port", "0", "--secret-file", str(tmp_path / "none"), wait=False))
    (tmp_path / "bad").write_text('{"secret": 5}')
    (tmp_path / "bad").chmod(0o640)
    failure = complaint(processes("--port", "0", "--secret-file", str(tmp_path / "bad"), wait=False))
    assert "is not this user's alone" in failure
    (tmp_path / "bad").chmod(0o600)
    assert "must hold" in complaint(processes("--port", "0", "--secret-file", str(tmp_path / "bad"), wait=False))
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
