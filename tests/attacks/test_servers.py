"""The corpus on sockets: every server, in front of applications that are as forgiving as real ones."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import pytest
from running import ROOT, Process, eventually
from servers import BY_NAME, serve

from taler_paywall.testing.process import SandboxProcess
from taler_paywall.testing.sandbox import TalerSandbox

from .corpus import Attack, attacks
from .sites import ASGI, BARE, NAIVE, NO_SITE, PAYWALL, WSGI
from .tally import TALLIES, Tally, lines
from .tolerant import PUBLIC
from .wire import Answer, ask, ask_http2, connection_to, request_for

SERVERS: Final = (
    *("uvicorn", "uvicorn h11", "hypercorn", "granian"),
    *("gunicorn sync", "gunicorn threads", "waitress", "granian wsgi"),
)
#: Announces a body that is never sent, and has a test of its own.
ENDLESS: Final = "protocol-017"
GROUPS: Final = ("path", "method", "header", "protocol", "public", "noorder", "redirect", "caching", "cookie")
CORPUS: Final = [attack for attack in attacks(*GROUPS) if attack.id != ENDLESS]
#: Name a host that is not ours, in odd ways too.
HOSTS: Final = frozenset({"header-048", "header-055", "header-057", "header-058"})
#: Gathers a body before the application is asked, and refuses one of this size itself.
GATHERS_BODIES: Final = "waitress"
#: Ends every connection after its answer.
ENDS_CONNECTIONS: Final = "gunicorn sync"
DOCUMENT: Final = ROOT / "docs" / "attacks.md"

_FRAME: Final = re.compile(r'  File "([^"]+)", line \d+, in \w+\n +(.*)\n')
_OURS: Final = re.compile(r"/taler_paywall/|/tests/attacks/site_").search
_CALLS_ON: Final = re.compile(r"self\.app\(|chosen\(").search


INTRODUCTION: Final = """\
# Attacks on the gate

What a corpus of requests that try to get an article without paying comes to, sent byte by byte to real servers, in
front of applications that read paths as forgivingly as applications do. *Tested* are those that get the article where
there is no paywall; the statuses are the paywall's answers to these, and the last column counts the requests that
learnt anything of the article: its text, its length, its `ETag` or its `Last-Modified`.

This file is made by `tests/attacks/test_servers.py`: `UPDATE_DOCS=1 make test` writes it, and `make test` fails if it
is not up to date.

"""
Ask = Callable[..., Answer]


@dataclass(frozen=True)
class Unpaid:
    """The cookies of a browser that has an order and has not paid it, whatever the corpus asks for."""

    name: str
    sealed: str

    def value(self, state: str, resource: str, mutation: str) -> str:
        return self.sealed + mutation

    def order(self, state: str, resource: str) -> str:
        return "0" * 32

    def session(self, state: str, resource: str) -> str:
        return "0" * 32


@dataclass(frozen=True)
class Served:
    """All sites of a server."""

    name: str
    url: str
    process: Process
    jar: Unpaid

    @property
    def frameworks(self) -> tuple[str, ...]:
        return ASGI if BY_NAME[self.name].protocol == "asgi" else WSGI

    def ask(self, attack: Attack, framework: str, guard: str) -> Answer:
        """Send an attack to one of the sites."""
        answer = ask(self.url, request_for(f"{framework} {guard}", attack, self.jar))
        assert NO_SITE not in answer.body, attack
        return answer

    def ask_http2(self, attack: Attack, framework: str, guard: str) -> Answer:
        """Send an attack to one of the sites over HTTP/2."""
        answer = ask_http2(self.url, f"{framework} {guard}", attack, self.jar)
        assert NO_SITE not in answer.body, attack
        return answer

    def pipelined(self, attack: Attack, framework: str, guard: str) -> Answer:
        """Send an attack and a request for the article in one write, and return both answers as one."""
        last = request_for(f"{framework} {guard}", attack, self.jar)
        first = last.replace(b"Connection: close\r\n", b"")
        return ask(self.url, first + last.replace(attack.target, b"/article", 1))


@pytest.fixture(scope="module", params=SERVERS)
def served(
    request: pytest.FixtureRequest, taler_sandbox_process: SandboxProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Run all sites of a protocol under one server; no exception but the applications' own must be left in its log."""
    server = BY_NAME[request.param]
    options = {k: v for k, v in taler_sandbox_process.environment.items() if not k.endswith("PUBLIC_URL")}
    home = tmp_path_factory.mktemp("sites")
    process, url = serve(server, home, f"tests.attacks.site_{server.protocol}:app", **options)
    try:
        yield Served(server.name, url, process, cookie_of(url))
    finally:
        process.end()
    assert unexplained(process.output) == []


def unexplained(log: str) -> list[str]:
    """Return the tracebacks of a log in which the last of the paywall and of the sites is no call of an application."""
    traces = [trace.partition("\n[")[0] for trace in log.split("Traceback (most recent call last):")[1:]]
    calls = [[line for file, line in _FRAME.findall(trace) if _OURS(file)] for trace in traces]
    return [trace for trace, ours in zip(traces, calls, strict=True) if not (ours and _CALLS_ON(ours[-1]))]


def cookie_of(url: str) -> Unpaid:
    """Ask for the article, do not pay, and keep the cookie."""
    request = b"GET /article HTTP/1.1\r\nHost: t.test\r\nX-Site: tolerant paywall\r\nConnection: close\r\n\r\n"
    # The first answer may wait for the backend to get going.
    ours = eventually(
        lambda: [cookie for cookie in ask(url, request).values(b"set-cookie") if b"_order_" in cookie], url
    )
    (cookie,) = ours
    name, _, sealed = cookie.partition(b";")[0].decode().partition("=")
    return Unpaid(name, sealed)


def take(ask_one: Ask, entries: Sequence[Attack] = CORPUS, guard: str = PAYWALL) -> Tally:
    """Send the corpus to a site, twice: without a paywall and with one."""
    tally = Tally()
    with ThreadPoolExecutor(8) as pool:
        bare = pool.map(partial(ask_one, guard=BARE), entries)
        behind = pool.map(partial(ask_one, guard=guard), entries)
        for attack, one, other in zip(entries, bare, behind, strict=True):
            tally.take(attack, one, other)
    return tally


def check(tally: Tally) -> None:
    """Make sure that the gate stayed shut, and that nobody was kept from what is public."""
    assert (tally.leaks, tally.spoilt) == ([], [])
    assert tally.refusals.keys() <= {302, 400, 402, 414, 431}
    assert tally.refusals[400] > 0
    assert tally.refusals[402] > tally.asked // 3


def test_nothing_is_given_away(served: Served) -> None:
    """No entry gets a trace of the secret, and every public page is answered as without the paywall."""
    for framework in served.frameworks:
        tally = TALLIES[served.name, framework] = take(partial(served.ask, framework=framework))
        check(tally)


@pytest.mark.parametrize("served", ["hypercorn"], indirect=True)
def test_nothing_is_given_away_over_http2(served: Served) -> None:
    """The same over HTTP/2, where a path and a method may be any ASCII text."""
    ascii_only = [attack for attack in CORPUS if attack.target.isascii()]
    tally = TALLIES[f"{served.name}, HTTP/2", "tolerant"] = take(
        partial(served.ask_http2, framework="tolerant"), ascii_only
    )
    check(tally)


@pytest.mark.parametrize("served", ["uvicorn h11"], indirect=True)
def test_the_corpus_finds_leaks(served: Served) -> None:
    """A middleware that compares paths by equality and prefix gives the secret away, and is found out."""
    naive = [take(partial(served.ask, framework=framework), guard=NAIVE) for framework in ("starlette", "tolerant")]
    assert sum(len(tally.leaks) for tally in naive) >= 30


def test_pipelined(served: Served) -> None:
    """A request for what is sold is refused too if it comes in one write with one for what is public."""
    (public,) = (attack for attack in CORPUS if attack.id == "protocol-015")
    bare, behind = (served.pipelined(public, "tolerant", guard) for guard in (BARE, PAYWALL))
    assert bool(bare.traces) == (served.name != ENDS_CONNECTIONS)
    assert (behind.status, behind.traces) == (200, [])
    assert PUBLIC in behind.body


def test_a_body_that_never_comes(served: Served) -> None:
    """An upload of a gigabyte is refused before it is sent."""
    (endless,) = (attack for attack in attacks("protocol") if attack.id == ENDLESS)
    for guard, status in ((BARE, b"200"), (PAYWALL, b"402")):
        with connection_to(served.url) as connection:
            connection.sendall(request_for(f"tolerant {guard}", endless, served.jar))
            expected = b"413" if served.name == GATHERS_BODIES else status
            assert connection.recv(65_536).split()[1] == expected


def test_a_client_who_leaves(served: Served, taler_sandbox: TalerSandbox) -> None:
    """A client who leaves while the backend is asked makes no more than its order, and does no harm to the next."""
    (leaving,) = (attack for attack in CORPUS if attack.id == "protocol-019")
    with taler_sandbox.fault("hang"), connection_to(served.url) as connection:
        connection.sendall(request_for(f"tolerant {PAYWALL}", leaving, served.jar))
        eventually(lambda: taler_sandbox.state["fault"]["hits"], "the backend is asked")
    assert served.ask(leaving, "tolerant", PAYWALL).status == 402
    assert len(taler_sandbox.orders()) <= 2


def test_foreign_hosts(served: Served, taler_sandbox: TalerSandbox) -> None:
    """Orders lead to the public URL, whatever host a request names, how often, and with what in it."""
    entries = [attack for attack in CORPUS if attack.id in HOSTS]
    assert {served.ask(attack, "tolerant", PAYWALL).status for attack in entries} <= {400, 402}
    orders = [taler_sandbox.order_status(order["order_id"]) for order in taler_sandbox.orders()]
    pages = {order["proto_contract_terms"]["fulfillment_url"] for order in orders}
    assert (len(entries), pages) == (len(HOSTS), {f"{served.url}/article"})


@pytest.mark.usefixtures("whole_run")
def test_the_document_is_up_to_date() -> None:
    """The table in the documentation is what this run makes of it."""
    document = INTRODUCTION + "\n".join(lines()) + "\n"
    print(document)
    if os.environ.get("UPDATE_DOCS"):
        DOCUMENT.write_text(document)
    assert DOCUMENT.read_text() == document
