"""A sandbox process, and the merchant's and the wallet's requests to it one by one."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from running import TLS

from taler_paywall import contract, crockford
from taler_paywall.taler_uri import PayUri

from .traffic import CONTROLS

COMMAND = [sys.executable, "-m", "taler_paywall"]
TOKEN = "secret-token:sandbox"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


REFUNDABLE = {"refund_delay": {"d_us": 300_000_000}}
FORGED_HASH = crockford.encode(secrets.token_bytes(64))
FORGED_TOKEN = crockford.encode(secrets.token_bytes(16))


class Process:
    """A running `sandbox` command."""

    def __init__(self, *options: str, state_home: Path, wait: bool = True) -> None:
        self.state_home = state_home
        self.process = subprocess.Popen(
            [*COMMAND, "sandbox", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"XDG_STATE_HOME": str(state_home), "HOME": str(state_home)},
        )
        self.url = self._announced() if wait else ""
        has_control = any(option.startswith("--control") for option in options)
        self.control = self._announced() if wait and has_control else ""
        CONTROLS.add(self.control)
        #: What it has written to stderr, once it has ended.
        self.errors = ""

    def _announced(self) -> str:
        """Read the address at the end of the next line."""
        assert self.process.stdout
        return self.process.stdout.readline().rpartition(" ")[2].strip()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].strip("/"))

    def stop(self) -> int:
        self.process.terminate()
        self._end()
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def close_stdin(self) -> None:
        """Do what the death of the parent does."""
        if self.process.stdin:
            self.process.stdin.close()
        # Else communicate() would flush it.
        self.process.stdin = None

    def _end(self) -> None:
        CONTROLS.discard(self.control)
        if self.process.stdout and not self.process.stdout.closed:
            self.errors = self.process.communicate(timeout=10)[1]


class Shop:
    """The merchant's side, and the wallet's requests one by one."""

    def __init__(self, url: str, prefix: str = "", token: str = TOKEN) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url + prefix, trust_env=False, verify=TLS, timeout=20)
        self.owner = {"Authorization": f"Bearer {token}"}

    def order(self, *, body: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
        answer = self.post_order(body=body, **members)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def post_order(self, *, body: dict[str, Any] | None = None, **members: Any) -> httpx.Response:
        order = {"summary": "An article", "amount": "KUDOS:5", "fulfillment_url": fresh_url(), **members}
        return self.http.post("private/orders", json={"order": order, **(body or {})}, headers=self.owner)

    def ask(self, order_id: str, **query: Any) -> httpx.Response:
        return self.http.get(f"private/orders/{order_id}", params=query, headers=self.owner)

    def status(self, order_id: str, **query: Any) -> dict[str, Any]:
        answer = self.ask(order_id, **query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def public(self, order_id: str, *, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
        return self.http.get(f"orders/{order_id}", params=query, headers=headers)

    def history(self, **query: Any) -> httpx.Response:
        return self.http.get("private/orders", params=query, headers=self.owner)

    def delete(self, order_id: str, **query: Any) -> httpx.Response:
        return self.http.delete(f"private/orders/{order_id}", params=query, headers=self.owner)

    def forget(self, order_id: str, fields: Any) -> httpx.Response:
        return self.http.patch(f"private/orders/{order_id}/forget", json={"fields": fields}, headers=self.owner)

    def refund(self, order_id: str, amount: Any, reason: Any = "because") -> httpx.Response:
        body = {"refund": amount, "reason": reason}
        return self.http.post(f"private/orders/{order_id}/refund", json=body, headers=self.owner)

    def post(self, order_id: str, action: str, body: Any) -> httpx.Response:
        return self.http.post(f"orders/{order_id}/{action}", json=body)

    def claim(self, made: dict[str, Any], nonce: str | None = None) -> dict[str, Any]:
        body = {"nonce": nonce or fresh_nonce(), "token": made.get("token")}
        answer = self.post(made["order_id"], "claim", body)
        assert answer.status_code == 200, answer.text
        claimed: dict[str, Any] = answer.json()
        return {
            **claimed,
            "h_contract": crockford.encode(contract.contract_hash(claimed["contract_terms"], any_names=True)),
        }

    def bought(self, session_id: str = "one", *, body: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
        """Make, claim and pay an order; return all that is known of it."""
        made = self.order(body=body, **members)
        claimed = self.claim(made)
        coins = [coin(claimed["contract_terms"]["amount"])]
        answer = self.post(made["order_id"], "pay", {"coins": coins, "session_id": session_id})
        assert answer.status_code == 200, answer.text
        return {**made, **claimed, "coins": coins, "sig": answer.json()["sig"]}


def command(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with an environment whose proxy must not be used."""
    env = {**os.environ, "XDG_STATE_HOME": str(home), "http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://x:1"}
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=env, timeout=30, check=False)


def fresh_url() -> str:
    return f"http://shop.example/{secrets.token_hex(8)}"


def fresh_nonce() -> str:
    return crockford.encode(contract.public_key(secrets.token_bytes(32)))


def coin(contribution: str = "KUDOS:5", **changed: Any) -> dict[str, Any]:
    return {
        "coin_sig": crockford.encode(secrets.token_bytes(64)),
        "coin_pub": crockford.encode(secrets.token_bytes(32)),
        "ub_sig": {"cipher": "RSA", "rsa_signature": crockford.encode(secrets.token_bytes(256))},
        "h_denom": crockford.encode(secrets.token_bytes(64)),
        "contribution": contribution,
        "exchange_url": "https://exchange.example/",
        **changed,
    }


def pay_uri(shop: Shop, made: dict[str, Any], session_id: str = "") -> str:
    return str(PayUri(shop.url, made["order_id"], session_id, made.get("token")))


def waiting(control: str) -> int:
    """Ask a control endpoint how many long polls wait."""
    return int(httpx.get(control, trust_env=False, verify=TLS).json()["waiting"])


def until_waiting(control: str, polls: int) -> None:
    """Wait until so many long polls wait."""
    deadline = time.monotonic() + 60
    while waiting(control) < polls:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def while_polling(poll: Callable[[str], None], act: Callable[[], httpx.Response], ended: dict[str, float]) -> None:
    """Check that two polls go on until something happens, and end soon after."""
    threads = [threading.Thread(target=poll, args=(name,)) for name in ("public", "private")]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    assert not ended
    acted = time.monotonic()
    assert act().status_code == 200
    for thread in threads:
        thread.join(timeout=20)
    assert set(ended) == {"public", "private"}
    assert max(ended.values()) - acted < 3
