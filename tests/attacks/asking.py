"""A site under a real server of either protocol, asked byte by byte."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

import pytest
from conformance.raw import exchange
from conformance.till import Till
from reader import PAGE, USER_AGENT
from running import SECRET_KEY, TOKEN, Process
from servers import BY_NAME, serve

from taler_paywall.http import Header
from taler_paywall.testing.wallet import TalerWallet

#: A backend that nobody plays.
DEAD: Final = "http://127.0.0.1:1/"
ORIGIN: Final = "https://app.example"
OWN: Final = "/.well-known/taler-paywall"
NAVIGATION: Final = {"Accept": PAGE, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FORM: Final = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
#: No order is made for what is fetched ahead.
AHEAD: Final = {"Sec-Purpose": "prefetch"}
PREFLIGHT: Final = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}


@dataclass(frozen=True)
class Answer:
    """One answer as it came over the wire."""

    asked: str
    status: int
    headers: list[Header]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Return the values of a header."""
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == name.encode()]

    @property
    def kind(self) -> str:
        """The media type, empty if there is none."""
        return "".join(self.values("content-type")).partition(";")[0]


@dataclass(frozen=True)
class Site:
    """A site under a real server, with its merchant and its readers' wallet."""

    url: str
    protocol: str
    process: Process
    till: Till
    purse: TalerWallet
    said: list[Answer] = field(default_factory=list)

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: str = "") -> Answer:
        """Send a request byte by byte, and keep the answer."""
        lines = {"Host": self.url.partition("//")[2], "User-Agent": USER_AGENT, "Connection": "close", **headers}
        lines |= {"Content-Length": str(len(body))} if body else {}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        wire = exchange(self.url, f"{method} {target} HTTP/1.1\r\n{head}\r\n{body}".encode("latin-1"))
        head_of_answer, _, content = wire.partition(b"\r\n\r\n")
        status, *fields = head_of_answer.split(b"\r\n")
        pairs = [(name, value.lstrip(b" ")) for name, _, value in (line.partition(b":") for line in fields)]
        self.said.append(Answer(f"{method} {target} {headers}", int(status.split()[1]), pairs, content))
        return self.said[-1]

    def reorder(self, **fields: str) -> Answer:
        """Send the form that buys."""
        return self.ask("POST", f"{OWN}/reorder", NAVIGATION | FORM, urlencode(fields))


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start a site and its merchant."""
    home = tmp_path_factory.mktemp(request.param)
    till = Till(home)
    process, url = serve(
        BY_NAME[{"asgi": "uvicorn h11", "wsgi": "gunicorn threads"}[request.param]],
        home,
        f"tests.attacks.loud:{request.param}",
        TALER_PAYWALL_BACKEND=till.url,
        TALER_PAYWALL_TOKEN=TOKEN,
        TALER_PAYWALL_SECRET_KEY=SECRET_KEY,
        CORS_ORIGINS=ORIGIN,
    )
    with TalerWallet(home / "wallet.sqlite") as purse:
        yield Site(url, request.param, process, till, purse)
    process.end()
    assert till.process.end() == 0, till.process.output


@pytest.fixture
def name() -> str:
    """Make up an article that nobody else asks for."""
    return f"n{secrets.token_hex(6)}"


def assert_sound(answer: Answer) -> None:
    """Nothing in a header begins another."""
    for key, value in answer.headers:
        assert re.fullmatch(rb"[A-Za-z0-9-]+", key), answer
        assert re.fullmatch(rb"[\t\x20-\x7e\x80-\xff]*", value), answer
    for cookie in answer.values("set-cookie"):
        assert re.fullmatch(r"taler_[\w]+=[\w.-]*; Path=/; HttpOnly; SameSite=Lax; Max-Age=\d+", cookie), answer
