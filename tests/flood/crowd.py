"""Visitors without cookies, as many as a few connections bear, each heard to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CONNECTIONS = 8
#: Of a navigation that a browser has never made here before.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


@dataclass(frozen=True)
class Request:
    """What a visitor asks for.

    Args:
        path: of the page.
        headers: beside those of a browser.
        method: of HTTP.
        body: of a POST.
    """

    path: str
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    body: bytes = b""


@dataclass(frozen=True)
class Heard:
    """An answer.

    Args:
        request: that it is to.
        headers: names in lower case; of several the last.
    """

    request: Request
    status: int
    headers: dict[str, str]
    body: bytes


def flood(port: int, requests: Iterable[Request]) -> list[Heard]:
    """Ask for everything, over connections that stay open, and return the answers."""
    return asyncio.run(_flood(port, iter(requests)))


async def _flood(port: int, requests: Iterator[Request]) -> list[Heard]:
    heard: list[Heard] = []

    async def visit() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in requests:
            answer = await _ask(reader, writer, request)
            heard.append(answer)
            # Some servers let a connection answer only so often.
            if answer.headers.get("connection", "").lower() == "close":
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    async with asyncio.timeout(300), asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(visit())
    return heard


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> Heard:
    headers = [("Host", "127.0.0.1"), *BROWSER.items(), *request.headers]
    if request.body:
        headers.append(("Content-Length", str(len(request.body))))
    lines = [f"{request.method} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    writer.write("\r\n".join(lines).encode() + request.body)
    first, *told = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    answered = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in told)}
    body = await reader.readexactly(int(answered.get("content-length", "0")))
    return Heard(request, int(first.split()[1]), answered, body)
