"""Readers who were asked to pay and wait, and what can be seen of their waiting."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
from reader import Reader, order_of
from running import TLS, eventually

from .till import Till

OURS: Final = "/.well-known/taler-paywall/"
#: Seconds that a poll asks for: more than any test takes if it is woken.
WAIT: Final = 50
#: What is answered at once is answered in a small part of that.
AT_ONCE: Final = 20


@dataclass(frozen=True)
class Asked:
    """One reader who was asked to pay.

    Args:
        status_url: where the reader was sent.
    """

    reader: Reader
    status_url: str

    @classmethod
    def of(cls, reader: Reader, name: str) -> Asked:
        return cls(reader, reader.visit(f"/paid/{name}").headers["location"])

    @property
    def order_id(self) -> str:
        return order_of(self.status_url)

    @property
    def session_id(self) -> str:
        return parse_qs(urlsplit(self.status_url).query)["session_id"][0]

    def poll(self, timeout: int = 0) -> httpx.Response:
        query = {"order_id": self.order_id, "timeout": str(timeout)}
        return self.reader.http.get(f"{OURS}poll-payment", params=query, timeout=WAIT + 20)

    def prove(self, order_id: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        own = {"Origin": self.reader.base_url}
        return self.reader.http.post(f"{OURS}orders/{order_id}/paid", json=body, headers=own | headers)

    def wait_outside(self, stack: ExitStack, count: int = 1, *headers: str) -> list[socket.socket]:
        """Open so many connections with a poll each, and read none."""
        url = urlsplit(self.reader.base_url)
        cookies = "; ".join(f"{name}={value}" for name, value in self.reader.cookies().items())
        target = f"{OURS}poll-payment?order_id={self.order_id}&timeout={WAIT}"
        head = "\r\n".join((f"GET {target} HTTP/1.1", f"Host: {url.netloc}", f"Cookie: {cookies}", *headers))
        opened = []
        for _ in range(count):
            opened.append(stack.enter_context(socket.create_connection((url.hostname, url.port), 30)))
            opened[-1].sendall(f"{head}\r\n\r\n".encode())
        return opened


def polls_at(till: Till) -> int:
    """Return how many long polls wait at the backend."""
    count: int = httpx.get(f"{till._control}/", trust_env=False, verify=TLS, timeout=20).json()["waiting"]
    return count


def until_polls_at(till: Till, count: int) -> None:
    """Wait until so many long polls wait at the backend, but not until they end by themselves."""
    eventually(lambda: polls_at(till) == count, f"{count} polls wait at the backend", AT_ONCE)


@contextmanager
def begun(till: Till, asked: Asked) -> Iterator[Future[httpx.Response]]:
    """Poll until something happens; the block begins when the backend waits for it."""
    with ThreadPoolExecutor(1) as elsewhere:
        answer = elsewhere.submit(asked.poll, WAIT)
        until_polls_at(till, 1)
        yield answer


def content_of(connection: socket.socket) -> Any:
    """Read an answer with its body."""
    answer = HTTPResponse(connection)
    answer.begin()
    return json.loads(answer.read())


def threads_of(pid: int) -> int:
    """Return how many threads a process and all its descendants have."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended since it was listed
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(len(list(Path(f"/proc/{member}/task").iterdir())) for member in family)
