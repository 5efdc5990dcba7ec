"""Samples of what ``make fuzz`` runs at length, and proof that they would find what they look for."""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from itsdangerous import Signer
from msgspec.structs import replace

from fuzz.__main__ import main
from fuzz.answers import AnswerRun
from fuzz.cookies import CookieRun
from fuzz.forgiving import serves
from fuzz.ordinary import Ordinary
from fuzz.paths import PUBLIC, REFUSED, SOLD, PathRun, Verdict, verdict_of
from fuzz.servers import SERVERS, bare_root, h11
from fuzz.sites import SHOPS, Shop
from fuzz.tally import Tally
from fuzz.targets import ROOTS, Mutator
from taler_paywall import flow, path, session
from taler_paywall.gate import Gate
from taler_paywall.http import Request
from taler_paywall.resource import Resource, Rule

SEED = "sample"
QUICK = settings(max_examples=400, suppress_health_check=list(HealthCheck))
NAMES = next(shop for shop in SHOPS if shop.name == "names")
SHOPS_BY_NAME = {shop.name: shop for shop in SHOPS}
SECTIONS = SHOPS_BY_NAME["wildcards"]
SOLD_BY_NAME = Gate((Rule("/articles/{slug}", "KUDOS:1"), Rule("/premium/*", "KUDOS:1"), Rule("/secret", "KUDOS:1")))


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Keep a hundred thousand refusals out of the captured log."""
    with caplog.at_level(logging.CRITICAL, logger="taler_paywall"):
        yield


# ---- paths -------------------------------------------------------------------------------------------------------


def test_paths() -> None:
    """What an application serves for money under any reading, in any order, the gate has sold or refused."""
    tally = PathRun(Random(SEED)).run(10_000)

    assert not tally.leaks, tally.leaks[:5]
    # Most are served by somebody, and every answer occurs often.
    assert tally.counts["served by the application"] > 4000
    assert min(tally.counts[verdict] for verdict in (PUBLIC, SOLD, REFUSED)) > 1000


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60), st.text(max_size=60), st.sampled_from(ROOTS), st.sampled_from(SHOPS), st.booleans())
def test_any_target(octets: bytes, text: str, root: str, shop: Shop, whole: bool) -> None:  # noqa: FBT001 - drawn
    """No bytes break an adapter or the gate, and none of them leaks."""
    run = PathRun(Random(0))
    for target in (octets, text.encode("utf-8", "surrogatepass")):
        for server in SERVERS:
            request = server("GET", target if whole else shop.targets[0].encode() + target, root)
            run.judge(shop, replace(request, method=shop.methods[0]), repr(target))

    assert not run.tally.leaks


def naive_equality(shop: Shop) -> Verdict:
    """Compare the decoded path, as one does at first."""
    return lambda request: SOLD if request.app_path in shop.targets else PUBLIC


def naive_prefix(shop: Shop) -> Verdict:
    """Compare the beginning of the decoded path, without regard to case."""
    heads = tuple({"/" + target.split("/")[1] for target in shop.targets if len(target) > 1})
    return lambda request: SOLD if request.app_path.casefold().startswith(heads) else PUBLIC


@pytest.mark.parametrize("naive", [naive_equality, naive_prefix])
def test_naive_matchers_leak(naive: Callable[[Shop], Verdict]) -> None:
    """The generator finds what the usual matchers let out, by the model and by real routers."""
    leaks = PathRun(Random(SEED), naive).run(500).leaks

    assert len(leaks) > 20
    for router in ("read as", "Starlette", "Werkzeug", "Django", "Litestar", "files"):
        assert any(router in leak for leak in leaks), router


Case = tuple[Shop, Request, str]


#: What is left hides the name in one way, or it would be empty; what has to go hides the rule in another.
HIDDEN = ("%0b", "%EF%BB%BF", "%E2%80%A9", "%EE%80%80", "%FF")
RARE = [
    (SECTIONS, bare_root("GET", b"premium/en/x", "/en")),
    (SECTIONS, bare_root("HEAD", b"%252fde/../../vip", "")),
    (SHOPS_BY_NAME["expressions"], h11("HEAD", b"/library/a/b%3f.pdf%23x", "")),
    (SHOPS_BY_NAME["expressions"], h11("HEAD", b"/library/a/b%23.pdf%3fx", "")),
    (SHOPS_BY_NAME["expressions"], h11("HEAD", b"/library/a/b%3f.pdf%00x", "")),
    (SHOPS_BY_NAME["queries"], h11("OPTIONS", b"/watch/one/..%2%0d%0af%C2%85", "")),
    (SHOPS_BY_NAME["methods"], h11("POST", b"/../..//http%3a//h/api/one/sign", "")),
    *(
        (NAMES, h11("GET", f"/a{gone}rticles/{left}".encode(), ""))
        for gone, left in zip(HIDDEN, HIDDEN[1:] + HIDDEN[:1], strict=True)
    ),
]


@pytest.fixture(scope="module")
def refused() -> list[Case]:
    """Draw requests that the gate refuses, and add one that is rarely drawn: a name that cannot be seen."""
    run = PathRun(Random(SEED))
    drawn = [run.draw() for _ in range(5000)]
    drawn.append((NAMES, h11("GET", b"/articles%0b/%e2%80%a9", ""), "an invisible name"))
    drawn += [(shop, request, "rarely drawn") for shop, request in RARE]
    return [case for case in drawn if run.verdicts[case[0].name](case[1]) == REFUSED]


@pytest.mark.parametrize("index", range(len(path._STEPS)))
def test_every_transform_is_needed(index: int, refused: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any single way of reading a path, something leaks."""
    monkeypatch.setattr(path, "_STEPS", path._STEPS[:index] + path._STEPS[index + 1 :])
    run = PathRun(Random(0))
    for shop, request, text in refused:
        if run.verdicts[shop.name](request) == PUBLIC:
            run.judge(shop, request, text)
            if run.tally.leaks:
                return
    pytest.fail("nothing leaks without it: it can go")


# ---- ordinary URLs -----------------------------------------------------------------------------------------------


def test_ordinary_urls() -> None:
    """Pages with ordinary names are never refused: free ones pass, sold ones are each a resource of its own."""
    ordinary = Ordinary(Random(SEED))
    bought: dict[str, str] = {}
    for _ in range(4000):
        server, root = ordinary.random.choice(SERVERS), ordinary.random.choice(ROOTS)
        query, name = ordinary.query(), ordinary.name()
        free = ordinary.spelled(ordinary.free_path()) + (b"?" + query if query else b"")
        assert SOLD_BY_NAME.find(server("GET", free, root)) is None, (server.__name__, free, root)
        spelled = ordinary.spelled(f"/articles/{name}")
        resource = sold(server("GET", spelled, root), spelled)
        assert resource.parts == {"slug": name}
        assert bought.setdefault(resource.name, name) == name

    assert len(bought) > 2000


def sold(request: Request, text: object) -> Resource:
    """Return what a request asks for; it must be sold, and both looks must see it."""
    found = SOLD_BY_NAME.find(request)
    assert isinstance(found, tuple), (text, found)
    assert SOLD_BY_NAME.concerns(request.path, request.raw_path, request.root_path)
    return found[1]


def test_servers_agree_on_plain_paths() -> None:
    """A plain path has one verdict, whatever the server and the protocol, with and without the raw path."""
    ordinary = Ordinary(Random(SEED))
    for _ in range(500):
        shop = ordinary.random.choice(SHOPS)
        gate, root = Gate(shop.rules), ordinary.random.choice(ROOTS)
        plain = ordinary.random.choice((ordinary.free_path(), *shop.targets, f"{shop.targets[-1]}/{ordinary.name()}"))
        target = quote(plain).encode()
        # A server that leaves the root out of the path hides one of its two readings.
        servers = [server for server in SERVERS if server is not bare_root]
        found = {server.__name__: gate.find(server("GET", target, root)) for server in servers}
        assert all(each == found["h11"] for each in found.values()), (shop.name, target, root, found)


def test_free_exceptions_open_for_their_exact_form_alone() -> None:
    """Whatever is made of a free exception's path is sold or refused, unless it is that path or not for sale at all."""
    exact, mutator = "/articles/sample", Mutator(Random(SEED))
    paid, verdict = Shop("paid", NAMES.rules, NAMES.sold, NAMES.targets), verdict_of(NAMES)
    opened = 0
    for _ in range(1500):
        target = mutator.target(exact)
        request = h11("GET", target, "")
        if verdict(request) == PUBLIC:
            reading = serves(paid, request)
            assert reading is None or unicodedata.normalize("NFKC", reading).casefold() == exact, (target, reading)
            opened += request.path == exact
        else:
            assert request.path != exact or request.raw_path != quote(exact).encode(), target

    assert opened > 50


# ---- cookies -----------------------------------------------------------------------------------------------------


def test_cookies() -> None:
    """No forged cookie opens anything, a genuine one does, and no header makes much work."""
    tally = CookieRun(Random(SEED)).run(3000)

    assert not tally.leaks, tally.leaks[:5]
    assert tally.counts["granted"] > 200


@QUICK
@given(st.lists(st.binary(max_size=200), max_size=4))
def test_any_cookie_header(octets: list[bytes]) -> None:
    """Any bytes, as a header or as the value of a cookie of ours, open nothing and break nothing."""
    run = CookieRun(Random(0))
    run.judge(octets)
    run.judge([run.genuine[0] + b"=" + each for each in octets])

    assert not run.tally.leaks
    assert not run.tally.counts["granted"]


def test_unchecked_cookies_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the signature, or with one for all purposes, something is granted."""
    unsign = Signer.unsign
    monkeypatch.setattr(Signer, "unsign", lambda _, value: value.rpartition(b".")[0])
    assert CookieRun(Random(SEED)).run(300).leaks
    monkeypatch.setattr(Signer, "unsign", unsign)
    monkeypatch.setattr(session.Keys, "__init__", purposeless(session.Keys.__init__))
    assert CookieRun(Random(SEED)).run(300).leaks


def purposeless(init: Callable[..., None]) -> Callable[..., None]:
    """Give the signer of orders the key of sessions too."""

    def both(self: session.Keys, *args: Any) -> None:
        init(self, *args)
        self.order.secret_keys = [*self.session.secret_keys, *self.order.secret_keys]

    return both


# ---- answers -----------------------------------------------------------------------------------------------------


def test_answers() -> None:
    """Whatever a backend answers: only full evidence opens, and nothing but a failure of the backend comes of it."""
    tally = AnswerRun(Random(SEED)).run(5000)

    assert not tally.leaks, tally.leaks[:5]
    assert 300 < tally.counts["granted"] < 2500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=8,
)


@QUICK
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()), st.integers(100, 599))
def test_any_answer(body: bytes, status: int) -> None:
    """Any bytes and any JSON with any status open nothing and break nothing."""
    run = AnswerRun(Random(0))
    answer = (status, "application/json", body)
    run._spoilt = lambda status, answer, said=answer: said  # type: ignore[method-assign,misc] # one answer to all
    run.judge()

    assert not run.tally.leaks
    assert not run.tally.counts["granted"]


def test_a_lenient_judge_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that takes the backend's word for it grants what is no evidence."""
    monkeypatch.setattr(flow, "judge", lambda *_: "stands")
    assert AnswerRun(Random(SEED)).run(300).leaks


# ---- the command -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaks", [[], ["a case"]])
def test_the_command_fails_on_a_leak(
    leaks: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints the figures and the case that reproduces a leak, and its exit status tells."""
    monkeypatch.setattr(PathRun, "run", lambda self, cases: Tally(self.tally.counts, list(leaks)))
    counts = ["--paths=1", "--cookies=1", "--answers=1"]
    monkeypatch.setattr("sys.argv", ["fuzz", "--seed=s", "--processes=1", *counts])
    with pytest.raises(SystemExit) as status:
        main()

    assert bool(status.value.code) is bool(leaks)
    printed = capsys.readouterr().out
    assert "1 cookies" in printed
    assert ("seed s/paths/0: a case" in printed) is bool(leaks)
