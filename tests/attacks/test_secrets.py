"""No secret is in a log, an answer, a repr or a traceback, whatever the backend says and whatever breaks."""

from __future__ import annotations

import asyncio
import gc
import html
import json
import ssl
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
import trustme
from anyio.from_thread import start_blocking_portal
from conformance.here import AsgiHere, WsgiHere
from conformance.till import Till
from itsdangerous.encoding import base64_decode
from reader import Reader
from running import eventually
from servers import BY_NAME, serve

from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.async_transport import AsyncHttpBackend
from taler_paywall.blocking_transport import HttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.merchant import get_order
from taler_paywall.operations import Call, SessionId
from taler_paywall.session import Keys
from taler_paywall.settings import Options
from taler_paywall.taler_uri import PayUri
from taler_paywall.testing.wallet import TalerWallet
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywallMiddleware

from .parrot import MOODS, PLANTED_TOKEN, Parrot, honest

SECRET_KEY: Final = "planted-secret-key-0123456789-abcdefghijklmnop"
#: What is no part of a site: the merchant and the wallets of play.
ELSEWHERE: Final = ("taler_paywall.sandbox.", "taler_paywall.testing.")
#: Whose loggers a site hears, too.
OTHERS: Final = ("httpx", "httpcore.http11", "httpcore.connection", "h11", "anyio", "asyncio", "itsdangerous")
SESSION: Final = "PLANTEDSESSION0123456789"
JSON: Final = {"Accept": "application/json"}
HERE: Final = "http://127.0.0.1:8000"


def forms(secret: bytes) -> set[bytes]:
    """Return how a secret may be written: as it is, escaped, in hexadecimal digits, in base64 at any offset."""
    text = secret.decode("latin-1")
    found = {secret, quote(secret).encode(), quote(secret, safe="").encode()}
    found |= {repr(secret)[2:-1].encode(), json.dumps(text)[1:-1].encode()}
    found |= {html.escape(text).encode("latin-1"), secret.hex().encode(), secret.hex().upper().encode()}
    found.add("".join(f"%{byte:02X}" for byte in secret).encode())
    for offset in range(3):
        # What shares a letter with its neighbours is left off.
        end = len(secret) - (len(secret) + offset) % 3
        middle = slice(0 if offset == 0 else 4, (offset + end) // 3 * 4)
        found |= {encode(b"\0" * offset + secret[:end])[middle] for encode in (b64encode, urlsafe_b64encode)}
    return found


def shown(secrets: dict[str, bytes], text: bytes) -> set[str]:
    """Return the names of the secrets that a text tells, each with the text around it."""
    places = {name: [text.find(form) for form in forms(secret)] for name, secret in secrets.items()}
    at = {name: max(found) for name, found in places.items() if max(found) >= 0}
    return {f"{name}: {text[max(0, place - 120) : place + 40]!r}" for name, place in at.items()}


@dataclass
class Walk:
    """What readers and operators have seen of a site.

    Args:
        url: of the site.
        keys: of its paywalls.
        protocol: of its server.
        answers: to the readers.
        log: of the server.
    """

    url: str
    keys: list[Keys]
    protocol: str = ""
    answers: list[httpx.Response] = field(default_factory=list)
    log: bytes = b""
    _readers: list[Reader] = field(default_factory=list)

    def reader(self, transport: httpx.BaseTransport | None = None) -> Reader:
        """Open a browser whose answers are kept."""
        self._readers.append(Reader(self.url, transport))
        self._readers[-1].http.event_hooks["response"] = [self._keep]
        return self._readers[-1]

    def close(self) -> None:
        """Close all browsers."""
        for reader in self._readers:
            reader.http.close()

    def _keep(self, response: httpx.Response) -> None:
        response.read()
        self.answers.append(response)

    @property
    def cookies(self) -> dict[str, bytes]:
        """The cookies that were set, by name, and what sessions are made of."""
        lines = [line for answer in self.answers for line in answer.headers.get_list("set-cookie")]
        values = {line.partition(";")[0].partition("=")[2].encode() for line in lines} - {b""}
        payloads = [json.loads(base64_decode(value.rpartition(b".")[0])) for value in values]
        secrets = {payload[0].encode() for payload in payloads if len(payload) == 2}
        assert secrets
        return {f"cookie {n}": value for n, value in enumerate(sorted(values | secrets))}

    @property
    def sessions(self) -> dict[str, bytes]:
        """The sessions as the backend knows them."""
        secrets = [value.decode() for value in self.cookies.values() if len(value) == 22]
        return {f"session {s[:4]}": keys.session_id(s).encode() for keys in self.keys for s in secrets}


def never_told(walk: Walk) -> dict[str, bytes]:
    """Return what nobody is told: the token, the secret key, and the keys that are derived from it."""
    secrets = {"token": PLANTED_TOKEN.removeprefix("secret-token:").encode(), "secret key": SECRET_KEY.encode()}
    for keys in walk.keys:
        secrets |= {f"key of {name}": getattr(keys, name) for name in ("_session_ids", "_order_ids")}
        secrets |= {f"key of {name}": getattr(keys, name).secret_keys[-1] for name in ("session", "order")}
    return secrets


@pytest.fixture(scope="module")
def parrot(till: Till) -> Iterator[Parrot]:
    """Run the backend that all sites know."""
    with Parrot(till.port) as started:
        yield started


@pytest.fixture(scope="module")
def purse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TalerWallet]:
    """Open a wallet."""
    with TalerWallet(tmp_path_factory.mktemp("purse") / "wallet.sqlite") as opened:
        yield opened


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def walk(
    request: pytest.FixtureRequest,
    till: Till,
    parrot: Parrot,
    purse: TalerWallet,
    tmp_path_factory: pytest.TempPathFactory,
) -> Walk:
    """Lead readers through everything that can happen at a site, and keep what was written of it."""
    server, level = {"asgi": ("uvicorn h11", "trace"), "wsgi": ("gunicorn threads", "debug")}[request.param]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with Parrot(till.port, tls) as untrusted:
        process, url = serve(
            BY_NAME[server],
            tmp_path_factory.mktemp(request.param),
            f"tests.attacks.loud:{request.param}",
            *("--log-level", level),
            PYTHONASYNCIODEBUG="1",
            HEARD=" ".join(OTHERS),
            TALER_PAYWALL_BACKEND=parrot.url,
            TALER_PAYWALL_TOKEN=PLANTED_TOKEN,
            TALER_PAYWALL_SECRET_KEY=SECRET_KEY,
            TLS_BACKEND=untrusted.url,
        )
        walked = Walk(url, [Keys([SECRET_KEY.encode()], f"{url} {parrot.url}")], request.param)
        try:
            _lead(walked, till, parrot, purse)
        finally:
            walked.close()
            process.end()
    walked.log = process.log.read_bytes()
    return walked


def _lead(walk: Walk, till: Till, parrot: Parrot, purse: TalerWallet) -> None:
    owner, debtor = walk.reader(), walk.reader()
    purse.pay(owner.visit("/paid/bought").headers["location"])
    assert owner.visit("/paid/bought").text == "content"
    assert [debtor.visit("/paid/open").status_code, debtor.http.get("/paid/open").status_code] == [302, 402]
    for name in MOODS:
        _ask_parrot(walk, parrot, name, owner, debtor)
    assert owner.visit("/paid/bought").text == "content"
    assert [owner.visit(path).status_code for path in ("/dead/x", "/tls/x", "/priceless/x")] == [503] * 3
    for kind in ("text/html", "application/json", "text/plain"):
        assert owner.http.post(f"/nameless/{kind[-4:]}", headers={"Accept": kind}).status_code == 503
    owner.http.get("/", extensions={"target": b"/paid//bought"})
    forger = walk.reader()
    forger.hold({name: f"{value[:-3]}xyz" for name, value in owner.cookies().items()})
    eventually(lambda: forger.visit("/paid/bought").status_code == 302, "the backend is asked again")
    till.give_back(next(o.order_id for o in till.orders() if o.fulfillment_url == f"{walk.url}/paid/bought"))
    assert [owner.visit("/paid/bought").status_code, owner.http.get("/paid/bought").status_code] == [402, 402]
    assert owner.buy_again("/paid/bought").status_code == 303
    assert owner.press("/.well-known/taler-paywall/reorder", {"page": "/paid/x"}, Origin="null").status_code < 500


def _ask_parrot(walk: Walk, parrot: Parrot, name: str, owner: Reader, debtor: Reader) -> None:
    """Have one with a payment, one with an open order and a stranger ask while the backend is in a mood."""
    parrot.mood = MOODS[name]
    path = f"/paid/{name.replace(' ', '-')}"
    answers = [owner.visit("/paid/bought"), debtor.visit("/paid/open"), walk.reader().http.get(path, headers=JSON)]
    parrot.mood = honest
    assert 503 in [answer.status_code for answer in answers], name


def test_the_search_finds_what_is_hidden() -> None:
    """A secret is found as it is, quoted, in hexadecimal digits, and in base64 wherever it begins."""
    secret = {"it": b"a+b/c=d e\xff-0123456789"}
    assert shown(secret, b"nothing of the kind") == set()
    for before in (b"", b"1", b"12"):
        for encode in (b64encode, urlsafe_b64encode, repr, quote, bytes.hex):
            hidden: Any = encode(before + secret["it"] + b"behind")
            assert shown(secret, hidden if isinstance(hidden, bytes) else hidden.encode()), (encode, before)


def test_everything_is_written_down(walk: Walk) -> None:
    """The logs that are searched are those of everybody, at every level, with the locals of what raised."""
    for name in OTHERS:
        assert f"DEBUG {name} is heard".encode() in walk.log
    assert b"\nWARNING taler_paywall unknown reason=backend-nonsense" in walk.log
    assert (b"DEBUG asyncio Using selector" in walk.log) == (walk.protocol == "asgi")
    assert b"resource = Resource(" in walk.log
    assert b"no name of" in walk.log
    assert (b"ASGI [2] Started scope" in walk.log) == (walk.protocol == "asgi")


def test_no_log_tells_a_secret(walk: Walk, till: Till) -> None:
    """No line that anybody has written, httpcore's included, and no local of what raised holds a secret."""
    secrets = never_told(walk) | walk.cookies | walk.sessions | claim_tokens(till)
    assert shown(secrets, walk.log) == set()


def claim_tokens(till: Till) -> dict[str, bytes]:
    """Return what lets a wallet claim an order."""
    return {f"claim token of {order.order_id}": order.token.encode() for order in till.orders() if order.token}


def test_no_answer_tells_a_secret(walk: Walk, till: Till, parrot: Parrot) -> None:
    """Cookies stand in Set-Cookie alone, sessions and claim tokens in the reader's own order's addresses too."""
    given = walk.sessions | claim_tokens(till)
    statuses = {answer.status_code for answer in walk.answers}
    assert {200, 302, 303, 400, 402, 503} <= statuses
    for answer in walk.answers:
        cookies = b"\n".join(value for name, value in answer.headers.raw if name.lower() == b"set-cookie")
        others = [name + b": " + value for name, value in answer.headers.raw if name.lower() != b"set-cookie"]
        rest = b"\n".join([*others, answer.content])
        assert shown(never_told(walk), cookies + rest) == set()
        assert shown(walk.cookies, rest) == set()
        assert shown(given, _without_addresses(rest, parrot)) == set()


def _without_addresses(text: bytes, parrot: Parrot) -> bytes:
    """Leave out the addresses of orders that readers are given."""
    host = parrot.url.encode().partition(b"//")[2]
    for start in (b"http://" + host + b"orders/", b"taler+http://pay/" + host):
        while (at := text.find(start)) >= 0:
            length = next((n for n, byte in enumerate(text[at:]) if byte in b' "<>\r\n'), len(text))
            text = text[:at] + text[at + length :]
    return text


def options(parrot: Parrot) -> Options:
    """Return the options of a site in this process."""
    return {
        "backend": parrot.url,
        "token": PLANTED_TOKEN,
        "secret_key": SECRET_KEY,
        "public_url": HERE,
        "recheck_after": 0,
    }


@pytest.fixture(params=["asgi", "wsgi"])
def walk_here(request: pytest.FixtureRequest, parrot: Parrot) -> Iterator[tuple[Walk, Reader]]:
    """Open a site in this process, and a browser in front of it."""
    walked = Walk(HERE, [Keys([SECRET_KEY.encode()], f"{HERE} {parrot.url}")])
    rules = {"/paid/{name}": "KUDOS:0.5"}
    # What other tests have left alive is not looked at: that would take longer than the backend has.
    gc.freeze()
    with start_blocking_portal() as portal:
        if request.param == "asgi":
            site = PaywallMiddleware(_content, rules, **options(parrot))
            yield walked, walked.reader(AsgiHere(site, portal))
            portal.call(site.aclose)
        else:
            wsgi_site = WsgiPaywallMiddleware(_wsgi_content, rules, **options(parrot))
            yield walked, walked.reader(WsgiHere(wsgi_site))
            wsgi_site.close()
    gc.unfreeze()
    walked.close()


async def _content(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"content"})


def _wsgi_content(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"content"]


def test_no_object_shows_a_secret(
    walk_here: tuple[Walk, Reader], parrot: Parrot, till: Till, purse: TalerWallet
) -> None:
    """Nothing of ours that lives while the backend is asked, or after, shows a secret when it is printed."""
    walk, reader = walk_here
    kinds: set[str] = set()
    seen: set[str] = set()

    def look() -> None:
        for thing in gc.get_objects():
            kind = type(thing).__module__
            if kind.startswith("taler_paywall") and not kind.startswith(
                ("taler_paywall.sandbox", "taler_paywall.test")
            ):
                kinds.add(type(thing).__name__)
                # What is a text, or stands for one, is written out by str().
                seen.update((repr(thing), "" if isinstance(thing, str | PayUri) else str(thing)))

    parrot.overhears = look
    try:
        purse.pay(reader.visit("/paid/here").headers["location"])
        assert reader.visit("/paid/here").text == "content"
        assert reader.visit("/paid/other").status_code == 302
        look()
    finally:
        parrot.overhears = lambda: None
    assert {"Case", "Visit", "Request", "Order", "BackendRequest", "Outgoing", "Call", "Settings", "Keys"} <= kinds
    secrets = never_told(walk) | walk.cookies | walk.sessions | claim_tokens(till)
    assert shown(secrets, "\n".join(seen).encode()) == set()


@pytest.mark.parametrize("kind", [AsyncHttpBackend, HttpBackend])
def test_no_failure_shows_a_secret(kind: Any, parrot: Parrot) -> None:
    """What is raised while the backend is asked tells no secret, nor does what led to it."""
    call = get_order("PLANTEDORDER", SessionId(SESSION))
    secrets = {"token": PLANTED_TOKEN[13:].encode(), "session": SESSION.encode()}
    found: dict[str, set[str]] = {}
    for name, mood in MOODS.items():
        parrot.mood = mood
        error = _failure(kind(parrot.url, parrot.url, PLANTED_TOKEN, Breaker(lambda: False)), call)
        parrot.mood = honest
        trace = traceback.TracebackException.from_exception(error)
        texts = ["".join(trace.format()), *(repr((cause, str(cause), vars(cause))) for cause in _causes(error))]
        found[name] = shown(secrets, "\n".join(texts).encode())
    assert {name: places for name, places in found.items() if places} == {}


def _failure(backend: Any, call: Call[Any]) -> Exception:
    """Return what comes of asking."""

    async def ask() -> Any:
        try:
            return call.parse(await backend.send(call.request))
        finally:
            await backend.aclose()

    try:
        if isinstance(backend, AsyncHttpBackend):
            asyncio.run(ask())
        else:
            call.parse(backend.send(call.request))
            backend.close()
    except Exception as error:  # noqa: BLE001 - whatever it is
        # Only what the paywall itself may hand to a log: the frames of this test hold what was asked.
        return error.with_traceback(_own_frames(error.__traceback__))
    raise AssertionError("nothing was raised")


def _own_frames(trace: Any) -> Any:
    while trace and not trace.tb_frame.f_globals["__name__"].startswith("taler_paywall"):
        trace = trace.tb_next
    return trace


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
