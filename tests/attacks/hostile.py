"""A merchant backend on loopback that is honest until a scenario tells it otherwise, and that keeps books."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Event, Thread
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from running import TOKEN

#: The backend as wallets see it; the site reaches it at another address.
PUBLIC: Final = "https://backend.test/"
#: What nobody but the wallet may learn.
CLAIM_TOKEN: Final = "CLA1MT0KENCLA1MT0KENCLA1MT"
H_CONTRACT: Final = "H" * 103
MERCHANT_PUB: Final = "8GSJZ649T2PXMKZC01Y4ANNBE7MF14QVK9SQEC4E46ZHKCVG8AS0"

Json = dict[str, Any]
#: A status and a body.
Answer = tuple[int, Json]
PRIVATE_ORDERS: Final = "private/orders"
UNKNOWN_ORDER: Final[Answer] = (404, {"code": 2005, "hint": "unknown order"})
ORDER_EXISTS: Final[Answer] = (409, {"code": 2503, "hint": "another order has this ID"})


@dataclass(frozen=True)
class Asked:
    """One request of the storefront.

    Args:
        method: the method.
        path: below the instance.
        query: decoded.
        headers: lower-case names.
        body: what was posted.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def order_id(self) -> str:
        """The order whose status is asked for, empty if another thing is."""
        asks = self.method == "GET" and self.path.startswith(f"{PRIVATE_ORDERS}/")
        return self.path.rpartition("/")[2] if asks else ""


#: What is sent for a request, piece by piece, and then the connection is closed.
Behaviour = Callable[["Books", Asked, str], Iterable[bytes]]


@dataclass
class Books:
    """What the backend knows, and what it was asked.

    Args:
        behaviours: from the name of a scenario to what it does.
        scenario: that is played, its argument after a colon.
        public: base URL of the instance, as wallets see it.
    """

    behaviours: dict[str, Behaviour]
    scenario: str = "paid"
    public: str = PUBLIC
    #: The orders by ID, as the storefront asked for them.
    orders: dict[str, Json] = field(default_factory=dict)
    #: The session that each paid order was paid under.
    paid: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    #: What no storefront may ever do.
    faults: list[str] = field(default_factory=list)
    #: Wakes whoever is slow on purpose.
    over: Event = field(default_factory=Event)

    @property
    def posts(self) -> list[str]:
        """The IDs of the orders that were posted, one for each request."""
        return [json.loads(asked.body)["order"]["order_id"] for asked in self.asked if asked.method == "POST"]

    def pay(self) -> None:
        """Pay every order that anybody has asked for, under the session that asked."""
        self.paid |= {
            asked.order_id: asked.query["session_id"] for asked in self.asked if asked.order_id in self.orders
        }

    def behave(self, asked: Asked) -> Iterable[bytes]:
        """Return what the scenario sends."""
        self._inspect(asked)
        self.asked.append(asked)
        name, _, argument = self.scenario.partition(":")
        return self.behaviours[name](self, asked, argument)

    def answer(self, asked: Asked) -> Answer:
        """Return what an honest backend answers: the order is paid for the session that paid, for nobody else."""
        if asked.method == "POST":
            return self._create(json.loads(asked.body)["order"])
        order, session = self.orders.get(asked.order_id), asked.query.get("session_id", "")
        if order is None:
            return UNKNOWN_ORDER
        if asked.order_id not in self.paid:
            return 200, unpaid_answer(order, session, self.public)
        if self.paid[asked.order_id] != session:
            return 200, claimed_answer(order, session, self.public)
        return 200, paid_answer(order, session, self.public)

    def _create(self, order: Json) -> Answer:
        if self.orders.setdefault(order["order_id"], order) != order:
            return ORDER_EXISTS
        deadline = {"t_s": int(time.time()) + 3600}
        return 200, {"order_id": order["order_id"], "token": CLAIM_TOKEN, "pay_deadline": deadline}

    def _inspect(self, asked: Asked) -> None:
        """Note what no storefront may ever do."""
        authorization = asked.headers.get("authorization")
        if asked.path.startswith("private/") and authorization != f"Bearer {TOKEN}":
            self.faults.append(f"{asked.method} {asked.path} with the authorization {authorization!r}")
        if not asked.path.startswith("private/") and authorization is not None:
            self.faults.append(f"the token was sent to {asked.path}")
        if asked.order_id and not asked.query.get("session_id"):
            self.faults.append(f"the status of {asked.order_id} was asked without a session")
        if asked.method == "POST":
            known = asked.path == PRIVATE_ORDERS
        else:
            # How the price is written is asked for once, and of a claimed order what its customer is told; both without
            # the token.
            customer = asked.path.startswith("orders/") and {"h_contract", "session_id"} <= asked.query.keys()
            known = customer or asked.path in {f"{PRIVATE_ORDERS}/{asked.order_id}", "config"}
        if not known or asked.headers.get("accept-encoding") != "identity" or "cookie" in asked.headers:
            self.faults.append(f"{asked.method} {asked.path} was asked with {sorted(asked.headers)}")


def contract(order: Json, public: str = PUBLIC) -> Json:
    """Return the terms of an order that is full evidence for what the storefront asked."""
    now = int(time.time())
    return {
        "order_id": order["order_id"],
        "amount": order["amount"],
        "max_fee": "EUR:0.1",
        "summary": order["summary"],
        "merchant_base_url": public,
        "merchant_pub": MERCHANT_PUB,
        "fulfillment_url": order["fulfillment_url"],
        "extra": {key: dict(value) for key, value in order["extra"].items()},
        "timestamp": {"t_s": now},
        "refund_deadline": {"t_s": now + 3600},
        "wire_transfer_deadline": {"t_s": now + 7200},
    }


def paid_answer(order: Json, session: str, public: str = PUBLIC) -> Json:
    """Return the status of a paid order: full evidence, of which a scenario changes one point."""
    currency = order["amount"].partition(":")[0]
    return {
        "order_status": "paid",
        "refunded": False,
        "refund_pending": False,
        "refund_amount": f"{currency}:0",
        "wired": False,
        "deposit_total": order["amount"],
        "contract_terms": contract(order, public),
        "order_status_url": f"{public}orders/{order['order_id']}?h_contract={H_CONTRACT}&session_id={session}",
    }


def unpaid_answer(order: Json, session: str, public: str = PUBLIC) -> Json:
    """Return the status of an order that nobody has claimed."""
    scheme, _, address = public.partition("://")
    kind = "taler" if scheme == "https" else "taler+http"
    order_id = order["order_id"]
    return {
        "order_status": "unpaid",
        "taler_pay_uri": f"{kind}://pay/{address}{order_id}/{session}?c={CLAIM_TOKEN}",
        "order_status_url": f"{public}orders/{order_id}?token={CLAIM_TOKEN}&session_id={session}",
        "creation_time": {"t_s": int(time.time())},
        "summary": order["summary"],
        "total_amount": order["amount"],
    }


def claimed_answer(order: Json, session: str, public: str = PUBLIC) -> Json:
    """Return the status of an order that a wallet holds, or that was paid under another session."""
    url = f"{public}orders/{order['order_id']}?h_contract={H_CONTRACT}&session_id={session}"
    return {"order_status": "claimed", "contract_terms": contract(order, public), "order_status_url": url}


def message(status: int, body: bytes, *lines: str, media_type: str = "application/json") -> bytes:
    """Return an HTTP answer."""
    head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}", "Connection: close"]
    head += [f"Content-Type: {media_type}"] if media_type else []
    return "\r\n".join([*head, *lines, "", ""]).encode() + body


def reply(answer: Answer) -> bytes:
    """Return an HTTP answer with a JSON object."""
    return message(answer[0], json.dumps(answer[1]).encode())


class Hostile(socketserver.ThreadingTCPServer):
    """The server, in threads of its own.

    Args:
        books: that it keeps.
        tls: its certificate, None for plain HTTP.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self, books: Books, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.books = books
        self._tls = tls
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_address[1]}/"
        self._thread = Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """End, and fail loudly if the storefront did what none may do."""
        self.books.over.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        assert not self.books.faults, self.books.faults

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; the handshake is left to its own thread."""
        connection, address = super().get_request()
        if self._tls:
            return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note what broke."""
        self.books.faults.append(f"the backend broke under {self.books.scenario}")


class _Connection(socketserver.StreamRequestHandler):
    """One request and what is sent for it; whoever has heard enough may leave."""

    def handle(self) -> None:
        assert isinstance(self.server, Hostile)
        try:
            if line := self.rfile.readline():
                for piece in self.server.books.behave(self._asked(line)):
                    self.request.sendall(piece)
        except ConnectionAbortedError:
            # Closing now resets the connection.
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()
        except OSError:
            return

    def _asked(self, line: bytes) -> Asked:
        method, target, _ = line.decode("latin-1").split()
        headers: dict[str, str] = {}
        while pair := self.rfile.readline().decode("latin-1").strip():
            name, _, value = pair.partition(":")
            headers[name.lower()] = value.strip()
        url = urlsplit(target)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        body = self.rfile.read(int(headers.get("content-length", 0)))
        return Asked(method, url.path.removeprefix("/"), query, headers, body)
