"""Long polls and their clients: who has gone is not waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from .shop import HTML, Process, Shop
from .switch import Switch

CLIENTS = 200


@pytest.fixture
def polled(tmp_path: Path) -> Iterator[Process]:
    started = Process("--port", "0", "--control", state_home=tmp_path)
    yield started
    assert started.stop() == 0
    assert started.errors == ""


def targets(shop: Shop) -> list[str]:
    """Everything that can be waited for."""
    made, url = shop.order(body={"session_id": "one"}), "http://shop.example/waited-for"
    claimed = shop.order(fulfillment_url=url, body={"session_id": "one"})
    h_contract = shop.claim(claimed)["h_contract"]
    return [
        f"orders/{made['order_id']}?token={made['token']}&timeout_ms=600000",
        f"private/orders/{made['order_id']}?timeout_ms=600000",
        "private/orders?limit=5&offset=1000&timeout_ms=600000",
        f"sessions/one?fulfillment_url={quote(url, safe='')}&timeout_ms=600000",
        f"public/poll-payment?order_id={claimed['order_id']}&h_contract={h_contract}&timeout=600",
    ]


def test_polls_end_with_their_clients(polled: Process) -> None:
    """Hundreds of clients that go away leave nothing behind, and the sandbox writes nothing about them."""
    shop = Shop(polled.url)
    paths = targets(shop)
    with Switch(polled.control) as switch:
        with ExitStack() as stack:
            for number in range(CLIENTS):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", polled.port)))
                head = f"GET /{paths[number % len(paths)]} HTTP/1.1\r\nHost: 127.0.0.1:{polled.port}\r\n"
                client.sendall(f"{head}Authorization: {shop.owner['Authorization']}\r\n\r\n".encode())
            switch.wait_until(CLIENTS, lambda state: state["waiting"])
            assert shop.http.get("config").status_code == 200
        switch.wait_until(0, lambda state: state["waiting"])
    shop.http.close()


def test_a_page_does_not_wait(polled: Process) -> None:
    """Browsers get their page at once."""
    shop = Shop(polled.url)
    made = shop.order()
    assert shop.public(made["order_id"], headers=HTML, token=made["token"], timeout_ms=600_000).status_code == 402
    shop.http.close()
