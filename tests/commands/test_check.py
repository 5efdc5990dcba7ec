"""`check` finds what is wrong, says how to mend it, changes nothing, and ends with a status that scripts understand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import Sandbox, StartSite, free_port
from shared_cache.redis_server import RedisServer

from taler_paywall.operator import asking
from taler_paywall.testing.sandbox import TalerSandbox

from .conftest import Desk
from .relay import Relay

Write = Callable[..., str]
Found = list[dict[str, str]]
#: Level, beginning of the topic, and a part of the text.
Finding = tuple[str, str, str]
SITES = "commands.sites"
SOLD = '[[rules]]\npattern = "/articles/{slug}"\n'


def has(found: Found, level: str, topic: str, text: str) -> bool:
    """Tell whether a finding is there, with a way to mend it where there is something to mend."""
    [one] = [each for each in found if each["topic"].startswith(topic) and text in each["text"]]
    assert bool(one["fix"]) is (one["level"] != "ok"), one
    return one["level"] == level


def test_a_site_that_is_right(desk: Desk, taler_sandbox: TalerSandbox) -> None:
    """Everything is looked at; nothing is wrong, nothing is ordered."""
    assert desk.run("webhooks", "--app", f"{SITES}:right()", "install").returncode == 0
    done = desk.run("check", f"{SITES}:right()")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    # It has no option cache, and nobody knows how many workers there are.
    [alone] = [line for line in lines if not line.startswith("ok ")]
    assert alone.startswith("warning webhook: with several workers")
    lines.remove(alone)
    said = [
        *("configuration: commands.sites:right() has 3 rules", f"public_url: {desk.url}"),
        *("cookies: for https they are Secure and named __Host-", "refunds: a refund takes effect within 60 s, and"),
        *(f"backend: {taler_sandbox.url} answers", "protocol: the backend speaks versions 12 to 26"),
        *("currency: the backend takes KUDOS", "clock: this machine", "token: accepted; it allows orders-read"),
        f"webhook: installed, to {desk.url}/.well-known/taler-paywall/webhook",
        "rule 2 (/articles/{slug}/*): GET /articles/taler-paywall-check has to be paid for",
        "rule 2 (/articles/{slug}/*): GET /articles/taler-paywall-check/taler-paywall-check has to be paid for",
        "rule 3 (POST /translate): POST /translate has to be paid for",
        *(
            f"reserved: /.well-known/taler-paywall/{name} arrives"
            for name in ("poll-payment", "webhook", "static/style.css", "static/page.js")
        ),
    ]
    assert [line.removeprefix("ok      ")[: len(text)] for line, text in zip(lines, said, strict=True)] == said
    assert taler_sandbox.orders() == []


def test_wrong_use(desk: Desk) -> None:
    """Who names no paywall, or an option that there is not, gets status 2 and no findings."""
    site = f"{SITES}:right()"
    for arguments in (
        *(("check",), ("check", "nowhere.toml"), ("check", "--fast"), ("explain", "GET"), ("orders", "x")),
        *(("check", site, "--url", url) for url in ("news.example", "http://[bad", "https://", "ftp://news.example")),
    ):
        done = desk.run(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert done.stderr.startswith("Usage: "), arguments


def test_every_mistake_in_the_configuration(desk: Desk, write: Write) -> None:
    """All are shown, of a file as of an application, and nothing else is looked at."""
    file = write('[[rules]]\npattern = "articles"\nprice = "half a KUDOS"\n', fancy=1)
    status, found = desk.check(file)
    assert status == 1
    assert [each["text"].removeprefix(f"{file}: ").split(";")[0][:24] for each in found] == [
        *("fancy is no option", "rule 'articles': a patte", "rule 'articles': the pri")
    ]
    assert all(each["fix"] for each in found)
    status, found = desk.check(f"{SITES}:misconfigured()")
    assert status == 1
    assert {each["topic"] for each in found} == {"configuration"}
    assert "a pattern begins with a slash" in str(found)
    assert "half a KUDOS" in str(found) or "'/books': the price" in str(found)
    for name, text in (("nowhere", "AttributeError"), ("bare()", "no paywall was found in this Starlette")):
        status, found = desk.check(f"{SITES}:{name}")
        assert (status, len(found)) == (1, 1)
        assert text in found[0]["text"]


def test_where_there_is_no_backend(desk: Desk, write: Write) -> None:
    status, found = desk.check(write(backend=f"http://127.0.0.1:{free_port()}/"))
    assert status == 1
    assert has(found, "error", "backend", "gives no answer that can be used")


@pytest.mark.parametrize(
    ("config", "finding"),
    [
        ({"name": "taler-exchange"}, ("error", "backend", "calls itself 'taler-exchange', not 'taler-merchant'")),
        ({"version": "40:0:2"}, ("error", "protocol", "the backend speaks versions 38 to 40, this paywall 2 to 26")),
        ({"version": "40:0:14"}, ("ok", "protocol", "the backend speaks versions 26 to 40")),
        ({"version": "1:0:0"}, ("error", "protocol", "the backend speaks versions 1 to 1")),
        ({"version": "2:0:2"}, ("ok", "protocol", "the backend speaks versions 0 to 2")),
        ({"version": "new"}, ("error", "protocol", "'new' is no version")),
        ({"currencies": {"EUR": {}}}, ("error", "currency", "prices are in KUDOS, and the backend knows EUR alone")),
        ({"currencies": {}, "currency": "KUDOS"}, ("ok", "currency", "the backend takes KUDOS")),
    ],
)
def test_backends_of_other_kinds(
    config: dict[str, Any], finding: Finding, desk: Desk, write: Write, taler_sandbox: TalerSandbox
) -> None:
    with Relay(taler_sandbox.url, config) as relay:
        status, found = desk.check(write(backend=relay.url))
    assert has(found, *finding)
    assert status == (finding[0] == "error")


@pytest.mark.parametrize(
    ("hours", "text"),
    [(1, r"is 3(600|5\d\d) s ahead of this"), (-1, r"is 36\d\d s behind this"), (None, "does not tell")],
)
def test_clocks(hours: int | None, text: str, desk: Desk, write: Write, taler_sandbox: TalerSandbox) -> None:
    """A clock that goes wrong is told; the sandbox's own is right, as another test sees."""
    date = None if hours is None else format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    with Relay(taler_sandbox.url, date=date) as relay:
        status, found = desk.check(write(backend=relay.url))
    [clock] = [each for each in found if each["topic"] == "clock"]
    assert (status, clock["level"], clock["fix"]) == (0, "warning", "set the clocks by NTP")
    assert re.search(text, clock["text"])


def login(sandbox: TalerSandbox, scope: str) -> str:
    """Make a token that allows less."""
    answer = httpx.post(
        f"{sandbox.url}private/token",
        json={"scope": scope},
        headers={"Authorization": f"Bearer {sandbox.token}"},
        trust_env=False,
    )
    return str(answer.json()["access_token"])


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("all", [("ok", "it allows orders-read, orders-write, orders-refund, webhooks-read, webhooks-write")]),
        ("order-mgmt", [("ok", "accepted; it allows orders-read, orders-write, orders-refund")]),
        (
            "order-simple",
            [("ok", "it allows orders-read, orders-write"), ("error", "it does not allow orders-refund")],
        ),
        ("readonly", [("ok", "it allows orders-read, webhooks-read"), ("error", "it does not allow orders-write")]),
    ],
)
def test_permissions(
    scope: str, expected: list[tuple[str, str]], desk: Desk, write: Write, taler_sandbox: TalerSandbox
) -> None:
    """What the token allows is found out without changing anything; what rules need must be allowed."""
    token = login(taler_sandbox, scope)
    desk.secrets.append(token)
    status, found = desk.check(write(f'{SOLD}price = "KUDOS:0.5"\nrefundable = true\n', token=token))
    assert status == (expected[-1][0] == "error")
    for level, text in expected:
        assert has(found, level, "token", text)
    hidden = scope.startswith("order")
    assert has(found, "warning", "webhook", "cannot be seen" if hidden else "is not installed")
    assert taler_sandbox.orders() == []


def test_what_nobody_gives_back_needs_no_permission(desk: Desk, write: Write, taler_sandbox: TalerSandbox) -> None:
    status, found = desk.check(write(token=login(taler_sandbox, "order-simple")))
    assert (status, [each for each in found if each["level"] == "error"]) == (0, [])


def test_tokens_that_are_wrong(desk: Desk, write: Write) -> None:
    status, found = desk.check(write(token="secret-token:wrong"))
    assert status == 1
    assert has(found, "error", "token", "the backend does not accept it")


def test_a_backend_that_breaks_in_between(desk: Desk, write: Write, taler_sandbox: TalerSandbox) -> None:
    with Relay(taler_sandbox.url, status=500) as relay:
        status, found = desk.check(write(backend=relay.url))
    assert status == 1
    assert has(found, "error", "token", "GET private/orders was answered 500")


def test_a_backend_that_answers_something_else(desk: Desk, write: Write, taler_sandbox: TalerSandbox) -> None:
    """It is not blamed on the token."""
    for answer in (404, 429, 308):
        with Relay(taler_sandbox.url, status=answer) as relay:
            status, found = desk.check(write(backend=relay.url))
        assert status == 1
        assert has(found, "error", "token", f"what it allows cannot be seen: GET private/orders was answered {answer}")


def test_sites_that_end_the_process(desk: Desk) -> None:
    """A site that ends instead of being loaded is no site that is right."""
    status, found = desk.check("commands.sites:ended()")
    assert status == 1
    assert has(found, "error", "configuration", "cannot be imported: SystemExit")


def test_sites_that_are_to_be_made(desk: Desk) -> None:
    for name, text in (
        ("talkative", "if it makes the application, write commands.sites:talkative()"),
        ("awaited()", "has to be awaited"),
    ):
        status, found = desk.check(f"commands.sites:{name}")
        assert status == 1
        assert has(found, "error", "configuration", text)


@pytest.mark.parametrize(
    ("url", "level", "text"),
    [
        ("https://news.example/today", "ok", "https://news.example/today"),
        ("http://news.example", "error", "is plain http"),
        ("https://10.1.2.3", "warning", "is in a private network"),
        ("https://news", "warning", "is in a private network"),
        ("http://127.0.0.1:8000", "warning", "is this machine's"),
    ],
)
def test_public_urls(url: str, level: str, text: str, desk: Desk, write: Write) -> None:
    status, found = desk.check(write(public_url=url))
    assert has(found, level, "public_url", text)
    assert status == (level == "error")


def test_play_money(desk: Desk, write: Write) -> None:
    """On this machine it needs no more; that it is play money is said, and it can be switched off."""
    desk.settings = {}

    def check(file: str) -> tuple[int, Found]:
        # What is started ends with a process of its own.
        done = desk.run("check", file, "--json")
        return done.returncode, json.loads(done.stdout)

    status, found = check(write(backend=f"sandbox:{free_port()}"))
    assert status == 0
    assert has(found, "warning", "backend", "play money")
    assert has(found, "ok", "public_url", "none is needed")
    status, found = check(write(backend=f"sandbox:{free_port()}", public_url="http://localhost:1", enabled=False))
    assert status == 0
    assert has(found, "ok", "public_url", "is this machine's, for play money")
    assert has(found, "warning", "paywall", "everything is free")


def test_redis(desk: Desk, write: Write, tmp_path: Path) -> None:
    """The shared cache is asked; its password is not shown."""
    port = free_port()
    desk.secrets.append("of-redis")
    status, found = desk.check(write(cache=f"redis://:of-redis@127.0.0.1:{port}/0"))
    assert status == 1
    assert has(found, "error", "cache", "Redis at 127.0.0.1 does not answer")
    with closing(RedisServer(tmp_path)) as server:
        status, found = desk.check(write(cache=server.url))
        server.admin.config_set("save", "3600 1")
        kept = desk.check(write(cache=server.url))[1]
    assert status == 0
    assert has(found, "ok", "cache", "Redis at 127.0.0.1 answers")
    assert has(kept, "warning", "cache", "without the refunds since")
    assert "refunds since" not in str(found)


@pytest.mark.parametrize(("recheck_after", "known"), [(3600, 3600), (30, 60)])
def test_when_refunds_take_effect(recheck_after: int, known: int, desk: Desk, write: Write) -> None:
    """An outage makes nothing faster."""
    found = desk.check(write(recheck_after=recheck_after, serve_known_for=60))[1]
    said = f"a refund takes effect within {recheck_after} s, and within {known} s while the backend is down"
    assert has(found, "ok", "refunds", said)


def test_a_backend_whose_webhooks_make_no_sense(desk: Desk, write: Write, taler_sandbox: TalerSandbox) -> None:
    with Relay(taler_sandbox.url, private=b'{"webhooks": 5}') as relay:
        found = desk.check(write(backend=relay.url))[1]
    assert has(found, "warning", "webhook", "could not be asked (the answer is not as the merchant API has it: ")
    assert "_Webhooks" not in str(found)


def test_webhooks_that_lead_elsewhere(desk: Desk, write: Write, taler_sandbox: TalerSandbox) -> None:
    file = write()
    assert desk.run("webhooks", "--config", file, "install").returncode == 0
    assert has(desk.check(file)[1], "ok", "webhook", f"installed, to {desk.url}/")
    moved = write(prefix="/pay")
    assert has(desk.check(moved)[1], "warning", "webhook", "leads elsewhere")
    assert desk.run("webhooks", "--config", file, "remove").returncode == 0
    other = write(public_url=f"{desk.url}/other")
    assert desk.run("webhooks", "--config", other, "install").returncode == 0
    assert has(desk.check(write())[1], "warning", "webhook", "is not installed")


@pytest.mark.parametrize("site", ["added", "blocking", "wrapped", "talkative"])
def test_paywalls_wherever_they_are(site: str, desk: Desk) -> None:
    """The paywall is found inside, and requests go through all that is around it."""
    status, found = desk.check(f"{SITES}:{site}()")
    assert status == 0
    tried = [each for each in found if each["topic"].startswith("rule")]
    assert [each["level"] for each in tried] == ["ok"] * 3


def test_a_mounted_site(desk: Desk) -> None:
    desk.settings["TALER_PAYWALL_PUBLIC_URL"] = f"{desk.url}/news"
    status, found = desk.check(f"{SITES}:mounted()")
    assert status == 0
    assert sum(each["topic"].startswith("rule") for each in found) == 3


@pytest.mark.parametrize(
    ("site", "status", "finding"),
    [
        ("beside", 1, ("error", "rule 2", "GET /articles/taler-paywall-check is answered 200 without the paywall")),
        ("exempting", 1, ("error", "rule 3", "POST /translate gets through the paywall unpaid")),
        ("guarded", 1, ("warning", "rule 2", "check is answered 401 without the paywall: nobody can buy it")),
        ("guarded", 1, ("error", "reserved", "poll-payment does not arrive at the paywall (it is answered 401")),
        ("catching", 1, ("error", "reserved", "poll-payment does not arrive at the paywall (it is answered 400")),
        ("catching", 1, ("error", "reserved", "webhook does not arrive at the paywall (it is answered 403")),
        ("catching", 1, ("error", "reserved", "static/page.js does not arrive at the paywall (it is answered 200")),
        ("priced", 0, ("warning", "rule 1", "could not be tried: /articles/taler-paywall-check has no price")),
        ("misspelt", 0, ("warning", "routes", "matches no route of the application and sells nothing")),
        ("twice", 0, ("warning", "paywall", "has 1 further paywalls inside")),
        ("strict", 1, ("error", "routes", "because of strict=True the site does not start")),
        ("broken", 1, ("error", "requests", "the application does not start")),
    ],
)
def test_sites_that_are_wrong(site: str, status: int, finding: Finding, desk: Desk) -> None:
    done, found = desk.check(f"{SITES}:{site}()")
    assert done == status
    assert has([each for each in found if finding[-1] in each["text"]][:1], *finding)


def test_what_never_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever answers in place of the paywall, `check` ends."""
    monkeypatch.setattr(asking, "SECONDS", 0.5)
    status, found = desk.check(f"{SITES}:endless()")
    assert status == 1
    assert has(found, "error", "rule 2", "GET /articles/taler-paywall-check is answered 200 without the paywall")


def test_prices_that_break(desk: Desk) -> None:
    status, found = desk.check(f"{SITES}:mispriced()")
    assert status == 1
    broken = [each for each in found if each["level"] == "error"]
    assert {each["text"].partition(" raises ")[2] for each in broken} == {"LookupError: the price list is lost"}


def test_samples(desk: Desk) -> None:
    """What names may be can be said, and so can whole addresses."""
    status, found = desk.check(f"{SITES}:priced()", "--sample", "slug=bees", "--try", "/articles/bees/p")
    assert status == 0
    assert has(found, "ok", "rule 1", "GET /articles/bees has to be paid for")
    assert has(found, "ok", "tried", "GET /articles/bees/p has to be paid for")
    assert has(found, "ok", "currency", "the backend takes KUDOS; prices of callables are not looked at")
    status, found = desk.check(f"{SITES}:right()", "--sample", "slug=sample", "--try", "/prices")
    assert status == 1
    assert has(found, "warning", "rule 2", "could not be tried: /articles/sample is free")
    assert has(found, "error", "tried", "GET /prices gets through the paywall unpaid")
    assert desk.run("check", f"{SITES}:right()", "--sample", "slug").returncode == 2


def test_regular_expressions(desk: Desk, write: Write) -> None:
    """No address can be made of one: that is said."""
    rules = '[[rules]]\nregex = "/books/(?P<isbn>[0-9]+)"\nprice = "KUDOS:1"\npage = "/books"\n'
    status, found = desk.check(write(rules), "--url", f"http://127.0.0.1:{free_port()}")
    assert status == 1
    assert has(found, "warning", "rule 1", "it is a regular expression")


def test_a_running_site(desk: Desk, start_site: StartSite, sandbox: Sandbox, write: Write) -> None:
    """A site is asked over the network, with what is in front of it; so it shows by which scheme browsers come."""
    site, before = start_site(sandbox.url), sandbox.orders()
    rules = (
        '[[rules]]\npattern = "/articles/{slug}/*"\nprice = "KUDOS:0.5"\n[[rules]]\npattern = "/"\nprice = "KUDOS:2"\n'
    )
    options = {"backend": sandbox.url, "token": "secret-token:sandbox"}
    status, found = desk.check(
        write(rules, public_url=site.url, **options), "--url", site.url, "--sample", "slug=night-train"
    )
    assert status == 1
    assert sandbox.orders() == before
    assert has(found, "ok", "cookies", "for http they are neither Secure nor named __Host-")
    seen = [(each["level"], each["text"]) for each in found if each["topic"][:4] in {"rule", "rese"}]
    prefix = "/.well-known/taler-paywall"
    assert seen == [
        ("ok", "GET /articles/night-train has to be paid for"),
        ("ok", "GET /articles/night-train/taler-paywall-check has to be paid for"),
        ("error", "GET / is answered 200 without the paywall"),
        *(
            ("ok", f"{prefix}/{name} arrives at the paywall")
            for name in ("poll-payment", "webhook", "static/style.css", "static/page.js")
        ),
    ]
    # The same site, as if it were served over https; and one of https that is asked over http.
    for url, asked in ((site.url, site.url.replace("http:", "https:")), (desk.url, site.url)):
        status, found = desk.check(write(rules, public_url=url, **options), "--url", asked)
        assert status == 1
        assert has(found, "error", "cookies", "browsers")
